package conversation

import (
	"slices"
	"time"
)

// This file says for each command when it is allowed and what it does. Each decide checks in this order:
// conversation, task, transfer in progress, target as far as the state knows it. Then judge checks the desk's
// facts. Only then is anything changed.

// decide refuses an accept while the agent is wrapping up another task of this conversation: wrapup before accept.
func (c AcceptCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if refusal := refuseCustomerGone(s); refusal != nil {
		return decision{}, refusal
	}
	if mine := s.heldBy(c.Agent, TaskAssigned); mine != nil && (c.Task == "" || c.Task == mine.SID) && mine.Reservation.is(c.Reservation) {
		return decision{task: mine, transfer: s.Transfer(mine.Transfer)}, nil
	}
	if wrapping := s.Wrapping(c.Agent); wrapping != nil {
		details := Details{Task: wrapping.SID, Agent: c.Agent}
		if !slices.ContainsFunc(s.Tasks, func(t *Task) bool { return t.OfferedTo(c.Agent) }) {
			return decision{}, Refuse(CodeWrapupPending, details,
				"%s still wraps up task %s of this conversation, and no other task of it is reserved for them: complete that wrapup", c.Agent, wrapping.SID)
		}
		return decision{}, Refuse(CodeWrapupPending, details,
			"%s still wraps up task %s of this conversation: complete that wrapup, then accept again", c.Agent, wrapping.SID)
	}
	task, refusal := offeredTask(s, c.Agent, c.Task, c.Reservation)
	if refusal != nil {
		return decision{}, refusal
	}
	return decision{task: task, apply: func(ch *change) { ch.assign(task) }}, nil
}

func (c StartCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if s.Status != "" {
		return decision{}, startedBefore(s.Conversation)
	}
	return decision{apply: func(ch *change) {
		ch.Conversation, ch.Channel, ch.Customer, ch.CreatedAt = c.Conversation, c.Channel, c.Customer, ch.now
		ch.Transfers = []*Transfer{} // encoded as an empty JSON list, not as null
		advance(conversationTransitions, &ch.Status, ConversationActive, ch.command)
		task := ch.newTask(c.Queue, nil)
		task.Priority, task.Attributes = c.Priority, firstAttributes(c)
		ch.addEvent(EventTaskCreated, task, nil)
		if c.Agent != "" {
			ch.direct(task, c.Agent)
		} else {
			ch.enter(task, c.Queue, false)
		}
		ch.task = task
	}}, nil
}

func startedBefore(sid string) *Refusal {
	return invalid("conversation", "start: the conversation %s was started before: carry on with it, or start another under a SID of its own", sid)
}

func (c StartCommand) factsQuery(*State) FactsQuery {
	return FactsQuery{Conversation: c.Conversation, Command: CommandStart, Agent: c.Agent, Queue: c.Queue}
}

func (c StartCommand) judge(_ *State, v *Facts) *Refusal {
	if v.ConversationKnown {
		return startedBefore(c.Conversation)
	}
	if refusal := judgeNames(CommandStart, "agent", c.Agent, "queue", c.Queue); refusal != nil {
		return refusal
	}
	// A customer may write before the queue has any members, so an empty queue is not refused.
	if !v.QueueKnown {
		return v.judgeTarget(Target{Queue: c.Queue}, "")
	}
	return v.judgeTarget(Target{Agent: c.Agent}, "start it for another agent, or for the queue alone")
}

func (c TransferCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if refusal := refuseCustomerGone(s); refusal != nil {
		return decision{}, refusal
	}
	from, refusal := c.task(s)
	if refusal != nil {
		return decision{}, refusal
	}
	if active := s.ActiveTransfer(); active != nil {
		return decision{}, Refuse(CodeTransferInProgress, Details{Transfer: active.SID},
			"transfer %s has not been accepted yet: wait for it, or cancel it first", active.SID)
	}
	switch {
	case c.To.Agent == c.From:
		return decision{}, Refuse(CodeTransferToSelf, Details{Agent: c.From},
			"%s has the conversation already: transfer to another agent or to a queue", c.From)
	case c.To.Agent != "" && s.heldBy(c.To.Agent, TaskAssigned) != nil:
		return decision{}, Refuse(CodeAlreadyParticipating, Details{Agent: c.To.Agent},
			"%s has the conversation already: transfer to another agent or to a queue", c.To.Agent)
	}
	return decision{apply: func(ch *change) { c.apply(ch, from) }}, nil
}

