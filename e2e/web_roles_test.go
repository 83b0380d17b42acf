package e2e

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/site"
)

// pageCaller is a person with a plain HTTP client that keeps cookies, like a browser without scripts.
type pageCaller struct {
	t      *testing.T
	site   string
	client *http.Client
}

func newPageCaller(t *testing.T, site string) *pageCaller {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &pageCaller{t: t, site: site, client: &http.Client{
		Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// as signs in to the demo like its page.
func (c *pageCaller) as(form url.Values) *pageCaller {
	c.t.Helper()
	require.Equal(c.t, http.StatusSeeOther, c.calls(http.MethodPost, "/sign-in", form).status)
	return c
}

// pageAnswer is an answer: the status, the target of a redirect, and the page.
type pageAnswer struct {
	status         int
	location, body string
}

// calls makes one request. Of a stream it reads only the beginning.
func (c *pageCaller) calls(method, path string, form url.Values) (answer pageAnswer) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.site+path, strings.NewReader(form.Encode()))
	require.NoError(c.t, err)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", c.site)
	}
	response, err := c.client.Do(request)
	require.NoError(c.t, err)
	answer.status, answer.location = response.StatusCode, response.Header.Get("Location")
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		said, err := io.ReadAll(response.Body)
		require.NoError(c.t, err)
		answer.body = string(said)
	}
	require.NoError(c.t, response.Body.Close())
	return answer
}

// turnedAway reports whether the answer refuses the page: sign in first, or another role.
func turnedAway(answer pageAnswer) bool {
	signIn := answer.status == http.StatusSeeOther && strings.HasPrefix(answer.location, "/sign-in?")
	return signIn || answer.status == http.StatusUnauthorized ||
		(answer.status == http.StatusForbidden && strings.Contains(answer.body, "This page is not for your role"))
}

// TestEveryPageIsForItsRoles calls every page and every form with every role, and without signing in.
func TestEveryPageIsForItsRoles(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")

	walkers := map[desk.Role]func() *pageCaller{
		"":                  func() *pageCaller { return newPageCaller(t, o.url) },
		desk.RoleAgent:      func() *pageCaller { return newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}}) },
		desk.RoleSupervisor: func() *pageCaller { return newPageCaller(t, o.url).as(url.Values{"agent": {"carol"}}) },
		desk.RoleAdmin:      func() *pageCaller { return newPageCaller(t, o.url).as(url.Values{"administrator": {"carol"}}) },
	}
	routes := web.New(nil, nil, site.Options{}).Routes()
	require.Greater(t, len(routes), 30)
	for role, walker := range walkers {
		for _, r := range routes {
			who := walker() // some forms sign out
			path := strings.NewReplacer("{sid}", sid, "{name}", "nobody", "{plugin}", "none", "{queue}", "none", "{agent}", "nobody").Replace(r.Path)
			require.NotContains(t, path, "{", "%s %s: say what to put in its place", r.Method, r.Path)
			answer := who.calls(r.Method, path, url.Values{})
			require.Equal(t, !slices.Contains(r.Roles(), role), turnedAway(answer), "%s %s for %q: %d", r.Method, r.Path, role, answer.status)
			require.Less(t, answer.status, 500, "%s %s for %q: %s", r.Method, r.Path, role, answer.body)
		}
	}
}

// TestAgentsSeeOnlyWhatIsTheirs: an agent cannot find a conversation of another agent.
func TestAgentsSeeOnlyWhatIsTheirs(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on")
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	o.does(t, "say", sid, "--as", "customer", "Charged twice.")
	alice, bob := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}}), newPageCaller(t, o.url).as(url.Values{"agent": {"bob"}})
	carol := newPageCaller(t, o.url).as(url.Values{"agent": {"carol"}})

	sees := func(c *pageCaller, path string) bool {
		return strings.Contains(c.calls(http.MethodGet, path, nil).body, "Charged twice.")
	}
	require.True(t, sees(alice, "/desk/"+sid))
	require.True(t, sees(carol, "/conversations/"+sid), "a supervisor sees all")
	require.False(t, sees(bob, "/desk/"+sid))
	require.False(t, sees(bob, "/conversations/"+sid))
	for _, form := range []string{"say", "accept", "transfer", "end", "wrapup", "cancel", "decline"} {
		answer := bob.calls(http.MethodPost, "/desk/"+sid+"/"+form, url.Values{
			"text": {"It is me."}, "to": {"queue:billing"}, "once": {form},
		})
		require.NotContains(t, answer.body, "Charged twice.", form)
		require.Contains(t, []int{http.StatusSeeOther, http.StatusForbidden, http.StatusConflict}, answer.status, form)
	}
	record := o.shows(t, sid)
	require.Equal(t, conversation.TaskAssigned, record.Tasks[0].Status, "nothing of it had an effect")
	require.Len(t, record.Tasks, 1)

	o.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing")
	waitFor(t, testenv.Patience, "bob is offered it", func() bool { return sees(bob, "/desk/"+sid) })
}

// TestFormsOfOtherSitesAreRefused: requests that another site's page makes a browser send are refused.
func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}})
	for name, header := range map[string][2]string{
		"by its origin":        {"Origin", "https://evil.example"},
		"by the browser's say": {"Sec-Fetch-Site", "cross-site"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+"/desk/status", strings.NewReader("presence=offline"))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set(header[0], header[1])
		answer, err := alice.client.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusForbidden, answer.StatusCode, name)
	}
	require.Regexp(t, `alice +- +agent +available`, o.does(t, "agents"))
}
