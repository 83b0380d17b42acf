package web_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/internal/web/site"
)

// ended is a [commands.Conversations] whose conversations begin, and are closed for every later command.
type ended struct {
	commands.Conversations

	desk *desk.Desk
}

func (e ended) Start(ctx context.Context, start conversation.StartCommand) (string, error) {
	var state conversation.State
	facts := &conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true, QueueMembers: 1}
	begun, err := state.Apply(start, facts, time.Now())
	if err == nil {
		_, err = routing.Sync(ctx, e.desk, state.Snapshot(begun.Events, begun.Notes))
	}
	return start.Conversation, err
}

func (ended) Send(context.Context, string, conversation.Command) (conversation.Outcome, error) {
	return conversation.Outcome{}, conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "it is closed or was never started")
}

// TestAnAgentEndsAChatAsItsCustomer ends a closed chat in a browser in which an agent is signed in too.
func TestAnAgentEndsAChatAsItsCustomer(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	server := httptest.NewServer(web.New(p.desk, commands.New(ended{desk: p.desk}, p.desk, nil), site.Options{Demo: true}).Handler())
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
		require.NotEmpty(t, sid)
		page = send(b, "/chat/end", url.Values{"conversation": {sid}, "once": {uuid.NewString()}})
		require.Equal(t, http.StatusOK, page.Status, "as a customer, with %q signed in", agent)
		require.NotContains(t, page.Body, "does not have this conversation")
	}
}
