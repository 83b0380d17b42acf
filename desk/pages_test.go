package desk_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func (h *environment) work(agent string) []desk.Work {
	h.T.Helper()
	work, err := h.Workload(h.T.Context(), agent)
	require.NoError(h.T, err)
	return work
}

func (h *environment) says(th *desktest.Conversation, from, text string) desk.Message {
	h.T.Helper()
	said, err := h.Say(h.T.Context(), desk.NewMessage{Conversation: th.SID, From: from, Text: text})
	require.NoError(h.T, err)
	return said
}

func testWorkload(t *testing.T, h *environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	require.Empty(t, h.work("alice"))
	passed := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "Charged twice.")
	h.Clock.Advance(time.Second)
	had := h.Start("support").Follow().Accept("alice")
	h.Clock.Advance(time.Second)
	offered := h.Start("support").Follow()

	work := h.work("alice")
	require.Len(t, work, 3)
	require.Equal(t, []string{offered.SID, had.SID, passed.SID},
		[]string{work[0].Conversation.SID, work[1].Conversation.SID, work[2].Conversation.SID}, "what is to be done first comes first")
	require.Equal(t, conversation.TaskReserved, work[0].Task.Status)
	require.NotNil(t, work[0].Task.Reservation)
	require.Nil(t, work[1].Transfer)
	require.Equal(t, desktest.ToQueue("billing"), work[2].Transfer.To, "she can take it back")
	require.Nil(t, work[0].Last)
	passedOn := func() []desk.PassedOn {
		t.Helper()
		found, err := h.PassedOn(t.Context(), "alice")
		require.NoError(t, err)
		return found
	}
	require.Empty(t, passedOn(), "it is among her work")
	passed.WrapUp("alice")
	require.Len(t, h.work("alice"), 2)
	require.Equal(t, passed.SID, passedOn()[0].Conversation.SID)
	require.Equal(t, desktest.ToQueue("billing"), passedOn()[0].Transfer.To)
	passed.Accept("bob")
	require.Empty(t, passedOn(), "bob has it")
	require.Len(t, h.work("bob"), 1)

	_, err := h.Workload(t.Context(), "missing")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}

func testUnread(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	h.says(th, desk.FromCustomer, "hello?")
	th.Accept("alice")
	unread := func() int { t.Helper(); return h.work("alice")[0].Unread }
	require.Equal(t, 1, unread())
	last := h.says(th, desk.FromCustomer, "are you there?")
	require.Equal(t, 2, unread())
	require.Equal(t, "are you there?", h.work("alice")[0].Last.Text)
	require.NoError(t, h.MarkRead(t.Context(), th.SID, "alice", last.Number))
	require.Zero(t, unread())
	h.says(th, "alice", "I am.")
	require.Zero(t, unread(), "her own words are not new to her")
	h.says(th, desk.FromCustomer, "good")
	require.NoError(t, h.MarkRead(t.Context(), th.SID, "alice", 1))
	require.Equal(t, 1, unread(), "what was read stays read")
}

