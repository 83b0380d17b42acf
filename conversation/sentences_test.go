package conversation_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// sentenceStates are conversations in every state that a command can meet.
var sentenceStates = []struct{ name, story string }{
	{"waits in a queue", "start"},
	{"offered to alice", "start · reserve alice"},
	{"offer declined", "start · reserve alice · decline alice"},
	{"offer expired", "start · reserve alice · due"},
	{"alice has it", aliceHasIt},
	{"transferred to bob", aliceHasIt + " · transfer alice→bob"},
	{"transferred to billing", aliceHasIt + " · transfer alice→#billing"},
	{"bob declined the transfer", aliceHasIt + " · transfer alice→bob · decline bob"},
	{"transfer canceled", aliceHasIt + " · transfer alice→bob · cancel alice"},
	{"bob accepted, alice wraps up", aliceHasIt + " · transfer alice→bob · accept bob"},
	{"bob accepted, alice wrapped up", aliceHasIt + " · transfer alice→bob · accept bob · wrapup alice"},
	{"alice gets it back while she wraps up", aliceHasIt + " · transfer alice→bob · accept bob · transfer bob→alice"},
	{"ended by alice", aliceHasIt + " · end alice"},
	{"closed by the customer during a transfer", aliceHasIt + " · transfer alice→bob · close"},
	{"closed while it waited", "start · close"},
	{"closed after the wrapup", aliceHasIt + " · end alice · wrapup alice"},
	{"closed after a canceled transfer", aliceHasIt + " · transfer alice→bob · cancel alice · end alice · wrapup alice"},
}

// sentenceCommands are every command by every agent, about the newest task and about a named one.
func sentenceCommands() []string {
	commands := []string{"close", "close task=T1", "move →bob", "move →#billing", "move →carol task=T1", "start"}
	for _, agent := range []string{"alice", "bob", "carol"} {
		for _, verb := range []string{"accept", "decline", "wrapup", "end"} {
			commands = append(commands, verb+" "+agent, verb+" "+agent+" task=T1", verb+" "+agent+" task=T2")
		}
		commands = append(commands, "cancel "+agent, "cancel "+agent+" transfer=U1", "transfer "+agent+"→#billing")
		for _, to := range []string{"alice", "bob", "carol"} {
			commands = append(commands, "transfer "+agent+"→"+to)
		}
	}
	return commands
}

// TestEverySentenceIsTrueAndPlain sends every command in every state. It compares what a refusal says about a task,
// an agent or a transfer with the state.
func TestEverySentenceIsTrueAndPlain(t *testing.T) {
	t.Parallel()
	refused := 0
	for _, state := range sentenceStates {
		for _, command := range sentenceCommands() {
			s := tell(t, state.story)
			about := fmt.Sprintf("%q after %q", command, state.name)
			err := s.try(command)
			if err == nil {
				continue
			}
			refused++
			var refusal *conversation.Refusal
			require.ErrorAs(t, err, &refusal, about)
			said := s.readable(refusal.Message)
			for _, wrong := range []string{"start a new one", "somebody", "nobody", "faster"} {
				require.NotContains(t, said, wrong, about)
			}
			require.False(t, strings.HasPrefix(said, string(refusal.Code)), "%s: %s", about, said)
			for i, task := range s.state.Tasks {
				name := fmt.Sprintf("task T%d", i+1)
				for _, status := range []conversation.TaskStatus{
					conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping,
					conversation.TaskCompleted, conversation.TaskCanceled,
				} {
					for _, claims := range []string{name + " is " + string(status), name + ", which is " + string(status)} {
						require.True(t, !strings.Contains(said, claims) || task.Status == status, "%s: %s, and it is %s", about, said, task.Status)
					}
				}
				if strings.Contains(said, "still wraps up "+name) {
					require.Equal(t, conversation.TaskWrapping, task.Status, "%s: %s", about, said)
				}
			}
			if strings.Contains(said, "then accept again") {
				agent := refusal.Details.Agent
				s.then("wrapup " + agent + " · accept " + agent)
			}
			require.True(t, !strings.Contains(said, "conversation is closed") || s.state.Status == conversation.ConversationClosed, "%s: %s", about, said)
			require.True(t, !strings.Contains(said, "cancel that transfer") || s.state.ActiveTransfer() != nil, "%s: %s", about, said)
		}
	}
	require.Greater(t, refused, 500, "refusals that were looked at")
}

