package conversation_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// aliceHasIt is the beginning of most stories.
const aliceHasIt = "start · reserve alice · accept alice"

// TestCommands checks what each command does when it is allowed, and what users see afterwards.
func TestCommands(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, story, summary string }{
		{"a conversation starts with a task in its queue", "start", "active · T1 #support pending"},
		{"a customer may write before anybody works on the queue", "start queue=night", "active · T1 #night pending"},
		{"a conversation may start with one agent", "start alice · accept alice", "active · T1 alice assigned"},
		{"one that the agent doesn't take goes to the queue", "start alice · decline alice", "active · T1 #support pending head"},
		{"it waits for an agent who is away, where the setting says so", "set agent_unavailable=wait · away alice · start alice", "active · T1 alice pending"},
		{"or goes to the queue", "set agent_unavailable=origin_queue · away alice · start alice", "active · T1 #support pending head"},
		{"an accept may name the very offer", "start · reserve alice · accept alice reservation=R1", "active · T1 alice assigned"},
		{"a decline may name the very offer", "start · reserve alice · decline alice reservation=R1", "active · T1 #support pending"},
		{"a close may name the task that waits", "start · reserve alice · close task=T1", "closed · T1 alice canceled (conversation_closed)"},
		{"the desk offers a waiting task", "start · reserve alice", "active · T1 alice reserved"},
		{"an agent accepts", aliceHasIt, "active · T1 alice assigned"},
		{"an agent declines and the task waits in its queue again", "start · reserve alice · decline alice", "active · T1 #support pending"},
		{"an offer of the queue's expires and the task waits again", "start · reserve alice · due", "active · T1 #support pending"},
		{"the next agent can take what one declined", "start · reserve alice · decline alice · reserve bob · accept bob", "active · T1 bob assigned"},

		{
			"a transfer to an available agent is offered in the same step", aliceHasIt + " · transfer alice→bob",
			"active · T1 alice wrapping · T2 bob reserved · U1 alice→bob active",
		},
		{
			"a transfer to a queue waits in that queue", aliceHasIt + " · transfer alice→#billing",
			"active · T1 alice wrapping · T2 #billing pending · U1 alice→#billing active",
		},
		{
			"cold is the mode, said or not", aliceHasIt + " · transfer alice→bob mode=cold",
			"active · T1 alice wrapping · T2 bob reserved · U1 alice→bob active",
		},
		{
			"a transfer to an agent keeps the queue of the sender's task", "start queue=billing · reserve alice · accept alice · transfer alice→bob",
			"active · T1 alice@billing wrapping · T2 bob@billing reserved · U1 alice→bob active",
		},
		{
			"accepting completes the transfer", aliceHasIt + " · transfer alice→bob · accept bob",
			"active · T1 alice wrapping · T2 bob assigned · U1 alice→bob completed",
		},
		{
			"the agent who accepts from the queue completes the transfer", aliceHasIt + " · transfer alice→#billing · reserve carol · accept carol",
			"active · T1 alice wrapping · T2 carol@billing assigned · U1 alice→#billing completed by carol",
		},
		{
			"the sender wraps up while the receiver talks", aliceHasIt + " · transfer alice→bob · accept bob · wrapup alice disposition=sold",
			"active · T1 alice completed (sold) · T2 bob assigned · U1 alice→bob completed",
		},
		{
			"the sender may wrap up before anybody accepts", aliceHasIt + " · transfer alice→bob · wrapup alice",
			"active · T1 alice completed · T2 bob reserved · U1 alice→bob active",
		},
		{
			"after their wrapup the same accept works", aliceHasIt + " · transfer alice→bob · accept bob · transfer bob→alice · wrapup alice · accept alice",
			"active · T1 alice completed · T2 bob wrapping · T3 alice assigned · U1 alice→bob completed · U2 bob→alice completed",
		},

		{"ending the turn ends the customer's side", aliceHasIt + " · end alice", "wrapping · T1 alice wrapping"},
		{"the last wrapup closes the conversation", aliceHasIt + " · end alice · wrapup alice", "closed · T1 alice completed"},
		{
			"the conversation stays open until everybody has wrapped up", aliceHasIt + " · transfer alice→bob · accept bob · end bob · wrapup bob",
			"wrapping · T1 alice wrapping · T2 bob completed · U1 alice→bob completed",
		},
		{"the supervisor wraps up for who is gone", aliceHasIt + " · end alice · wrapup alice by=carol", "closed · T1 alice completed"},

		{
			"a transfer taken back is the sender's again", aliceHasIt + " · transfer alice→bob · cancel alice",
			"active · T1 alice assigned · T2 bob canceled (canceled) · U1 alice→bob failed (canceled)",
		},
		{
			"a transfer to a queue taken back is the sender's again", aliceHasIt + " · transfer alice→#billing · cancel alice transfer=U1",
			"active · T1 alice assigned · T2 #billing canceled (canceled) · U1 alice→#billing failed (canceled)",
		},
		{
			"a transfer taken back after the wrapup waits at the head of the queue", aliceHasIt + " · transfer alice→bob · wrapup alice · cancel alice",
			"active · T1 alice completed · T2 bob canceled (canceled) · T3 #support pending head · U1 alice→bob failed (canceled)",
		},
		{
			"who took a transfer back can transfer again", aliceHasIt + " · transfer alice→bob · cancel alice · transfer alice→#billing",
			"active · T1 alice wrapping · T2 bob canceled (canceled) · T3 #billing pending · U1 alice→bob failed (canceled) · U2 alice→#billing active",
		},

		{"a supervisor moves a waiting task to another queue", "start · move →#billing", "active · T1 #billing pending"},
		{"a supervisor moves a waiting task to an agent", "start · move →bob", "active · T1 bob reserved"},
		{"a supervisor takes an offer from one agent to another", "start · reserve alice · move →bob task=T1", "active · T1 bob reserved"},
		{
			"a moved transfer stays active, and who accepts completes it", aliceHasIt + " · transfer alice→bob · move →#billing · reserve carol · accept carol",
			"active · T1 alice wrapping · T2 carol@billing assigned · U1 alice→bob completed by carol",
		},
		{"a move to an agent who is away and waited for", "set agent_unavailable=wait · away bob · start · move →bob", "active · T1 bob pending"},
		{
			"a move to an agent who is away goes to the head of the queue", "set agent_unavailable=origin_queue · away bob · start · reserve alice · move →bob",
			"active · T1 #support pending head",
		},
		{"an agent may be moved to who declines it", "start · move →bob · decline bob", "active · T1 #support pending head"},

		{"closing cancels what waits, and closes", "start · close", "closed · T1 #support canceled (conversation_closed)"},
		{"closing cancels an offer", "start · reserve alice · close", "closed · T1 alice canceled (conversation_closed)"},
		{"closing sends the agent to their wrapup", aliceHasIt + " · close", "wrapping · T1 alice wrapping"},
		{
			"closing fails the transfer under way", aliceHasIt + " · transfer alice→bob · close reason=bye",
			"wrapping · T1 alice wrapping · T2 bob canceled (conversation_closed) · U1 alice→bob failed (conversation_closed)",
		},
		{
			"a match that comes too late changes nothing", "start · reserve alice · close · reserve bob task=T1 placement=1",
			"closed · T1 alice canceled (conversation_closed)",
		},
		{"nothing is due before its time", "start · reserve alice · later 119s · expire", "active · T1 alice reserved"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.summary, tell(t, test.story).summary())
		})
	}
}

