package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/desk"
)

// TestACommandThatIsRefusedChangesNothing holds for commands that change several things: the same command can be
// repeated after its mistake is corrected.
func TestACommandThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	starter := starting(t, func(d *desk.Desk) {
		ctx := t.Context()
		require.NoError(t, d.AddQueue(ctx, "support"))
		require.NoError(t, d.CreateQueue(ctx, desk.NewQueue{Name: "skilled", TargetWorkers: "1==1"}))
		require.NoError(t, d.AddAgent(ctx, desk.NewAgent{Name: "alice"}))
		require.NoError(t, d.AddMember(ctx, "support", "alice"))
	})
	state := func() string {
		_, agents, _ := starter("agents", "--json")
		_, queues, _ := starter("queues", "--json")
		return agents + queues
	}
	before := state()
	for _, test := range []struct {
		says string
		args []string
	}{
		{"unknown_queue: ", []string{"agents", "add", "zoe", "--queue", "support", "--queue", "nope"}},
		{"invalid_payload: ", []string{"agents", "add", "zoe", "--queue", "skilled"}},
		{"unknown_agent: ", []string{"queues", "add", "Ümläut", "--member", "alice", "--member", "zoe"}},
		{"unknown_agent: ", []string{"queues", "set", "support", "--friendly-name", "Help", "--member", "zoe"}},
		{"invalid_payload: ", []string{"queues", "set", "skilled", "--friendly-name", "Help", "--member", "alice"}},
		{"invalid_payload: ", []string{"agents", "set", "alice", "--capacity", "web=1", "--status", "lunch"}},
		{"invalid_payload: ", []string{"agents", "set", "alice", "--status", "available", "--role", "queen"}},
		{`invalid_payload: there is no channel "fax": use web, sms, whatsapp, messenger, chat or email`, []string{"agents", "set", "alice", "--capacity", "web=1", "--capacity", "fax=2"}},
	} {
		code, out, said := starter(test.args...)
		require.Equal(t, exitRefused, code, "%v: %s", test.args, said)
		require.True(t, strings.HasPrefix(said, test.says), "%v: %s", test.args, said)
		require.Empty(t, out)
		require.Equal(t, before, state(), "%v", test.args)
	}
	code, out, said := starter("agents", "add", "zoe", "--queue", "support", "--queue", "support")
	require.Equal(t, exitDone, code, said)
	require.Contains(t, out, "zoe")
	code, out, said = starter("queues", "set", "support", "--friendly-name", "Help", "--member", "zoe")
	require.Equal(t, exitDone, code, said)
	require.Regexp(t, `support +Help +zoe `, out)
}
