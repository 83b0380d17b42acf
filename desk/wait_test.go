package desk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// testWaits: the desk reports to a waiting customer whether an agent is there.
func testWaits(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) {
		s.AgentUnavailable = conversation.AgentUnavailableWait
		s.ReofferAfter = 60
	})
	h.staff("support", "alice")
	require.NoError(t, h.AddAgent(t.Context(), NewAgent{Name: "bob"}))
	require.NoError(t, h.AddMember(t.Context(), "support", "bob"))
	th := h.start("support")
	th.sync()
	wait := func(th *thread) Wait {
		t.Helper()
		found, err := h.Waits(t.Context(), []string{newSID(), th.sid})
		require.NoError(t, err)
		return found[th.sid]
	}
	require.Equal(t, WaitOffered, wait(th), "it is matched")
	th.follow()
	require.Equal(t, WaitOffered, wait(th), "it is offered")
	th.do(conversation.DeclineCommand{Agent: "alice"})
	th.sync()
	if th.task().Status == conversation.TaskPending && len(h.matches()) == 0 {
		require.Equal(t, WaitBusy, wait(th), "the only agent has just declined")
	}
	h.clock.advance(time.Minute + time.Second)
	h.dispatch()
	th.follow().accept("alice")
	require.Empty(t, wait(th), "an agent has it")

	require.NoError(t, h.SetCapacity(t.Context(), "alice", conversation.ChannelWeb, 1))
	second := h.start("support").follow()
	require.Equal(t, WaitBusy, wait(second))
	for _, presence := range []Presence{PresenceBreak, PresenceOffline} {
		require.NoError(t, h.SetPresence(t.Context(), "alice", presence))
		require.Equal(t, WaitAway, wait(second), presence)
	}
	require.NoError(t, h.SetPresence(t.Context(), "bob", PresenceAvailable))
	require.Equal(t, WaitOffered, wait(second), "an agent has come")

	th.transfer("alice", toAgent("bob"), "")
	require.Equal(t, WaitOffered, wait(th))
	third := h.start("support").follow().accept("bob")
	require.NoError(t, h.SetPresence(t.Context(), "bob", PresenceBreak))
	third.transfer("bob", toAgent("alice"), "")
	require.Equal(t, WaitAway, wait(third), "it waits for an agent who is away")
}