// TestOffersThatNoAgentTakes checks every fallback for every setting.
func TestOffersThatNoAgentTakes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, story, summary string }{
		{
			"a declined transfer waits at the head of the sender's queue", aliceHasIt + " · transfer alice→bob · decline bob",
			"active · T1 alice wrapping · T2 #support pending head · U1 alice→bob active",
		},
		{
			"an expired transfer waits at the head of the sender's queue", aliceHasIt + " · transfer alice→bob · due",
			"active · T1 alice wrapping · T2 #support pending head · U1 alice→bob active",
		},
		{
			"the agent who takes it then completes the transfer", aliceHasIt + " · transfer alice→bob · decline bob · reserve carol · accept carol",
			"active · T1 alice wrapping · T2 carol assigned · U1 alice→bob completed by carol",
		},
		{
			"it may be declined again, and keeps its place", aliceHasIt + " · transfer alice→bob · decline bob · reserve carol · decline carol",
			"active · T1 alice wrapping · T2 #support pending head · U1 alice→bob active",
		},
		{
			"it can still be taken back", aliceHasIt + " · transfer alice→bob · decline bob · cancel alice",
			"active · T1 alice assigned · T2 #support canceled (canceled) · U1 alice→bob failed (canceled)",
		},
		{
			"a transfer to a queue that one agent declines waits there", aliceHasIt + " · transfer alice→#billing · reserve bob · decline bob",
			"active · T1 alice wrapping · T2 #billing pending · U1 alice→#billing active",
		},

		{
			"unanswered=sender: declined", "set unanswered=sender · " + aliceHasIt + " · transfer alice→bob · decline bob",
			"active · T1 alice assigned · T2 bob canceled (declined) · U1 alice→bob failed (declined)",
		},
		{
			"unanswered=sender: expired", "set unanswered=sender · " + aliceHasIt + " · transfer alice→bob · due",
			"active · T1 alice assigned · T2 bob canceled (expired) · U1 alice→bob failed (expired)",
		},
		{
			"unanswered=sender: the sender has wrapped up", "set unanswered=sender · " + aliceHasIt + " · transfer alice→bob · wrapup alice · decline bob",
			"active · T1 alice completed · T2 #support pending head · U1 alice→bob active",
		},
		{
			"unanswered=sender: a queue's offer is the queue's", "set unanswered=sender · " + aliceHasIt + " · transfer alice→#billing · reserve bob · decline bob",
			"active · T1 alice wrapping · T2 #billing pending · U1 alice→#billing active",
		},
		{
			"the setting of the transfer's facts counts", aliceHasIt + " · set unanswered=sender · transfer alice→bob · set unanswered=origin_queue · decline bob",
			"active · T1 alice assigned · T2 bob canceled (declined) · U1 alice→bob failed (declined)",
		},

		{
			"agent_unavailable=wait: the task waits for that agent", "set agent_unavailable=wait · away bob · " + aliceHasIt + " · transfer alice→bob",
			"active · T1 alice wrapping · T2 bob pending · U1 alice→bob active",
		},
		{"agent_unavailable=wait: it is offered when they are back", "set agent_unavailable=wait · away bob · " + aliceHasIt +
			" · transfer alice→bob · reserve bob · accept bob", "active · T1 alice wrapping · T2 bob assigned · U1 alice→bob completed"},
		{"agent_unavailable=wait: what they then decline falls back", "set agent_unavailable=wait · away bob · " + aliceHasIt +
			" · transfer alice→bob · reserve bob · decline bob", "active · T1 alice wrapping · T2 #support pending head · U1 alice→bob active"},
		{
			"agent_unavailable=origin_queue", "set agent_unavailable=origin_queue · away bob · " + aliceHasIt + " · transfer alice→bob",
			"active · T1 alice wrapping · T2 #support pending head · U1 alice→bob active",
		},
		{
			"agent_unavailable matters only for who is away", "set agent_unavailable=origin_queue · " + aliceHasIt + " · transfer alice→bob",
			"active · T1 alice wrapping · T2 bob reserved · U1 alice→bob active",
		},

		{"task_timeout: no agent took the first task", "start · due", "closed · T1 #support canceled (task_timeout)"},
		{"task_timeout counts on while offered", "set task_timeout=100 · start · later 99s · reserve alice · due", "closed · T1 alice canceled (task_timeout)"},
		{
			"task_timeout: the sender still wraps and has it again", aliceHasIt + " · transfer alice→#billing · due",
			"active · T1 alice assigned · T2 #billing canceled (task_timeout) · U1 alice→#billing failed (task_timeout)",
		},
		{
			"task_timeout: the sender has wrapped up", aliceHasIt + " · transfer alice→#billing · wrapup alice · due",
			"closed · T1 alice completed · T2 #billing canceled (task_timeout) · U1 alice→#billing failed (task_timeout)",
		},
		{
			"task_timeout while another agent wraps", aliceHasIt + " · transfer alice→bob · accept bob · transfer bob→#billing · wrapup bob · due",
			"wrapping · T1 alice wrapping · T2 bob completed · T3 #billing canceled (task_timeout) · U1 alice→bob completed · U2 bob→#billing failed (task_timeout)",
		},
		{
			"task_timeout starts anew in another queue", "set task_timeout=100 · start · later 99s · move →#billing · later 99s · expire",
			"active · T1 #billing pending",
		},

		{"wrapup_timeout: the wrapup completes itself", "set wrapup_timeout=30 · " + aliceHasIt + " · end alice · due", "closed · T1 alice completed (wrapup_timeout)"},
		{"wrapup_timeout: a sender's starts when the transfer was accepted", "set wrapup_timeout=30 · " + aliceHasIt +
			" · transfer alice→bob · later 60s · accept bob · due", "active · T1 alice completed (wrapup_timeout) · T2 bob assigned · U1 alice→bob completed"},
		{
			"wrapup_timeout: not while the transfer is active", "set wrapup_timeout=30 · " + aliceHasIt + " · transfer alice→#billing · later 31s · expire",
			"active · T1 alice wrapping · T2 #billing pending · U1 alice→#billing active",
		},
		{
			"wrapup_timeout: a sender's starts when the customer leaves", "set wrapup_timeout=30 · " + aliceHasIt + " · transfer alice→#billing · close · due",
			"closed · T1 alice completed (wrapup_timeout) · T2 #billing canceled (conversation_closed) · U1 alice→#billing failed (conversation_closed)",
		},
		{
			"wrapup_timeout: an agent who has it again is not timed", "set wrapup_timeout=30 · " + aliceHasIt + " · transfer alice→bob · cancel alice · later 1h · expire",
			"active · T1 alice assigned · T2 bob canceled (canceled) · U1 alice→bob failed (canceled)",
		},
		{"wrapup_timeout 0: a wrapup waits for its agent", aliceHasIt + " · end alice · later 1000h · expire", "wrapping · T1 alice wrapping"},
		{
			"the earliest deadline comes first", "set wrapup_timeout=30 · " + aliceHasIt + " · transfer alice→bob · accept bob · transfer bob→carol · due",
			"active · T1 alice completed (wrapup_timeout) · T2 bob wrapping · T3 carol reserved · U1 alice→bob completed · U2 bob→carol active",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.summary, tell(t, test.story).summary())
		})
	}
}

