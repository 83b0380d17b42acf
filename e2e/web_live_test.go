package e2e

import (
	"path"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/internal/testenv"
)

// commands returns a client of the environment's conversations for a service that sends commands itself.
func (o *devEnvironment) commands(t *testing.T) *environment {
	t.Helper()
	temporal, err := temporalenv.Dial(t.Context(), temporalenv.Options{Address: o.temporal})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	return &environment{Environment: &testenv.Environment{Temporal: temporal, Baton: baton.NewClient(temporal)}}
}

// startGateway starts a second gateway of the environment, with the same sessions and cookies: a browser doesn't
// separate the ports of one host.
func (o *devEnvironment) startGateway(t *testing.T, name, address string) *gateway {
	t.Helper()
	return launchGateway(t, name, testenv.Variables("BATON_DATABASE="+o.database, "TEMPORAL_ADDRESS="+o.temporal, "BATON_HTTP="+address))
}

// A gateway is killed and restarted at its address. Pages report that they have no connection, recover by
// themselves, and show everything that has happened meanwhile. Text that was being typed is still there.
func TestPagesComeBackAfterTheGatewayWasKilled(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	first := o.startGateway(t, "first gateway", "127.0.0.1:0")
	alice, bob := o.signInHere(t, "alice", "alice agent", "/desk"), o.signInHere(t, "bob", "bob agent", "/desk")
	o.url, alice.site, bob.site = first.URL, first.URL, first.URL
	bob.goes("/desk")
	alice.goes("/desk")
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	crystal.sees("You are talking to alice.")
	crystal.types("textbox", "Your message", "Are you still")
	sid := path.Base(alice.at())

	everybody := []*visitor{alice, bob, crystal}
	for _, v := range everybody {
		v.reconnecting.Store(true)
	}
	first.Kill()
	for _, v := range everybody {
		v.seesIn("#connection", "Connection lost")
	}
	o.does(t, "say", sid, "--as", "alice", "I pass you on.")
	o.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing", "--note", note)
	o.offered(t, sid, "bob")
	o.startGateway(t, "second gateway", first.URL[len("http://"):])

	alice.seesIn("#thread", "I pass you on.", "alice transferred this to billing")
	alice.seesControl("button", "Complete wrap-up")
	bob.seesIn(".tasks", "Crystal Minh", "offered")
	crystal.seesIn("#thread", "I pass you on.")
	crystal.sees("We’re connecting you with a colleague.")
	for _, v := range everybody {
		v.waits("the connection is back", `document.getElementById("connection").hidden`)
		v.reconnecting.Store(false)
	}
	crystal.waits("what she typed is still there", `document.querySelector("[name=text]").value === "Are you still"`)
	crystal.says("Are you still there?")
	bob.opens("Crystal Minh")
	bob.seesIn("#thread", "Are you still there?")
	for _, v := range everybody {
		v.leave() // before the gateway stops
	}
}

const (
	// offersMeasured is how many transfers are measured.
	offersMeasured = 10
	// byHand is the shortest time before an agent transfers a conversation. A faster transfer comes from a program,
	// and its sync is combined with that of the next command.
	byHand = 300 * time.Millisecond
)

// A transfer appears on the receiver's page without a reload. The test prints how long it takes but sets no limit,
// because the machine may be busy.
func TestATransferShowsOnTheReceiversPage(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	c, bob := o.commands(t), o.agent(t, "bob")
	bob.sees("A conversation appears here as soon as it is offered to you.")
	ask[bool](bob, `(() => {
		window.shown = {};
		const look = () => document.querySelectorAll('li.task').forEach(task => { window.shown[task.id] ??= Date.now(); });
		new MutationObserver(look).observe(document.body, {childList: true, subtree: true, attributes: true});
		return true;
	})()`)
	var took []time.Duration
	for range offersMeasured {
		sid := c.beginWithAlice(t)
		accepted := time.Now()
		waitFor(t, testenv.Patience, "she has had it for a moment", func() bool { return time.Since(accepted) >= byHand })
		outcome := c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: note})
		answered := time.Now()
		element := "task-" + outcome.Task.SID
		bob.waits("the offer shows", quoted(element)+" in window.shown")
		shown := time.UnixMilli(ask[int64](bob, "window.shown["+quoted(element)+"]"))
		took = append(took, max(shown.Sub(answered), 0))
		c.do(t, sid, conversation.WrapupCommand{Agent: "alice"})
	}
	slices.Sort(took)
	t.Logf("From a transfer's answer to its offer on the receiver's page, %d times: median %s, longest %s",
		offersMeasured, measured(took[len(took)/2]), measured(took[len(took)-1]))
}

// An agent opens another conversation while the page refreshes: the late answer of the refresh does not replace
// what is open.
func TestAnAnswerThatComesLateClosesNothing(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice := o.agent(t, "alice")
	o.beginsChat(t, "Crystal Minh", charged)
	alice.seesIn(".tasks", "Crystal Minh")
	ask[bool](alice, `document.addEventListener("htmx:afterRequest", e => { if (e.detail.elt.id === "page") window.answered = true; }) ?? true`)

	held := make(chan fetch.RequestID, 100)
	require.NoError(t, chromedp.Listen(alice.tab, func(event any) {
		if paused, ok := event.(*fetch.EventRequestPaused); ok {
			held <- paused.RequestID
		}
	}))
	_, err := chromedp.Call(alice.tab, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: alice.site + "/desk"}}})
	require.NoError(t, err)
	ask[bool](alice, `htmx.trigger("#page", "refresh") ?? true`)
	waitFor(t, testenv.Patience, "the page asks for itself", func() bool { return len(held) > 0 })
	late := <-held
	alice.opens("Crystal Minh")
	ask[bool](alice, `!(window.answered = false)`)
	_, err = chromedp.Call(alice.tab, fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: late})
	require.NoError(t, err)
	_, err = chromedp.Call(alice.tab, fetch.Disable, cdp.Empty{})
	require.NoError(t, err)
	alice.waits("the late answer", "window.answered")
	require.True(t, ask[bool](alice, `new Promise(drawn => requestAnimationFrame(() => drawn(document.getElementById("whose")?.textContent === "Crystal Minh")))`),
		"the conversation that she has opened stays open")
}

// A user who has chosen a transfer target and searches again keeps the choice.
func TestASearchKeepsWhatWasChosen(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	o.does(t, "settings", "--messaging-transfers", "on")
	alice := o.agent(t, "alice")
	crystal := o.beginsChat(t, "Crystal Minh", charged)
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	alice.clicks("link", "Transfer")
	alice.clicks("radio", "billing")
	alice.types("searchbox", "Search queues and agents", "bil")
	alice.waits("only what was searched for is listed", `document.querySelectorAll("#directory input").length === 1`)
	alice.clicks("button", "Transfer conversation")
	crystal.sees("We’re connecting you with a colleague.")
}
