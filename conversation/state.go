package conversation

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

// ConversationStatus tells whether the customer is still there.
type ConversationStatus string

// A conversation is active while its customer is there, wrapping while only wrapups are open, then closed.
const (
	ConversationActive   ConversationStatus = "active"
	ConversationWrapping ConversationStatus = "wrapping"
	ConversationClosed   ConversationStatus = "closed"
)

// Channel is the medium a conversation is on.
type Channel string

// The messaging channels. Email is known, and can't be transferred yet.
const (
	ChannelWeb       Channel = "web"
	ChannelSMS       Channel = "sms"
	ChannelWhatsApp  Channel = "whatsapp"
	ChannelMessenger Channel = "messenger"
	ChannelChat      Channel = "chat"
	ChannelEmail     Channel = "email"
)

// Channels returns every channel a conversation may be on.
func Channels() []Channel {
	return []Channel{ChannelWeb, ChannelSMS, ChannelWhatsApp, ChannelMessenger, ChannelChat, ChannelEmail}
}

// TaskStatus is TaskRouter's assignment status.
type TaskStatus string

// The statuses of a task; transitions.go tells how one becomes another.
const (
	TaskPending   TaskStatus = "pending"
	TaskReserved  TaskStatus = "reserved"
	TaskAssigned  TaskStatus = "assigned"
	TaskWrapping  TaskStatus = "wrapping"
	TaskCompleted TaskStatus = "completed"
	TaskCanceled  TaskStatus = "canceled"
)

// Live tells whether a task in this status still has something to happen to it.
func (s TaskStatus) Live() bool { return s != TaskCompleted && s != TaskCanceled }

// Waiting tells whether a task in this status has no agent yet.
func (s TaskStatus) Waiting() bool { return s == TaskPending || s == TaskReserved }

// ReservationStatus is TaskRouter's reservation status.
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

// TransferStatus is the status of a Flex transfer.
type TransferStatus string

// A transfer is active until its task is accepted (completed) or will not be (failed).
const (
	TransferActive    TransferStatus = "active"
	TransferCompleted TransferStatus = "completed"
	TransferFailed    TransferStatus = "failed"
)

// Mode is how a transfer is made.
type Mode string

// Cold transfers leave the sender; warm ones, not available yet, keep them on until the receiver has joined.
const (
	ModeCold Mode = "cold"
	ModeWarm Mode = "warm"
)

// Reason tells why a transfer failed or a task was canceled.
type Reason string

// The reasons.
const (
	ReasonDeclined           Reason = "declined"
	ReasonExpired            Reason = "expired"
	ReasonCanceled           Reason = "canceled"
	ReasonTaskTimeout        Reason = "task_timeout"
	ReasonConversationClosed Reason = "conversation_closed"
	// ReasonAgentUnavailable is that of an [Attempt] only: the desk declined for an agent who was not available any more.
	ReasonAgentUnavailable Reason = "agent_unavailable"
	// ReasonWorkflowEnded and ReasonReset are the desk's: the conversation's workflow was ended from outside, or set back to
	// before there was the task or transfer.
	ReasonWorkflowEnded Reason = "workflow_ended"
	ReasonReset         Reason = "reset"
)

// DispositionTimeout is the disposition of a wrapup that completed itself.
const DispositionTimeout = "wrapup_timeout"

// Customer is the person whom the conversation is for.
type Customer struct {
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
}

// Attributes are a task's attributes: any JSON under each key, kept as it came.
type Attributes map[string]json.RawMessage

// Target is whom a transfer or a move goes to: exactly one of its fields is set.
type Target struct {
	Agent string `json:"agent,omitempty"`
	Queue string `json:"queue,omitempty"`
	// Workflow names a routing workflow; refused with target_not_available until routing workflows come.
	Workflow string `json:"workflow,omitempty"`
}

// String names the target for a sentence: "agent bob", "queue billing".
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

