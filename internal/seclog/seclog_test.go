package seclog_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/seclog"
)

func lines(t *testing.T, log *bytes.Buffer) (entries []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		delete(entry, "time")
		entries = append(entries, entry)
	}
	return entries
}

func TestRefusedRequestsHaveOneLine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	l := seclog.New(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /closed/{name}", func(w http.ResponseWriter, r *http.Request) {
		seclog.Because(r.Context(), "no credentials")
		w.WriteHeader(http.StatusUnauthorized)
	})
	mux.HandleFunc("GET /forbidden", func(w http.ResponseWriter, r *http.Request) {
		seclog.Identify(r.Context(), "alice", "agent", "SK1")
		http.Error(w, "no", http.StatusForbidden)
	})
	mux.HandleFunc("GET /written", func(w http.ResponseWriter, r *http.Request) {
		l.Write(r.Context(), seclog.Entry{Event: seclog.SignIn, Outcome: seclog.Refused, Who: strings.Repeat("é", 200)})
		w.WriteHeader(http.StatusForbidden)
	})
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fine")) })
	handler := l.HTTP(l.HTTP(mux))
	for _, path := range []string{"/closed/secret?token=secret", "/forbidden", "/written", "/open", "/nowhere"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.RemoteAddr = "[::ffff:192.0.2.7]:4000"
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	require.Equal(t, []map[string]any{
		{"level": "WARN", "msg": "security event", "event": "authentication", "outcome": "refused", "address": "192.0.2.7", "route": "GET /closed/{name}", "reason": "no credentials"},
		{"level": "WARN", "msg": "security event", "event": "authorization", "outcome": "refused", "who": "alice", "role": "agent", "key": "SK1", "address": "192.0.2.7", "route": "GET /forbidden"},
		{"level": "WARN", "msg": "security event", "event": "sign_in", "outcome": "refused", "who": strings.Repeat("é", 100) + "…", "address": "192.0.2.7", "route": "GET /written"},
	}, lines(t, &log))
	seclog.New(nil).Write(t.Context(), seclog.Entry{Event: seclog.SignIn}) // writes nothing
}
