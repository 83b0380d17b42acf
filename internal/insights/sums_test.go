package insights

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/records"
)

// counts are the figures that add up: over the parts of a whole, and over the parts of a period.
type counts map[string]int

func countsOf(c Cumulative) counts {
	sums := counts{
		"reservations created": c.Reservations.Created, "accepted": c.Reservations.Accepted, "rejected": c.Reservations.Rejected,
		"timed out": c.Reservations.TimedOut, "reservations canceled": c.Reservations.Canceled, "rescinded": c.Reservations.Rescinded,
		"tasks created": c.Tasks.Created, "entered": c.Tasks.Entered, "completed": c.Tasks.Completed, "canceled": c.Tasks.Canceled,
		"tasks timed out": c.Tasks.TimedOut, "moved": c.Tasks.Moved,
		"waits until accepted": c.UntilAccepted.Count, "time until accepted": int(c.UntilAccepted.Total / time.Microsecond),
		"waits until canceled": c.UntilCanceled.Count, "time until canceled": int(c.UntilCanceled.Total / time.Microsecond),
		"waits in queue": c.InQueue.Count, "time in queue": int(c.InQueue.Total / time.Microsecond),
	}
	for _, s := range c.Splits {
		sums[fmt.Sprint("accepted above ", s.Threshold)], sums[fmt.Sprint("accepted below ", s.Threshold)] = s.Above.Accepted, s.Below.Accepted
		sums[fmt.Sprint("canceled above ", s.Threshold)], sums[fmt.Sprint("canceled below ", s.Threshold)] = s.Above.Canceled, s.Below.Canceled
	}
	for _, a := range c.Activities {
		sums["time in "+a.Activity.Name] = int(a.Spans.Total / time.Microsecond)
	}
	return sums
}

func (c counts) plus(others ...counts) counts {
	sum := counts{}
	for _, one := range append(others, c) {
		for what, count := range one {
			sum[what] += count
		}
	}
	return sum
}

// testStatisticsAddUp lets conversations run at random. Parts add up to wholes, periods to longer ones, and the
// tasks that entered a queue to those that are in it and those that left it in each way.
func testStatisticsAddUp(t *testing.T, h *desktest.Environment) {
	d := aDay(h, 10)
	from, to := d.began.Add(-time.Hour), h.Clock.Now().Add(time.Second)
	thresholds := []time.Duration{0, 30 * time.Second}
	whole := StatisticsFilter{Thresholds: thresholds}
	queues := []StatisticsFilter{{Queue: "sales", Thresholds: thresholds}, {Queue: "care", Thresholds: thresholds}}
	parts := map[string][]StatisticsFilter{"queues": queues, "channels": nil, "workflows": nil}
	for _, channel := range conversation.Channels() {
		parts["channels"] = append(parts["channels"], StatisticsFilter{Channel: channel, Thresholds: thresholds})
	}
	workflows := map[string]bool{}
	for _, workflow := range d.workflows {
		if !workflows[workflow] {
			parts["workflows"] = append(parts["workflows"], StatisticsFilter{Workflow: workflow, Thresholds: thresholds})
		}
		workflows[workflow] = true
	}
	total := d.count(from, to, whole)[0]
	for what, filters := range parts {
		require.Equal(t, countsOf(total), counts{}.plus(countsOfAll(d.count(from, to, filters...))...), "all %s together", what)
	}
	agents := d.count(from, to, StatisticsFilter{Agents: []string{"ann"}}, StatisticsFilter{Agents: []string{"ben"}}, StatisticsFilter{Agents: []string{"cat"}})
	all := counts{}.plus(countsOfAll(agents)...)
	for _, of := range []string{"reservations created", "accepted", "rejected", "timed out", "reservations canceled", "rescinded", "completed"} {
		require.Equal(t, countsOf(total)[of], all[of], "%s by all agents together", of)
	}
	require.Equal(t, total.Reservations.Accepted, total.UntilAccepted.Count)
	require.Equal(t, total.Tasks.Canceled, total.UntilCanceled.Count)

	filters := append([]StatisticsFilter{whole, {Agents: []string{"ann", "ben"}, Activities: true}}, queues...)
	for _, middle := range []time.Time{d.threads[7].State.CreatedAt, d.threads[20].State.CreatedAt, d.threads[20].Task().CreatedAt, from.Add(to.Sub(from) / 2)} {
		before, after := d.count(from, middle, filters...), d.count(middle, to, filters...)
		for i, long := range d.count(from, to, filters...) {
			require.Equal(t, countsOf(long), countsOf(before[i]).plus(countsOf(after[i])), "%+v, split at %s", filters[i], middle)
		}
	}
	for _, f := range append(queues, parts["channels"]...) {
		d.requireBalance(f, from, to)
	}
	d.requireBalance(whole, from, to)
	for _, th := range d.threads { // the next day begins with an empty desk
		th.Finish()
	}
	h.Clock.Advance(48 * time.Hour)
	for _, f := range append(queues, whole) {
		d.requireBalance(f, from, h.Clock.Now())
	}
}

