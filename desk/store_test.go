package desk

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBusyIsTriedAgain stands in for processes that hold the database for longer than it waits.
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
	require.ErrorIs(t, h.write(t.Context(), "add a queue", failing(tries)), busy)
	require.Equal(t, tries, calls, "not for ever")
	require.NoError(t, h.write(t.Context(), "add a queue", failing(tries-1)), "and what failed left nothing behind")
	queues, err := h.Queues(t.Context())
	require.NoError(t, err)
	require.Len(t, queues, 1)

	other := errors.New("something else")
	require.ErrorIs(t, h.write(t.Context(), "fail", func(*transaction) error { calls++; return other }), other)
	require.Equal(t, tries+1, calls, "nothing else is tried again")
}
