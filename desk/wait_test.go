package desk_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

// testWaits: the desk reports to a waiting customer whether an agent is there.
func testWaits(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) {
		s.AgentUnavailable = conversation.AgentUnavailableWait
		s.ReofferAfter = 60
	})
	h.Staff("support", "alice")
	require.NoError(t, desk.AddAgent(t.Context(), h.Desk, desk.NewAgent{Name: "bob"}))
	require.NoError(t, desk.AddMember(t.Context(), h.Desk, "support", "bob"))
	th := h.Start("support")
	th.Sync()
	wait := func(th *desktest.Conversation) desk.Wait {
		t.Helper()
		found, err := desk.ReadWaits(t.Context(), h.Desk, []string{desktest.NewSID(), th.SID})
		require.NoError(t, err)
		return found[th.SID]
	}
	require.Equal(t, desk.WaitOffered, wait(th), "it is matched")
	th.Follow()
	require.Equal(t, desk.WaitOffered, wait(th), "it is offered")
	th.Do(conversation.DeclineCommand{Agent: "alice"})
	th.Sync()
	if th.Task().Status == conversation.TaskPending && len(h.Matches()) == 0 {
		require.Equal(t, desk.WaitBusy, wait(th), "the only agent has just declined")
	}
	h.Clock.Advance(time.Minute + time.Second)
	h.DispatchNow()
	th.Follow().Accept("alice")
	require.Empty(t, wait(th), "an agent has it")

	require.NoError(t, desk.SetCapacity(t.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	second := h.Start("support").Follow()
	require.Equal(t, desk.WaitBusy, wait(second))
	for _, presence := range []desk.Presence{desk.PresenceBreak, desk.PresenceOffline} {
		require.NoError(t, desk.SetPresence(t.Context(), h.Desk, "alice", presence))
		require.Equal(t, desk.WaitAway, wait(second), presence)
	}
	require.NoError(t, desk.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceAvailable))
	require.Equal(t, desk.WaitOffered, wait(second), "an agent has come")

	th.Transfer("alice", desktest.ToAgent("bob"), "")
	require.Equal(t, desk.WaitOffered, wait(th))
	third := h.Start("support").Follow().Accept("bob")
	require.NoError(t, desk.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceBreak))
	third.Transfer("bob", desktest.ToAgent("alice"), "")
	require.Equal(t, desk.WaitAway, wait(third), "it waits for an agent who is away")
}
