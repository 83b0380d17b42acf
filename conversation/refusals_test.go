package conversation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// refusals are stories with a command that is refused with the code. The message contains the words. The details,
// written as `task=T1 agent=alice`, name what the refusal is about.
var refusals = []struct {
	name, story, command string
	code                 conversation.Code
	says, details        string
}{
	// Conversation.
	{
		"transfer after the customer has gone", aliceHasIt + " · end alice", "transfer alice→bob",
		conversation.CodeConversationClosed, "only wrapups can be completed", "",
	},
	{
		"accept after the customer has gone", aliceHasIt + " · transfer alice→bob · close", "accept bob",
		conversation.CodeConversationClosed, "only wrapups can be completed", "",
	},
	{
		"decline after the customer has gone", aliceHasIt + " · transfer alice→bob · close", "decline bob",
		conversation.CodeConversationClosed, "only wrapups can be completed", "",
	},
	{
		"cancel after the customer has gone", aliceHasIt + " · transfer alice→bob · close", "cancel alice",
		conversation.CodeConversationClosed, "only wrapups can be completed", "",
	},
	{
		"move after the customer has gone", aliceHasIt + " · end alice", "move →bob",
		conversation.CodeConversationClosed, "only wrapups can be completed", "",
	},
	{"wrapup in a closed conversation", "start · close", "wrapup alice", conversation.CodeConversationClosed, "the conversation is closed", ""},
	{"end in a closed conversation", "start · close", "end alice", conversation.CodeConversationClosed, "the conversation is closed", ""},
	{
		"a close that is meant while a task waits, once the task was accepted and the customer has gone", aliceHasIt + " · close", "close task=T1",
		conversation.CodeNoReservation, "task T1 doesn't wait any more, it is wrapping", "task=T1 agent=alice",
	},
	{"a close with a task that isn't here, once the customer has gone", aliceHasIt + " · close", "close task=T0", conversation.CodeNoSuchTask, "no task T0", "task=T0"},
	{"accept in a closed conversation", "start · close", "accept alice", conversation.CodeConversationClosed, "the conversation is closed", ""},
	{
		"a close that is meant while a task waits", aliceHasIt, "close task=T1",
		conversation.CodeNoReservation, "task T1 doesn't wait any more, it is assigned", "task=T1 agent=alice",
	},
	{"a close with a task that isn't here", aliceHasIt, "close task=T0", conversation.CodeNoSuchTask, "no task T0", "task=T0"},
	{"accept of another offer than the open one", "start · reserve alice", "accept alice reservation=R0", conversation.CodeNoReservation, "reserved for alice", "agent=alice"},
	{"accept of another offer than the one they took", aliceHasIt, "accept alice reservation=R0", conversation.CodeNoReservation, "reserved for alice", "agent=alice"},
	{
		"decline of another offer than the one they declined", "start · reserve alice · decline alice", "decline alice task=T1 reservation=R0",
		conversation.CodeNoReservation, "reserved for alice", "task=T1 agent=alice",
	},
	{"a start with an agent who isn't here", "later 1s", "start dave", conversation.CodeUnknownAgent, "no agent named", "agent=dave"},
	{"a start with an agent who is away", "away bob", "start bob", conversation.CodeAgentUnavailable, "bob is not available", "agent=bob"},
	{"a second start", "start", "start", conversation.CodeInvalidPayload, "start another", "field=conversation"},

	// Task.
	{"accept of a task that isn't here", aliceHasIt, "accept bob task=T0", conversation.CodeNoSuchTask, "no task T0", "task=T0"},
	{"decline of a task that isn't here", aliceHasIt, "decline bob task=T0", conversation.CodeNoSuchTask, "no task T0", "task=T0"},
	{"wrapup of a task that isn't here", aliceHasIt, "wrapup alice task=T0", conversation.CodeNoSuchTask, "see its state", "task=T0"},
	{"end of a task that isn't here", aliceHasIt, "end alice task=T0", conversation.CodeNoSuchTask, "see its state", "task=T0"},
	{"move of a task that isn't here", "start", "move →bob task=T0", conversation.CodeNoSuchTask, "see its state", "task=T0"},
	{"transfer by who has never had it", aliceHasIt, "transfer bob→carol", conversation.CodeNotYourTask, "see its state for who has it", "agent=bob"},
	{"wrapup by who has never had it", aliceHasIt, "wrapup bob", conversation.CodeNotYourTask, "see its state for who has it", "agent=bob"},
	{"end of another agent's task", aliceHasIt, "end bob task=T1", conversation.CodeNotYourTask, "task T1 is alice's, not bob's", "task=T1 agent=bob"},
	{
		"wrapup of another agent's task", aliceHasIt + " · end alice", "wrapup bob task=T1",
		conversation.CodeNotYourTask, "task T1 is alice's, not bob's", "task=T1 agent=bob",
	},
	{"end of a task that no agent has", "start", "end bob task=T1", conversation.CodeNotYourTask, "no agent has task T1: it is pending", "task=T1 agent=bob"},
	{
		"taking back another agent's transfer", aliceHasIt + " · transfer alice→bob", "cancel bob",
		conversation.CodeNotYourTask, "only they can take it back", "transfer=U1 agent=alice",
	},
	{
		"transfer of what is only offered", "start · reserve alice", "transfer alice→bob",
		conversation.CodeTaskNotAssigned, "task T1 is reserved", "task=T1 agent=alice",
	},
	{
		"transfer of what was transferred", aliceHasIt + " · transfer alice→bob", "transfer alice→carol",
		conversation.CodeTaskNotAssigned, "to agent bob with transfer U1: cancel that transfer first", "task=T1 transfer=U1 agent=alice",
	},
	{
		"end of what was transferred", aliceHasIt + " · transfer alice→#billing", "end alice",
		conversation.CodeTaskNotAssigned, "to queue billing with transfer U1: cancel that transfer first", "task=T1 transfer=U1 agent=alice",
	},
	{
		"end of a wrapup while the customer is there", aliceHasIt + " · transfer alice→bob · accept bob", "end alice",
		conversation.CodeTaskNotAssigned, "task T1 is wrapping", "task=T1 agent=alice",
	},
	{"wrapup of what the agent still has", aliceHasIt, "wrapup alice", conversation.CodeNotWrapping, "task T1 is assigned", "task=T1 agent=alice"},
	{"wrapup of an offer", "start · reserve alice", "wrapup alice", conversation.CodeNotWrapping, "task T1 is reserved", "task=T1 agent=alice"},
	{
		"accept while they wrap up", aliceHasIt + " · transfer alice→bob · accept bob · transfer bob→alice", "accept alice",
		conversation.CodeWrapupPending, "alice still wraps up task T1 of this conversation: complete that wrapup, then accept again", "task=T1 agent=alice",
	},
	{
		"accept of an offer to another agent", "start · reserve alice", "accept bob",
		conversation.CodeNoReservation, "reserved for bob", "agent=bob",
	},
	{
		"accept of an offer that has expired", "start · reserve alice · due", "accept alice task=T1",
		conversation.CodeNoReservation, "the offer of task T1 has expired", "task=T1 agent=alice",
	},
	{"decline of what was accepted", aliceHasIt, "decline alice", conversation.CodeNoReservation, "they accepted task T1, which is assigned", "agent=alice"},
	{"move of what an agent has", aliceHasIt, "move →bob", conversation.CodeNoReservation, "no task of this conversation waits", ""},
	{
		"move of what is over", aliceHasIt + " · transfer alice→bob · wrapup alice", "move →carol task=T1",
		conversation.CodeNoReservation, "task T1 is completed: only a task that waits", "task=T1",
	},

	// Transfer in progress, and the target as far as the state knows it.
	{"cancel where nothing is transferred", aliceHasIt, "cancel alice", conversation.CodeNoActiveTransfer, "no transfer to take back", ""},
	{
		"cancel of what was accepted", aliceHasIt + " · transfer alice→bob · accept bob", "cancel alice transfer=U1",
		conversation.CodeNoActiveTransfer, "it was accepted", "transfer=U1",
	},
	{
		"cancel of a transfer that isn't here", aliceHasIt + " · transfer alice→bob", "cancel alice transfer=U0",
		conversation.CodeNoActiveTransfer, "no transfer to take back", "transfer=U0",
	},
	{"transfer to oneself", aliceHasIt, "transfer alice→alice", conversation.CodeTransferToSelf, "transfer to another agent or to a queue", "agent=alice"},

	// The desk's facts: switches, mode, channel, target.
	{"the desk doesn't answer a start", "silent", "start", conversation.CodeDeskUnavailable, "send the start again", ""},
	{
		"the desk doesn't answer a transfer", aliceHasIt + " · silent", "transfer alice→bob",
		conversation.CodeDeskUnavailable, "nothing was changed: send the transfer again", "",
	},
	{"the desk doesn't answer a move", "start · silent", "move →bob", conversation.CodeDeskUnavailable, "send the move again", ""},
	{
		"transfers are off", aliceHasIt + " · set messaging_transfers=off", "transfer alice→bob",
		conversation.CodeMessagingTransfersOff, "an administrator has to turn them on", "",
	},
	{
		"notes are off", aliceHasIt + " · set transfer_notes=off", "transfer alice→bob note=Hi",
		conversation.CodeTransferNotesOff, "transfer without a note", "",
	},
	{
		"notes are off for stored ones too", aliceHasIt + " · set transfer_notes=off", "transfer alice→bob note=" + storedNote,
		conversation.CodeTransferNotesOff, "turn transfer notes on", "",
	},
	{
		"a plugin transfers too", aliceHasIt + " · plugin acme", "transfer alice→bob",
		conversation.CodePluginConflict, "plugin acme", "plugin=acme",
	},
	{"warm transfers", aliceHasIt, "transfer alice→bob mode=warm", conversation.CodeModeNotAvailable, "transfer cold", ""},
	{"email", "start channel=email · reserve alice · accept alice", "transfer alice→bob", conversation.CodeChannelNotTransferable, "email", ""},
	{
		"transfer to a routing workflow", aliceHasIt, "transfer alice→workflow:Anything",
		conversation.CodeTargetNotAvailable, "transfer to an agent or a queue", "",
	},
	{"move to a routing workflow", "start", "move →workflow:Anything", conversation.CodeTargetNotAvailable, "an agent or a queue", ""},
	{"transfer to an unknown agent", aliceHasIt, "transfer alice→bop", conversation.CodeUnknownAgent, `"bop": check the spelling`, "agent=bop"},
	{"move to an unknown agent", "start", "move →bop", conversation.CodeUnknownAgent, "add the agent at the desk", "agent=bop"},
	{"start in an unknown queue", "later 1s", "start queue=soporte", conversation.CodeUnknownQueue, `"soporte": check the spelling`, "queue=soporte"},
	{"transfer to an unknown queue", aliceHasIt, "transfer alice→#facturas", conversation.CodeUnknownQueue, "add the queue at the desk", "queue=facturas"},
	{"transfer to a queue without agents", aliceHasIt, "transfer alice→#night", conversation.CodeQueueEmpty, "choose another target", "queue=night"},
	{"move to a queue without agents", "start", "move →#night", conversation.CodeQueueEmpty, "add agents to it", "queue=night"},
	{
		"transfer to an agent who is away", aliceHasIt + " · away bob", "transfer alice→bob",
		conversation.CodeAgentUnavailable, "to another agent or to a queue", "agent=bob",
	},
	{"move to an agent who is away", "start · away bob", "move →bob", conversation.CodeAgentUnavailable, "bob is not available", "agent=bob"},
	{
		"a note that isn't stored", aliceHasIt, "transfer alice→bob note=KQ99999999999999999999999999999999",
		conversation.CodeInvalidPayload, "store it at the desk first", "field=note",
	},
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, test.story)
			refusal := s.refuses(test.command)
			require.Equal(t, test.code, refusal.Code)
			require.Contains(t, s.readable(refusal.Message), test.says)
			require.Equal(t, test.details, s.readable(detailsOf(refusal)))
			require.Equal(t, string(refusal.Code)+": "+refusal.Message, refusal.Error())
		})
	}
}

