package conversation

import (
	"iter"
	"slices"
	"time"
)

// Turn is how much of a conversation an agent may read: what there was until the end of their turn, and what became of
// their own transfers until those ended. The zero Turn is all of the conversation.
type Turn struct {
	Agent string
	// Until is when the turn ended; zero while it has not.
	Until time.Time
	// Task is the wrapping task that bounds the turn, empty where nothing does.
	Task string
}

// TurnOf returns how much of a conversation the agent may read, given its tasks in the order in which they were made.
// Who holds the conversation or has an offer of it reads all of it; who wraps it up, up to the end of their turn;
// others may not read it.
func TurnOf(agent string, tasks iter.Seq[*Task]) (turn Turn, may bool) {
	for task := range tasks {
		if agent == "" || task.Agent != agent {
			continue
		}
		switch task.Status {
		case TaskReserved, TaskAssigned:
			return Turn{}, true
		case TaskWrapping:
			turn, may = Turn{Agent: agent, Until: task.WrappingAt, Task: task.SID}, true
		case TaskPending, TaskCompleted, TaskCanceled:
		}
	}
	return turn, may
}

// Whole tells whether the turn is all of the conversation.
func (t Turn) Whole() bool { return t.Until.IsZero() }

// Includes tells whether the turn includes that moment.
func (t Turn) Includes(at time.Time) bool { return t.Whole() || !at.After(t.Until) }

// Transfers returns the transfers that the agent may read of, others' as they were at the end of the turn.
func (t Turn) Transfers(transfers []Transfer) []Transfer {
	kept := make([]Transfer, 0, len(transfers))
	for _, x := range transfers {
		switch {
		case t.Whole() || x.From == t.Agent:
			kept = append(kept, x)
		case t.Includes(x.CreatedAt):
			if !t.Includes(x.EndedAt) {
				x.Status, x.AcceptedBy, x.FailureReason, x.EndedAt = TransferActive, "", "", time.Time{}
			}
			if !t.Includes(x.Attempt.At) {
				x.Attempt = Attempt{}
			}
			kept = append(kept, x)
		}
	}
	return kept
}

// TaskOf tells whether the agent may read of a task, and returns it as it was at the end of their turn; one that they made
// by a transfer as it was when the transfer ended. The transfers are those of its conversation.
func (t Turn) TaskOf(task Task, transfers []Transfer) (shown Task, may bool) {
	if t.Whole() || task.Agent == t.Agent {
		return task, true
	}
	made := t.made(task.SID, transfers)
	switch {
	case made == nil:
		return task.asOf(t.Until), t.Includes(task.CreatedAt)
	case made.EndedAt.IsZero():
		return task, true
	case made.EndedAt.Before(t.Until):
		return task.asOf(t.Until), true
	}
	return task.asOf(made.EndedAt), true
}

// asOf is the task as it was at that moment, as far as it tells.
func (t *Task) asOf(at time.Time) Task {
	shown := *t
	if shown.CanceledAt.After(at) {
		shown.CanceledAt, shown.CanceledReason = time.Time{}, ""
	}
	if shown.CompletedAt.After(at) {
		shown.CompletedAt, shown.Disposition, shown.WrapupNote = time.Time{}, "", ""
	}
	if shown.WrappingAt.After(at) {
		shown.WrappingAt, shown.WrapupTimeoutAt = time.Time{}, time.Time{}
	}
	if shown.AssignedAt.After(at) {
		shown.AssignedAt = time.Time{}
	}
	offer := shown.Reservation
	if offer != nil && offer.CreatedAt.After(at) {
		offer = nil
	}
	if offer == nil && !shown.Direct {
		shown.Agent = ""
	}
	was := shown.Status
	reservation := ReservationPending
	switch {
	case !shown.CanceledAt.IsZero() || !shown.CompletedAt.IsZero(): // ended by then
		return shown
	case !shown.WrappingAt.IsZero():
		shown.Status, reservation = TaskWrapping, ReservationWrapping
	case !shown.AssignedAt.IsZero():
		shown.Status, reservation = TaskAssigned, ReservationAccepted
	case offer != nil && was != TaskPending:
		shown.Status = TaskReserved
	default:
		shown.Status = TaskPending
	}
	if shown.Status != was && offer != nil {
		offer = new(*offer)
		offer.Status = reservation
	}
	shown.Reservation = offer
	return shown
}

// Status is that of the conversation within the turn: active while a task that the agent may read of waits or is
// assigned. The tasks are those that [Turn.TaskOf] returns.
func (t Turn) Status(now ConversationStatus, tasks iter.Seq[*Task]) ConversationStatus {
	if t.Whole() {
		return now
	}
	for task := range tasks {
		if task.Status.Waiting() || task.Status == TaskAssigned {
			return ConversationActive
		}
	}
	return now
}

// Event tells whether the agent may read of an event: of a task that they made by a transfer, until the transfer ended.
func (t Turn) Event(e Event, transfers []Transfer) bool {
	if t.Includes(e.At) || e.Agent == t.Agent {
		return true
	}
	x := t.made(e.Task, transfers)
	return x != nil && (x.EndedAt.IsZero() || !e.At.After(x.EndedAt))
}

// made returns the agent's own transfer that made the task, nil for none.
func (t Turn) made(task string, transfers []Transfer) *Transfer {
	for i := range transfers {
		if transfers[i].Task == task && transfers[i].From == t.Agent {
			return &transfers[i]
		}
	}
	return nil
}

// LastTurn is the turn of an agent who may read the conversation, or was able to: the last of theirs that ended. Of an agent
// who never had it, it includes nothing.
func LastTurn(agent string, tasks iter.Seq[*Task]) Turn {
	turn, may := TurnOf(agent, tasks)
	if may {
		return turn
	}
	turn = Turn{Agent: agent, Until: time.Unix(0, 1)}
	for task := range tasks {
		if task.Agent == agent && !task.WrappingAt.IsZero() {
			turn.Until, turn.Task = task.WrappingAt, task.SID
		}
	}
	return turn
}

// Refusal is what the agent's command is refused with, as far as they may know: that the customer's side is over, or all of the
// conversation, is not said to an agent whose turn ended before. They get what the rules say of the conversation as it was
// at the end of their turn. Other refusals, and errors that are none, are returned as they are.
func (t Turn) Refusal(c Command, s State, refused error) error {
	if CodeOf(refused) != CodeConversationClosed || t.Whole() {
		return refused
	}
	then := State{Conversation: s.Conversation, Status: ConversationActive, Channel: s.Channel, Settings: s.Settings}
	own := make([]Transfer, len(s.Transfers))
	for i, x := range s.Transfers {
		own[i] = *x
	}
	for _, x := range t.Transfers(own) {
		then.Transfers = append(then.Transfers, &x)
	}
	for _, task := range s.Tasks {
		if shown, may := t.TaskOf(*task, own); may {
			then.Tasks = append(then.Tasks, &shown)
		}
	}
	if len(then.Tasks) > 0 && t.Status(s.Status, slices.Values(then.Tasks)) != ConversationActive {
		return refused
	}
	if _, refusal := c.decide(&then, t.Until); refusal != nil {
		return refusal
	}
	return Refuse(CodeNotYourTask, Details{Agent: t.Agent}, "%s does not have this conversation: their turn has ended", t.Agent)
}
