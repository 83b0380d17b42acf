package desk

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestHotQueriesWalkIndexes checks SQLite's query plans of every statement in a conversation's life, in the
// dispatcher and in an offer: none scans a table that grows, and none sorts.
func TestHotQueriesWalkIndexes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, filepath.Join(t.TempDir(), "desk.db"))
	h.liveADay()

	looked := 0
	for _, queries := range h.prepared() {
		for _, query := range queries {
			looked++
			for _, step := range h.explainOnSQLite(query) {
				// Insights: reading the row would cost more than everything else.
				if strings.HasPrefix(query, selectTurns) {
					require.Contains(t, step, "USING COVERING INDEX", query)
				}
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
func (h *house) liveADay() {
	h.t.Helper()
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.staff("support", "alice")
	h.staff("billing", "bob")
	th := h.start("support").follow().accept("alice").transfer("alice", toQueue("billing"), "wants a refund")
	require.NoError(h.t, h.SetPresence(h.t.Context(), "bob", PresenceBreak))
	_, err := h.takeDue(h.t.Context(), 10)
	require.NoError(h.t, err)
	require.NoError(h.t, h.SetPresence(h.t.Context(), "bob", PresenceAvailable))
	th.decline("bob")
	h.clock.advance(time.Duration(conversation.DefaultSettings().ReofferAfter) * time.Second)
	h.dispatch()
	th.follow().accept("bob").wrapup("alice").transfer("bob", toAgent("alice"), "").expire()
	require.NoError(h.t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	_, err = h.Claim(h.t.Context(), th.sid, "alice")
	require.NoError(h.t, err)
	h.dispatch()
	_, err = h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "hello", ProviderSID: "SM1"})
	require.NoError(h.t, err)
	_, err = h.Offers(h.t.Context(), "alice")
	require.NoError(h.t, err)
	h.readLists()
	h.readPages(th, "alice")
}

// prepared returns the queries that the desk has prepared, of transactions that read and of those that write.
func (h *house) prepared() [2][]string {
	reading, writing := h.db.Prepared()
	return [2][]string{reading, writing}
}

// explainOnSQLite returns the steps of SQLite's query plan. Plans of queries that write need the connection that writes.
func (h *house) explainOnSQLite(query string) (steps []string) {
	h.t.Helper()
	rows, err := h.db.Writer().QueryContext(h.t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "$"))...)
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(h.t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(h.t, rows.Err())
	return steps
}

// readLists reads what clients of the HTTP API poll.
func (h *house) readLists() {
	h.t.Helper()
	ctx := h.t.Context()
	live := []conversation.TaskStatus{conversation.TaskPending, conversation.TaskReserved}
	for _, f := range []TaskFilter{{}, {Statuses: live}, {Agent: "alice"}, {Queue: "support"}, {NewestFirst: true}} {
		_, err := h.TaskList(ctx, f, Page{After: &Cursor{Key: 1, SID: "WT"}})
		require.NoError(h.t, err)
	}
	for _, f := range []ReservationFilter{{Agent: "alice"}, {Agent: "alice", Status: conversation.ReservationPending}, {Task: "WT1"}} {
		_, err := h.ReservationList(ctx, f, Page{After: &Cursor{Key: 1, SID: "WR"}})
		require.NoError(h.t, err)
	}
	_, err := h.ConversationList(ctx, ConversationFilter{}, Page{After: &Cursor{Key: 1, SID: "CH"}})
	require.NoError(h.t, err)
	_, err = h.BeginAnswer(ctx, "token", "request")
	require.NoError(h.t, err)
	require.NoError(h.t, h.Sessions().CommitCtx(ctx, "token", nil, h.clock.now().Add(time.Hour)))
	_, _, err = h.Sessions().FindCtx(ctx, "token")
	require.NoError(h.t, err)
	require.NoError(h.t, h.Sessions().DeleteCtx(ctx, "token"))
	_, err = h.Authenticate(ctx, "SK1", "")
	require.ErrorIs(h.t, err, ErrCredentials)
	for _, f := range []AuditFilter{{}, {Subject: "alice"}, {Kind: AuditAgent}, {By: "carol"}} {
		_, err = h.AuditList(ctx, f, Page{After: &Cursor{Key: 1}})
		require.NoError(h.t, err)
	}
	_, err = h.Labels(ctx, "support", "CH1")
	require.NoError(h.t, err)
	_, err = h.LabelsOf(ctx, []Task{{}})
	require.NoError(h.t, err)
	_, err = h.Backlog(ctx)
	require.NoError(h.t, err)
	now := h.clock.now()
	for _, to := range []time.Time{now, now.Add(time.Hour)} { // one period with later data, one without
		_, err = h.Insights(ctx, InsightFilter{From: now.Add(-time.Hour), To: to})
		require.NoError(h.t, err)
	}
	require.ErrorIs(h.t, h.NoteRefusal(ctx, newSID(), "alice", conversation.CodeWrapupPending), ErrUnknownConversation)
}
