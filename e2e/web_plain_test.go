package e2e

import (
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/testenv"
)

// withoutScripts disables scripts in the browser, from the next page on.
func (v *visitor) withoutScripts() {
	v.t.Helper()
	_, err := chromedp.Call(v.tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(v.t, err)
	v.scriptless = true
	v.goes(v.at())
}

// untilSees reloads the page until each text is visible, as a person without scripts does.
func (v *visitor) untilSees(texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		waitFor(v.t, testenv.Patience, v.name+" loads the page until it shows "+text, func() bool {
			if v.holds(showing("body", text)) {
				return true
			}
			v.goes(v.at())
			return false
		})
	}
}

// Without JavaScript, every form works, and every page is up to date after a reload.
func TestPagesServeWithoutScripts(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	alice, bob := o.agent(t, "alice"), o.agent(t, "bob")
	crystal := openBrowser(t, "Crystal Minh", o.url)
	crystal.goes("/chat")
	for _, v := range []*visitor{alice, bob, crystal} {
		v.withoutScripts()
	}

	crystal.types("textbox", "Your name", "Crystal Minh")
	crystal.types("textbox", "What is it about?", charged)
	crystal.clicks("button", "Start chat")
	crystal.sees(charged)
	alice.untilSees("Crystal Minh")
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	alice.sees("alice accepted")
	alice.types("textbox", "Your message", "Hello Crystal, let me look.")
	alice.clicks("button", "Send")
	alice.seesIn("#thread", "Hello Crystal, let me look.")
	crystal.untilSees("You are talking to alice.", "Hello Crystal, let me look.")

	alice.clicks("link", "Transfer")
	alice.types("searchbox", "Search queues and agents", "bil")
	alice.clicks("button", "Search")
	alice.waits("only what was searched for is listed", `document.querySelectorAll("#directory input").length === 1`)
	alice.clicks("radio", "billing")
	alice.types("textbox", "Note for the next agent", note)
	alice.clicks("button", "Transfer conversation")
	alice.sees("Transferred.")
	bob.untilSees("Crystal Minh")
	bob.opens("Crystal Minh")
	bob.seesIn(".offer", note)
	bob.clicks("button", "Accept")
	bob.sees("bob took over")
	alice.types("combobox", "Outcome", "passed_on")
	alice.clicks("button", "Complete wrap-up")
	alice.sees("Wrap-up complete.")
	crystal.untilSees("You are talking to bob.")
	crystal.clicks("button", "End this chat")
	crystal.sees("This chat is over.")
}

// holdsBackARefresh makes the page refresh and holds the answer back until letIn is called.
func (v *visitor) holdsBackARefresh() (letIn func()) {
	v.t.Helper()
	var first atomic.Bool
	held := make(chan fetch.RequestID, 1)
	goOn := func(id fetch.RequestID) error {
		_, err := chromedp.Call(v.tab, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: id})
		return err
	}
	require.NoError(v.t, chromedp.Listen(v.tab, func(event any) {
		paused, ok := event.(*fetch.EventRequestPaused)
		if !ok {
			return
		}
		if first.CompareAndSwap(false, true) {
			held <- paused.RequestID
		} else {
			go func() { _ = goOn(paused.RequestID) }()
		}
	}))
	page := &fetch.RequestPattern{URLPattern: v.site + v.at(), ResourceType: network.ResourceTypeXHR, RequestStage: fetch.RequestStageResponse}
	_, err := chromedp.Call(v.tab, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{page}})
	require.NoError(v.t, err)
	ask[bool](v, `new Promise(sent => {
		document.addEventListener("htmx:beforeSend", ({detail}) => { window.held = detail.xhr; sent(true); }, {once: true});
		htmx.trigger("#page", "refresh");
	})`)
	ctx, cancel := v.bounded()
	defer cancel()
	var id fetch.RequestID
	select {
	case id = <-held:
	case <-ctx.Done():
		require.Fail(v.t, "no answer came that could be held back")
	}
	return func() {
		v.t.Helper()
		require.NoError(v.t, goOn(id))
		v.waits("what was held back arrives", `held.readyState === XMLHttpRequest.DONE`)
	}
}

// An agent can work with the keyboard alone.
func TestAgentsWorkByKeyboard(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on")
	alice := o.agent(t, "alice")
	crystal := o.beginsChat(t, "Crystal Minh", charged)

	alice.seesIn(".tasks", "Crystal Minh")
	alice.presses("j")
	alice.seesIn("h2", "Crystal Minh")
	alice.seesControl("button", "Accept")
	letIn := alice.holdsBackARefresh()
	alice.presses("a")
	alice.seesIn("#thread", "alice accepted")
	alice.waits("the composer has the focus", `document.activeElement.name === "text"`)
	letIn()
	require.Equal(t, "text", ask[string](alice, `document.activeElement.name`), "what was answered before the accept changes nothing")
	alice.presses("Hello!" + kb.Enter)
	crystal.seesIn("#thread", "Hello!")
	alice.waits("it was sent", `document.querySelector("[name=text]").value === ""`)
	alice.presses(kb.Tab + kb.Tab) // out of the composer, past its button
	alice.presses("t")
	alice.waits("the search has the focus", `document.activeElement.name === "search"`)
	alice.presses(kb.Escape)
	alice.untilNone("searchbox", "Search queues and agents")
}
