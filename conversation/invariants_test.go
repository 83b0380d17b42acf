package conversation_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// This file checks the promises of the design for every step (checkStep), independently of the rules.
// [conversation.State.Broken] checks them for every state. The stories, the properties and the walk use both.

// step is a command that was carried out, was refused or changed nothing.
type step struct {
	before  *conversation.State
	command conversation.Command
	facts   *conversation.Facts
	now     time.Time
	after   *conversation.State
	result  conversation.Result
	err     error
	// repeated is set if the command's ID had been used before. Its effect is then not checked here.
	repeated bool
}

func broken(invariant, format string, args ...any) error {
	return fmt.Errorf("%s is broken: %s", invariant, fmt.Sprintf(format, args...))
}

// checkStep returns an error for a step that did something wrong or left something out. It does not check that a
// refused command keeps the state's bytes (I7): callers that have the bytes compare them.
func checkStep(st step) error {
	var refusal *conversation.Refusal
	if st.err != nil {
		if !errors.As(st.err, &refusal) || !slices.Contains(conversation.Codes(), refusal.Code) || refusal.Message == "" {
			return broken("refusals", "%v is not a coded refusal with a sentence", st.err)
		}
	}
	if st.result.Changed {
		if err := cmp.Or(st.after.Broken(), checkChanges(st)); err != nil {
			return err
		}
	}
	refusedPayload := refusal != nil && refusal.Code == conversation.CodeInvalidPayload && st.before.Status != ""
	if !st.repeated && !refusedPayload {
		if allowed := allowed(st.before, st.command, st.now) && factsAllow(st); allowed != st.result.Changed {
			return broken("allowed when", "%s allowed: %v, carried out: %v (%v)", st.command.Name(), allowed, st.result.Changed, st.err)
		}
	}
	if !st.result.Changed {
		if st.after.Revision != st.before.Revision || len(st.result.Events) > 0 || len(st.result.Notes) > 0 {
			return broken("I7", "a command that changed nothing has revision %d after %d and tells %d events",
				st.after.Revision, st.before.Revision, len(st.result.Events))
		}
		return nil
	}
	if st.after.Revision != st.before.Revision+1 {
		return broken("revision", "it went from %d to %d", st.before.Revision, st.after.Revision)
	}
	if len(st.result.Events) == 0 || st.after.Events != st.before.Events+len(st.result.Events) {
		return broken("events", "%d were returned, the count went from %d to %d", len(st.result.Events), st.before.Events, st.after.Events)
	}
	for i, event := range st.result.Events {
		if event.Number != st.before.Events+1+i || event.Task == "" || event.Name == "" {
			return broken("events", "number %d follows %d", event.Number, st.before.Events+i)
		}
	}
	return checkEffect(st)
}

// factsAllow reports whether the desk's facts allow the command, if it needs facts.
func factsAllow(st step) bool {
	v := st.facts
	var to conversation.Target
	switch c := st.command.(type) {
	case conversation.StartCommand:
		if v == nil || !v.QueueKnown || c.Agent == "" {
			return v != nil && v.QueueKnown
		}
		to = conversation.Target{Agent: c.Agent}
	case conversation.TransferCommand:
		storedNote := conversation.IsSID(conversation.PrefixNote, c.Note)
		if v == nil || !v.Settings.MessagingTransfers || (c.Note != "" && !v.Settings.TransferNotes) || v.Plugin != "" ||
			c.Mode == conversation.ModeWarm || st.before.Channel == conversation.ChannelEmail || (storedNote && !v.NoteKnown) {
			return false
		}
		to = c.To
	case conversation.MoveCommand:
		to = c.To
	default:
		return true
	}
	switch {
	case v == nil || to.Workflow != "":
		return false
	case to.Agent != "":
		return v.AgentKnown && (v.AgentAvailable || v.Settings.AgentUnavailable != conversation.AgentUnavailableRefuse)
	default:
		return v.QueueKnown && v.QueueMembers > 0
	}
}

