package web_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/identity"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// gatewayLog collects a gateway's log.
type gatewayLog struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *gatewayLog) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(line)
}

func (l *gatewayLog) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// pages is a server of the pages over a desk with the people of the demo, and over conversations in memory.
//
// No dispatcher runs: tests also sync conversations of their own, which the engine does not run. A task is matched
// when its conversation is synced.
type pages struct {
	t      *testing.T
	desk   *desk.Desk
	engine *batontest.Engine
	log    *gatewayLog
	*httptest.Server
}

// servePages starts the server. The options may depend on its address.
func servePages(t *testing.T, options func(address string) site.Options) *pages {
	t.Helper()
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	_, err = people.SeedDemo(t.Context(), d)
	require.NoError(t, err)
	engine := batontest.NewEngine(routing.NewConversationDesk(d))
	p := &pages{t: t, desk: d, engine: engine, log: &gatewayLog{}, Server: httptest.NewUnstartedServer(nil)}
	o := options("http://" + p.Listener.Addr().String())
	o.Logger = slog.New(slog.NewTextHandler(p.log, nil))
	p.Config.Handler = p.handler(o)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

func demo(string) site.Options { return site.Options{Demo: true} }

// handler returns pages with other options over the same desk and conversations, with limits of their own.
func (p *pages) handler(o site.Options) http.Handler {
	return web.New(p.desk, commands.New(p.engine, p.desk, nil), o).Handler()
}

func (p *pages) open(b identitytest.Browser, path string) identitytest.Page {
	p.t.Helper()
	page, err := b.Open(p.t.Context(), p.URL+path)
	require.NoError(p.t, err)
	return page
}

func (p *pages) send(b identitytest.Browser, path string, form url.Values) identitytest.Page {
	p.t.Helper()
	page, err := b.Send(p.t.Context(), p.URL+path, form)
	require.NoError(p.t, err)
	return page
}

// signedIn returns a browser in which a person of the demo has signed in.
func (p *pages) signedIn(form url.Values) identitytest.Browser {
	p.t.Helper()
	b := identitytest.NewBrowser()
	require.Equal(p.t, http.StatusOK, p.send(b, "/sign-in", form).Status)
	return b
}

// staying is [pages.signedIn] with a browser that follows no redirects.
func (p *pages) staying(form url.Values) identitytest.Browser {
	p.t.Helper()
	b := identitytest.NewBrowser(p.URL)
	require.Equal(p.t, http.StatusSeeOther, p.send(b, "/sign-in", form).Status)
	return b
}

// requireIn and requireOut check whether the browser is signed in, with the page that all agents may open.
func (p *pages) requireIn(b identitytest.Browser, name string) {
	p.t.Helper()
	page := p.open(b, "/desk")
	require.Equal(p.t, "/desk", page.URL.Path)
	require.Equal(p.t, http.StatusOK, page.Status)
	require.Contains(p.t, page.Body, ">"+name+"</span>")
}

func (p *pages) requireOut(b identitytest.Browser) {
	p.t.Helper()
	require.Equal(p.t, "/sign-in", p.open(b, "/desk").URL.Path)
}

// cookie returns the session cookie that the response sets, nil for none.
func cookie(page identitytest.Page) *http.Cookie {
	for _, c := range (&http.Response{Header: page.Header}).Cookies() {
		if c.Name == "baton" {
			return c
		}
	}
	return nil
}

// with requests a page with a session token, as a person who has seen the token could.
func (p *pages) with(token, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.t.Context(), http.MethodGet, path, nil)
	r.Header.Set("Cookie", "baton="+token)
	w := httptest.NewRecorder()
	p.Config.Handler.ServeHTTP(w, r)
	return w
}

