package check

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// past is a conversation rebuilt from its events, one event after the other. This way every past state can be
// checked, not only those that the driver read. What the events do not contain (a task's predecessor) is taken from
// the current state.
type past struct {
	now   conversation.Record
	state conversation.State
	over  bool // the customer's side has ended
}

// always is used where only it matters that a time is set.
var always = time.Unix(1, 0)

// group is the events of one command. They have the same time and the same sender.
type group struct {
	by     string
	events []conversation.Event
}

// groupsOf splits events into those of each command. It cannot separate two consecutive commands at the same time
// without a sender.
func groupsOf(events []conversation.Event) []group {
	var groups []group
	for i, e := range events {
		if i == 0 || e.By != events[i-1].By || !e.At.Equal(events[i-1].At) {
			groups = append(groups, group{by: e.By})
		}
		last := &groups[len(groups)-1]
		last.events = append(last.events, e)
	}
	return groups
}

// brokenPast rebuilds the conversation's states from its events. It returns how many there were, and as an error
// every broken invariant and every difference between the last one and the current state. ends reports whether the
// sender meant to end the customer's side.
func brokenPast(now conversation.Record, events []conversation.Event, ends func(by string) bool) (states int, err error) {
	p := &past{now: now, state: conversation.State{Conversation: now.Conversation, Status: conversation.ConversationActive}}
	var wrong []error
	for _, g := range groupsOf(events) {
		for _, e := range g.events {
			p.take(e)
		}
		states++
		if err := p.settle(g, ends); err != nil {
			wrong = append(wrong, err)
		}
		if err := p.state.Broken(); err != nil {
			wrong = append(wrong, fmt.Errorf("after event %d of %s, by %q: %w", g.events[len(g.events)-1].Number, now.Conversation, g.by, err))
		}
	}
	if p.state.Status != now.Status {
		wrong = append(wrong, fmt.Errorf("%s is %s, and by its events %s", now.Conversation, now.Status, p.state.Status))
	}
	for _, task := range now.Tasks {
		if told := p.state.Task(task.SID); told == nil || told.Status != task.Status {
			wrong = append(wrong, fmt.Errorf("task %s of %s is %s, and not by its events", task.SID, now.Conversation, task.Status))
		}
	}
	return states, errors.Join(wrong...)
}

// take applies the event to the state.
func (p *past) take(e conversation.Event) {
	if e.Name == conversation.EventTaskCreated {
		task := &conversation.Task{SID: e.Task, Status: conversation.TaskPending, Queue: e.Queue, TimeoutAt: always}
		if now := p.now.Task(e.Task); now != nil {
			task.Previous, task.Transfer = now.Previous, now.Transfer
		}
		p.state.Tasks = append(p.state.Tasks, task)
		return
	}
	task := p.state.Task(e.Task)
	if task == nil {
		return // the task's first event is missing: the check for gaps finds it
	}
	if e.Reservation != "" {
		p.reserve(task, e)
	}
	switch e.Name {
	case conversation.EventTransferInitiated:
		p.state.Transfers = append(p.state.Transfers, &conversation.Transfer{SID: e.Transfer, Status: conversation.TransferActive, From: e.Agent, Task: e.Task})
		if now := p.now.Transfer(e.Transfer); now != nil {
			p.state.Transfers[len(p.state.Transfers)-1].FromTask = now.FromTask
		}
	case conversation.EventTransferCompleted, conversation.EventTransferFailed, conversation.EventTransferCanceled:
		p.endTransfer(e)
	case conversation.EventTaskWrapup, conversation.EventTaskCompleted, conversation.EventTaskCanceled:
		task.Status = e.TaskStatus
	case conversation.EventTaskQueueEntered:
		task.Status, task.Agent, task.Queue = conversation.TaskPending, "", e.Queue
	case conversation.EventTaskCreated, conversation.EventTaskUpdated, conversation.EventTransferAttemptFailed,
		conversation.EventReservationCreated, conversation.EventReservationAccepted, conversation.EventReservationRejected,
		conversation.EventReservationTimeout, conversation.EventReservationCanceled, conversation.EventReservationRescinded,
		conversation.EventReservationWrapup, conversation.EventReservationCompleted: // the state needs nothing from them
	}
}

// reserve applies an event of the task's reservation to the task.
func (p *past) reserve(task *conversation.Task, e conversation.Event) {
	if e.Name == conversation.EventReservationCreated {
		task.Reservation = &conversation.Reservation{SID: e.Reservation, Agent: e.Agent, ExpiresAt: e.ExpiresAt}
		task.Agent = e.Agent
	}
	if task.Reservation == nil || task.Reservation.SID != e.Reservation {
		return
	}
	task.Reservation.Status = e.ReservationStatus
	switch e.ReservationStatus {
	case conversation.ReservationPending:
		task.Status = conversation.TaskReserved
	case conversation.ReservationAccepted:
		task.Status = conversation.TaskAssigned
	case conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationRescinded:
		task.Status, task.Agent = conversation.TaskPending, "" // unless the task ends with it, which the next event says
	case conversation.ReservationWrapping:
		task.Status = conversation.TaskWrapping
	case conversation.ReservationCompleted:
		task.Status = conversation.TaskCompleted
	case conversation.ReservationCanceled: // with its task
	}
}

func (p *past) endTransfer(e conversation.Event) {
	transfer := p.state.Transfer(e.Transfer)
	if transfer == nil {
		return
	}
	transfer.EndedAt = e.At
	if e.Name == conversation.EventTransferCompleted {
		transfer.Status, transfer.AcceptedBy = conversation.TransferCompleted, e.Agent
		return
	}
	transfer.Status, transfer.FailureReason = conversation.TransferFailed, conversation.Reason(e.Reason)
}

// settle finds out whether the customer's side has ended. It returns an error if it ended without a command to end
// it.
func (p *past) settle(g group, ends func(by string) bool) error {
	open, live := 0, 0
	for _, t := range p.state.Tasks {
		if t.Status.Waiting() || t.Status == conversation.TaskAssigned {
			open++
		}
		if t.Status.Live() {
			live++
		}
	}
	var err error
	if open == 0 && !p.over {
		timedOut := slices.ContainsFunc(g.events, func(e conversation.Event) bool {
			return e.Name == conversation.EventTaskCanceled && e.Reason == string(conversation.ReasonTaskTimeout)
		})
		if !timedOut && !ends(g.by) {
			err = fmt.Errorf("I3 is broken: no agent has %s after event %d, and %q was not meant to end it",
				p.now.Conversation, g.events[len(g.events)-1].Number, g.by)
		}
		p.over = true
	}
	switch {
	case p.over && live == 0:
		p.state.Status = conversation.ConversationClosed
	case p.over:
		p.state.Status = conversation.ConversationWrapping
	}
	return err
}