// TestEvents checks the events that the last step sends to the desk, in order.
func TestEvents(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ story, events string }{
		{"start", "task.created task-queue.entered"},
		{"start · reserve alice", "reservation.created"},
		{aliceHasIt, "reservation.accepted"},
		{"start · reserve alice · decline alice", "reservation.rejected"},
		{"start · reserve alice · due", "reservation.timeout"},
		{aliceHasIt + " · transfer alice→bob", "reservation.wrapup task.wrapup task.created task.transfer-initiated reservation.created"},
		{aliceHasIt + " · transfer alice→#billing", "reservation.wrapup task.wrapup task.created task.transfer-initiated task-queue.entered"},
		{aliceHasIt + " · transfer alice→bob · accept bob", "reservation.accepted task.transfer-completed"},
		{aliceHasIt + " · transfer alice→bob · decline bob", "reservation.rejected task.transfer-attempt-failed task-queue.entered"},
		{aliceHasIt + " · transfer alice→bob · due", "reservation.timeout task.transfer-attempt-failed task-queue.entered"},
		{"set unanswered=sender · " + aliceHasIt + " · transfer alice→bob · decline bob", "reservation.rejected task.canceled task.transfer-failed task.updated"},
		{aliceHasIt + " · transfer alice→bob · cancel alice", "reservation.canceled task.canceled task.transfer-canceled task.updated"},
		{
			aliceHasIt + " · transfer alice→bob · wrapup alice · cancel alice",
			"reservation.canceled task.canceled task.transfer-canceled task.created task-queue.entered",
		},
		{aliceHasIt + " · end alice", "reservation.wrapup task.wrapup"},
		{aliceHasIt + " · end alice · wrapup alice", "reservation.completed task.completed"},
		{"start · move →#billing", "task.updated task-queue.entered"},
		{"start · reserve alice · move →bob", "reservation.rescinded task.updated reservation.created"},
		{"start · reserve alice · close", "reservation.canceled task.canceled"},
		{aliceHasIt + " · transfer alice→#billing · close", "task.canceled task.transfer-failed"},
		{"start · due", "task.canceled"},
		{"set wrapup_timeout=30 · " + aliceHasIt + " · end alice · due", "reservation.completed task.completed"},
	} {
		t.Run(test.story, func(t *testing.T) {
			t.Parallel()
			s := tell(t, test.story)
			require.Equal(t, test.events, s.newEvents())
			for i, event := range s.events {
				require.Equal(t, i+1, event.Number, "events are numbered from 1 without gaps")
			}
		})
	}
}

