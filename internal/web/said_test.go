package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestAConfirmationIsForItsPage: the page after an action says what was done, regardless of the browser's requests
// before it: a refresh, another tab, another action.
func TestAConfirmationIsForItsPage(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	first, second := p.accepted("Crystal Minh"), p.accepted("Jonas Weber")
	p.do(first, conversation.EndCommand{Agent: "alice"})
	alice := p.staying(url.Values{"agent": {"alice"}})
	done := p.send(alice, "/desk/"+first+"/wrapup", url.Values{"once": {uuid.NewString()}})
	ended := p.send(alice, "/desk/"+second+"/end", url.Values{"once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, done.Status, done.Body)
	require.Equal(t, http.StatusSeeOther, ended.Status, ended.Body)
	for _, other := range []string{"/desk", "/desk/" + first, "/desk/" + second} {
		p.open(alice, other)
	}
	require.Contains(t, p.open(alice, done.Location.RequestURI()).Body, "Wrap-up complete.")
	require.Contains(t, p.open(alice, ended.Location.RequestURI()).Body, "Ended. Complete your wrap-up.")
	require.NotContains(t, p.open(alice, done.Location.RequestURI()).Body, "Wrap-up complete.", "it is said once")
}
