package conversation

import (
	"encoding/json"
	"slices"
	"time"
)

// ConversationStatus is the status of a conversation.
type ConversationStatus string

// A conversation is active while its customer is there, wrapping while only wrapups are open, and then closed.
const (
	ConversationActive   ConversationStatus = "active"
	ConversationWrapping ConversationStatus = "wrapping"
	ConversationClosed   ConversationStatus = "closed"
)

// Channel is the communication channel of a conversation.
type Channel string

// The channels. Conversations on the email channel cannot be transferred yet.
const (
	ChannelWeb       Channel = "web"
	ChannelSMS       Channel = "sms"
	ChannelWhatsApp  Channel = "whatsapp"
	ChannelMessenger Channel = "messenger"
	ChannelChat      Channel = "chat"
	ChannelEmail     Channel = "email"
)

// Channels returns every channel that a conversation can have.
func Channels() []Channel {
	return []Channel{ChannelWeb, ChannelSMS, ChannelWhatsApp, ChannelMessenger, ChannelChat, ChannelEmail}
}

// TaskStatus is the assignment status of a task, as in TaskRouter.
type TaskStatus string

// The statuses of a task. The legal changes are listed in transitions.go.
const (
	TaskPending   TaskStatus = "pending"
	TaskReserved  TaskStatus = "reserved"
	TaskAssigned  TaskStatus = "assigned"
	TaskWrapping  TaskStatus = "wrapping"
	TaskCompleted TaskStatus = "completed"
	TaskCanceled  TaskStatus = "canceled"
)

// Live reports whether a task in this status has not ended.
func (s TaskStatus) Live() bool { return s != TaskCompleted && s != TaskCanceled }

// Waiting reports whether a task in this status has not been accepted by an agent yet.
func (s TaskStatus) Waiting() bool { return s == TaskPending || s == TaskReserved }

// ReservationStatus is the status of a reservation, as in TaskRouter.
type ReservationStatus string

// The statuses of a reservation.
const (
	ReservationPending   ReservationStatus = "pending"
	ReservationAccepted  ReservationStatus = "accepted"
	ReservationRejected  ReservationStatus = "rejected"
	ReservationTimeout   ReservationStatus = "timeout"
	ReservationCanceled  ReservationStatus = "canceled"
	ReservationRescinded ReservationStatus = "rescinded"
	ReservationWrapping  ReservationStatus = "wrapping"
	ReservationCompleted ReservationStatus = "completed"
)

// TransferStatus is the status of a transfer, as in Flex.
type TransferStatus string

// A transfer is active until its task is accepted (completed) or can no longer be accepted (failed).
const (
	TransferActive    TransferStatus = "active"
	TransferCompleted TransferStatus = "completed"
	TransferFailed    TransferStatus = "failed"
)

// Mode is the kind of a transfer: cold or warm.
type Mode string

// In a cold transfer the sender leaves the conversation. In a warm transfer, which is not available yet, the sender
// stays until the receiver has joined.
const (
	ModeCold Mode = "cold"
	ModeWarm Mode = "warm"
)

// Reason is why a transfer failed or a task was canceled.
type Reason string

// The reasons.
const (
	ReasonDeclined           Reason = "declined"
	ReasonExpired            Reason = "expired"
	ReasonCanceled           Reason = "canceled"
	ReasonTaskTimeout        Reason = "task_timeout"
	ReasonConversationClosed Reason = "conversation_closed"
	// ReasonAgentUnavailable occurs in an [Attempt] only: the desk declined the offer because the agent was no
	// longer available.
	ReasonAgentUnavailable Reason = "agent_unavailable"
	// ReasonWorkflowEnded and ReasonReset are set by the desk. An operator ended the conversation's workflow, or
	// reset it to a point before the task or transfer existed.
	ReasonWorkflowEnded Reason = "workflow_ended"
	ReasonReset         Reason = "reset"
)

// DispositionTimeout is the disposition of a wrapup that was completed by its timeout.
const DispositionTimeout = "wrapup_timeout"

// Customer is the customer of a conversation.
type Customer struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

// Attributes are a task's attributes: any JSON value under each key, kept unchanged.
type Attributes map[string]json.RawMessage

// Target is the destination of a transfer or a move. Exactly one of its fields is set.
type Target struct {
	Agent string `json:"agent,omitempty"`
	Queue string `json:"queue,omitempty"`
	// Workflow is the name of a routing workflow. It is refused with target_not_available, because routing
	// workflows are not available yet.
	Workflow string `json:"workflow,omitempty"`
}

