package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// problem is an error in the form in which Twilio's API returns it.
type problem struct {
	Status  int
	Code    int
	Message string
	Details map[string]any
	// RetryAfter is in seconds; 0 if the client need not wait.
	RetryAfter int
}

// Error returns the message.
func (p *problem) Error() string { return p.Message }

// MarshalJSON implements [json.Marshaler].
func (p *problem) MarshalJSON() ([]byte, error) {
	encoded, err := json.Marshal(struct {
		Code     int            `json:"code"`
		Message  string         `json:"message"`
		MoreInfo string         `json:"more_info"`
		Status   int            `json:"status"`
		Details  map[string]any `json:"details,omitempty"`
	}{p.Code, p.Message, "https://www.twilio.com/docs/errors/" + strconv.Itoa(p.Code), p.Status, p.Details})
	if err != nil {
		return nil, fmt.Errorf("encode an error: %w", err)
	}
	return encoded, nil
}

// answer is the HTTP form of a refusal: the status, and Twilio's error code for each product.
type answer struct {
	status                          int
	taskrouter, flex, conversations int
}

// These answers are shared by several refusals.
var (
	wrongParameter = answer{http.StatusBadRequest, 20422, 45004, 20422}
	forbidden      = answer{http.StatusForbidden, 20403, 20403, 20403}
	missing        = answer{http.StatusNotFound, 20404, 45006, 50350}
	wrongState     = answer{http.StatusBadRequest, 20001, 45007, 20001}
	conflict       = answer{http.StatusConflict, 20409, 45007, 20409}
	transferFailed = answer{http.StatusConflict, 20409, 45313, 20409}
)

// answers maps every refusal code to its HTTP form. There is no other such table.
var answers = map[conversation.Code]answer{
	conversation.CodeInvalidPayload:         wrongParameter,
	conversation.CodeUnknownConversation:    missing,
	conversation.CodeConversationClosed:     {http.StatusConflict, 20409, 45354, 50377},
	conversation.CodeMessagingTransfersOff:  transferFailed,
	conversation.CodeTransferNotesOff:       transferFailed,
	conversation.CodePluginConflict:         transferFailed,
	conversation.CodeModeNotAvailable:       wrongParameter,
	conversation.CodeChannelNotTransferable: transferFailed,
	conversation.CodeTargetNotAvailable:     wrongParameter,
	conversation.CodeNoSuchTask:             missing,
	conversation.CodeNotYourTask:            forbidden,
	conversation.CodeTaskNotAssigned:        wrongState,
	conversation.CodeNotWrapping:            wrongState,
	conversation.CodeWrapupPending:          conflict,
	conversation.CodeNoReservation:          wrongState,
	conversation.CodeUnknownAgent:           missing,
	conversation.CodeUnknownQueue:           missing,
	conversation.CodeQueueEmpty:             transferFailed,
	conversation.CodeAgentUnavailable:       transferFailed,
	conversation.CodeTransferToSelf:         transferFailed,
	conversation.CodeAlreadyParticipating:   conflict,
	conversation.CodeTransferInProgress:     conflict,
	conversation.CodeNoActiveTransfer:       conflict,
	conversation.CodeDeskUnavailable:        {http.StatusServiceUnavailable, 20503, 20503, 20503},
}

func (a answer) code(of product) int {
	switch of {
	case flex:
		return a.flex
	case conversations:
		return a.conversations
	case taskrouter:
	}
	return a.taskrouter
}

// problemOf turns any error into the client's answer. An error that is neither a refusal nor the client's mistake
// becomes an internal error, and its cause is not shown.
func problemOf(err error, r route) *problem {
	of := r.product
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if errors.Is(err, desk.ErrUnknownConversation) {
		return &problem{Status: missing.status, Code: missing.code(of), Message: "The conversation was not found: check its SID"}
	}
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	_, taken := errors.AsType[*desk.TakenError](err)
	switch {
	case refused && taken:
		return told(refusal, conflict, r)
	case refused:
		return told(refusal, answers[refusal.Code], r)
	case errors.Is(err, context.DeadlineExceeded) || baton.Unavailable(err) || desk.Unavailable(err):
		return &problem{Status: http.StatusServiceUnavailable, Code: 20503, Message: "Baton did not answer in time: try again", RetryAfter: 1}
	}
	return &problem{Status: http.StatusInternalServerError, Code: 20500, Message: "Internal error: try again, and report it to the administrator if it stays"}
}

func told(refusal *conversation.Refusal, a answer, r route) *problem {
	parameter := r.parameterOf(refusal.Details.Field)
	p := &problem{Status: a.status, Code: a.code(r.product), Message: refusal.Naming(calls(parameter, refusal.Details.Field)), Details: map[string]any{"reason": refusal.Code}}
	for name, value := range map[string]string{
		"task": refusal.Details.Task, "transfer": refusal.Details.Transfer, "agent": refusal.Details.Agent,
		"queue": refusal.Details.Queue, "plugin": refusal.Details.Plugin, "field": parameter,
	} {
		if value != "" {
			p.Details[name] = value
		}
	}
	if a.status == http.StatusServiceUnavailable {
		p.RetryAfter = 1
	}
	return p
}

func notFound(what string) *problem {
	return &problem{Status: http.StatusNotFound, Code: 20404, Message: "Not found: " + what}
}

// lost is the answer if the resource in the path does not exist.
func (c *call) lost(what, sid string) *problem {
	if c.caller.agent() != "" && slices.Contains(derived, what) {
		return c.notTheirs()
	}
	p := notFound(fmt.Sprintf("there is no %s %s", what, short(sid)))
	if c.route.product == flex {
		p.Code = missing.flex
	}
	return p
}

// wrong is the answer to a wrong parameter. The message states which value would be right.
func (c *call) wrong(field, format string, args ...any) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: wrongParameter.code(c.route.product), Message: fmt.Sprintf(format, args...),
		Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": field},
	}
}

// unexpected is the answer if a resource's state does not allow the request.
func (c *call) unexpected(format string, args ...any) *problem {
	return &problem{Status: wrongState.status, Code: wrongState.code(c.route.product), Message: fmt.Sprintf(format, args...)}
}

func (c *call) forbid(format string, args ...any) *problem {
	return &problem{Status: forbidden.status, Code: forbidden.taskrouter, Message: fmt.Sprintf(format, args...)}
}

// derived lists the kinds of resources whose SIDs can be computed from a conversation's SID.
var derived = []string{"task", "reservation", "transfer", "note", "participant"}

// short returns a client's text in quotes, cut to a length that fits into a sentence.
func short(text string) string { return strconv.Quote(shortened(text)) }

func shortened(text string) string {
	const enough = 60
	if runes := []rune(text); len(runes) > enough {
		text = string(runes[:enough]) + "…"
	}
	return text
}
