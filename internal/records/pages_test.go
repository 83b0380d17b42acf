package records_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

func workOf(h *desktest.Environment, agent string) []records.Work {
	h.T.Helper()
	work, err := records.ReadWorkload(h.T.Context(), h.Desk, agent)
	require.NoError(h.T, err)
	return work
}

func testWorkload(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	require.Empty(t, workOf(h, "alice"))
	passed := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "Charged twice.")
	h.Clock.Advance(time.Second)
	had := h.Start("support").Follow().Accept("alice")
	h.Clock.Advance(time.Second)
	offered := h.Start("support").Follow()

	work := workOf(h, "alice")
	require.Len(t, work, 3)
	require.Equal(t, []string{offered.SID, had.SID, passed.SID},
		[]string{work[0].Conversation.SID, work[1].Conversation.SID, work[2].Conversation.SID}, "what is to be done first comes first")
	require.Equal(t, conversation.TaskReserved, work[0].Task.Status)
	require.NotNil(t, work[0].Task.Reservation)
	require.Nil(t, work[1].Transfer)
	require.Equal(t, desktest.ToQueue("billing"), work[2].Transfer.To, "she can take it back")
	require.Nil(t, work[0].Last)
	passedOn := func() []records.PassedOn {
		t.Helper()
		found, err := records.ListPassedOn(t.Context(), h.Desk, "alice")
		require.NoError(t, err)
		return found
	}
	require.Empty(t, passedOn(), "it is among her work")
	passed.WrapUp("alice")
	require.Len(t, workOf(h, "alice"), 2)
	require.Equal(t, passed.SID, passedOn()[0].Conversation.SID)
	require.Equal(t, desktest.ToQueue("billing"), passedOn()[0].Transfer.To)
	passed.Accept("bob")
	require.Empty(t, passedOn(), "bob has it")
	require.Len(t, workOf(h, "bob"), 1)

	_, err := records.ReadWorkload(t.Context(), h.Desk, "missing")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}

func testUnread(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	desktest.Say(h, th, records.FromCustomer, "hello?")
	th.Accept("alice")
	unread := func() int { t.Helper(); return workOf(h, "alice")[0].Unread }
	require.Equal(t, 1, unread())
	last := desktest.Say(h, th, records.FromCustomer, "are you there?")
	require.Equal(t, 2, unread())
	require.Equal(t, "are you there?", workOf(h, "alice")[0].Last.Text)
	require.NoError(t, records.MarkRead(t.Context(), h.Desk, th.SID, "alice", last.Number))
	require.Zero(t, unread())
	desktest.Say(h, th, "alice", "I am.")
	require.Zero(t, unread(), "her own words are not new to her")
	desktest.Say(h, th, records.FromCustomer, "good")
	require.NoError(t, records.MarkRead(t.Context(), h.Desk, th.SID, "alice", 1))
	require.Equal(t, 1, unread(), "what was read stays read")
}

func testThread(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, "alice", people.AgentChange{FriendlyName: new("Alice A.")}))
	th := h.Start("support").Follow().Accept("alice")
	for _, text := range []string{"one", "two", "three"} {
		desktest.Say(h, th, records.FromCustomer, text)
	}
	th.Transfer("alice", desktest.ToQueue("billing"), "Charged twice.")
	require.NoError(t, records.NoteRefused(t.Context(), h.Desk, th.SID, conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending))

	for name, reader := range map[string]records.Reader{"who wraps up": records.AsAgent("alice"), "who is offered it": records.AsAgent("bob"), "the environment": records.AsSystem()} {
		seen, err := records.ReadThread(t.Context(), h.Desk, th.SID, reader, records.Window{Limit: 2})
		require.NoError(t, err, name)
		require.Equal(t, []string{"two", "three"}, []string{seen.Messages[0].Text, seen.Messages[1].Text}, "%s: the newest, in order", name)
		require.Equal(t, 1, seen.Earlier, name)
		require.Len(t, seen.Tasks, 2, name)
		require.Len(t, seen.Transfers, 1, name)
		require.Equal(t, "Charged twice.", seen.Notes[0].Text, name)
		require.Equal(t, []records.Refused{{Agent: "alice", Code: conversation.CodeWrapupPending, At: h.Clock.Now()}}, seen.Refused, name)
		require.Len(t, seen.Events, seen.Events[len(seen.Events)-1].Number, "%s: every event", name)
		require.Equal(t, "Alice A.", seen.Names.Agent("alice"), name)
		require.Equal(t, "billing", seen.Names.Queue("billing"), name)
	}
	for name, c := range map[string]struct {
		window  records.Window
		texts   []string
		earlier int
	}{
		"one before the newest, and the newest":       {records.Window{Limit: 1, Before: 3}, []string{"two", "three"}, 1},
		"before the first":                            {records.Window{Limit: 1, Before: 1}, []string{"one", "two", "three"}, 0},
		"before one that is not written yet":          {records.Window{Limit: 1, Before: 9}, []string{"three"}, 2},
		"from the first":                              {records.Window{Limit: 1, From: 1}, []string{"one", "two", "three"}, 0},
		"from the newest, with more at least":         {records.Window{Limit: 2, From: 3}, []string{"two", "three"}, 1},
		"from and before: what was loaded stays":      {records.Window{Limit: 1, From: 2, Before: 1}, []string{"two", "three"}, 1},
		"a limit of more than there are":              {records.Window{Limit: 100}, []string{"one", "two", "three"}, 0},
		"from a message that the page cannot know of": {records.Window{Limit: 1, From: 1000}, []string{"three"}, 2},
	} {
		seen, err := records.ReadThread(t.Context(), h.Desk, th.SID, records.AsCustomer(), c.window)
		require.NoError(t, err, name)
		var texts []string
		for _, m := range seen.Messages {
			texts = append(texts, m.Text)
		}
		require.Equal(t, c.texts, texts, name)
		require.Equal(t, c.earlier, seen.Earlier, name)
	}
	customers, err := records.ReadThread(t.Context(), h.Desk, th.SID, records.AsCustomer(), records.Window{Limit: 100})
	require.NoError(t, err)
	require.Len(t, customers.Messages, 3)
	require.Empty(t, customers.Notes, "a customer never sees a note")
	require.Empty(t, customers.Refused)

	h.Staff("other", "erin")
	_, err = records.ReadThread(t.Context(), h.Desk, th.SID, records.AsAgent("erin"), records.Window{Limit: 100})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err))
	_, err = records.ReadThread(t.Context(), h.Desk, desktest.NewSID(), records.AsSystem(), records.Window{Limit: 100})
	require.ErrorIs(t, err, records.ErrUnknownConversation)
}

