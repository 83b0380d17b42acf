package conversation

import "time"

// EventName is the name TaskRouter gives an event.
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

// Event is one thing that happened. Events are numbered from 1 in each conversation, without gaps.
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
	// Transfer is set in the events of a transfer.
	Transfer string `json:"transfer,omitempty"`
	// Reason is a sentence or a code for people to read: a [Reason], the words of a decline, a disposition. Programs
	// read the fields below instead.
	Reason string `json:"reason,omitempty"`
	// To is whom the task was sent to: set in the events of a transfer, and in the task.updated of a move.
	To Target `json:"to,omitzero"`
	// Disposition is how the agent left the task: set in task.completed.
	Disposition string `json:"disposition,omitempty"`
	// Cause is why the offer was declined: set in reservation.rejected.
	Cause Cause `json:"cause,omitempty"`
	// Activity is the name of the activity that an agent has now: set in worker.activity.update.
	Activity string `json:"activity,omitempty"`
	// Channel and Capacity are how many tasks of a channel an agent takes now: set in worker.capacity.update.
	Channel  Channel `json:"channel,omitempty"`
	Capacity *int    `json:"capacity,omitempty"`
	// Excused is set where the agent let an offer expire that they couldn't take: they wrapped this conversation up.
	Excused bool `json:"excused,omitempty"`
	// By is who did it for the agent.
	By string `json:"by,omitempty"`
}

// Cause tells who declined an offer.
type Cause string

// The agent did, or the desk for an agent who was not available any more.
const (
	CauseAgent       Cause = "agent"
	CauseUnavailable Cause = "agent_unavailable"
)

// NoteKind tells what a note was left with.
type NoteKind string

// The kinds of note.
const (
	NoteTransfer NoteKind = "transfer"
	NoteWrapup   NoteKind = "wrapup"
)

// Note is what an agent leaves for agents and supervisors; never for the customer.
type Note struct {
	SID       string    `json:"sid"`
	Kind      NoteKind  `json:"kind"`
	Task      string    `json:"task,omitempty"`
	Transfer  string    `json:"transfer,omitempty"`
	Author    string    `json:"author"`
	Text      string    `json:"text"`
	CreatedAt time.Time `json:"created_at"`
}

// Snapshot is what a conversation tells the desk: itself as it is now, and what the desk has not
// acknowledged yet. Applied once or many times, it leaves the desk's rows equal to the conversation.
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
	// Chain is the ID of the workflow's first run: continued and reset runs have the same one, another start has not.
	Chain string `json:"chain,omitempty"`
	// Whole is set where the desk may show more than there is: what is neither here nor ended, it ends.
	Whole bool `json:"whole,omitempty"`
	// Tasks are the live ones and those that ended since the last acknowledgement; likewise Transfers. Whole, they are all
	// that the state has.
	Tasks     []*Task     `json:"tasks"`
	Transfers []*Transfer `json:"transfers"`
	// Notes and Events are those since the last acknowledgement, in order.
	Notes  []Note  `json:"notes,omitempty"`
	Events []Event `json:"events"`
}

// Acknowledgement is the desk's answer to a snapshot.
type Acknowledgement struct {
	// Revision is the revision the desk now shows, and Events how many events it has. Where it has more than it was
	// sent, time went back in the conversation: see [State.StepBeyond].
	Revision int `json:"revision"`
	Events   int `json:"events,omitempty"`
	// Known is how many of the first events it was sent the desk had already, where it takes nothing of the rest.
	Known int `json:"known,omitempty"`
	// Matches are matches the desk made of this conversation's waiting tasks.
	Matches []ReserveCommand `json:"placed,omitempty"`
}
