package serve

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/codecserver"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/telemetry"
)

// TestDemoIsForThisMachine: a proxy in front may pass on requests from other machines.
func TestDemoIsForThisMachine(t *testing.T) {
	t.Parallel()
	loopback, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6zero}
	for _, test := range []struct {
		name    string
		o       GatewayOptions
		address net.Addr
		want    bool
	}{
		{"this machine", GatewayOptions{Demo: true}, loopback, true},
		{"this machine by its address", GatewayOptions{Demo: true, URL: "http://127.0.0.1:8080"}, loopback, true},
		{"every address", GatewayOptions{Demo: true, URL: "http://127.0.0.1:8080"}, everywhere, false},
		{"a public address", GatewayOptions{Demo: true, URL: "https://baton.example.com"}, loopback, false},
		{"a proxy", GatewayOptions{Demo: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, loopback, false},
		{"a socket", GatewayOptions{Demo: true}, &net.UnixAddr{Name: "@"}, false},
		{"no demo", GatewayOptions{}, loopback, false},
	} {
		require.Equal(t, test.want, test.o.pages(test.address).Demo, test.name)
	}
}

func TestLimitsReachThePages(t *testing.T) {
	t.Parallel()
	minute := func(count int) limit.Pace { return limit.Pace{Count: count, Per: time.Minute} }
	o := GatewayOptions{Limits: config.Limits{
		Chats: minute(1), ChatsTotal: minute(2), SignIns: minute(3), SignInsTotal: minute(4), Messages: minute(5), MessagesTotal: minute(6),
	}}
	limits := o.pages(&net.TCPAddr{}).Limits
	require.Equal(t, []limit.Pace{minute(1), minute(2), minute(3), minute(4), minute(5), minute(6)}, []limit.Pace{
		limits.Chats, limits.ChatsTotal, limits.SignIns, limits.SignInsTotal, limits.Messages, limits.MessagesTotal,
	})
}

// TestDecodingIsLogged: the log shows who has decoded payloads, and not their content.
func TestDecodingIsLogged(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusOK:           "event=decode outcome=accepted",
		http.StatusBadRequest:   `event=decode outcome=failed`,
		http.StatusForbidden:    "event=authorization outcome=refused",
		http.StatusUnauthorized: "event=authentication outcome=refused",
	} {
		var log bytes.Buffer
		security := seclog.New(slog.New(slog.NewTextHandler(&log, nil)))
		handler := security.HTTP(decodes(security, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seclog.Identify(r.Context(), "auditor", "supervisor", "SK1")
			w.WriteHeader(status)
			_, _ = w.Write([]byte("my card number"))
		})))
		for _, path := range []string{"decode", "encode"} {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, codecserver.Path+path, strings.NewReader("ciphertext"))
			handler.ServeHTTP(httptest.NewRecorder(), request)
		}
		require.Contains(t, log.String(), want)
		require.Contains(t, log.String(), "who=auditor")
		require.LessOrEqual(t, strings.Count(log.String(), "event=decode"), 1, "encoding shows nothing")
		require.NotContains(t, log.String(), "card")
		require.NotContains(t, log.String(), "ciphertext")
	}
}

func TestBrowsersUseHTTPSForEveryPath(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{"https://baton.example.com": "max-age=31536000", "http://127.0.0.1:8080": "", "": ""} {
		mux := http.NewServeMux()
		telemetry.NewHealth(slog.New(slog.DiscardHandler)).Register(mux)
		for _, path := range []string{"/healthz", "/readyz", codecserver.Path + "decode"} {
			answer := httptest.NewRecorder()
			GatewayOptions{URL: url}.strict(mux).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
			require.Equal(t, want, answer.Header().Get("Strict-Transport-Security"), path)
		}
	}
}
