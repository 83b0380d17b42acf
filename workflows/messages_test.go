package workflows_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
)

// wrongPayloads are payloads of an accept that are not valid.
var wrongPayloads = []struct {
	name    string
	payload rawArguments
	field   string
}{
	{"absent", rawArguments{}, ""},
	{"null", rawArguments{rawJSON("null")}, ""},
	{"nil, as the SDKs encode it", rawArguments{{Metadata: map[string][]byte{"encoding": []byte("binary/null")}}}, ""},
	{"an array", rawArguments{rawJSON(`["alice"]`)}, ""},
	{"a string", rawArguments{rawJSON(`"alice"`)}, ""},
	{"a number", rawArguments{rawJSON(`7`)}, ""},
	{"no JSON", rawArguments{rawJSON(`{"agent":`)}, ""},
	{"binary", rawArguments{rawBinary(`{"agent":"alice"}`)}, ""},
	{"of no encoding", rawArguments{{Data: []byte(`{"agent":"alice"}`)}}, ""},
	{"two arguments", rawArguments{rawJSON(`{"agent":"alice"}`), rawJSON(`{"agent":"alice"}`)}, ""},
	{"three arguments", rawArguments{rawJSON(`{"agent":"alice"}`), rawJSON(`{}`), rawJSON(`{}`)}, ""},
	{"two arguments, the second null", rawArguments{rawJSON(`{"agent":"alice"}`), rawJSON(`null`)}, ""},
	{"a number for a name", rawArguments{rawJSON(`{"agent":5}`)}, "agent"},
	{"an object for a name", rawArguments{rawJSON(`{"agent":{"name":"alice"}}`)}, "agent"},
	{"null for a name", rawArguments{rawJSON(`{"agent":null}`)}, "agent"},
	{"without the name", rawArguments{rawJSON(`{}`)}, "agent"},
	{"not UTF-8", rawArguments{rawJSON("{\"agent\":\"alice\",\"by\":\"M\xfcller\"}")}, "by"},
	{"with half a surrogate", rawArguments{rawJSON("{\"agent\":\"\xed\xa0\x80\"}")}, "agent"},
	{"with an endless name", rawArguments{rawJSON(fmt.Sprintf(`{"agent":%q}`, strings.Repeat("a", 256)))}, "agent"},
}

func TestAPayloadThatIsNoCommandIsRefused(t *testing.T) {
	t.Parallel()
	for _, test := range wrongPayloads {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			var (
				before   conversation.Record
				answered *answer
			)
			s.step(func() {
				before = s.record()
				s.signal("accept", test.payload)
				answered = s.updateWithID("", "accept", test.payload)
			})
			s.step(func() {
				require.Equal(t, "accept", s.lastRefusal().Command)
				require.Equal(t, conversation.CodeInvalidPayload, s.lastRefusal().Code)
				require.NotEmpty(t, s.lastRefusal().Message)
				require.Equal(t, test.field, answered.refused(conversation.CodeInvalidPayload).Field)
				require.False(t, answered.accepted, "the validator refuses it, without an event in the history")
				after := s.record()
				require.Len(t, after.Refusals, 1, "an update's refusal is its answer")
				require.Equal(t, jsonOf(before.State), jsonOf(after.State))
			})
			s.play()
		})
	}
}

func TestAStartThatNoDatabaseKeepsIsRefused(t *testing.T) {
	t.Parallel()
	for field, with := range map[string]string{
		"attributes":    "\"attributes\":{\"company\":\"M\xfcller\"}",
		"customer.name": "\"customer\":{\"name\":\"\xff\xfe\"}",
		"priority":      `"priority":3000000000`,
	} {
		s := newEnvironment(t)
		s.start = rawArguments{rawJSON(`{"conversation":"` + testSID + `","channel":"web","queue":"support",` + with + `}`)}
		s.run()
		refused, ok := errors.AsType[*temporal.ApplicationError](s.env.GetWorkflowError())
		require.True(t, ok, "%v", s.env.GetWorkflowError())
		require.Equal(t, string(conversation.CodeInvalidPayload), refused.Type())
		var details conversation.Details
		require.NoError(t, refused.Details(&details))
		require.Equal(t, field, details.Field)
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.step(func() {
		s.signal("accept", rawArguments{rawJSON(`{"agent":"alice","mood":"good","more":{"of":["it"]}}`)})
	})
	s.step(func() {
		require.Equal(t, conversation.TaskAssigned, s.task(0).Status)
		require.Empty(t, s.record().Refusals)
	})
	s.play()
}

func TestAPayloadMayComeFromAnyEncoderOfJSON(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	payload := &commonpb.Payload{
		Metadata: map[string][]byte{"encoding": []byte("json/protobuf"), "messageType": []byte("contact.Accept")},
		Data:     []byte(`{"agent":"alice"}`),
	}
	s.step(func() { s.signal("accept", rawArguments{payload}) })
	s.step(func() { require.Equal(t, conversation.TaskAssigned, s.task(0).Status) })
	s.play()
}

func TestASignalOfAnUnknownNameIsARecordedRefusal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"acept", "start", "expire", "Accept", ""} {
		t.Run("named "+name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			s.step(func() { s.signal(name, startCommand()) })
			s.step(func() {
				require.Equal(t, name, s.lastRefusal().Command)
				require.Equal(t, conversation.CodeInvalidPayload, s.lastRefusal().Code)
				require.Equal(t, startOfTest.Add(time.Second), s.lastRefusal().At.UTC())
			})
			s.play()
		})
	}
}

