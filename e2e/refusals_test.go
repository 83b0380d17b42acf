package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// TestRefusedAcceptsAreCountedWhoeverSendsThem: insights count alice's refused accepts, whether Baton's client or a
// plain Temporal client sends them, as updates or as signals. A repeated update counts once.
func TestRefusedAcceptsAreCountedWhoeverSendsThem(t *testing.T) {
	t.Parallel()
	began := time.Now()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.offered(t, sid, "bob")
	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	c.do(t, sid, conversation.TransferCommand{From: "bob", To: to("alice")})
	c.offered(t, sid, "alice")
	accept := conversation.AcceptCommand{Agent: "alice"}

	c.refused(t, sid, accept, conversation.CodeWrapupPending)
	c.signal(t, sid, accept)
	for range 2 { // the same update twice, as after a lost answer
		handle, err := c.Temporal.UpdateWorkflow(in(t, testenv.Patience), client.UpdateWorkflowOptions{
			UpdateID: "once", WorkflowID: workflows.ID(sid), UpdateName: "accept", Args: []any{accept}, WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			err = handle.Get(in(t, testenv.Patience), nil)
		}
		require.ErrorContains(t, err, "wraps up")
	}
	require.NoError(t, c.Temporal.SignalWorkflow(in(t, testenv.Patience), workflows.ID(sid), "", "accept", accept))
	c.await(t, sid, "two refused signals", func(r conversation.Record) bool { return len(r.Refusals) == 2 })

	counted := func() int {
		report, err := insights.Read(in(t, testenv.Patience), c.Desk, insights.Filter{From: began, To: time.Now().Add(time.Minute), Agent: "alice"})
		require.NoError(t, err)
		return report.Total.WrapupRefusals
	}
	waitFor(t, testenv.Patience, "all of them to be counted", func() bool { return counted() >= 4 })
	require.Equal(t, 4, counted(), "a repeated update counts once")
}
