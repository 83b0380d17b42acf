package desk

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
