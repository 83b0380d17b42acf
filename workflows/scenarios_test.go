package workflows_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/workflows"
)

// scenario is something that can happen to a conversation, with a recorded history.
type scenario struct {
	name string
	play func(s *realEnvironment)
	// runs are the names of the histories of a scenario with several runs. If empty, there is one with the
	// scenario's name.
	runs []string
	// continueAfter is the number of history events after which the server suggests to continue as new.
	continueAfter int
}

// histories returns the names of the scenario's histories.
func (s scenario) histories() []string {
	if len(s.runs) == 0 {
		return []string{s.name}
	}
	return s.runs
}

// scenarios are all scenarios with histories: every command, every kind of refusal, every fallback and timeout, and
// what can happen to the workflow itself.
//
// Two codes have none: already_participating and transfer_in_progress cannot occur before there are warm transfers.
// Until then only one agent has a conversation at a time, and never the sender of an active transfer.
var scenarios = slices.Concat(commandScenarios, refusalScenarios, timeoutScenarios, workflowScenarios, fewerTimersScenarios)

var commandScenarios = []scenario{
	{name: "accept_end_wrapup", play: acceptEndWrapup},
	{name: "transfer_to_agent", play: transferToAgent},
	// With dated SIDs. The conversation is asked to send its whole state to the desk.
	{name: "resync", play: func(s *realEnvironment) {
		s.opened()
		require.NoError(s, s.baton.Resync(s.Context(), s.sid))
		s.settled()
		s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "Was charged twice."})
		s.do(conversation.AcceptCommand{Agent: "bob"})
		s.do(conversation.WrapupCommand{Agent: "alice"})
		s.do(conversation.CloseCommand{})
		s.do(conversation.WrapupCommand{Agent: "bob"})
		s.completed()
	}},
	// Recorded when every offer was sent during the desk's delay.
	{name: "transfer_to_agent_at_once", play: func(s *realEnvironment) {
		s.opened()
		s.passedToAndFro(func() {})
		s.finished()
	}},
	{name: "transfers_in_a_row", play: func(s *realEnvironment) {
		s.opened()
		s.passedToAndFro(func() {})
		s.finished()
	}},
	{name: "transfers_by_hand_while_the_desk_rests", play: func(s *realEnvironment) {
		s.opened()
		s.passedToAndFro(s.takesTheirTime)
		s.finished()
	}},
	{name: "transfer_to_queue", play: transferToQueue},
	{name: "transfer_with_a_stored_note", play: func(s *realEnvironment) {
		s.opened()
		require.NoError(s, routing.AwaitRevision(s.Context(), s.desk, s.sid, s.state().Revision))
		note, err := records.StoreNote(s.Context(), s.desk, s.sid, "alice", "Was charged twice.")
		require.NoError(s, err)
		s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: note})
		s.accepted("bob")
		s.finished()
	}},
	{name: "decline_in_a_queue", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.presence("dave", desk.PresenceAvailable)
		s.do(conversation.DeclineCommand{Agent: "alice", Reason: "at lunch"})
		s.accepted("dave")
		s.finished()
	}},
	{name: "decline_of_a_transfer", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.presence("dave", desk.PresenceAvailable)
		s.do(conversation.DeclineCommand{Agent: "bob"})
		s.accepted("dave")
		s.finished()
	}},
	{name: "decline_back_to_sender", play: func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) { settings.Unanswered = conversation.UnansweredSender })
		s.opened()
		s.transferred("alice", toAgent("bob"))
		outcome := s.do(conversation.DeclineCommand{Agent: "bob"})
		require.Equal(s, conversation.TransferFailed, outcome.Transfer.Status)
		s.finished()
	}},
	{name: "cancel_while_the_sender_wraps_up", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toQueue("billing"))
		s.offered("bob")
		outcome := s.do(conversation.CancelCommand{Agent: "alice"})
		require.Equal(s, conversation.TaskAssigned, outcome.Task.Status)
		s.finished()
	}},
	{name: "cancel_after_the_senders_wrapup", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.wrappedUp("alice")
		s.do(conversation.CancelCommand{Agent: "alice"})
		s.accepted("alice")
		s.finished()
	}},
	{name: "move_to_a_queue", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.do(conversation.MoveCommand{To: toQueue("billing"), Meta: conversation.Meta{By: "carol"}})
		s.accepted("bob")
		s.finished()
	}},
	{name: "move_to_an_agent", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.do(conversation.MoveCommand{To: toAgent("carol"), Meta: conversation.Meta{By: "carol"}})
		s.accepted("carol")
		s.finished()
	}},
	{name: "close_while_it_waits", play: func(s *realEnvironment) {
		s.presence("alice", desk.PresenceOffline)
		s.start()
		s.await(func(r conversation.Record) bool { return len(r.Tasks) == 1 })
		s.do(conversation.CloseCommand{Reason: "the customer has left"})
		s.completed()
	}},
	{name: "close_during_a_transfer", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.do(conversation.CloseCommand{Reason: "the customer has left"})
		s.finished()
	}},
	{name: "reserve_when_an_agent_comes", play: func(s *realEnvironment) {
		s.presence("alice", desk.PresenceOffline)
		s.start()
		s.await(func(r conversation.Record) bool { return len(r.Tasks) == 1 })
		s.presence("alice", desk.PresenceAvailable)
		s.accepted("alice")
		s.finished()
	}},
	{name: "reserve_claimed_by_hand", play: func(s *realEnvironment) {
		s.presence("alice", desk.PresenceOffline)
		s.start()
		record := s.await(func(r conversation.Record) bool { return len(r.Tasks) == 1 })
		require.NoError(s, routing.AwaitRevision(s.Context(), s.desk, s.sid, record.Revision))
		command, err := routing.Claim(s.Context(), s.desk, s.sid, "carol")
		require.NoError(s, err)
		s.signal(command)
		s.accepted("carol")
		s.finished()
	}},
	{name: "reserve_that_comes_too_late", play: func(s *realEnvironment) {
		s.opened()
		record := s.state()
		s.signal(conversation.ReserveCommand{Task: record.Tasks[0].SID, Agent: "dave", PendingSeq: 1})
		s.finished()
	}},
	{name: "commands_as_signals", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.signal(conversation.AcceptCommand{Agent: "alice"})
		s.signal(conversation.TransferCommand{From: "alice", To: toAgent("bob")})
		s.signal(conversation.CancelCommand{Agent: "alice"})
		s.signal(conversation.TransferCommand{From: "alice", To: toAgent("carol"), Note: "Was charged twice."})
		s.signal(conversation.DeclineCommand{Agent: "carol"})
		s.signal(conversation.MoveCommand{To: toAgent("bob")})
		s.signal(conversation.AcceptCommand{Agent: "bob"})
		s.signal(conversation.WrapupCommand{Agent: "alice"})
		s.signal(conversation.EndCommand{Agent: "bob"})
		s.signal(conversation.CloseCommand{})
		s.signal(conversation.WrapupCommand{Agent: "bob"})
		s.completed()
		require.Empty(s, s.state().Refusals)
	}},
	{name: "commands_sent_again", play: func(s *realEnvironment) {
		once := conversation.Meta{CommandID: "once"}
		s.opened()
		first := s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Meta: once})
		s.accepted("bob")
		again := s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Meta: once})
		require.Equal(s, first.Transfer.SID, again.Transfer.SID)
		s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("carol"), Meta: once}, conversation.CodeInvalidPayload)
		s.do(conversation.AcceptCommand{Agent: "bob"})
		s.wrappedUp("alice")
		s.wrappedUp("alice")
		s.finished()
	}},
	{name: "wrapup_before_accept", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.accepted("bob")
		s.transferred("bob", toAgent("alice"))
		s.signalRefused(conversation.AcceptCommand{Agent: "alice"}, conversation.CodeWrapupPending)
		s.refused(conversation.AcceptCommand{Agent: "alice"}, conversation.CodeWrapupPending)
		s.wrappedUp("alice")
		s.do(conversation.AcceptCommand{Agent: "alice"})
		s.finished()
	}},
	{name: "updates_at_once", play: func(s *realEnvironment) {
		// Of updates that arrive together, all but the first pass the validator, and the loop decides.
		s.opened()
		s.transferred("alice", toAgent("bob"))
		for range 20 {
			s.atOnce(
				conversation.AcceptCommand{Agent: "bob"}, conversation.AcceptCommand{Agent: "carol"},
				conversation.AcceptCommand{Agent: "dave"}, conversation.WrapupCommand{Agent: "carol"},
				conversation.WrapupCommand{Agent: "alice"}, conversation.DeclineCommand{Agent: "carol"},
			)
			if len(refusedIn(s.runs()[0])) > 0 {
				break
			}
		}
		require.NotEmpty(s, refusedIn(s.runs()[0]), "the loop has refused none")
		s.finished()
	}},
}

