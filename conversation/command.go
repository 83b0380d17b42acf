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

// CommandName names a command; signals and updates have the same names.
type CommandName string

// The commands. `start` is the workflow's input, `reserve` the desk's signal, `expire` the timer's.
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

// ServiceCommands returns the commands that services send, as signals or as updates.
func ServiceCommands() []CommandName {
	return []CommandName{
		CommandTransfer, CommandAccept, CommandDecline, CommandWrapup,
		CommandEnd, CommandCancel, CommandMove, CommandClose,
	}
}

// Description says in a sentence what the command does, for whoever inspects a workflow.
func (n CommandName) Description() string {
	switch n {
	case CommandStart:
		return "Opens the conversation with a first task in a queue."
	case CommandTransfer:
		return "Passes the conversation from its agent to another agent or to a queue, with a note."
	case CommandAccept:
		return "Takes a task that is reserved for the agent; refused while they wrap up this conversation."
	case CommandDecline:
		return "Turns down a task that is reserved for the agent."
	case CommandWrapup:
		return "Completes the agent's wrapup."
	case CommandEnd:
		return "Ends the agent's turn: their task goes to wrapup, and the customer's side is over."
	case CommandCancel:
		return "Takes back a transfer that nobody has accepted yet."
	case CommandMove:
		return "Sends a waiting task to another queue or agent."
	case CommandClose:
		return "Closes the customer's side: waiting tasks are canceled, the agent goes to wrapup."
	case CommandReserve:
		return "The desk's match: reserves a waiting task for an agent."
	case CommandExpire:
		return "A deadline has passed."
	}
	return ""
}

// Command is one of the commands below.
type Command interface {
	// Name is the command's name, in signals and updates alike.
	Name() CommandName
	// meta is what every command may carry.
	meta() Meta
	// valid checks the payload by itself.
	valid() *Refusal
	// decide checks the command against the state, which it only reads.
	decide(s *State, now time.Time) (decision, *Refusal)
}

// asking is a command that is decided on the desk's facts as well as on the state.
type asking interface {
	Command
	factsQuery(s *State) FactsQuery
	judge(s *State, v *Facts) *Refusal
}

// Meta is what every command may carry.
type Meta struct { //nolint:recvcheck // one method writes, the others only read
	// CommandID makes the command safe to repeat: the same ID has one effect.
	CommandID string `json:"command_id,omitempty"`
	// By is who did it for the agent: a supervisor, a service.
	By string `json:"by,omitempty"`
	// FirstSentAt is the time of the first attempt to send the command, set by clients that retry. The command is refused if
	// it may have been carried out since then and its ID may have been dropped from the last hundred. Zero: not checked.
	FirstSentAt time.Time `json:"first_sent_at,omitzero"`
}

func (m Meta) meta() Meta { return m }

// identify gives the command that ID where it has none of its own.
func (m *Meta) identify(id string) {
	if m.CommandID == "" {
		m.CommandID = id
	}
}

// Limits on what a command may carry, in characters.
const (
	MaxNote       = 2000
	MaxText       = 255
	MaxAttributes = 4096
)

// StartCommand opens a conversation. It is the input of the workflow.
type StartCommand struct {
	// Conversation is the conversation's SID (CH…); the workflow's ID is "conversation/" and it.
	Conversation string   `json:"conversation"`
	Channel      Channel  `json:"channel"`
	Customer     Customer `json:"customer,omitzero"`
	// Queue is the name of the queue that the first task waits in.
	Queue string `json:"queue"`
	// Agent is whom the first task is meant for alone; the queue is then where it goes if they don't take it.
	Agent string `json:"agent,omitempty"`
	// Priority puts the task before others in its queue; 0 is the lowest.
	Priority int `json:"priority,omitempty"`
	// Attributes reach every task of the conversation unchanged; at most 4,096 characters of JSON.
	Attributes Attributes `json:"attributes,omitempty"`
}

// TransferCommand passes the conversation on.
type TransferCommand struct {
	From string `json:"from"`
	To   Target `json:"to"`
	// Mode is cold where it is left out.
	Mode Mode `json:"mode,omitempty"`
	// Note is the note's text (at most 2,000 characters), or the SID (KQ…) of a note stored at the desk before.
	Note string `json:"note,omitempty"`
	Meta
}

// AcceptCommand takes a reserved task. Task may be left out; Reservation, where it is given, has to be the
// SID of the very offer that is meant, for the same task may be offered to the same agent again.
type AcceptCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	Meta
}

