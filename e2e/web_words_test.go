package e2e

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/testenv"
)

// slowLine is the latency of a bad mobile connection.
const slowLine = 2500 * time.Millisecond

// onLine sets the browser's connection: its latency, or offline.
func (v *visitor) onLine(latency time.Duration, offline bool) {
	v.t.Helper()
	_, err := chromedp.Call(v.tab, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{
			Latency: float64(latency.Milliseconds()), DownloadThroughput: -1, UploadThroughput: -1, Offline: offline,
		}},
	})
	require.NoError(v.t, err)
}

// field is the expression for the field of that name in the page.
func field(name string) string {
	return fmt.Sprintf(`document.querySelector("[name=%s]:not([readonly])")`, name)
}

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

// texts returns the messages of a conversation from the desk.
func (o *devEnvironment) texts(t *testing.T, sid string) (texts []string) {
	t.Helper()
	d, err := desk.Open(t.Context(), o.database, desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	thread, err := records.ReadThread(t.Context(), d, sid, records.AsSystem(), records.Window{Limit: 1000})
	require.NoError(t, err)
	for _, m := range thread.Messages {
		texts = append(texts, m.Text)
	}
	return texts
}

// fill writes that many messages of the customer: "message 1" and so on.
func (o *devEnvironment) fill(t *testing.T, sid string, count int) {
	t.Helper()
	d, err := desk.Open(t.Context(), o.database, desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	for n := range count {
		_, err := records.Say(t.Context(), d, records.NewMessage{Conversation: sid, From: records.FromCustomer, Text: fmt.Sprintf("message %d.", n+1)})
		require.NoError(t, err)
	}
}

// begun starts a conversation that is offered to alice.
func (o *devEnvironment) begun(t *testing.T, customer string) string {
	t.Helper()
	sid := strings.TrimSpace(o.does(t, "start", "--channel", "web", "--customer", customer, "--queue", "support"))
	o.offered(t, sid, "alice")
	return sid
}

// accepted starts a conversation that alice has.
func (o *devEnvironment) accepted(t *testing.T, customer string) string {
	t.Helper()
	sid := o.begun(t, customer)
	o.does(t, "accept", sid, "--agent", "alice", "--wait")
	return sid
}

// Text typed for one customer stays with that customer: each field of one conversation is empty in another
// conversation, opened by a click or by key, and has its text again on the way back.
func TestDraftsStayWithTheirConversation(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	crystal, jonas := o.begun(t, "Crystal Minh"), o.begun(t, "Jonas Weber")
	alice := o.agent(t, "alice")
	// between types into a field of Crystal's conversation, looks at the field in the other conversation, and goes
	// back.
	between := func(path, name string) {
		t.Helper()
		alice.goes("/desk/" + crystal + path)
		role := map[string]string{"search": "searchbox", "disposition": "combobox"}[name]
		if role == "" {
			role = "textbox"
		}
		label := map[string]string{
			"reason": "Reason for declining", "text": "Your message", "search": "Search queues and agents", "note": "Note", "disposition": "Outcome",
		}[name]
		if path == "" && name == "note" {
			label = "Wrap-up note"
		}
		alice.types(role, label, "for Crystal")
		for _, step := range []string{"click", "key"} {
			if step == "click" {
				alice.opens("Jonas Weber")
			} else {
				ask[bool](alice, `document.activeElement.blur() ?? true`)
				alice.presses("j")
				alice.presses("k")
				alice.seesIn("h2", "Crystal Minh")
				alice.presses("j")
				alice.seesIn("h2", "Jonas Weber")
			}
			if path != "" {
				alice.clicks("link", "Transfer")
			}
			alice.waits("the field of the other conversation is empty: "+name, field(name)+`?.value === ""`)
			alice.seesNowhere("for Crystal")
			alice.opens("Crystal Minh")
			if path != "" {
				alice.clicks("link", "Transfer")
			}
			alice.waits("what was typed is there again: "+name, field(name)+`?.value === "for Crystal"`)
		}
	}
	between("", "reason")
	for _, sid := range []string{crystal, jonas} {
		o.does(t, "accept", sid, "--agent", "alice", "--wait")
	}
	alice.goes("/desk")
	between("", "text")
	alice.opens("Jonas Weber")
	alice.types("textbox", "Your message", "for Jonas")
	alice.presses(enter)
	alice.seesIn("#thread", "for Jonas")
	alice.waits("it is delivered", `document.querySelector("#thread .message[data-number]")?.innerText.includes("for Jonas")`)
	require.Equal(t, []string{"for Jonas"}, o.texts(t, jonas))
	require.Empty(t, o.texts(t, crystal))
	between("/transfer", "search")
	between("/transfer", "note")
	for _, sid := range []string{crystal, jonas} {
		o.does(t, "end", sid, "--agent", "alice")
	}
	alice.goes("/desk")
	between("", "disposition")
	between("", "note")
}

// The reason of a close stays with its conversation too, and can be copied after another agent has closed it.
func TestAReasonForClosingIsKept(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	crystal, jonas := o.begun(t, "Crystal Minh"), o.begun(t, "Jonas Weber")
	carol := o.signIn(t, "carol", "carol supervisor", "/desk")
	carol.goes("/conversations/" + crystal)
	carol.types("textbox", "Reason", "for Crystal")
	carol.goes("/conversations/" + jonas)
	carol.sees("Jonas Weber")
	carol.waits("the other conversation has no reason", field("reason")+`.value === ""`)
	carol.seesNowhere("for Crystal")
	carol.goes("/conversations/" + crystal)
	carol.waits("the reason is there again", field("reason")+`.value === "for Crystal"`)
	o.does(t, "close", crystal)
	carol.seesIn(".kept-drafts", "Reason for closing that was not sent")
	carol.waits("its text can be copied", `document.querySelector(".kept-drafts textarea").value === "for Crystal"`)
	carol.clicks("button", "Discard")
	carol.waits("it is discarded", `!document.querySelector(".kept-drafts textarea")`)
}

// On a slow connection, sent messages arrive in order and once, and unsent text does not arrive. The same holds
// after a reload.
func TestASlowLineSendsWhatWasSent(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := o.agent(t, "alice")
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	crystal.sees("You are talking to alice.")
	sid := path.Base(alice.at())
	other := o.accepted(t, "Jonas Weber")
	want := []string{charged}
	for _, v := range []*visitor{alice, crystal} {
		v.onLine(slowLine, false)
		v.waits("the field can be typed into", field("text")+`.focus() ?? true`)
		ask[bool](v, `(() => { // what was shown, however long this test takes to look
			window.shown = "";
			new MutationObserver(() => { window.shown += document.querySelector(".outbox")?.innerText ?? ""; }).observe(document.body, {childList: true, subtree: true});
			return true;
		})()`)
		v.presses("one" + kb.Enter + "two" + kb.Enter + "my card number is 1234")
		v.waits("the messages show as being sent", `/Sending…\s+one/.test(shown) && /Sending…\s+two/.test(shown)`)
		require.Equal(t, "my card number is 1234", ask[string](v, field("text")+".value"))
		want = append(want, "one", "two")
		v.waits("both are delivered", `[...document.querySelectorAll("#thread .message[data-number]")].filter(e => e.innerText.includes("two")).length === `+strconv.Itoa((len(want)-1)/2))
		v.waits("the queue is empty", `!document.querySelector(".outbox .message")`)
		require.Equal(t, want, o.texts(t, sid))
		require.Equal(t, "my card number is 1234", ask[string](v, field("text")+".value"), "what was not sent is still being typed")

		v.types("textbox", "Your message", "three from "+v.name)
		v.presses(enter)
		if v == alice {
			v.opens("Jonas Weber")
			require.Empty(t, ask[string](v, field("text")+".value"))
			v.goes("/desk/" + sid)
		} else {
			v.goes("/chat")
		}
		v.waits("it is delivered", `[...document.querySelectorAll("#thread .message[data-number]")].some(e => e.innerText.includes("three from"))`)
		v.waits("the queue is empty", `!document.querySelector(".outbox .message")`)
		want = append(want, "three from "+v.name)
		require.Equal(t, want, o.texts(t, sid), "once, however often the page was loaded")
		v.onLine(0, false)
	}
	require.Empty(t, o.texts(t, other))
}

// A message that cannot be delivered stays on the page, with the messages after it, until it is sent again or
// discarded.
func TestAMessageThatFailsStays(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := o.agent(t, "alice")
	sid, other := o.accepted(t, "Crystal Minh"), o.accepted(t, "Jonas Weber")
	alice.opens("Crystal Minh")
	alice.seesControl("textbox", "Your message")
	alice.reconnecting.Store(true)
	alice.onLine(0, true)
	alice.types("textbox", "Your message", "one")
	alice.presses(enter)
	alice.types("textbox", "Your message", "two")
	alice.presses(enter)
	alice.seesIn(".outbox", "Not sent.", "one", "two")
	alice.onLine(0, false)
	alice.waits("the connection is back", `document.getElementById("connection").hidden`)
	alice.opens("Jonas Weber")
	alice.seesIn("#unsent", "Crystal Minh: Not sent.", "one")
	alice.opens("Crystal Minh")
	alice.seesIn(".outbox", "Not sent.", "one", "two")
	alice.clicks("button", "Retry")
	alice.waits("both are delivered", `document.querySelectorAll("#thread .message[data-number]").length === 2 && !document.querySelector(".outbox .message")`)
	require.Equal(t, []string{"one", "two"}, o.texts(t, sid))

	alice.onLine(0, true)
	alice.types("textbox", "Your message", "three")
	alice.presses(enter)
	alice.seesIn(".outbox", "Not sent.", "three")
	alice.clicks("button", "Edit")
	alice.waits("it can be changed", field("text")+`.value === "three"`)
	alice.presses(enter)
	alice.seesIn(".outbox", "Not sent.", "three")
	alice.onLine(0, false)
	alice.goes("/desk/" + sid)
	alice.seesIn(".outbox", "Not sent.", "three")
	alice.clicks("button", "Discard")
	alice.waits("it is discarded", `!document.querySelector(".outbox .message")`)
	alice.goes("/desk/" + sid)
	alice.seesIn("#thread", "two")
	alice.seesNowhere("three")
	require.Equal(t, []string{"one", "two"}, o.texts(t, sid))
	require.Empty(t, o.texts(t, other))
}

// signedOut ends the visitor's session, as its expiry does. The page's stream may be refused until the next sign-in.
func (v *visitor) signedOut() {
	v.t.Helper()
	v.reconnecting.Store(true)
	_, err := chromedp.Call(v.tab, network.ClearBrowserCookies, cdp.Empty{})
	require.NoError(v.t, err)
}

// Text written when the session had ended is there when the same person signs in again, and for no other person.
func TestWordsOutlastTheSession(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	sid := o.accepted(t, "Crystal Minh")
	alice := o.signInHere(t, "alice", "alice agent", "/desk")
	signIn := func(as string) {
		t.Helper()
		alice.sees("Sign in to the demo")
		alice.waits("opens the other way", "document.querySelector('details').open = true")
		alice.clicks("button", as+" agent")
		alice.waits("comes to the desk", `location.pathname.startsWith("/desk")`)
		alice.seesIn(".signout", as)
		alice.reconnecting.Store(false)
	}
	alice.opens("Crystal Minh")
	alice.clicks("link", "Transfer")
	alice.types("textbox", "Note for the next agent", "paid twice on 3 May")
	alice.types("textbox", "Your message", "I pay it back.")
	alice.signedOut()
	alice.presses(enter)
	signIn("bob")
	alice.seesNowhere("I pay it back.", "paid twice")
	require.Empty(t, o.texts(t, sid))
	alice.signedOut()
	alice.goes("/desk/" + sid)
	signIn("alice")
	alice.goes("/desk/" + sid + "/transfer")
	alice.seesIn(".outbox", "Not sent.", "I pay it back.")
	alice.waits("the note is there", field("note")+`.value === "paid twice on 3 May"`)
	alice.clicks("button", "Retry")
	alice.waits("it is delivered", `document.querySelector("#thread .message[data-number]")?.innerText.includes("I pay it back.")`)
	require.Equal(t, []string{"I pay it back."}, o.texts(t, sid))

	o.does(t, "end", sid, "--agent", "alice")
	alice.seesControl("button", "Complete wrap-up")
	alice.types("textbox", "Wrap-up note", "all well")
	alice.signedOut()
	alice.clicks("button", "Complete wrap-up")
	signIn("alice")
	alice.goes("/desk/" + sid)
	alice.waits("the wrapup note is there", field("note")+`.value === "all well"`)
	alice.clicks("button", "Complete wrap-up")
	alice.sees("Wrap-up complete.")
}

// When the other side ends the chat, text that is being typed stays on the page and can be copied, on both sides.
// The next chat in the browser does not contain it.
func TestTypedTextOutlastsTheChat(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := o.agent(t, "alice")
	kept := func(v *visitor, text string) {
		t.Helper()
		v.waits("what was typed can be copied", `(() => {
			const kept = [...document.querySelectorAll("textarea[readonly]")].find(e => e.value === `+quoted(text)+` && e.checkVisibility());
			kept?.select();
			return kept?.selectionEnd === `+quoted(text)+`.length;
		})()`)
	}
	for round, ended := range []string{"the agent", "the customer"} {
		name := []string{"Crystal Minh", "Jonas Weber"}[round]
		crystal := o.beginsChat(t, name, charged)
		alice.opens(name)
		alice.clicks("button", "Accept")
		crystal.sees("You are talking to alice.")
		if ended == "the agent" {
			crystal.types("textbox", "Your message", "and my address is")
			alice.clicks("button", "End")
			crystal.sees("This chat is over.")
			kept(crystal, "and my address is")
			crystal.clicks("button", "Start another chat")
			crystal.sees("How can we help?")
			crystal.types("textbox", "Your name", "The next visitor")
			crystal.types("textbox", "What is it about?", "Another thing")
			crystal.clicks("button", "Start chat")
			crystal.seesIn("#thread", "Another thing")
			crystal.waits("the field is empty", field("text")+`?.value === ""`)
			crystal.seesNowhere("my address")
			require.False(t, ask[bool](crystal, `JSON.stringify(sessionStorage).includes("my address")`))
			alice.clicks("button", "Complete wrap-up")
			alice.sees("Wrap-up complete.")
		} else {
			alice.types("textbox", "Your message", "You get it back on")
			crystal.clicks("button", "End this chat")
			alice.seesControl("button", "Complete wrap-up")
			kept(alice, "You get it back on")
			alice.clicks("button", "Complete wrap-up")
			alice.sees("Wrap-up complete.")
			kept(alice, "You get it back on")
			alice.clicks("button", "Discard")
			alice.waits("it is discarded", `!document.querySelector("textarea[readonly]")`)
		}
	}
}

// Every message of a long conversation can be read, by agents, supervisors and customers.
// Loaded messages stay, and stay in view, when a new message arrives.
func TestHistoryIsReadToItsBeginning(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice, carol := o.agent(t, "alice"), o.signIn(t, "carol", "carol supervisor", "/desk")
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	sid := path.Base(alice.at())
	o.fill(t, sid, 450)
	shown := func(count int) string {
		return fmt.Sprintf(`document.querySelectorAll("#thread [data-number]").length === %d`, count)
	}
	const seen = `(() => { // chooses the first message in view, and says where it is
		const top = document.getElementById("thread").getBoundingClientRect().top;
		window.first = [...document.querySelectorAll("#thread [data-number]")].find(e => e.getBoundingClientRect().bottom > top).id;
		return Math.round(document.getElementById(window.first).getBoundingClientRect().top - top);
	})()`
	const inView = `Math.round(document.getElementById(window.first).getBoundingClientRect().top - document.getElementById("thread").getBoundingClientRect().top)`
	const halfALine = 10 // pixels
	for name, page := range map[string]struct {
		*visitor

		path string
	}{"agent": {alice, "/desk/" + sid}, "supervisor": {carol, "/conversations/" + sid}, "customer": {crystal, "/chat"}} {
		page.goes(page.path)
		page.waits("the newest are shown", shown(200))
		page.seesIn("#thread", "message 450.")
		for _, count := range []int{400, 451} {
			ask[bool](page.visitor, `(document.getElementById("thread").scrollTop = 0) === 0`)
			before := ask[int](page.visitor, seen)
			page.clicks("link", "Load earlier messages")
			page.waits("earlier ones are shown", shown(count))
			require.InDelta(t, before, ask[int](page.visitor, inView), halfALine, "%s: what is in view stays there", name)
		}
		page.seesIn("#thread", charged, "message 1.", "message 450.")
		page.untilNone("link", "Load earlier messages")
	}

	// A page that was opened with the newest messages keeps them when others arrive.
	for _, v := range []*visitor{alice, crystal} {
		v.goes(strings.Split(v.at(), "?")[0])
		v.waits("the newest are shown", shown(200))
	}
	ask[bool](alice, `(document.getElementById("thread").scrollTop = 300) > 0`)
	before := ask[int](alice, seen)
	crystal.says("One more.")
	alice.waits("the new one is shown with the others", shown(201))
	require.InDelta(t, before, ask[int](alice, inView), halfALine)
}

// A refresh changes only what is new in a transcript: a selection stays, and assistive technology announces one
// message.
func TestARefreshAddsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := o.agent(t, "alice")
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	sid := path.Base(alice.at())
	o.fill(t, sid, 330)
	alice.goes("/desk/" + sid)
	alice.seesIn("#thread", "message 330.")
	alice.waits("the stream has refreshed the page once", `document.readyState === "complete"`)
	ask[bool](alice, `(() => {
		const message = [...document.querySelectorAll("#thread .message .text")].find(e => e.textContent === "message 300.");
		getSelection().selectAllChildren(message);
		window.changes = [];
		new MutationObserver(records => window.changes.push(...records)).observe(document.querySelector("[role=log]"),
			{childList: true, subtree: true, attributes: true, characterData: true});
		return true;
	})()`)
	crystal.says("One more.")
	alice.seesIn("#thread", "One more.")
	require.Equal(t, "message 300.", ask[string](alice, `getSelection().toString().trim()`))
	require.Equal(t, "message 300.", ask[string](alice, `getSelection().anchorNode.parentElement.closest(".message").querySelector(".text").textContent`))
	changes := ask[[]string](alice, `window.changes.map(c => c.type + " of " + c.target.nodeName + "." + c.target.className + " " + c.attributeName)`)
	require.Len(t, changes, 1)
}

// holdsBack holds back the answers to requests whose address matches, until letIn is called. reached is closed when
// the server has answered the first one.
func (v *visitor) holdsBack(pattern string) (reached <-chan struct{}, letIn func()) {
	v.t.Helper()
	held := make(chan fetch.RequestID, 100)
	first := make(chan struct{})
	count := 0
	require.NoError(v.t, chromedp.Listen(v.tab, func(event any) {
		if paused, ok := event.(*fetch.EventRequestPaused); ok {
			held <- paused.RequestID
			if count++; count == 1 {
				close(first)
			}
		}
	}))
	_, err := chromedp.Call(v.tab, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: pattern, RequestStage: fetch.RequestStageResponse}}})
	require.NoError(v.t, err)
	return first, func() {
		v.t.Helper()
		v.do("lets the answer in", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
			_, err := chromedp.Call(ctx, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: <-held})
			return err
		}))
		_, err := chromedp.Call(v.tab, fetch.Disable, cdp.Empty{})
		require.NoError(v.t, err)
	}
}