func TestSignInToDemo(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	b := identitytest.NewBrowser()
	asked := p.open(b, "/conversations?status=active")
	require.Equal(t, "/sign-in", asked.URL.Path)
	require.Equal(t, "/conversations?status=active", asked.URL.Query().Get("next"))
	for _, name := range []string{"alice", "bob", "carol"} {
		require.Contains(t, asked.Body, `name="agent" value="`+name+`"`)
	}
	require.Contains(t, asked.Body, `name="administrator" value="carol"`)
	require.NotContains(t, asked.Body, `name="administrator" value="alice"`)
	require.Contains(t, asked.Body, `name="next" value="/conversations?status=active"`)

	page := p.send(b, "/sign-in", url.Values{"agent": {"carol"}, "next": {"/conversations?status=active"}})
	require.Equal(t, "/conversations?status=active", page.URL.RequestURI())
	require.Equal(t, http.StatusOK, page.Status)
	require.NotContains(t, page.Body, "Administration")
	p.requireIn(b, "carol")

	p.send(b, "/sign-in", url.Values{"administrator": {"carol"}})
	require.Contains(t, p.open(b, "/desk").Body, "Administration")
	p.send(b, "/sign-in", url.Values{"agent": {"alice"}})
	p.requireIn(b, "alice")
	require.NotContains(t, p.open(b, "/desk").Body, "Administration")
}

func TestSignInToDemoIsRefused(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for _, test := range []struct {
		name     string
		form     url.Values
		status   int
		sentence string
	}{
		{"an agent isn't an administrator", url.Values{"administrator": {"alice"}}, http.StatusForbidden, "Only a supervisor"},
		{"an unknown agent", url.Values{"agent": {"mallory"}}, http.StatusUnprocessableEntity, "no such agent"},
		{"nobody", nil, http.StatusUnprocessableEntity, "no such agent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := identitytest.NewBrowser()
			page := p.send(b, "/sign-in", test.form)
			require.Equal(t, test.status, page.Status)
			require.Contains(t, page.Body, test.sentence)
			p.requireOut(b)
		})
	}
}

func TestDemoIsForThisMachine(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for _, test := range []struct {
		name, from, host, header string
		offered                  bool
	}{
		{"this machine", "127.0.0.1:4000", "127.0.0.1:8080", "", true},
		{"this machine by name", "127.0.0.1:4000", "localhost:8080", "", true},
		{"this machine by the new protocol", "[::1]:4000", "[::1]:8080", "", true},
		{"this machine without a port", "[::1]:4000", "[::1]", "", true},
		{"another machine", "192.0.2.7:4000", "127.0.0.1:8080", "", false},
		{"a name that was pointed here", "127.0.0.1:4000", "evil.example:8080", "", false},
		{"a name that only begins like it", "127.0.0.1:4000", "127.0.0.1.evil.example", "", false},
		{"a proxy on this machine", "127.0.0.1:4000", "127.0.0.1:8080", "X-Forwarded-For", false},
		{"no address", "@", "127.0.0.1:8080", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ask := func(method string) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, "/sign-in", strings.NewReader("agent=alice"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.RemoteAddr, r.Host = test.from, test.host
				if test.header != "" {
					r.Header.Set(test.header, "192.0.2.7")
				}
				w := httptest.NewRecorder()
				p.Config.Handler.ServeHTTP(w, r)
				return w
			}
			shown, sent := ask(http.MethodGet), ask(http.MethodPost)
			require.Equal(t, test.offered, strings.Contains(shown.Body.String(), "alice"))
			if test.offered {
				require.Equal(t, http.StatusSeeOther, sent.Code)
				return
			}
			require.Equal(t, http.StatusForbidden, sent.Code)
			require.Contains(t, shown.Body.String(), "only on the machine that Baton runs on")
		})
	}
}

func TestNobodyCanSignIn(t *testing.T) {
	t.Parallel()
	p := servePages(t, func(string) site.Options { return site.Options{} })
	b := identitytest.NewBrowser()
	page := p.open(b, "/sign-in")
	require.Equal(t, http.StatusOK, page.Status)
	require.Contains(t, page.Body, "BATON_OIDC_ISSUER")
	require.NotContains(t, page.Body, "alice")
	require.Equal(t, http.StatusForbidden, p.send(b, "/sign-in", url.Values{"agent": {"alice"}}).Status)
	require.Equal(t, http.StatusNotFound, p.open(b, "/sign-in/oidc").Status)
	require.Equal(t, http.StatusNotFound, p.open(b, "/sign-in/callback?code=x&state=y").Status)
	p.requireOut(b)
}

