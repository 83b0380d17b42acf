package conversation

import "time"

// DeadlineKind is the kind of a deadline.
type DeadlineKind string

// The deadlines of a conversation.
const (
	DeadlineReservation DeadlineKind = "reservation_timeout"
	DeadlineTask        DeadlineKind = "task_timeout"
	DeadlineWrapup      DeadlineKind = "wrapup_timeout"
)

// Deadline is a time at which the state changes without a command from outside.
type Deadline struct {
	At   time.Time
	Kind DeadlineKind
	Task *Task
}

// Deadline returns the earliest deadline, false if there is none.
func (s *State) Deadline() (Deadline, bool) {
	var earliest Deadline
	consider := func(at time.Time, kind DeadlineKind, t *Task) {
		if !at.IsZero() && (earliest.Task == nil || at.Before(earliest.At)) {
			earliest = Deadline{At: at, Kind: kind, Task: t}
		}
	}
	for _, t := range s.Tasks {
		switch t.Status {
		case TaskReserved:
			consider(t.Reservation.ExpiresAt, DeadlineReservation, t)
			consider(t.TimeoutAt, DeadlineTask, t)
		case TaskPending:
			consider(t.TimeoutAt, DeadlineTask, t)
		case TaskWrapping:
			consider(t.WrapupTimeoutAt, DeadlineWrapup, t)
		case TaskAssigned, TaskCompleted, TaskCanceled: // no deadline
		}
	}
	return earliest, earliest.Task != nil
}

func (c ExpireCommand) decide(s *State, now time.Time) (decision, *Refusal) { //nolint:unparam // required by the Command interface
	deadline, ok := s.Deadline()
	if !ok || deadline.At.After(now) {
		return decision{}, nil
	}
	task := deadline.Task
	return decision{task: task, transfer: s.Transfer(task.Transfer), apply: func(ch *change) {
		switch deadline.Kind {
		case DeadlineReservation:
			// The agent could not have accepted it: the wrapup comes first.
			excused := ch.Wrapping(task.Reservation.Agent) != nil
			ch.setReservation(task, ReservationTimeout, EventReservationTimeout, "", excused)
			ch.unanswered(task, ReasonExpired, Attempt{Agent: task.Reservation.Agent, Reason: ReasonExpired, At: ch.now})
		case DeadlineTask:
			ch.timeOut(task)
		case DeadlineWrapup:
			ch.complete(task, DispositionTimeout)
		}
	}}, nil
}

// unanswered handles an offer that the agent did not take.
func (ch *change) unanswered(t *Task, reason Reason, attempt Attempt) {
	if transfer := ch.activeTransferOf(t); transfer != nil {
		transfer.Attempt = attempt
	}
	if !t.Direct {
		ch.pend(t)
		return
	}
	if transfer := ch.activeTransferOf(t); transfer != nil {
		if ch.Settings.Unanswered == UnansweredSender && ch.senderWraps(transfer) {
			ch.returnToSender(transfer, reason)
			return
		}
		ch.addEvent(EventTransferAttemptFailed, t, func(e *Event) { e.To, e.Reason = transfer.To, string(reason) })
	}
	ch.enter(t, t.Queue, true)
}

// cancelTransfer cancels a transfer. The sender gets the conversation back if they are still wrapping up; otherwise a
// new task waits at the head of the queue.
func (ch *change) cancelTransfer(transfer *Transfer) {
	if ch.senderWraps(transfer) {
		ch.returnToSender(transfer, ReasonCanceled)
		return
	}
	canceled := ch.Task(transfer.Task)
	ch.cancelTask(canceled, ReasonCanceled)
	ch.failTransfer(transfer, ReasonCanceled)
	task := ch.newTask(canceled.Queue, canceled)
	ch.addEvent(EventTaskCreated, task, nil)
	ch.enter(task, canceled.Queue, true)
	ch.task = task
}

// timeOut handles a task that has waited too long.
func (ch *change) timeOut(t *Task) {
	if transfer := ch.activeTransferOf(t); transfer != nil && ch.senderWraps(transfer) {
		ch.returnToSender(transfer, ReasonTaskTimeout)
		return
	}
	ch.closeCustomerSide(ReasonTaskTimeout)
}

func (ch *change) activeTransferOf(t *Task) *Transfer {
	if transfer := ch.ActiveTransfer(); transfer != nil && transfer.Task == t.SID {
		return transfer
	}
	return nil
}

func (ch *change) senderWraps(transfer *Transfer) bool {
	return ch.Task(transfer.FromTask).Status == TaskWrapping
}

// returnToSender is the only way from wrapping back to assigned: the sender's own transfer has failed.
func (ch *change) returnToSender(transfer *Transfer, reason Reason) {
	ch.cancelTask(ch.Task(transfer.Task), reason)
	ch.failTransfer(transfer, reason)
	sender := ch.Task(transfer.FromTask)
	ch.setTask(sender, TaskAssigned)
	sender.WrappingAt, sender.WrapupTimeoutAt = time.Time{}, time.Time{}
	advance(reservationTransitions, &sender.Reservation.Status, ReservationAccepted, ch.command)
	ch.addEvent(EventTaskUpdated, sender, func(e *Event) {
		e.Reason, e.Reservation, e.ReservationStatus = string(reason), sender.Reservation.SID, ReservationAccepted
	})
	ch.task = sender
}
