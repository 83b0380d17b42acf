package conversation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// Code is the kind of a refusal. The codes are part of the contract with services.
type Code string

// The codes, in the order of the checks that return them.
const (
	CodeInvalidPayload         Code = "invalid_payload"
	CodeUnknownConversation    Code = "unknown_conversation"
	CodeConversationClosed     Code = "conversation_closed"
	CodeMessagingTransfersOff  Code = "messaging_transfers_off"
	CodeTransferNotesOff       Code = "transfer_notes_off"
	CodePluginConflict         Code = "plugin_conflict"
	CodeModeNotAvailable       Code = "mode_not_available"
	CodeChannelNotTransferable Code = "channel_not_transferable"
	CodeTargetNotAvailable     Code = "target_not_available"
	CodeNoSuchTask             Code = "no_such_task"
	CodeNotYourTask            Code = "not_your_task"
	CodeTaskNotAssigned        Code = "task_not_assigned"
	CodeNotWrapping            Code = "not_wrapping"
	CodeWrapupPending          Code = "wrapup_pending"
	CodeNoReservation          Code = "no_reservation"
	CodeUnknownAgent           Code = "unknown_agent"
	CodeUnknownQueue           Code = "unknown_queue"
	CodeQueueEmpty             Code = "queue_empty"
	CodeAgentUnavailable       Code = "agent_unavailable"
	CodeTransferToSelf         Code = "transfer_to_self"
	CodeAlreadyParticipating   Code = "already_participating"
	CodeTransferInProgress     Code = "transfer_in_progress"
	CodeNoActiveTransfer       Code = "no_active_transfer"
	CodeDeskUnavailable        Code = "desk_unavailable"
)

// Codes returns every code.
func Codes() []Code {
	return []Code{
		CodeInvalidPayload, CodeUnknownConversation, CodeConversationClosed, CodeMessagingTransfersOff, CodeTransferNotesOff, CodePluginConflict,
		CodeModeNotAvailable, CodeChannelNotTransferable, CodeTargetNotAvailable, CodeNoSuchTask, CodeNotYourTask,
		CodeTaskNotAssigned, CodeNotWrapping, CodeWrapupPending, CodeNoReservation, CodeUnknownAgent, CodeUnknownQueue,
		CodeQueueEmpty, CodeAgentUnavailable, CodeTransferToSelf, CodeAlreadyParticipating, CodeTransferInProgress,
		CodeNoActiveTransfer, CodeDeskUnavailable,
	}
}

// Details are what a refusal is about, for programs: SIDs and names, never message text.
type Details struct {
	Task     string `json:"task,omitempty"`
	Transfer string `json:"transfer,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Queue    string `json:"queue,omitempty"`
	Plugin   string `json:"plugin,omitempty"`
	Field    string `json:"field,omitempty"`
}

// Refusal is the only error type of the rules. Message is a sentence that tells a person what to do.
type Refusal struct {
	Code    Code    `json:"code"`
	Message string  `json:"message"`
	Details Details `json:"details,omitzero"`
}

// Error returns "code: sentence".
func (r *Refusal) Error() string { return string(r.Code) + ": " + r.Message }

// Refuse returns a refusal whose message is made from format and args.
func Refuse(code Code, details Details, format string, args ...any) *Refusal {
	return &Refusal{Code: code, Message: fmt.Sprintf(format, args...), Details: details}
}

// Naming returns the message with the field's name replaced by the name that the reader knows: a parameter of an
// API or a flag of a command. A field that is one plain word is replaced only at the start of the sentence, or
// directly after the command's name.
func (r *Refusal) Naming(parameter string) string {
	field := r.Details.Field
	if field == "" || parameter == "" || parameter == field {
		return r.Message
	}
	if strings.ContainsAny(field, "_.") {
		return identifiers.ReplaceAllStringFunc(r.Message, func(word string) string {
			if word == field {
				return parameter
			}
			return word
		})
	}
	command, sentence, named := strings.Cut(r.Message, ": ")
	switch {
	case strings.HasPrefix(r.Message, field+" "), strings.HasPrefix(r.Message, field+": "):
		return parameter + strings.TrimPrefix(r.Message, field)
	case named && strings.HasPrefix(sentence, field+" "):
		return command + ": " + parameter + strings.TrimPrefix(sentence, field)
	}
	return r.Message
}

// identifiers matches the names of fields, such as friendly_name and to.agent.
var identifiers = regexp.MustCompile(`[a-z]+(?:[_.][a-z]+)+`)

// CodeOf returns the code of the refusal in err's chain, "" if there is none.
func CodeOf(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	return ""
}