func TestNextIsAPageOfOurs(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for next, want := range map[string]string{
		"":                              "/",
		"/conversations?status=active":  "/conversations?status=active",
		"https://evil.example/desk":     "/desk",
		"//evil.example/desk":           "/desk",
		"///evil.example":               "/",
		`/\evil.example`:                "/",
		"/%2Fevil.example":              "/",
		"javascript:alert(1)":           "/",
		"/sign-in?next=/desk":           "/",
		"/sign-out":                     "/",
		"/desk\r\nSet-Cookie: baton=no": "/",
	} {
		b := identitytest.NewBrowser(p.URL)
		page := p.send(b, "/sign-in", url.Values{"agent": {"carol"}, "next": {next}})
		require.Equal(t, http.StatusSeeOther, page.Status, next)
		require.Equal(t, p.URL+want, page.Location.String(), next)
	}
}

func TestSessionIsRenewedAndEnds(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	b := identitytest.NewBrowser(p.URL) // stays on each page
	first := cookie(p.send(b, "/sign-in", url.Values{"agent": {"alice"}}))
	require.True(t, first.HttpOnly)
	require.Equal(t, http.SameSiteLaxMode, first.SameSite)
	require.False(t, first.Secure, "plain HTTP, on one's own machine")
	require.Equal(t, http.StatusOK, p.with(first.Value, "/desk").Code)

	second := cookie(p.send(b, "/sign-in", url.Values{"agent": {"bob"}}))
	require.NotEqual(t, first.Value, second.Value)
	require.Equal(t, http.StatusSeeOther, p.with(first.Value, "/desk").Code, "a token from before signing in is worth nothing")
	require.Contains(t, p.with(second.Value, "/desk").Body.String(), ">bob</span>")

	page := p.send(b, "/sign-out", nil)
	require.Equal(t, http.StatusSeeOther, page.Status)
	require.Equal(t, p.URL+"/sign-in", page.Location.String())
	require.Equal(t, http.StatusSeeOther, p.with(second.Value, "/desk").Code)
	require.Contains(t, p.open(b, "/sign-in").Body, "You are signed out.")
	p.requireOut(identitytest.NewBrowser())
}

// TestSignOutOfNobody: a sign-out without a session stores nothing.
func TestSignOutOfNobody(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	b := identitytest.NewBrowser(p.URL)
	page := p.send(b, "/sign-out", nil)
	require.Equal(t, p.URL+"/sign-in", page.Location.String())
	require.Nil(t, cookie(page))
	require.NotContains(t, p.open(b, "/sign-in").Body, "You are signed out.")

	codes := map[int]int{}
	for range 300 {
		codes[askFrom(t, p.Config.Handler, "192.0.2.7:4000", http.MethodPost, "/sign-out", "", nil).Code]++
	}
	require.GreaterOrEqual(t, codes[http.StatusSeeOther], 100)
	require.Positive(t, codes[http.StatusTooManyRequests])

	token := cookie(p.send(b, "/sign-in", url.Values{"agent": {"alice"}})).Value
	w := askFrom(t, p.Config.Handler, "192.0.2.7:4000", http.MethodPost, "/sign-out", token, nil)
	require.Equal(t, http.StatusSeeOther, w.Code, "who is signed in can always sign out")
	require.Equal(t, http.StatusSeeOther, p.with(token, "/desk").Code)
}

// TestCookiesOverTLS: other hosts of the domain, and responses over plain HTTP, cannot set the cookies.
func TestCookiesOverTLS(t *testing.T) {
	t.Parallel()
	set := func(o site.Options, path string) (http.Header, *http.Cookie) {
		p := servePages(t, func(string) site.Options { return o })
		form := url.Values{"agent": {"alice"}, "name": {"Ann"}, "text": {"Hello"}, "once": {uuid.NewString()}}
		w := askFrom(t, p.Config.Handler, "127.0.0.1:4000", http.MethodPost, "http://127.0.0.1"+path, "", form)
		for _, c := range w.Result().Cookies() {
			if strings.HasSuffix(c.Name, map[string]string{"/sign-in": "baton", "/chat/start": "baton_chat"}[path]) {
				return w.Header(), c
			}
		}
		require.Fail(t, "no cookie is set", "%s: %d %s", path, w.Code, w.Body)
		return nil, nil
	}
	tls, plain := site.Options{Demo: true, URL: "https://baton.example.com"}, site.Options{Demo: true, URL: "http://127.0.0.1:8080"}
	header, c := set(tls, "/sign-in")
	require.Equal(t, "__Host-baton", c.Name)
	require.True(t, c.Secure)
	require.Equal(t, "/", c.Path, "as __Host- requires")
	require.Empty(t, c.Domain, "as __Host- requires")
	require.Equal(t, "max-age=31536000", header.Get("Strict-Transport-Security"))
	_, c = set(tls, "/chat/start")
	require.Equal(t, "__Secure-baton_chat", c.Name)
	require.True(t, c.Secure)
	require.Equal(t, "/chat", c.Path)

	for path, name := range map[string]string{"/sign-in": "baton", "/chat/start": "baton_chat"} {
		header, c = set(plain, path)
		require.Equal(t, name, c.Name)
		require.False(t, c.Secure)
		require.Empty(t, header.Get("Strict-Transport-Security"))
	}
}

