package conversation_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestTheSameIDHasOneEffect repeats every command with its ID: at once, after the run was continued as new, and
// after the conversation has changed.
func TestTheSameIDHasOneEffect(t *testing.T) {
	t.Parallel()
	const passed = aliceHasIt + " · transfer alice→bob"
	for _, test := range []struct{ story, command, after string }{
		{aliceHasIt, "transfer alice→bob note=Hi command_id=c1", "accept bob"},
		{passed, "accept bob task=T2 command_id=c1", "transfer bob→#billing"},
		{passed, "decline bob command_id=c1", "reserve carol"},
		{passed, "wrapup alice command_id=c1", "accept bob"},
		{aliceHasIt, "end alice command_id=c1", "wrapup alice"},
		{passed, "cancel alice command_id=c1", "transfer alice→bob"},
		{"start", "move →bob command_id=c1", "accept bob"},
		{aliceHasIt, "close command_id=c1", "wrapup alice"},
	} {
		t.Run(test.command, func(t *testing.T) {
			t.Parallel()
			s := tell(t, test.story).then(test.command)
			command, first := s.sent, s.last.Outcome
			for _, change := range []string{"later 1s", test.after, "close"} {
				if s.state.Status == conversation.ConversationActive || change != "close" {
					s.then(change)
				}
				s.state = roundTrip(t, s.state)
				before := encoded(t, s.state)
				result, err := s.state.Apply(command, nil, s.now)
				require.NoError(t, err)
				require.NoError(t, s.state.Check(command, s.now))
				require.False(t, result.Changed)
				require.Empty(t, result.Events)
				require.Empty(t, result.Notes)
				require.Equal(t, before, encoded(t, s.state), "no second effect")
				require.Equal(t, sidsOf(first), sidsOf(result.Outcome), "what it touched the first time")
			}
		})
	}
}

func sidsOf(o conversation.Outcome) string {
	sids := ""
	if o.Task != nil {
		sids += o.Task.SID
	}
	if o.Transfer != nil {
		sids += " " + o.Transfer.SID
	}
	return sids
}

func TestTheSameIDWithAnotherPayload(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"transfer alice→carol command_id=c1", "transfer alice→bob note=Hi command_id=c1", "transfer alice→bob by=carol command_id=c1",
		"accept bob command_id=c1", "close command_id=c1",
	} {
		s := tell(t, aliceHasIt+" · transfer alice→bob command_id=c1")
		s.state = roundTrip(t, s.state)
		refusal := s.refuses(command)
		require.Equal(t, conversation.CodeInvalidPayload, refusal.Code)
		require.Equal(t, "field=command_id", detailsOf(refusal))
		require.Contains(t, refusal.Message, "an ID of its own")
	}
}

func TestARefusedCommandMayBeSentAgain(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob · accept bob · transfer bob→alice")
	require.Equal(t, conversation.CodeWrapupPending, s.refuses("accept alice command_id=c1").Code)
	s.then("wrapup alice · accept alice command_id=c1")
	require.Equal(t, "alice", s.task(3).Agent)
	require.Equal(t, conversation.TaskAssigned, s.task(3).Status)
}

func TestTheLastHundredAreRemembered(t *testing.T) {
	t.Parallel()
	s := tell(t, "start · move →#billing command_id=first")
	first := s.sent
	for n := range 99 {
		s.then(fmt.Sprintf("move →%s command_id=n%d", []string{"bob", "carol"}[n%2], n))
	}
	require.Len(t, s.state.Remembered, 100)
	s.state = roundTrip(t, s.state)
	result, err := s.state.Apply(first, nil, s.now)
	require.NoError(t, err)
	require.False(t, result.Changed, "a hundred commands back it is still known")
	require.Equal(t, s.task(1).SID, result.Outcome.Task.SID)

	s.then("move →carol command_id=n99")
	require.Len(t, s.state.Remembered, 100)
	require.NoError(t, s.send(first))
	require.True(t, s.last.Changed, "after a hundred others it is a new command")
	require.Equal(t, "active · T1 #billing pending", s.summary())
}

