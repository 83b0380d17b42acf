package conversation_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// awkward has attributes that must be kept unchanged: nested, long, exact numbers, and keys of any kind.
const awkward = `{"order":{"number":12345678901234567890,"lines":[1,2.50,{"a":null}]},"":"empty","<b>&":"<i>","é":"ü","vip":true,"nothing":null}`

// TestEveryAttributeReachesTheNewTask checks the attributes for every way to create a task.
func TestEveryAttributeReachesTheNewTask(t *testing.T) {
	t.Parallel()
	s := tell(t, "start attributes="+awkward+" · reserve alice · accept alice"+
		" · transfer alice→bob · decline bob · reserve carol · accept carol · transfer carol→#billing · wrapup carol · cancel carol"+
		" · reserve bob · accept bob · transfer bob→alice")
	require.Len(t, s.state.Tasks, 5)
	own, err := json.Marshal(s.task(5).Attributes.Own())
	require.NoError(t, err)
	require.JSONEq(t, awkward, string(own), "its own are kept apart from the system's")
	var original conversation.Attributes
	require.NoError(t, json.Unmarshal([]byte(awkward), &original))
	require.NoError(t, json.Unmarshal([]byte(encoded(t, s.state)), s.state))
	for n, task := range s.state.Tasks {
		for key, value := range original {
			require.JSONEq(t, string(value), string(task.Attributes[key]), "the attribute %q of T%d", key, n+1)
		}
		require.Contains(t, string(task.Attributes["order"]), "12345678901234567890", "numbers keep their digits")
		require.Equal(t, `"`+storyConversation+`"`, string(task.Attributes["conversationSid"]))
	}
	require.Equal(t, "T1 T2 T3 T4", s.readable(fmt.Sprint(
		s.task(2).Previous, " ", s.task(3).Previous, " ", s.task(4).Previous, " ", s.task(5).Previous)), "the lineage is complete")
}

func TestTheSystemsOwnAttributes(t *testing.T) {
	t.Parallel()
	s := tell(t, `start attributes={"customerName":"Mallory","transferTargetType":"mine"} · reserve alice · accept alice`)
	first := s.task(1).Attributes
	require.Equal(t, `"Crystal Minh"`, string(first["customerName"]), "the system's keys are the system's")
	for key, want := range map[string]string{
		"customerAddress": `"web:crystal"`, "channelType": `"web"`, "direction": `"inbound"`, "initiatedBy": `"customer"`,
		"customers":          `{"address":"web:crystal","name":"Crystal Minh"}`,
		"flexInteractionSid": `"KD0123456789abcdef0123456789abcdef"`, "flexInteractionChannelSid": `"UO0123456789abcdef0123456789abcdef"`,
		"flexChannelInviteSid": `"KG0123456789abcdef0123456789abcdef"`,
		"conversations": `{"initiated_by":"customer","conversation_id":"` + storyConversation + `","communication_channel":"web",` +
			`"media":[{"type":"ChatTranscript","sid":"` + storyConversation + `"}]}`,
	} {
		require.Equal(t, want, string(first[key]), key)
	}

	s.then("transfer alice→#billing")
	second := s.task(2).Attributes
	require.Equal(t, `"queue"`, string(second["transferTargetType"]))
	require.Equal(t, `"`+conversation.QueueSID("billing")+`"`, string(second["transferTargetSid"]))
	require.Equal(t, `"billing"`, string(second["transferQueueName"]))
	require.Equal(t, `["`+conversation.AgentSID("alice")+`"]`, string(second["workerSidsInConversation"]))

	s.then("reserve bob · accept bob · transfer bob→carol")
	third := s.task(3).Attributes
	require.Equal(t, `"worker"`, string(third["transferTargetType"]))
	require.Equal(t, `"`+conversation.AgentSID("carol")+`"`, string(third["transferTargetSid"]))
	require.NotContains(t, third, "transferQueueName", "that was the transfer before")
	require.Equal(t, `["`+conversation.AgentSID("alice")+`","`+conversation.AgentSID("bob")+`"]`, string(third["workerSidsInConversation"]))
	require.Equal(t, `"billing"`, string(second["transferQueueName"]), "the task before keeps its own")
}

func TestAttributesAfterHundredsOfTransfers(t *testing.T) {
	t.Parallel()
	s := tell(t, `start attributes={"order":17} · reserve alice · accept alice`)
	carryOutOften := func(commands ...conversation.Command) {
		for range 130 {
			for _, command := range commands {
				_, err := s.state.Apply(command, verdictOf(bothSwitchesOn(), true), s.now)
				require.NoError(t, err)
				s.state.Forget(nil)
			}
		}
	}
	toBob := conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}}
	toAlice := conversation.TransferCommand{From: "bob", To: conversation.Target{Agent: "alice"}}
	carryOutOften(toBob, conversation.CancelCommand{Agent: "alice"})
	require.Equal(t, "17", string(s.task(1).Attributes["order"]), "alice has had it all the time")
	carryOutOften(toBob, conversation.WrapupCommand{Agent: "alice"}, conversation.AcceptCommand{Agent: "bob"},
		toAlice, conversation.WrapupCommand{Agent: "bob"}, conversation.AcceptCommand{Agent: "alice"})
	last := s.state.Tasks[len(s.state.Tasks)-1]
	require.Equal(t, "17", string(last.Attributes["order"]))
	require.Empty(t, s.task(1).Attributes, "what ended long ago has its attributes at the desk")
	require.Less(t, len(encoded(t, s.state)), 500_000, "a long conversation still fits into a payload")
}
