package records_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
)

func textsOf(messages []records.Message) []string {
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
	ctx, reader := h.T.Context(), records.AsAgent(agent)
	messages, err := records.ReadTranscript(ctx, h.Desk, th.SID, reader)
	require.NoError(h.T, err)
	read.transcript = textsOf(messages)
	seen, err := records.ReadThread(ctx, h.Desk, th.SID, reader, records.Window{Limit: 100})
	require.NoError(h.T, err)
	read.thread, read.count = textsOf(seen.Messages), seen.Conversation.Messages
	for after := (*desk.Cursor)(nil); ; {
		page, err := records.MessagePage(ctx, h.Desk, th.SID, reader, false, desk.Page{Limit: 1, After: after})
		require.NoError(h.T, err)
		read.list = append(read.list, textsOf(page.Entries)...)
		if !page.More {
			break
		}
		after = &page.Last
	}
	notes, err := records.ListNotes(ctx, h.Desk, th.SID, reader)
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
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "carol", Role: desk.RoleSupervisor}))
	th := h.Start("support").Follow().Accept("alice")
	before := desktest.Say(h, th, records.FromCustomer, "hello")
	changed := desktest.Say(h, th, records.FromCustomer, "my number is 1")
	th.Transfer("alice", desktest.ToAgent("bob"), "Charged twice.")

	// First at the same time by the clock, then at later times.
	desktest.Say(h, th, records.FromCustomer, "while waiting")
	h.Clock.Advance(time.Second)
	th.Accept("bob")
	h.Clock.Advance(time.Second)
	later := desktest.Say(h, th, records.FromCustomer, "only for bob")
	desktest.Say(h, th, "bob", "from bob")
	_, err := records.UpdateMessage(t.Context(), h.Desk, th.SID, changed.SID, records.MessageChange{Text: new("my number is 2")})
	require.NoError(t, err)
	secret, err := records.StoreNote(t.Context(), h.Desk, th.SID, "bob", "bob's own")
	require.NoError(t, err)
	h.Clock.Advance(time.Second)
	th.Transfer("bob", desktest.ToAgent("erin"), "Passed again.")
	h.Clock.Advance(time.Second)
	th.Accept("erin")

	require.Equal(t, readTurn{
		transcript: []string{"hello"}, thread: []string{"hello"}, list: []string{"hello"}, notes: []string{"Charged twice."},
		unread: 1, last: "hello", count: 1,
	}, turnOf(h, th, "alice"))
	_, err = records.FindMessage(t.Context(), h.Desk, th.SID, before.SID, records.AsAgent("alice"))
	require.NoError(t, err)
	for _, sid := range []string{later.SID, changed.SID} {
		_, err = records.FindMessage(t.Context(), h.Desk, th.SID, sid, records.AsAgent("alice"))
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	_, _, err = records.FindNote(t.Context(), h.Desk, secret, records.AsAgent("alice"))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))

	seen, err := records.ReadThread(t.Context(), h.Desk, th.SID, records.AsAgent("alice"), records.Window{Limit: 100})
	require.NoError(t, err)
	require.Len(t, seen.Transfers, 1, "her own, not bob's")
	require.Equal(t, conversation.TransferCompleted, seen.Transfers[0].Status, "what became of it is hers to know")
	require.Equal(t, "bob", seen.Transfers[0].AcceptedBy)
	require.Len(t, seen.Tasks, 2)
	require.Len(t, seen.Conversation.Live, 2)
	last := seen.Events[len(seen.Events)-1]
	require.Equal(t, seen.Transfers[0].EndedAt, last.At, "nothing of bob's turn after its accept")
	require.Equal(t, th.SID, seen.Conversation.SID)

	for _, reader := range []records.Reader{records.AsAgent("carol"), records.AsAgent("erin"), records.AsSystem()} {
		all, err := records.ReadTranscript(t.Context(), h.Desk, th.SID, reader)
		require.NoError(t, err)
		require.Len(t, all, 5)
		whole, err := records.ReadThread(t.Context(), h.Desk, th.SID, reader, records.Window{Limit: 100})
		require.NoError(t, err)
		require.Len(t, whole.Transfers, 2)
		require.Equal(t, 5, whole.Conversation.Messages)
	}
	th.WrapUp("alice")
	_, err = records.ReadThread(t.Context(), h.Desk, th.SID, records.AsAgent("alice"), records.Window{Limit: 100})
	require.Equal(t, conversation.CodeNotYourTask, conversation.CodeOf(err), "after the wrap-up nothing")
}

