package e2e

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// agreeSoon waits until the desk shows the conversations as they are, within a minute.
func agreeSoon(t *testing.T, c *environment, sids ...string) {
	t.Helper()
	began := time.Now()
	waitFor(t, testenv.Patience, "a desk that shows the conversations as they are", func() bool {
		for _, sid := range sids {
			record, err := c.Baton.State(in(t, testenv.Patience), sid)
			require.NoError(t, err)
			shown, err := routing.ReadShown(in(t, testenv.Patience), c.Desk, sid)
			require.NoError(t, err)
			if !reconcile.Agree(&record.State, shown) {
				return false
			}
		}
		return true
	})
	t.Logf("the desk agreed after %s", time.Since(began).Round(100*time.Millisecond))
	requireLoadsCounted(t, c)
}

// resetTo resets the conversation's workflow to the first workflow task that is completed by the event or a later one.
func (c *environment) resetTo(t *testing.T, sid string, event int64) {
	t.Helper()
	history := c.history(t, sid)
	at := slices.IndexFunc(history, func(e *historypb.HistoryEvent) bool {
		return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED && e.GetEventId() >= event
	})
	require.GreaterOrEqual(t, at, 0)
	require.NoError(t, testenv.Reset(in(t, testenv.Patience), c.Temporal, workflows.ID(sid), history[at].GetEventId(), uuid.NewString()))
}

