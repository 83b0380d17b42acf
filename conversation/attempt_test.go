package conversation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestATransferTellsItsLastAttempt checks that a transfer records its last offer that was not accepted, for
// transfers to an agent and to a queue.
func TestATransferTellsItsLastAttempt(t *testing.T) {
	t.Parallel()
	const passed = aliceHasIt + " · transfer alice→"
	for _, test := range []struct {
		name, story string
		want        conversation.Attempt
	}{
		{"not answered yet", passed + "bob", conversation.Attempt{}},
		{"declined with words", passed + "bob · later 5s · decline bob reason=lunch", conversation.Attempt{Agent: "bob", Reason: conversation.ReasonDeclined, Words: "lunch"}},
		{"expired", passed + "bob · due", conversation.Attempt{Agent: "bob", Reason: conversation.ReasonExpired}},
		{"declined by queue", passed + "#billing · reserve carol · decline carol reason=no", conversation.Attempt{Agent: "carol", Reason: conversation.ReasonDeclined, Words: "no"}},
		{"the last of two", passed + "bob · decline bob reason=lunch · reserve carol · due", conversation.Attempt{Agent: "carol", Reason: conversation.ReasonExpired}},
		{"after it was accepted", passed + "bob · decline bob reason=lunch · reserve carol · accept carol", conversation.Attempt{Agent: "bob", Reason: conversation.ReasonDeclined, Words: "lunch"}},
		{"back with the sender", "set unanswered=sender · " + passed + "bob · decline bob reason=lunch", conversation.Attempt{Agent: "bob", Reason: conversation.ReasonDeclined, Words: "lunch"}},
		{"words like the desk's", passed + "bob · decline bob reason=agent_unavailable", conversation.Attempt{Agent: "bob", Reason: conversation.ReasonDeclined, Words: "agent_unavailable"}},
	} {
		s := tell(t, test.story)
		got := s.transfer(1).Attempt
		require.Equal(t, got == (conversation.Attempt{}), got.At.IsZero(), test.name)
		got.At = test.want.At
		require.Equal(t, test.want, got, test.name)
	}

	s := tell(t, passed+"bob")
	require.NoError(t, s.send(conversation.DeclineCommand{Agent: "bob", Reason: "agent_unavailable", Unavailable: true}))
	require.Equal(t, conversation.Attempt{Agent: "bob", Reason: conversation.ReasonAgentUnavailable, At: s.now}, s.transfer(1).Attempt)
	require.Equal(t, conversation.CauseUnavailable, s.last.Events[0].Cause)
}

// TestAnAttemptEndsWithTheTurn checks that an agent whose turn is over cannot read who declined another agent's
// transfer.
func TestAnAttemptEndsWithTheTurn(t *testing.T) {
	t.Parallel()
	attempt := conversation.Attempt{Agent: "carol", Reason: conversation.ReasonDeclined, Words: "lunch", At: monday.Add(time.Minute)}
	transfers := []conversation.Transfer{{From: "bob", CreatedAt: monday, Attempt: attempt}}
	read := func(agent string, until time.Time) conversation.Attempt {
		return conversation.Turn{Agent: agent, Until: until}.Transfers(transfers)[0].Attempt
	}
	require.Equal(t, attempt, read("alice", monday.Add(time.Hour)))
	require.Equal(t, conversation.Attempt{}, read("alice", monday.Add(time.Second)))
	require.Equal(t, attempt, read("bob", monday.Add(time.Second)), "the sender follows it")
}