// String returns the target as used in sentences: "agent bob", "queue billing".
func (t Target) String() string {
	switch {
	case t.Agent != "":
		return "agent " + t.Agent
	case t.Queue != "":
		return "queue " + t.Queue
	default:
		return "workflow " + t.Workflow
	}
}

// Reservation is the offer of a task to one agent.
type Reservation struct {
	SID       string            `json:"sid"`
	Agent     string            `json:"agent"`
	Status    ReservationStatus `json:"status"`
	CreatedAt time.Time         `json:"created_at,omitzero"`
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
}

// Task is one agent's turn in the conversation.
type Task struct {
	SID    string     `json:"sid"`
	Status TaskStatus `json:"status"`
	Queue  string     `json:"queue"`
	// Agent is the name of the agent that the task is directed to, offered to or assigned to.
	Agent string `json:"agent,omitempty"`
	// Direct is true while the task is meant for Agent only, because it was transferred or moved to that agent and
	// not to a queue.
	Direct bool `json:"direct,omitempty"`
	// Previous is the SID of the task that this task continues.
	Previous string `json:"previous,omitempty"`
	// Transfer is the SID of the transfer that created this task.
	Transfer string `json:"transfer,omitempty"`
	Priority int    `json:"priority,omitempty"`
	// Head puts the task before other tasks of the same priority in its queue.
	Head bool `json:"head,omitempty"`
	// PendingSeq is the number of the last time that the task became pending, counted across all tasks of the
	// conversation. A reserve command must contain it.
	PendingSeq int `json:"placement,omitempty"`
	// Attributes are the task's attributes. They are removed from tasks that ended long ago, see [State.Forget];
	// the desk keeps them.
	Attributes  Attributes   `json:"attributes,omitempty"`
	Reservation *Reservation `json:"reservation,omitempty"`
	CreatedAt   time.Time    `json:"created_at,omitzero"`
	// QueuedAt is when the conversation's first task entered its queue. Tasks of equal priority wait in this order.
	QueuedAt time.Time `json:"queued_at,omitzero"`
	// TimeoutAt is when the task times out if it is still waiting.
	TimeoutAt   time.Time `json:"timeout_at,omitzero"`
	AssignedAt  time.Time `json:"assigned_at,omitzero"`
	WrappingAt  time.Time `json:"wrapping_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	CanceledAt  time.Time `json:"canceled_at,omitzero"`
	// WrapupTimeoutAt is when the wrapup is completed automatically. Absent: never.
	WrapupTimeoutAt time.Time `json:"wrapup_timeout_at,omitzero"`
	Disposition     string    `json:"disposition,omitempty"`
	// WrapupNote is the SID of the note that the agent wrote at wrapup.
	WrapupNote string `json:"wrapup_note,omitempty"`
	// CanceledReason is why the task was canceled.
	CanceledReason Reason `json:"canceled_reason,omitempty"`
}

// OfferedTo reports whether the task is reserved for the agent, who can accept or decline it.
func (t *Task) OfferedTo(agent string) bool {
	return t.Status == TaskReserved && t.Reservation.Agent == agent
}

// Attempt is an offer that was not accepted.
type Attempt struct {
	Agent string `json:"agent"`
	// Reason is [ReasonDeclined], [ReasonExpired] or [ReasonAgentUnavailable].
	Reason Reason `json:"reason"`
	// Words is the text that the agent wrote when declining. It is removed from transfers that ended long ago, see
	// [State.Forget].
	Words string    `json:"words,omitempty"`
	At    time.Time `json:"at"`
}

// Transfer is one transfer of the conversation.
type Transfer struct {
	SID    string         `json:"sid"`
	Mode   Mode           `json:"mode"`
	Status TransferStatus `json:"status"`
	// From is the agent who transferred the conversation, FromTask the SID of the task that this agent had.
	From     string `json:"from"`
	FromTask string `json:"from_task,omitempty"`
	To       Target `json:"to"`
	// Task is the SID of the task created for the receiver.
	Task string `json:"task"`
	// Note is the SID of the transfer's note. The desk stores its text.
	Note          string `json:"note,omitempty"`
	AcceptedBy    string `json:"accepted_by,omitempty"`
	FailureReason Reason `json:"failure_reason,omitempty"`
	// Attempt is the last offer of the transfer's task that was not accepted. Absent while there is none.
	Attempt   Attempt   `json:"attempt,omitzero"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Remembered is a command that was carried out. The same command sent again returns its first outcome.
type Remembered struct {
	ID       string `json:"id"`
	Hash     string `json:"hash"`
	Task     string `json:"task,omitempty"`
	Transfer string `json:"transfer,omitempty"`
	// At is when the command was carried out. Earlier builds did not record it.
	At time.Time `json:"at,omitzero"`
}

// State is the complete state of one conversation. The zero State is a new conversation, which accepts only a
// [StartCommand].
type State struct {
	Conversation string             `json:"conversation"`
	Status       ConversationStatus `json:"status"`
	Channel      Channel            `json:"channel"`
	// Revision is the number of commands carried out.
	Revision  int         `json:"revision"`
	Customer  Customer    `json:"customer"`
	Tasks     []*Task     `json:"tasks"`
	Transfers []*Transfer `json:"transfers"`
	Settings  Settings    `json:"settings"`
	// PendingCount is how often tasks became pending, Events the number of events, and SIDs the number of SIDs made
	// for the conversation.
	PendingCount int `json:"placements,omitempty"`
	Events       int `json:"events,omitempty"`
	SIDs         int `json:"sids,omitempty"`
	// DatedSIDs makes new SIDs depend on their time too. A conversation whose workflow is reset, or whose database
	// is restored from an older copy, then never makes the same SID twice. Conversations of earlier builds set it
	// when this happens to them for the first time.
	DatedSIDs bool      `json:"dated_sids,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	ClosedAt  time.Time `json:"closed_at,omitzero"`
	// CloseReason is the reason given by the close command that ended the customer's side.
	CloseReason string `json:"close_reason,omitempty"`
	// Remembered are the last hundred commands that had an ID, oldest first.
	Remembered []Remembered `json:"remembered,omitempty"`
	// Forgotten counts the old tasks and transfers that were removed from the state, see [State.Forget].
	Forgotten Forgotten `json:"forgotten,omitzero"`
}

// RecordedRefusal is the refusal of a signal. A signal has no answer, so the refusal is kept in the record.
type RecordedRefusal struct {
	Command string    `json:"command"`
	Code    Code      `json:"code"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// Record is the answer to the query `conversation`, and what a workflow run passes to the next: the state and the
// last refused signals, oldest first.
type Record struct {
	State
	Refusals []RecordedRefusal `json:"refusals"`
}

// Task returns the task with that SID, nil if there is none.
func (s *State) Task(sid string) *Task {
	return s.lastTask(func(t *Task) bool { return t.SID == sid })
}

// lastTask returns the newest task that matches, nil if there is none.
func (s *State) lastTask(matches func(*Task) bool) *Task {
	for _, t := range slices.Backward(s.Tasks) {
		if matches(t) {
			return t
		}
	}
	return nil
}

// Transfer returns the transfer with that SID, nil if there is none.
func (s *State) Transfer(sid string) *Transfer {
	for _, t := range slices.Backward(s.Transfers) {
		if t.SID == sid {
			return t
		}
	}
	return nil
}

// ActiveTransfer returns the transfer whose task has not been accepted yet, nil if there is none.
func (s *State) ActiveTransfer() *Transfer {
	// At most one transfer is active, and it is always the newest.
	if n := len(s.Transfers); n > 0 && s.Transfers[n-1].Status == TransferActive {
		return s.Transfers[n-1]
	}
	return nil
}

// LiveTasks returns the tasks that have not ended, oldest first.
func (s *State) LiveTasks() []*Task {
	var live []*Task
	for _, t := range s.Tasks {
		if t.Status.Live() {
			live = append(live, t)
		}
	}
	return live
}

// Offers returns the SIDs of the pending reservations.
func (s *State) Offers() []string {
	var offers []string
	for _, t := range s.LiveTasks() {
		if t.Reservation != nil && t.Reservation.Status == ReservationPending {
			offers = append(offers, t.Reservation.SID)
		}
	}
	return offers
}

// Wrapping returns the task of this conversation that the agent is wrapping up, nil if there is none.
func (s *State) Wrapping(agent string) *Task { return s.heldBy(agent, TaskWrapping) }

// heldBy returns the agent's newest task in that status, nil if there is none.
func (s *State) heldBy(agent string, status TaskStatus) *Task {
	return s.lastTask(func(t *Task) bool { return t.Status == status && t.Agent == agent })
}