func testReadsOn(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	desktest.Say(h, th, records.FromCustomer, "one")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	desktest.Say(h, th, records.FromCustomer, "two")
	require.Equal(t, []string{"one"}, turnOf(h, th, "alice").transcript)
	th.Do(conversation.CancelCommand{Agent: "alice"})
	th.Follow()
	require.Equal(t, []string{"one", "two"}, turnOf(h, th, "alice").transcript)
	require.Equal(t, "two", turnOf(h, th, "alice").last)

	h.Clock.Advance(time.Second)
	desktest.Say(h, th, records.FromCustomer, "three")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	desktest.Say(h, th, records.FromCustomer, "four")
	require.Equal(t, []string{"one", "two", "three"}, turnOf(h, th, "alice").transcript, "the end of her newest turn")
	th.Accept("bob")
	th.Transfer("bob", desktest.ToAgent("alice"), "")
	read, err := records.ReadTranscript(t.Context(), h.Desk, th.SID, records.AsAgent("alice"))
	require.NoError(t, err)
	require.Len(t, read, 4, "offered it again, she reads everything")
}

func testTurnByClock(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	desktest.Say(h, th, "alice", "mine")
	th.Do(conversation.TransferCommand{From: "alice", To: desktest.ToAgent("bob")})
	h.Clock.Advance(time.Second)
	desktest.Say(h, th, records.FromCustomer, "before the desk knew")
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
		require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, agent, people.AgentChange{FriendlyName: &name}))
	}
	th := h.Start("support").Follow().Accept("alice")
	desktest.Say(h, th, records.FromCustomer, "hello")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	h.Clock.Advance(time.Second)
	desktest.Say(h, th, records.FromCustomer, "while waiting")

	thread := func() records.Thread {
		seen, err := records.ReadThread(t.Context(), h.Desk, th.SID, records.AsAgent("alice"), records.Window{Limit: 100})
		require.NoError(t, err)
		return seen
	}
	listed := func(statuses ...conversation.ConversationStatus) []records.Conversation {
		found, err := records.ConversationListPage(t.Context(), h.Desk, records.ConversationFilter{Agent: "alice", Statuses: statuses}, desk.Page{})
		require.NoError(t, err)
		return found.Entries
	}
	notices := func() records.Notices {
		n, err := records.ReadNotices(t.Context(), h.Desk, "alice")
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
	err := records.WithinTurn(t.Context(), h.Desk, "alice", th.SID, conversation.TransferCommand{From: "alice", To: desktest.ToAgent("bob")},
		conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "over"))
	require.Equal(t, conversation.CodeTaskNotAssigned, conversation.CodeOf(err))
	err = records.WithinTurn(t.Context(), h.Desk, "erin", th.SID, conversation.EndCommand{Agent: "erin"},
		conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "over"))
	require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err), "she ended it")

	other := h.Start("support").Follow().Accept("alice")
	other.Transfer("alice", desktest.ToAgent("bob"), "")
	other.WrapUp("alice")
	h.Clock.Advance(time.Second)
	desktest.Say(h, other, records.FromCustomer, "no answer yet")
	passed, err := records.ListPassedOn(t.Context(), h.Desk, "alice")
	require.NoError(t, err)
	require.Len(t, passed, 1)
	require.Zero(t, passed[0].Conversation.Messages, "written after her turn")
	require.Equal(t, "Crystal Minh", passed[0].Conversation.Customer.Name)
}