func TestEventsSayWhoAndWhy(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob by=carol · decline bob reason=lunch")
	var offered, rejected conversation.Event
	for _, event := range s.events {
		if event.Name == conversation.EventReservationCreated {
			offered = event
		}
		if event.Name == conversation.EventReservationRejected {
			rejected = event
		}
	}
	require.Equal(t, "bob", offered.Agent)
	require.Equal(t, "carol", offered.By)
	require.Equal(t, s.task(2).SID, offered.Task)
	require.Equal(t, s.transfer(1).SID, offered.Transfer)
	require.Equal(t, monday.Add(120*time.Second), offered.ExpiresAt)
	require.Equal(t, "lunch", rejected.Reason)
	require.Equal(t, conversation.ReservationRejected, rejected.ReservationStatus)
}

func TestEventsCarryWhatProgramsNeedInFields(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob · move →#billing · wrapup alice disposition=sold · cancel alice")
	to, disposition := map[conversation.EventName]conversation.Target{}, ""
	for _, event := range s.events {
		if event.To != (conversation.Target{}) {
			to[event.Name] = event.To
		}
		if event.Name == conversation.EventTaskCompleted {
			disposition = event.Disposition
		}
	}
	bob := conversation.Target{Agent: "bob"}
	require.Equal(t, map[conversation.EventName]conversation.Target{
		conversation.EventTransferInitiated: bob, conversation.EventTransferCanceled: bob,
		conversation.EventTaskUpdated: {Queue: "billing"},
	}, to)
	require.Equal(t, "sold", disposition)
}

