package serve

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/telemetry"
)

// A starting program waits for an unavailable part, reports it once in its log and in /readyz, and fails
// immediately after other errors.
func TestAStartWaitsForWhatIsAway(t *testing.T) {
	t.Parallel()
	away, wrong := errors.New("away"), errors.New("wrong password")
	isAway := func(err error) bool { return errors.Is(err, away) }
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	p := &Process{Logger: logger, Telemetry: telemetry.Quiet(logger)}
	mux := http.NewServeMux()
	p.Telemetry.Health.Register(mux)
	attempts, ready := 0, ""
	opened, err := patiently(t.Context(), p, "desk", isAway, func(ctx context.Context) (string, error) {
		if attempts++; attempts < 3 {
			return "", away
		}
		told := httptest.NewRecorder()
		mux.ServeHTTP(told, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
		ready = told.Body.String()
		return "open", nil
	})
	require.NoError(t, err)
	require.Equal(t, "open", opened)
	require.Contains(t, ready, `"desk":"away"`)
	require.Equal(t, 1, strings.Count(log.String(), "waiting at the start"))

	attempts = 0
	_, err = patiently(t.Context(), p, "desk", isAway, func(context.Context) (string, error) { attempts++; return "", wrong })
	require.ErrorIs(t, err, wrong)
	require.Equal(t, 1, attempts)
}
