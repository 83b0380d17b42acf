package routing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// testWaits: the desk reports to a waiting customer whether an agent is there.
func testWaits(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) {
		s.AgentUnavailable = conversation.AgentUnavailableWait
		s.ReofferAfter = 60
	})
	h.Staff("support", "alice")
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "bob"}))
	require.NoError(t, people.AddMember(t.Context(), h.Desk, "support", "bob"))
	th := h.Start("support")
	th.Sync()
	wait := func(th *desktest.Conversation) routing.Wait {
		t.Helper()
		found, err := routing.ReadWaits(t.Context(), h.Desk, []string{desktest.NewSID(), th.SID})
		require.NoError(t, err)
		return found[th.SID]
	}
	require.Equal(t, routing.WaitOffered, wait(th), "it is matched")
	th.Follow()
	require.Equal(t, routing.WaitOffered, wait(th), "it is offered")
	th.Do(conversation.DeclineCommand{Agent: "alice"})
	th.Sync()
	if th.Task().Status == conversation.TaskPending && len(h.Matches()) == 0 {
		require.Equal(t, routing.WaitBusy, wait(th), "the only agent has just declined")
	}
	h.Clock.Advance(time.Minute + time.Second)
	h.DispatchNow()
	th.Follow().Accept("alice")
	require.Empty(t, wait(th), "an agent has it")

	require.NoError(t, people.SetCapacity(t.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	second := h.Start("support").Follow()
	require.Equal(t, routing.WaitBusy, wait(second))
	for _, presence := range []desk.Presence{desk.PresenceBreak, desk.PresenceOffline} {
		require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", presence))
		require.Equal(t, routing.WaitAway, wait(second), presence)
	}
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceAvailable))
	require.Equal(t, routing.WaitOffered, wait(second), "an agent has come")

	th.Transfer("alice", desktest.ToAgent("bob"), "")
	require.Equal(t, routing.WaitOffered, wait(th))
	third := h.Start("support").Follow().Accept("bob")
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceBreak))
	third.Transfer("bob", desktest.ToAgent("alice"), "")
	require.Equal(t, routing.WaitAway, wait(third), "it waits for an agent who is away")
}
