package desk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

// testClosedAreFound checks that a closed conversation is found by all its agents and queues, and shows the last
// agent and the last queue.
func testClosedAreFound(t *testing.T, h *environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "").Accept("bob").WrapUp("alice").End("bob").WrapUp("bob")
	found := func(f desk.Filter) []string {
		t.Helper()
		conversations, err := h.ConversationPage(t.Context(), f, "", desk.Page{})
		require.NoError(t, err)
		sids := []string{}
		for _, c := range conversations.Entries {
			require.Equal(t, "bob", c.LastAgent)
			require.Equal(t, "billing", c.LastQueue)
			sids = append(sids, c.SID)
		}
		return sids
	}
	for _, f := range []desk.Filter{{Agent: "alice"}, {Agent: "bob"}, {Queue: "support"}, {Queue: "billing"}} {
		require.Empty(t, found(f), "%+v: it has no live task", f)
		f.Status = conversation.ConversationClosed
		require.Equal(t, []string{th.SID}, found(f), "%+v", f)
		f.Status = conversation.ConversationActive
		require.Empty(t, found(f), "%+v", f)
	}
	require.Empty(t, found(desk.Filter{Status: conversation.ConversationClosed, Agent: "alice", Queue: "other"}))
}