func TestAnUpdateOfAnUnknownNameIsRefused(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var answered *answer
	s.step(func() { answered = s.update("acept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() {
		require.False(t, answered.accepted)
		require.ErrorContains(t, answered.err, "unknown update acept")
	})
	s.play()
}

func TestOnlyTheLastTwentyRefusalsAreKept(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.step(func() {
		for i := range 25 {
			s.signal("accept", conversation.AcceptCommand{Agent: fmt.Sprintf("nobody-%02d", i)})
		}
	})
	s.step(func() {
		refusals := s.record().Refusals
		require.Len(t, refusals, 20)
		require.Contains(t, refusals[0].Message, "nobody-05")
		require.Contains(t, refusals[19].Message, "nobody-24")
	})
	s.play()
}

func TestWrapupBeforeAccept(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var refused, wrapup, accept *answer
	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.transfers("bob", toAgent("alice"))
	s.step(func() { refused = s.update("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() {
		details := refused.refused(conversation.CodeWrapupPending)
		require.Equal(t, conversation.Details{Task: s.task(0).SID, Agent: "alice"}, details, "it names the task to wrap up")
		require.False(t, refused.accepted)
		wrapup = s.update("wrapup", conversation.WrapupCommand{Agent: "alice"})
		accept = s.update("accept", conversation.AcceptCommand{Agent: "alice"})
	})
	s.step(func() {
		require.Equal(t, conversation.TaskCompleted, wrapup.succeeded().Task.Status)
		require.Equal(t, "alice", accept.succeeded().Transfer.AcceptedBy)
	})
	s.play()
}

func TestSignalsOfDifferentNamesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	handBack := func(s *environment) {
		s.aliceAccepts()
		s.transfers("alice", toAgent("bob"))
		s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
		s.transfers("bob", toAgent("alice"))
	}
	wrapup := conversation.WrapupCommand{Agent: "alice"}
	accept := conversation.AcceptCommand{Agent: "alice"}
	t.Run("wrapup, then accept", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		handBack(s)
		s.step(func() {
			s.slip("wrapup", wrapup)
			s.signal("accept", accept)
		})
		s.step(func() {
			require.Equal(t, "alice", s.transfer(1).AcceptedBy)
			require.Empty(t, s.record().Refusals)
		})
		s.play()
	})
	t.Run("accept, then wrapup", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		handBack(s)
		s.step(func() {
			s.slip("accept", accept)
			s.signal("wrapup", wrapup)
		})
		s.step(func() {
			require.Equal(t, conversation.CodeWrapupPending, s.lastRefusal().Code)
			require.Equal(t, conversation.TaskCompleted, s.task(0).Status)
		})
		s.play()
	})
	t.Run("a signal, then an update in the same workflow task", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		handBack(s)
		var answered *answer
		s.step(func() {
			s.slip("wrapup", wrapup)
			answered = s.update("accept", accept)
		})
		s.step(func() { require.Equal(t, "alice", answered.succeeded().Transfer.AcceptedBy) })
		s.play()
	})
	t.Run("a whole conversation in one workflow task", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		handBack(s)
		s.step(func() {
			s.slip("wrapup", wrapup)
			s.slip("accept", accept)
			s.slip("wrapup", conversation.WrapupCommand{Agent: "bob"})
			s.slip("end", conversation.EndCommand{Agent: "alice"})
			s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
		})
		require.Equal(t, conversation.ConversationClosed, s.ended().Status)
		require.Empty(t, s.record().Refusals)
	})
}