// Task is one agent's turn with the conversation.
type Task struct {
	SID    string     `json:"sid"`
	Status TaskStatus `json:"status"`
	Queue  string     `json:"queue"`
	// Agent is whom the task is meant for, offered to or taken by.
	Agent string `json:"agent,omitempty"`
	// Direct is set while the task is meant for Agent alone: transferred or moved to them, not to a queue.
	Direct bool `json:"direct,omitempty"`
	// Previous is the SID of the task this one takes the conversation over from.
	Previous string `json:"previous,omitempty"`
	// Transfer is the SID of the transfer that made this task.
	Transfer string `json:"transfer,omitempty"`
	Priority int    `json:"priority,omitempty"`
	// Head puts the task before others of its priority in its queue.
	Head bool `json:"head,omitempty"`
	// PendingSeq numbers the task's times of becoming pending, across the conversation: a `reserve` must name it.
	PendingSeq int `json:"placement,omitempty"`
	// Attributes are dropped from tasks that ended long ago, see [State.Forget]; the desk keeps them.
	Attributes  Attributes   `json:"attributes,omitempty"`
	Reservation *Reservation `json:"reservation,omitempty"`
	CreatedAt   time.Time    `json:"created_at,omitzero"`
	// QueuedAt is when the conversation's first task entered its queue; tasks of a priority wait in its order.
	QueuedAt time.Time `json:"queued_at,omitzero"`
	// TimeoutAt is when the task times out, if it still waits then.
	TimeoutAt   time.Time `json:"timeout_at,omitzero"`
	AssignedAt  time.Time `json:"assigned_at,omitzero"`
	WrappingAt  time.Time `json:"wrapping_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	CanceledAt  time.Time `json:"canceled_at,omitzero"`
	// WrapupTimeoutAt is when the wrapup completes itself.
	WrapupTimeoutAt time.Time `json:"wrapup_timeout_at,omitzero"`
	Disposition     string    `json:"disposition,omitempty"`
	// WrapupNote is the SID of the note left with the wrapup.
	WrapupNote string `json:"wrapup_note,omitempty"`
	// CanceledReason tells why the task was canceled.
	CanceledReason Reason `json:"canceled_reason,omitempty"`
}

// OfferedTo tells whether the task is reserved for the agent, who may accept or decline it.
func (t *Task) OfferedTo(agent string) bool {
	return t.Status == TaskReserved && t.Reservation.Agent == agent
}

// Attempt is an offer that was not accepted.
type Attempt struct {
	Agent string `json:"agent"`
	// Reason is [ReasonDeclined], [ReasonExpired] or [ReasonAgentUnavailable].
	Reason Reason `json:"reason"`
	// Words are what the agent wrote when they declined; dropped from transfers that ended long ago, see [State.Forget].
	Words string    `json:"words,omitempty"`
	At    time.Time `json:"at"`
}

// Transfer is one passing-on of the conversation.
type Transfer struct {
	SID    string         `json:"sid"`
	Mode   Mode           `json:"mode"`
	Status TransferStatus `json:"status"`
	// From is the agent who passed the conversation on, FromTask the task they had it under.
	From     string `json:"from"`
	FromTask string `json:"from_task,omitempty"`
	To       Target `json:"to"`
	// Task is the task made for the receiver.
	Task string `json:"task"`
	// Note is the SID of the transfer's note; the text is at the desk.
	Note          string `json:"note,omitempty"`
	AcceptedBy    string `json:"accepted_by,omitempty"`
	FailureReason Reason `json:"failure_reason,omitempty"`
	// Attempt is the last offer of the transfer's task that was not accepted, zero while there is none.
	Attempt   Attempt   `json:"attempt,omitzero"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
}

// Remembered is a command that was carried out: sent again, it returns its first outcome.
type Remembered struct {
	ID       string `json:"id"`
	Hash     string `json:"hash"`
	Task     string `json:"task,omitempty"`
	Transfer string `json:"transfer,omitempty"`
	// At is when it was carried out. Earlier builds did not note it.
	At time.Time `json:"at,omitzero"`
}

