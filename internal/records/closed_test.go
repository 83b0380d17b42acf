package records_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/records"
)

// testClosedAreFound checks that a closed conversation is found by all its agents and queues, and shows the last
// agent and the last queue.
func testClosedAreFound(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "").Accept("bob").WrapUp("alice").End("bob").WrapUp("bob")
	found := func(f records.Filter) []string {
		t.Helper()
		conversations, err := records.ConversationPage(t.Context(), h.Desk, f, "", desk.Page{})
		require.NoError(t, err)
		sids := []string{}
		for _, c := range conversations.Entries {
			require.Equal(t, "bob", c.LastAgent)
			require.Equal(t, "billing", c.LastQueue)
			sids = append(sids, c.SID)
		}
		return sids
	}
	for _, f := range []records.Filter{{Agent: "alice"}, {Agent: "bob"}, {Queue: "support"}, {Queue: "billing"}} {
		require.Empty(t, found(f), "%+v: it has no live task", f)
		f.Status = conversation.ConversationClosed
		require.Equal(t, []string{th.SID}, found(f), "%+v", f)
		f.Status = conversation.ConversationActive
		require.Empty(t, found(f), "%+v", f)
	}
	require.Empty(t, found(records.Filter{Status: conversation.ConversationClosed, Agent: "alice", Queue: "other"}))
}

func testConversations(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	passed := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "").Accept("bob")
	h.Clock.Advance(time.Second)
	closed := h.Start("support").Follow().Accept("alice").End("alice").WrapUp("alice")
	h.Clock.Advance(time.Second)
	offered := h.Start("support").Follow()
	find := func(f records.Filter) (sids []string) {
		t.Helper()
		found, err := records.ConversationPage(h.T.Context(), h.Desk, f, "", desk.Page{})
		require.NoError(t, err)
		for _, c := range found.Entries {
			sids = append(sids, c.SID)
		}
		return sids
	}
	require.Equal(t, []string{offered.SID, closed.SID, passed.SID}, find(records.Filter{}), "newest first")
	require.Equal(t, []string{closed.SID}, find(records.Filter{Status: conversation.ConversationClosed}))
	require.ElementsMatch(t, []string{passed.SID, offered.SID}, find(records.Filter{Agent: "alice"}))
	require.Equal(t, []string{passed.SID}, find(records.Filter{Queue: "billing"}))
	both := records.Filter{Status: conversation.ConversationActive, Agent: "alice", Queue: "support"}
	require.Equal(t, []string{offered.SID, passed.SID}, find(both))
	second, err := records.ConversationPage(h.T.Context(), h.Desk, both, "", desk.Page{Limit: 1, Skip: 1})
	require.NoError(t, err)
	require.Len(t, second.Entries, 1)
	require.Equal(t, passed.SID, second.Entries[0].SID)
}
