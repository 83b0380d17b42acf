package workflows_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// TestRefusalsArePassedOn sends refused commands as updates and signals, with and without an ID.
func TestRefusalsArePassedOn(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var passed, ids []string
	options := codec.WorkerOptions(nil, workflows.WithRefused(func(sid string, c conversation.Command, refusal error) {
		require.Equal(t, testSID, sid)
		passed = append(passed, fmt.Sprintf("%s: %s", c.Name(), conversation.CodeOf(refusal)))
		if accept, ok := c.(conversation.AcceptCommand); ok {
			require.Equal(t, "alice", accept.Agent)
		}
		ids = append(ids, conversation.IDOf(c))
	}))
	options.Interceptors = append(options.Interceptors, &rests{environment: s})
	s.env.SetWorkerOptions(options)

	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.transfers("bob", toAgent("alice"))
	s.step(func() { require.Empty(t, passed, "nothing was refused") })
	s.step(func() { s.updateWithID("an update", "accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() {
		s.signal("accept", conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "a signal"}})
	})
	s.step(func() { s.signal("cancel", conversation.CancelCommand{Agent: "alice"}) })
	s.step(func() { s.signal("accept", rawArguments{rawJSON(`["alice"]`)}) })
	s.step(func() {
		require.Equal(t, []string{"accept: wrapup_pending", "accept: wrapup_pending", "accept: wrapup_pending", "cancel: not_your_task"}, passed)
		require.Equal(t, "an update", ids[0])
		require.Equal(t, "a signal", ids[2])
		require.NotEmpty(t, ids[1])
		require.NotEmpty(t, ids[3])
		require.NotEqual(t, ids[1], ids[3], "each signal counts")
	})
	s.play()
}
