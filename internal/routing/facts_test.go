package routing_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

func testFacts(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "empty"))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceBreak))
	ask := func(q conversation.FactsQuery) conversation.Facts {
		t.Helper()
		v, err := routing.ReadFacts(h.T.Context(), h.Desk, q)
		require.NoError(t, err)
		require.Equal(t, conversation.DefaultSettings(), v.Settings)
		v.Settings = conversation.Settings{}
		return v
	}
	require.Equal(t, conversation.Facts{AgentKnown: true, AgentAvailable: true}, ask(conversation.FactsQuery{Agent: "alice"}))
	require.Equal(t, conversation.Facts{AgentKnown: true}, ask(conversation.FactsQuery{Agent: "bob"}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Agent: "unknown"}))
	require.Equal(t, conversation.Facts{QueueKnown: true, QueueMembers: 2}, ask(conversation.FactsQuery{Queue: "support"}))
	require.Equal(t, conversation.Facts{QueueKnown: true}, ask(conversation.FactsQuery{Queue: "empty"}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Queue: "nothing"}))

	th := h.Start("support").Follow()
	note, err := records.StoreNote(h.T.Context(), h.Desk, th.SID, "alice", "for later")
	require.NoError(t, err)
	require.Equal(t, conversation.Facts{NoteKnown: true}, ask(conversation.FactsQuery{Conversation: th.SID, Note: note}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: desktest.NewSID(), Note: note}))
	require.Equal(t, conversation.Facts{ConversationKnown: true}, ask(conversation.FactsQuery{Conversation: th.SID, Command: conversation.CommandStart}))
	require.Equal(t, conversation.Facts{}, ask(conversation.FactsQuery{Conversation: desktest.NewSID(), Command: conversation.CommandStart}))
}
