package conversation

import (
	"strconv"
	"time"
)

// change is a command being carried out: the state, and the events and notes to send to the desk. Its methods
// cannot fail, because `decide` has already checked everything.
type change struct {
	*State
	command CommandName
	by      string
	now     time.Time
	facts   *Facts
	// task and transfer are what the command changed. They become its outcome.
	task     *Task
	transfer *Transfer
	events   []Event
	notes    []Note
}

// newSID returns the next SID with that prefix. It is unique, and the same in every replay.
func (ch *change) newSID(prefix string) string {
	ch.SIDs++
	name := strconv.Itoa(ch.SIDs)
	if ch.DatedSIDs {
		name += "@" + strconv.FormatInt(ch.now.UnixNano(), 10)
	}
	return derivedSID(prefix, ch.Conversation, name)
}

// addEvent adds an event about the task. The function with, if any, completes it.
func (ch *change) addEvent(name EventName, t *Task, with func(*Event)) {
	ch.Events++
	e := Event{
		Number: ch.Events, Name: name, At: ch.now, Task: t.SID, TaskStatus: t.Status, Queue: t.Queue,
		Priority: t.Priority, Agent: t.Agent, Transfer: t.Transfer, By: ch.by,
	}
	if with != nil {
		with(&e)
	}
	ch.events = append(ch.events, e)
}

func (ch *change) setTask(t *Task, status TaskStatus) {
	advance(taskTransitions, &t.Status, status, ch.command)
}

// setReservation changes the status of the task's reservation and adds the event.
func (ch *change) setReservation(t *Task, status ReservationStatus, name EventName, reason string, excused bool) {
	advance(reservationTransitions, &t.Reservation.Status, status, ch.command)
	ch.addEvent(name, t, func(e *Event) {
		e.Agent, e.Reservation, e.ReservationStatus = t.Reservation.Agent, t.Reservation.SID, status
		e.ExpiresAt, e.Reason, e.Excused = t.Reservation.ExpiresAt, reason, excused
	})
}

// newTask adds a pending task that continues previous, which is nil for a conversation's first task.
func (ch *change) newTask(queue string, previous *Task) *Task {
	t := &Task{SID: ch.newSID(PrefixTask), Queue: queue, CreatedAt: ch.now, QueuedAt: ch.now}
	if previous != nil {
		t.Previous, t.Priority, t.QueuedAt, t.Attributes = previous.SID, previous.Priority, previous.QueuedAt, previous.Attributes
	}
	ch.setTask(t, TaskPending)
	ch.Tasks = append(ch.Tasks, t)
	return t
}

// pend makes the task wait in its queue until the desk finds an agent.
func (ch *change) pend(t *Task) {
	if t.Status == TaskReserved {
		ch.setTask(t, TaskPending)
	}
	ch.PendingCount++
	t.Agent, t.Direct, t.PendingSeq = "", false, ch.PendingCount
}

// enter puts the task into a queue and restarts its waiting time.
func (ch *change) enter(t *Task, queue string, head bool) {
	t.Queue, t.Head = queue, head
	ch.startTaskClock(t)
	ch.pend(t)
	ch.addEvent(EventTaskQueueEntered, t, nil)
}

func (ch *change) startTaskClock(t *Task) {
	t.TimeoutAt = ch.now.Add(time.Duration(ch.Settings.TaskTimeout) * time.Second)
}

// direct sends the task to one agent. It is reserved for an available agent; otherwise the setting decides.
func (ch *change) direct(t *Task, agent string) {
	if !ch.facts.AgentAvailable && ch.Settings.AgentUnavailable == AgentUnavailableOriginQueue {
		ch.enter(t, t.Queue, true)
		return
	}
	ch.startTaskClock(t)
	ch.pend(t)
	t.Agent, t.Direct = agent, true
	if ch.facts.AgentAvailable {
		ch.reserve(t, agent, "")
	}
}

// reserve offers the task to the agent until the reservation timeout. If sid is empty, it makes a new SID.
func (ch *change) reserve(t *Task, agent, sid string) {
	if sid == "" {
		sid = ch.newSID(PrefixReservation)
	}
	ch.setTask(t, TaskReserved)
	t.Agent = agent
	t.Reservation = &Reservation{
		SID: sid, Agent: agent, CreatedAt: ch.now,
		ExpiresAt: ch.now.Add(time.Duration(ch.Settings.ReservationTimeout) * time.Second),
	}
	ch.setReservation(t, ReservationPending, EventReservationCreated, "", false)
}

