package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// conversations are all that the office's desk knows.
func (o *office) conversations(t *testing.T) []desk.Conversation {
	t.Helper()
	d, err := desk.Open(t.Context(), o.database, desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	found, err := d.Conversations(t.Context(), desk.Filter{})
	require.NoError(t, err)
	return found
}

// TestAChatIsBegunAndWrittenOnce sends the customer's forms again, as a browser does whose answer was lost.
func TestAChatIsBegunAndWrittenOnce(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	once := uuid.NewString()
	start := url.Values{"once": {once}, "name": {"Crystal Minh"}, "text": {"Charged twice."}}
	for _, customer := range []*pageCaller{newPageCaller(t, o.url), newPageCaller(t, o.url)} { // the first answer is lost, and its cookie
		answer := customer.calls(http.MethodPost, "/chat/start", start)
		require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
		require.Contains(t, customer.calls(http.MethodGet, "/chat", nil).body, "Charged twice.")
	}
	found := o.conversations(t)
	require.Len(t, found, 1)
	require.Equal(t, 1, found[0].Messages)
	require.NotContains(t, found[0].SID, strings.ReplaceAll(once, "-", ""), "nobody chooses a conversation's SID")

	customer := newPageCaller(t, o.url)
	customer.calls(http.MethodPost, "/chat/start", start)
	for _, text := range []string{"Hello?", "Hello?", "Hello? Anybody?"} {
		answer := customer.calls(http.MethodPost, "/chat/say", url.Values{"once": {"the same form"}, "text": {text}})
		require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	}
	require.Equal(t, 3, o.conversations(t)[0].Messages, "what was sent again is stored once, what was changed is another message")

	require.Equal(t, http.StatusConflict, customer.calls(http.MethodPost, "/chat/new", nil).status, "it is still open")
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/end", url.Values{"once": {uuid.NewString()}}).status)
	late := customer.calls(http.MethodPost, "/chat/say", url.Values{"once": {"another"}, "text": {"One more thing"}})
	require.Equal(t, http.StatusConflict, late.status)
	require.Contains(t, late.body, "This chat is over: begin another one.")
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/new", nil).status)
	require.Contains(t, customer.calls(http.MethodGet, "/chat", nil).body, "How can we help?")
}

// TestWhatIsRefusedOnTheDeskIsSaidAndKept has an agent write and pass on just as the customer leaves.
func TestWhatIsRefusedOnTheDeskIsSaidAndKept(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	alice := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}})
	waitFor(t, patience, "it is on her desk", func() bool {
		return strings.Contains(alice.calls(http.MethodGet, "/desk/"+sid, nil).body, `action="/desk/`+sid+`/say"`)
	})
	searched := alice.calls(http.MethodPost, "/desk/"+sid+"/transfer", url.Values{"find": {"1"}, "search": {"bil"}, "to": {"queue:billing"}, "note": {"Pay it back."}})
	require.Equal(t, http.StatusOK, searched.status)
	require.Contains(t, searched.body, ">Pay it back.</textarea>", "who has no scripts searches, and keeps the note")
	require.Contains(t, searched.body, `value="queue:billing" required checked`)

	o.does(t, "close", sid)
	waitFor(t, patience, "the desk shows that it is over", func() bool {
		return strings.Contains(alice.calls(http.MethodGet, "/desk/"+sid, nil).body, "The customer’s side is over.")
	})
	for form, typed := range map[string]url.Values{
		"say":      {"text": {"I am on it."}},
		"transfer": {"to": {"queue:billing"}, "note": {"Pay it back."}},
	} {
		typed.Set("once", uuid.NewString())
		answer := alice.calls(http.MethodPost, "/desk/"+sid+"/"+form, typed)
		require.Equal(t, http.StatusConflict, answer.status, form)
		require.Contains(t, answer.body, `role="alert"`, form)
		require.Contains(t, answer.body, typed.Get("text")+typed.Get("note"), "%s: what was typed is kept", form)
	}
	done := alice.calls(http.MethodPost, "/desk/"+sid+"/wrapup", url.Values{"once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, done.status, done.body)
	page := alice.calls(http.MethodGet, "/desk/"+sid, nil)
	require.Contains(t, page.body, "Wrapup complete.")
	require.NotContains(t, page.body, `role="alert"`)
	require.Equal(t, conversation.ConversationClosed, o.shows(t, sid).Status)
	require.Contains(t, alice.calls(http.MethodGet, "/desk/"+sid, nil).body, "This conversation is not on your desk any more.")
	carol := newPageCaller(t, o.url).as(url.Values{"agent": {"carol"}})
	require.Equal(t, "/conversations/"+sid, carol.calls(http.MethodGet, "/desk/"+sid, nil).location, "a supervisor looks at it as supervisors do")
}

// TestASenderTakesBackAfterTheirWrapup takes a conversation back that nobody has accepted yet.
func TestASenderTakesBackAfterTheirWrapup(t *testing.T) {
	t.Parallel()
	o := openOffice(t)
	o.does(t, "settings", "--messaging-transfers", "on")
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	o.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing")
	o.does(t, "wrapup", sid, "--agent", "alice")
	alice := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}})
	var page pageAnswer
	waitFor(t, patience, "it can be taken back", func() bool {
		page = alice.calls(http.MethodGet, "/desk", nil)
		return strings.Contains(page.body, "Take back")
	})
	require.Contains(t, page.body, "to billing, who has not accepted yet")
	transfer := o.shows(t, sid).Transfers[0]
	answer := alice.calls(http.MethodPost, "/desk/"+sid+"/cancel", url.Values{"transfer": {transfer.SID}, "once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	require.Equal(t, conversation.TransferFailed, o.shows(t, sid).Transfers[0].Status)
	require.NotContains(t, alice.calls(http.MethodGet, "/desk", nil).body, "who has not accepted yet")
}
