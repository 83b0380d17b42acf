package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/limit"
)

// edge is the API as a gateway serves it, with the test's own options.
type edge struct {
	*environment

	handler http.Handler
}

func (h *environment) edge(o rest.Options, trusted ...netip.Prefix) edge {
	return edge{h, forwarded.Options{Trusted: trusted}.Handler(httpapi.New(h.desk, h.sender(), o).Handler())}
}

// asks sends a request from an address. The headers are pairs of a name and a value.
func (e edge) asks(as key, from, method, target string, header ...string) answer {
	e.t.Helper()
	r := httptest.NewRequestWithContext(e.t.Context(), method, target, nil)
	r.RemoteAddr = from
	if as != (key{}) {
		r.SetBasicAuth(as.user, as.secret)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	e.handler.ServeHTTP(w, r)
	return answer{e.t, w.Code, w.Header(), w.Body.String()}
}

const clientAddress = "198.51.100.1:4000"

// TestWrongCredentialsAreLimitedByAddress checks that too many wrong credentials are refused for a while, and valid
// ones never are.
func TestWrongCredentialsAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	e := h.edge(rest.Options{WrongCredentials: limit.Pace{Count: 5, Per: 50 * time.Minute}})
	wrong := []key{
		{h.service.user, "wrong"}, {h.account.SID, "wrong"}, {"SK0123456789abcdef0123456789abcdef", h.service.secret}, {"", "wrong"}, {"alice", ""},
	}
	for _, k := range wrong {
		e.asks(k, clientAddress, http.MethodGet, "/v1/Workspaces").isError(http.StatusUnauthorized, 20003)
	}
	for _, k := range wrong {
		for _, path := range []string{"/v1/Workspaces", "/v1/nowhere", "/"} {
			a := e.asks(k, clientAddress, http.MethodGet, path)
			a.isError(http.StatusTooManyRequests, 20429)
			require.Empty(t, a.header.Get("WWW-Authenticate"))
			after, err := strconv.Atoi(a.header.Get("Retry-After"))
			require.NoError(t, err)
			require.InDelta(t, 600, after, 5, "one in ten minutes")
		}
	}
	fresh := h.newKey(access.KeyService, "")
	for _, right := range []key{h.service, h.owner(), h.alice, fresh} {
		e.asks(right, clientAddress, http.MethodGet, "/v1/Workspaces").is(http.StatusOK)
	}
	for range 20 {
		e.asks(key{}, clientAddress, http.MethodGet, "/v1/Workspaces").isError(http.StatusUnauthorized, 20003)
	}
	e.asks(wrong[0], "198.51.100.2:4000", http.MethodGet, "/v1/Workspaces").isError(http.StatusUnauthorized, 20003)
	e.asks(h.alice, clientAddress, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Events").isError(http.StatusForbidden, 20403)
}

// TestRightCredentialsUseUpNoLimit checks that only wrong credentials count.
func TestRightCredentialsUseUpNoLimit(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	e := h.edge(rest.Options{WrongCredentials: limit.Pace{Count: 2, Per: time.Hour}})
	for range 50 {
		e.asks(h.service, clientAddress, http.MethodGet, "/v1/Workspaces").is(http.StatusOK)
		e.asks(key{}, clientAddress, http.MethodGet, "/v1/Workspaces").isError(http.StatusUnauthorized, 20003)
		e.asks(h.alice, clientAddress, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Events").isError(http.StatusForbidden, 20403)
	}
	for range 2 {
		e.asks(key{h.service.user, "wrong"}, clientAddress, http.MethodGet, "/v1/Workspaces").isError(http.StatusUnauthorized, 20003)
	}
	e.asks(key{h.service.user, "wrong"}, clientAddress, http.MethodGet, "/v1/Workspaces").isError(http.StatusTooManyRequests, 20429)
}

// TestWrongCredentialsByDefault checks the default limits, also with many concurrent requests.
func TestWrongCredentialsByDefault(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	e := h.edge(rest.Options{})
	var asking sync.WaitGroup
	statuses := make([]int, 300)
	began := time.Now()
	for i := range statuses {
		asking.Go(func() {
			statuses[i] = e.asks(key{h.service.user, "wrong"}, clientAddress, http.MethodGet, "/v1/Workspaces").status
		})
	}
	asking.Wait()
	counts := map[int]int{}
	for _, status := range statuses {
		counts[status]++
	}
	require.Len(t, counts, 2, "%v", counts)
	require.GreaterOrEqual(t, counts[http.StatusUnauthorized], 60)
	require.LessOrEqual(t, counts[http.StatusUnauthorized], 61+int(time.Since(began).Seconds()), "one more in each second")
	e.asks(h.service, clientAddress, http.MethodGet, "/v1/Workspaces").is(http.StatusOK)
}

// TestWrongCredentialsBehindAProxy checks that a client is limited by its real address, regardless of the address that
// its headers claim.
func TestWrongCredentialsBehindAProxy(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	e := h.edge(rest.Options{WrongCredentials: limit.Pace{Count: 1, Per: time.Hour}}, netip.MustParsePrefix("10.0.0.0/8"))
	wrong := key{h.service.user, "wrong"}
	ask := func(chain string) answer {
		return e.asks(wrong, "10.0.0.1:4000", http.MethodGet, "/v1/Workspaces", "X-Forwarded-For", chain)
	}
	ask("198.51.100.1").isError(http.StatusUnauthorized, 20003)
	ask("203.0.113.9, 198.51.100.1").isError(http.StatusTooManyRequests, 20429)
	ask("198.51.100.2, 10.0.0.2").isError(http.StatusUnauthorized, 20003)
	ask("[2001:db8:1:2::1]:443").isError(http.StatusUnauthorized, 20003)
	ask("2001:db8:1:2::2").isError(http.StatusTooManyRequests, 20429)

	total := h.edge(rest.Options{WrongCredentialsTotal: limit.Pace{Count: 2, Per: time.Hour}})
	for n, status := range []int{http.StatusUnauthorized, http.StatusUnauthorized, http.StatusTooManyRequests} {
		total.asks(wrong, "198.51.100."+strconv.Itoa(n)+":1", http.MethodGet, "/v1/Workspaces").is(status)
	}
	total.asks(h.service, clientAddress, http.MethodGet, "/v1/Workspaces").is(http.StatusOK)
}

// TestStaffCredentialsAreLimited checks that wrong bearer tokens for the codec server count like other wrong
// credentials.
func TestStaffCredentialsAreLimited(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	server := httpapi.New(h.desk, h.sender(), rest.Options{WrongCredentials: limit.Pace{Count: 2, Per: time.Hour}})
	e := edge{h, server.Staff(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))}
	ask := func(authorization string) answer {
		return e.asks(key{}, clientAddress, http.MethodPost, "/codec/decode", "Authorization", authorization)
	}
	ask("Bearer "+h.service.user+":wrong").isError(http.StatusUnauthorized, 20003)
	e.asks(key{h.supervisor.user, "wrong"}, clientAddress, http.MethodPost, "/codec/decode").isError(http.StatusUnauthorized, 20003)
	ask("Bearer "+h.supervisor.user+":wrong").isError(http.StatusTooManyRequests, 20429)
	ask("Bearer " + h.supervisor.user + ":" + h.supervisor.secret).is(http.StatusNoContent)
}

// TestRequestsOfOtherSitesAreRefused checks that pages of other sites are refused: a browser sends remembered
// credentials with the requests of any site.
func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	e := h.edge(rest.Options{URL: "https://baton.example.com"})
	workspace := "https://baton.example.com/v1/Workspaces/" + h.workspace()
	for _, test := range []struct {
		name    string
		header  []string
		refused bool
	}{
		{"a program", nil, false},
		{"another site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, true},
		{"another host of the domain", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://other.example.com"}, true},
		{"another site in an older browser", []string{"Origin", "https://evil.example"}, true},
		{"a sandboxed page", []string{"Origin", "null"}, true},
		{"a page of ours", []string{"Sec-Fetch-Site", "same-origin", "Origin", "https://baton.example.com"}, false},
		{"a page of ours in an older browser", []string{"Origin", "https://baton.example.com"}, false},
		{"a link that was typed", []string{"Sec-Fetch-Site", "none"}, false},
	} {
		for method, path := range map[string]string{http.MethodPost: workspace, http.MethodDelete: workspace + "/Tasks/WT0123456789abcdef0123456789abcdef"} {
			a := e.asks(h.service, clientAddress, method, path, test.header...)
			if test.refused {
				a.isError(http.StatusForbidden, 20403)
				require.Contains(t, a.body, "another site", test.name)
			} else {
				require.NotEqual(t, http.StatusForbidden, a.status, "%s: %s", test.name, a.body)
			}
		}
		e.asks(h.service, clientAddress, http.MethodGet, workspace, test.header...).is(http.StatusOK)
	}
	rewritten := e.asks(h.service, clientAddress, http.MethodPost, "http://10.0.0.9:8080/v1/Workspaces/"+h.workspace(), "Origin", "https://baton.example.com")
	rewritten.is(http.StatusOK)
}

// TestBrowsersGetAPage checks that a browser that requests an unknown path gets a page, and no prompt for a
// password.
func TestBrowsersGetAPage(t *testing.T) {
	t.Parallel()
	const html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	h := newEnvironment(t)
	pages := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no page", http.StatusNotFound) })
	e := h.edge(rest.Options{Elsewhere: pages})
	for _, path := range []string{"/nowhere", "/dashboard/home", "/v1x", "/version1/x", "/%00"} {
		a := e.asks(key{}, clientAddress, http.MethodGet, path, "Accept", html)
		require.Equal(t, "no page\n", a.is(http.StatusNotFound).body, path)
		require.Empty(t, a.header.Get("WWW-Authenticate"))
	}
	for name, header := range map[string][]string{
		"a program": nil, "anything": {"Accept", "*/*"}, "JSON": {"Accept", "application/json"}, "no HTML": {"Accept", "text/html;q=0, application/json"}, "nonsense": {"Accept", ";;,/"},
	} {
		a := e.asks(key{}, clientAddress, http.MethodGet, "/nowhere", header...)
		require.Equal(t, `Basic realm="Baton"`, a.isError(http.StatusUnauthorized, 20003).header.Get("WWW-Authenticate"), name)
	}
	for _, path := range []string{"/v1", "/v1/nowhere", "/v2/Workspaces", "/v1/Workspaces"} {
		e.asks(key{}, clientAddress, http.MethodGet, path, "Accept", html).isError(http.StatusUnauthorized, 20003)
	}
	e.asks(h.service, clientAddress, http.MethodGet, "/nowhere", "Accept", html).isError(http.StatusNotFound, 20404)
	h.edge(rest.Options{}).asks(key{}, clientAddress, http.MethodGet, "/nowhere", "Accept", html).isError(http.StatusUnauthorized, 20003)
}

// TestAddressesInAnswers checks that URLs in answers begin with the public address, and never with a text from the
// client.
func TestAddressesInAnswers(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	h.newKey(access.KeyService, "")
	proxy := netip.MustParsePrefix("10.0.0.0/8")
	const public = "https://baton.example.com"
	for _, test := range []struct {
		name, public, from, host string
		header                   []string
		want                     string
	}{
		{"the host that was asked", "", clientAddress, "127.0.0.1:8080", nil, "http://127.0.0.1:8080"},
		{"a scheme that the client made up", "", clientAddress, "127.0.0.1:8080", []string{"X-Forwarded-Proto", "https"}, "http://127.0.0.1:8080"},
		{"TLS ends at a trusted proxy", "", "10.0.0.1:4000", "baton.example.com", []string{"X-Forwarded-Proto", "https"}, public},
		{"a public address", public, clientAddress, "127.0.0.1:8080", nil, public},
		{"another host", public, clientAddress, "evil.example", []string{"X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example"}, public},
		{"another host of a trusted proxy", public, "10.0.0.1:4000", "evil.example", []string{"X-Forwarded-Host", "evil.example"}, public},
		{"a header without a public address", "", "10.0.0.1:4000", "baton.example.com", []string{"X-Forwarded-Host", "evil.example"}, "http://baton.example.com"},
		{"Twilio's host", public, clientAddress, "taskrouter.twilio.com", nil, "https://taskrouter.twilio.com"},
		{"Twilio's host without a public address", "", clientAddress, "TaskRouter.Twilio.com", nil, "https://TaskRouter.Twilio.com"},
		{"nearly Twilio's host", public, clientAddress, "eviltwilio.com", nil, public},
		{"Twilio's host as a path", public, clientAddress, "evil.example/x.twilio.com", nil, public},
		{"Twilio's host as a user", public, clientAddress, "evil.example@taskrouter.twilio.com", nil, public},
		{"Twilio's host and more", public, clientAddress, "taskrouter.twilio.com.evil.example", nil, public},
	} {
		e := h.edge(rest.Options{URL: test.public}, proxy)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Workers?PageSize=1", nil)
		r.RemoteAddr, r.Host = test.from, test.host
		r.SetBasicAuth(h.service.user, h.service.secret)
		for i := 0; i < len(test.header); i += 2 {
			r.Header.Set(test.header[i], test.header[i+1])
		}
		w := httptest.NewRecorder()
		e.handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", test.name, w.Body)
		var found any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &found))
		addresses := addressesIn(found)
		require.Greater(t, len(addresses), 5)
		for _, address := range addresses {
			require.True(t, strings.HasPrefix(address, test.want+"/v1/"), "%s: %s", test.name, address)
			_, err := url.Parse(address)
			require.NoError(t, err)
		}
	}
}

