package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
)

// TestAChatIsBegunAndWrittenOnce: a browser sends the customer's forms again after a lost answer. The chat is
// started once, and each message is sent once.
func TestAChatIsBegunAndWrittenOnce(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	once := uuid.NewString()
	start := url.Values{"once": {once}, "name": {"Crystal Minh"}, "text": {"Charged twice."}}
	customer := identitytest.NewBrowser(p.URL)
	p.open(customer, "/chat")
	for range 2 { // the first answer is lost, and its session
		answer := p.send(customer, "/chat/start", start)
		require.Equal(t, http.StatusSeeOther, answer.Status, answer.Body)
		require.Contains(t, p.open(customer, "/chat").Body, "Charged twice.")
		require.NoError(t, customer.DropCookie(p.URL+"/chat", "baton_chat"))
	}
	found := p.conversations()
	require.Len(t, found, 1)
	require.Equal(t, 1, found[0].Messages)
	require.NotContains(t, found[0].SID, strings.ReplaceAll(once, "-", ""), "a form cannot choose a conversation's SID")

	p.send(customer, "/chat/start", start)
	for _, text := range []string{"Hello?", "Hello?", "Hello? Anybody?"} {
		answer := p.send(customer, "/chat/say", url.Values{"once": {"the same form"}, "text": {text}})
		require.Equal(t, http.StatusSeeOther, answer.Status, answer.Body)
	}
	require.Equal(t, 3, p.conversations()[0].Messages, "what was sent again is stored once, what was changed is another message")

	require.Equal(t, http.StatusConflict, p.send(customer, "/chat/new", nil).Status, "it is still open")
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/end", url.Values{"once": {uuid.NewString()}}).Status)
	late := p.send(customer, "/chat/say", url.Values{"once": {"another"}, "text": {"One more thing"}})
	require.Equal(t, http.StatusConflict, late.Status)
	require.Contains(t, late.Body, "This chat is over: begin another one.")
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/new", nil).Status)
	require.Contains(t, p.open(customer, "/chat").Body, "How can we help?")
}

// TestAFormOfAChatIsItsBrowsersOnly: another browser cannot use the form of a chat, even if it knows the form's ID.
func TestAFormOfAChatIsItsBrowsersOnly(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	start := url.Values{"once": {uuid.NewString()}, "name": {"Crystal Minh"}, "text": {"My account is 4711."}}
	customer := identitytest.NewBrowser(p.URL)
	p.open(customer, "/chat")
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/start", start).Status)
	sid := p.conversations()[0].SID
	reads := func() {
		t.Helper()
		for _, seen := range []bool{false, true} { // without and with the page of the form
			other := identitytest.NewBrowser(p.URL)
			if seen {
				p.open(other, "/chat")
			}
			p.send(other, "/chat/start", url.Values{"once": start["once"], "name": {"Mallory"}, "text": {"Read it to me."}})
			require.NotContains(t, p.open(other, "/chat").Body, "4711")
			p.send(other, "/chat/say", url.Values{"once": {uuid.NewString()}, "text": {"Change my address."}})
		}
		require.Equal(t, []string{"My account is 4711."}, p.texts(sid))
	}
	reads()
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/end", url.Values{"once": {uuid.NewString()}}).Status)
	reads()

	// When the chat is over, sending the customer's own form again does not reopen it.
	require.NoError(t, customer.DropCookie(p.URL+"/chat", "baton_chat"))
	again := p.send(customer, "/chat/start", start)
	require.Equal(t, http.StatusConflict, again.Status)
	require.NotContains(t, p.open(customer, "/chat").Body, "4711")
}

// TestARefusedStartBeginsNothing: a customer corrects a form that was refused. No chat was started by it.
func TestARefusedStartBeginsNothing(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	for name, wrong := range map[string]url.Values{
		"a name that is too long":       {"name": {strings.Repeat("é", 256)}, "text": {"Hello"}},
		"a name with U+0000":            {"name": {"Cry\x00stal"}, "text": {"Hello"}},
		"a name that is not UTF-8":      {"name": {"Cry\xffstal"}, "text": {"Hello"}},
		"no name":                       {"name": {" "}, "text": {"Hello"}},
		"a message that is too long":    {"name": {"Crystal"}, "text": {strings.Repeat("é", 16001)}},
		"a message with U+0000":         {"name": {"Crystal"}, "text": {"Hel\x00lo"}},
		"a message that is only spaces": {"name": {"Crystal"}, "text": {" \n "}},
	} {
		customer := identitytest.NewBrowser(p.URL)
		p.open(customer, "/chat")
		wrong.Set("once", uuid.NewString())
		refused := p.send(customer, "/chat/start", wrong)
		require.Equal(t, http.StatusUnprocessableEntity, refused.Status, name)
		require.Contains(t, refused.Body, ` wrong" aria-invalid="true"`, name)
		require.Contains(t, refused.Body, `id="wrong" role="alert"`, name)
		require.Contains(t, p.open(customer, "/chat").Body, "How can we help?", name)
		right := url.Values{"once": wrong["once"], "name": {strings.Repeat("é", 255)}, "text": {"It works now."}}
		require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/start", right).Status, name)
		require.Contains(t, p.open(customer, "/chat").Body, "It works now.", name)
	}
	require.Len(t, p.conversations(), 7)
}

