package e2e

import (
	"cmp"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// picturesVariable names the folder for the screenshots of the documentation; `make screenshots` sets it. Without
// it, the screenshots are still taken, because the browser may complain about the pages.
const picturesVariable = "BATON_SCREENSHOTS"

// TestScreenshots takes the screenshots of the documentation: an environment with a week of history and a transfer in
// progress.
func TestScreenshots(t *testing.T) {
	t.Parallel()
	folder := cmp.Or(os.Getenv(picturesVariable), t.TempDir())
	u := newUser(t)
	d := u.openDesk(t)
	o := openDevOf(t, u)
	c := o.commands(t)
	draw := func(v *visitor, name string) {
		t.Helper()
		v.inScheme("light")
		v.waits("everything is loaded", `document.readyState === "complete" && !document.querySelector(".htmx-request")`)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name+".png"), v.picture(), 0o600))
	}

	carol := o.signIn(t, "carol", "Carol Lindqvist as administrator", "/admin/transfers")
	alice, bob := o.signIn(t, "alice", "Alice Moreau", "/desk"), o.signIn(t, "bob", "Bob Okafor", "/desk")
	draw(carol, "admin-transfers")

	// Two more conversations of alice: one that she has transferred and wraps up, and one that waits for her
	// answer.
	say := func(sid, from, text string) {
		t.Helper()
		_, err := records.Say(in(t, testenv.Patience), d, records.NewMessage{Conversation: sid, From: from, Text: text})
		require.NoError(t, err)
	}
	passed := c.startAs(t, conversation.ChannelWhatsApp, "Jonas Weber", "+49 170 1234567")
	c.offered(t, passed, "alice")
	say(passed, records.FromCustomer, "The new boots are one size too small. Can I exchange them?")
	accepted := c.do(t, passed, conversation.AcceptCommand{Agent: "alice"})
	require.NoError(t, routing.AwaitRevision(in(t, testenv.Patience), d, passed, accepted.Revision))
	say(passed, "alice", "Of course. I pass you to my colleague for returns, who sends you a label.")
	c.do(t, passed, conversation.TransferCommand{From: "alice", To: toQueue("returns"), Note: "Exchange for size 43, order 3348917741."})

	crystal := o.beginsChat(t, "Crystal Minh", "Hi! I was charged twice for order 3348917502.")
	alice.opens("Crystal Minh")
	alice.clicks("button", "Accept")
	alice.says("Hello Crystal, I am sorry about that. Let me look into it.")
	crystal.says("Thank you! Both are from 3 May, 84.90 each.")
	alice.seesIn("#thread", "84.90 each")
	alice.says("I see them both. One of them is a mistake of ours: my colleague in billing can pay it back right away.")
	crystal.seesIn("#thread", "One of them is a mistake")
	waiting := c.startAs(t, conversation.ChannelSMS, "Amina Diallo", "+33 6 12 34 56 78")
	c.offered(t, waiting, "alice")
	say(waiting, records.FromCustomer, "Where is my parcel? It should have come on Monday.")
	alice.seesIn(".tasks", "Where is my parcel?")
	alice.seesIn("#thread", "One of them is a mistake")
	draw(alice, "desk")
	draw(crystal, "chat")

	alice.clicks("link", "Transfer")
	alice.clicks("radio", "Billing")
	alice.types("textbox", "Note for the next agent", "Charged twice on 3 May, 84.90 each. One is to be paid back; she knows.")
	draw(alice, "transfer")
	alice.clicks("button", "Transfer conversation")
	bob.opens("Crystal Minh")
	bob.seesIn(".offer", "Transfer from Alice Moreau")
	draw(bob, "offer")
	bob.clicks("button", "Accept")
	bob.says("Hello Crystal, this is Bob. I have paid 84.90 back to your card.")

	carol.goes("/conversations")
	draw(carol, "conversations")
	carol.clicks("link", "Crystal Minh")
	carol.sees("Timeline")
	draw(carol, "conversation")
	carol.goes("/insights")
	carol.chooses("Period", "7 days")
	carol.clicks("button", "Show")
	carol.waits("the week is shown", `location.search.includes("period=")`)
	carol.waits("the charts are drawn", `document.querySelectorAll(".chart canvas").length > 0`)
	draw(carol, "insights")
}

// startAs starts a conversation in the queue support on a channel.
func (c *environment) startAs(t *testing.T, channel conversation.Channel, name, address string) string {
	t.Helper()
	sid, err := c.Baton.Start(in(t, testenv.Patience), conversation.StartCommand{
		Channel: channel, Queue: "support", Customer: conversation.Customer{Name: name, Address: address},
		Attributes: conversation.Attributes{"language": baton.Attribute("en")},
	})
	require.NoError(t, err)
	return sid
}

