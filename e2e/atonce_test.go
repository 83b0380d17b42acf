package e2e

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/testenv"
)

const (
	// callers exceeds the ten updates of one workflow that the server runs at once.
	callers = 14
	rounds  = 20
)

// answer is the result of one caller's command.
type answer struct {
	command conversation.Command
	outcome conversation.Outcome
	err     error
}

// atOnce sends the commands as updates at the same moment and returns their answers.
func (c *environment) atOnce(t *testing.T, sid string, commands []conversation.Command) []answer {
	t.Helper()
	ctx := in(t, testenv.Patience)
	answers := make([]answer, len(commands))
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i, command := range commands {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			answers[i] = c.send(ctx, sid, command)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return answers
}

func (c *environment) send(ctx context.Context, sid string, command conversation.Command) answer {
	outcome, err := c.Baton.Send(ctx, sid, command)
	return answer{command, outcome, err}
}

func TestOneOfFourteenTransfersAtOnceIsMade(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	for range rounds {
		commands := make([]conversation.Command, callers)
		for i := range commands {
			transfer := conversation.TransferCommand{From: "alice", To: to("bob")}
			transfer.CommandID = uuid.NewString()
			commands[i] = transfer
		}
		made := 0
		for _, a := range c.atOnce(t, sid, commands) {
			if a.err == nil {
				made++
				continue
			}
			require.Contains(t, []conversation.Code{conversation.CodeTaskNotAssigned, conversation.CodeTransferInProgress},
				conversation.CodeOf(a.err), "%v", a.err)
		}
		require.Equal(t, 1, made, "transfers made of %d at once", callers)
		c.do(t, sid, conversation.CancelCommand{Agent: "alice"})
	}
	record := requireAgreement(t, c, sid)[sid]
	require.Len(t, record.Transfers, rounds)
	require.Equal(t, commandsToBegin+2*rounds, record.Revision)
	c.finish(t, sid)
	requireAgreement(t, c, sid)
}

func TestOneCommandSentFourteenTimesAtOnceHasOneEffect(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	for range rounds {
		transfer := conversation.TransferCommand{From: "alice", To: to("bob"), Note: "The same for everybody."}
		transfer.CommandID = uuid.NewString()
		commands := make([]conversation.Command, callers)
		for i := range commands {
			commands[i] = transfer
		}
		answers := c.atOnce(t, sid, commands)
		for _, a := range answers {
			require.NoError(t, a.err)
			requireSame(t, answers[0].outcome, a.outcome, "the outcome of one command, sent %d times", callers)
		}
		c.do(t, sid, conversation.CancelCommand{Agent: "alice"})
	}
	record := requireAgreement(t, c, sid)[sid]
	require.Len(t, record.Transfers, rounds)
	require.Equal(t, commandsToBegin+2*rounds, record.Revision)
}

// Bob is offered a conversation and all commands come at once: he accepts and declines, alice cancels the transfer
// and wraps up. In every order, the answers are consistent and one agent or queue has the conversation.
func TestFourteenDifferentCommandsAtOnceFitTogether(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	var sids []string
	for range rounds {
		sid := c.beginWithAlice(t)
		sids = append(sids, sid)
		c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
		var commands []conversation.Command
		for range callers / 4 {
			commands = append(commands, conversation.AcceptCommand{Agent: "bob"}, conversation.DeclineCommand{Agent: "bob"},
				conversation.CancelCommand{Agent: "alice"}, conversation.WrapupCommand{Agent: "alice"})
		}
		commands = append(commands, conversation.EndCommand{Agent: "bob"}, conversation.MoveCommand{To: toQueue("billing")})

		done := map[conversation.CommandName]int{}
		for _, a := range c.atOnce(t, sid, commands) {
			if a.err == nil {
				done[a.command.Name()]++
				continue
			}
			require.NotEmpty(t, conversation.CodeOf(a.err), "%s: %v", a.command.Name(), a.err)
		}
		record := requireAgreement(t, c, sid)[sid]
		require.NotZero(t, done[conversation.CommandAccept]+done[conversation.CommandDecline]+done[conversation.CommandCancel]+
			done[conversation.CommandMove], "an agent has decided on the offer")
		requireSomebodyHasIt(t, record)
	}
	requireAgreement(t, c, sids...)
	for _, sid := range sids {
		if record, err := c.Baton.State(in(t, testenv.Patience), sid); err == nil && record.Status == conversation.ConversationActive {
			c.finish(t, sid)
		}
	}
	requireAgreement(t, c, sids...)
}

// requireSomebodyHasIt requires that exactly one task waits or is assigned while the customer is there, and that a
// transfer is active exactly while its task waits.
func requireSomebodyHasIt(t *testing.T, record conversation.Record) {
	t.Helper()
	held := 0
	for _, task := range record.LiveTasks() {
		if task.Status != conversation.TaskWrapping {
			held++
		}
	}
	if record.Status == conversation.ConversationActive {
		require.Equal(t, 1, held, "tasks that wait or are assigned in\n%s", pretty(record))
	} else {
		require.Zero(t, held, "tasks that wait or are assigned in\n%s", pretty(record))
	}
	for _, transfer := range record.Transfers {
		require.Equal(t, transfer.Status == conversation.TransferActive, record.Task(transfer.Task).Status.Waiting(),
			"transfer %s in\n%s", transfer.SID, pretty(record))
	}
}

// The last wrapup closes the conversation. Signals and updates arrive with it, or as its run ends. Each is carried
// out or refused with conversation_closed; none is lost or left without an answer.
func TestWhatArrivesWithTheClosingIsAnswered(t *testing.T) {
	t.Parallel()
	const conversations, together = 60, 12
	random := moments(t)
	c := openEnvironment(t, nil)
	c.startWorker(t)
	var closings []*closing
	for len(closings) < conversations {
		next := make([]*closing, together)
		for i := range next {
			next[i] = &closing{sid: c.beginWithAlice(t)}
			c.do(t, next[i].sid, conversation.EndCommand{Agent: "alice"})
		}
		closings = append(closings, next...)
		ctx := in(t, testenv.Patience)
		var all sync.WaitGroup
		for _, one := range next {
			all.Go(func() { _, one.wrapup = c.Baton.Wrapup(ctx, one.sid, conversation.WrapupCommand{Agent: "alice"}) })
			for i := range one.signals {
				all.Go(later(arrival(random), func() {
					one.signals[i] = c.Baton.SendAsync(ctx, one.sid, conversation.AcceptCommand{Agent: "bob"})
				}))
				all.Go(later(arrival(random), func() {
					_, one.updates[i] = c.Baton.End(ctx, one.sid, conversation.EndCommand{Agent: "alice"})
				}))
			}
		}
		all.Wait()
	}
	sids := make([]string, len(closings))
	for i, one := range closings {
		sids[i] = one.sid
		c.requireAnswered(t, one)
	}
	requireAgreement(t, c, sids...)
}

// closing is the result of the commands that were sent with the last wrapup of a conversation.
type closing struct {
	sid     string
	wrapup  error
	signals [8]error
	updates [8]error
}

// arrival says when the commands arrive: with the wrapup, when the desk's answer ends the run, or about a second later,
// when the run ends that had another command with that answer, as exactly as the server's timers allow.
func arrival(random *rand.Rand) time.Duration {
	switch random.IntN(3) {
	case 0:
		return time.Duration(random.Int64N(int64(20 * time.Millisecond)))
	case 1:
		return time.Duration(random.Int64N(int64(200 * time.Millisecond)))
	}
	return time.Second + time.Duration(random.Int64N(int64(120*time.Millisecond)))
}

// later returns a function that makes the call after that time.
func later(wait time.Duration, call func()) func() {
	return func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		<-timer.C
		call()
	}
}

