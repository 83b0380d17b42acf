package conversation

import "time"

// EventName is the name of an event, as in TaskRouter.
type EventName string

// The events of a conversation.
const (
	EventTaskCreated           EventName = "task.created"
	EventTaskUpdated           EventName = "task.updated"
	EventTaskWrapup            EventName = "task.wrapup"
	EventTaskCompleted         EventName = "task.completed"
	EventTaskCanceled          EventName = "task.canceled"
	EventTaskQueueEntered      EventName = "task-queue.entered"
	EventTransferInitiated     EventName = "task.transfer-initiated"
	EventTransferAttemptFailed EventName = "task.transfer-attempt-failed"
	EventTransferFailed        EventName = "task.transfer-failed"
	EventTransferCanceled      EventName = "task.transfer-canceled"
	EventTransferCompleted     EventName = "task.transfer-completed"
	EventReservationCreated    EventName = "reservation.created"
	EventReservationAccepted   EventName = "reservation.accepted"
	EventReservationRejected   EventName = "reservation.rejected"
	EventReservationTimeout    EventName = "reservation.timeout"
	EventReservationCanceled   EventName = "reservation.canceled"
	EventReservationRescinded  EventName = "reservation.rescinded"
	EventReservationWrapup     EventName = "reservation.wrapup"
	EventReservationCompleted  EventName = "reservation.completed"
)

// Event is a change in a conversation. Events are numbered from 1 in each conversation, without gaps.
type Event struct {
	Number     int        `json:"number"`
	Name       EventName  `json:"name"`
	At         time.Time  `json:"at"`
	Task       string     `json:"task"`
	TaskStatus TaskStatus `json:"task_status"`
	Queue      string     `json:"queue"`
	Priority   int        `json:"priority,omitempty"`
	Agent      string     `json:"agent,omitempty"`
	// Reservation, ReservationStatus and ExpiresAt are set in the events of a reservation.
	Reservation       string            `json:"reservation,omitempty"`
	ReservationStatus ReservationStatus `json:"reservation_status,omitempty"`
	ExpiresAt         time.Time         `json:"expires_at,omitzero"`
	// Transfer is the SID of the transfer that created the task, or that the event is about.
	Transfer string `json:"transfer,omitempty"`
	// Reason is a text for people: a [Reason], the reason of a decline, or a disposition. Programs use the fields
	// below instead.
	Reason string `json:"reason,omitempty"`
	// To is where the task was sent. It is set in the events of a transfer, and in the task.updated of a move.
	To Target `json:"to,omitzero"`
	// Disposition is the result that the agent recorded at wrapup. It is set in task.completed.
	Disposition string `json:"disposition,omitempty"`
	// Cause is why the offer was declined. It is set in reservation.rejected.
	Cause Cause `json:"cause,omitempty"`
	// Activity is the name of the agent's new activity. It is set in worker.activity.update.
	Activity string `json:"activity,omitempty"`
	// Capacity is how many tasks of Channel the agent can now have at a time. Both are set in
	// worker.capacity.update.
	Channel  Channel `json:"channel,omitempty"`
	Capacity *int    `json:"capacity,omitempty"`
	// Excused is true if the agent let an offer expire that they could not accept, because they were wrapping up
	// this conversation.
	Excused bool `json:"excused,omitempty"`
	// By names who gave the command on behalf of the agent.
	By string `json:"by,omitempty"`
}

// Cause is why an offer was declined.
type Cause string

// The agent declined, or the desk declined because the agent was no longer available.
const (
	CauseAgent       Cause = "agent"
	CauseUnavailable Cause = "agent_unavailable"
)

// NoteKind is the kind of a note.
type NoteKind string

// The kinds of notes: written with a transfer or at wrapup.
const (
	NoteTransfer NoteKind = "transfer"
	NoteWrapup   NoteKind = "wrapup"
)

// Note is a text that an agent writes for agents and supervisors. Customers never see it.
type Note struct {
	SID       string    `json:"sid"`
	Kind      NoteKind  `json:"kind"`
	Task      string    `json:"task,omitempty"`
	Transfer  string    `json:"transfer,omitempty"`
	Author    string    `json:"author"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

// Snapshot is a conversation as it is sent to the desk: its current state, and the events and notes that the desk
// has not acknowledged. Applying it once or several times makes the desk's rows equal to the conversation.
type Snapshot struct {
	Conversation string             `json:"conversation"`
	Status       ConversationStatus `json:"status"`
	Channel      Channel            `json:"channel"`
	Customer     Customer           `json:"customer"`
	Revision     int                `json:"revision"`
	CreatedAt    time.Time          `json:"created_at"`
	ClosedAt     time.Time          `json:"closed_at,omitzero"`
	// LastEvent is the number of the conversation's last event.
	LastEvent int `json:"last_event,omitempty"`
	// Chain is the ID of the workflow's first run. Continued and reset runs have the same Chain, another start has
	// a new one.
	Chain string `json:"chain,omitempty"`
	// Whole is true if the snapshot contains every task and transfer. The desk then ends those that it shows as not
	// ended and that the snapshot lacks.
	Whole bool `json:"whole,omitempty"`
	// Tasks and Transfers are those that have not ended, and those that ended since the last acknowledgement. If
	// Whole is set, they are all those of the state.
	Tasks     []*Task     `json:"tasks"`
	Transfers []*Transfer `json:"transfers"`
	// Notes and Events are those since the last acknowledgement, in order.
	Notes  []Note  `json:"notes,omitempty"`
	Events []Event `json:"events"`
}

// Acknowledgement is the desk's answer to a snapshot.
type Acknowledgement struct {
	// Revision is the revision that the desk now shows, and Events the number of events that it has. If the desk
	// has more than it was sent, the conversation went back in time: see [State.StepBeyond].
	Revision int `json:"revision"`
	Events   int `json:"events,omitempty"`
	// Known is how many of the sent events, counted from the first, the desk already had. It is set when the desk
	// takes none of the others.
	Known int `json:"known,omitempty"`
	// Matches are the desk's matches of this conversation's waiting tasks.
	Matches []ReserveCommand `json:"placed,omitempty"`
}
