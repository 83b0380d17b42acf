package rest

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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
)

// Problem is an error in the form in which Twilio's API returns it.
type Problem struct {
	Status  int
	Code    int
	Message string
	Details map[string]any
	// RetryAfter is in seconds; 0 if the client need not wait.
	RetryAfter int
}

// Error returns the message.
func (p *Problem) Error() string { return p.Message }

// MarshalJSON implements [json.Marshaler].
func (p *Problem) MarshalJSON() ([]byte, error) {
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

func (a answer) code(of Product) int {
	switch of {
	case ProductFlex:
		return a.flex
	case ProductConversations:
		return a.conversations
	case ProductTaskRouter:
	}
	return a.taskrouter
}

// problemOf turns any error into the client's answer. An error that is neither a refusal nor the client's mistake
// becomes an internal error, and its cause is not shown.
func problemOf(err error, r Route) *Problem {
	of := r.Product
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if errors.Is(err, records.ErrUnknownConversation) {
		return &Problem{Status: missing.status, Code: missing.code(of), Message: "The conversation was not found: check its SID"}
	}
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	_, taken := errors.AsType[*desk.TakenError](err)
	switch {
	case refused && taken:
		return problemFrom(refusal, conflict, r)
	case refused:
		return problemFrom(refusal, answers[refusal.Code], r)
	case errors.Is(err, context.DeadlineExceeded) || baton.Unavailable(err) || desk.Unavailable(err):
		return &Problem{Status: http.StatusServiceUnavailable, Code: 20503, Message: "Baton did not answer in time: try again", RetryAfter: 1}
	}
	return &Problem{Status: http.StatusInternalServerError, Code: 20500, Message: "Internal error: try again, and report it to the administrator if it stays"}
}

// problemFrom returns the HTTP form of a refusal, which names the parameters of the route instead of fields.
func problemFrom(refusal *conversation.Refusal, a answer, r Route) *Problem {
	parameter := r.parameterOf(refusal.Details.Field)
	p := &Problem{Status: a.status, Code: a.code(r.Product), Message: refusal.Naming(calls(parameter, refusal.Details.Field)), Details: map[string]any{"reason": refusal.Code}}
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

// Conflict is the answer to a refusal that is a conflict with what there is.
func (c *Call) Conflict(refusal *conversation.Refusal) *Problem {
	return problemFrom(refusal, conflict, c.route)
}

func notFound(what string) *Problem {
	return &Problem{Status: http.StatusNotFound, Code: 20404, Message: "Not found: " + what}
}

// Lost is the answer if the resource in the path does not exist.
func (c *Call) Lost(what, sid string) *Problem {
	if c.Caller.Agent() != "" && slices.Contains(derived, what) {
		return c.NotTheirs()
	}
	p := notFound(fmt.Sprintf("there is no %s %s", what, Quoted(sid)))
	if c.route.Product == ProductFlex {
		p.Code = missing.flex
	}
	return p
}

// Unexpected is the answer if a resource's state does not allow the request.
func (c *Call) Unexpected(format string, args ...any) *Problem {
	return &Problem{Status: wrongState.status, Code: wrongState.code(c.route.Product), Message: fmt.Sprintf(format, args...)}
}

// Forbid is the answer to a caller who may not do what the request asks for.
func Forbid(format string, args ...any) *Problem {
	return &Problem{Status: forbidden.status, Code: forbidden.taskrouter, Message: fmt.Sprintf(format, args...)}
}

// derived lists the kinds of resources whose SIDs can be computed from a conversation's SID.
var derived = []string{"task", "reservation", "transfer", "note", "participant"}

// Quoted returns a client's text in quotes, cut to a length that fits into a sentence.
func Quoted(text string) string { return strconv.Quote(Shortened(text)) }

// Shortened returns a client's text, cut to a length that fits into a sentence.
func Shortened(text string) string {
	const enough = 60
	if runes := []rune(text); len(runes) > enough {
		text = string(runes[:enough]) + "…"
	}
	return text
}

// AsRefusal returns the refusal of the rules or of the desk that an error is; false if it is none.
func AsRefusal(err error) (*conversation.Refusal, bool) {
	return errors.AsType[*conversation.Refusal](err)
}

// IgnoreRefusal drops a refusal: a filter that names something unknown finds nothing.
func IgnoreRefusal(err error) error {
	if _, refused := AsRefusal(err); refused {
		return nil
	}
	return err
}

// NotThere turns "no such conversation" into a 404 that names the resource in the path.
func (c *Call) NotThere(err error, what, sid string) error {
	if code := conversation.CodeOf(err); code == conversation.CodeUnknownConversation || code == conversation.CodeConversationClosed {
		return c.Lost(what, sid)
	}
	return err
}

// NotTheirs is the answer to an agent's key that asks for something that does not belong to its agent, whether it
// exists or not. The SIDs of a conversation's tasks, reservations, transfers and notes can be computed from the
// conversation's SID. A different answer would reveal what happened later.
func (c *Call) NotTheirs() *Problem {
	own := c.Caller.Agent()
	return Forbid("This key acts as %s only: ask for what %s has, wraps up or is offered", own, own)
}

// ActAs returns a refusal if the caller may not act for the agent.
func (c *Call) ActAs(agent string) error {
	if own := c.Caller.Agent(); own != "" && own != agent {
		return c.NotTheirs()
	}
	return nil
}

func tooLong() *Problem {
	return &Problem{Status: http.StatusRequestEntityTooLarge, Code: 20413, Message: "The body is longer than a megabyte: send less"}
}