// allowed is the column "allowed when" of the table of commands, as far as the state decides it. It is false for a
// command whose effect is already there.
func allowed(s *conversation.State, command conversation.Command, now time.Time) bool {
	active := s.Status == conversation.ConversationActive
	has := func(agent string, status conversation.TaskStatus, sid string) bool {
		return slices.ContainsFunc(s.Tasks, func(t *conversation.Task) bool {
			return t.Status == status && t.Agent == agent && (sid == "" || sid == t.SID)
		})
	}
	offered := func(agent, sid, reservation string) bool {
		return slices.ContainsFunc(s.Tasks, func(t *conversation.Task) bool {
			return t.Status == conversation.TaskReserved && t.Agent == agent && (sid == "" || sid == t.SID) && (reservation == "" || reservation == t.Reservation.SID)
		})
	}
	switch c := command.(type) {
	case conversation.StartCommand:
		return s.Status == ""
	case conversation.TransferCommand:
		return active && has(c.From, conversation.TaskAssigned, "") && s.ActiveTransfer() == nil &&
			c.To.Agent != c.From && !has(c.To.Agent, conversation.TaskAssigned, "")
	case conversation.AcceptCommand:
		return active && offered(c.Agent, c.Task, c.Reservation) && !has(c.Agent, conversation.TaskWrapping, "")
	case conversation.DeclineCommand:
		return active && offered(c.Agent, c.Task, c.Reservation)
	case conversation.WrapupCommand:
		return has(c.Agent, conversation.TaskWrapping, c.Task)
	case conversation.EndCommand:
		return has(c.Agent, conversation.TaskAssigned, c.Task)
	case conversation.CancelCommand:
		transfer := s.ActiveTransfer()
		return active && transfer != nil && transfer.From == c.Agent && (c.Transfer == "" || c.Transfer == transfer.SID)
	case conversation.MoveCommand:
		at := slices.IndexFunc(s.Tasks, func(t *conversation.Task) bool { return t.Status.Waiting() })
		if !active || at < 0 || (c.Task != "" && c.Task != s.Tasks[at].SID) {
			return false
		}
		task := s.Tasks[at]
		there := task.Direct && task.Agent == c.To.Agent
		if c.To.Agent == "" {
			there = task.Status == conversation.TaskPending && !task.Direct && task.Queue == c.To.Queue
		}
		return !there
	case conversation.CloseCommand:
		task := s.Task(c.Task)
		return active && (c.Task == "" || (task != nil && task.Status.Waiting()))
	case conversation.ReserveCommand:
		task := s.Task(c.Task)
		return task != nil && task.Status == conversation.TaskPending && task.PendingSeq == c.PendingSeq
	case conversation.ExpireCommand:
		deadline, ok := s.Deadline()
		return ok && !deadline.At.After(now)
	}
	return false
}

type statusChange struct{ from, to conversation.TaskStatus }

// legal contains the changes of a task's status that a command may make in one step.
var legal = map[conversation.CommandName][]statusChange{
	conversation.CommandStart:    {{"", conversation.TaskPending}, {"", conversation.TaskReserved}},
	conversation.CommandReserve:  {{conversation.TaskPending, conversation.TaskReserved}},
	conversation.CommandAccept:   {{conversation.TaskReserved, conversation.TaskAssigned}},
	conversation.CommandWrapup:   {{conversation.TaskWrapping, conversation.TaskCompleted}},
	conversation.CommandEnd:      {{conversation.TaskAssigned, conversation.TaskWrapping}},
	conversation.CommandTransfer: {{"", conversation.TaskPending}, {"", conversation.TaskReserved}, {conversation.TaskAssigned, conversation.TaskWrapping}},
	conversation.CommandMove: {
		{conversation.TaskPending, conversation.TaskReserved}, {conversation.TaskReserved, conversation.TaskPending},
	},
	conversation.CommandDecline: {
		{conversation.TaskReserved, conversation.TaskPending},
		{conversation.TaskReserved, conversation.TaskCanceled},
		{conversation.TaskWrapping, conversation.TaskAssigned},
	},
	conversation.CommandCancel: {
		{conversation.TaskPending, conversation.TaskCanceled},
		{conversation.TaskReserved, conversation.TaskCanceled},
		{conversation.TaskWrapping, conversation.TaskAssigned},
		{"", conversation.TaskPending},
	},
	conversation.CommandClose: {
		{conversation.TaskPending, conversation.TaskCanceled},
		{conversation.TaskReserved, conversation.TaskCanceled},
		{conversation.TaskAssigned, conversation.TaskWrapping},
	},
	conversation.CommandExpire: {
		{conversation.TaskReserved, conversation.TaskPending},
		{conversation.TaskReserved, conversation.TaskCanceled},
		{conversation.TaskPending, conversation.TaskCanceled},
		{conversation.TaskWrapping, conversation.TaskAssigned},
		{conversation.TaskWrapping, conversation.TaskCompleted},
	},
}