func testWaitingLongest(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	had := h.Start("support").Follow().Accept("alice")
	var waiting []string
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "billing"))
	for _, queue := range []string{"billing", "support", "billing"} {
		h.Clock.Advance(time.Second)
		waiting = append(waiting, h.Start(queue).Follow().SID)
	}
	list := func(f records.Filter, p desk.Page) (sids []string) {
		t.Helper()
		f.WaitingLongest = true
		found, err := records.ConversationPage(t.Context(), h.Desk, f, "", p)
		require.NoError(t, err)
		for _, c := range found.Entries {
			sids = append(sids, c.SID)
			require.NotEmpty(t, c.Live)
		}
		return sids
	}
	require.Equal(t, waiting, list(records.Filter{}, desk.Page{}), "the oldest first, and none that an agent has")
	require.NotContains(t, list(records.Filter{}, desk.Page{}), had.SID)
	require.Equal(t, []string{waiting[0], waiting[2]}, list(records.Filter{Queue: "billing"}, desk.Page{}))
	require.Equal(t, waiting[1:2], list(records.Filter{}, desk.Page{Limit: 1, Skip: 1}))
	require.Empty(t, list(records.Filter{Status: conversation.ConversationClosed}, desk.Page{}))
}

// testPages reads lists page by page, in both directions, while tasks arrive: no entry that was there is missing,
// and none is repeated.
func testPages(t *testing.T, h *desktest.Environment) {
	h.Staff("support")
	var all []string
	begin := func() {
		all = append(all, h.Start("support", desktest.WithPriority(len(all)%3)).Follow().Task().SID)
		if len(all)%2 == 0 { // otherwise two have the same time
			h.Clock.Advance(time.Second)
		}
	}
	for range 13 {
		begin()
	}
	read := func(f records.TaskFilter, size int) (sids []string, back []string) {
		page := desk.Page{Limit: size}
		for {
			found, err := records.TaskPage(t.Context(), h.Desk, f, page)
			require.NoError(t, err)
			require.LessOrEqual(t, len(found.Entries), size)
			for _, task := range found.Entries {
				sids = append(sids, task.SID)
			}
			if !found.More {
				back = append([]string{}, sids[len(sids)-len(found.Entries):]...)
				for earlier := found; earlier.Earlier && len(earlier.Entries) > 0; {
					cursor := earlier.First
					var err error
					earlier, err = records.TaskPage(t.Context(), h.Desk, f, desk.Page{Limit: size, Before: &cursor})
					require.NoError(t, err)
					var some []string
					for _, task := range earlier.Entries {
						some = append(some, task.SID)
					}
					back = append(some, back...)
				}
				return sids, back
			}
			cursor := found.Last
			page = desk.Page{Limit: size, After: &cursor}
		}
	}
	for _, size := range []int{1, 4, 5, 13, 100} {
		forwards, backwards := read(records.TaskFilter{}, size)
		require.ElementsMatch(t, all, forwards)
		require.Equal(t, forwards, backwards)
		newest, _ := read(records.TaskFilter{NewestFirst: true}, size)
		slices.Reverse(newest)
		require.Equal(t, forwards, newest)
		chosen, _ := read(records.TaskFilter{Chooses: func(task records.Task) bool { return task.Priority == 2 }}, size)
		require.Len(t, chosen, 4)
		same, _ := read(records.TaskFilter{Priority: new(2)}, size)
		require.Equal(t, chosen, same)
	}
	first, err := records.TaskPage(t.Context(), h.Desk, records.TaskFilter{}, desk.Page{Limit: 5})
	require.NoError(t, err)
	begin()
	rest, err := records.TaskPage(t.Context(), h.Desk, records.TaskFilter{}, desk.Page{Limit: 100, After: &first.Last})
	require.NoError(t, err)
	require.Len(t, rest.Entries, 9, "what has come in between is at the end")
	skipped, err := records.TaskPage(t.Context(), h.Desk, records.TaskFilter{}, desk.Page{Limit: 5, Skip: 5})
	require.NoError(t, err)
	require.Equal(t, rest.Entries[:5], skipped.Entries)
	none, err := records.TaskPage(t.Context(), h.Desk, records.TaskFilter{Statuses: []conversation.TaskStatus{conversation.TaskAssigned, conversation.TaskCanceled}}, desk.Page{})
	require.NoError(t, err)
	require.Empty(t, none.Entries)
	require.False(t, none.More)
}
