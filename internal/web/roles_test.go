package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// turnedAway reports whether the answer refuses the page: sign in first, or another role.
func turnedAway(answer identitytest.Page) bool {
	signIn := answer.Status == http.StatusSeeOther && answer.Location.Path == site.SignInPath && answer.Location.RawQuery != ""
	return signIn || answer.Status == http.StatusUnauthorized ||
		(answer.Status == http.StatusForbidden && strings.Contains(answer.Body, "This page is not for your role"))
}

// TestEveryPageIsForItsRoles calls every page and every form with every role, and without signing in.
func TestEveryPageIsForItsRoles(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	sid := p.accepted("Crystal Minh")

	walkers := map[desk.Role]func() identitytest.Browser{
		"":                  func() identitytest.Browser { return identitytest.NewBrowser(p.URL) },
		desk.RoleAgent:      func() identitytest.Browser { return p.staying(url.Values{"agent": {"alice"}}) },
		desk.RoleSupervisor: func() identitytest.Browser { return p.staying(url.Values{"agent": {"carol"}}) },
		desk.RoleAdmin:      func() identitytest.Browser { return p.staying(url.Values{"administrator": {"carol"}}) },
	}
	routes := web.New(nil, nil, site.Options{}).Routes()
	require.Greater(t, len(routes), 30)
	for role, walker := range walkers {
		for _, r := range routes {
			who := walker() // some forms sign out
			path := strings.NewReplacer("{sid}", sid, "{name}", "nobody", "{plugin}", "none", "{queue}", "none", "{agent}", "nobody").Replace(r.Path)
			require.NotContains(t, path, "{", "%s %s: say what to put in its place", r.Method, r.Path)
			call := p.open
			if r.Method == http.MethodPost {
				call = func(b identitytest.Browser, path string) identitytest.Page { return p.send(b, path, nil) }
			}
			answer := call(who, path)
			require.Equal(t, !slices.Contains(r.Roles(), role), turnedAway(answer), "%s %s for %q: %d", r.Method, r.Path, role, answer.Status)
			require.Less(t, answer.Status, 500, "%s %s for %q: %s", r.Method, r.Path, role, answer.Body)
		}
	}
}

// TestAgentsSeeOnlyWhatIsTheirs: an agent cannot find a conversation of another agent.
func TestAgentsSeeOnlyWhatIsTheirs(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	p.enableTransfers()
	sid := p.accepted("Crystal Minh")
	_, err := records.Say(t.Context(), p.desk, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: "Charged twice."})
	require.NoError(t, err)
	alice, bob := p.staying(url.Values{"agent": {"alice"}}), p.staying(url.Values{"agent": {"bob"}})
	carol := p.staying(url.Values{"agent": {"carol"}})

	sees := func(b identitytest.Browser, path string) bool {
		return strings.Contains(p.open(b, path).Body, "Charged twice.")
	}
	require.True(t, sees(alice, "/desk/"+sid))
	require.True(t, sees(carol, "/conversations/"+sid), "a supervisor sees all")
	require.False(t, sees(bob, "/desk/"+sid))
	require.False(t, sees(bob, "/conversations/"+sid))
	for _, form := range []string{"say", "accept", "transfer", "end", "wrapup", "cancel", "decline"} {
		answer := p.send(bob, "/desk/"+sid+"/"+form, url.Values{
			"text": {"It is me."}, "to": {"queue:billing"}, "once": {form},
		})
		require.NotContains(t, answer.Body, "Charged twice.", form)
		require.Contains(t, []int{http.StatusSeeOther, http.StatusForbidden, http.StatusConflict}, answer.Status, form)
	}
	record := p.state(sid)
	require.Equal(t, conversation.TaskAssigned, record.Tasks[0].Status, "nothing of it had an effect")
	require.Len(t, record.Tasks, 1)

	p.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}})
	require.True(t, sees(bob, "/desk/"+sid), "bob is offered it")
}