func TestRoleIsTheDesks(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	ctx := t.Context()
	carol, administrator := p.signedIn(url.Values{"agent": {"carol"}}), p.signedIn(url.Values{"administrator": {"carol"}})
	require.Equal(t, http.StatusOK, p.open(carol, "/conversations").Status)
	require.Contains(t, p.open(administrator, "/desk").Body, "Administration")

	agent := desk.RoleAgent
	require.NoError(t, people.UpdateAgent(ctx, p.desk, "carol", people.AgentChange{Role: &agent}))
	require.Equal(t, http.StatusForbidden, p.open(carol, "/conversations").Status)
	require.Equal(t, http.StatusForbidden, p.open(administrator, "/conversations").Status, "who was a supervisor is no administrator")

	require.NoError(t, people.RemoveAgent(ctx, p.desk, "carol"))
	p.requireOut(carol)
	require.NoError(t, people.AddAgent(ctx, p.desk, people.NewAgent{Name: "carol", Role: desk.RoleAdmin}))
	p.requireOut(administrator) // the new carol is another person
}

// TestFormsOfOtherSitesAreRefused: requests that another site's page makes a browser send are refused.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	alice := cookie(p.send(identitytest.NewBrowser(p.URL), "/sign-in", url.Values{"agent": {"alice"}})).Value
	send := func(path, form string, header ...string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", "baton="+alice)
		r.RemoteAddr, r.Host = "127.0.0.1:4000", "127.0.0.1:8080"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		p.Config.Handler.ServeHTTP(w, r)
		return w.Code
	}
	presence := func() desk.Presence {
		agent, err := people.FindAgent(t.Context(), p.desk, "alice")
		require.NoError(t, err)
		return agent.Presence
	}
	for path, form := range map[string]string{"/sign-in": "agent=bob", "/sign-out": "", "/desk/status": "presence=offline"} {
		for name, header := range map[string][]string{
			"by its origin":        {"Origin", "https://evil.example"},
			"by the browser's say": {"Sec-Fetch-Site", "cross-site"},
		} {
			require.Equal(t, http.StatusForbidden, send(path, form, header...), "%s, %s", path, name)
		}
	}
	require.Equal(t, desk.PresenceAvailable, presence())
	require.Equal(t, http.StatusSeeOther, send("/desk/status", "presence=offline", "Origin", "http://127.0.0.1:8080"), "she is still signed in")
	require.Equal(t, desk.PresenceOffline, presence())
}

