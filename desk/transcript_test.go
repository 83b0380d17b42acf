package desk

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func testTranscript(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	th := h.start("support").follow()
	written := h.clock.now().Add(-time.Minute)
	first, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "hello?", ProviderSID: "SM1", At: written})
	require.NoError(t, err)
	require.Equal(t, 1, first.Number)
	require.Equal(t, written, first.At)
	again, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "hello?", ProviderSID: "SM1"})
	require.NoError(t, err)
	require.Equal(t, first, again)

	var writers sync.WaitGroup
	failures := make(chan error, 20)
	for range 20 {
		writers.Go(func() {
			_, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "still there?"})
			failures <- err
		})
	}
	writers.Wait()
	for range 20 {
		require.NoError(t, <-failures)
	}
	messages, err := h.Transcript(h.t.Context(), th.sid, AsCustomer())
	require.NoError(t, err)
	require.Len(t, messages, 21)
	for i, m := range messages {
		require.Equal(t, i+1, m.Number)
		require.Equal(t, th.sid, m.Conversation)
	}
	require.Equal(t, first, messages[0])
}

func testWhoMayWrite(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	say := func(th *thread, from, text string) conversation.Code {
		t.Helper()
		_, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: from, Text: text})
		if err != nil && text != "" && text != " " {
			require.NotContains(t, err.Error(), text, "no text of a message in an error")
		}
		return conversation.CodeOf(err)
	}
	th := h.start("support").follow()
	require.Empty(t, say(th, FromCustomer, "a secret word"), "while it waits")
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "alice", "a secret word"), "it is only offered to her")
	th.accept("alice")
	require.Empty(t, say(th, "alice", "hello"))
	require.Equal(t, conversation.CodeNotYourTask, say(th, "bob", "a secret word"))
	th.transfer("alice", toQueue("billing"), "")
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "alice", "a secret word"), "she has passed it on")
	require.Empty(t, say(th, FromCustomer, "anybody?"))
	th.accept("bob")
	require.Empty(t, say(th, "bob", "hello"))
	th.end("bob")
	require.Equal(t, conversation.CodeConversationClosed, say(th, FromCustomer, "a secret word"))
	require.Equal(t, conversation.CodeTaskNotAssigned, say(th, "bob", "a secret word"))

	require.Equal(t, conversation.CodeInvalidPayload, say(th, FromCustomer, ""))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, FromCustomer, " "))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, "", "a secret word"))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, FromCustomer, strings.Repeat("ä", MaxMessage+1)))
	require.Equal(t, conversation.CodeInvalidPayload, say(th, FromCustomer, "zero \x00"))
	_, err := h.Say(h.t.Context(), NewMessage{Conversation: newSID(), From: FromCustomer, Text: "hello"})
	require.ErrorIs(t, err, ErrUnknownConversation)
	open := h.start("support").follow()
	require.Empty(t, say(open, FromCustomer, strings.Repeat("ä", MaxMessage)))
}

func testWhoMayRead(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	require.NoError(t, h.AddAgent(h.t.Context(), NewAgent{Name: "carol", Role: RoleSupervisor}))
	th := h.start("support").follow()
	_, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: FromCustomer, Text: "hello"})
	require.NoError(t, err)
	read := func(reader Reader) (transcript, notes conversation.Code) {
		t.Helper()
		messages, err := h.Transcript(h.t.Context(), th.sid, reader)
		if err == nil {
			require.Len(t, messages, 1)
		}
		_, noteErr := h.Notes(h.t.Context(), th.sid, reader)
		return conversation.CodeOf(err), conversation.CodeOf(noteErr)
	}
	may := func(reader Reader) {
		t.Helper()
		transcript, notes := read(reader)
		require.Empty(t, transcript)
		require.Empty(t, notes)
	}
	mayNot := func(reader Reader, code conversation.Code) {
		t.Helper()
		transcript, notes := read(reader)
		require.Equal(t, code, transcript)
		require.Equal(t, code, notes)
	}
	may(AsAgent("alice")) // offered
	mayNot(AsAgent("bob"), conversation.CodeNotYourTask)
	mayNot(AsAgent("nobody"), conversation.CodeUnknownAgent)
	mayNot(Reader{}, conversation.CodeNotYourTask)
	may(AsAgent("carol"))
	may(AsSystem())
	transcript, notes := read(AsCustomer())
	require.Empty(t, transcript)
	require.Equal(t, conversation.CodeNotYourTask, notes, "never a note to a customer")

	th.accept("alice")
	may(AsAgent("alice"))
	th.transfer("alice", toQueue("billing"), "private")
	may(AsAgent("alice")) // wraps it up
	may(AsAgent("bob"))   // offered
	th.wrapup("alice")
	mayNot(AsAgent("alice"), conversation.CodeNotYourTask)
	_, err = h.Transcript(h.t.Context(), newSID(), AsSystem())
	require.ErrorIs(t, err, ErrUnknownConversation)
}

func testStoredNote(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	th := h.start("support").follow().accept("alice")
	sid, err := h.StoreNote(h.t.Context(), th.sid, "alice", "wants a refund")
	require.NoError(t, err)
	require.True(t, conversation.IsSID(conversation.PrefixNote, sid))
	other := h.start("support").follow().accept("alice")
	_, err = other.try(conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: sid})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "it is another conversation's note")

	th.transfer("alice", toQueue("billing"), sid)
	offers, err := h.Offers(h.t.Context(), "bob")
	require.NoError(t, err)
	require.Len(t, offers, 1)
	require.Len(t, offers[0].Notes, 1)
	require.Equal(t, "wants a refund", offers[0].Notes[0].Text)
	require.Equal(t, "alice", offers[0].Notes[0].Author)
	require.Equal(t, th.state.Transfers[0].SID, offers[0].Notes[0].Transfer)

	for _, text := range []string{"", "  ", strings.Repeat("n", conversation.MaxNote+1), "\xff"} {
		_, err := h.StoreNote(h.t.Context(), th.sid, "alice", text)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	_, err = h.StoreNote(h.t.Context(), th.sid, "", "by nobody")
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	_, err = h.StoreNote(h.t.Context(), th.sid, "zoe", "by an agent that does not exist")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
	_, err = h.StoreNote(h.t.Context(), newSID(), "alice", "too early")
	require.ErrorIs(t, err, ErrUnknownConversation)
}

// testOfferComesWithEverything reads bob's offers while conversations are transferred to him: each offer comes with
// its history and its note.
func testOfferComesWithEverything(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, h.SetCapacity(h.t.Context(), name, conversation.ChannelWeb, 100))
	}
	const conversations = 20
	done := make(chan struct{})
	looked := make(chan int, 1)
	go func() {
		most := 0
		defer func() { looked <- most }()
		for {
			offers, err := h.Offers(h.t.Context(), "bob")
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
		th := h.start("support").follow().accept("alice")
		for _, from := range []string{FromCustomer, "alice"} {
			_, err := h.Say(h.t.Context(), NewMessage{Conversation: th.sid, From: from, Text: "hello"})
			require.NoError(t, err)
		}
		th.transfer("alice", toQueue("billing"), "wants a refund")
	}
	offers, err := h.Offers(h.t.Context(), "bob")
	require.NoError(t, err)
	require.Len(t, offers, conversations)
	close(done)
	<-looked
	_, err = h.Offers(h.t.Context(), "nobody")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}