// DeclineCommand turns a reserved task down. Task and Reservation are as in [AcceptCommand].
type DeclineCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Reservation string `json:"reservation,omitempty"`
	Reason      string `json:"reason,omitempty"`
	// Unavailable is set by the desk, which declines for an agent who is not available any more.
	Unavailable bool `json:"unavailable,omitempty"`
	Meta
}

// WrapupCommand completes a wrapup. Task may be left out.
type WrapupCommand struct {
	Agent       string `json:"agent"`
	Task        string `json:"task,omitempty"`
	Disposition string `json:"disposition,omitempty"`
	// Note is kept at the desk (at most 2,000 characters).
	Note string `json:"note,omitempty"`
	Meta
}

// EndCommand ends an agent's turn. Task may be left out.
type EndCommand struct {
	Agent string `json:"agent"`
	Task  string `json:"task,omitempty"`
	Meta
}

// CancelCommand takes a transfer back; Agent is who made it. Transfer may be left out.
type CancelCommand struct {
	Agent    string `json:"agent"`
	Transfer string `json:"transfer,omitempty"`
	Meta
}

// MoveCommand sends a waiting task elsewhere. Task may be left out.
type MoveCommand struct {
	Task string `json:"task,omitempty"`
	To   Target `json:"to"`
	Meta
}

// CloseCommand closes the customer's side. With a Task it does so only while that task waits.
type CloseCommand struct {
	Task   string `json:"task,omitempty"`
	Reason string `json:"reason,omitempty"`
	Meta
}

// ReserveCommand is the desk's match of a waiting task and a free agent.
type ReserveCommand struct {
	Task  string `json:"task"`
	Agent string `json:"agent"`
	// PendingSeq is the number the task had when the desk matched it; with another the match is stale.
	PendingSeq int `json:"placement"`
	// Reservation is the SID the desk gave the match; one is made where it is left out.
	Reservation string `json:"reservation,omitempty"`
	Meta
}

// ExpireCommand carries out the earliest deadline, if it has passed. It has no payload.
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

// Decode reads the JSON payload of a command that comes from outside. A name that isn't a command's,
// an absent payload, null, anything but an object, and a wrong type are refused with invalid_payload;
// unknown fields are ignored. The id, an update's, becomes the command's where it has none; it may be empty.
func Decode(name CommandName, payload []byte, id string) (Command, error) {
	switch name {
	case CommandStart:
		return decode[StartCommand](name, payload, id)
	case CommandTransfer:
		return decode[TransferCommand](name, payload, id)
	case CommandAccept:
		return decode[AcceptCommand](name, payload, id)
	case CommandDecline:
		return decode[DeclineCommand](name, payload, id)
	case CommandWrapup:
		return decode[WrapupCommand](name, payload, id)
	case CommandEnd:
		return decode[EndCommand](name, payload, id)
	case CommandCancel:
		return decode[CancelCommand](name, payload, id)
	case CommandMove:
		return decode[MoveCommand](name, payload, id)
	case CommandClose:
		return decode[CloseCommand](name, payload, id)
	case CommandReserve:
		return decode[ReserveCommand](name, payload, id)
	case CommandExpire:
	}
	return nil, Refuse(CodeInvalidPayload, Details{}, "%s is no command: use %s", quoted(string(name)), joinNames(ServiceCommands()))
}

// Identified returns the command under that ID where it has none of its own, so that it may be repeated.
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

// quoted is what somebody has sent, in a sentence: as much of it as a person reads.
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

// namePattern is what names of agents and queues look like.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,63}$`)

// name refuses what cannot be the name of an agent or a queue. The names of a start, and of the target of a transfer or
// a move, are judged by [judgeNames].
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

// judgeNames refuses what cannot be a name once the desk has answered: refused before the desk was asked, recorded
// histories would not replay.
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

// sid refuses what is far from a SID; one that isn't there is refused by what looks it up.
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

// maxCommandID is what Temporal allows for an update's ID, which serves as the command's.
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

// hashOf tells two payloads under one command ID apart.
func hashOf(c Command) string {
	encoded, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a %s command can't be encoded: %v", c.Name(), err)) // its fields came from JSON
	}
	if sent := c.meta().FirstSentAt; !sent.IsZero() { // it is the same command whenever it was sent first
		encoded = bytes.Replace(encoded, []byte(`,"first_sent_at":"`+sent.Format(time.RFC3339Nano)+`"`), nil, 1)
	}
	sum := sha256.Sum256(append([]byte(c.Name()+" "), encoded...))
	return hex.EncodeToString(sum[:8])
}
