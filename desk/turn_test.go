package desk_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func textsOf(messages []desk.Message) []string {
	texts := make([]string, len(messages))
	for i, m := range messages {
		texts[i] = m.Text
	}
	return texts
}

// readTurn is everything that an agent reads of a conversation at the desk.
type readTurn struct {
	transcript, thread, list []string
	notes                    []string
	unread                   int
	last                     string
	count                    int
}

func turnOf(h *desktest.Environment, th *desktest.Conversation, agent string) (read readTurn) {
	h.T.Helper()
	ctx, reader := h.T.Context(), desk.AsAgent(agent)
	messages, err := desk.ReadTranscript(ctx, h.Desk, th.SID, reader)
	require.NoError(h.T, err)
	read.transcript = textsOf(messages)
	seen, err := desk.ReadThread(ctx, h.Desk, th.SID, reader, desk.Window{Limit: 100})
	require.NoError(h.T, err)
	read.thread, read.count = textsOf(seen.Messages), seen.Conversation.Messages
	for after := (*desk.Cursor)(nil); ; {
		page, err := desk.MessagePage(ctx, h.Desk, th.SID, reader, false, desk.Page{Limit: 1, After: after})
		require.NoError(h.T, err)
		read.list = append(read.list, textsOf(page.Entries)...)
		if !page.More {
			break
		}
		after = &page.Last
	}
	notes, err := desk.ListNotes(ctx, h.Desk, th.SID, reader)
	require.NoError(h.T, err)
	for _, n := range notes {
		read.notes = append(read.notes, n.Text)
	}
	work := workOf(h, agent)
	require.Len(h.T, work, 1)
	read.unread = work[0].Unread
	if work[0].Last != nil {
		read.last = work[0].Last.Text
	}
	return read
}

func testTurnsEnd(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob", "erin")
	require.NoError(t, desk.AddAgent(t.Context(), h.Desk, desk.NewAgent{Name: "carol", Role: desk.RoleSupervisor}))
	th := h.Start("support").Follow().Accept("alice")
	before := say(h, th, desk.FromCustomer, "hello")
	changed := say(h, th, desk.FromCustomer, "my number is 1")
	th.Transfer("alice", desktest.ToAgent("bob"), "Charged twice.")

	// First at the same time by the clock, then at later times.
	say(h, th, desk.FromCustomer, "while waiting")
	h.Clock.Advance(time.Second)
	th.Accept("bob")
	h.Clock.Advance(time.Second)
	later := say(h, th, desk.FromCustomer, "only for bob")
	say(h, th, "bob", "from bob")
	_, err := desk.UpdateMessage(t.Context(), h.Desk, th.SID, changed.SID, desk.MessageChange{Text: new("my number is 2")})
	require.NoError(t, err)
	secret, err := desk.StoreNote(t.Context(), h.Desk, th.SID, "bob", "bob's own")
	require.NoError(t, err)
	h.Clock.Advance(time.Second)
	th.Transfer("bob", desktest.ToAgent("erin"), "Passed again.")
	h.Clock.Advance(time.Second)
	th.Accept("erin")

	require.Equal(t, readTurn{
		transcript: []string{"hello"}, thread: []string{"hello"}, list: []string{"hello"}, notes: []string{"Charged twice."},
		unread: 1, last: "hello", count: 1,
	}, turnOf(h, th, "alice"))
	_, err = desk.FindMessage(t.Context(), h.Desk, th.SID, before.SID, desk.AsAgent("alice"))
	require.NoError(t, err)
	for _, sid := range []string{later.SID, changed.SID} {
		_, err = desk.FindMessage(t.Context(), h.Desk, th.SID, sid, desk.AsAgent("alice"))
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	_, _, err = desk.FindNote(t.Context(), h.Desk, secret, desk.AsAgent("alice"))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))

	seen, err := desk.ReadThread(t.Context(), h.Desk, th.SID, desk.AsAgent("alice"), desk.Window{Limit: 100})
	require.NoError(t, err)
	require.Len(t, seen.Transfers, 1, "her own, not bob's")
	require.Equal(t, conversation.TransferCompleted, seen.Transfers[0].Status, "what became of it is hers to know")
	require.Equal(t, "bob", seen.Transfers[0].AcceptedBy)
	require.Len(t, seen.Tasks, 2)
	require.Len(t, seen.Conversation.Live, 2)
	last := seen.Events[len(seen.Events)-1]
	require.Equal(t, seen.Transfers[0].EndedAt, last.At, "nothing of bob's turn after its accept")
	require.Equal(t, th.SID, seen.Conversation.SID)

	for _, reader := range []desk.Reader{desk.AsAgent("carol"), desk.AsAgent("erin"), desk.AsSystem()} {
		all, err := desk.ReadTranscript(t.Context(), h.Desk, th.SID, reader)
		require.NoError(t, err)
		require.Len(t, all, 5)
		whole, err := desk.ReadThread(t.Context(), h.Desk, th.SID, reader, desk.Window{Limit: 100})
		require.NoError(t, err)
		require.Len(t, whole.Transfers, 2)
		require.Equal(t, 5, whole.Conversation.Messages)
	}
	th.WrapUp("alice")
	_, err = desk.ReadThread(t.Context(), h.Desk, th.SID, desk.AsAgent("alice"), desk.Window{Limit: 100})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err), "after the wrap-up nothing")
}