func TestACommandThatMayBeForgottenIsRefused(t *testing.T) {
	t.Parallel()
	s := tell(t, "start")
	since := func(at time.Time) conversation.MoveCommand {
		return conversation.MoveCommand{To: conversation.Target{Queue: "billing"}, Meta: conversation.Meta{CommandID: "first", FirstSentAt: at}}
	}
	sent := s.now
	require.NoError(t, s.send(since(sent)))
	require.NoError(t, s.send(since(sent.Add(time.Hour))))
	require.False(t, s.last.Changed, "it is the same command, whenever it was sent first")
	for n := range 100 {
		s.now = s.now.Add(time.Second)
		s.then(fmt.Sprintf("move →%s command_id=n%d", []string{"bob", "carol"}[n%2], n))
	}
	err := s.send(since(sent))
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "is no longer known")
	require.NoError(t, s.send(since(s.now)))
	require.True(t, s.last.Changed, "none of the hundred is it, and it was not sent before them")
}

func TestCommandsWithoutAnIDAreNotRemembered(t *testing.T) {
	t.Parallel()
	require.Empty(t, tell(t, aliceHasIt+" · transfer alice→bob").state.Remembered)
}

// TestOwnEffectFound checks that a command without an ID whose effect is already there succeeds and changes
// nothing.
func TestOwnEffectFound(t *testing.T) {
	t.Parallel()
	const passed = aliceHasIt + " · transfer alice→bob"
	for _, test := range []struct{ name, story, command string }{
		{"a second accept", aliceHasIt, "accept alice"},
		{"a second accept that names its task", aliceHasIt, "accept alice task=T1"},
		{"a second decline", passed + " · decline bob", "decline bob"},
		{"a second decline that names its task", passed + " · decline bob task=T2", "decline bob task=T2"},
		{"a second decline after the sender has it again", "set unanswered=sender · " + passed + " · decline bob", "decline bob"},
		{"a second wrapup", passed + " · wrapup alice", "wrapup alice"},
		{"a second wrapup that names its task", passed + " · wrapup alice", "wrapup alice task=T1"},
		{"a wrapup that completed itself", "set wrapup_timeout=30 · " + passed + " · accept bob · due", "wrapup alice"},
		{"a second end once the customer has gone", aliceHasIt + " · end alice", "end alice"},
		{"an end once the customer has gone by themselves", aliceHasIt + " · close", "end alice task=T1"},
		{"a second cancel", passed + " · cancel alice", "cancel alice"},
		{"a second cancel that names its transfer", passed + " · cancel alice", "cancel alice transfer=U1"},
		{"a second cancel after the wrapup", passed + " · wrapup alice · cancel alice", "cancel alice"},
		{"a second move to an agent", "start · move →bob", "move →bob"},
		{"a second move to a queue", "start · move →#billing", "move →#billing task=T1"},
		{"a second close while wrapups are open", aliceHasIt + " · close", "close"},
		{"a second close of what it has closed", "start · close", "close"},
		{"a second close that names the task it canceled", "start · close task=T1", "close task=T1"},
		{"a close of what the last wrapup has closed", aliceHasIt + " · end alice · wrapup alice", "close"},
		{"a second wrapup that has closed the conversation", aliceHasIt + " · end alice · wrapup alice", "wrapup alice"},
		{"a second wrapup that names its task, once all is closed", passed + " · wrapup alice · close", "wrapup alice task=T1"},
		{"a second decline once the customer has gone", passed + " · decline bob · close", "decline bob"},
		{"a second decline once all is closed", passed + " · decline bob · wrapup alice · close", "decline bob task=T2"},
		{"a second cancel once the customer has gone", passed + " · cancel alice · close", "cancel alice transfer=U1"},
		{"a second cancel once all is closed", passed + " · cancel alice · close · wrapup alice", "cancel alice"},
		{"a timer that fires with nothing due", aliceHasIt, "expire"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, test.story)
			before := encoded(t, s.state)
			s.then("silent · " + test.command) // the desk is not asked
			require.False(t, s.last.Changed)
			require.Empty(t, s.last.Events)
			require.Equal(t, before, encoded(t, s.state))
			require.Equal(t, s.state.Status, s.last.Outcome.ConversationStatus)
		})
	}
}

func TestADeclineIsOfTheNewestOffer(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob · decline bob · reserve bob · decline bob")
	require.Equal(t, conversation.ReservationRejected, s.task(2).Reservation.Status)
	s.then("reserve carol")
	require.Equal(t, conversation.CodeNoReservation, s.refuses("decline bob").Code, "the offer is another agent's by now")
}