// checkChanges compares each task and transfer with the one before.
func checkChanges(st step) error {
	if len(st.after.Tasks) > len(st.before.Tasks)+1 || len(st.after.Transfers) > len(st.before.Transfers)+1 {
		return broken("tasks", "one command made several")
	}
	for i, task := range st.after.Tasks {
		was := &conversation.Task{}
		if i < len(st.before.Tasks) {
			was = st.before.Tasks[i]
		} else if err := checkLineage(st, task); err != nil {
			return err
		}
		if was.Status != task.Status && !slices.Contains(legal[st.command.Name()], statusChange{was.Status, task.Status}) {
			return broken("statuses", "%s turned task %s from %q into %s", st.command.Name(), task.SID, was.Status, task.Status)
		}
		if was.Status != conversation.TaskPending && task.Status == conversation.TaskPending && task.PendingSeq <= st.before.PendingCount {
			return broken("placement", "task %s became pending under the old number %d", task.SID, task.PendingSeq)
		}
		if was.Status == conversation.TaskWrapping && task.Status == conversation.TaskAssigned {
			own := st.before.ActiveTransfer()
			if own == nil || own.FromTask != task.SID || st.after.Transfer(own.SID).Status != conversation.TransferFailed {
				return broken("I4", "task %s is assigned again without its own transfer having failed", task.SID)
			}
		}
		freshlyWrapping := was.Status == conversation.TaskAssigned && task.Status == conversation.TaskWrapping
		ownTransfer := st.after.ActiveTransfer() != nil && st.after.ActiveTransfer().FromTask == task.SID
		if freshlyWrapping && !ownTransfer && (st.after.Settings.WrapupTimeout > 0) == task.WrapupTimeoutAt.IsZero() {
			return broken("wrapup_timeout", "task %s wraps, by a setting of %d s, until %s", task.SID, st.after.Settings.WrapupTimeout, task.WrapupTimeoutAt)
		}
	}
	for i, was := range st.before.Transfers {
		if was.Status != conversation.TransferActive && *st.after.Transfers[i] != *was {
			return broken("I4", "transfer %s had ended and has changed", was.SID)
		}
	}
	return nil
}

// transferKeys are the attributes that a transfer sets itself.
var transferKeys = []string{"transferTargetType", "transferTargetSid", "transferQueueName", "workerSidsInConversation"}

// checkLineage checks that a new task has every attribute of the previous one, its priority and its place in the
// queue.
func checkLineage(st step, task *conversation.Task) error {
	previous := st.before.Task(task.Previous)
	if previous == nil {
		if len(st.before.Tasks) > 0 {
			return broken("I5", "task %s comes from nowhere", task.SID)
		}
		return nil
	}
	for key, value := range previous.Attributes {
		if got, ok := task.Attributes[key]; !slices.Contains(transferKeys, key) && (!ok || !bytes.Equal(got, value)) {
			return broken("I5", "the attribute %s of task %s is %s, and was %s", key, task.SID, got, value)
		}
	}
	if task.Priority != previous.Priority || !task.QueuedAt.Equal(previous.QueuedAt) {
		return broken("I5", "task %s has lost its priority or its time in the line", task.SID)
	}
	return nil
}

// checkEffect is what a command does, and what happens when no agent takes a task.
func checkEffect(st step) error {
	before, after := st.before, st.after
	transfer := before.ActiveTransfer()
	var waiting *conversation.Task
	for _, t := range before.Tasks {
		if t.Status.Waiting() {
			waiting = t
		}
	}
	switch c := st.command.(type) {
	case conversation.TransferCommand:
		return checkTransferred(st, c)
	case conversation.AcceptCommand:
		if after.Task(waiting.SID).Status != conversation.TaskAssigned {
			return broken("accept", "task %s is %s", waiting.SID, after.Task(waiting.SID).Status)
		}
	case conversation.DeclineCommand:
		return checkUnanswered(st, waiting, conversation.ReasonDeclined)
	case conversation.CancelCommand:
		return checkTakenBack(st, transfer)
	case conversation.CloseCommand:
		return checkOver(st, waiting, conversation.ReasonConversationClosed)
	case conversation.EndCommand:
		return checkOver(st, waiting, conversation.ReasonConversationClosed)
	case conversation.ExpireCommand:
		deadline, _ := before.Deadline()
		switch deadline.Kind {
		case conversation.DeadlineReservation:
			return checkUnanswered(st, waiting, conversation.ReasonExpired)
		case conversation.DeadlineTask:
			if transfer != nil && before.Task(transfer.FromTask).Status == conversation.TaskWrapping {
				return checkReturned(st, transfer, conversation.ReasonTaskTimeout)
			}
			return checkOver(st, waiting, conversation.ReasonTaskTimeout)
		case conversation.DeadlineWrapup:
			if task := after.Task(deadline.Task.SID); task.Status != conversation.TaskCompleted || task.Disposition != conversation.DispositionTimeout {
				return broken("wrapup_timeout", "task %s is %s (%s)", task.SID, task.Status, task.Disposition)
			}
		}
	case conversation.MoveCommand:
		return checkSentTo(st, after.Task(waiting.SID), waiting.Queue, c.To)
	}
	return nil
}

