package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func TestWhatTheDeskSaysRefusesATransfer(t *testing.T) {
	t.Parallel()
	const storedNote = "KQ0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name    string
		desk    func(*scriptedDesk)
		channel conversation.Channel
		command conversation.TransferCommand
		code    conversation.Code
		details conversation.Details
	}{
		{
			"transfers are off", func(d *scriptedDesk) { d.settings.MessagingTransfers = false }, "",
			conversation.TransferCommand{To: toAgent("bob")},
			conversation.CodeMessagingTransfersOff,
			conversation.Details{},
		},
		{
			"notes are off", func(d *scriptedDesk) { d.settings.TransferNotes = false }, "",
			conversation.TransferCommand{To: toAgent("bob"), Note: "knows the order"},
			conversation.CodeTransferNotesOff,
			conversation.Details{},
		},
		{
			"a plugin transfers conversations", func(d *scriptedDesk) { d.plugin = "plugin-chat-transfer" }, "",
			conversation.TransferCommand{To: toAgent("bob")},
			conversation.CodePluginConflict,
			conversation.Details{Plugin: "plugin-chat-transfer"},
		},
		{
			"a warm transfer", nil, "",
			conversation.TransferCommand{To: toAgent("bob"), Mode: conversation.ModeWarm},
			conversation.CodeModeNotAvailable,
			conversation.Details{},
		},
		{
			"an email", nil, conversation.ChannelEmail,
			conversation.TransferCommand{To: toAgent("bob")},
			conversation.CodeChannelNotTransferable,
			conversation.Details{},
		},
		{
			"to a routing workflow", nil, "",
			conversation.TransferCommand{To: conversation.Target{Workflow: "WW"}},
			conversation.CodeTargetNotAvailable,
			conversation.Details{},
		},
		{
			"to an unknown agent", nil, "",
			conversation.TransferCommand{To: toAgent("zed")},
			conversation.CodeUnknownAgent,
			conversation.Details{Agent: "zed"},
		},
		{
			"to an agent who is away", func(d *scriptedDesk) { d.agents["bob"] = false }, "",
			conversation.TransferCommand{To: toAgent("bob")},
			conversation.CodeAgentUnavailable,
			conversation.Details{Agent: "bob"},
		},
		{
			"to an unknown queue", nil, "",
			conversation.TransferCommand{To: toQueue("nowhere")},
			conversation.CodeUnknownQueue,
			conversation.Details{Queue: "nowhere"},
		},
		{
			"to a queue without agents", nil, "",
			conversation.TransferCommand{To: toQueue("empty")},
			conversation.CodeQueueEmpty,
			conversation.Details{Queue: "empty"},
		},
		{
			"with a note the desk doesn't have", nil, "",
			conversation.TransferCommand{To: toAgent("bob"), Note: storedNote},
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "note"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			if test.desk != nil {
				test.desk(s.desk)
			}
			if test.channel != "" {
				start := startCommand()
				start.Channel = test.channel
				s.start = start
			}
			test.command.From = "alice"
			var (
				before   conversation.Record
				sent     int
				answered *answer
			)
			s.aliceAccepts()
			s.step(func() {
				before, sent = s.record(), len(s.desk.snapshots)
				answered = s.update("transfer", test.command)
			})
			s.step(func() {
				require.Equal(t, test.details, answered.refused(test.code))
				require.True(t, answered.accepted, "only the desk knows, so the loop decides")
				s.signal("transfer", test.command)
			})
			s.step(func() {
				require.Equal(t, test.code, s.lastRefusal().Code)
				require.Equal(t, "transfer", s.lastRefusal().Command)
				after := s.record()
				require.Equal(t, jsonOf(before.State), jsonOf(after.State), "a refused command changes nothing")
				require.Len(t, s.desk.snapshots, sent, "and there is nothing to tell the desk")
			})
			s.play()
		})
	}
}