// acceptEndWrapup is a conversation that is not transferred.
func acceptEndWrapup(s *realEnvironment) {
	s.Helper()
	s.opened()
	s.do(conversation.EndCommand{Agent: "alice"})
	s.do(conversation.WrapupCommand{Agent: "alice", Disposition: "solved", Note: "Sent a new one."})
	s.completed()
}

// transferToQueue is a conversation that is transferred to a queue.
func transferToQueue(s *realEnvironment) {
	s.Helper()
	s.opened()
	s.transferred("alice", toQueue("billing"))
	s.accepted("bob")
	s.wrappedUp("alice")
	s.finished()
}

// transferToAgent is a conversation that is transferred to an agent. Each command has a snapshot of its own, so that
// the history is easy to read.
func transferToAgent(s *realEnvironment) {
	s.Helper()
	s.start()
	s.offered("alice")
	for _, command := range []conversation.Command{
		conversation.AcceptCommand{Agent: "alice"},
		conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "Was charged twice."},
		conversation.AcceptCommand{Agent: "bob"},
		conversation.WrapupCommand{Agent: "alice"},
		conversation.CloseCommand{},
		conversation.WrapupCommand{Agent: "bob"},
	} {
		s.settled()
		s.do(command)
	}
	s.completed()
}

// settled waits until the desk has been sent everything, and no command is in progress.
func (s *realEnvironment) settled() {
	s.Helper()
	require.Eventually(s, func() bool {
		described, err := s.temporal.DescribeWorkflowExecution(s.Context(), workflows.ID(s.sid), "")
		return err == nil && len(described.GetPendingActivities()) == 0 && described.GetPendingWorkflowTask() == nil
	}, 30*time.Second, 10*time.Millisecond)
}

