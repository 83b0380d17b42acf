package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/web/site"
)

// beginChat begins a chat through a proxy. It returns false if the chat was refused because of too many chats.
func beginChat(t *testing.T, handler http.Handler, proxy string, chain ...string) bool {
	t.Helper()
	form := url.Values{"name": {"Ann"}, "text": {"Hello"}, "once": {uuid.NewString()}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/chat/start", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range chain {
		r.Header.Add("X-Forwarded-For", line)
	}
	r.RemoteAddr = proxy
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code == http.StatusTooManyRequests {
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		return false
	}
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body.String())
	return true
}

// TestCustomersBehindOneProxy: each customer has their own limit, and forged addresses do not give a customer
// another one.
func TestCustomersBehindOneProxy(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	serve := func(trusted ...netip.Prefix) http.Handler {
		return forwarded.Options{Trusted: trusted}.Handler(p.handler(site.Options{}))
	}
	proxy := netip.MustParsePrefix("10.0.0.0/8")

	behind := serve(proxy)
	for n := range 40 {
		require.True(t, beginChat(t, behind, "10.0.0.1:4000", fmt.Sprintf("198.51.100.%d", n)), "customer %d", n)
	}
	behind, served := serve(proxy), 0
	for n := range 40 {
		if beginChat(t, behind, "10.0.0.1:4000", fmt.Sprintf("203.0.113.%d, 198.51.100.1", n)) {
			served++
		}
	}
	require.InDelta(t, 10, served, 2, "one customer, who makes up 40 addresses")

	untrusted, served := serve(), 0
	for n := range 40 {
		if beginChat(t, untrusted, "10.0.0.1:4000", fmt.Sprintf("198.51.100.%d", n)) {
			served++
		}
	}
	require.InDelta(t, 10, served, 2, "a header of a peer that is not trusted gives no limit of its own")
}

func TestLimitsAreSettings(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	served := func(limits site.Limits, addresses int) (count int) {
		handler := p.handler(site.Options{Limits: limits})
		for n := range 30 {
			if beginChat(t, handler, fmt.Sprintf("198.51.100.%d:4000", n%addresses)) {
				count++
			}
		}
		return count
	}
	hour := func(count int) limit.Pace { return limit.Pace{Count: count, Per: time.Hour} }
	require.Equal(t, 3, served(site.Limits{Chats: hour(3)}, 1))
	require.Equal(t, 30, served(site.Limits{Chats: hour(30)}, 1))
	require.Equal(t, 5, served(site.Limits{Chats: hour(3), ChatsTotal: hour(5)}, 30))

	signIns := func(limits site.Limits) (refused int) {
		handler := p.handler(site.Options{Demo: true, Limits: limits})
		for range 5 {
			if askFrom(t, handler, "198.51.100.1:4000", http.MethodPost, "/sign-out", "", nil).Code == http.StatusTooManyRequests {
				refused++
			}
		}
		return refused
	}
	require.Zero(t, signIns(site.Limits{}))
	require.Equal(t, 3, signIns(site.Limits{SignIns: hour(2)}))
	require.Equal(t, 4, signIns(site.Limits{SignInsTotal: hour(1)}))
}

func TestUnknownPathsHaveAPage(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	ask := func(method, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.Config.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
		return w
	}
	for _, path := range []string{"/nowhere", "/desk/a/b/c/d", "/admin/nothing/here", "/chat/nowhere", "/wp-login.php", "/%00"} {
		w := ask(http.MethodGet, path)
		require.Equal(t, http.StatusNotFound, w.Code, path)
		require.Contains(t, w.Body.String(), "There is no page at this address.", path)
		require.Contains(t, w.Header().Get("Content-Type"), "text/html", path)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Empty(t, w.Header().Get("WWW-Authenticate"), path)
	}
	w := ask(http.MethodGet, "/sign-out")
	require.Equal(t, http.StatusMethodNotAllowed, w.Code, "the path is there, for another method")
	require.Equal(t, "POST", w.Header().Get("Allow"))
}

// TestFormsBehindAProxyThatRewritesTheHost: an older browser sends no Sec-Fetch-Site, and its Origin is the public
// one.
func TestFormsBehindAProxyThatRewritesTheHost(t *testing.T) {
	t.Parallel()
	p := servePages(t, func(string) site.Options { return site.Options{URL: "https://baton.example.com"} })
	for origin, refused := range map[string]bool{
		"https://baton.example.com": false, "http://baton.example.com": true, "https://baton.example.com:8443": true, "https://evil.example": true, "null": true,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://10.0.0.9:8080/sign-out", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		p.Config.Handler.ServeHTTP(w, r)
		require.Equal(t, refused, w.Code == http.StatusForbidden, origin)
	}
}

// TestTheDemoIsNotForAProxy: requests of a proxy on this machine that adds no header do not count as local.
func TestTheDemoIsNotForAProxy(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	ask := func(trusted []netip.Prefix, header ...string) int {
		handler := forwarded.Options{Trusted: trusted}.Handler(p.Config.Handler)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:8080/sign-in", strings.NewReader("agent=alice"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = "127.0.0.1:4000"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	require.Equal(t, http.StatusSeeOther, ask(nil))
	require.Equal(t, http.StatusForbidden, ask(loopback))
	require.Equal(t, http.StatusForbidden, ask(loopback, "X-Forwarded-For", "127.0.0.1"))
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "Via", "Cf-Connecting-Ip"} {
		require.Equal(t, http.StatusForbidden, ask(nil, name, "127.0.0.1"), name)
	}
}
