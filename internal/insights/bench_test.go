package insights

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
)

// BenchmarkInsights measures the figures of ten thousand conversations with some fifteen thousand transfers.
func BenchmarkInsights(b *testing.B) {
	h := desktest.New(b, "sqlite:"+filepath.Join(b.TempDir(), "desk.db"))
	walk := newInsightWalk(h)
	walk.steps = 60
	for range 10_000 {
		walk.run()
	}
	f := Filter{From: walk.began, To: walk.began.Add(200 * time.Hour)}
	b.Run("all", func(b *testing.B) {
		for range b.N {
			report, err := Read(h.T.Context(), h.Desk, f)
			require.NoError(b, err)
			b.ReportMetric(float64(report.Total.Sent.Initiated), "transfers")
		}
	})
	b.Run("of a queue", func(b *testing.B) {
		f := f
		f.Queue = walk.queues[0]
		for range b.N {
			_, err := Read(h.T.Context(), h.Desk, f)
			require.NoError(b, err)
		}
	})
	b.Run("conversations", func(b *testing.B) {
		for range b.N {
			_, err := Conversations(h.T.Context(), h.Desk, f, "transferred", desk.Page{})
			require.NoError(b, err)
		}
	})
}