func TestWhileACommandRunsTheLoopDecides(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var transfer, early, late *answer
	s.aliceAccepts()
	s.step(func() {
		s.desk.whileAsked = func(conversation.FactsQuery) {
			s.desk.whileAsked = nil
			// Nothing is reserved for bob now, but a moment later it will be: only the loop can decide.
			arrived := make(chan struct{})
			s.env.RegisterDelayedCallback(func() {
				early = s.update("accept", conversation.AcceptCommand{Agent: "bob"})
				late = s.update("accept", conversation.AcceptCommand{Agent: "carol"})
				s.env.RegisterDelayedCallback(func() { close(arrived) }, 0)
			}, 0)
			<-arrived
		}
		transfer = s.update("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.step(func() {
		transfer.succeeded()
		require.Equal(t, "bob", early.succeeded().Transfer.AcceptedBy)
		late.refused(conversation.CodeNoReservation)
		require.True(t, late.accepted, "refused by the loop")
		require.Empty(t, s.record().Refusals, "its caller knows")
	})
	s.play()
}

func TestWhatTheStateRefusesTheValidatorRefuses(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	commands := []struct {
		name    string
		payload any
		code    conversation.Code
	}{
		{"accept", conversation.AcceptCommand{Agent: "carol"}, conversation.CodeNoReservation},
		{"accept", conversation.AcceptCommand{Agent: "alice", Task: "WT00000000000000000000000000000000"}, conversation.CodeNoSuchTask},
		{"decline", conversation.DeclineCommand{Agent: "carol"}, conversation.CodeNoReservation},
		{"wrapup", conversation.WrapupCommand{Agent: "alice"}, conversation.CodeNotWrapping},
		{"wrapup", conversation.WrapupCommand{Agent: "carol"}, conversation.CodeNotYourTask},
		{"end", conversation.EndCommand{Agent: "alice"}, conversation.CodeTaskNotAssigned},
		{"transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")}, conversation.CodeTaskNotAssigned},
		{"cancel", conversation.CancelCommand{Agent: "alice"}, conversation.CodeNoActiveTransfer},
		{"move", conversation.MoveCommand{Task: "WT00000000000000000000000000000000", To: toAgent("bob")}, conversation.CodeNoSuchTask},
		{"close", conversation.CloseCommand{Reason: strings.Repeat("long ", 60)}, conversation.CodeInvalidPayload},
	}
	answers := make([]*answer, len(commands))
	s.step(func() {
		for i, command := range commands {
			answers[i] = s.update(command.name, command.payload)
		}
	})
	s.step(func() {
		for i, command := range commands {
			answers[i].refused(command.code)
			require.False(t, answers[i].accepted, "%s: no event in the history", command.name)
		}
		require.Equal(t, 2, s.record().Revision, "started and offered, nothing else")
	})
	s.play()
}

func TestACommandSentTwiceHasOneEffect(t *testing.T) {
	t.Parallel()
	transfer := conversation.TransferCommand{From: "alice", To: toAgent("bob")}
	t.Run("by the update's ID", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.aliceAccepts()
		var first *answer
		s.step(func() { first = s.updateWithID("one", "transfer", transfer) })
		s.step(func() {
			// The suite answers an update with a known ID with its first answer, as a server does. This one is sent
			// as a signal.
			same := transfer
			same.CommandID = "one"
			s.signal("transfer", same)
		})
		s.step(func() {
			first.succeeded()
			require.Len(t, s.record().Transfers, 1)
			require.Empty(t, s.record().Refusals)
		})
		s.play()
	})
	t.Run("by its command_id", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		withID := transfer
		withID.CommandID = "one"
		other := withID
		other.To = toAgent("carol")
		var first, again, changed *answer
		s.aliceAccepts()
		s.step(func() { first = s.update("transfer", withID) })
		s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
		s.step(func() { s.signal("transfer", conversation.TransferCommand{From: "bob", To: toAgent("carol")}) })
		s.step(func() { again = s.update("transfer", withID) })
		s.step(func() { changed = s.update("transfer", other) })
		s.step(func() {
			require.Equal(t, first.succeeded().Transfer.SID, again.succeeded().Transfer.SID, "its first outcome, as it is now")
			require.Equal(t, conversation.TransferCompleted, again.succeeded().Transfer.Status)
			require.Len(t, s.record().Transfers, 2)
			require.Equal(t, "command_id", changed.refused(conversation.CodeInvalidPayload).Field)
		})
		s.play()
	})
	t.Run("a refused one may be sent again", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.settings.MessagingTransfers = false
		withID := transfer
		withID.CommandID = "one"
		var refused, again *answer
		s.aliceAccepts()
		s.step(func() { refused = s.update("transfer", withID) })
		s.step(func() {
			refused.refused(conversation.CodeMessagingTransfersOff)
			s.desk.settings.MessagingTransfers = true
			again = s.update("transfer", withID)
		})
		s.step(func() { again.succeeded() })
		s.play()
	})
}

func TestAnUpdatesAnswerIsWhatItTouched(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var accept, end, wrapup *answer
	s.step(func() { accept = s.update("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() {
		outcome := accept.succeeded()
		require.Equal(t, conversation.TaskAssigned, outcome.Task.Status)
		require.JSONEq(t, `"A-17"`, string(outcome.Task.Attributes["order"]))
		require.Nil(t, outcome.Transfer)
		end = s.update("end", conversation.EndCommand{Agent: "alice"})
	})
	s.step(func() {
		require.Equal(t, conversation.ConversationWrapping, end.succeeded().ConversationStatus)
		require.Equal(t, conversation.TaskAssigned, accept.outcome.Task.Status, "an answer doesn't change afterwards")
		wrapup = s.update("wrapup", conversation.WrapupCommand{Agent: "alice", Disposition: "solved"})
	})
	s.ended()
	require.Equal(t, conversation.ConversationClosed, wrapup.succeeded().ConversationStatus)
	require.Equal(t, "solved", wrapup.succeeded().Task.Disposition)
}
