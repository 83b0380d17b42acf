package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/testenv"
)

// conversations returns all conversations that the desk knows.
func (o *devEnvironment) conversations(t *testing.T) []records.Match {
	t.Helper()
	d, err := desk.Open(t.Context(), o.database, desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	found, err := records.ConversationPage(t.Context(), d, records.Filter{}, "", desk.Page{Limit: 100})
	require.NoError(t, err)
	return found.Entries
}

// TestAChatIsBegunAndWrittenOnce: a browser sends the customer's forms again after a lost answer. The chat is
// started once, and each message is sent once.
func TestAChatIsBegunAndWrittenOnce(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	once := uuid.NewString()
	start := url.Values{"once": {once}, "name": {"Crystal Minh"}, "text": {"Charged twice."}}
	customer := newPageCaller(t, o.url)
	customer.calls(http.MethodGet, "/chat", nil)
	for range 2 { // the first answer is lost, and its session
		answer := customer.calls(http.MethodPost, "/chat/start", start)
		require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
		require.Contains(t, customer.calls(http.MethodGet, "/chat", nil).body, "Charged twice.")
		customer.forgets("/chat", "baton_chat")
	}
	found := o.conversations(t)
	require.Len(t, found, 1)
	require.Equal(t, 1, found[0].Messages)
	require.NotContains(t, found[0].SID, strings.ReplaceAll(once, "-", ""), "a form cannot choose a conversation's SID")

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

// forgets drops a cookie that is sent to that path.
func (c *pageCaller) forgets(path, name string) {
	c.t.Helper()
	site, err := url.Parse(c.site + path)
	require.NoError(c.t, err)
	for _, cookie := range c.client.Jar.Cookies(site) {
		if cookie.Name == name {
			c.client.Jar.SetCookies(site, []*http.Cookie{{Name: name, Path: path, MaxAge: -1}}) //nolint:gosec // it is removed
			return
		}
	}
	require.Fail(c.t, "there is no cookie "+name)
}

// TestAFormOfAChatIsItsBrowsersOnly: another browser cannot use the form of a chat, even if it knows the form's ID.
func TestAFormOfAChatIsItsBrowsersOnly(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	start := url.Values{"once": {uuid.NewString()}, "name": {"Crystal Minh"}, "text": {"My account is 4711."}}
	customer := newPageCaller(t, o.url)
	customer.calls(http.MethodGet, "/chat", nil)
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/start", start).status)
	sid := o.conversations(t)[0].SID
	reads := func() {
		t.Helper()
		for _, seen := range []bool{false, true} { // without and with the page of the form
			other := newPageCaller(t, o.url)
			if seen {
				other.calls(http.MethodGet, "/chat", nil)
			}
			other.calls(http.MethodPost, "/chat/start", url.Values{"once": start["once"], "name": {"Mallory"}, "text": {"Read it to me."}})
			require.NotContains(t, other.calls(http.MethodGet, "/chat", nil).body, "4711")
			other.calls(http.MethodPost, "/chat/say", url.Values{"once": {uuid.NewString()}, "text": {"Change my address."}})
		}
		require.Equal(t, []string{"My account is 4711."}, o.texts(t, sid))
	}
	reads()
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/end", url.Values{"once": {uuid.NewString()}}).status)
	reads()

	// When the chat is over, sending the customer's own form again does not reopen it.
	customer.forgets("/chat", "baton_chat")
	again := customer.calls(http.MethodPost, "/chat/start", start)
	require.Equal(t, http.StatusConflict, again.status)
	require.NotContains(t, customer.calls(http.MethodGet, "/chat", nil).body, "4711")
}

// TestARefusedStartBeginsNothing: a customer corrects a form that was refused. No chat was started by it.
func TestARefusedStartBeginsNothing(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	for name, wrong := range map[string]url.Values{
		"a name that is too long":       {"name": {strings.Repeat("é", 256)}, "text": {"Hello"}},
		"a name with U+0000":            {"name": {"Cry\x00stal"}, "text": {"Hello"}},
		"a name that is not UTF-8":      {"name": {"Cry\xffstal"}, "text": {"Hello"}},
		"no name":                       {"name": {" "}, "text": {"Hello"}},
		"a message that is too long":    {"name": {"Crystal"}, "text": {strings.Repeat("é", 16001)}},
		"a message with U+0000":         {"name": {"Crystal"}, "text": {"Hel\x00lo"}},
		"a message that is only spaces": {"name": {"Crystal"}, "text": {" \n "}},
	} {
		customer := newPageCaller(t, o.url)
		customer.calls(http.MethodGet, "/chat", nil)
		wrong.Set("once", uuid.NewString())
		refused := customer.calls(http.MethodPost, "/chat/start", wrong)
		require.Equal(t, http.StatusUnprocessableEntity, refused.status, name)
		require.Contains(t, refused.body, ` wrong" aria-invalid="true"`, name)
		require.Contains(t, refused.body, `id="wrong" role="alert"`, name)
		require.Contains(t, customer.calls(http.MethodGet, "/chat", nil).body, "How can we help?", name)
		right := url.Values{"once": wrong["once"], "name": {strings.Repeat("é", 255)}, "text": {"It works now."}}
		require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/start", right).status, name)
		require.Contains(t, customer.calls(http.MethodGet, "/chat", nil).body, "It works now.", name)
	}
	require.Len(t, o.conversations(t), 7)
}

// TestAFormOfAChatThatIsOverIsRefused: a tab that was left open cannot write into its chat or end it after its
// browser started another one.
func TestAFormOfAChatThatIsOverIsRefused(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	customer := newPageCaller(t, o.url)
	start := func(text string) string {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/start", url.Values{"once": {uuid.NewString()}, "name": {"Ann"}, "text": {text}}).status)
		return o.conversations(t)[0].SID
	}
	before := start("one")
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/end", url.Values{"once": {uuid.NewString()}}).status)
	require.Equal(t, http.StatusSeeOther, customer.calls(http.MethodPost, "/chat/new", nil).status)
	sid := start("two")
	for _, form := range []string{"say", "end", "new"} {
		answer := customer.calls(http.MethodPost, "/chat/"+form, url.Values{"conversation": {before}, "once": {uuid.NewString()}, "text": {"for the chat before"}})
		require.Equal(t, http.StatusConflict, answer.status, form)
	}
	require.Equal(t, []string{"two"}, o.texts(t, sid))
	require.Equal(t, conversation.ConversationActive, o.shows(t, sid).Status)
}

// TestWhatIsRefusedOnTheDeskIsSaidAndKept: an agent writes and transfers just as the customer leaves. The page says
// that it was refused, and keeps what was typed.
func TestWhatIsRefusedOnTheDeskIsSaidAndKept(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	alice := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}})
	waitFor(t, testenv.Patience, "it is on her desk", func() bool {
		return strings.Contains(alice.calls(http.MethodGet, "/desk/"+sid, nil).body, `action="/desk/`+sid+`/say"`)
	})
	searched := alice.calls(http.MethodPost, "/desk/"+sid+"/transfer", url.Values{"find": {"1"}, "search": {"bil"}, "to": {"queue:billing"}, "note": {"Pay it back."}})
	require.Equal(t, http.StatusOK, searched.status)
	require.Contains(t, searched.body, ">Pay it back.</textarea>", "who has no scripts searches, and keeps the note")
	require.Contains(t, searched.body, `value="queue:billing" required checked`)

	o.does(t, "close", sid)
	waitFor(t, testenv.Patience, "the desk shows that it is over", func() bool {
		return strings.Contains(alice.calls(http.MethodGet, "/desk/"+sid, nil).body, "Chat ended.")
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
	require.Contains(t, page.body, "Wrap-up complete.")
	require.NotContains(t, page.body, `role="alert"`)
	require.Equal(t, conversation.ConversationClosed, o.shows(t, sid).Status)
	require.Contains(t, alice.calls(http.MethodGet, "/desk/"+sid, nil).body, "This conversation is not on your desk any more.")
	carol := newPageCaller(t, o.url).as(url.Values{"agent": {"carol"}})
	require.Equal(t, "/conversations/"+sid, carol.calls(http.MethodGet, "/desk/"+sid, nil).location, "a supervisor looks at it as supervisors do")
}

// TestASenderTakesBackAfterTheirWrapup: a sender can still cancel a transfer that no agent has accepted, after
// their wrap-up.
func TestASenderTakesBackAfterTheirWrapup(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on")
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", "Crystal Minh", "--queue", "support"))
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	o.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing")
	o.does(t, "wrapup", sid, "--agent", "alice")
	alice := newPageCaller(t, o.url).as(url.Values{"agent": {"alice"}})
	var page pageAnswer
	waitFor(t, testenv.Patience, "it can be taken back", func() bool {
		page = alice.calls(http.MethodGet, "/desk", nil)
		return strings.Contains(page.body, "Cancel transfer")
	})
	require.Contains(t, page.body, "to <bdi>billing</bdi>, not accepted yet")
	transfer := o.shows(t, sid).Transfers[0]
	answer := alice.calls(http.MethodPost, "/desk/"+sid+"/cancel", url.Values{"transfer": {transfer.SID}, "once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, answer.status, answer.body)
	require.Equal(t, conversation.TransferFailed, o.shows(t, sid).Transfers[0].Status)
	require.NotContains(t, alice.calls(http.MethodGet, "/desk", nil).body, "not accepted yet")
}