func testThread(t *testing.T, h *environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	require.NoError(t, h.UpdateAgent(t.Context(), "alice", desk.AgentChange{FriendlyName: new("Alice A.")}))
	th := h.Start("support").Follow().Accept("alice")
	for _, text := range []string{"one", "two", "three"} {
		h.says(th, desk.FromCustomer, text)
	}
	th.Transfer("alice", desktest.ToQueue("billing"), "Charged twice.")
	require.NoError(t, h.NoteRefusal(t.Context(), th.SID, "alice", conversation.CodeWrapupPending))

	for name, reader := range map[string]desk.Reader{"who wraps up": desk.AsAgent("alice"), "who is offered it": desk.AsAgent("bob"), "the environment": desk.AsSystem()} {
		seen, err := h.Thread(t.Context(), th.SID, reader, 2)
		require.NoError(t, err, name)
		require.Equal(t, []string{"two", "three"}, []string{seen.Messages[0].Text, seen.Messages[1].Text}, "%s: the newest, in order", name)
		require.Equal(t, 1, seen.Earlier, name)
		require.Len(t, seen.Tasks, 2, name)
		require.Len(t, seen.Transfers, 1, name)
		require.Equal(t, "Charged twice.", seen.Notes[0].Text, name)
		require.Equal(t, []desk.Refused{{Agent: "alice", Code: conversation.CodeWrapupPending, At: h.Clock.Now()}}, seen.Refused, name)
		require.Len(t, seen.Events, seen.Events[len(seen.Events)-1].Number, "%s: every event", name)
		require.Equal(t, "Alice A.", seen.Names.Agent("alice"), name)
		require.Equal(t, "billing", seen.Names.Queue("billing"), name)
	}
	for name, c := range map[string]struct {
		window  desk.Window
		texts   []string
		earlier int
	}{
		"one before the newest, and the newest":       {desk.Window{Limit: 1, Before: 3}, []string{"two", "three"}, 1},
		"before the first":                            {desk.Window{Limit: 1, Before: 1}, []string{"one", "two", "three"}, 0},
		"before one that is not written yet":          {desk.Window{Limit: 1, Before: 9}, []string{"three"}, 2},
		"from the first":                              {desk.Window{Limit: 1, From: 1}, []string{"one", "two", "three"}, 0},
		"from the newest, with more at least":         {desk.Window{Limit: 2, From: 3}, []string{"two", "three"}, 1},
		"from and before: what was loaded stays":      {desk.Window{Limit: 1, From: 2, Before: 1}, []string{"two", "three"}, 1},
		"a limit of more than there are":              {desk.Window{Limit: 100}, []string{"one", "two", "three"}, 0},
		"from a message that the page cannot know of": {desk.Window{Limit: 1, From: 1000}, []string{"three"}, 2},
	} {
		seen, err := h.ThreadWindow(t.Context(), th.SID, desk.AsCustomer(), c.window)
		require.NoError(t, err, name)
		var texts []string
		for _, m := range seen.Messages {
			texts = append(texts, m.Text)
		}
		require.Equal(t, c.texts, texts, name)
		require.Equal(t, c.earlier, seen.Earlier, name)
	}
	customers, err := h.Thread(t.Context(), th.SID, desk.AsCustomer(), 100)
	require.NoError(t, err)
	require.Len(t, customers.Messages, 3)
	require.Empty(t, customers.Notes, "a customer never sees a note")
	require.Empty(t, customers.Refused)

	h.Staff("other", "erin")
	_, err = h.Thread(t.Context(), th.SID, desk.AsAgent("erin"), 100)
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err))
	_, err = h.Thread(t.Context(), desktest.NewSID(), desk.AsSystem(), 100)
	require.ErrorIs(t, err, desk.ErrUnknownConversation)
}

func testDirectory(t *testing.T, h *environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "dave")
	h.Staff("billing", "bob")
	require.NoError(t, h.AddQueue(t.Context(), "empty_one"))
	require.NoError(t, h.SetPresence(t.Context(), "dave", desk.PresenceBreak))
	th := h.Start("support").Follow().Accept("alice")
	h.Start("billing").Follow()
	look := func(agent, search string, limit int) desk.Directory {
		t.Helper()
		found, err := h.Directory(t.Context(), desk.DirectoryQuery{Conversation: th.SID, Agent: agent, Search: search, Limit: limit})
		require.NoError(t, err)
		return found
	}
	found := look("alice", "", 10)
	require.Equal(t, []desk.QueueEntry{
		{Name: "billing", FriendlyName: "billing", Choice: "billing", Members: 1, Available: 1, Waiting: 1},
		{Name: "empty_one", FriendlyName: "empty_one", Choice: "empty_one"},
		{Name: "support", FriendlyName: "support", Choice: "support", Members: 2, Available: 1},
	}, found.Queues)
	require.Equal(t, []desk.AgentEntry{
		{Name: "bob", FriendlyName: "bob", Choice: "bob", Presence: desk.PresenceAvailable, Load: 1, Capacity: desk.DefaultCapacity},
		{Name: "dave", FriendlyName: "dave", Choice: "dave", Presence: desk.PresenceBreak, Capacity: desk.DefaultCapacity},
	}, found.Agents, "available ones first, and not alice herself")
	require.False(t, found.More)
	require.True(t, look("alice", "", 1).More)
	require.Empty(t, look("alice", "BIL", 10).Agents)
	require.Len(t, look("alice", " Bil ", 10).Queues, 1, "in any case")
	require.Len(t, look("alice", "_", 10).Queues, 1, "a letter as any other")
	require.Empty(t, look("alice", "%", 10).Queues)

	th.Transfer("alice", desktest.ToAgent("bob"), "").Accept("bob")
	names := []string{}
	for _, a := range look("alice", "", 10).Agents {
		names = append(names, a.Name)
	}
	require.Equal(t, []string{"dave"}, names, "bob has the conversation")
	require.Equal(t, "alice", look("bob", "ali", 10).Agents[0].Name, "who wraps up can get it back")
	_, err := h.Directory(t.Context(), desk.DirectoryQuery{Conversation: th.SID, Agent: "dave", Limit: 10})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err))
}

