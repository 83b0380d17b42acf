package e2e

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// devEnvironment is `baton dev` as people use it: in browsers, at the address that it prints.
type devEnvironment struct {
	*user

	dev *process
	// url is the address of the pages, database that of the desk, temporal that of the server, ui that of the
	// Temporal Web UI.
	url, database, temporal, ui string
}

func openDev(t *testing.T) *devEnvironment {
	t.Helper()
	return openDevOf(t, newUser(t))
}

// openDevOf starts `baton dev` on the user's data.
func openDevOf(t *testing.T, u *user) *devEnvironment {
	t.Helper()
	o := &devEnvironment{user: u}
	o.dev = o.runsDev(t)
	for line := range strings.Lines(o.dev.Stdout.String()) {
		for label, told := range map[string]*string{"Pages and API ": &o.url, "Desk ": &o.database, "Temporal server ": &o.temporal, "Temporal Web UI ": &o.ui} {
			if value, found := strings.CutPrefix(line, label); found {
				*told = strings.TrimSpace(value)
			}
		}
	}
	require.NotEmpty(t, o.url, "baton dev tells where its pages are: %s", o.dev.Stdout.Tail())
	return o
}

// signIn opens a browser for one of the demo's people, who signs in at their own address, as the page offers it.
func (o *devEnvironment) signIn(t *testing.T, name, link, page string) *visitor {
	t.Helper()
	v := openBrowser(t, name, o.url)
	o.becomes(v, link, page)
	return v
}

// becomes chooses one of the demo's people at the printed address.
func (o *devEnvironment) becomes(v *visitor, link, page string) {
	v.t.Helper()
	v.goes(page)
	v.sees("Sign in to the demo")
	v.clicks("link", link)
	v.waits("comes to "+page, "location.pathname === "+quoted(page))
	v.site = ask[string](v, "location.origin")
}

// signInHere signs in with a session, as one person in all tabs.
func (o *devEnvironment) signInHere(t *testing.T, name, button, page string) *visitor {
	t.Helper()
	v := openBrowser(t, name, o.url)
	v.goes(page)
	v.waits("opens the other way", "document.querySelector('details').open = true")
	v.clicks("button", button)
	v.waits("comes to "+page, "location.pathname === "+quoted(page))
	return v
}

// agent opens the desk of an agent.
func (o *devEnvironment) agent(t *testing.T, name string) *visitor {
	t.Helper()
	return o.signIn(t, name, name+" agent", "/desk")
}

// administrator opens a page of administration.
func (o *devEnvironment) administrator(t *testing.T) *visitor {
	t.Helper()
	return o.signIn(t, "carol", "carol as administrator", "/admin/transfers")
}

// beginsChat opens a browser for a customer, who starts a chat.
func (o *devEnvironment) beginsChat(t *testing.T, name, about string) *visitor {
	t.Helper()
	v := openBrowser(t, name, o.url)
	v.goes("/chat")
	v.types("textbox", "Your name", name)
	v.types("textbox", "What is it about?", about)
	v.clicks("button", "Start chat")
	v.sees(about)
	return v
}

// says writes to the other side.
func (v *visitor) says(text string) {
	v.t.Helper()
	v.types("textbox", "Your message", text)
	v.presses(enter)
	v.seesIn("#thread", text)
}

// opens shows a conversation on an agent's desk.
func (v *visitor) opens(customer string) {
	v.t.Helper()
	v.clicks("link", customer)
	v.seesIn("h2", customer)
}

// passes transfers the open conversation to the target that the search finds.
func (v *visitor) passes(search, to, note string) {
	v.t.Helper()
	v.clicks("link", "Transfer")
	v.types("searchbox", "Search queues and agents", search)
	v.waits("only what was searched for is listed", `document.querySelectorAll("#directory input").length === 1`)
	v.clicks("radio", to)
	if note != "" {
		v.types("textbox", "Note for the next agent", note)
	}
	v.clicks("button", "Transfer conversation")
}

// The texts of the story.
const (
	charged  = "Hi! I was charged twice for order 3348917502."
	note     = "Charged twice on 3 May; the second one is to be paid back."
	markup   = `<script>alert("no")</script><b>bold</b> & <img src=x onerror=alert(1)>`
	toRight  = "شكرا جزيلا لك، עד מחר"
	emoji    = "👩🏽‍💻 thanks 🎉"
	refusing = "Finish your wrap-up here"
)