// The result of an action is announced in any order of the answers: a refresh that the action caused is answered
// before the action itself.
func TestAConfirmationOutlastsARefresh(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	sid := o.accepted(t, "Crystal Minh")
	o.does(t, "end", sid, "--agent", "alice")
	alice := o.agent(t, "alice")
	alice.goes("/desk/" + sid)
	alice.seesControl("button", "Complete wrap-up")
	reached, letIn := alice.holdsBack("*/wrapup")
	ask[bool](alice, `document.addEventListener("htmx:afterRequest", e => { if (e.detail.xhr.status === 200 && e.detail.elt.id === "page") window.refreshed = true; }) ?? true`)
	alice.clicks("button", "Complete wrap-up")
	select {
	case <-reached:
	case <-time.After(testenv.Patience):
		require.Fail(t, "the wrapup was not answered")
	}
	ask[bool](alice, `!(window.refreshed = false)`)
	ask[bool](alice, `htmx.trigger("#page", "refresh") ?? true`)
	alice.waits("a refresh is answered before the action", "window.refreshed")
	letIn()
	alice.seesIn("#said", "Wrap-up complete.")
	ask[bool](alice, `!(window.refreshed = false)`)
	ask[bool](alice, `htmx.trigger("#page", "refresh") ?? true`)
	alice.waits("another refresh is answered", "window.refreshed")
	alice.seesIn("#said", "Wrap-up complete.")
	require.NotContains(t, alice.at(), "said=")
}