func testWatch(t *testing.T, h *environment) {
	before, err := h.LastPosition(t.Context())
	require.NoError(t, err)
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	now, err := h.LastPosition(t.Context())
	require.NoError(t, err)
	events, err := h.AllEvents(t.Context(), before, 1000)
	require.NoError(t, err)
	require.Equal(t, now, events[len(events)-1].Position)
	require.Equal(t, th.SID, events[len(events)-1].Conversation)
	require.Empty(t, events[0].Conversation, "a queue was added, at the desk itself")

	administered, err := h.Administered(t.Context())
	require.NoError(t, err)
	h.TransfersOn()
	changed, err := h.Administered(t.Context())
	require.NoError(t, err)
	require.Greater(t, changed, administered)

	spoken := func() int {
		t.Helper()
		found, err := h.Spoken(t.Context(), []string{th.SID, desktest.NewSID()})
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[th.SID]
	}
	quiet := spoken()
	said := h.says(th, desk.FromCustomer, "hello")
	written := spoken()
	require.Greater(t, written, quiet)
	_, err = h.UpdateMessage(t.Context(), th.SID, said.SID, desk.MessageChange{Text: new("hello!")})
	require.NoError(t, err)
	edited := spoken()
	require.Greater(t, edited, written)
	require.NoError(t, h.RemoveMessage(t.Context(), th.SID, said.SID))
	require.Greater(t, spoken(), edited)
}

func testWaitingLongest(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	had := h.Start("support").Follow().Accept("alice")
	var waiting []string
	require.NoError(t, h.AddQueue(t.Context(), "billing"))
	for _, queue := range []string{"billing", "support", "billing"} {
		h.Clock.Advance(time.Second)
		waiting = append(waiting, h.Start(queue).Follow().SID)
	}
	list := func(f desk.Filter, p desk.Page) (sids []string) {
		t.Helper()
		f.WaitingLongest = true
		found, err := h.ConversationPage(t.Context(), f, "", p)
		require.NoError(t, err)
		for _, c := range found.Entries {
			sids = append(sids, c.SID)
			require.NotEmpty(t, c.Live)
		}
		return sids
	}
	require.Equal(t, waiting, list(desk.Filter{}, desk.Page{}), "the oldest first, and none that an agent has")
	require.NotContains(t, list(desk.Filter{}, desk.Page{}), had.SID)
	require.Equal(t, []string{waiting[0], waiting[2]}, list(desk.Filter{Queue: "billing"}, desk.Page{}))
	require.Equal(t, waiting[1:2], list(desk.Filter{}, desk.Page{Limit: 1, Skip: 1}))
	require.Empty(t, list(desk.Filter{Status: conversation.ConversationClosed}, desk.Page{}))
}

// readPages reads what pages read whenever something has changed.
func (h *environment) readPages(th *desktest.Conversation, agent string) {
	h.T.Helper()
	ctx := h.T.Context()
	h.work(agent)
	_, err := h.PassedOn(ctx, agent)
	require.NoError(h.T, err)
	_, err = h.Thread(ctx, th.SID, desk.AsSystem(), 10)
	require.NoError(h.T, err)
	_, err = h.LastPosition(ctx)
	require.NoError(h.T, err)
	_, err = h.AllEvents(ctx, 1, 10)
	require.NoError(h.T, err)
	_, err = h.Spoken(ctx, []string{th.SID})
	require.NoError(h.T, err)
	require.NoError(h.T, h.MarkRead(ctx, th.SID, agent, 1))
	h.notices(agent)
	_, err = h.Waits(ctx, []string{th.SID})
	require.NoError(h.T, err)
	require.NoError(h.T, h.DismissNotices(ctx, agent, conversation.SIDOf(conversation.PrefixTransfer, uuid.New())))
	require.NoError(h.T, h.DismissMissedOffer(ctx, agent))
	for _, f := range []desk.Filter{{Status: conversation.ConversationActive}, {WaitingLongest: true}, {WaitingLongest: true, Queue: "support"}} {
		for _, search := range []string{"", "crystal", "nothing", th.SID} {
			if f.WaitingLongest && search == th.SID {
				continue // one conversation, sorted
			}
			for _, p := range []desk.Page{{}, {After: &desk.Cursor{Key: 1, SID: "CH"}}, {Before: &desk.Cursor{Key: 1, SID: "CH"}}} {
				_, err = h.ConversationPage(ctx, f, search, p)
				require.NoError(h.T, err)
			}
		}
	}
}
