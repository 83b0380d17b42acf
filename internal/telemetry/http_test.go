package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/forwarded"
)

const (
	conversationSID = "CH0123456789abcdef0123456789abcdef"
	taskSID         = "WT0123456789abcdef0123456789abcdef"
)

// TestARequestIsToldByItsRoute sends requests to handlers behind two muxes, as in the gateway.
func TestARequestIsToldByItsRoute(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	told := Quiet(NewLogger(&lines, slog.LevelInfo))
	inner := http.NewServeMux()
	inner.HandleFunc("POST /v1/Interactions/{interaction}/Channels/{channel}", func(w http.ResponseWriter, r *http.Request) {
		Key(r.Context(), "SK1")
		w.WriteHeader(http.StatusCreated)
	})
	inner.HandleFunc("GET /v1/Workspaces/{workspace}/Tasks/{task}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{}"))
	})
	inner.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
	})
	outer := http.NewServeMux()
	told.Health.Register(outer)
	outer.Handle("/", inner)
	server := told.HTTP(outer)
	for _, test := range []struct {
		method, path, given string
		want                map[string]any
	}{
		{"POST", "/v1/Interactions/KD0123456789abcdef0123456789abcdef/Channels/UO0123456789abcdef0123456789abcdef?Note=hush", "proxy-7", map[string]any{
			"route": "POST /v1/Interactions/{interaction}/Channels/{channel}", "status": 201.0, "request_id": "proxy-7", "conversation": conversationSID, "key": "SK1",
		}},
		{"GET", "/v1/Workspaces/WS1/Tasks/" + taskSID, "hush, hush", map[string]any{
			"route": "GET /v1/Workspaces/{workspace}/Tasks/{task}", "status": 200.0, "task": taskSID,
		}},
		{"GET", "/hush", "", map[string]any{"route": "GET (none)", "status": 404.0}},
		{"HUSH", "/hush", "", map[string]any{"route": "OTHER (none)", "status": 404.0}},
		{"GET", "/stream", "", map[string]any{"route": "GET /stream", "status": 200.0}},
		{"GET", "/healthz", "", nil},
	} {
		lines.Reset()
		request := httptest.NewRequestWithContext(t.Context(), test.method, test.path, strings.NewReader("Note=hush"))
		if test.given != "" {
			request.Header.Set("X-Request-ID", test.given)
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, request)
		require.NotEmpty(t, answer.Header().Get("X-Request-ID"))
		require.NotContains(t, lines.String(), "hush", "neither a path, nor a query, nor a body, nor a header is logged")
		if test.want == nil {
			require.Empty(t, lines.String(), "probes are not logged")
			continue
		}
		var line map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), test.path)
		require.Equal(t, answer.Header().Get("X-Request-ID"), line["request_id"])
		for _, key := range []string{"time", "level", "msg", "seconds"} {
			require.Contains(t, line, key)
			delete(line, key)
		}
		if test.want["request_id"] == nil {
			delete(line, "request_id")
		}
		require.Equal(t, test.want, line)
	}
	require.InDelta(t, 1, testutil.ToFloat64(told.metrics.requests.WithLabelValues("POST /v1/Interactions/{interaction}/Channels/{channel}", "201")), 0)
	require.Equal(t, 5, testutil.CollectAndCount(told.metrics.requestTook), "a stream's length is no time that a request took")
}

// TestAPanicIsTold checks that a panic reaches the server, and that the request is still logged.
func TestAPanicIsTold(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	told := Quiet(NewLogger(&lines, slog.LevelInfo))
	server := told.HTTP(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	require.Panics(t, func() {
		server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	})
	require.Contains(t, lines.String(), `"route":"GET (none)"`)
}

// TestARequestIsLoggedWithItsClient checks the log line of a request that a proxy passed on.
func TestARequestIsLoggedWithItsClient(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	told := Quiet(NewLogger(&lines, slog.LevelInfo))
	proxies := forwarded.Options{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Ignored: told.ForwardedIgnored}
	server := proxies.Handler(told.HTTP(http.NotFoundHandler()))
	for peer, want := range map[string]string{"10.0.0.1:4000": "198.51.100.1", "192.0.2.7:4000": "192.0.2.7"} {
		lines.Reset()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "hush, 203.0.113.9, 198.51.100.1")
		server.ServeHTTP(httptest.NewRecorder(), r)
		var line map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line))
		require.Equal(t, want, line["client"])
		require.NotContains(t, lines.String(), "hush")
	}
	require.InDelta(t, 1, testutil.ToFloat64(told.metrics.forwarded), 0, "the request of the peer that is not trusted")
}