func checkTransferred(st step, c conversation.TransferCommand) error {
	transfer := st.after.ActiveTransfer()
	if transfer == nil || transfer.From != c.From || transfer.To != c.To {
		return broken("transfer", "the transfer is not active as it was sent")
	}
	sender := st.after.Task(transfer.FromTask)
	if sender.Status != conversation.TaskWrapping || sender.Agent != c.From {
		return broken("transfer", "%s's task is %s", c.From, sender.Status)
	}
	return checkSentTo(st, st.after.Task(transfer.Task), sender.Queue, c.To)
}

// checkSentTo checks a task sent to a target. An available agent is offered the task in the same step. For an
// unavailable agent the task waits or goes to the queue. A task for a queue always goes there.
func checkSentTo(st step, task *conversation.Task, queue string, to conversation.Target) error {
	want := conversation.Task{Status: conversation.TaskPending, Queue: queue}
	switch {
	case to.Queue != "":
		want.Queue = to.Queue
	case st.facts.AgentAvailable:
		want.Status, want.Agent, want.Direct = conversation.TaskReserved, to.Agent, true
	case st.facts.Settings.AgentUnavailable == conversation.AgentUnavailableWait:
		want.Agent, want.Direct = to.Agent, true
	}
	if task.Status != want.Status || task.Queue != want.Queue || task.Agent != want.Agent || task.Direct != want.Direct {
		return broken("target", "the task for %s is %s, in %s, for %q", to, task.Status, task.Queue, task.Agent)
	}
	return nil
}

// checkUnanswered checks a step in which the agent who was offered the task did not take it.
func checkUnanswered(st step, was *conversation.Task, reason conversation.Reason) error {
	transfer := st.before.ActiveTransfer()
	senderWraps := transfer != nil && st.before.Task(transfer.FromTask).Status == conversation.TaskWrapping
	if was.Direct && senderWraps && st.before.Settings.Unanswered == conversation.UnansweredSender {
		return checkReturned(st, transfer, reason)
	}
	task := st.after.Task(was.SID)
	if task.Status != conversation.TaskPending || task.Agent != "" || task.Queue != was.Queue || task.Head != (was.Head || was.Direct) {
		return broken("fallback", "task %s is %s for %q in %s, head: %v", task.SID, task.Status, task.Agent, task.Queue, task.Head)
	}
	if transfer != nil && st.after.Transfer(transfer.SID).Status != conversation.TransferActive {
		return broken("fallback", "transfer %s is no longer active", transfer.SID)
	}
	return nil
}

// checkReturned checks that the sender has the conversation again.
func checkReturned(st step, transfer *conversation.Transfer, reason conversation.Reason) error {
	task, sender, now := st.after.Task(transfer.Task), st.after.Task(transfer.FromTask), st.after.Transfer(transfer.SID)
	if task.Status != conversation.TaskCanceled || task.CanceledReason != reason || now.FailureReason != reason ||
		sender.Status != conversation.TaskAssigned {
		return broken("fallback", "back to the sender (%s): task %s (%s), transfer %s (%s), the sender's task %s",
			reason, task.Status, task.CanceledReason, now.Status, now.FailureReason, sender.Status)
	}
	return nil
}

// checkTakenBack checks that the sender has the conversation again, or a new task waits at the head of the queue.
func checkTakenBack(st step, transfer *conversation.Transfer) error {
	if st.before.Task(transfer.FromTask).Status == conversation.TaskWrapping {
		if len(st.after.Tasks) != len(st.before.Tasks) {
			return broken("cancel", "there is another task although the sender has it again")
		}
		return checkReturned(st, transfer, conversation.ReasonCanceled)
	}
	canceled, task := st.after.Task(transfer.Task), st.after.Tasks[len(st.after.Tasks)-1]
	if canceled.Status != conversation.TaskCanceled || task.Status != conversation.TaskPending || task.Previous != canceled.SID ||
		task.Transfer != "" || !task.Head || task.Queue != canceled.Queue || task.Agent != "" {
		return broken("cancel", "task %s is %s, and task %s after it %s", canceled.SID, canceled.Status, task.SID, task.Status)
	}
	return nil
}

// checkOver checks that the customer's side is over.
func checkOver(st step, waiting *conversation.Task, reason conversation.Reason) error {
	if st.after.Status == conversation.ConversationActive {
		return broken("close", "the conversation is still active")
	}
	if waiting != nil && st.after.Task(waiting.SID).CanceledReason != reason {
		return broken("close", "task %s was canceled for %q", waiting.SID, st.after.Task(waiting.SID).CanceledReason)
	}
	if transfer := st.before.ActiveTransfer(); transfer != nil && st.after.Transfer(transfer.SID).FailureReason != reason {
		return broken("close", "transfer %s failed for %q", transfer.SID, st.after.Transfer(transfer.SID).FailureReason)
	}
	return nil
}