func (ch *change) assign(t *Task) {
	ch.setTask(t, TaskAssigned)
	t.AssignedAt = ch.now
	ch.setReservation(t, ReservationAccepted, EventReservationAccepted, "", false)
	if transfer := ch.ActiveTransfer(); transfer != nil && transfer.Task == t.SID {
		advance(transferTransitions, &transfer.Status, TransferCompleted, ch.command)
		transfer.AcceptedBy = t.Agent
		ch.endTransfer(transfer, EventTransferCompleted, "")
	}
}

func (ch *change) wrap(t *Task) {
	ch.setTask(t, TaskWrapping)
	t.WrappingAt = ch.now
	ch.setReservation(t, ReservationWrapping, EventReservationWrapup, "", false)
	ch.addEvent(EventTaskWrapup, t, nil)
	ch.startWrapupClock(t)
}

// startWrapupClock sets when the wrapup is completed automatically. For the sender of a transfer, the time starts
// when the transfer has ended.
func (ch *change) startWrapupClock(t *Task) {
	if transfer := ch.ActiveTransfer(); transfer != nil && transfer.FromTask == t.SID {
		return
	}
	if ch.Settings.WrapupTimeout > 0 {
		t.WrapupTimeoutAt = ch.now.Add(time.Duration(ch.Settings.WrapupTimeout) * time.Second)
	}
}

func (ch *change) complete(t *Task, disposition string) {
	ch.setTask(t, TaskCompleted)
	t.CompletedAt, t.Disposition = ch.now, disposition
	ch.setReservation(t, ReservationCompleted, EventReservationCompleted, "", false)
	ch.addEvent(EventTaskCompleted, t, func(e *Event) { e.Reason, e.Disposition = disposition, disposition })
}

func (ch *change) cancelTask(t *Task, reason Reason) {
	if t.Status == TaskReserved && t.Reservation.Status == ReservationPending {
		ch.setReservation(t, ReservationCanceled, EventReservationCanceled, string(reason), false)
	}
	ch.setTask(t, TaskCanceled)
	t.CanceledAt, t.CanceledReason = ch.now, reason
	ch.addEvent(EventTaskCanceled, t, func(e *Event) { e.Reason = string(reason) })
}

func (ch *change) failTransfer(transfer *Transfer, reason Reason) {
	advance(transferTransitions, &transfer.Status, TransferFailed, ch.command)
	transfer.FailureReason = reason
	name := EventTransferFailed
	if reason == ReasonCanceled {
		name = EventTransferCanceled
	}
	ch.endTransfer(transfer, name, reason)
}

func (ch *change) endTransfer(transfer *Transfer, name EventName, reason Reason) {
	transfer.EndedAt = ch.now
	ch.transfer = transfer
	ch.addEvent(name, ch.Task(transfer.Task), func(e *Event) { e.Transfer, e.To, e.Reason = transfer.SID, transfer.To, string(reason) })
	if sender := ch.Task(transfer.FromTask); sender != nil && sender.Status == TaskWrapping {
		ch.startWrapupClock(sender)
	}
}

// closeCustomerSide cancels the waiting tasks, starts the wrapup of assigned ones, and fails the active transfer.
func (ch *change) closeCustomerSide(reason Reason) {
	for _, t := range ch.LiveTasks() {
		switch {
		case t.Status.Waiting():
			ch.cancelTask(t, reason)
		case t.Status == TaskAssigned:
			ch.wrap(t)
		}
	}
	if transfer := ch.ActiveTransfer(); transfer != nil {
		ch.failTransfer(transfer, reason)
	}
	advance(conversationTransitions, &ch.Status, ConversationWrapping, ch.command)
}

// settle closes the conversation when the customer's side is over and every task has ended.
func (ch *change) settle() {
	if ch.Status == ConversationWrapping && len(ch.LiveTasks()) == 0 {
		advance(conversationTransitions, &ch.Status, ConversationClosed, ch.command)
		ch.ClosedAt = ch.now
	}
}