// passedToAndFro makes alice transfer the conversation to bob and get it back, with a pause before each command.
func (s *realEnvironment) passedToAndFro(pause func()) {
	s.Helper()
	for _, command := range []conversation.Command{
		conversation.TransferCommand{From: "alice", To: toAgent("bob")},
		conversation.AcceptCommand{Agent: "bob"},
		conversation.WrapupCommand{Agent: "alice"},
		conversation.TransferCommand{From: "bob", To: toAgent("alice")},
		conversation.AcceptCommand{Agent: "alice"},
	} {
		pause()
		s.do(command)
	}
}

// takesTheirTime pauses for 200 ms, so that the workflow takes the next command for a person's and not for a
// program's. There is no condition to wait for.
func (s *realEnvironment) takesTheirTime() {
	s.Helper()
	<-time.After(200 * time.Millisecond)
}

// atOnce sends updates together. Their order decides whether one is refused.
func (s *realEnvironment) atOnce(commands ...conversation.Command) {
	s.Helper()
	var together sync.WaitGroup
	for _, command := range commands {
		together.Go(func() {
			_, err := s.baton.Send(s.Context(), s.sid, command)
			if err != nil && conversation.CodeOf(err) == "" {
				s.Errorf("%s: %v", command.Name(), err)
			}
		})
	}
	together.Wait()
}

// refusedTransfer is a transfer that is refused because of the desk's facts: as a signal, and as an update, which
// the loop refuses.
func refusedTransfer(code conversation.Code, prepare func(s *realEnvironment), command conversation.TransferCommand) scenario {
	return scenario{name: "refused_" + string(code), play: func(s *realEnvironment) {
		s.opened()
		prepare(s)
		command.From = "alice"
		s.signalRefused(command, code)
		s.refused(command, code)
		require.Equal(s, []conversation.Code{code}, refusedIn(s.runs()[0]))
		s.finished()
	}}
}

func asIs(*realEnvironment) {}

const noSuchTask = "WT00000000000000000000000000000000"

