package desk

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// testClosedAreFound checks that a closed conversation is found by all its agents and queues, and shows the last
// agent and the last queue.
func testClosedAreFound(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	th := h.start("support").follow().accept("alice").transfer("alice", toQueue("billing"), "").accept("bob").wrapup("alice").end("bob").wrapup("bob")
	found := func(f Filter) []string {
		t.Helper()
		conversations, err := h.Conversations(t.Context(), f)
		require.NoError(t, err)
		sids := []string{}
		for _, c := range conversations {
			require.Equal(t, "bob", c.LastAgent)
			require.Equal(t, "billing", c.LastQueue)
			sids = append(sids, c.SID)
		}
		return sids
	}
	for _, f := range []Filter{{Agent: "alice"}, {Agent: "bob"}, {Queue: "support"}, {Queue: "billing"}} {
		require.Empty(t, found(f), "%+v: it has no live task", f)
		f.Status = conversation.ConversationClosed
		require.Equal(t, []string{th.sid}, found(f), "%+v", f)
		f.Status = conversation.ConversationActive
		require.Empty(t, found(f), "%+v", f)
	}
	require.Empty(t, found(Filter{Status: conversation.ConversationClosed, Agent: "alice", Queue: "other"}))
}
