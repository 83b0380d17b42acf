package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := NewHealth(slog.New(slog.DiscardHandler))
		mux := http.NewServeMux()
		h.Register(mux)
		get := func(path string) (int, map[string]string) {
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			parts := map[string]string{}
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &parts))
			return answer.Code, parts
		}
		requireReady := func(want map[string]string) {
			t.Helper()
			<-time.After(askedEvery) // fake time of the synctest bubble
			status, parts := get("/readyz")
			require.Equal(t, want, parts)
			if len(want) == 2 && want["desk"] == "ok" && want["process"] == "ok" {
				require.Equal(t, http.StatusOK, status)
			} else {
				require.Equal(t, http.StatusServiceUnavailable, status)
			}
		}
		asked, away := 0, error(nil)
		h.Needs("desk", func(ctx context.Context) error {
			asked++
			if errors.Is(away, context.DeadlineExceeded) {
				<-ctx.Done()
				return ctx.Err()
			}
			return away
		})
		requireReady(map[string]string{"process": "starting", "desk": "ok"})
		h.Ready()
		requireReady(map[string]string{"process": "ok", "desk": "ok"})
		for range 10 {
			get("/readyz")
		}
		require.Equal(t, 2, asked, "many probes within a second ask once")

		away = errors.New("away")
		requireReady(map[string]string{"process": "ok", "desk": "away"})
		away = context.DeadlineExceeded
		requireReady(map[string]string{"process": "ok", "desk": "away"})
		status, _ := get("/healthz")
		require.Equal(t, http.StatusOK, status, "to start it again wouldn't bring the desk back")
		away = nil
		requireReady(map[string]string{"process": "ok", "desk": "ok"})

		h.Drain()
		requireReady(map[string]string{"process": "draining", "desk": "ok"})
		status, _ = get("/healthz")
		require.Equal(t, http.StatusOK, status)
		h.End("worker")
		requireReady(map[string]string{"process": "draining", "desk": "ok", "worker": "ended"})
		status, parts := get("/healthz")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, map[string]string{"worker": "ended"}, parts)
	})
}