var refusalScenarios = []scenario{
	{name: "refused_invalid_payload", play: func(s *realEnvironment) {
		s.opened()
		for i, payload := range wrongPayloads {
			s.raw("accept", &commonpb.Payloads{Payloads: payload.payload})
			s.awaitRefusals(i + 1)
		}
		for _, name := range []string{"acept", "start", "expire"} {
			s.raw(name, &commonpb.Payloads{Payloads: []*commonpb.Payload{rawJSON(`{"agent":"alice"}`)}})
		}
		s.await(func(r conversation.Record) bool { return r.Refusals[len(r.Refusals)-1].Command == "expire" })
		for _, refusal := range s.state().Refusals {
			require.Equal(s, conversation.CodeInvalidPayload, refusal.Code)
		}
		s.finished()
	}},
	{name: "refused_conversation_closed", play: func(s *realEnvironment) {
		s.opened()
		s.do(conversation.EndCommand{Agent: "alice"})
		s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("bob")}, conversation.CodeConversationClosed)
		s.signalRefused(conversation.AcceptCommand{Agent: "bob"}, conversation.CodeConversationClosed)
		s.finished()
	}},
	refusedTransfer(conversation.CodeMessagingTransfersOff, func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) { settings.MessagingTransfers = false })
	}, conversation.TransferCommand{To: toAgent("bob")}),
	refusedTransfer(conversation.CodeTransferNotesOff, func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) { settings.TransferNotes = false })
	}, conversation.TransferCommand{To: toAgent("bob"), Note: "Was charged twice."}),
	refusedTransfer(conversation.CodePluginConflict, func(s *realEnvironment) {
		require.NoError(s, desk.SetPlugin(s.Context(), s.desk, desk.Plugin{Name: "chat-transfer", Version: "1.0.0", Enabled: true, ConversationTransfer: true}))
	}, conversation.TransferCommand{To: toAgent("bob")}),
	refusedTransfer(conversation.CodeModeNotAvailable, asIs, conversation.TransferCommand{To: toAgent("bob"), Mode: conversation.ModeWarm}),
	{name: "refused_channel_not_transferable", play: func(s *realEnvironment) {
		s.startWith(func(c *conversation.StartCommand) { c.Channel = conversation.ChannelEmail })
		s.accepted("alice")
		s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("bob")}, conversation.CodeChannelNotTransferable)
		s.refused(conversation.TransferCommand{From: "alice", To: toAgent("bob")}, conversation.CodeChannelNotTransferable)
		s.finished()
	}},
	refusedTransfer(conversation.CodeTargetNotAvailable, asIs, conversation.TransferCommand{To: conversation.Target{Workflow: "routing"}}),
	{name: "refused_no_such_task", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.WrapupCommand{Agent: "alice", Task: noSuchTask}, conversation.CodeNoSuchTask)
		s.signalRefused(conversation.MoveCommand{Task: noSuchTask, To: toAgent("bob")}, conversation.CodeNoSuchTask)
		s.finished()
	}},
	{name: "refused_not_your_task", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.EndCommand{Agent: "bob"}, conversation.CodeNotYourTask)
		s.transferred("alice", toAgent("bob"))
		s.signalRefused(conversation.CancelCommand{Agent: "bob"}, conversation.CodeNotYourTask)
		s.finished()
	}},
	{name: "refused_task_not_assigned", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("bob")}, conversation.CodeTaskNotAssigned)
		s.do(conversation.AcceptCommand{Agent: "alice"})
		s.transferred("alice", toAgent("bob"))
		s.signalRefused(conversation.EndCommand{Agent: "alice"}, conversation.CodeTaskNotAssigned)
		s.finished()
	}},
	{name: "refused_not_wrapping", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.WrapupCommand{Agent: "alice"}, conversation.CodeNotWrapping)
		s.finished()
	}},
	{name: "refused_wrapup_pending", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.accepted("bob")
		s.transferred("bob", toAgent("alice"))
		s.signalRefused(conversation.AcceptCommand{Agent: "alice"}, conversation.CodeWrapupPending)
		s.finished()
	}},
	{name: "refused_no_reservation", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.AcceptCommand{Agent: "bob"}, conversation.CodeNoReservation)
		s.signalRefused(conversation.DeclineCommand{Agent: "alice"}, conversation.CodeNoReservation)
		s.signalRefused(conversation.MoveCommand{To: toAgent("bob")}, conversation.CodeNoReservation)
		s.finished()
	}},
	refusedTransfer(conversation.CodeUnknownAgent, asIs, conversation.TransferCommand{To: toAgent("nobody")}),
	refusedTransfer(conversation.CodeUnknownQueue, asIs, conversation.TransferCommand{To: toQueue("nowhere")}),
	refusedTransfer(conversation.CodeQueueEmpty, asIs, conversation.TransferCommand{To: toQueue("empty")}),
	refusedTransfer(conversation.CodeAgentUnavailable, func(s *realEnvironment) { s.presence("bob", desk.PresenceBreak) },
		conversation.TransferCommand{To: toAgent("bob")}),
	{name: "refused_transfer_to_self", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("alice")}, conversation.CodeTransferToSelf)
		s.finished()
	}},
	{name: "refused_no_active_transfer", play: func(s *realEnvironment) {
		s.opened()
		s.signalRefused(conversation.CancelCommand{Agent: "alice"}, conversation.CodeNoActiveTransfer)
		s.finished()
	}},
	refusedTransfer(conversation.CodeDeskUnavailable, func(s *realEnvironment) { s.away.queries.Store(true) },
		conversation.TransferCommand{To: toAgent("bob")}),
	{name: "refused_move", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		for _, refused := range []struct {
			to   conversation.Target
			code conversation.Code
		}{
			{toQueue("nowhere"), conversation.CodeUnknownQueue},
			{toQueue("empty"), conversation.CodeQueueEmpty},
			{toAgent("nobody"), conversation.CodeUnknownAgent},
			{toAgent("dave"), conversation.CodeAgentUnavailable},
			{conversation.Target{Workflow: "routing"}, conversation.CodeTargetNotAvailable},
		} {
			s.signalRefused(conversation.MoveCommand{To: refused.to}, refused.code)
		}
		s.away.queries.Store(true)
		s.refused(conversation.MoveCommand{To: toQueue("billing")}, conversation.CodeDeskUnavailable)
		s.finished()
	}},
	{name: "refused_start_unknown_queue", play: func(s *realEnvironment) {
		s.startWith(func(c *conversation.StartCommand) { c.Queue = "nowhere" })
		s.failed(conversation.CodeUnknownQueue)
	}},
	{name: "refused_start_unknown_channel", play: func(s *realEnvironment) {
		s.startWith(func(c *conversation.StartCommand) { c.Channel = "fax" })
		s.failed(conversation.CodeInvalidPayload)
	}},
	{name: "refused_start_with_an_update", play: func(s *realEnvironment) {
		// The update waits for the result of the start, whether the desk's facts or the rules refuse it.
		require.Equal(s, conversation.CodeUnknownQueue, codeOf(s.startWithAccept("nowhere")))
		s.failed(conversation.CodeUnknownQueue)
	}},
	{name: "refused_start_at_once_with_an_update", play: func(s *realEnvironment) {
		require.Equal(s, conversation.CodeInvalidPayload, codeOf(s.startWithAccept("")))
		s.failed(conversation.CodeInvalidPayload)
	}},
	{name: "refused_start_extra_argument", play: func(s *realEnvironment) {
		start := map[string]string{"channel": "web", "queue": "support"}
		_, err := s.temporal.ExecuteWorkflow(s.Context(), client.StartWorkflowOptions{
			ID: workflows.ID(s.sid), TaskQueue: workflows.TaskQueue,
		}, workflows.Type, start, map[string]string{"status": "closed"})
		require.NoError(s, err)
		s.failed(conversation.CodeInvalidPayload)
	}},
}