// After a workflow is reset, the desk shows the conversation in its new state, and the customer is offered to an
// agent.
func TestAConversationThatIsReset(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	w := c.startWorker(t, "BATON_METRICS=127.0.0.1:0")
	ctx := in(t, 3*testenv.Patience)

	// Reset to before a transfer that was accepted, without a later command.
	quiet := c.beginWithAlice(t)
	agreeSoon(t, c, quiet)
	before, err := c.Baton.Standing(ctx, quiet)
	require.NoError(t, err)
	c.do(t, quiet, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.do(t, quiet, conversation.AcceptCommand{Agent: "bob"})
	agreeSoon(t, c, quiet)
	lost, err := records.ListTasks(ctx, c.Desk, quiet)
	require.NoError(t, err)
	require.Len(t, lost, 2)
	c.resetTo(t, quiet, before.Events-1)
	c.await(t, quiet, "the reset", func(r conversation.Record) bool { return len(r.Tasks) == 1 })
	agreeSoon(t, c, quiet)
	ghost, err := records.FindTask(ctx, c.Desk, lost[1].SID)
	require.NoError(t, err)
	require.Equal(t, conversation.ReasonReset, ghost.CanceledReason)

	// A transfer right after the reset creates another task.
	c.do(t, quiet, conversation.TransferCommand{From: "alice", To: to("bob")})
	require.NotEqual(t, lost[1].SID, c.offered(t, quiet, "bob").SID)
	c.do(t, quiet, conversation.AcceptCommand{Agent: "bob"})
	agreeSoon(t, c, quiet)
	c.finish(t, quiet)

	// Reset to the first workflow task, of an open and of a closed conversation.
	first := c.beginWithAlice(t)
	agreeSoon(t, c, first)
	over := c.beginWithAlice(t)
	c.finish(t, over)
	for _, sid := range []string{first, over} {
		c.resetTo(t, sid, 1)
		c.offered(t, sid, "alice")
		agreeSoon(t, c, sid)
		c.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
		c.finish(t, sid)
	}

	// A terminated conversation releases its agents.
	ended := c.beginWithAlice(t)
	agreeSoon(t, c, ended)
	require.NoError(t, c.Temporal.TerminateWorkflow(ctx, workflows.ID(ended), "", "test"))
	waitFor(t, testenv.Patience, "an agent who is free", func() bool {
		shown, err := routing.ReadShown(ctx, c.Desk, ended)
		require.NoError(t, err)
		return !shown.Open
	})
	requireLoadsCounted(t, c)
	c.refused(t, ended, conversation.EndCommand{Agent: "alice"}, conversation.CodeConversationClosed)
	c.refused(t, "CH"+i32("0"), conversation.EndCommand{Agent: "alice"}, conversation.CodeUnknownConversation)
	require.Contains(t, w.Stderr.String(), "workflow ended without closing the conversation")
	require.Contains(t, w.Stderr.String(), "desk is ahead of the conversation")
	_, metrics := answers(t, w.logged(t, "worker started", "metrics")+"/metrics")
	require.Contains(t, metrics, `baton_conversations_repaired_total{outcome="released"} 1`+"\n")
}

// An older copy of Temporal's database is put in place while the workers keep running, and then one of the desk's.
// Each time, every open conversation agrees with the desk within a minute.
func TestOlderCopiesArePutBack(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	w := c.startWorker(t)
	transferred, closed, idle := c.beginWithAlice(t), c.beginWithAlice(t), c.beginWithAlice(t)
	agreeSoon(t, c, transferred, closed, idle)
	waitFor(t, testenv.Patience, "a conversation with nothing to do", func() bool { return c.atRest(t, transferred) })

	stopServer := func() {
		t.Helper()
		require.NoError(t, c.Server.Stop(context.WithoutCancel(t.Context())))
	}
	database, kept := c.ServerOptions.DatabaseFile, filepath.Join(c.Folder, "temporal.copy")
	stopServer()
	require.FileExists(t, database+"-wal", "the server leaves data there")
	require.NoError(t, testenv.CopyDatabase(database, kept))
	require.NoError(t, c.StartServer(t.Context()))
	c.do(t, transferred, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.do(t, transferred, conversation.AcceptCommand{Agent: "bob"})
	c.finish(t, closed)
	begun := c.beginWithAlice(t) // the copy does not contain it
	agreeSoon(t, c, transferred, begun, idle)
	lost, err := records.ListTasks(in(t, testenv.Patience), c.Desk, transferred)
	require.NoError(t, err)
	require.Len(t, lost, 2)
	stopServer()
	require.NoError(t, testenv.CopyDatabase(kept, database))
	require.NoError(t, c.StartServer(t.Context()))
	// The worker still has the lost state in memory, answers from it, and has nothing to do for the conversation.
	began := time.Now()
	waitFor(t, testenv.Patience, "the lost task ends at the desk", func() bool {
		task, err := records.FindTask(in(t, testenv.Patience), c.Desk, lost[1].SID)
		require.NoError(t, err)
		return task.CanceledReason == conversation.ReasonReset
	})
	t.Logf("the lost task had ended at the desk after %s", time.Since(began).Round(100*time.Millisecond))
	agreeSoon(t, c, transferred, closed, idle)
	waitFor(t, testenv.Patience, "one that Temporal has not is closed", func() bool {
		shown, err := routing.ReadShown(in(t, testenv.Patience), c.Desk, begun)
		require.NoError(t, err)
		return !shown.Open
	})
	require.Contains(t, w.Stderr.String(), "desk is ahead of the conversation")
	c.do(t, transferred, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.do(t, transferred, conversation.AcceptCommand{Agent: "bob"})
	agreeSoon(t, c, transferred)

	// The desk's database: all processes that have it open are stopped first, as for every restore of a SQLite
	// file.
	keptDesk := filepath.Join(c.Folder, "desk.copy")
	putDesk := func(from, to string, meanwhile ...string) {
		t.Helper()
		require.Zero(t, w.interrupt(t))
		require.NoError(t, c.Desk.Close())
		require.NoError(t, testenv.CopyDatabase(from, to))
		var err error
		c.Desk, err = desk.Open(t.Context(), c.Database, desk.Options{})
		require.NoError(t, err)
		if len(meanwhile) > 0 {
			done := execute(t, have(t, batonProgram), c.Variables(), meanwhile...)
			require.Zero(t, done.code, done.stderr)
		}
		w = c.startWorker(t)
	}
	putDesk(c.DeskFile(), keptDesk)
	c.do(t, transferred, conversation.WrapupCommand{Agent: "alice"})
	c.finish(t, closed)
	later := c.beginWithAlice(t)
	agreeSoon(t, c, transferred, later, idle)
	known := map[string]bool{}
	before, err := outbox.EventsAfter(in(t, testenv.Patience), c.Desk, 0, 1000)
	require.NoError(t, err)
	for _, e := range before {
		known[e.SID()] = true
	}
	putDesk(keptDesk, c.DeskFile(), "desk", "restored")
	agreeSoon(t, c, transferred, later, idle)
	shown, err := routing.ReadShown(in(t, testenv.Patience), c.Desk, closed)
	require.NoError(t, err)
	require.False(t, shown.Open, "its end is known from what Temporal has kept of it")
	c.do(t, idle, conversation.EndCommand{Agent: "alice"})
	agreeSoon(t, c, idle)
	after, err := outbox.EventsAfter(in(t, testenv.Patience), c.Desk, 0, 1000)
	require.NoError(t, err)
	fresh := 0
	for _, e := range after {
		if e.Epoch != before[0].Epoch {
			require.False(t, known[e.SID()])
			fresh++
		} else {
			require.True(t, known[e.SID()], "event %d was another one before", e.Position)
		}
	}
	require.Positive(t, fresh)
	reconciled := execute(t, have(t, batonProgram), c.Variables(), "desk", "reconcile")
	require.Zero(t, reconciled.code, reconciled.stderr)
	require.Contains(t, reconciled.stdout, "repaired: 0, not repaired: 0")
}