// task returns the sender's assigned task, or refuses.
func (c TransferCommand) task(s *State) (*Task, *Refusal) {
	task, refusal := agentTask(s, c.From, "", TaskAssigned)
	if refusal != nil {
		return nil, refusal
	}
	if active := s.ActiveTransfer(); active != nil && active.FromTask == task.SID && active.To == c.To {
		return nil, Refuse(CodeTaskNotAssigned, Details{Task: task.SID, Agent: c.From, Transfer: active.SID},
			"%s has transferred task %s to %s already, with transfer %s: wait for the answer, or cancel that transfer", c.From, task.SID, c.To, active.SID)
	}
	if task.Status != TaskAssigned {
		return nil, notAssigned(s, task)
	}
	return task, nil
}

func (c TransferCommand) factsQuery(s *State) FactsQuery {
	q := FactsQuery{Conversation: s.Conversation, Command: CommandTransfer, Agent: c.To.Agent, Queue: c.To.Queue}
	if IsSID(PrefixNote, c.Note) {
		q.Note = c.Note
	}
	return q
}

func (c TransferCommand) judge(s *State, v *Facts) *Refusal {
	if refusal := judgeNames(CommandTransfer, "to.agent", c.To.Agent, "to.queue", c.To.Queue); refusal != nil {
		return refusal
	}
	if refusal := v.judgeSwitches(c.Note != ""); refusal != nil {
		return refusal
	}
	switch {
	case c.Mode == ModeWarm:
		return Refuse(CodeModeNotAvailable, Details{}, "warm transfers are not available yet: transfer cold")
	case s.Channel == ChannelEmail:
		return Refuse(CodeChannelNotTransferable, Details{}, "conversations by email can't be transferred yet")
	case c.To.Workflow != "":
		return Refuse(CodeTargetNotAvailable, Details{}, "transfers to a routing workflow are not available yet: transfer to an agent or a queue")
	}
	if refusal := v.judgeTarget(c.To, "transfer to another agent or to a queue"); refusal != nil {
		return refusal
	}
	if IsSID(PrefixNote, c.Note) && !v.NoteKnown {
		return invalid("note", "transfer: this conversation has no note %s: store it at the desk first, or send its text", c.Note)
	}
	return nil
}

func (c TransferCommand) apply(ch *change, from *Task) {
	transfer := &Transfer{
		SID: ch.newSID(PrefixTransfer), Mode: ModeCold, From: c.From, FromTask: from.SID, To: c.To, CreatedAt: ch.now,
	}
	advance(transferTransitions, &transfer.Status, TransferActive, ch.command)
	queue := from.Queue
	if c.To.Queue != "" {
		queue = c.To.Queue
	}
	task := ch.newTask(queue, from)
	task.Transfer, transfer.Task = transfer.SID, task.SID
	transfer.Note = ch.leaveNote(c.Note, Note{Kind: NoteTransfer, Transfer: transfer.SID, Task: from.SID, Author: c.From})
	ch.Transfers = append(ch.Transfers, transfer)
	ch.task, ch.transfer = task, transfer

	ch.wrap(from)
	task.Attributes = transferAttributes(ch.State, from, c.To)
	ch.addEvent(EventTaskCreated, task, nil)
	ch.addEvent(EventTransferInitiated, task, func(e *Event) { e.Agent, e.To = c.From, c.To })
	if c.To.Queue != "" {
		ch.enter(task, queue, false)
	} else {
		ch.direct(task, c.To.Agent)
	}
}

func (c DeclineCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if declined := c.before(s); declined != nil {
		return decision{task: declined, transfer: s.Transfer(declined.Transfer)}, nil
	}
	if refusal := refuseCustomerGone(s); refusal != nil {
		return decision{}, refusal
	}
	task, refusal := offeredTask(s, c.Agent, c.Task, c.Reservation)
	if refusal != nil {
		return decision{}, refusal
	}
	return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
		ch.setReservation(task, ReservationRejected, EventReservationRejected, c.Reason, false)
		attempt := Attempt{Agent: c.Agent, Reason: ReasonDeclined, Words: c.Reason, At: ch.now}
		ch.events[len(ch.events)-1].Cause = CauseAgent
		if c.Unavailable {
			ch.events[len(ch.events)-1].Cause = CauseUnavailable
			attempt.Reason, attempt.Words = ReasonAgentUnavailable, ""
		}
		ch.unanswered(task, ReasonDeclined, attempt)
	}}, nil
}