func countsOfAll(figures []Cumulative) (all []counts) {
	for _, one := range figures {
		all = append(all, countsOf(one))
	}
	return all
}

func (d *diary) count(from, to time.Time, filters ...StatisticsFilter) []Cumulative {
	d.T.Helper()
	figures, err := ReadCumulative(d.T.Context(), d.Desk, from, to, filters...)
	require.NoError(d.T, err)
	return figures
}

// requireBalance requires that everything that entered since the beginning is there or has left in one way.
func (d *diary) requireBalance(f StatisticsFilter, from, to time.Time) {
	d.T.Helper()
	past := d.count(from, to, f)[0]
	now, err := ReadRealTime(d.T.Context(), d.Desk, f)
	require.NoError(d.T, err)
	moved := past.Tasks.Moved
	if f.Queue == "" { // moves are within the desk
		require.Equal(d.T, past.Tasks.Created, past.Tasks.Entered-moved, "%+v", f)
	}
	require.Equal(d.T, past.Tasks.Entered, now[0].Tasks+past.Tasks.Completed+past.Tasks.Canceled+moved, "tasks of %+v", f)
	byStatus, byPriority := 0, 0
	for _, count := range now[0].ByStatus {
		byStatus += count
	}
	for _, count := range now[0].ByPriority {
		byPriority += count
	}
	require.Equal(d.T, now[0].Tasks, byStatus)
	require.Equal(d.T, now[0].Tasks, byPriority)
	r := past.Reservations
	require.Equal(d.T, r.Created, now[0].ByStatus[conversation.TaskReserved]+r.Accepted+r.Rejected+r.TimedOut+r.Canceled+r.Rescinded, "reservations of %+v", f)
}

// testQueueEntries moves a task to queues in every way.
func testQueueEntries(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "carl")
	h.Staff("billing", "bob")
	began := h.Clock.Now()
	entered := func(queue string) string {
		t.Helper()
		figures, err := ReadCumulative(t.Context(), h.Desk, began, h.Clock.Now().Add(time.Second), StatisticsFilter{Queue: queue})
		require.NoError(t, err)
		tasks := figures[0].Tasks
		return fmt.Sprintf("entered %d, completed %d, canceled %d, moved %d", tasks.Entered, tasks.Completed, tasks.Canceled, tasks.Moved)
	}

	// A transfer to an agent keeps the queue.
	th := h.Start("support").Follow().Accept("alice")
	th.Transfer("alice", desktest.ToAgent("bob"), "").Accept("bob")
	th.Finish()
	require.Equal(t, "entered 2, completed 2, canceled 0, moved 0", entered("support"))
	require.Equal(t, "entered 0, completed 0, canceled 0, moved 0", entered("billing"))

	// When an agent declines a transfer to them, its task waits in the queue that it was in all the time.
	th = h.Start("support").Follow()
	th.Accept(th.Task().Agent).PassAndWrapUp(th.Task().Agent, desktest.ToAgent("bob")).Decline("bob")
	th.Finish()
	require.Equal(t, "entered 4, completed 3, canceled 1, moved 0", entered("support"))

	// A start for one agent is an entry. A move to an agent is not a move to a queue. A move to the same queue is
	// not a move to another.
	th = h.Start("support", func(c *conversation.StartCommand) { c.Agent = "bob" }).Follow()
	require.Equal(t, "entered 5, completed 3, canceled 1, moved 0", entered("support"))
	th.Do(conversation.MoveCommand{To: desktest.ToAgent("carl")})
	th.Do(conversation.MoveCommand{To: desktest.ToQueue("support")})
	th.Follow()
	require.Equal(t, "entered 5, completed 3, canceled 1, moved 0", entered("support"))
	th.Do(conversation.MoveCommand{To: desktest.ToQueue("billing")})
	th.Follow()
	require.Equal(t, "entered 5, completed 3, canceled 1, moved 1", entered("support"))
	require.Equal(t, "entered 1, completed 0, canceled 0, moved 0", entered("billing"))

	// A transfer that is canceled after the sender's wrap-up makes another task.
	th.Accept("bob").PassAndWrapUp("bob", desktest.ToQueue("support"))
	require.Equal(t, "entered 6, completed 3, canceled 1, moved 1", entered("support"))
	th.Do(conversation.CancelCommand{Agent: "bob"})
	th.Follow()
	require.Equal(t, "entered 7, completed 3, canceled 2, moved 1", entered("support"))
	th.Finish()
	require.Equal(t, "entered 7, completed 3, canceled 3, moved 1", entered("support"))
	require.Equal(t, "entered 1, completed 1, canceled 0, moved 0", entered("billing"))
}