func TestAnExpiryDuringTheirWrapupIsExcused(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob · accept bob · transfer bob→alice · due")
	require.True(t, s.last.Events[0].Excused, "alice could not have accepted")
	s = tell(t, aliceHasIt+" · transfer alice→bob · due")
	require.False(t, s.last.Events[0].Excused)
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, story string
		kind        conversation.DeadlineKind
		after       time.Duration
	}{
		{"an offer lasts two minutes", "start · reserve alice", conversation.DeadlineReservation, 120 * time.Second},
		{"or for as long as the setting says", "set reservation_timeout=15 · start · reserve alice", conversation.DeadlineReservation, 15 * time.Second},
		{"a task waits for a day", "start", conversation.DeadlineTask, 24 * time.Hour},
		{"an offer that is declined doesn't start the day anew", "start · later 1m · reserve alice · decline alice", conversation.DeadlineTask, 24 * time.Hour},
		{"falling back to the queue does", aliceHasIt + " · transfer alice→bob · later 1m · decline bob", conversation.DeadlineTask, 24*time.Hour + time.Minute},
		{"a wrapup runs out", "set wrapup_timeout=30 · " + aliceHasIt + " · later 1m · end alice", conversation.DeadlineWrapup, 90 * time.Second},
		{"an assigned task has no deadline", aliceHasIt, "", 0},
		{"nor has an untimed wrapup", aliceHasIt + " · end alice", "", 0},
		{"nor a closed conversation", "set wrapup_timeout=30 · " + aliceHasIt + " · end alice · wrapup alice", "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			deadline, ok := tell(t, test.story).state.Deadline()
			require.Equal(t, test.kind != "", ok)
			if ok {
				require.Equal(t, test.kind, deadline.Kind)
				require.Equal(t, test.after, deadline.At.Sub(monday))
			}
		})
	}
}

func TestAnAcceptBeforeTheTimerWins(t *testing.T) {
	t.Parallel()
	require.Equal(t, "active · T1 alice assigned", tell(t, "start · reserve alice · later 10m · accept alice · expire").summary())
}

