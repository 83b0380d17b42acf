package telemetry

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
)

// TestADeskThatIsAwayIsToldAsAway checks that no other metric of the desk is reported, above all no old value.
func TestADeskThatIsAwayIsToldAsAway(t *testing.T) {
	t.Parallel()
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	there := newBacklog(d, slog.New(slog.DiscardHandler))
	require.Equal(t, 11, testutil.CollectAndCount(there), "no queue has a line: the others are reported once each, conversations twice")
	require.Equal(t, 2, testutil.CollectAndCount(there, "baton_conversations_open"))
	require.NoError(t, d.Close())
	require.Equal(t, 11, testutil.CollectAndCount(there), "read just now")

	away := newBacklog(d, slog.New(slog.DiscardHandler))
	require.Equal(t, 1, testutil.CollectAndCount(away))
	require.Equal(t, 1, testutil.CollectAndCount(away, "baton_desk_up"))
}