// testInsightsAddUp checks that insights add up, with conversations that ran at random.
func testInsightsAddUp(t *testing.T, h *desktest.Environment) {
	walk := newInsightWalk(h)
	walk.steps = 30
	for range 200 {
		walk.run()
	}
	from, to := walk.began, walk.began.Add(300*time.Hour)
	insights := func(from, to time.Time) Report {
		t.Helper()
		found, err := Read(t.Context(), h.Desk, Filter{From: from, To: to})
		require.NoError(t, err)
		return found
	}
	all := insights(from, to)
	total := insightCounts(all.Total)
	sent := func(groups []Group, of ...string) {
		t.Helper()
		sum := counts{}
		for _, g := range groups {
			sum = sum.plus(insightCounts(g.Figures))
		}
		for _, figure := range of {
			require.Equal(t, total[figure], sum[figure], "%s of all %d groups", figure, len(groups))
		}
	}
	transfers := []string{"initiated", "completed", "failed", "declined", "expired", "canceled", "timed out", "abandoned", "open", "redirected", "ping-pong", "tasks", "refusals", "waits"}
	sent(all.Queues, append(transfers, "conversations", "transferred", "hops")...)
	sent(all.Channels, append(transfers, "conversations", "transferred", "hops")...)
	sent(all.Agents, transfers...)
	for _, group := range append([]Group{{Figures: all.Total}}, append(append(all.Queues, all.Agents...), all.Channels...)...) {
		for _, x := range []Transfers{group.Sent, group.Received} {
			require.Equal(t, x.Initiated, x.Completed+x.Failed+x.Open, group.Name)
			require.Equal(t, x.Failed, x.Declined+x.Expired+x.Canceled+x.TimedOut+x.Abandoned, group.Name)
			require.Equal(t, x.Completed, x.TimeToAccept.Count, group.Name)
			require.LessOrEqual(t, max(x.Redirected, x.PingPong), x.Completed, group.Name)
		}
		require.Equal(t, group.Tasks, group.TimeInQueue.Count, group.Name)
		require.LessOrEqual(t, group.Transferred, group.Conversations, group.Name)
	}
	received, passed, series := 0, 0, counts{}
	for _, group := range append(all.Queues, all.Agents...) {
		received += group.Received.Initiated
	}
	for _, p := range append(all.QueueTransfers, all.AgentTransfers...) {
		passed += p.Initiated
	}
	for _, interval := range all.Series {
		series = series.plus(counts{"conversations": interval.Conversations, "initiated": interval.Initiated, "completed": interval.Completed})
	}
	require.Equal(t, all.Total.Sent.Initiated, received, "whom they were made to received them")
	require.Equal(t, all.Total.Sent.Initiated, passed)
	require.Equal(t, counts{"conversations": total["conversations"], "initiated": total["initiated"], "completed": total["completed"]}, series)
	require.Equal(t, all.Total.Hops, all.Total.Sent.Completed, "all of them began in the period")
	for _, after := range []time.Duration{time.Microsecond, 7 * time.Hour, 36*time.Hour + time.Minute, 71 * time.Hour} {
		middle := from.Add(after)
		require.Equal(t, total, insightCounts(insights(from, middle).Total).plus(insightCounts(insights(middle, to).Total)), "split at %s", middle)
	}
}

func insightCounts(f Figures) counts {
	return counts{
		"conversations": f.Conversations, "transferred": f.Transferred, "hops": f.Hops, "tasks": f.Tasks, "refusals": f.WrapupRefusals,
		"initiated": f.Sent.Initiated, "completed": f.Sent.Completed, "redirected": f.Sent.Redirected, "ping-pong": f.Sent.PingPong,
		"failed": f.Sent.Failed, "declined": f.Sent.Declined, "expired": f.Sent.Expired, "canceled": f.Sent.Canceled,
		"timed out": f.Sent.TimedOut, "abandoned": f.Sent.Abandoned, "open": f.Sent.Open,
		"waits": f.TimeInQueue.Count, "handled": f.HandleTime.Count,
	}
}

// testRefusalsCountOnce has a gateway and a worker record the same accepts.
func testRefusalsCountOnce(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	began := h.Clock.Now()
	note := func(id string, outcome error) {
		t.Helper()
		command := conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: id}}
		require.NoError(t, records.NoteRefused(t.Context(), h.Desk, th.SID, command, outcome))
	}
	pending := fmt.Errorf("accept: %w", conversation.Refuse(conversation.CodeWrapupPending, conversation.Details{}, "wrap up first"))
	for range 3 {
		note("one", pending)
	}
	note("two", pending)
	note("three", nil)
	note("four", errors.New("the server is away"))
	note("five", conversation.Refuse(conversation.CodeNoReservation, conversation.Details{}, "no offer"))
	note("", pending)
	note("", pending)
	require.NoError(t, records.NoteRefused(t.Context(), h.Desk, th.SID, conversation.DeclineCommand{Agent: "alice"}, pending))

	insights, err := Read(t.Context(), h.Desk, Filter{From: began, To: h.Clock.Now().Add(time.Second), Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, 4, insights.Total.WrapupRefusals)
	unknown := records.NoteRefused(t.Context(), h.Desk, desktest.NewSID(), conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "six"}}, pending)
	require.ErrorIs(t, unknown, records.ErrUnknownConversation)
}
