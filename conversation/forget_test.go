package conversation_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// passedOn is a conversation that alice and bob pass to and fro; dave's wrapup, at its beginning, goes on for ever.
func passedOn(t *testing.T, attributes string) (s *story, passOn func(times int) []conversation.Event) {
	t.Helper()
	s = tell(t, `start attributes={"order":`+attributes+`} · reserve dave · accept dave · transfer dave→alice · accept alice`)
	from, receiver := "alice", "bob"
	return s, func(times int) []conversation.Event {
		var told []conversation.Event
		for range times {
			for _, command := range []conversation.Command{
				conversation.TransferCommand{From: from, To: conversation.Target{Agent: receiver}},
				conversation.WrapupCommand{Agent: from},
				conversation.AcceptCommand{Agent: receiver},
			} {
				result, err := s.state.Apply(command, verdictOf(bothSwitchesOn(), true), s.now)
				require.NoError(t, err)
				told = append(told, result.Events...)
			}
			from, receiver = receiver, from
		}
		require.NoError(t, s.state.Broken())
		return told
	}
}

func TestAConversationOfThousandsOfTransfersFitsIntoAPayload(t *testing.T) {
	t.Parallel()
	s, passOn := passedOn(t, "17")
	for range 250 {
		passOn(10)
		s.state.Forget(nil)
		require.NoError(t, s.state.Broken())
	}
	require.Len(t, s.state.Tasks, 1001, "the newest thousand, and dave's")
	require.Equal(t, conversation.Forgotten{Tasks: 1501, Transfers: 1502}, s.state.Forgotten)
	require.Equal(t, 2501, s.state.Forgotten.Transfers+len(s.state.Transfers))
	require.Equal(t, "dave", s.state.Tasks[0].Agent)
	require.Equal(t, "17", string(s.state.Tasks[0].Attributes["order"]), "he wraps up still")
	require.Equal(t, "17", string(s.state.Tasks[1000].Attributes["order"]))
	require.Empty(t, s.state.Tasks[900].Attributes, "what ended long ago has its attributes at the desk")

	actual := len(encoded(t, s.state))
	require.Less(t, actual, 1_100_000)
	require.InDelta(t, actual, s.state.Bytes(), float64(actual)/10)
	s.then("wrapup dave")
	s.state.Forget(nil)
	require.Len(t, s.state.Tasks, 1000)
	s.then("close")
}

func TestBigAttributesStayWithFewerTasks(t *testing.T) {
	t.Parallel()
	s, passOn := passedOn(t, `"`+strings.Repeat("é", 4000)+`"`)
	passOn(60)
	s.state.Forget(nil)
	require.NotEmpty(t, s.state.Tasks[61].Attributes)
	require.Empty(t, s.state.Tasks[1].Attributes)
	require.Less(t, len(encoded(t, s.state)), 400_000)
}

func TestWhatTheDeskHasNotBeenToldIsNotForgotten(t *testing.T) {
	t.Parallel()
	s, passOn := passedOn(t, "17")
	untold := passOn(1200)
	s.state.Forget(untold)
	require.Zero(t, s.state.Forgotten)
	require.Len(t, s.state.Tasks, 1202)
	picture := s.state.Picture(untold, nil)
	require.Len(t, picture.Tasks, 1202)
	for _, task := range picture.Tasks {
		require.Equal(t, "17", string(task.Attributes["order"]))
	}
	s.state.Forget(untold[len(untold)/2:])
	require.Len(t, s.state.Tasks, 1001)
	require.NoError(t, s.state.Broken())
}
