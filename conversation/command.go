package conversation

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// CommandName is the name of a command. The command's signal and update have the same name.
type CommandName string

// The commands. `start` is the workflow's input, `reserve` is sent by the desk, `expire` by the workflow's timer.
const (
	CommandStart    CommandName = "start"
	CommandTransfer CommandName = "transfer"
	CommandAccept   CommandName = "accept"
	CommandDecline  CommandName = "decline"
	CommandWrapup   CommandName = "wrapup"
	CommandEnd      CommandName = "end"
	CommandCancel   CommandName = "cancel"
	CommandMove     CommandName = "move"
	CommandClose    CommandName = "close"
	CommandReserve  CommandName = "reserve"
	CommandExpire   CommandName = "expire"
)

// ServiceCommands returns the commands that services send as signals or updates.
func ServiceCommands() []CommandName {
	return []CommandName{
		CommandTransfer, CommandAccept, CommandDecline, CommandWrapup,
		CommandEnd, CommandCancel, CommandMove, CommandClose,
	}
}

// commands are all commands, with what they do and how their payload is decoded. An expire has no payload.
var commands = []struct {
	name        CommandName
	description string
	decode      func(name CommandName, payload []byte, id string) (Command, error)
}{
	{CommandStart, "Opens the conversation with a first task in a queue.", decode[StartCommand]},
	{CommandTransfer, "Passes the conversation from its agent to another agent or to a queue, with a note.", decode[TransferCommand]},
	{CommandAccept, "Takes a task that is reserved for the agent; refused while they wrap up this conversation.", decode[AcceptCommand]},
	{CommandDecline, "Turns down a task that is reserved for the agent.", decode[DeclineCommand]},
	{CommandWrapup, "Completes the agent's wrapup.", decode[WrapupCommand]},
	{CommandEnd, "Ends the agent's turn: their task goes to wrapup, and the customer's side is over.", decode[EndCommand]},
	{CommandCancel, "Cancels a transfer that is not accepted yet.", decode[CancelCommand]},
	{CommandMove, "Sends a waiting task to another queue or agent.", decode[MoveCommand]},
	{CommandClose, "Closes the customer's side: waiting tasks are canceled, the agent goes to wrapup.", decode[CloseCommand]},
	{CommandReserve, "The desk's match: reserves a waiting task for an agent.", decode[ReserveCommand]},
	{CommandExpire, "A deadline has passed.", nil},
}

// Description returns one sentence on what the command does, for operators who inspect a workflow. It returns ""
// for a name that is not a command's.
func (n CommandName) Description() string {
	for _, c := range commands {
		if c.name == n {
			return c.description
		}
	}
	return ""
}

// Command is implemented by the command types of this package.
type Command interface {
	// Name returns the name of the command's signal and update.
	Name() CommandName
	// meta returns the fields that every command can carry.
	meta() Meta
	// valid checks the payload alone, without the state.
	valid() *Refusal
	// decide checks the command against the state. It only reads the state.
	decide(s *State, now time.Time) (decision, *Refusal)
}

// asking is a command whose decision needs the desk's facts as well as the state.
type asking interface {
	Command
	factsQuery(s *State) FactsQuery
	judge(s *State, v *Facts) *Refusal
}

// Meta are the fields that every command can carry.
type Meta struct { //nolint:recvcheck // one method writes, the others only read
	// CommandID makes the command safe to repeat: commands with the same ID have one effect.
	CommandID string `json:"command_id,omitempty"`
	// By names who gave the command on behalf of the agent, such as a supervisor or a service.
	By string `json:"by,omitempty"`
	// FirstSentAt is the time of the first attempt to send the command. Clients that retry set it. The command is
	// refused if it may have been carried out since then while its ID is no longer among the last hundred. Absent:
	// not checked.
	FirstSentAt time.Time `json:"first_sent_at,omitzero"`
}

func (m Meta) meta() Meta { return m }

// identify sets the command's ID if it has none.
func (m *Meta) identify(id string) {
	if m.CommandID == "" {
		m.CommandID = id
	}
}

// Limits on the fields of commands, in characters.
const (
	MaxNote       = 2000
	MaxText       = 255
	MaxAttributes = 4096
)

