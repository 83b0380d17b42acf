package conversation

import "fmt"

// This file finds the task that a command is about, and makes the refusals that several commands share.

// refuseClosed refuses a command to a closed conversation.
func refuseClosed(s *State) *Refusal {
	if s.Status == ConversationClosed {
		return Refuse(CodeConversationClosed, Details{}, "the conversation is closed: nothing of it can be changed any more")
	}
	return nil
}

// refuseCustomerGone refuses a command that makes no sense once the customer's side is over.
func refuseCustomerGone(s *State) *Refusal {
	if s.Status == ConversationWrapping {
		return Refuse(CodeConversationClosed, Details{},
			"the customer's side of the conversation is over: only wrapups can be completed")
	}
	return refuseClosed(s)
}

func noSuchTask(sid string) *Refusal {
	return Refuse(CodeNoSuchTask, Details{Task: sid}, "this conversation has no task %s: see its state for the tasks it has", sid)
}

// notAssigned returns the refusal of a command that needs the agent's task to be assigned.
func notAssigned(s *State, task *Task) *Refusal {
	details := Details{Task: task.SID, Agent: task.Agent}
	if active := s.ActiveTransfer(); active != nil && active.FromTask == task.SID {
		details.Transfer = active.SID
		return Refuse(CodeTaskNotAssigned, details, "%s has transferred task %s to %s with transfer %s: cancel that transfer first",
			task.Agent, task.SID, active.To, active.SID)
	}
	return Refuse(CodeTaskNotAssigned, details, "%s doesn't have the conversation: task %s is %s", task.Agent, task.SID, task.Status)
}

// agentTask returns the agent's task: the named one, else the last one in the wanted status, else the last one.
func agentTask(s *State, agent, sid string, wanted TaskStatus) (*Task, *Refusal) {
	if sid == "" {
		task := s.heldBy(agent, wanted)
		if task == nil {
			task = s.lastTask(func(t *Task) bool { return t.Agent == agent })
		}
		if task == nil {
			return nil, Refuse(CodeNotYourTask, Details{Agent: agent}, "%s has no task in this conversation: see its state for who has it", agent)
		}
		return task, nil
	}
	switch task := s.Task(sid); {
	case task == nil:
		return nil, noSuchTask(sid)
	case task.Agent == "":
		return nil, Refuse(CodeNotYourTask, Details{Task: sid, Agent: agent}, "no agent has task %s: it is %s", sid, task.Status)
	case task.Agent != agent:
		return nil, Refuse(CodeNotYourTask, Details{Task: sid, Agent: agent},
			"task %s is %s's, not %s's: name one of %s's own, or leave it out", sid, task.Agent, agent, agent)
	default:
		return task, nil
	}
}

// offeredTask returns the task that is reserved for the agent. Empty SIDs match any task and any reservation.
func offeredTask(s *State, agent, sid, reservation string) (*Task, *Refusal) {
	if sid != "" && s.Task(sid) == nil {
		return nil, noSuchTask(sid)
	}
	for _, t := range s.Tasks {
		if t.OfferedTo(agent) && (sid == "" || sid == t.SID) && t.Reservation.is(reservation) {
			return t, nil
		}
	}
	return nil, Refuse(CodeNoReservation, Details{Task: sid, Agent: agent}, "no task of this conversation is reserved for %s: %s", agent,
		offerOver(lastOffer(s, agent, sid, reservation)))
}

// lastOffer returns the last task with an offer to the agent that matches, in any status. Empty SIDs match any task
// and any reservation.
func lastOffer(s *State, agent, sid, reservation string) *Task {
	return s.lastTask(func(t *Task) bool {
		return t.Reservation != nil && t.Reservation.Agent == agent && (sid == "" || sid == t.SID) && t.Reservation.is(reservation)
	})
}

// offerOver says what happened to the offer of a task, which is nil if there was none.
func offerOver(t *Task) string {
	if t != nil {
		switch t.Reservation.Status {
		case ReservationAccepted, ReservationWrapping, ReservationCompleted:
			return fmt.Sprintf("they accepted task %s, which is %s", t.SID, t.Status)
		case ReservationRejected:
			return "they declined task " + t.SID
		case ReservationTimeout:
			return fmt.Sprintf("the offer of task %s has expired", t.SID)
		case ReservationCanceled, ReservationRescinded:
			return fmt.Sprintf("the offer of task %s was taken back", t.SID)
		case ReservationPending:
		}
	}
	return "none has been offered to them, or the offer was followed by another"
}

// is reports whether r is the reservation with that SID. An empty SID matches any reservation, even nil.
func (r *Reservation) is(sid string) bool { return sid == "" || (r != nil && r.SID == sid) }
