package deskload

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
	"github.com/baton-transfers/baton/internal/routing"
)

// onBoth runs a test on a prepared desk in SQLite and in PostgreSQL.
func onBoth(t *testing.T, test func(t *testing.T, r *run)) {
	t.Helper()
	prepared := func(t *testing.T, database string) *run {
		t.Helper()
		o, err := Options{Database: database, Queues: 1, Callers: 1}.Fill()
		require.NoError(t, err)
		d, err := desk.Open(t.Context(), database, desk.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		r := &run{Options: o, desk: d}
		require.NoError(t, r.prepare(t.Context()))
		return r
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, prepared(t, "sqlite:"+filepath.Join(t.TempDir(), "desk.db")))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := postgrestest.Start(t, postgres.Options{Careless: true})
		require.NoError(t, server.CreateDatabase(t.Context(), "desk", ""))
		test(t, prepared(t, server.URL("desk")))
	})
}

// begin starts a conversation whose task is matched and assigned.
func begin(t *testing.T, r *run) *talk {
	t.Helper()
	settings, err := desk.ReadSettings(t.Context(), r.desk)
	require.NoError(t, err)
	c := &talk{
		desk: r.desk, conversations: routing.NewConversationDesk(r.desk), facts: conversation.Facts{Settings: settings, QueueKnown: true, QueueMembers: 1},
		took: new([]time.Duration), failed: new(int),
	}
	require.NoError(t, c.do(t.Context(), conversation.StartCommand{Conversation: newSID(0), Channel: conversation.ChannelWeb, Queue: queueName(0)}))
	_, err = c.accepted(t.Context())
	require.NoError(t, err)
	return c
}

func TestFaultyRowsAreFound(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *run) {
		c := begin(t, r)
		task := c.state.Tasks[0]
		change := func(query string, args ...any) {
			t.Helper()
			changed, err := r.desk.DB().Writer().ExecContext(t.Context(), query, args...)
			require.NoError(t, err)
			rows, err := changed.RowsAffected()
			require.NoError(t, err)
			require.Positive(t, rows)
		}
		found := func() (f Faults) {
			t.Helper()
			w := newWatch(&f)
			m, err := readMoment(t.Context(), r.desk)
			require.NoError(t, err)
			w.see(m)
			m.at = m.at.Add(2 * strandedAfter)
			w.see(m)
			f.Examples = nil
			return f
		}
		require.Zero(t, found())

		change(`UPDATE agent_channels SET capacity = 0 WHERE agent = $1`, task.Agent)
		require.Equal(t, Faults{Overbooked: 2}, found())
		change(`UPDATE agent_channels SET capacity = 2, load = 2 WHERE agent = $1 AND channel = 'web'`, task.Agent)
		require.Equal(t, Faults{Miscounted: 2}, found())

		change(`INSERT INTO placements (task, reservation, conversation, channel, placement, agent, created_at, deliver_at, attempts)
			VALUES ($1, 'WR', $2, 'web', 1, $3, 1, 1, 0)`, task.SID, c.state.Conversation, task.Agent)
		require.Equal(t, Faults{MatchedTwice: 1}, found())
		change(`DELETE FROM placements`)

		change(`UPDATE tasks SET status = 'pending', agent = '' WHERE sid = $1`, task.SID)
		change(`UPDATE agent_channels SET load = 0`)
		require.Equal(t, Faults{Stranded: 1}, found())

		change(`DELETE FROM events WHERE conversation = $1 AND number = 2`, c.state.Conversation)
		var after Faults
		matches, _, err := checkRecords(t.Context(), r.desk, &after, settledAfter)
		require.NoError(t, err)
		require.Equal(t, 2, matches, "the desk's, and the one that was added")
		require.NotEmpty(t, after.Examples)
		require.Equal(t, 1, after.MatchedTwice, "the added match is the task's second")
		require.Equal(t, 2, after.LogHoles, "a position and a number")
		require.Positive(t, after.LeftOver)
	})
}

func TestASoundDeskHasNoFaults(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, r *run) {
		c := begin(t, r)
		holder := c.state.Tasks[0].Agent
		require.NoError(t, c.do(t.Context(), conversation.EndCommand{Agent: holder}))
		require.NoError(t, c.do(t.Context(), conversation.WrapupCommand{Agent: holder}))
		require.Len(t, *c.took, 5, "the snapshots of a simple conversation")
		var found Faults
		matches, inversions, err := checkRecords(t.Context(), r.desk, &found, settledAfter)
		require.NoError(t, err)
		require.Equal(t, 1, matches)
		require.Zero(t, inversions)
		require.Zero(t, found)
	})
}
