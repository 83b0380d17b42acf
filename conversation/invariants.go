package conversation

import (
	"fmt"
	"slices"
)

// This file checks the invariants of the design independently of the rules. The tests check every state that they
// reach, and `make chaos` checks every state that occurred.

func broken(invariant, format string, args ...any) error {
	return fmt.Errorf("%s is broken: %s", invariant, fmt.Sprintf(format, args...))
}

// Broken returns an error that names the invariant of the design (I1 to I4, I6) that the state breaks. It returns
// nil for every state made by the rules. Broken looks at the state alone. That attributes are passed on (I5), and
// that a refused command changes nothing (I7), can only be checked by a caller that has the previous state.
func (s *State) Broken() error {
	open, assigned, live := 0, 0, false
	busy := make([]string, 0, len(s.Tasks))
	for _, t := range s.Tasks {
		live = live || t.Status.Live()
		switch t.Status {
		case TaskAssigned, TaskWrapping:
			if t.Agent == "" || slices.Contains(busy, t.Agent) {
				return broken("I1", "%q has two tasks assigned or wrapping", t.Agent)
			}
			busy = append(busy, t.Agent)
			if t.Status == TaskAssigned {
				assigned++
				open++
			}
		case TaskPending, TaskReserved:
			open++
			if t.TimeoutAt.IsZero() {
				return broken("I3", "task %s could wait for ever", t.SID)
			}
		case TaskCompleted, TaskCanceled:
		}
		if err := t.brokenReservation(); err != nil {
			return err
		}
	}
	if assigned > 1 {
		return broken("I2", "%d tasks are assigned", assigned)
	}
	switch s.Status {
	case ConversationActive:
		if open != 1 {
			return broken("I3", "%d tasks are pending, reserved or assigned while the customer is there", open)
		}
	case ConversationWrapping:
		if open != 0 || !live {
			return broken("I6", "the customer's side is over, with %d open tasks, and it should be closed when none is live", open)
		}
	case ConversationClosed:
		if live {
			return broken("I6", "a closed conversation has a live task")
		}
	}
	for _, transfer := range s.Transfers {
		if err := transfer.broken(s); err != nil {
			return err
		}
	}
	if deadline, ok := s.Deadline(); ok && !deadline.Task.Status.Live() {
		return broken("I6", "a deadline is left over from task %s", deadline.Task.SID)
	}
	return nil
}

// reservedAs maps the status of a task to the status that its reservation must have.
var reservedAs = map[TaskStatus]ReservationStatus{
	TaskReserved:  ReservationPending,
	TaskAssigned:  ReservationAccepted,
	TaskWrapping:  ReservationWrapping,
	TaskCompleted: ReservationCompleted,
}

// brokenReservation checks that an offer is pending exactly while its task is reserved, so that a reserved task can
// always be accepted, be declined or expire.
func (t *Task) brokenReservation() error {
	want := reservedAs[t.Status]
	switch {
	case want != "" && (t.Reservation == nil || t.Reservation.Status != want || t.Reservation.Agent != t.Agent):
		return broken("I3", "task %s is %s without its reservation being %s for %q", t.SID, t.Status, want, t.Agent)
	case want == "" && t.Reservation != nil && t.Reservation.Status == ReservationPending:
		return broken("I3", "task %s is %s and still offered to %s", t.SID, t.Status, t.Reservation.Agent)
	case t.Status == TaskReserved && t.Reservation.ExpiresAt.IsZero():
		return broken("I3", "the offer of task %s never expires", t.SID)
	case t.Status == TaskPending && t.Direct != (t.Agent != ""):
		return broken("I3", "task %s waits for %q, direct %v", t.SID, t.Agent, t.Direct)
	}
	return nil
}

// broken checks that the transfer is active exactly while its task waits, and that it ended as its task did.
func (t *Transfer) broken(s *State) error {
	task, sender := s.Task(t.Task), s.Task(t.FromTask)
	if task == nil || sender == nil || task.Transfer != t.SID || task.Previous != sender.SID {
		return broken("I4", "transfer %s has lost its tasks", t.SID)
	}
	active := t.Status == TransferActive
	taken := !task.Status.Waiting() && task.Status != TaskCanceled
	switch {
	case active != task.Status.Waiting():
		return broken("I4", "transfer %s is %s while its task is %s", t.SID, t.Status, task.Status)
	case active != t.EndedAt.IsZero():
		return broken("I4", "transfer %s is %s and ended at %s", t.SID, t.Status, t.EndedAt)
	case (t.Status == TransferCompleted) != taken:
		return broken("I4", "transfer %s is %s while its task is %s", t.SID, t.Status, task.Status)
	case taken && t.AcceptedBy != task.Agent:
		return broken("I4", "transfer %s was accepted by %q, its task by %q", t.SID, t.AcceptedBy, task.Agent)
	case (t.Status == TransferFailed) != (t.FailureReason != ""):
		return broken("I4", "transfer %s is %s for the reason %q", t.SID, t.Status, t.FailureReason)
	case active && s.Status != ConversationActive:
		return broken("I4", "transfer %s is active when the customer has gone", t.SID)
	case active && !sender.WrapupTimeoutAt.IsZero() && sender.Status == TaskWrapping:
		return broken("wrapup_timeout", "%s's wrapup runs out while their transfer is active", t.From)
	}
	return nil
}