// TestARepeatIsTheSameForEveryCommand repeats each command without an ID. Its effect is already there, at once and
// after the end of the conversation. A repeated transfer is refused, and the refusal names the existing transfer.
func TestARepeatIsTheSameForEveryCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ story, command string }{
		{"start · reserve alice", "accept alice"},
		{"start · reserve alice", "decline alice"},
		{aliceHasIt, "end alice"},
		{aliceHasIt + " · end alice", "wrapup alice"},
		{aliceHasIt + " · transfer alice→bob", "wrapup alice"},
		{aliceHasIt + " · transfer alice→bob", "decline bob"},
		{aliceHasIt + " · transfer alice→bob", "cancel alice"},
		{"start", "move →bob"},
		{"start", "move →#billing"},
		{"start", "close"},
		{"start", "close task=T1"},
		{aliceHasIt, "close"},
	} {
		s := tell(t, test.story+" · "+test.command)
		require.False(t, s.last.Outcome.Unchanged, test.command)
		s.then(test.command)
		require.True(t, s.last.Outcome.Unchanged, "%s after %s", test.command, test.story)
	}

	for _, to := range []string{"bob", "#billing"} {
		s := tell(t, aliceHasIt+" · transfer alice→"+to)
		refusal := s.refuses("transfer alice→" + to)
		require.Equal(t, conversation.CodeTaskNotAssigned, refusal.Code)
		require.Contains(t, s.readable(refusal.Message), "already, with transfer U1: wait for the answer, or cancel that transfer")
	}
}

// TestTheOwnPastIsSaidOfAnOffer checks that an agent who answers an offer too late reads what happened to it.
func TestTheOwnPastIsSaidOfAnOffer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ story, command, says string }{
		{"start", "accept alice", "none has been offered to them"},
		{"start · reserve alice · due", "accept alice", "the offer of task T1 has expired"},
		{"start · reserve alice · due", "decline alice", "the offer of task T1 has expired"},
		{"start · reserve alice · decline alice", "accept alice", "they declined task T1"},
		{"start · reserve alice · move →bob", "accept alice", "none has been offered to them, or the offer was followed by another"},
		{aliceHasIt, "decline alice", "they accepted task T1, which is assigned"},
		{aliceHasIt + " · transfer alice→bob · accept bob · wrapup alice", "accept alice task=T1", "they accepted task T1, which is completed"},
		{aliceHasIt + " · transfer alice→bob · cancel alice", "accept bob", "the offer of task T2 was taken back"},
	} {
		s := tell(t, test.story)
		refusal := s.refuses(test.command)
		require.Equal(t, conversation.CodeNoReservation, refusal.Code, "%s after %s", test.command, test.story)
		require.Contains(t, s.readable(refusal.Message), test.says, "%s after %s", test.command, test.story)
	}
	s := tell(t, aliceHasIt+" · transfer alice→bob · accept bob")
	refusal := s.refuses("accept alice task=T1")
	require.Equal(t, conversation.CodeWrapupPending, refusal.Code)
	require.Contains(t, s.readable(refusal.Message), "no other task of it is reserved for them: complete that wrapup")
	require.NotContains(t, refusal.Message, "accept again", "nothing is offered to them")
}

// TestWhatToChooseInsteadFitsTheCommand checks that the refusal of a start does not advise a transfer.
func TestWhatToChooseInsteadFitsTheCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ story, command, says string }{
		{"away bob", "start bob", "bob is not available: start it for another agent, or for the queue alone"},
		{"start · away bob", "move →bob", "bob is not available: move the task to another agent or to a queue"},
		{aliceHasIt + " · away bob", "transfer alice→bob", "bob is not available: transfer to another agent or to a queue"},
	} {
		require.Equal(t, test.says, tell(t, test.story).refuses(test.command).Message)
	}
}
