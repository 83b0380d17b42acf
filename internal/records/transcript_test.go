package records_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

func testTranscript(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	th := h.Start("support").Follow()
	written := h.Clock.Now().Add(-time.Minute)
	first, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello?", ProviderSID: "SM1", At: written})
	require.NoError(t, err)
	require.Equal(t, 1, first.Number)
	require.Equal(t, written, first.At)
	again, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello?", ProviderSID: "SM1"})
	require.NoError(t, err)
	require.Equal(t, first, again)

	var writers sync.WaitGroup
	failures := make(chan error, 20)
	for range 20 {
		writers.Go(func() {
			_, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "still there?"})
			failures <- err
		})
	}
	writers.Wait()
	for range 20 {
		require.NoError(t, <-failures)
	}
	messages, err := records.ReadTranscript(h.T.Context(), h.Desk, th.SID, records.AsCustomer())
	require.NoError(t, err)
	require.Len(t, messages, 21)
	for i, m := range messages {
		require.Equal(t, i+1, m.Number)
		require.Equal(t, th.SID, m.Conversation)
	}
	require.Equal(t, first, messages[0])
}

func testWhoMayWrite(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	say := func(th *desktest.Conversation, from, text string) conversation.Code {
		t.Helper()
		_, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: from, Text: text})
		if err != nil && text != "" && text != " " {
			require.NotContains(t, err.Error(), text, "no text of a message in an error")
		}
		return conversation.CodeOf(err)
	}
	th := h.Start("support").Follow()
	require.Empty(t, say(th, records.FromCustomer, "a secret word"), "while it waits")
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "alice", "a secret word"), "it is only offered to her")
	th.Accept("alice")
	require.Empty(t, say(th, "alice", "hello"))
	require.Equal(t, conversation.CodeNotYourTask, say(th, "bob", "a secret word"))
	th.Transfer("alice", desktest.ToQueue("billing"), "")
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "alice", "a secret word"), "she has passed it on")
	require.Empty(t, say(th, records.FromCustomer, "anybody?"))
	th.Accept("bob")
	require.Empty(t, say(th, "bob", "hello"))
	th.End("bob")
	require.Equal(t, conversation.CodeConversationClosed, say(th, records.FromCustomer, "a secret word"))
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "bob", "a secret word"))

	require.Equal(t, conversation.CodeInvalidPayload, say(th, records.FromCustomer, ""))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, records.FromCustomer, " "))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, "", "a secret word"))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, records.FromCustomer, strings.Repeat("ä", records.MaxMessage+1)))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, records.FromCustomer, "zero \x00"))
	_, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: desktest.NewSID(), From: records.FromCustomer, Text: "hello"})
	require.ErrorIs(t, err, records.ErrUnknownConversation)
	open := h.Start("support").Follow()
	require.Empty(t, say(open, records.FromCustomer, strings.Repeat("ä", records.MaxMessage)))
}

func testWhoMayRead(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	require.NoError(t, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: "carol", Role: desk.RoleSupervisor}))
	th := h.Start("support").Follow()
	_, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello"})
	require.NoError(t, err)
	read := func(reader records.Reader) (transcript, notes conversation.Code) {
		t.Helper()
		messages, err := records.ReadTranscript(h.T.Context(), h.Desk, th.SID, reader)
		if err == nil {
			require.Len(t, messages, 1)
		}
		_, noteErr := records.ListNotes(h.T.Context(), h.Desk, th.SID, reader)
		return conversation.CodeOf(err), conversation.CodeOf(noteErr)
	}
	may := func(reader records.Reader) {
		t.Helper()
		transcript, notes := read(reader)
		require.Empty(t, transcript)
		require.Empty(t, notes)
	}
	mayNot := func(reader records.Reader, code conversation.Code) {
		t.Helper()
		transcript, notes := read(reader)
		require.Equal(t, code, transcript)
		require.Equal(t, code, notes)
	}
	may(records.AsAgent("alice")) // offered
	mayNot(records.AsAgent("bob"), conversation.CodeNotYourTask)
	mayNot(records.AsAgent("missing"), conversation.CodeUnknownAgent)
	mayNot(records.Reader{}, conversation.CodeNotYourTask)
	may(records.AsAgent("carol"))
	may(records.AsSystem())
	transcript, notes := read(records.AsCustomer())
	require.Empty(t, transcript)
	require.Equal(t, conversation.CodeNotYourTask, notes, "never a note to a customer")

	th.Accept("alice")
	may(records.AsAgent("alice"))
	th.Transfer("alice", desktest.ToQueue("billing"), "private")
	may(records.AsAgent("alice")) // wraps it up
	may(records.AsAgent("bob"))   // offered
	th.WrapUp("alice")
	mayNot(records.AsAgent("alice"), conversation.CodeNotYourTask)
	_, err = records.ReadTranscript(h.T.Context(), h.Desk, desktest.NewSID(), records.AsSystem())
	require.ErrorIs(t, err, records.ErrUnknownConversation)
}

