package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/testenv"
)

// proxied is a client behind a proxy on this machine that terminates TLS. It keeps cookies like a browser.
type proxied struct {
	t       *testing.T
	gateway string
	address string
	cookies map[string]string
}

func (p *proxied) asks(method, path string, form url.Values, header ...string) (status int, got http.Header, body string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(in(p.t, testenv.Patience), method, p.gateway+path, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	request.Host = "baton.example.com"
	request.Header.Set("X-Forwarded-For", p.address)
	request.Header.Set("X-Forwarded-Proto", "https")
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range p.cookies {
		request.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // a request has no attributes of cookies
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	require.NoError(p.t, err)
	said, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, response.Body.Close())
	for _, c := range response.Cookies() {
		p.cookies[c.Name] = c.Value
	}
	return response.StatusCode, response.Header, string(said)
}

var formID = regexp.MustCompile(`name="once" value="([^"]+)"`)

// beginsChat opens the customer's page and sends its form.
func (p *proxied) beginsChat(name string) (status int) {
	p.t.Helper()
	status, _, page := p.asks(http.MethodGet, "/chat", nil)
	require.Equal(p.t, http.StatusOK, status)
	once := formID.FindStringSubmatch(page)
	require.NotNil(p.t, once, page)
	status, _, _ = p.asks(http.MethodPost, "/chat/start", url.Values{"name": {name}, "text": {"Hello"}, "once": {once[1]}})
	return status
}

// TestAGatewayBehindAProxy: many customers and a program come through one proxy. Limits apply to each client's
// address, not to the proxy's.
func TestAGatewayBehindAProxy(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	g := launchGateway(t, "gateway behind a proxy", testenv.Variables("BATON_DATABASE="+o.database, "TEMPORAL_ADDRESS="+o.temporal, "BATON_HTTP=127.0.0.1:0",
		"BATON_URL=https://baton.example.com", "BATON_TRUSTED_PROXIES=127.0.0.0/8,::1", "BATON_LIMIT_CHATS=2/1h", "BATON_LIMIT_CREDENTIALS=2/1h"))
	from := func(address string) *proxied {
		return &proxied{t: t, gateway: g.URL, address: address, cookies: map[string]string{}}
	}

	var last *proxied
	for n := range 14 {
		last = from(fmt.Sprintf("198.51.100.%d", n))
		require.Equal(t, http.StatusSeeOther, last.beginsChat(fmt.Sprintf("Customer %d", n)), "each has a limit of their own")
	}
	require.Contains(t, last.cookies, "__Secure-baton_chat")
	_, header, page := last.asks(http.MethodGet, "/chat", nil)
	require.Contains(t, page, "Hello", "the cookie finds the conversation again")
	require.Equal(t, "max-age=31536000", header.Get("Strict-Transport-Security"))
	for n, status := range []int{http.StatusSeeOther, http.StatusSeeOther, http.StatusTooManyRequests, http.StatusTooManyRequests} {
		require.Equal(t, status, from(fmt.Sprintf("203.0.113.%d, 192.0.2.7", n)).beginsChat("Mallory"), "made-up addresses have no limit of their own")
	}

	// A program.
	program := from("192.0.2.8")
	var account struct {
		SID   string `json:"account_sid"`
		Token string `json:"auth_token"`
	}
	require.NoError(t, json.Unmarshal([]byte(o.does(t, "keys", "account", "--json")), &account))
	basic := func(secret string) []string {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL, nil)
		require.NoError(t, err)
		r.SetBasicAuth(account.SID, secret)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	for _, status := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		got, _, body := program.asks(http.MethodGet, "/v1/Workspaces", nil, basic("wrong")...)
		require.Equal(t, status, got, body)
	}
	status, _, body := program.asks(http.MethodGet, "/v1/Workspaces", nil, append(basic(account.Token), "X-Forwarded-Host", "evil.example")...)
	require.Equal(t, http.StatusOK, status, "right credentials from the same address")
	require.Contains(t, body, `"url":"https://baton.example.com/v1/Workspaces`)
	require.NotContains(t, body, "evil.example")
	status, _, _ = program.asks(http.MethodPost, "/v1/Workspaces", nil, append(basic(account.Token), "Origin", "https://evil.example")...)
	require.Equal(t, http.StatusForbidden, status)

	// A browser asks for a page that does not exist; then the log is checked.
	status, header, body = from("192.0.2.9").asks(http.MethodGet, "/nowhere", nil, "Accept", "text/html,*/*;q=0.8")
	require.Equal(t, http.StatusNotFound, status)
	require.Empty(t, header.Get("WWW-Authenticate"))
	require.Contains(t, body, "There is no page at this address.")
	waitFor(t, testenv.Patience, "the log has the client's address", func() bool { return strings.Contains(g.Stderr.String(), `"client":"192.0.2.9"`) })
	require.NotContains(t, g.Stderr.String(), "203.0.113.", "what a client made up")
}