func TestSettingsAreThoseOfTheMomentOfTheTransfer(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.MessagingTransfers, s.desk.settings.TransferNotes = false, false
	command := conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "knows the order"}
	var off, withNote, on *answer
	s.aliceAccepts()
	s.step(func() { off = s.update("transfer", command) })
	s.step(func() {
		off.refused(conversation.CodeMessagingTransfersOff)
		s.desk.settings.MessagingTransfers = true
		withNote = s.update("transfer", command)
	})
	s.step(func() {
		withNote.refused(conversation.CodeTransferNotesOff)
		s.desk.settings.TransferNotes, s.desk.settings.ReservationTimeout = true, 7
		on = s.update("transfer", command)
	})
	s.step(func() {
		outcome := on.succeeded()
		require.Equal(t, conversation.TransferActive, outcome.Transfer.Status)
		require.Equal(t, "bob", outcome.Task.Agent)
		require.Equal(t, conversation.ConversationActive, outcome.ConversationStatus)
		require.Equal(t, outcome.Task.Reservation.CreatedAt.Add(7*time.Second), outcome.Task.Reservation.ExpiresAt)
		require.Len(t, s.desk.left, 1, "the note is at the desk with the offer")
		require.Equal(t, outcome.Transfer.Note, s.desk.left[0].SID)
		require.Equal(t, "knows the order", s.desk.left[0].Text)
	})
	s.play()
}

func TestANoteStoredBeforeStandsForItself(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	const stored = "KQ0123456789abcdef0123456789abcdef"
	s.desk.notes = []string{stored}
	var answered *answer
	s.aliceAccepts()
	s.step(func() {
		answered = s.update("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: stored})
	})
	s.step(func() {
		require.Equal(t, stored, answered.succeeded().Transfer.Note)
		require.Empty(t, s.desk.left, "its text never came into the history")
	})
	s.play()
}

func TestATransferToAnAgentWhoIsAway(t *testing.T) {
	t.Parallel()
	t.Run("waits for them", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.agents["bob"], s.desk.settings.AgentUnavailable = false, conversation.AgentUnavailableWait
		s.aliceAccepts()
		s.transfers("alice", toAgent("bob"))
		s.after(time.Hour, func() {
			require.Equal(t, conversation.TaskPending, s.task(1).Status)
			require.Equal(t, "bob", s.task(1).Agent)
			require.True(t, s.task(1).Direct)
			// He becomes available again, and the desk matches him with the task.
			s.signal("reserve", conversation.ReserveCommand{Task: s.task(1).SID, Agent: "bob", PendingSeq: s.task(1).PendingSeq})
		})
		s.step(func() {
			require.True(t, s.task(1).OfferedTo("bob"))
			s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
		})
		s.step(func() { require.Equal(t, "bob", s.transfer(0).AcceptedBy) })
		s.play()
	})
	t.Run("goes to the origin queue", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.agents["bob"], s.desk.settings.AgentUnavailable = false, conversation.AgentUnavailableOriginQueue
		s.aliceAccepts()
		s.transfers("alice", toAgent("bob"))
		s.step(func() {
			require.True(t, s.task(1).OfferedTo("dave"), "alice has just passed it on, and dave is in her queue")
			require.Equal(t, "support", s.task(1).Queue)
			require.True(t, s.task(1).Head)
		})
		s.play()
	})
	t.Run("a move is refused likewise", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.agents["bob"] = false
		var answered *answer
		s.step(func() { answered = s.update("move", conversation.MoveCommand{To: toAgent("bob")}) })
		s.step(func() {
			answered.refused(conversation.CodeAgentUnavailable)
			require.True(t, s.task(0).OfferedTo("alice"), "the offer is open")
		})
		s.play()
	})
}

func TestAMoveNeedsNoSwitch(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.MessagingTransfers, s.desk.settings.TransferNotes = false, false
	var answered *answer
	s.step(func() {
		answered = s.update("move", conversation.MoveCommand{To: toQueue("billing"), Meta: conversation.Meta{By: "carol"}})
	})
	s.step(func() {
		require.Equal(t, "billing", answered.succeeded().Task.Queue)
		require.True(t, s.task(0).OfferedTo("bob"))
	})
	s.play()
}

func TestACustomerMayWriteToAQueueNobodyWorksOn(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	start := startCommand()
	start.Queue = "nobody-yet"
	s.start = start
	s.after(time.Hour, func() { require.Equal(t, conversation.TaskPending, s.task(0).Status) })
	s.play()
}