// past generates an environment's week before the screenshots. It syncs with the desk like a worker.
type past struct {
	*desk.Desk

	t      *testing.T
	random *rand.Rand
	now    time.Time
}

// openDesk makes a desk with people, queues and a past.
func (u *user) openDesk(t *testing.T) *desk.Desk {
	t.Helper()
	require.NoError(t, os.MkdirAll(u.data, 0o700))
	now := time.Now()
	p := &past{t: t, random: rand.New(rand.NewPCG(3, 5)), now: now.AddDate(0, 0, -7)}
	var err error
	p.Desk, err = desk.Open(t.Context(), config.Database(u.data), desk.Options{Now: func() time.Time { return p.now }})
	require.NoError(t, err)
	p.hire()
	for _, began := range p.times(now) {
		p.now = began
		p.tell()
	}
	require.NoError(t, routing.SetPresence(p.ctx(), p.Desk, "emil", desk.PresenceBreak)) // the screenshots show alice
	require.NoError(t, p.Close())

	d, err := desk.Open(t.Context(), config.Database(u.data), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// queueMembers are the agents of each queue.
var queueMembers = map[string][]string{"support": {"alice", "emil"}, "billing": {"bob", "emil"}, "returns": {"dana"}}

func (p *past) hire() {
	p.t.Helper()
	ctx := p.ctx()
	for _, queue := range []struct{ name, friendly string }{{"support", "Support"}, {"billing", "Billing"}, {"returns", "Returns"}} {
		require.NoError(p.t, people.CreateQueue(ctx, p.Desk, people.NewQueue{Name: queue.name, FriendlyName: queue.friendly}))
		p.now = p.now.Add(time.Second) // support comes first, which gets new chats
	}
	for _, agent := range []people.NewAgent{
		{Name: "alice", FriendlyName: "Alice Moreau"},
		{Name: "bob", FriendlyName: "Bob Okafor"},
		{Name: "dana", FriendlyName: "Dana Petrova"},
		{Name: "emil", FriendlyName: "Emil Hansen"},
		{Name: "carol", FriendlyName: "Carol Lindqvist", Role: desk.RoleSupervisor},
	} {
		if agent.Role == "" {
			agent.Presence = desk.PresenceAvailable
		}
		require.NoError(p.t, people.AddAgent(ctx, p.Desk, agent))
	}
	for _, queue := range []string{"support", "billing", "returns"} {
		for _, agent := range queueMembers[queue] {
			require.NoError(p.t, people.AddMember(ctx, p.Desk, queue, agent))
		}
	}
	_, err := desk.SetSettings(ctx, p.Desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(p.t, err)
}

// times are when the past conversations started: about twenty a day, in working hours.
func (p *past) times(now time.Time) (began []time.Time) {
	day := p.now.UTC().Truncate(24 * time.Hour)
	for ; day.Before(now); day = day.AddDate(0, 0, 1) {
		for slot := 8 * time.Hour; slot < 18*time.Hour; slot += 30 * time.Minute {
			at := day.Add(slot + time.Duration(p.random.IntN(120))*time.Second)
			if at.After(p.now) && at.Before(now.Add(-time.Hour)) && p.random.IntN(10) < 9 {
				began = append(began, at)
			}
		}
	}
	return began
}

// The customers, and the matters they wrote about: the first queue, the text, and the queue and note of a possible
// transfer.
var (
	customers = []string{
		"Ada Nowak", "Amina Diallo", "Ben Carter", "Chiara Conti", "Chen Wei", "Crystal Minh", "Daniel Kovač", "Elif Yılmaz", "Fatima Zahra", "Grace Mensah",
		"Hana Sato", "Ivan Horvat", "Jonas Weber", "Kofi Boateng", "Lucía Romero", "Mateo Silva", "Nora Lind", "Omar Haddad", "Priya Nair", "Sofie Jensen",
	}
	matters = []struct{ queue, text, passedTo, note string }{
		{"support", "I was charged twice for my order.", "billing", "Two charges on the same day: one is to be paid back."},
		{"support", "The jacket is too small. Can I send it back?", "returns", "Wants an exchange, one size larger."},
		{"support", "How do I change the address of my order?", "", ""},
		{"support", "Where is my parcel?", "returns", "Came back to us: address was incomplete."},
		{"billing", "I need an invoice with my company's name.", "support", "The name is wrong in her account, too."},
		{"billing", "My card was declined, but the money is gone.", "", ""},
		{"returns", "I sent the shoes back two weeks ago.", "billing", "They have arrived: pay back 129.00."},
	}
	channels = []conversation.Channel{conversation.ChannelWeb, conversation.ChannelWeb, conversation.ChannelWhatsApp, conversation.ChannelSMS}
)

// pastConversation is a conversation of the past.
type pastConversation struct {
	*past

	sid    string
	state  conversation.State
	events []conversation.Event
	notes  []conversation.Note
}

// tell generates one conversation, from its start to its last wrapup.
func (p *past) tell() {
	p.t.Helper()
	c := &pastConversation{past: p, sid: conversation.SIDOf(conversation.PrefixConversation, uuid.New())}
	matter := matters[p.random.IntN(len(matters))]
	c.do(conversation.StartCommand{
		Conversation: c.sid, Channel: channels[p.random.IntN(len(channels))], Queue: matter.queue,
		Customer: conversation.Customer{Name: customers[p.random.IntN(len(customers))]},
	})
	c.say(records.FromCustomer, matter.text)
	c.accept()
	if matter.passedTo != "" && p.random.IntN(3) > 0 {
		c.pass(conversation.Target{Queue: matter.passedTo}, matter.note)
	}
	holder := c.task().Agent
	c.say(holder, "That is done. Is there anything else?")
	c.say(records.FromCustomer, "No, thank you!")
	c.do(conversation.EndCommand{Agent: holder})
	c.later(10, 90)
	c.do(conversation.WrapupCommand{Agent: holder, Disposition: "resolved"})
}

// pass transfers the conversation. Sometimes it comes back to an agent who is still in wrap-up.
func (c *pastConversation) pass(target conversation.Target, note string) {
	c.t.Helper()
	sender := c.task().Agent
	c.do(conversation.TransferCommand{From: sender, To: target, Note: note})
	back := c.random.IntN(5) == 0
	if !back {
		c.later(10, 60)
		c.do(conversation.WrapupCommand{Agent: sender, Disposition: "passed_on"})
	}
	c.accept()
	if !back {
		return
	}
	receiver := c.task().Agent
	c.say(receiver, "I have seen to it. You are back with my colleague in a moment.")
	c.do(conversation.TransferCommand{From: receiver, To: conversation.Target{Agent: sender}})
	c.later(5, 20)
	require.NoError(c.t, records.NoteRefused(c.ctx(), c.past.Desk, c.sid, conversation.AcceptCommand{Agent: sender}, desktest.ErrWrapupPending))
	c.do(conversation.WrapupCommand{Agent: sender, Disposition: "passed_on"})
	c.accept()
	c.later(10, 60)
	c.do(conversation.WrapupCommand{Agent: receiver, Disposition: "passed_on"})
}

// accept makes the agent who is offered the conversation accept it and write.
func (c *pastConversation) accept() {
	c.t.Helper()
	c.later(4, 45)
	c.do(conversation.AcceptCommand{Agent: c.task().Agent})
	c.later(5, 30)
	c.say(c.task().Agent, "Hello, let me look into it.")
	c.later(60, 300)
}

// later lets some time pass.
func (c *pastConversation) later(atLeast, atMost int) {
	c.now = c.now.Add(time.Duration(atLeast*1000+c.random.IntN((atMost-atLeast)*1000)) * time.Millisecond)
}

// task returns the newest task.
func (c *pastConversation) task() *conversation.Task { return c.state.Tasks[len(c.state.Tasks)-1] }

func (p *past) ctx() context.Context { return context.WithoutCancel(p.t.Context()) }

func (c *pastConversation) say(from, text string) {
	c.t.Helper()
	_, err := records.Say(c.ctx(), c.past.Desk, records.NewMessage{Conversation: c.sid, From: from, Text: text})
	require.NoError(c.t, err)
	c.later(5, 40)
}

// do carries out a command, syncs with the desk, and applies its matches.
func (c *pastConversation) do(command conversation.Command) {
	c.t.Helper()
	query, err := c.state.Ask(command, c.now)
	require.NoError(c.t, err)
	var facts *conversation.Facts
	if query != nil {
		answered, err := routing.ReadFacts(c.ctx(), c.past.Desk, *query)
		require.NoError(c.t, err)
		facts = &answered
	}
	result, err := c.state.Apply(command, facts, c.now)
	require.NoError(c.t, err)
	c.events, c.notes = append(c.events, result.Events...), append(c.notes, result.Notes...)
	answer, err := routing.Sync(c.ctx(), c.past.Desk, c.state.Snapshot(c.events, c.notes))
	require.NoError(c.t, err)
	c.events, c.notes = nil, nil
	for _, match := range answer.Matches {
		c.do(match)
	}
}