// startWithAccept starts the conversation in the queue, and sends the update accept in the same request.
func (s *realEnvironment) startWithAccept(queue string) error {
	s.Helper()
	start := conversation.StartCommand{Conversation: s.sid, Channel: conversation.ChannelWeb, Queue: queue}
	handle, err := s.temporal.UpdateWithStartWorkflow(s.Context(), client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: s.temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
			ID: workflows.ID(s.sid), TaskQueue: workflows.TaskQueue,
			WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		}, workflows.Type, start),
		UpdateOptions: client.UpdateWorkflowOptions{
			WorkflowID: workflows.ID(s.sid), UpdateName: "accept", WaitForStage: client.WorkflowUpdateStageCompleted,
			Args: []any{conversation.AcceptCommand{Agent: "alice"}},
		},
	})
	require.NoError(s, err)
	return handle.Get(s.Context(), nil)
}

// codeOf returns the code that a caller without Baton's client sees.
func codeOf(err error) conversation.Code {
	if application, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return conversation.Code(application.Type())
	}
	return ""
}

// failed waits for the workflow's end, and requires that it failed with the code.
func (s *realEnvironment) failed(code conversation.Code) {
	s.Helper()
	requireRefusal(s.T, s.temporal.GetWorkflow(s.Context(), workflows.ID(s.sid), "").Get(s.Context(), nil), code)
}

// soon makes offers expire after a second, and leaves agents available after one expires.
func soon(settings *conversation.Settings) {
	settings.ReservationTimeout, settings.TimeoutActivity = 1, false
}