func TestPlacementNumbers(t *testing.T) {
	t.Parallel()
	s := tell(t, "start · reserve alice · decline alice")
	require.Equal(t, 2, s.task(1).PendingSeq, "each time it becomes pending the task gets the next number")

	s.then("reserve bob placement=1")
	require.True(t, s.last.Stale, "the desk has to release its old match")
	require.False(t, s.last.Changed)
	require.Equal(t, "active · T1 #support pending", s.summary())

	s.then("reserve bob placement=2 reservation=WR22222222222222222222222222222222")
	require.Equal(t, "WR22222222222222222222222222222222", s.task(1).Reservation.SID, "the desk's own SID")
	s.then("reserve bob task=T1 placement=2 reservation=WR22222222222222222222222222222222")
	require.False(t, s.last.Stale, "the same match again is not to be released")
	s.then("reserve alice task=T1 placement=2 reservation=WR33333333333333333333333333333333")
	require.True(t, s.last.Stale)
	s.then("reserve alice task=T0 placement=1")
	require.True(t, s.last.Stale, "a match of a task that isn't here")
}

func TestATransferKeepsPriorityAndPlaceInTheLine(t *testing.T) {
	t.Parallel()
	s := tell(t, "start priority=5 · reserve alice · accept alice · later 10m · transfer alice→#billing")
	require.Equal(t, 5, s.task(2).Priority)
	require.Equal(t, monday, s.task(2).QueuedAt, "the customer has waited since then")
	require.Equal(t, s.task(1).SID, s.task(2).Previous)
	require.False(t, s.task(2).Head)

	s.then("wrapup alice · cancel alice")
	require.Equal(t, 5, s.task(3).Priority)
	require.Equal(t, monday, s.task(3).QueuedAt)
	require.Equal(t, s.task(2).SID, s.task(3).Previous)
	require.Empty(t, s.task(3).Transfer)
	require.Equal(t, s.task(2).Attributes, s.task(3).Attributes)
}

func TestNotes(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob note=Invoice17")
	note := s.notes[0]
	require.Equal(t, conversation.Note{
		SID: s.transfer(1).Note, Kind: conversation.NoteTransfer, Task: s.task(1).SID, Transfer: s.transfer(1).SID,
		Author: "alice", Text: "Invoice17", CreatedAt: monday,
	}, note)
	require.True(t, conversation.IsSID(conversation.PrefixNote, note.SID))
	require.NotContains(t, encoded(t, s.state), "Invoice17", "a note's text is at the desk")

	s.then("decline bob · reserve carol · accept carol")
	require.Equal(t, note.SID, s.transfer(1).Note, "the agent who gets the conversation later sees the note")

	s.then("wrapup alice note=Done")
	require.Equal(t, s.notes[1].SID, s.task(1).WrapupNote)
	require.Equal(t, conversation.NoteWrapup, s.notes[1].Kind)

	s = tell(t, aliceHasIt+" · transfer alice→bob note="+storedNote)
	require.Equal(t, storedNote, s.transfer(1).Note, "a note stored before is referred to")
	require.Empty(t, s.notes)
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob")
	require.Equal(t, s.task(2), s.last.Outcome.Task)
	require.Equal(t, s.transfer(1), s.last.Outcome.Transfer)
	require.Equal(t, conversation.ConversationActive, s.last.Outcome.ConversationStatus)
	before := s.last.Outcome
	s.then("accept bob")
	require.Equal(t, conversation.TaskReserved, before.Task.Status, "an answer under way doesn't change with the state")
	require.Equal(t, conversation.TransferActive, before.Transfer.Status)
	require.Equal(t, conversation.TransferCompleted, s.last.Outcome.Transfer.Status)
	s.then("transfer bob→alice · cancel bob")
	require.Equal(t, s.task(2).SID, s.last.Outcome.Task.SID, "who takes a transfer back gets their own task")
}