// StartCommand starts a conversation. It is the input of the workflow.
type StartCommand struct {
	// Conversation is the conversation's SID (CH…). The workflow ID is "conversation/" followed by this SID.
	Conversation string   `json:"conversation"`
	Channel      Channel  `json:"channel"`
	Customer     Customer `json:"customer,omitzero"`
	// Queue is the name of the queue in which the first task waits.
	Queue string `json:"queue"`
	// Agent directs the first task to this agent. If the agent does not take it, the task goes to the queue.
	Agent string `json:"agent,omitempty"`
	// Priority puts the task before tasks of lower priority in its queue. 0 is the lowest.
	Priority int `json:"priority,omitempty"`
	// Attributes are copied to every task of the conversation, as at most 4,096 characters of JSON.
	Attributes Attributes `json:"attributes,omitempty"`
}

// TransferCommand transfers the conversation.
type TransferCommand struct {
	From string `json:"from"`
	To   Target `json:"to"`
	// Mode is the kind of transfer. Absent: cold.
	Mode Mode `json:"mode,omitempty"`
	// Note is the text of the note (at most 2,000 characters), or the SID (KQ…) of a note that the desk already
	// stores.
	Note string `json:"note,omitempty"`
	Meta
}

// AcceptCommand accepts a reserved task. Task is optional. Reservation is optional; if set, it must be the SID of
// the agent's current reservation, because the same task can be offered to the same agent more than once.
type AcceptCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	Meta
}

// DeclineCommand declines a reserved task. Task and Reservation are as in [AcceptCommand].
type DeclineCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	Reason      string `json:"reason,omitempty"`
	// Unavailable is set by the desk when it declines for an agent who is no longer available.
	Unavailable bool `json:"unavailable,omitempty"`
	Meta
}

// WrapupCommand completes a wrapup. Task is optional.
type WrapupCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Disposition string `json:"disposition,omitempty"`
	// Note is the text of a note (at most 2,000 characters), which the desk stores.
	Note string `json:"note,omitempty"`
	Meta
}

// EndCommand ends an agent's turn. Task is optional.
type EndCommand struct {
	Agent string `json:"agent"`
	Task  string `json:"task,omitempty"`
	Meta
}

// CancelCommand cancels a transfer. Agent is the agent who made it. Transfer is optional.
type CancelCommand struct {
	Agent    string `json:"agent"`
	Transfer string `json:"transfer,omitempty"`
	Meta
}

// MoveCommand moves a waiting task to another queue or agent. Task is optional.
type MoveCommand struct {
	Task string `json:"task,omitempty"`
	To   Target `json:"to"`
	Meta
}

// CloseCommand closes the customer's side. If Task is set, it does so only while that task waits.
type CloseCommand struct {
	Task   string `json:"task,omitempty"`
	Reason string `json:"reason,omitempty"`
	Meta
}

// ReserveCommand is the desk's match of a waiting task and an available agent.
type ReserveCommand struct {
	Task  string `json:"task"`
	Agent string `json:"agent"`
	// PendingSeq is the task's number when the desk matched it. If the task has another number now, the match is
	// stale.
	PendingSeq int `json:"placement"`
	// Reservation is the SID that the desk gave the match. Absent: the conversation makes one.
	Reservation string `json:"reservation,omitempty"`
	Meta
}

// ExpireCommand carries out the earliest deadline if it has passed. It has no payload.
type ExpireCommand struct{ Meta }

// Name implements [Command].
func (StartCommand) Name() CommandName { return CommandStart }

// Name implements [Command].
func (TransferCommand) Name() CommandName { return CommandTransfer }

// Name implements [Command].
func (AcceptCommand) Name() CommandName { return CommandAccept }

// Name implements [Command].
func (DeclineCommand) Name() CommandName { return CommandDecline }

// Name implements [Command].
func (WrapupCommand) Name() CommandName { return CommandWrapup }

// Name implements [Command].
func (EndCommand) Name() CommandName { return CommandEnd }

// Name implements [Command].
func (CancelCommand) Name() CommandName { return CommandCancel }

// Name implements [Command].
func (MoveCommand) Name() CommandName { return CommandMove }

// Name implements [Command].
func (CloseCommand) Name() CommandName { return CommandClose }

// Name implements [Command].
func (ReserveCommand) Name() CommandName { return CommandReserve }

// Name implements [Command].
func (ExpireCommand) Name() CommandName { return CommandExpire }

func (StartCommand) meta() Meta { return Meta{} }