var timeoutScenarios = []scenario{
	{name: "reservation_timeout_in_a_queue", play: func(s *realEnvironment) {
		s.settings(soon)
		s.start()
		s.offered("alice")
		s.presence("dave", desk.PresenceAvailable)
		s.accepted("dave")
		s.finished()
	}},
	{name: "reservation_timeout_of_a_transfer", play: func(s *realEnvironment) {
		s.opened()
		s.settings(soon)
		s.presence("dave", desk.PresenceAvailable)
		s.transferred("alice", toAgent("bob"))
		s.accepted("dave")
		s.finished()
	}},
	{name: "reservation_timeout_back_to_sender", play: func(s *realEnvironment) {
		s.opened()
		s.settings(soon)
		s.settings(func(settings *conversation.Settings) { settings.Unanswered = conversation.UnansweredSender })
		s.transferred("alice", toAgent("bob"))
		s.await(func(r conversation.Record) bool { return r.Transfers[0].FailureReason == conversation.ReasonExpired })
		s.finished()
	}},
	{name: "reservation_timeout_moved_by_a_later_command", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.settings(soon)
		s.do(conversation.MoveCommand{To: toAgent("carol")})
		s.await(func(r conversation.Record) bool { return r.Tasks[0].Reservation.Agent == "alice" })
		s.finished()
	}},
	{name: "task_timeout_of_a_first_task", play: func(s *realEnvironment) {
		s.presence("alice", desk.PresenceOffline)
		s.settings(func(settings *conversation.Settings) { settings.TaskTimeout = 1 })
		s.start()
		s.completed()
	}},
	{name: "task_timeout_back_to_sender", play: func(s *realEnvironment) {
		s.opened()
		s.settings(func(settings *conversation.Settings) { settings.TaskTimeout = 1 })
		s.transferred("alice", toQueue("billing"))
		s.await(func(r conversation.Record) bool {
			return r.Transfers[0].FailureReason == conversation.ReasonTaskTimeout
		})
		s.finished()
	}},
	{name: "task_timeout_after_the_senders_wrapup", play: func(s *realEnvironment) {
		s.opened()
		s.settings(func(settings *conversation.Settings) { settings.TaskTimeout = 1 })
		s.transferred("alice", toAgent("bob"))
		s.wrappedUp("alice")
		s.completed()
	}},
	{name: "wrapup_timeout", play: func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) { settings.WrapupTimeout = 1 })
		s.opened()
		s.do(conversation.EndCommand{Agent: "alice"})
		s.completed()
	}},
	{name: "wrapup_timeout_of_a_sender", play: func(s *realEnvironment) {
		s.opened()
		s.settings(func(settings *conversation.Settings) { settings.WrapupTimeout = 1 })
		s.transferred("alice", toAgent("bob"))
		s.accepted("bob")
		s.await(func(r conversation.Record) bool { return r.Tasks[0].Disposition == conversation.DispositionTimeout })
		s.do(conversation.EndCommand{Agent: "bob"})
		s.completed()
	}},
	{name: "agent_unavailable_wait", play: func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) { settings.AgentUnavailable = conversation.AgentUnavailableWait })
		s.presence("bob", desk.PresenceBreak)
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.presence("bob", desk.PresenceAvailable)
		s.accepted("bob")
		s.finished()
	}},
	{name: "agent_unavailable_origin_queue", play: func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) {
			settings.AgentUnavailable = conversation.AgentUnavailableOriginQueue
		})
		s.presence("bob", desk.PresenceBreak)
		s.presence("dave", desk.PresenceOffline)
		s.opened()
		s.presence("dave", desk.PresenceAvailable)
		s.transferred("alice", toAgent("bob"))
		s.accepted("dave")
		s.finished()
	}},
	{name: "agent_goes_with_an_offer", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		s.presence("dave", desk.PresenceAvailable)
		s.presence("alice", desk.PresenceBreak)
		s.accepted("dave")
		s.finished()
	}},
}