func testStoredNote(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	sid, err := records.StoreNote(h.T.Context(), h.Desk, th.SID, "alice", "wants a refund")
	require.NoError(t, err)
	require.True(t, conversation.IsSID(conversation.PrefixNote, sid))
	other := h.Start("support").Follow().Accept("alice")
	_, err = other.Try(conversation.TransferCommand{From: "alice", To: desktest.ToQueue("billing"), Note: sid})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "it is another conversation's note")

	th.Transfer("alice", desktest.ToQueue("billing"), sid)
	offers, err := routing.ListOffers(h.T.Context(), h.Desk, "bob")
	require.NoError(t, err)
	require.Len(t, offers, 1)
	require.Len(t, offers[0].Notes, 1)
	require.Equal(t, "wants a refund", offers[0].Notes[0].Text)
	require.Equal(t, "alice", offers[0].Notes[0].Author)
	require.Equal(t, th.State.Transfers[0].SID, offers[0].Notes[0].Transfer)

	for _, text := range []string{"", "  ", strings.Repeat("n", conversation.MaxNote+1), "\xff"} {
		_, err := records.StoreNote(h.T.Context(), h.Desk, th.SID, "alice", text)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	_, err = records.StoreNote(h.T.Context(), h.Desk, th.SID, "", "without an author")
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	_, err = records.StoreNote(h.T.Context(), h.Desk, th.SID, "zoe", "by an agent that does not exist")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
	_, err = records.StoreNote(h.T.Context(), h.Desk, desktest.NewSID(), "alice", "too early")
	require.ErrorIs(t, err, records.ErrUnknownConversation)
}

// testOfferComesWithEverything reads bob's offers while conversations are transferred to him: each offer comes with
// its history and its note.
func testOfferComesWithEverything(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, name, conversation.ChannelWeb, 100))
	}
	const conversations = 20
	done := make(chan struct{})
	looked := make(chan int, 1)
	go func() {
		most := 0
		defer func() { looked <- most }()
		for {
			offers, err := routing.ListOffers(h.T.Context(), h.Desk, "bob")
			if err != nil {
				t.Errorf("look at the offers: %v", err)
				return
			}
			most = max(most, len(offers))
			for _, o := range offers {
				if len(o.Notes) != 1 || len(o.Transcript) != 2 || o.Transfer == nil || len(o.Task.Attributes) == 0 ||
					o.Task.Reservation.ExpiresAt.IsZero() || o.Conversation.Customer.Name == "" {
					t.Errorf("an offer without its details: %+v", o)
					return
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for range conversations {
		th := h.Start("support").Follow().Accept("alice")
		for _, from := range []string{records.FromCustomer, "alice"} {
			_, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: from, Text: "hello"})
			require.NoError(t, err)
		}
		th.Transfer("alice", desktest.ToQueue("billing"), "wants a refund")
	}
	offers, err := routing.ListOffers(h.T.Context(), h.Desk, "bob")
	require.NoError(t, err)
	require.Len(t, offers, conversations)
	close(done)
	<-looked
	_, err = routing.ListOffers(h.T.Context(), h.Desk, "missing")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}