// TestPeopleTellTheStoryInBrowsers is the story of the demo in browsers: an administrator enables transfers, a
// customer writes, and two agents transfer the chat back and forth.
func TestPeopleTellTheStoryInBrowsers(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	alice, bob := o.agent(t, "alice"), o.agent(t, "bob")
	alice.sees("A conversation appears here as soon as it is offered to you.")

	crystal := o.beginsChat(t, "Crystal Minh", charged)
	crystal.sees("You’re in the queue; we’ll be with you shortly.")
	alice.opens("Crystal Minh")
	sid := path.Base(alice.at())
	alice.seesIn(".offer", "New · support")
	alice.seesIn("#thread", charged)
	alice.axe()
	alice.clicks("button", "Accept")
	crystal.sees("You are talking to alice.")
	alice.says("Hello Crystal, let me look.")
	crystal.seesIn("#thread", "Hello Crystal, let me look.")

	alice.seesDisabled("button", "Transfer")
	alice.goes("/admin/transfers")
	alice.sees("This page is not for your role: ask an administrator to give you another one.")
	alice.goes("/desk/" + sid)
	carol := o.administrator(t)
	carol.seesDisabled("checkbox", "Enable Messaging transfer notes")
	carol.clicks("checkbox", "Enable Messaging transfers")
	carol.clicks("checkbox", "Enable Messaging transfer notes")
	carol.axe()
	carol.clicks("button", "Save")
	carol.sees("Saved.")
	carol.axe()
	alice.seesControl("link", "Transfer")

	for _, text := range []string{markup, toRight, emoji} {
		crystal.says(text)
		alice.seesIn("#thread", text)
	}
	crystal.goes("/chat") // a reload
	crystal.seesIn("#thread", charged, markup, toRight, emoji)
	crystal.sees("You are talking to alice.")
	crystal.axe()

	// To the queue, with a note. Bob sees the note and the whole transcript before he accepts.
	bob.chooses("Status", "on a break")
	bob.sees("set yourself available to be offered conversations")
	alice.clicks("link", "Transfer")
	alice.seesDisabled("radio", "bob") // he is on a break, and the page says so
	alice.seesIn("#directory", "on a break")
	alice.axe()
	alice.clicks("link", "Cancel")
	bob.chooses("Status", "available")
	bob.sees("A conversation appears here as soon as it is offered to you.")
	alice.passes("bil", "billing", note)
	crystal.sees("We’re connecting you with a colleague.")
	bob.opens("Crystal Minh")
	bob.seesIn(".offer", "Transfer from alice · billing", note)
	bob.seesIn("#thread", charged, "Hello Crystal, let me look.", markup, toRight, emoji, "alice transferred this to billing")
	bob.axe()
	bob.clicks("button", "Accept")
	crystal.sees("You are talking to bob.")
	bob.says("I pay it back.")
	crystal.seesIn("#thread", "I pay it back.")

	// Back to alice, who is still in wrap-up: the refusal is next to the button that completes the wrap-up.
	bob.passes("ali", "alice", "Paid back: tell her when.")
	alice.seesIn(".offer", "Transfer from bob · to you", "Paid back: tell her when.")
	alice.clicks("button", "Accept")
	alice.seesIn(".wrapup .refused", refusing)
	alice.seesControl("button", "Complete wrap-up")
	alice.axe()
	alice.types("combobox", "Outcome", "passed_on")
	alice.clicks("button", "Complete wrap-up")
	alice.untilNone("button", "Complete wrap-up")
	alice.clicks("button", "Accept")
	crystal.sees("You are talking to alice.")
	alice.says("It will be there on Friday.")
	crystal.seesIn("#thread", "It will be there on Friday.")
	alice.clicks("button", "End")
	crystal.sees("This chat is over. Thank you for writing.")
	alice.clicks("button", "Complete wrap-up")
	alice.sees("Wrap-up complete.")
	bob.clicks("button", "Complete wrap-up")
	bob.sees("Wrap-up complete.")
	crystal.seesNowhere(note, "Paid back: tell her when.", "passed_on")

	// The records match the story.
	record := o.shows(t, sid)
	require.Equal(t, conversation.ConversationClosed, record.Status)
	require.Len(t, record.Tasks, 3)
	require.Len(t, record.Transfers, 2)

	carol.goes("/conversations")
	carol.sees("Crystal Minh")
	carol.axe()
	carol.clicks("link", "Crystal Minh")
	carol.sees("Timeline", "Transcript", note)
	carol.axe()
	for _, page := range []string{"/insights", "/admin/agents", "/admin/queues", "/admin/audit"} {
		carol.goes(page)
		carol.axe()
	}
}

// TestThreeTabsAreThreePeople opens the printed address in three tabs of one browser, which share their cookies.
// Each tab is another person.
func TestThreeTabsAreThreePeople(t *testing.T) {
	t.Parallel()
	o := openDev(t)
	crystal := openBrowser(t, "the customer's tab", o.url)
	alice, bob := crystal.anotherTab("alice's tab"), crystal.anotherTab("bob's tab")
	crystal.goes("/")
	crystal.clicks("link", "A customer")
	crystal.types("textbox", "Your name", "Crystal Minh")
	crystal.types("textbox", "What is it about?", charged)
	crystal.clicks("button", "Start chat")
	o.becomes(alice, "alice agent", "/desk")
	o.becomes(bob, "bob agent", "/desk")
	alice.goes("/desk")
	alice.seesIn(".signout", "alice")
	bob.seesIn(".signout", "bob")
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	crystal.sees("You are talking to alice.")
	bob.clicks("link", "Sign out")
	bob.sees("Sign in to the demo")
	alice.says("Hello Crystal.")
	crystal.seesIn("#thread", "Hello Crystal.")
}