// State is everything there is to know of one conversation. The zero State is a new conversation,
// which takes only [Start].
type State struct {
	Conversation string             `json:"conversation"`
	Status       ConversationStatus `json:"status"`
	Channel      Channel            `json:"channel"`
	// Revision counts the commands carried out.
	Revision  int         `json:"revision"`
	Customer  Customer    `json:"customer"`
	Tasks     []*Task     `json:"tasks"`
	Transfers []*Transfer `json:"transfers"`
	Settings  Settings    `json:"settings"`
	// PendingCount counts the times a task became pending, Events the events, SIDs the SIDs made here.
	PendingCount int `json:"placements,omitempty"`
	Events       int `json:"events,omitempty"`
	SIDs         int `json:"sids,omitempty"`
	// DatedSIDs is set where SIDs derive from their time as well, so that a conversation whose time goes back makes none
	// again. Conversations that began before there was this have it from the first time on that theirs goes back.
	DatedSIDs bool      `json:"dated_sids,omitempty"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	ClosedAt  time.Time `json:"closed_at,omitzero"`
	// CloseReason is what the `close` that ended the customer's side gave as its reason.
	CloseReason string `json:"close_reason,omitempty"`
	// Remembered holds the last hundred commands that had an ID, oldest first.
	Remembered []Remembered `json:"remembered,omitempty"`
	// Forgotten counts the oldest tasks and transfers, which the state has no more, see [State.Forget].
	Forgotten Forgotten `json:"forgotten,omitzero"`
}

// RecordedRefusal is a refused signal: whom nobody waits for, so that it is kept to be seen.
type RecordedRefusal struct {
	Command string    `json:"command"`
	Code    Code      `json:"code"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
}

// Record is what the query `conversation` shows and what a run hands to the next: the state, and
// beside it the last refused signals, oldest first.
type Record struct {
	State
	Refusals []RecordedRefusal `json:"refusals"`
}

// Task returns the task with that SID, nil where there is none.
func (s *State) Task(sid string) *Task {
	for _, t := range slices.Backward(s.Tasks) {
		if t.SID == sid {
			return t
		}
	}
	return nil
}

// Transfer returns the transfer with that SID, nil where there is none.
func (s *State) Transfer(sid string) *Transfer {
	for _, t := range slices.Backward(s.Transfers) {
		if t.SID == sid {
			return t
		}
	}
	return nil
}

// ActiveTransfer returns the transfer whose task has not been accepted yet, nil where there is none.
func (s *State) ActiveTransfer() *Transfer {
	// Only one is active at a time, and a new one is made only when the one before has ended.
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

// Offers returns the SIDs of the reservations that agents have not answered yet.
func (s *State) Offers() []string {
	var offers []string
	for _, t := range s.LiveTasks() {
		if t.Reservation != nil && t.Reservation.Status == ReservationPending {
			offers = append(offers, t.Reservation.SID)
		}
	}
	return offers
}

// Wrapping returns the task that the agent still wraps up in this conversation, nil where there is none.
func (s *State) Wrapping(agent string) *Task { return s.heldBy(agent, TaskWrapping) }

func (s *State) heldBy(agent string, status TaskStatus) *Task {
	for _, t := range slices.Backward(s.Tasks) {
		if t.Status == status && t.Agent == agent {
			return t
		}
	}
	return nil
}

// latestOf returns the last task that the agent was offered or had, nil where there is none.
func (s *State) latestOf(agent string) *Task {
	for _, t := range slices.Backward(s.Tasks) {
		if t.Agent == agent {
			return t
		}
	}
	return nil
}

// newSID returns the next SID of that prefix: the same in every replay, and unlike any other.
func (s *State) newSID(prefix string, now time.Time) string {
	s.SIDs++
	name := strconv.Itoa(s.SIDs)
	if s.DatedSIDs {
		name += "@" + strconv.FormatInt(now.UnixNano(), 10)
	}
	return derivedSID(prefix, s.Conversation, name)
}