// Decode decodes the JSON payload of a command from outside. It refuses with invalid_payload: a name that is not a
// command's, an absent payload, null, anything other than an object, and a field of the wrong type. Unknown fields
// are ignored. The id becomes the command's ID if the payload has none; it is the ID of an update, and may be
// empty.
func Decode(name CommandName, payload []byte, id string) (Command, error) {
	for _, c := range commands {
		if c.name == name && c.decode != nil {
			return c.decode(name, payload, id)
		}
	}
	return nil, Refuse(CodeInvalidPayload, Details{}, "%s is not a command: use %s", quoted(string(name)), joinNames(ServiceCommands()))
}

// Identified returns the command with that ID if it has none of its own, so that it can be repeated.
func Identified(c Command, id string) (Command, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode the %s: %w", c.Name(), err)
	}
	return Decode(c.Name(), payload, id)
}

// IDOf returns the command's ID, "" if it has none.
func IDOf(c Command) string { return c.meta().CommandID }

func decode[C Command](name CommandName, payload []byte, id string) (Command, error) {
	var command C
	if trimmed := bytes.TrimSpace(payload); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, Refuse(CodeInvalidPayload, Details{}, "%s takes one JSON object; see docs/messages.md for its fields", name)
	}
	if err := json.Unmarshal(payload, &command); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			field := strings.TrimPrefix(wrong.Field, "Meta.") // encoding/json names embedded structs too
			return nil, Refuse(CodeInvalidPayload, Details{Field: field},
				"%s: the field %q can't be a JSON %s; see docs/messages.md", name, field, wrong.Value)
		}
		return nil, Refuse(CodeInvalidPayload, Details{}, "%s: the payload isn't valid JSON; see docs/messages.md", name)
	}
	if named, ok := any(&command).(interface{ identify(id string) }); ok {
		named.identify(id)
	}
	return command, nil
}

func (c StartCommand) valid() *Refusal {
	switch {
	case !IsSID(PrefixConversation, c.Conversation):
		return invalid("conversation", "start: conversation has to be CH and 32 lower-case hex digits")
	case !slices.Contains(Channels(), c.Channel):
		return invalid("channel", "start: there is no channel %s: use one of %s", quoted(string(c.Channel)), joinNames(Channels()))
	case c.Priority < 0:
		return invalid("priority", "start: priority can't be negative")
	}
	if refusal := c.Attributes.valid(); refusal != nil {
		return refusal
	}
	return firstOf(required("start", "queue", c.Queue), short("start", "agent", c.Agent, MaxText), short("start", "customer.name", c.Customer.Name, MaxText),
		short("start", "customer.address", c.Customer.Address, MaxText))
}

func (c TransferCommand) valid() *Refusal {
	if c.Mode != "" && c.Mode != ModeCold && c.Mode != ModeWarm {
		return invalid("mode", "transfer: there is no mode %s: use cold", quoted(string(c.Mode)))
	}
	return firstOf(name("transfer", "from", c.From), validTarget("transfer", c.To), validNote("transfer", c.Note), validMeta(c))
}

func (c AcceptCommand) valid() *Refusal {
	return firstOf(name("accept", "agent", c.Agent), sid("accept", "task", c.Task), sid("accept", "reservation", c.Reservation), validMeta(c))
}

func (c DeclineCommand) valid() *Refusal {
	return firstOf(name("decline", "agent", c.Agent), sid("decline", "task", c.Task),
		sid("decline", "reservation", c.Reservation), short("decline", "reason", c.Reason, MaxText), validMeta(c))
}

func (c WrapupCommand) valid() *Refusal {
	return firstOf(name("wrapup", "agent", c.Agent), sid("wrapup", "task", c.Task), short("wrapup", "disposition", c.Disposition, MaxText),
		validNote("wrapup", c.Note), validMeta(c))
}

func (c EndCommand) valid() *Refusal {
	return firstOf(name("end", "agent", c.Agent), sid("end", "task", c.Task), validMeta(c))
}

func (c CancelCommand) valid() *Refusal {
	return firstOf(name("cancel", "agent", c.Agent), sid("cancel", "transfer", c.Transfer), validMeta(c))
}

func (c MoveCommand) valid() *Refusal {
	return firstOf(sid("move", "task", c.Task), validTarget("move", c.To), validMeta(c))
}

func (c CloseCommand) valid() *Refusal {
	return firstOf(sid("close", "task", c.Task), short("close", "reason", c.Reason, MaxText), validMeta(c))
}

func (c ReserveCommand) valid() *Refusal {
	if c.Reservation != "" && !IsSID(PrefixReservation, c.Reservation) {
		return invalid("reservation", "reserve: reservation has to be WR and 32 lower-case hex digits")
	}
	return firstOf(required("reserve", "task", c.Task), name("reserve", "agent", c.Agent), validMeta(c))
}