func (c *environment) requireAnswered(t *testing.T, one *closing) {
	t.Helper()
	require.NoError(t, one.wrapup)
	taken := 0
	for _, err := range one.signals {
		if err == nil {
			taken++
			continue
		}
		require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err), "a signal: %v", err)
	}
	for _, err := range one.updates {
		if err != nil {
			require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err), "an update: %v", err)
		}
	}
	c.closed(t, one.sid)
	record, err := c.Baton.State(in(t, testenv.Patience), one.sid)
	require.NoError(t, err)
	require.Len(t, record.Refusals, taken, "signals that the server has taken, and that were refused")
	for _, refusal := range record.Refusals {
		require.Equal(t, conversation.CodeConversationClosed, refusal.Code)
	}
}

// Two agents complete the last wrapups at once, one of them by a signal. Both count, and the later one closes the
// conversation.
func TestTwoLastWrapupsAtOnceBothCount(t *testing.T) {
	t.Parallel()
	const conversations = 30
	c := openEnvironment(t, nil)
	c.startWorker(t)
	var sids []string
	for range conversations {
		sid := c.beginWithAlice(t)
		sids = append(sids, sid)
		c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
		c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
		c.do(t, sid, conversation.EndCommand{Agent: "bob"})
		ctx := in(t, testenv.Patience)
		var signal, update error
		var both sync.WaitGroup
		both.Go(func() {
			signal = c.Baton.SendAsync(ctx, sid, conversation.WrapupCommand{Agent: "alice", Disposition: "signal"})
		})
		both.Go(func() {
			_, update = c.Baton.Wrapup(ctx, sid, conversation.WrapupCommand{Agent: "bob", Disposition: "update"})
		})
		both.Wait()
		require.NoError(t, signal)
		require.NoError(t, update)
	}
	for _, sid := range sids {
		c.closed(t, sid)
	}
	for _, record := range requireAgreement(t, c, sids...) {
		require.Equal(t, conversation.ConversationClosed, record.Status)
		require.Equal(t, "signal", record.Tasks[0].Disposition)
		require.Equal(t, "update", record.Tasks[1].Disposition)
		require.Equal(t, commandsToBegin+5, record.Revision)
	}
}

