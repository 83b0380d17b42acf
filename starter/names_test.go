package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
)

// TestACommandThatIsRefusedChangesNothing covers commands that change several things: the same command can be
// repeated after its mistake is corrected.
func TestACommandThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(d *desk.Desk) {
		ctx := t.Context()
		require.NoError(t, people.AddQueue(ctx, d, "support"))
		require.NoError(t, people.CreateQueue(ctx, d, people.NewQueue{Name: "skilled", TargetWorkers: "1==1"}))
		require.NoError(t, people.AddAgent(ctx, d, people.NewAgent{Name: "alice"}))
		require.NoError(t, people.AddMember(ctx, d, "support", "alice"))
	})
	state := func() string {
		_, agents, _ := baton("agents", "--json")
		_, queues, _ := baton("queues", "--json")
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
		code, out, said := baton(test.args...)
		require.Equal(t, exitRefused, code, "%v: %s", test.args, said)
		require.True(t, strings.HasPrefix(said, test.says), "%v: %s", test.args, said)
		require.Empty(t, out)
		require.Equal(t, before, state(), "%v", test.args)
	}
	code, out, said := baton("agents", "add", "zoe", "--queue", "support", "--queue", "support")
	require.Equal(t, exitDone, code, said)
	require.Contains(t, out, "zoe")
	code, out, said = baton("queues", "set", "support", "--friendly-name", "Help", "--member", "zoe")
	require.Equal(t, exitDone, code, said)
	require.Regexp(t, `support +Help +zoe `, out)
}

// TestNamesThatDoNotExistAreRefused covers every command that takes a name. The refusal of a friendly name has the
// unique one.
func TestNamesThatDoNotExistAreRefused(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(d *desk.Desk) {
		ctx := t.Context()
		require.NoError(t, people.CreateQueue(ctx, d, people.NewQueue{FriendlyName: "経理"}))
		require.NoError(t, people.AddAgent(ctx, d, people.NewAgent{FriendlyName: "張偉"}))
		require.NoError(t, people.AddAgent(ctx, d, people.NewAgent{Name: "bob"}))
	})
	for _, test := range []struct {
		says, advice string
		args         []string
	}{
		{"unknown_agent: ", "", []string{"insights", "--agent", "zoe"}},
		{"unknown_queue: ", "", []string{"insights", "--queue", "nope"}},
		{"unknown_agent: ", "", []string{"find", "text", "--agent", "zoe"}},
		{"unknown_queue: ", "", []string{"find", "text", "--queue", "nope"}},
		{"unknown_agent: ", "here zhang-wei", []string{"find", "text", "--agent", "張偉"}},
		{"unknown_agent: ", "here zhang-wei", []string{"agents", "set", "張偉", "--status", "available"}},
		{"unknown_agent: ", "here zhang-wei", []string{"agents", "remove", "張偉"}},
		{"unknown_agent: ", "here zhang-wei", []string{"offers", "--agent", "張偉"}},
		{"unknown_agent: ", "here zhang-wei", []string{"queues", "add", "help", "--member", "張偉"}},
		{"unknown_queue: ", "here jing-li", []string{"queues", "set", "経理", "--member", "bob"}},
		{"unknown_queue: ", "here jing-li", []string{"agents", "add", "zoe", "--queue", "経理"}},
	} {
		code, out, said := baton(test.args...)
		require.Equal(t, exitRefused, code, "%v: %s", test.args, said)
		require.True(t, strings.HasPrefix(said, test.says), "%v: %s", test.args, said)
		require.Contains(t, said, test.advice, "%v", test.args)
		require.Equal(t, 1, strings.Count(said, "\n"), said)
		require.Empty(t, out)
	}
	code, out, said := baton("find", "text", "--agent", "bob")
	require.Equal(t, exitDone, code, said)
	require.Contains(t, out, "no conversation found")
	for _, limit := range []string{"0", "-1"} {
		code, _, said = baton("list", "--limit", limit)
		require.Equal(t, exitUsage, code)
		require.Contains(t, said, "--limit is "+limit+": use 1 or more")
	}
	code, _, said = baton("erase", "--conversation", "CHzz")
	require.Equal(t, exitUsage, code)
	require.Contains(t, said, `"CHzz" is not a conversation`)
}
