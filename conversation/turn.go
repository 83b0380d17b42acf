package conversation

import (
	"iter"
	"slices"
	"time"
)

// Turn is the part of a conversation that an agent may read: everything until the end of their turn, and what
// happened to their own transfers until these ended. The zero Turn is the whole conversation.
type Turn struct {
	Agent string
	// Until is when the turn ended, zero while it has not.
	Until time.Time
	// Task is the SID of the wrapping task that ends the turn, "" if no task does.
	Task string
}

// TurnOf returns the part of a conversation that the agent may read, given its tasks in order of creation. An agent
// who has the conversation or an offer of it may read all of it. An agent who is wrapping up may read it up to the
// end of their turn. Other agents may not read it.
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

// Whole reports whether the turn is the whole conversation.
func (t Turn) Whole() bool { return t.Until.IsZero() }

// Includes reports whether the turn includes that time.
func (t Turn) Includes(at time.Time) bool { return t.Whole() || !at.After(t.Until) }

// Transfers returns the transfers that the agent may read. Transfers of other agents are returned as they were at
// the end of the turn.
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

// TaskOf reports whether the agent may read a task, and returns the task as it was at the end of their turn. A task
// that the agent created by a transfer is returned as it was when that transfer ended, if that was after the turn,
// and as it is now if the transfer has not ended. The transfers are those of the conversation.
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

// asOf returns the task as it was at that time, as far as its fields tell.
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

// Status returns the status of the conversation within the turn: active while a task that the agent may read is
// waiting or assigned. The tasks are those that [Turn.TaskOf] returns.
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

// Event reports whether the agent may read an event: one within the turn, one about the agent, or one of a task
// that the agent created by a transfer, until that transfer ended.
func (t Turn) Event(e Event, transfers []Transfer) bool {
	if t.Includes(e.At) || e.Agent == t.Agent {
		return true
	}
	x := t.made(e.Task, transfers)
	return x != nil && (x.EndedAt.IsZero() || !e.At.After(x.EndedAt))
}

// made returns the agent's own transfer that created the task, nil if there is none.
func (t Turn) made(task string, transfers []Transfer) *Transfer {
	for i := range transfers {
		if transfers[i].Task == task && transfers[i].From == t.Agent {
			return &transfers[i]
		}
	}
	return nil
}

// LastTurn returns the turn of an agent who may read the conversation, else the last of the agent's turns that
// ended. For an agent who never had the conversation, the turn includes nothing.
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

// Refusal returns the refusal of the agent's command without what the agent may not know. An agent whose turn ended
// before does not learn that the customer's side, or the whole conversation, is over. The agent gets the refusal for
// the conversation as it was at the end of their turn. Other refusals and other errors are returned unchanged.
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
