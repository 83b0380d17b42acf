package conversation

import (
	"iter"
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

// Transfers returns the transfers that the agent may read of.
func (t Turn) Transfers(transfers []Transfer) []Transfer {
	kept := make([]Transfer, 0, len(transfers))
	for _, x := range transfers {
		if t.Includes(x.CreatedAt) || x.From == t.Agent {
			kept = append(kept, x)
		}
	}
	return kept
}

// TaskOf tells whether the agent may read of a task, and returns it without what another agent wrote at the end of a later
// turn. The transfers are those of its conversation.
func (t Turn) TaskOf(task Task, transfers []Transfer) (shown Task, may bool) {
	if t.Whole() || task.Agent == t.Agent {
		return task, true
	}
	if !t.Includes(task.CompletedAt) || !t.Includes(task.CanceledAt) {
		task.Disposition, task.WrapupNote = "", ""
	}
	return task, t.Includes(task.CreatedAt) || t.made(task.SID, transfers) != nil
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
