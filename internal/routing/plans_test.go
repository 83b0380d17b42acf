package routing_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// testPostgresPlans checks the query plans of the most frequent queries at a very large desk.
func testPostgresPlans(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	for _, fill := range []string{
		`INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events, messages, gone, created_at, closed_at)
			SELECT 'CH' || i, 'closed', 'web', '', '', 1, 1, 1, 0, i, 0 FROM generate_series(1, 20000) i`,
		`INSERT INTO tasks (sid, conversation, channel, status, queue, agent, direct, waiting, previous, transfer, priority, head, placement, attributes, reservation,
				disposition, wrapup_note, canceled_reason, created_at, queued_at, timeout_at, assigned_at, wrapping_at, completed_at, canceled_at, wrapup_timeout_at)
			SELECT 'WT' || i, 'CH' || i, 'web', CASE WHEN i % 2 = 0 THEN 'pending' ELSE 'completed' END, 'support', '', 0, 1 - i % 2, '', '', 0, 0, 1, '', '',
				'', '', '', i, 0, 0, 0, 0, i % 2, 0, 0 FROM generate_series(1, 20000) i`,
		`INSERT INTO events (position, conversation, number, name, at, event) SELECT 1000 + i, 'CH' || i, 1, 'task.created', i, '{}' FROM generate_series(1, 20000) i`,
		`ANALYZE`,
	} {
		_, err := h.DB().Writer().ExecContext(t.Context(), fill)
		require.NoError(t, err)
	}
	var locksTasks, locksConversation, skips string
	require.NoError(t, h.ExclusiveTx(t.Context(), "read how the database locks", func(tx *desk.Tx) error {
		locksTasks, locksConversation, skips = tx.RowsOf("tasks"), tx.RowsOf("conversations"), tx.SkipLocked("tasks")
		return nil
	}))
	require.NotEmpty(t, skips)
	for _, hot := range []struct {
		query, index string
		args         []any
	}{
		{`SELECT ` + routing.WaitingTaskColumns + ` FROM tasks WHERE waiting = 1 AND direct = 0 AND queue = $1 AND channel = $2
			ORDER BY priority DESC, head DESC, queued_at, created_at, sid LIMIT $3 OFFSET $4` + skips, "tasks_in_line", []any{"support", "web", 8, 0}},
		{desk.SelectLiveTasksOf + locksTasks, "tasks_by_conversation", []any{th.SID}},
		{desk.SelectConversationRow + locksConversation, "conversations_pkey", []any{th.SID}},
		{`SELECT count(*) FROM tasks WHERE agent = $1 AND channel = $2 AND completed_at = 0 AND canceled_at = 0 AND status <> 'pending'`, "tasks_live_by_agent", []any{"alice", "web"}},
		{`SELECT position, epoch, conversation, event FROM events WHERE position > $1 ORDER BY position LIMIT $2`, "events_pkey", []any{20900, 50}},
		{records.SelectTasks + ` WHERE t.conversation = $1 ORDER BY t.placement`, "tasks_by_conversation", []any{th.SID}},
	} {
		plan := explainQuery(h, hot.query, hot.args...)
		require.Contains(t, plan, hot.index, hot.query)
		require.NotContains(t, plan, "Seq Scan on tasks", hot.query)
		require.NotContains(t, plan, "Seq Scan on events", hot.query)
	}
}

func explainQuery(h *desktest.Environment, query string, args ...any) string {
	h.T.Helper()
	var plan []string
	require.NoError(h.T, h.ExclusiveTx(h.T.Context(), "explain", func(tx *desk.Tx) (err error) {
		plan, err = sqldb.All(h.T.Context(), tx, sqldb.Value[string], `EXPLAIN `+query, args...)
		return err
	}))
	return strings.Join(plan, "\n")
}
