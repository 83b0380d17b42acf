package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

// TestAnAgentEndsAChatAsItsCustomer ends a closed chat in a browser in which an agent is signed in too.
func TestAnAgentEndsAChatAsItsCustomer(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for _, agent := range []string{"", "alice"} {
		b := identitytest.NewBrowser()
		if agent != "" {
			b = p.signedIn(url.Values{"agent": {agent}})
		}
		page := p.send(b, "/chat/start", url.Values{"name": {"Crystal"}, "text": {"Hello"}, "once": {uuid.NewString()}})
		require.Equal(t, http.StatusOK, page.Status, page.Body)
		sid := formOf(t, page.Body, "/chat/end").Get("conversation")
		p.do(sid, conversation.CloseCommand{})
		page = p.send(b, "/chat/end", url.Values{"conversation": {sid}, "once": {uuid.NewString()}})
		require.Equal(t, http.StatusOK, page.Status, "as a customer, with %q signed in", agent)
		require.NotContains(t, page.Body, "does not have this conversation")
		require.Contains(t, page.Body, "This chat is over.")
	}
}