func detailsOf(r *conversation.Refusal) string {
	var words []string
	for _, d := range []struct{ key, value string }{
		{"task", r.Details.Task},
		{"transfer", r.Details.Transfer},
		{"agent", r.Details.Agent},
		{"queue", r.Details.Queue},
		{"plugin", r.Details.Plugin},
		{"field", r.Details.Field},
	} {
		if d.value != "" {
			words = append(words, d.key+"="+d.value)
		}
	}
	return strings.Join(words, " ")
}

// TestRefusalsOfWarmTransfers checks the two codes that cannot occur before warm transfers exist, because they need
// a second agent in the conversation.
func TestRefusalsOfWarmTransfers(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt)
	s.tampered = true
	s.state.Tasks = append(s.state.Tasks, &conversation.Task{
		SID: "WT" + strings.Repeat("b", 32), Status: conversation.TaskAssigned, Queue: "support", Agent: "bob",
		Reservation: &conversation.Reservation{Agent: "bob", Status: conversation.ReservationAccepted},
	})
	refusal := s.refuses("transfer alice→bob")
	require.Equal(t, conversation.CodeAlreadyParticipating, refusal.Code)
	require.Equal(t, "agent=bob", detailsOf(refusal))
	require.Contains(t, refusal.Message, "transfer to another agent or to a queue")

	s.state.Transfers = append(s.state.Transfers, &conversation.Transfer{
		SID: "UX" + strings.Repeat("b", 32), Status: conversation.TransferActive, From: "alice", FromTask: s.task(1).SID, Task: s.task(2).SID,
	})
	refusal = s.refuses("transfer alice→carol")
	require.Equal(t, conversation.CodeTransferInProgress, refusal.Code)
	require.Equal(t, "transfer=U1", s.readable(detailsOf(refusal)))
	require.Contains(t, refusal.Message, "wait for it, or cancel it first")
	require.Equal(t, conversation.CodeTransferInProgress, s.refuses("transfer alice→bob").Code, "before the target")
}