var workflowScenarios = []scenario{
	{name: "story", play: func(s *realEnvironment) {
		s.settings(func(settings *conversation.Settings) {
			settings.MessagingTransfers, settings.TransferNotes = false, false
		})
		s.opened()
		s.refused(conversation.TransferCommand{From: "alice", To: toQueue("billing")}, conversation.CodeMessagingTransfersOff)
		s.settings(func(settings *conversation.Settings) {
			settings.MessagingTransfers, settings.TransferNotes = true, true
		})
		s.do(conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "Was charged twice. The return itself is done."})
		s.accepted("bob")
		s.do(conversation.TransferCommand{From: "bob", To: toAgent("alice"), Note: "Refunded. Please finish the return."})
		s.refused(conversation.AcceptCommand{Agent: "alice"}, conversation.CodeWrapupPending)
		s.do(conversation.WrapupCommand{Agent: "alice", Disposition: "passed_on"})
		s.do(conversation.AcceptCommand{Agent: "alice"})
		s.do(conversation.EndCommand{Agent: "alice"})
		s.do(conversation.WrapupCommand{Agent: "alice", Disposition: "resolved"})
		s.do(conversation.WrapupCommand{Agent: "bob", Disposition: "resolved"})
		s.completed()
	}},
	{
		name: "continued", continueAfter: 40,
		runs: []string{"continued_first_run", "continued_second_run", "continued_third_run"},
		play: func(s *realEnvironment) {
			once := conversation.Meta{CommandID: "once"}
			s.opened()
			s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Meta: once})
			from, to := "alice", "bob"
			for run := range 2 {
				// Transferred back and forth until the server suggests to continue the run as new.
				for turn := 0; ; turn++ {
					require.Less(s, turn, 100, "the run does not end")
					s.accepted(to)
					s.wrappedUp(from)
					from, to = to, from
					s.transferred(from, toAgent(to))
					if s.continuedWithin(3*quiet, run+1) {
						break
					}
				}
				// The next run remembers the commands of the one before.
				s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Meta: once})
				s.signalRefused(conversation.TransferCommand{From: "alice", To: toAgent("carol"), Meta: once}, conversation.CodeInvalidPayload)
			}
			s.accepted(to)
			s.finished()
		},
	},
	{
		name: "continued_with_a_deadline", continueAfter: 40,
		runs: []string{"continued_with_a_deadline_first_run", "continued_with_a_deadline_second_run"},
		play: func(s *realEnvironment) {
			s.opened()
			s.settings(func(settings *conversation.Settings) {
				settings.ReservationTimeout, settings.Unanswered = 4, conversation.UnansweredSender
			})
			for turn := 0; ; turn++ {
				require.Less(s, turn, 100, "the run does not end")
				s.transferred("alice", toAgent("bob"))
				if s.continuedWithin(3*quiet, 1) {
					break
				}
				s.do(conversation.CancelCommand{Agent: "alice"})
			}
			s.await(func(r conversation.Record) bool {
				return r.Transfers[len(r.Transfers)-1].FailureReason == conversation.ReasonExpired
			})
			s.finished()
		},
	},
	{name: "canceled_while_it_waits", play: func(s *realEnvironment) {
		s.start()
		s.offered("alice")
		require.NoError(s, s.temporal.CancelWorkflow(s.Context(), workflows.ID(s.sid), ""))
		s.completed()
	}},
	{name: "canceled_during_a_transfer", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		require.NoError(s, s.temporal.CancelWorkflow(s.Context(), workflows.ID(s.sid), ""))
		s.await(func(r conversation.Record) bool { return r.Status == conversation.ConversationWrapping })
		s.finished()
	}},
	{name: "desk_away_at_the_start", play: func(s *realEnvironment) {
		s.away.queries.Store(true)
		s.start()
		s.signal(conversation.MoveCommand{To: toQueue("billing")})
		s.asked(3)
		s.away.queries.Store(false)
		s.accepted("bob")
		s.finished()
	}},
	{name: "desk_away_while_deciding", play: func(s *realEnvironment) {
		s.opened()
		s.transferred("alice", toAgent("bob"))
		s.away.syncs.Store(true)
		s.accepted("bob")
		s.wrappedUp("alice")
		s.do(conversation.EndCommand{Agent: "bob"})
		s.wrappedUp("bob")
		s.await(func(r conversation.Record) bool { return r.Status == conversation.ConversationClosed })
		s.away.syncs.Store(false)
		s.completed()
	}},
	{name: "signals_before_the_first_workflow_task", play: func(s *realEnvironment) {
		_, err := s.temporal.SignalWithStartWorkflow(s.Context(), workflows.ID(s.sid), "move", conversation.MoveCommand{To: toQueue("billing")},
			client.StartWorkflowOptions{TaskQueue: workflows.TaskQueue}, workflows.Type,
			conversation.StartCommand{Conversation: s.sid, Channel: conversation.ChannelWeb, Queue: "support"})
		require.NoError(s, err)
		s.accepted("bob")
		s.finished()
	}},
	// Recorded when every closed conversation had a quiet moment.
	{name: "signals_with_the_close", play: func(s *realEnvironment) {
		s.opened()
		s.do(conversation.EndCommand{Agent: "alice"})
		s.signal(conversation.WrapupCommand{Agent: "alice"})
		// A command in its last moments is recorded, and delays its end.
		for range 3 {
			s.signalRefused(conversation.AcceptCommand{Agent: "bob"}, conversation.CodeConversationClosed)
		}
		s.completed()
	}},
	{name: "long_names_and_notes", play: func(s *realEnvironment) {
		s.opened()
		s.do(conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: strings.Repeat("Ünïcode 漢字. ", 150)})
		s.signalRefused(conversation.AcceptCommand{Agent: strings.Repeat("ä", 255)}, conversation.CodeNoReservation)
		s.finished()
	}},
}