func (ExpireCommand) valid() *Refusal { return nil }

func invalid(field, format string, args ...any) *Refusal {
	return Refuse(CodeInvalidPayload, Details{Field: field}, format, args...)
}

func firstOf(refusals ...*Refusal) *Refusal {
	for _, r := range refusals {
		if r != nil {
			return r
		}
	}
	return nil
}

// quoted quotes a value from a payload for a sentence, shortened to 60 characters.
func quoted(value string) string {
	const enough = 60
	if runes := []rune(value); len(runes) > enough {
		value = string(runes[:enough]) + "…"
	}
	return strconv.Quote(value)
}

func required(command, field, value string) *Refusal {
	if value == "" {
		return invalid(field, "%s: the field %q is missing: see docs/messages.md", command, field)
	}
	return short(command, field, value, MaxText)
}

// namePattern matches the names of agents and queues.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

// name refuses a value that cannot be the name of an agent or a queue. [judgeNames] checks the names in a start,
// and those of the target of a transfer or a move.
func name(command, field, value string) *Refusal {
	if value != "" && namePattern.MatchString(value) {
		return nil
	}
	if refusal := required(command, field, value); refusal != nil {
		return refusal
	}
	return notAName(command, field, value)
}

func notAName(command, field, value string) *Refusal {
	return invalid(field, `%s: %s is not a name: use 1 to 64 lower-case letters, digits, "_", "." and "-", the first a letter or a digit`,
		command, quoted(value))
}

// judgeNames refuses values that cannot be names, after the desk has answered. Recorded histories would not replay
// if the values were refused before the desk is asked.
func judgeNames(command CommandName, agentField, agent, queueField, queue string) *Refusal {
	switch {
	case agent != "" && !namePattern.MatchString(agent):
		return notAName(string(command), agentField, agent)
	case queue != "" && !namePattern.MatchString(queue):
		return notAName(string(command), queueField, queue)
	}
	return nil
}

func short(command, field, value string, limit int) *Refusal {
	switch {
	case utf8.RuneCountInString(value) > limit:
		return invalid(field, "%s: %s can have at most %d characters", command, field, limit)
	case strings.ContainsRune(value, 0):
		return invalid(field, "%s: %s has a character U+0000, which no database keeps: leave it out", command, field)
	}
	return nil
}

// sid refuses a value that is too long to be a SID. Unknown SIDs are refused when they are looked up.
func sid(command, field, value string) *Refusal { return short(command, field, value, MaxText) }

func validNote(command, note string) *Refusal {
	if note != "" && strings.TrimSpace(note) == "" {
		return invalid("note", "%s: the note is blank: write it, or leave it out", command)
	}
	return short(command, "note", note, MaxNote)
}

func validTarget(command string, to Target) *Refusal {
	named := 0
	for _, name := range []string{to.Agent, to.Queue, to.Workflow} {
		if name != "" {
			named++
		}
	}
	if named != 1 {
		return invalid("to", `%s: "to" names either an agent or a queue, as in {"to":{"queue":"billing"}}`, command)
	}
	return firstOf(short(command, "to.agent", to.Agent, MaxText), short(command, "to.queue", to.Queue, MaxText),
		short(command, "to.workflow", to.Workflow, MaxText))
}

// maxCommandID is the longest update ID that Temporal allows. The update ID serves as the command ID.
const maxCommandID = 1000

func validMeta(c Command) *Refusal {
	return firstOf(short(string(c.Name()), "command_id", c.meta().CommandID, maxCommandID),
		short(string(c.Name()), "by", c.meta().By, MaxText))
}

func joinNames[T ~string](names []T) string {
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = string(name)
	}
	return strings.Join(parts, ", ")
}

// hashOf returns a hash of the payload, which tells two payloads with the same command ID apart.
func hashOf(c Command) string {
	encoded, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a %s command can't be encoded: %v", c.Name(), err)) // not reached: its fields came from JSON
	}
	if sent := c.meta().FirstSentAt; !sent.IsZero() { // FirstSentAt is not part of the command's identity
		encoded = bytes.Replace(encoded, []byte(`,"first_sent_at":"`+sent.Format(time.RFC3339Nano)+`"`), nil, 1)
	}
	sum := sha256.Sum256(append([]byte(c.Name()+" "), encoded...))
	return hex.EncodeToString(sum[:8])
}