func TestEveryCodeHasItsStory(t *testing.T) {
	t.Parallel()
	found := []conversation.Code{
		conversation.CodeAlreadyParticipating, conversation.CodeTransferInProgress,
		conversation.CodeUnknownConversation, // returned by the lookup of a conversation, not by a rule
	}
	for _, test := range refusals {
		found = append(found, test.code)
	}
	for _, code := range conversation.Codes() {
		require.Contains(t, found, code)
	}
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(found))), len(conversation.Codes()))
}

// TestOrderOfChecks sends a transfer that is wrong in every way, and corrects what it was refused for until it is
// right.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · set messaging_transfers=off · set transfer_notes=off · plugin acme")
	s.tampered = true // the channel changes during the test
	s.state.Channel = conversation.ChannelEmail
	for _, next := range []struct {
		command string
		code    conversation.Code
		amends  string
	}{
		{"transfer bob→bob note=Hi mode=tepid", conversation.CodeInvalidPayload, "later 1s"},
		{"transfer bob→alice note=Hi mode=warm", conversation.CodeNotYourTask, "silent"},
		{"transfer alice→alice note=Hi mode=warm", conversation.CodeTransferToSelf, "later 1s"},
		{"transfer alice→bop note=Hi mode=warm", conversation.CodeDeskUnavailable, "answering"},
		{"transfer alice→bop note=Hi mode=warm", conversation.CodeMessagingTransfersOff, "set messaging_transfers=on"},
		{"transfer alice→bop note=Hi mode=warm", conversation.CodeTransferNotesOff, "set transfer_notes=on"},
		{"transfer alice→bop note=Hi mode=warm", conversation.CodePluginConflict, "plugin"},
		{"transfer alice→bop note=Hi mode=warm", conversation.CodeModeNotAvailable, "later 1s"},
		{"transfer alice→bop note=Hi", conversation.CodeChannelNotTransferable, "later 1s"},
	} {
		require.Equal(t, next.code, s.refuses(next.command).Code, next.command)
		s.then(next.amends)
	}
	s.state.Channel = conversation.ChannelWeb
	require.Equal(t, conversation.CodeUnknownAgent, s.refuses("transfer alice→bop note=Hi").Code)
	s.then("transfer alice→bob note=Hi · close")
	require.Equal(t, conversation.CodeConversationClosed, s.refuses("transfer bob→bob note=Hi mode=warm").Code, "the conversation comes before the task")
}