// addressesIn returns all strings in a JSON value that are URLs.
func addressesIn(value any) (found []string) {
	switch value := value.(type) {
	case string:
		if strings.HasPrefix(value, "http") {
			found = append(found, value)
		}
	case []any:
		for _, entry := range value {
			found = append(found, addressesIn(entry)...)
		}
	case map[string]any:
		for _, entry := range value {
			found = append(found, addressesIn(entry)...)
		}
	}
	return found
}

func TestBrowsersUseTLSAlone(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	const header = "Strict-Transport-Security"
	e := h.edge(rest.Options{URL: "https://baton.example.com"})
	require.Equal(t, "max-age=31536000", e.asks(key{}, clientAddress, http.MethodGet, "/v1/Workspaces").header.Get(header))
	e = h.edge(rest.Options{URL: "http://127.0.0.1:8080"})
	require.Empty(t, e.asks(key{}, clientAddress, http.MethodGet, "/v1/Workspaces").header.Get(header))
}

// TestAnswersAreData checks the headers that keep a browser from rendering or storing an answer of the API.
func TestAnswersAreData(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t).edge(rest.Options{})
	for path, file := range map[string]string{"/v1/Workspaces": "api.json", "/v1/Nothing": "api.json", "/openapi.json": "openapi.json"} {
		header := e.asks(key{}, clientAddress, http.MethodGet, path).header
		require.Equal(t, `attachment; filename="`+file+`"`, header.Get("Content-Disposition"), path)
		require.Equal(t, "default-src 'none'; frame-ancestors 'none'", header.Get("Content-Security-Policy"), path)
		require.Equal(t, "no-store", header.Get("Cache-Control"), path)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
	}
}
