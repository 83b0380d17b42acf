package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

// TestHotQueriesWalkIndexes checks SQLite's query plans of every statement in a conversation's life, in the
// dispatcher and in an offer: none scans a table that grows, and none sorts.
func TestHotQueriesWalkIndexes(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t, desktest.SQLite(t))
	h.liveADay()

	looked := 0
	for _, queries := range h.Prepared() {
		for _, query := range queries {
			looked++
			for _, step := range h.ExplainOnSQLite(query) {
				require.NotContains(t, step, "TEMP B-TREE", query)
				if table, scans := strings.CutPrefix(step, "SCAN "); scans {
					// Waiting tasks and webhooks are counted in an index of waiting rows only.
					if strings.Contains(query, "count(*)") {
						require.Regexp(t, `^(tasks USING COVERING INDEX tasks_(in_line|waiting_for_agent)|webhooks USING COVERING INDEX webhooks_.*|undelivered|pending)$`, table, query)
						continue
					}
					// Few rows: the agents and queues. (VALUES are inserted rows, w is a single row that a query
					// makes.)
					require.Regexp(t, `^(queues|queue_agents|agents|plugins|CONSTANT ROW|w$|w USING INDEX tasks_live_by_time$|chosen$|told$|own$|\d+-ROW VALUES)`, table, query)
				}
			}
		}
	}
	require.Greater(t, looked, 40)
}

// liveADay lets everything happen that happens often: in a conversation's life, in the dispatcher, on the pages.
func (h *environment) liveADay() {
	h.T.Helper()
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "wants a refund")
	require.NoError(h.T, h.SetPresence(h.T.Context(), "bob", desk.PresenceBreak))
	_, err := h.TakeDue(h.T.Context(), 10)
	require.NoError(h.T, err)
	require.NoError(h.T, h.SetPresence(h.T.Context(), "bob", desk.PresenceAvailable))
	th.Decline("bob")
	h.Clock.Advance(time.Duration(conversation.DefaultSettings().ReofferAfter) * time.Second)
	h.DispatchNow()
	th.Follow().Accept("bob").WrapUp("alice").Transfer("bob", desktest.ToAgent("alice"), "").Expire()
	require.NoError(h.T, h.SetPresence(h.T.Context(), "alice", desk.PresenceAvailable))
	_, err = h.Claim(h.T.Context(), th.SID, "alice")
	require.NoError(h.T, err)
	h.DispatchNow()
	_, err = h.Say(h.T.Context(), desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "hello", ProviderSID: "SM1"})
	require.NoError(h.T, err)
	_, err = h.Offers(h.T.Context(), "alice")
	require.NoError(h.T, err)
	h.readLists()
	h.readPages(th, "alice")
}

// readLists reads what clients of the HTTP API poll.
func (h *environment) readLists() {
	h.T.Helper()
	ctx := h.T.Context()
	live := []conversation.TaskStatus{conversation.TaskPending, conversation.TaskReserved}
	for _, f := range []desk.TaskFilter{{}, {Statuses: live}, {Agent: "alice"}, {Queue: "support"}, {NewestFirst: true}} {
		_, err := h.TaskList(ctx, f, desk.Page{After: &desk.Cursor{Key: 1, SID: "WT"}})
		require.NoError(h.T, err)
	}
	for _, f := range []desk.ReservationFilter{{Agent: "alice"}, {Agent: "alice", Status: conversation.ReservationPending}, {Task: "WT1"}} {
		_, err := h.ReservationList(ctx, f, desk.Page{After: &desk.Cursor{Key: 1, SID: "WR"}})
		require.NoError(h.T, err)
	}
	_, err := h.ConversationList(ctx, desk.ConversationFilter{}, desk.Page{After: &desk.Cursor{Key: 1, SID: "CH"}})
	require.NoError(h.T, err)
	_, err = h.BeginAnswer(ctx, "token", "request")
	require.NoError(h.T, err)
	require.NoError(h.T, h.Sessions().CommitCtx(ctx, "token", nil, h.Clock.Now().Add(time.Hour)))
	_, _, err = h.Sessions().FindCtx(ctx, "token")
	require.NoError(h.T, err)
	require.NoError(h.T, h.Sessions().DeleteCtx(ctx, "token"))
	_, err = h.Authenticate(ctx, "SK1", "")
	require.ErrorIs(h.T, err, desk.ErrCredentials)
	for _, f := range []desk.AuditFilter{{}, {Subject: "alice"}, {Kind: desk.AuditAgent}, {By: "carol"}} {
		_, err = h.AuditList(ctx, f, desk.Page{After: &desk.Cursor{Key: 1}})
		require.NoError(h.T, err)
	}
	_, err = h.Labels(ctx, "support", "CH1")
	require.NoError(h.T, err)
	_, err = h.LabelsOf(ctx, []desk.Task{{}})
	require.NoError(h.T, err)
	_, err = h.Backlog(ctx)
	require.NoError(h.T, err)
	require.ErrorIs(h.T, h.NoteRefusal(ctx, desktest.NewSID(), "alice", conversation.CodeWrapupPending), desk.ErrUnknownConversation)
}