func TestFactsAreAskedForWhatTheDeskKnows(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt)
	for _, test := range []struct {
		command conversation.Command
		want    *conversation.FactsQuery
	}{
		{
			conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}, Note: storedNote},
			&conversation.FactsQuery{Conversation: storyConversation, Command: conversation.CommandTransfer, Agent: "bob", Note: storedNote},
		},
		{
			conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}, Note: "Hi"},
			&conversation.FactsQuery{Conversation: storyConversation, Command: conversation.CommandTransfer, Queue: "billing"},
		},
		{conversation.EndCommand{Agent: "alice"}, nil},
		{conversation.CloseCommand{}, nil},
	} {
		query, err := s.state.Ask(test.command, s.now)
		require.NoError(t, err)
		require.Equal(t, test.want, query)
	}
	query, err := tell(t, "start").state.Ask(conversation.MoveCommand{To: conversation.Target{Agent: "bob"}}, monday)
	require.NoError(t, err)
	require.Equal(t, &conversation.FactsQuery{Conversation: storyConversation, Command: conversation.CommandMove, Agent: "bob"}, query)
}

func TestFactsThatWereNotAskedForChangeNoSetting(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt)
	settings := s.state.Settings
	_, err := s.state.Apply(conversation.EndCommand{Agent: "alice"}, &conversation.Facts{}, s.now)
	require.NoError(t, err)
	require.Equal(t, settings, s.state.Settings)
}

func TestSnapshotForTheDesk(t *testing.T) {
	t.Parallel()
	s := tell(t, aliceHasIt+" · transfer alice→bob · accept bob · wrapup alice")
	snapshot := s.state.Snapshot(s.last.Events, s.last.Notes)
	require.Len(t, snapshot.Tasks, 2, "the live task, and the one that ended just now")
	require.Empty(t, snapshot.Transfers)
	s.then("end bob")
	snapshot = s.state.Snapshot(s.last.Events, nil)
	require.Len(t, snapshot.Tasks, 1)
	require.Equal(t, s.state.Revision, snapshot.Revision)
	require.Equal(t, conversation.ConversationWrapping, snapshot.Status)
}

func TestSIDs(t *testing.T) {
	t.Parallel()
	one, other := tell(t, aliceHasIt+" · transfer alice→bob note=Hi"), tell(t, aliceHasIt+" · transfer alice→bob note=Hi")
	require.Equal(t, encoded(t, one.state), encoded(t, other.state), "the same in every replay")
	require.True(t, conversation.IsSID(conversation.PrefixTask, one.task(1).SID))
	require.True(t, conversation.IsSID(conversation.PrefixTransfer, one.transfer(1).SID))
	require.True(t, conversation.IsSID(conversation.PrefixReservation, one.task(1).Reservation.SID))
	require.False(t, conversation.IsSID(conversation.PrefixTask, "WT123"))
	require.False(t, conversation.IsSID(conversation.PrefixTask, one.transfer(1).SID))
	require.Equal(t, "KD"+storyConversation[2:], conversation.SameSID(conversation.PrefixInteraction, storyConversation))
	require.True(t, conversation.IsSID(conversation.PrefixAgent, conversation.AgentSID("bob")))
	require.NotEqual(t, conversation.AgentSID("bob")[2:], conversation.QueueSID("bob")[2:])

	elsewhere := tell(t, "start conversation=CHffffffffffffffffffffffffffffffff")
	require.NotEqual(t, one.task(1).SID, elsewhere.task(1).SID, "unlike those of any other conversation")
}

func TestDefaultSettings(t *testing.T) {
	t.Parallel()
	require.Equal(t, conversation.Settings{
		ReservationTimeout: 120, TaskTimeout: 86400, ReofferAfter: 60, TimeoutActivity: true,
		AgentUnavailable: "refuse", Unanswered: "origin_queue",
	}, conversation.DefaultSettings())
}

func TestListsAreNeverNull(t *testing.T) {
	t.Parallel()
	require.NotContains(t, encoded(t, tell(t, "start").state), "null")
}

func TestDiagramsShowEveryStatus(t *testing.T) {
	t.Parallel()
	diagrams := conversation.Diagrams()
	require.Len(t, diagrams, 3)
	for _, line := range []string{"[*] --> pending: start, transfer, cancel", "wrapping --> completed: wrapup, expire", "canceled --> [*]"} {
		require.Contains(t, diagrams[0].Mermaid, line)
	}
	require.Contains(t, diagrams[1].Mermaid, "active --> completed: accept")
	require.Contains(t, diagrams[2].Mermaid, "wrapping --> closed")
}

func TestTheReasonOfACloseIsKept(t *testing.T) {
	t.Parallel()
	require.Equal(t, "spam", tell(t, aliceHasIt+" · close reason=spam").state.CloseReason)
}
