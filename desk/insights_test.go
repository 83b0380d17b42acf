package desk

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// testInsights lets conversations run at random and counts them by hand, in another way.
func testInsights(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.TimeoutActivity = false })
	h.staff("sales", "ann", "ben")
	h.staff("care", "ben", "cat")
	people := []string{"ann", "ben", "cat"}
	for _, name := range people {
		for _, channel := range conversation.Channels() {
			require.NoError(t, h.SetCapacity(h.t.Context(), name, channel, 100))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	began := h.clock.now()
	var threads []*thread
	for range 60 {
		th := h.start([]string{"sales", "care"}[random.IntN(2)],
			onChannel([]conversation.Channel{conversation.ChannelWeb, conversation.ChannelSMS}[random.IntN(2)]))
		threads = append(threads, th.follow())
		h.set(func(s *conversation.Settings) {
			s.Unanswered = []conversation.UnansweredPolicy{conversation.UnansweredSender, conversation.UnansweredOriginQueue}[random.IntN(2)]
		})
		for range random.IntN(20) {
			runAtRandom(random, th, people)
			th.follow()
			h.clock.advance(time.Duration(random.IntN(90_000)) * time.Millisecond)
		}
	}
	for _, period := range [][2]time.Time{
		{began, h.clock.now().Add(time.Second)},
		{began.Add(10 * time.Minute), began.Add(40 * time.Minute)},
		{h.clock.now().Add(time.Hour), h.clock.now().Add(2 * time.Hour)},
	} {
		from, to := period[0], period[1]
		insights, err := h.Insights(h.t.Context(), from, to)
		require.NoError(t, err)
		everybody := byHand{threads: threads, from: from, to: to, task: anyTask, transferSent: anyTransfer}
		require.Equal(t, everybody.figures(), insights.Total)
		sum := Figures{}
		for _, g := range insights.Channels {
			require.Equal(t, byHand{
				threads: threads, from: from, to: to, thread: func(th *thread) bool { return string(th.state.Channel) == g.Name },
				task: anyTask, transferSent: anyTransfer,
			}.figures(), g.Figures, g.Name)
			sum.Conversations += g.Conversations
			sum.Sent.Initiated += g.Sent.Initiated
			sum.Tasks += g.Tasks
		}
		require.Equal(t, insights.Total.Conversations, sum.Conversations)
		require.Equal(t, insights.Total.Sent.Initiated, sum.Sent.Initiated)
		require.Equal(t, insights.Total.Tasks, sum.Tasks)
		for _, g := range insights.Queues {
			require.Equal(t, byHand{
				threads: threads, from: from, to: to,
				begun:            func(th *thread) bool { return th.state.Tasks[0].Queue == g.Name },
				task:             func(task *conversation.Task) bool { return task.Queue == g.Name },
				transferSent:     func(th *thread, x *conversation.Transfer) bool { return th.state.Task(x.FromTask).Queue == g.Name },
				transferReceived: func(x *conversation.Transfer) bool { return x.To.Queue == g.Name },
			}.figures(), g.Figures, g.Name)
		}
		for _, g := range insights.Agents {
			mine := func(task *conversation.Task) bool { return task.Agent == g.Name }
			require.Equal(t, byHand{
				threads: threads, from: from, to: to,
				begun: func(th *thread) bool {
					return slices.ContainsFunc(th.state.Tasks, func(task *conversation.Task) bool { return mine(task) && !task.AssignedAt.IsZero() })
				},
				task:             mine,
				transferSent:     func(_ *thread, x *conversation.Transfer) bool { return x.From == g.Name },
				transferReceived: func(x *conversation.Transfer) bool { return x.To.Agent == g.Name },
			}.figures(), g.Figures, g.Name)
		}
	}
	all, err := h.Insights(h.t.Context(), began, h.clock.now().Add(time.Second))
	require.NoError(t, err)
	require.Len(t, all.Queues, 2)
	require.Len(t, all.Agents, 3)
	for what, count := range map[string]int{
		"completed": all.Total.Sent.Completed, "redirected": all.Total.Sent.Redirected, "declined": all.Total.Sent.Declined,
		"expired": all.Total.Sent.Expired, "canceled": all.Total.Sent.Canceled, "abandoned": all.Total.Sent.Abandoned,
		"open": all.Total.Sent.Open, "hops": all.Total.Hops,
	} {
		require.NotZero(t, count, "the data has none that were %s", what)
	}
	encoded, err := json.Marshal(all.Total.TimeInQueue)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"p90":`)
}

func anyTask(*conversation.Task) bool                  { return true }
func anyTransfer(*thread, *conversation.Transfer) bool { return true }

// runAtRandom tries something that may happen to a conversation.
func runAtRandom(random *rand.Rand, th *thread, people []string) {
	someone := people[random.IntN(len(people))]
	holder := th.task().Agent
	commands := []conversation.Command{
		conversation.AcceptCommand{Agent: holder},
		conversation.AcceptCommand{Agent: holder},
		conversation.AcceptCommand{Agent: holder},
		conversation.TransferCommand{From: holder, To: toAgent(someone)},
		conversation.TransferCommand{From: holder, To: toAgent(someone)},
		conversation.TransferCommand{From: holder, To: toQueue("care")},
		conversation.TransferCommand{From: holder, To: toQueue("sales")},
		conversation.DeclineCommand{Agent: holder},
		conversation.MoveCommand{To: toQueue("care")},
		conversation.ExpireCommand{},
		conversation.WrapupCommand{Agent: someone},
		conversation.WrapupCommand{Agent: someone},
	}
	if transfer := th.state.ActiveTransfer(); transfer != nil {
		commands = append(commands, conversation.CancelCommand{Agent: transfer.From})
	}
	if random.IntN(12) == 0 {
		commands = []conversation.Command{conversation.EndCommand{Agent: holder}, conversation.CloseCommand{}}
	}
	c := commands[random.IntN(len(commands))]
	if c.Name() == conversation.CommandExpire {
		if deadline, ok := th.state.Deadline(); ok && deadline.Kind == conversation.DeadlineReservation {
			th.h.clock.advance(max(0, deadline.At.Sub(th.h.clock.now())))
		}
	}
	_, _ = th.try(c) // many are refused
}

// byHand counts from the conversations themselves; nil conditions choose all, or none of the received.
type byHand struct {
	threads          []*thread
	from, to         time.Time
	thread, begun    func(*thread) bool
	task             func(*conversation.Task) bool
	transferSent     func(*thread, *conversation.Transfer) bool
	transferReceived func(*conversation.Transfer) bool
}

func (b byHand) in(at time.Time) bool { return !at.Before(b.from) && at.Before(b.to) }

func (b byHand) figures() Figures {
	var f Figures
	var queued, talked, wrapped, handled []time.Duration
	var sent, received []*conversation.Transfer
	queueOf := map[*conversation.Transfer]string{}
	for _, th := range b.threads {
		if b.thread != nil && !b.thread(th) {
			continue
		}
		if b.in(th.state.CreatedAt) && (b.begun == nil || b.begun(th)) {
			f.Conversations++
			if len(th.state.Transfers) > 0 {
				f.Transferred++
			}
			for _, x := range th.state.Transfers {
				if x.Status == conversation.TransferCompleted {
					f.Hops++
				}
			}
		}
		for _, task := range th.state.Tasks {
			if !b.in(task.CreatedAt) || task.AssignedAt.IsZero() || !b.task(task) {
				continue
			}
			f.Tasks++
			queued = append(queued, task.AssignedAt.Sub(task.CreatedAt))
			if !task.WrappingAt.IsZero() {
				talked = append(talked, task.WrappingAt.Sub(task.AssignedAt))
			}
			if !task.CompletedAt.IsZero() {
				wrapped = append(wrapped, task.CompletedAt.Sub(task.WrappingAt))
				handled = append(handled, task.CompletedAt.Sub(task.AssignedAt))
			}
		}
		for _, x := range th.state.Transfers {
			queueOf[x] = th.state.Task(x.Task).Queue
			if b.in(x.CreatedAt) && b.transferSent(th, x) {
				sent = append(sent, x)
			}
			if b.in(x.CreatedAt) && b.transferReceived != nil && b.transferReceived(x) {
				received = append(received, x)
			}
		}
	}
	f.Sent, f.Received = transfersByHand(sent, queueOf), transfersByHand(received, queueOf)
	f.TimeInQueue, f.TalkTime = durationsByHand(queued), durationsByHand(talked)
	f.WrapupTime, f.HandleTime = durationsByHand(wrapped), durationsByHand(handled)
	return f
}

func transfersByHand(transfers []*conversation.Transfer, queueOf map[*conversation.Transfer]string) Transfers {
	count := func(wanted func(*conversation.Transfer) bool) (n int) {
		for _, x := range transfers {
			if wanted(x) {
				n++
			}
		}
		return n
	}
	failed := func(reason conversation.Reason) int {
		return count(func(x *conversation.Transfer) bool {
			return x.Status == conversation.TransferFailed && x.FailureReason == reason
		})
	}
	var took []time.Duration
	redirected := 0
	for _, x := range transfers {
		if x.Status != conversation.TransferCompleted {
			continue
		}
		took = append(took, x.EndedAt.Sub(x.CreatedAt))
		if (x.To.Queue == "" && x.AcceptedBy != x.To.Agent) || (x.To.Agent == "" && queueOf[x] != x.To.Queue) {
			redirected++
		}
	}
	return Transfers{
		Initiated: len(transfers), Completed: len(took), Redirected: redirected,
		Declined: failed("declined"), Expired: failed("expired"), Canceled: failed("canceled"), TimedOut: failed("task_timeout"),
		Abandoned:    failed("conversation_closed"),
		Open:         count(func(x *conversation.Transfer) bool { return x.Status == conversation.TransferActive }),
		TimeToAccept: durationsByHand(took),
	}
}

// durationsByHand counts, for each duration, how many are no longer.
func durationsByHand(took []time.Duration) (d Durations) {
	var sum time.Duration
	least := func(share float64) (found time.Duration) {
		found = -1
		for _, candidate := range took {
			notLonger := 0
			for _, other := range took {
				if other <= candidate {
					notLonger++
				}
			}
			if float64(notLonger) >= share*float64(len(took)) && (found < 0 || candidate < found) {
				found = candidate
			}
		}
		return found
	}
	for _, one := range took {
		sum += one
		d.Longest = max(d.Longest, one)
	}
	if d.Count = len(took); d.Count > 0 {
		d.Mean, d.Median, d.P90 = time.Duration(float64(sum)/float64(len(took))), least(0.5), least(0.9)
	}
	return d
}

func testRedirected(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice", "dora")
	h.staff("billing", "bob")
	began := h.clock.now()
	straight := h.start("billing").follow().accept("bob").transfer("bob", toAgent("alice"), "")
	h.clock.advance(30 * time.Second)
	straight.accept("alice")
	declined := h.start("billing").follow().accept("bob").passAndWrapUp("bob", toAgent("alice"))
	declined.decline("alice")
	require.Equal(t, "billing", declined.task().Queue, "a transfer to an agent keeps the queue")
	declined.accept("bob")
	moved := h.start("support").follow()
	from := moved.task().Agent
	moved.accept(from).transfer(from, toQueue("billing"), "")
	moved.do(conversation.MoveCommand{To: toQueue("support")})
	moved.follow().accept(moved.task().Agent)

	insights, err := h.Insights(h.t.Context(), began, h.clock.now().Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, 3, insights.Total.Sent.Completed)
	require.Equal(t, 2, insights.Total.Sent.Redirected)
	require.Equal(t, 30*time.Second, insights.Total.Sent.TimeToAccept.Longest)
	require.InDelta(t, 1.0, insights.Total.ShareTransferred(), 1e-9)
	require.InDelta(t, 1.0, insights.Total.HopsPerConversation(), 1e-9)
	require.Zero(t, Figures{}.ShareTransferred())
}

// passAndWrapUp passes the conversation on, and completes the sender's wrapup at once.
func (th *thread) passAndWrapUp(from string, to conversation.Target) *thread {
	th.h.t.Helper()
	return th.transfer(from, to, "").wrapup(from)
}