// TestSignInWithProvider uses the pages and a real provider's pages, as a browser does.
func TestSignInWithProvider(t *testing.T) { //nolint:tparallel // its last subtest stops the shared provider
	t.Parallel()
	program, err := identitytest.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	var provider *identitytest.Provider
	var o identitytest.Options
	p := servePages(t, func(address string) site.Options {
		o = identitytest.Options{Redirect: address + site.CallbackPath, SignedOutURL: address + site.SignInPath}
		provider, err = program.Start(t.Context(), o)
		require.NoError(t, err)
		o.Address = strings.TrimPrefix(provider.Issuer, "http://")
		return site.Options{URL: address, Provider: identity.New(identity.Options{
			Issuer: provider.Issuer, ClientID: "baton", ClientSecret: identitytest.Secret, RedirectURL: o.Redirect, SignedOutURL: o.SignedOutURL,
		})}
	})
	require.NoError(t, people.AddAgent(t.Context(), p.desk, people.NewAgent{Name: "dora", FriendlyName: "Dora D.", Role: desk.RoleAdmin}))
	signIn := func(b identitytest.Browser, name string) identitytest.Page {
		t.Helper()
		page, err := b.SignIn(t.Context(), p.open(b, "/sign-in/oidc?next=/desk%3Fx%3D1"), name, identitytest.Password)
		require.NoError(t, err)
		return page
	}

	t.Run("an agent signs in and out", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser()
		asked := p.open(b, "/desk?x=1")
		require.Contains(t, asked.Body, `href="/sign-in/oidc?next=%2fdesk%3fx%3d1"`)
		require.NotContains(t, asked.Body, "alice")
		page := signIn(b, "alice")
		require.Equal(t, "/desk?x=1", page.URL.RequestURI(), page.Body)
		p.requireIn(b, "alice")

		page = p.send(b, "/sign-out", nil)
		require.Equal(t, "/sign-in", page.URL.Path)
		_, farewell, found := strings.Cut(page.Header.Get("Refresh"), "url=")
		require.True(t, found)
		require.True(t, strings.HasPrefix(farewell, provider.Issuer+"/"))
		p.requireOut(b)
		page, err := b.Open(t.Context(), farewell)
		require.NoError(t, err)
		require.Equal(t, p.URL+"/sign-in", page.URL.String())
		require.NotContains(t, page.Header, "Refresh")
	})
	t.Run("an unknown person sees whom to ask", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser()
		page := signIn(b, "mallory")
		require.Equal(t, http.StatusForbidden, page.Status)
		require.Contains(t, page.Body, "mallory")
		require.Contains(t, page.Body, "Dora D.")
		require.Contains(t, page.Body, "to sign in with another account")
		p.requireOut(b)
	})
	t.Run("another account under the same name is refused until it is released", func(t *testing.T) { //nolint:paralleltest // see above
		require.NoError(t, access.BindIdentity(t.Context(), p.desk, "bob", provider.Issuer, "id-of-the-bob-before"))
		b := identitytest.NewBrowser()
		page := signIn(b, "bob")
		require.Equal(t, http.StatusForbidden, page.Status)
		require.Contains(t, page.Body, "release the binding")
		require.Contains(t, page.Body, "Dora D.")
		require.NotContains(t, page.Body, "id-of-the-bob-before")
		p.requireOut(b)

		require.NoError(t, people.UpdateAgent(t.Context(), p.desk, "alice", people.AgentChange{Role: new(desk.RoleAdmin)}))
		admin := identitytest.NewBrowser()
		signIn(admin, "alice")
		require.Contains(t, p.open(admin, "/admin/agents/bob").Body, "id-of-the-bob-before")
		require.Contains(t, p.send(admin, "/admin/agents/bob/unbind", nil).Body, "Released.")
		require.NotContains(t, p.open(admin, "/admin/agents/bob").Body, "id-of-the-bob-before")
		signIn(b, "bob")
		p.requireIn(b, "bob")
		bound, found, err := access.IdentityOf(t.Context(), p.desk, "bob")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, provider.Issuer, bound.Issuer)
		for _, line := range []string{
			"event=sign_in outcome=accepted who=alice role=agent address=127.0.0.1", "event=sign_out outcome=accepted who=alice",
			`event=sign_in outcome=refused who=mallory address=127.0.0.1 route="GET /sign-in/callback" reason="unknown agent"`,
			`event=sign_in outcome=refused who=bob address=127.0.0.1 route="GET /sign-in/callback" reason="bound to another account"`,
		} {
			require.Contains(t, p.log.String(), line)
		}
	})
	t.Run("a person who refuses consent", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser()
		page, err := b.Deny(t.Context(), p.open(b, "/sign-in/oidc"))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, page.Status)
		require.Contains(t, page.Body, "did not let you sign in")
		require.Contains(t, page.Body, "Sign in with")
		p.requireOut(b)
	})
	t.Run("an answer is good once, and for the browser that began", func(t *testing.T) { //nolint:paralleltest // see above
		b, thief := identitytest.NewBrowser(o.Redirect), identitytest.NewBrowser()
		answer := signIn(b, "alice").Location
		require.NotNil(t, answer)
		for _, browser := range []identitytest.Browser{thief, identitytest.NewBrowser()} {
			page := p.open(browser, answer.RequestURI())
			require.Equal(t, http.StatusBadRequest, page.Status)
			require.Contains(t, page.Body, "not the sign-in that you began")
		}
		require.Equal(t, p.URL+"/desk?x=1", p.open(b, answer.RequestURI()).URL.String())
		require.Equal(t, http.StatusBadRequest, p.open(b, answer.RequestURI()).Status)
	})
	t.Run("the token from before is worth nothing", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser(provider.Issuer) // stays here
		planted := cookie(p.open(b, "/sign-in/oidc")).Value
		visitor := identitytest.NewBrowser(o.Redirect)
		visitor.SetCookie(p.URL, "baton", planted)
		page, err := visitor.Open(t.Context(), p.URL+"/sign-in/oidc")
		require.NoError(t, err)
		page, err = visitor.SignIn(t.Context(), page, "alice", identitytest.Password)
		require.NoError(t, err)
		require.Equal(t, "/desk", p.open(visitor, page.Location.RequestURI()).URL.Path)
		require.Equal(t, http.StatusSeeOther, p.with(planted, "/desk").Code)
	})
	t.Run("two tabs sign in", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser()
		tabs := make([]identitytest.Page, 6)
		for n := range tabs {
			tabs[n] = p.open(b, fmt.Sprintf("/sign-in/oidc?next=/desk%%3Ftab%%3D%d", n))
		}
		back := func(n int) identitytest.Page {
			page, err := b.SignIn(t.Context(), tabs[n], "alice", identitytest.Password)
			require.NoError(t, err)
			return page
		}
		for _, n := range []int{1, 5, 3} { // the first return renews the session
			require.Equal(t, fmt.Sprintf("/desk?tab=%d", n), back(n).URL.RequestURI())
			p.requireIn(b, "alice")
		}
		require.Equal(t, http.StatusBadRequest, back(0).Status, "it was one too many")
	})
	t.Run("what has begun is soon forgotten, and who is signed in stays so", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser(provider.Issuer) // stays here
		require.InDelta(t, 600, cookie(p.open(b, "/sign-in/oidc")).MaxAge, 5)

		b = identitytest.NewBrowser(o.Redirect, p.URL+"/desk")
		in := cookie(p.open(b, signIn(b, "alice").Location.RequestURI()))
		require.InDelta(t, 24*3600, in.MaxAge, 60)
		again := cookie(identitytest.Page{Header: p.with(in.Value, "/sign-in/oidc").Header()})
		require.InDelta(t, 24*3600, again.MaxAge, 60)
		p.requireIn(b, "alice")
	})
	t.Run("one address begins only so many", func(t *testing.T) { //nolint:paralleltest // see above
		codes := map[int]int{}
		for range 300 {
			codes[askFrom(t, p.Config.Handler, "192.0.2.7:4000", http.MethodGet, "/sign-in/oidc", "", nil).Code]++
		}
		require.GreaterOrEqual(t, codes[http.StatusSeeOther], 100)
		require.Positive(t, codes[http.StatusTooManyRequests])
		require.Equal(t, http.StatusSeeOther, askFrom(t, p.Config.Handler, "192.0.2.8:4000", http.MethodGet, "/sign-in/oidc", "", nil).Code)
	})
	t.Run("the provider is away, and comes back", func(t *testing.T) { //nolint:paralleltest // see above
		b := identitytest.NewBrowser()
		at := p.open(b, "/sign-in/oidc")
		require.NoError(t, provider.Stop())
		begun := identitytest.NewBrowser(provider.Issuer)
		state := p.open(begun, "/sign-in/oidc").Location.Query().Get("state")
		page := p.open(begun, "/sign-in/callback?"+url.Values{"state": {state}, "code": {"x"}}.Encode())
		require.Equal(t, http.StatusServiceUnavailable, page.Status)
		require.Contains(t, page.Body, "be reached now. Try again")
		require.Contains(t, p.log.String(), "OpenID provider unreachable")

		provider, err = program.Start(t.Context(), o)
		require.NoError(t, err)
		_, err := b.SignIn(t.Context(), at, "alice", identitytest.Password) // the restarted provider has no state
		require.NoError(t, err)
		require.Equal(t, "/desk?x=1", signIn(b, "alice").URL.RequestURI())
		require.NoError(t, provider.Stop())
	})
	for _, secret := range []string{identitytest.Secret, "eyJ", fmt.Sprintf("%q", identitytest.Password)} {
		require.NotContains(t, p.log.String(), secret)
	}
}
