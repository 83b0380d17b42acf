package desk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
)

// testReadsOneSnapshot: the event log is read from two tables, and no event that is written between them is missed.
func testReadsOneSnapshot(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	var before, after []desk.LoggedEvent
	require.NoError(t, h.ReadTx(t.Context(), "read the feed", func(tx *desk.Tx) (err error) {
		if before, err = desk.ReadEventsAfter(t.Context(), tx, 0, 1000); err != nil {
			return err
		}
		h.Staff("billing", "bob")
		h.Start("support").Follow()
		after, err = desk.ReadEventsAfter(t.Context(), tx, 0, 1000)
		return err
	}))
	require.NotEmpty(t, before)
	require.Equal(t, before, after)
	now, err := outbox.EventsAfter(t.Context(), h.Desk, 0, 1000)
	require.NoError(t, err)
	require.Greater(t, len(now), len(before))
}