// fewerTimersScenarios are those of runs that start no timer which they rarely need.
var fewerTimersScenarios = []scenario{
	{name: "fewer_timers_accept_end_wrapup", play: acceptEndWrapup},
	{name: "fewer_timers_transfer_to_queue", play: transferToQueue},
	{name: "fewer_timers_transfer_to_agent", play: transferToAgent},
	{name: "fewer_timers_task_timeout_while_the_desk_is_away", play: func(s *realEnvironment) {
		s.timesOutWithout(&s.away.syncs)
	}},
	{name: "fewer_timers_task_timeout_while_the_desk_is_silent", play: func(s *realEnvironment) {
		s.timesOutWithout(&s.away.silent)
	}},
	{name: "fewer_timers_reserve_when_an_agent_comes", play: func(s *realEnvironment) {
		s.presence("alice", desk.PresenceOffline)
		s.start()
		s.await(func(r conversation.Record) bool { return len(r.Tasks) == 1 })
		s.settled()
		s.presence("alice", desk.PresenceAvailable)
		s.accepted("alice")
		s.finished()
	}},
	{
		name: "fewer_timers_continued", continueAfter: 40,
		runs: []string{"fewer_timers_continued_first_run", "fewer_timers_continued_second_run"},
		play: func(s *realEnvironment) {
			s.opened()
			for turn := 0; ; turn++ {
				require.Less(s, turn, 100, "the run does not end")
				s.transferred("alice", toQueue("billing"))
				if s.continuedWithin(3*quiet, 1) {
					break
				}
				s.do(conversation.CancelCommand{Agent: "alice"})
			}
			s.presence("dave", desk.PresenceAvailable)
			s.do(conversation.MoveCommand{To: toQueue("support")})
			s.accepted("dave")
			s.finished()
		},
	},
}

// timesOutWithout starts a conversation while the desk acknowledges no snapshot. Its task times out nevertheless.
func (s *realEnvironment) timesOutWithout(desk *atomic.Bool) {
	s.Helper()
	s.settings(func(settings *conversation.Settings) { settings.TaskTimeout = 12 })
	desk.Store(true)
	s.start()
	record := s.await(func(r conversation.Record) bool { return r.Status == conversation.ConversationClosed })
	require.Equal(s, conversation.ReasonTaskTimeout, record.Tasks[0].CanceledReason)
	require.Less(s, record.ClosedAt.Sub(record.Tasks[0].CreatedAt), 14*time.Second)
	desk.Store(false)
	s.completed()
}

// asked waits until the desk was asked that many times.
func (s *realEnvironment) asked(times int64) {
	s.Helper()
	require.Eventually(s, func() bool { return s.queries.Load() >= times }, 30*time.Second, 10*time.Millisecond)
}

// continuedWithin reports whether that many runs end within the given time.
func (s *realEnvironment) continuedWithin(moment time.Duration, runs int) bool {
	s.Helper()
	deadline := time.NewTimer(moment)
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		if all := s.runs(); len(all) > runs {
			last := all[runs-1].GetEvents()
			require.Equal(s, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, last[len(last)-1].GetEventType())
			return true
		}
		select {
		case <-deadline.C:
			return false
		case <-look.C:
		}
	}
}

// codesWithoutScenario returns the names of the missing scenarios for codes that can occur today.
func codesWithoutScenario() []string {
	var missing []string
	for _, code := range conversation.Codes() {
		switch code {
		case conversation.CodeAlreadyParticipating, conversation.CodeTransferInProgress:
			continue // see scenarios
		case conversation.CodeUnknownConversation:
			continue // workflows do not return it
		}
		name := fmt.Sprintf("refused_%s", code)
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}