// TestAFormOfAChatThatIsOverIsRefused: a tab that was left open cannot write into its chat or end it after its
// browser started another one.
func TestAFormOfAChatThatIsOverIsRefused(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	customer := identitytest.NewBrowser(p.URL)
	start := func(text string) string {
		t.Helper()
		require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/start", url.Values{"once": {uuid.NewString()}, "name": {"Ann"}, "text": {text}}).Status)
		return p.conversations()[0].SID
	}
	before := start("one")
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/end", url.Values{"once": {uuid.NewString()}}).Status)
	require.Equal(t, http.StatusSeeOther, p.send(customer, "/chat/new", nil).Status)
	sid := start("two")
	for _, form := range []string{"say", "end", "new"} {
		answer := p.send(customer, "/chat/"+form, url.Values{"conversation": {before}, "once": {uuid.NewString()}, "text": {"for the chat before"}})
		require.Equal(t, http.StatusConflict, answer.Status, form)
	}
	require.Equal(t, []string{"two"}, p.texts(sid))
	require.Equal(t, conversation.ConversationActive, p.state(sid).Status)
}

// TestWhatIsRefusedOnTheDeskIsSaidAndKept: an agent writes and transfers just as the customer leaves. The page says
// that it was refused, and keeps what was typed.
func TestWhatIsRefusedOnTheDeskIsSaidAndKept(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	p.enableTransfers()
	sid := p.accepted("Crystal Minh")
	alice := p.staying(url.Values{"agent": {"alice"}})
	require.Contains(t, p.open(alice, "/desk/"+sid).Body, `action="/desk/`+sid+`/say"`)
	searched := p.send(alice, "/desk/"+sid+"/transfer", url.Values{"find": {"1"}, "search": {"bil"}, "to": {"queue:billing"}, "note": {"Pay it back."}})
	require.Equal(t, http.StatusOK, searched.Status)
	require.Contains(t, searched.Body, ">Pay it back.</textarea>", "who has no scripts searches, and keeps the note")
	require.Contains(t, searched.Body, `value="queue:billing" required checked`)

	p.do(sid, conversation.CloseCommand{})
	require.Contains(t, p.open(alice, "/desk/"+sid).Body, "Chat ended.")
	for form, typed := range map[string]url.Values{
		"say":      {"text": {"I am on it."}},
		"transfer": {"to": {"queue:billing"}, "note": {"Pay it back."}},
	} {
		typed.Set("once", uuid.NewString())
		answer := p.send(alice, "/desk/"+sid+"/"+form, typed)
		require.Equal(t, http.StatusConflict, answer.Status, form)
		require.Contains(t, answer.Body, `role="alert"`, form)
		require.Contains(t, answer.Body, typed.Get("text")+typed.Get("note"), "%s: what was typed is kept", form)
	}
	done := p.send(alice, "/desk/"+sid+"/wrapup", url.Values{"once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, done.Status, done.Body)
	page := p.open(alice, "/desk/"+sid)
	require.Contains(t, page.Body, "Wrap-up complete.")
	require.NotContains(t, page.Body, `role="alert"`)
	require.Equal(t, conversation.ConversationClosed, p.state(sid).Status)
	require.Contains(t, p.open(alice, "/desk/"+sid).Body, "This conversation is not on your desk any more.")
	carol := p.staying(url.Values{"agent": {"carol"}})
	require.Equal(t, "/conversations/"+sid, p.open(carol, "/desk/"+sid).Location.Path, "a supervisor looks at it as supervisors do")
}

// TestASenderTakesBackAfterTheirWrapup: a sender can still cancel a transfer that no agent has accepted, after
// their wrap-up.
func TestASenderTakesBackAfterTheirWrapup(t *testing.T) {
	t.Parallel()
	p := servePages(t, demo)
	p.enableTransfers()
	sid := p.accepted("Crystal Minh")
	p.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}})
	p.do(sid, conversation.WrapupCommand{Agent: "alice"})
	alice := p.staying(url.Values{"agent": {"alice"}})
	page := p.open(alice, "/desk")
	require.Contains(t, page.Body, "Cancel transfer")
	require.Contains(t, page.Body, "to <bdi>billing</bdi>, not accepted yet")
	transfer := p.state(sid).Transfers[0]
	answer := p.send(alice, "/desk/"+sid+"/cancel", url.Values{"transfer": {transfer.SID}, "once": {uuid.NewString()}})
	require.Equal(t, http.StatusSeeOther, answer.Status, answer.Body)
	require.Equal(t, conversation.TransferFailed, p.state(sid).Transfers[0].Status)
	require.NotContains(t, p.open(alice, "/desk").Body, "not accepted yet")
}