// before returns the task whose offer the agent has declined already, if that was the agent's last offer; else nil.
func (c DeclineCommand) before(s *State) *Task {
	if last := lastOffer(s, c.Agent, c.Task, c.Reservation); last != nil && last.Reservation.Status == ReservationRejected {
		return last
	}
	return nil
}

func (c WrapupCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	task, refusal := agentTask(s, c.Agent, c.Task, TaskWrapping)
	if closed := refuseClosed(s); closed != nil && (refusal != nil || task.Status != TaskCompleted) {
		return decision{}, closed
	}
	if refusal != nil {
		return decision{}, refusal
	}
	if task.Status == TaskWrapping {
		return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
			task.WrapupNote = ch.leaveNote(c.Note, Note{Kind: NoteWrapup, Task: task.SID, Author: c.Agent})
			ch.complete(task, c.Disposition)
		}}, nil
	}
	if task.Status == TaskCompleted {
		return decision{task: task, transfer: s.Transfer(task.Transfer)}, nil
	}
	return decision{}, Refuse(CodeNotWrapping, Details{Task: task.SID, Agent: c.Agent},
		"%s has no wrapup to complete: task %s is %s", c.Agent, task.SID, task.Status)
}

func (c EndCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if refusal := refuseClosed(s); refusal != nil {
		return decision{}, refusal
	}
	task, refusal := agentTask(s, c.Agent, c.Task, TaskAssigned)
	if refusal != nil {
		return decision{}, refusal
	}
	if task.Status != TaskAssigned && s.Status != ConversationActive && !task.AssignedAt.IsZero() {
		return decision{task: task, transfer: s.Transfer(task.Transfer)}, nil
	}
	if task.Status != TaskAssigned {
		return decision{}, notAssigned(s, task)
	}
	return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
		others := slices.ContainsFunc(ch.Tasks, func(t *Task) bool {
			return t != task && (t.Status.Waiting() || t.Status == TaskAssigned)
		})
		if others {
			ch.wrap(task)
			return
		}
		ch.closeCustomerSide(ReasonConversationClosed)
	}}, nil
}

func (c CancelCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	transfer := s.ActiveTransfer()
	if transfer == nil || (c.Transfer != "" && c.Transfer != transfer.SID) {
		return c.before(s)
	}
	if transfer.From != c.Agent {
		return decision{}, Refuse(CodeNotYourTask, Details{Transfer: transfer.SID, Agent: transfer.From},
			"transfer %s is %s's: only they can take it back", transfer.SID, transfer.From)
	}
	return decision{task: s.Task(transfer.Task), transfer: transfer, apply: func(ch *change) { ch.cancelTransfer(transfer) }}, nil
}

// before returns the decision that the same agent has canceled the transfer already, or refuses.
func (c CancelCommand) before(s *State) (decision, *Refusal) {
	transfer := s.Transfer(c.Transfer)
	if n := len(s.Transfers); c.Transfer == "" && n > 0 {
		transfer = s.Transfers[n-1]
	}
	own := transfer != nil && transfer.From == c.Agent
	if own && transfer.FailureReason == ReasonCanceled {
		return decision{task: s.Task(transfer.Task), transfer: transfer}, nil
	}
	if refusal := refuseCustomerGone(s); refusal != nil {
		return decision{}, refusal
	}
	details, why := Details{Transfer: c.Transfer}, "it was accepted, has failed or was never made"
	switch {
	case transfer == nil && c.Transfer == "":
		why = "none was made"
	case !own:
	case transfer.Status == TransferCompleted:
		details.Transfer, why = transfer.SID, "it was accepted"
	case transfer.Status == TransferFailed:
		details.Transfer, why = transfer.SID, "it has failed already"
	case transfer.Status == TransferActive: // not reached: only the newest transfer can be active
	}
	return decision{}, Refuse(CodeNoActiveTransfer, details, "there is no transfer to take back: %s", why)
}