// Signals and updates that are sent one after the other are carried out in that order, however close they are.
func TestCommandsAreCarriedOutInOrderOfArrival(t *testing.T) {
	t.Parallel()
	var (
		wrapup = conversation.WrapupCommand{Agent: "alice"}
		accept = conversation.AcceptCommand{Agent: "alice"}
	)
	c := openEnvironment(t, nil)
	c.startWorker(t)
	for name, order := range map[string]struct {
		then func(t *testing.T, sid string)
		// refusals is how many signals are refused each time: an accept that came before the wrapup.
		refusals int
	}{
		"a signal wrapup, then a signal accept": {func(t *testing.T, sid string) {
			t.Helper()
			c.signal(t, sid, wrapup)
			c.signal(t, sid, accept)
		}, 0},
		"a signal wrapup, then an update accept": {func(t *testing.T, sid string) {
			t.Helper()
			c.signal(t, sid, wrapup)
			c.do(t, sid, accept)
		}, 0},
		"a signal accept, then a signal wrapup": {func(t *testing.T, sid string) {
			t.Helper()
			c.signal(t, sid, accept)
			c.signal(t, sid, wrapup)
			c.do(t, sid, accept)
		}, 1},
		"a signal accept, then an update wrapup": {func(t *testing.T, sid string) {
			t.Helper()
			c.signal(t, sid, accept)
			c.do(t, sid, wrapup)
			c.do(t, sid, accept)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sid := c.beginWithAlice(t)
			for range rounds {
				// A transfer by signal is followed by an accept by update: the accept waits for the desk's facts
				// about the transfer.
				c.signal(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
				c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
				c.do(t, sid, conversation.TransferCommand{From: "bob", To: to("alice")})
				order.then(t, sid)
				c.await(t, sid, "alice has it again", func(r conversation.Record) bool {
					return r.Tasks[len(r.Tasks)-1].Status == conversation.TaskAssigned && r.Wrapping("alice") == nil
				})
				c.do(t, sid, conversation.WrapupCommand{Agent: "bob"})
			}
			record := requireAgreement(t, c, sid)[sid]
			require.Equal(t, commandsToBegin+7*rounds-rounds, record.Revision)
			require.Len(t, record.Refusals, min(20, order.refusals*rounds))
			for _, refusal := range record.Refusals {
				require.Equal(t, conversation.CodeWrapupPending, refusal.Code)
			}
		})
	}
}
