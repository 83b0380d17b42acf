package desk

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBusyIsTriedAgain simulates processes that hold the database for longer than it waits.
func TestBusyIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, filepath.Join(t.TempDir(), "desk.db"))
	busy := errors.New("the database is locked")
	h.store.busy = func(err error) bool { return errors.Is(err, busy) }
	calls := 0
	failing := func(times int) func(*transaction) error {
		calls = 0
		return func(tx *transaction) error {
			if err := tx.addQueue(t.Context(), NewQueue{Name: "support"}, 0); err != nil {
				return err
			}
			if calls++; calls <= times {
				return busy
			}
			return nil
		}
	}
	require.ErrorIs(t, h.exclusiveTx(t.Context(), "add a queue", failing(sqliteTries)), busy)
	require.Equal(t, sqliteTries, calls, "not for ever")
	require.NoError(t, h.exclusiveTx(t.Context(), "add a queue", failing(sqliteTries-1)), "and what failed left nothing behind")
	queues, err := h.Queues(t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 1)

	other := errors.New("something else")
	require.ErrorIs(t, h.exclusiveTx(t.Context(), "fail", func(*transaction) error { calls++; return other }), other)
	require.Equal(t, sqliteTries+1, calls, "nothing else is tried again")
}

// testReadsOneSnapshot: the event log is read from two tables, and no event that is written between them is missed.
func testReadsOneSnapshot(t *testing.T, h *house) {
	h.staff("support", "alice")
	var before, after []LoggedEvent
	require.NoError(t, h.readTx(t.Context(), "read the feed", func(tx *transaction) (err error) {
		if before, err = tx.after(t.Context(), 0, 1000); err != nil {
			return err
		}
		h.staff("billing", "bob")
		h.start("support").follow()
		after, err = tx.after(t.Context(), 0, 1000)
		return err
	}))
	require.NotEmpty(t, before)
	require.Equal(t, before, after)
	now, err := h.AllEvents(t.Context(), 0, 1000)
	require.NoError(t, err)
	require.Greater(t, len(now), len(before))
}

// A queryOne transaction reads one moment because it is one query. Two queries would read two moments.
func TestALookIsOneQuery(t *testing.T) {
	t.Parallel()
	h := newHouse(t, filepath.Join(t.TempDir(), "desk.db"))
	one := func(tx *transaction) error {
		_, _, err := firstRow(t.Context(), tx, value[int], `SELECT count(*) FROM queues`)
		return err
	}
	require.NoError(t, h.queryOne(t.Context(), "count queues", one))
	err := h.queryOne(t.Context(), "count them twice", func(tx *transaction) error { return errors.Join(one(tx), one(tx)) })
	require.ErrorContains(t, err, "use readTx for more")
	require.NoError(t, h.readTx(t.Context(), "count them twice", func(tx *transaction) error { return errors.Join(one(tx), one(tx)) }))
}