func (c MoveCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if refusal := refuseCustomerGone(s); refusal != nil {
		return decision{}, refusal
	}
	var task *Task
	for _, t := range s.Tasks {
		if (c.Task == "" && t.Status.Waiting()) || t.SID == c.Task {
			task = t
		}
	}
	switch {
	case task == nil && c.Task != "":
		return decision{}, noSuchTask(c.Task)
	case task == nil:
		return decision{}, Refuse(CodeNoReservation, Details{}, "no task of this conversation waits: only a task that waits for an agent can be moved")
	case !task.Status.Waiting():
		return decision{}, Refuse(CodeNoReservation, Details{Task: task.SID},
			"task %s is %s: only a task that waits for an agent can be moved", task.SID, task.Status)
	case c.To.Agent != "" && s.heldBy(c.To.Agent, TaskAssigned) != nil:
		return decision{}, Refuse(CodeAlreadyParticipating, Details{Agent: c.To.Agent},
			"%s has the conversation already: move the task to another agent or to a queue", c.To.Agent)
	case (c.To.Agent != "" && task.Direct && task.Agent == c.To.Agent) ||
		(c.To.Queue == task.Queue && task.Status == TaskPending && !task.Direct):
		return decision{task: task, transfer: s.Transfer(task.Transfer)}, nil
	}
	return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
		if task.Status == TaskReserved {
			ch.setReservation(task, ReservationRescinded, EventReservationRescinded, "", false)
		}
		ch.addEvent(EventTaskUpdated, task, func(e *Event) { e.To, e.Reason = c.To, "moved to "+c.To.String() })
		if c.To.Queue != "" {
			ch.enter(task, c.To.Queue, false)
		} else {
			ch.direct(task, c.To.Agent)
		}
	}}, nil
}

func (c MoveCommand) factsQuery(s *State) FactsQuery {
	return FactsQuery{Conversation: s.Conversation, Command: CommandMove, Agent: c.To.Agent, Queue: c.To.Queue}
}

func (c MoveCommand) judge(_ *State, v *Facts) *Refusal {
	if refusal := judgeNames(CommandMove, "to.agent", c.To.Agent, "to.queue", c.To.Queue); refusal != nil {
		return refusal
	}
	if c.To.Workflow != "" {
		return Refuse(CodeTargetNotAvailable, Details{}, "routing workflows are not available yet: move the task to an agent or a queue")
	}
	return v.judgeTarget(c.To, "move the task to another agent or to a queue")
}

func (c CloseCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	if canceled := s.Task(c.Task); s.Status != ConversationActive &&
		(c.Task == "" || canceled != nil && canceled.CanceledReason == ReasonConversationClosed) {
		return decision{task: canceled}, nil
	}
	if refusal := c.refuseEnded(s); refusal != nil {
		return decision{}, refusal
	}
	return decision{transfer: s.ActiveTransfer(), apply: func(ch *change) {
		for _, t := range ch.Tasks {
			if t.Status.Waiting() || t.Status == TaskAssigned {
				ch.task = t
			}
		}
		ch.CloseReason = c.Reason
		ch.closeCustomerSide(ReasonConversationClosed)
		if canceled := ch.Task(c.Task); canceled != nil { // the reason is about the task that the command names
			canceled.Disposition = c.Reason
		}
	}}, nil
}

// refuseEnded refuses a close that is limited to a waiting task if that task does not wait.
func (c CloseCommand) refuseEnded(s *State) *Refusal {
	switch task := s.Task(c.Task); {
	case c.Task == "":
		return nil
	case task == nil:
		return noSuchTask(c.Task)
	case !task.Status.Waiting():
		return Refuse(CodeNoReservation, Details{Task: task.SID, Agent: task.Agent}, "task %s doesn't wait any more, it is %s: nothing was closed", task.SID, task.Status)
	}
	return nil
}

func (c ReserveCommand) decide(s *State, _ time.Time) (decision, *Refusal) {
	task := s.Task(c.Task)
	if task == nil || task.Status != TaskPending || task.PendingSeq != c.PendingSeq {
		own := task != nil && task.Reservation != nil && c.Reservation != "" && task.Reservation.SID == c.Reservation
		return decision{task: task, stale: !own}, nil
	}
	return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
		ch.reserve(task, c.Agent, c.Reservation)
	}}, nil
}

// leaveNote keeps a note's text for the desk and returns the new SID. If note is already a SID, leaveNote returns
// it.
func (ch *change) leaveNote(note string, n Note) string {
	if note == "" || IsSID(PrefixNote, note) {
		return note
	}
	n.SID, n.Text, n.CreatedAt = ch.newSID(PrefixNote), note, ch.now
	ch.notes = append(ch.notes, n)
	return n.SID
}