func testReadsOn(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	say(h, th, desk.FromCustomer, "one")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	say(h, th, desk.FromCustomer, "two")
	require.Equal(t, []string{"one"}, turnOf(h, th, "alice").transcript)
	th.Do(conversation.CancelCommand{Agent: "alice"})
	th.Follow()
	require.Equal(t, []string{"one", "two"}, turnOf(h, th, "alice").transcript)
	require.Equal(t, "two", turnOf(h, th, "alice").last)

	h.Clock.Advance(time.Second)
	say(h, th, desk.FromCustomer, "three")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	say(h, th, desk.FromCustomer, "four")
	require.Equal(t, []string{"one", "two", "three"}, turnOf(h, th, "alice").transcript, "the end of her newest turn")
	th.Accept("bob")
	th.Transfer("bob", desktest.ToAgent("alice"), "")
	read, err := desk.ReadTranscript(t.Context(), h.Desk, th.SID, desk.AsAgent("alice"))
	require.NoError(t, err)
	require.Len(t, read, 4, "offered it again, she reads everything")
}

func testTurnByClock(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	say(h, th, "alice", "mine")
	th.Do(conversation.TransferCommand{From: "alice", To: desktest.ToAgent("bob")})
	h.Clock.Advance(time.Second)
	say(h, th, desk.FromCustomer, "before the desk knew")
	th.Follow()
	require.Equal(t, []string{"mine"}, turnOf(h, th, "alice").transcript)
	require.NoError(t, h.ExclusiveTx(t.Context(), "change a record", func(tx *desk.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE tasks SET turn_messages = -1`)
		return err
	}))
	require.Equal(t, []string{"mine"}, turnOf(h, th, "alice").transcript, "a turn that ended before the desk counted")
}

// testFormerAgentsReadNoMore: wherever an agent reads a conversation that they passed on, the desk shows it as it
// was at the end of their turn, and the outcome of the transfer.
func testFormerAgentsReadNoMore(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob", "erin")
	friendly := map[string]string{"bob": "Bob Stone", "erin": "Erin Fraud"}
	for agent, name := range friendly {
		require.NoError(t, desk.UpdateAgent(t.Context(), h.Desk, agent, desk.AgentChange{FriendlyName: &name}))
	}
	th := h.Start("support").Follow().Accept("alice")
	say(h, th, desk.FromCustomer, "hello")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	h.Clock.Advance(time.Second)
	say(h, th, desk.FromCustomer, "while waiting")

	thread := func() desk.Thread {
		seen, err := desk.ReadThread(t.Context(), h.Desk, th.SID, desk.AsAgent("alice"), desk.Window{Limit: 100})
		require.NoError(t, err)
		return seen
	}
	listed := func(statuses ...conversation.ConversationStatus) []desk.Conversation {
		found, err := desk.ConversationListPage(t.Context(), h.Desk, desk.ConversationFilter{Agent: "alice", Statuses: statuses}, desk.Page{})
		require.NoError(t, err)
		return found.Entries
	}
	notices := func() desk.Notices {
		n, err := desk.ReadNotices(t.Context(), h.Desk, "alice")
		require.NoError(t, err)
		require.Len(t, n.Sent, 1)
		return n
	}
	require.Equal(t, 1, notices().Sent[0].Conversation.Messages)

	th.Accept("bob")
	h.Clock.Advance(time.Second)
	th.Transfer("bob", desktest.ToAgent("erin"), "")
	h.Clock.Advance(time.Second)
	th.Accept("erin")
	th.Do(conversation.WrapupCommand{Agent: "bob", Disposition: "sold"})
	th.Do(conversation.EndCommand{Agent: "erin"})
	th.Follow()

	seen := thread()
	require.Equal(t, map[string]string{"bob": "Bob Stone"}, seen.Names.Agents)
	require.Equal(t, conversation.ConversationActive, seen.Conversation.Status, "the customer's side ended in a later turn")
	require.Len(t, seen.Tasks, 2)
	require.Equal(t, conversation.TaskAssigned, seen.Tasks[1].Status, "as bob accepted it")
	require.Equal(t, conversation.ReservationAccepted, seen.Tasks[1].Reservation.Status)
	require.Zero(t, seen.Tasks[1].WrappingAt)
	require.Zero(t, seen.Tasks[1].CompletedAt)
	require.Empty(t, seen.Tasks[1].Disposition)
	require.Len(t, listed(), 1)
	require.Len(t, listed(conversation.ConversationActive), 1)
	require.Empty(t, listed(conversation.ConversationWrapping))
	n := notices()
	require.NotContains(t, n.Names.Agents, "erin")
	require.Equal(t, conversation.TaskAssigned, n.Sent[0].Task.Status)
	require.Equal(t, conversation.ConversationActive, n.Sent[0].Conversation.Status)
	require.Equal(t, 1, n.Sent[0].Conversation.Messages)
	err := desk.WithinTurn(t.Context(), h.Desk, "alice", th.SID, conversation.TransferCommand{From: "alice", To: desktest.ToAgent("bob")},
		conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "over"))
	require.Equal(t, conversation.CodeTaskNotAssigned, conversation.CodeOf(err))
	err = desk.WithinTurn(t.Context(), h.Desk, "erin", th.SID, conversation.EndCommand{Agent: "erin"},
		conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "over"))
	require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err), "she ended it")

	other := h.Start("support").Follow().Accept("alice")
	other.Transfer("alice", desktest.ToAgent("bob"), "")
	other.WrapUp("alice")
	h.Clock.Advance(time.Second)
	say(h, other, desk.FromCustomer, "no answer yet")
	passed, err := desk.ListPassedOn(t.Context(), h.Desk, "alice")
	require.NoError(t, err)
	require.Len(t, passed, 1)
	require.Zero(t, passed[0].Conversation.Messages, "written after her turn")
	require.Equal(t, "Crystal Minh", passed[0].Conversation.Customer.Name)
}