func TestWrapupBeforeAcceptIsCheckedFirst(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob")
	require.Equal(t, conversation.CodeWrapupPending, s.refuses("accept alice").Code, "even where nothing is offered to them")
	require.Equal(t, conversation.CodeWrapupPending, s.refuses("accept alice task=T0").Code)
	require.Equal(t, conversation.CodeWrapupPending, s.refuses("accept alice task=T2").Code)
}

func TestCommandsBeforeTheStart(t *testing.T) {
	t.Parallel()
	for command, code := range map[string]conversation.Code{
		"transfer alice→bob": conversation.CodeNotYourTask,
		"accept alice":       conversation.CodeNoReservation,
		"decline alice":      conversation.CodeNoReservation,
		"wrapup alice":       conversation.CodeNotYourTask,
		"end alice":          conversation.CodeNotYourTask,
		"cancel alice":       conversation.CodeNoActiveTransfer,
		"move →bob":          conversation.CodeNoReservation,
	} {
		require.Equal(t, code, tell(t, "later 1s").refuses(command).Code, command)
	}
}

func TestRefusalsAreReadableThroughOtherErrors(t *testing.T) {
	t.Parallel()
	refusal := tell(t, aliceHasIt).refuses("accept bob")
	require.Equal(t, conversation.CodeNoReservation, conversation.CodeOf(fmt.Errorf("accept: %w", refusal)))
	require.Empty(t, conversation.CodeOf(errors.New("the disk is full")))
	raw, err := json.Marshal(refusal)
	require.NoError(t, err)
	require.Contains(t, string(raw), `"code":"no_reservation","message":"no task`)
	require.Contains(t, string(raw), `"details":{"agent":"bob"}`)
}
