package conversation_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// passedOn is a conversation that alice and bob transfer to each other many times. dave's wrapup, from the
// beginning, never ends.
func passedOn(t *testing.T, attributes string) (s *story, passOn func(times int) []conversation.Event) {
	t.Helper()
	s = tell(t, `start attributes={"order":`+attributes+`} · reserve dave · accept dave · transfer dave→alice · accept alice`)
	from, receiver := "alice", "bob"
	return s, func(times int) []conversation.Event {
		var found []conversation.Event
		for range times {
			for _, command := range []conversation.Command{
				conversation.TransferCommand{From: from, To: conversation.Target{Agent: receiver}},
				conversation.WrapupCommand{Agent: from},
				conversation.AcceptCommand{Agent: receiver},
			} {
				result, err := s.state.Apply(command, factsOf(bothSwitchesOn(), true), s.now)
				require.NoError(t, err)
				found = append(found, result.Events...)
			}
			from, receiver = receiver, from
		}
		require.NoError(t, s.state.Broken())
		return found
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
	require.Len(t, s.state.Tasks, 601, "the newest six hundred, and dave's")
	require.Equal(t, conversation.Forgotten{Tasks: 1901, Transfers: 1902}, s.state.Forgotten)
	require.Equal(t, 2501, s.state.Forgotten.Transfers+len(s.state.Transfers))
	require.Equal(t, "dave", s.state.Tasks[0].Agent)
	require.Equal(t, "17", string(s.state.Tasks[0].Attributes["order"]), "he wraps up still")
	require.Equal(t, "17", string(s.state.Tasks[600].Attributes["order"]))
	require.Empty(t, s.state.Tasks[500].Attributes, "what ended long ago has its attributes at the desk")
	require.Less(t, len(encoded(t, s.state)), 750_000)
	s.then("wrapup dave")
	s.state.Forget(nil)
	require.Len(t, s.state.Tasks, 600)
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
	pending := passOn(1200)
	s.state.Forget(pending)
	require.Zero(t, s.state.Forgotten)
	require.Len(t, s.state.Tasks, 1202)
	snapshot := s.state.Snapshot(pending, nil)
	require.Len(t, snapshot.Tasks, 1202)
	for _, task := range snapshot.Tasks {
		require.Equal(t, "17", string(task.Attributes["order"]))
	}
	s.state.Forget(pending[len(pending)/3:])
	require.Less(t, len(s.state.Tasks), 810, "two thirds")
	require.NoError(t, s.state.Broken())
}

func TestARememberedCommandReturnsItsOutcomeHoweverLongAgo(t *testing.T) {
	t.Parallel()
	s, passOn := passedOn(t, "17")
	wrapup := conversation.WrapupCommand{Agent: "dave", Meta: conversation.Meta{CommandID: "dave's"}}
	first, err := s.state.Apply(wrapup, nil, s.now)
	require.NoError(t, err)
	passOn(1200)
	s.state.Forget(nil)
	require.Positive(t, s.state.Forgotten.Tasks)
	again, err := s.state.Apply(wrapup, nil, s.now)
	require.NoError(t, err)
	require.Equal(t, first.Outcome.Task.SID, again.Outcome.Task.SID)
}

// The estimated size of a state may be too large, but never too small.
func TestBytesAreWhatJSONTakesAtMost(t *testing.T) {
	t.Parallel()
	for name, long := range map[string]string{
		"short names": "bob", "long ones": strings.Repeat("Ж", 255), "what JSON escapes": strings.Repeat(`<"&`, 85), "of several bytes": strings.Repeat("🙂\u2028", 120),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, `start attributes={"order":17} · reserve alice · accept alice`)
			s.task(1).Attributes["html"] = json.RawMessage(`"` + strings.Repeat("<b>&\u2028", 800) + `"`) // as other languages encode it
			from, receiver := "alice", strings.Repeat("b", 64)
			for i := range 200 {
				by := conversation.Meta{By: long, CommandID: strconv.Itoa(i) + long}
				for _, command := range []conversation.Command{
					conversation.TransferCommand{From: from, To: conversation.Target{Agent: receiver}, Note: long, Meta: by},
					conversation.WrapupCommand{Agent: from, Disposition: long, Note: long, Meta: conversation.Meta{By: long}},
					conversation.DeclineCommand{Agent: receiver, Reason: long, Meta: conversation.Meta{By: long}},
					conversation.MoveCommand{To: conversation.Target{Agent: receiver}, Meta: conversation.Meta{By: long}},
					conversation.AcceptCommand{Agent: receiver, Meta: conversation.Meta{By: long}},
				} {
					result, err := s.state.Apply(command, factsOf(bothSwitchesOn(), true), s.now.Add(123456789))
					require.NoError(t, err)
					for _, e := range result.Events {
						require.LessOrEqual(t, bytesInJSON(t, e), e.Bytes()+e.TypedBytes())
					}
					for _, n := range result.Notes {
						require.LessOrEqual(t, bytesInJSON(t, n), n.Bytes())
					}
				}
				from, receiver = receiver, from
			}
			actual := bytesInJSON(t, s.state)
			require.LessOrEqual(t, actual, s.state.Bytes())
			require.Less(t, s.state.Bytes(), 2*actual)
		})
	}
}

func bytesInJSON(t *testing.T, value any) int {
	t.Helper()
	encoded, err := json.Marshal(value)
	require.NoError(t, err)
	return len(encoded)
}
