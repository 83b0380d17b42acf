package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// completed is an engine whose workflows complete once they are started. A command then gets the refusal of Baton's
// client. The engine itself applies the rules, by which a second close changes nothing and is not refused.
type completed struct{ *batontest.Engine }

func (completed) Send(context.Context, string, conversation.Command) (conversation.Outcome, error) {
	return conversation.Outcome{}, conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "it is closed or was never started")
}

// TestAnAgentEndsAChatAsItsCustomer ends a closed chat in a browser in which an agent is signed in too.
func TestAnAgentEndsAChatAsItsCustomer(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	server := httptest.NewServer(web.New(p.desk, commands.New(completed{p.engine}, p.desk, nil), site.Options{Demo: true}).Handler())
	t.Cleanup(server.Close)
	send := func(b identitytest.Browser, path string, form url.Values) identitytest.Page {
		page, err := b.Send(t.Context(), server.URL+path, form)
		require.NoError(t, err)
		return page
	}
	for _, agent := range []string{"", "alice"} {
		b := identitytest.NewBrowser()
		if agent != "" {
			require.Equal(t, http.StatusOK, send(b, "/sign-in", url.Values{"agent": {agent}}).Status)
		}
		page := send(b, "/chat/start", url.Values{"name": {"Crystal"}, "text": {"Hello"}, "once": {uuid.NewString()}})
		require.Equal(t, http.StatusOK, page.Status, page.Body)
		sid := formOf(t, page.Body, "/chat/end").Get("conversation")
		p.do(sid, conversation.CloseCommand{})
		page = send(b, "/chat/end", url.Values{"conversation": {sid}, "once": {uuid.NewString()}})
		require.Equal(t, http.StatusOK, page.Status, "as a customer, with %q signed in", agent)
		require.NotContains(t, page.Body, "does not have this conversation")
		require.Contains(t, page.Body, "This chat is over.")
	}
}
