package rest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// A client may repeat a request that has an idempotency token: it has one effect, and gets the first answer again.
// The desk records that the request is about to be carried out, and keeps its answer afterwards. If the process
// dies in between, a repeat makes the same commands and SIDs again. Conversations refuse those commands that they
// may have forgotten. Changes of the desk are recorded in their own transactions. Thus no repeat has a second
// effect.

// Token returns the idempotency token, which identifies repeats of one request; "" if the client sent none.
func (c *Call) Token() string {
	if token := c.Request.Header.Get(idempotencyHeader); token != "" {
		return token
	}
	return c.Request.Header.Get("Idempotency-Key")
}

// Command returns the fields that every command carries: the ID under which it may be repeated, and who acted for
// the agent. The step distinguishes the commands of one request.
func (c *Call) Command(step string) conversation.Meta {
	meta := conversation.Meta{By: c.Caller.By()}
	if c.Token() != "" {
		meta.CommandID, meta.FirstSentAt = "http/"+c.Derived("", step).String(), c.begun.At
	}
	return meta
}

// Derived returns an ID that depends only on the caller's key, the token, the request, the prefix and the step. A
// repeat of the request gets the same ID.
func (c *Call) Derived(prefix, step string) uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, []byte(strings.Join([]string{prefix, c.Caller.Key.SID, c.Token(), c.asked, step}, "\x00")))
}

// NewSID returns a new SID with that prefix. A repeated request gets the same SID.
func (c *Call) NewSID(prefix string) string {
	if c.Token() == "" {
		return conversation.SIDOf(prefix, uuid.New())
	}
	return conversation.SIDOf(prefix, c.Derived(prefix, ""))
}

// Hashed returns a short hash of the parts, in quotes as an ETag is.
func Hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// once handles a request that has a token.
func (s *Server) once(c *Call) (any, error) {
	if len(c.Token()) > maxToken {
		return nil, c.Wrong("Idempotency-Key", "Idempotency-Key can have at most %d characters", maxToken)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Request.Method, c.Request.URL.Path, c.Form.Encode(), string(c.Body)}, "\x00")))
	c.asked = hex.EncodeToString(sum[:16])
	key := c.Caller.Key.SID + "/" + Hashed(c.Token())
	begun, err := desk.BeginAnswer(c.Ctx, s.desk, key, c.asked)
	switch {
	case err != nil:
		return nil, err
	case begun.Request != c.asked:
		return nil, c.Wrong("Idempotency-Key", "This Idempotency-Key was used for another request: give each request a key of its own")
	case begun.Status != 0:
		if begun.ETag != "" {
			c.w.Header().Set("ETag", begun.ETag)
		}
		return json.RawMessage(begun.Body), nil
	}
	c.begun, c.Changing = begun, desk.Once(c.Ctx, key, c.asked)
	reply, err := s.carryOut(c)
	if err != nil {
		s.forget(c, key, err)
		return nil, err // refusals aren't kept, so that the client may send the request again
	}
	body := []byte("null")
	if c.route.Status != http.StatusNoContent {
		if body, err = encode(reply); err != nil {
			return nil, fmt.Errorf("encode an answer: %w", err)
		}
	}
	kept := desk.Answer{Request: c.asked, Status: c.route.Status, ETag: c.w.Header().Get("ETag"), Body: string(body)}
	if err := desk.KeepAnswer(c.Ctx, s.desk, key, kept); err != nil {
		// The request was carried out, and a repeat has no second effect.
		s.log.ErrorContext(c.Ctx, "answer not kept", "route", c.route.String(), "error", err)
	}
	return json.RawMessage(body), nil
}

// maxToken is the maximum length of a token in bytes.
const maxToken = 255

// carryOut carries out what earlier attempts of the request did not.
func (s *Server) carryOut(c *Call) (any, error) {
	if c.begun.Changes > 0 && c.route.Method == http.MethodDelete {
		return nil, nil //nolint:nilnil // the answer to a removal is empty
	}
	reply, err := c.route.handle(c)
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	switch {
	case errors.Is(err, desk.ErrDoneBefore) && c.route.Method == http.MethodDelete:
		return nil, nil //nolint:nilnil // the answer to a removal is empty
	case errors.Is(err, desk.ErrDoneBefore):
		return s.afterwards(c)
	case refused && refusal.Details.Field == "command_id":
		return nil, unknownOutcome(c, "Whether this request was carried out is no longer known")
	}
	return reply, err
}

// afterwards answers a request that was carried out before and whose answer was lost. The answer is the present
// state of the resource that the request changed.
func (s *Server) afterwards(c *Call) (any, error) {
	for _, r := range s.routes {
		if r.Method == http.MethodGet && r.Product == c.route.Product && r.Path == c.route.Path && r.List == "" {
			return r.handle(c)
		}
	}
	return nil, unknownOutcome(c, "This request was carried out before, and its answer was lost")
}

// unknownOutcome is the answer to a request if it is unknown whether it was carried out. Repeats get it too.
func unknownOutcome(c *Call, what string) *Problem {
	c.uncertain = true
	return &Problem{
		Status: http.StatusConflict, Code: conflict.code(c.route.Product),
		Message: what + ": read what there is now, and send what is still to be done with another Idempotency-Key",
	}
}

// forget drops the record of a refused request, so that the client may send it again. A request that may have had
// an effect stays recorded.
func (s *Server) forget(c *Call, key string, refused error) {
	if c.uncertain || c.effective || problemOf(refused, c.route).Status >= http.StatusInternalServerError {
		return
	}
	if err := desk.DropAnswer(c.Ctx, s.desk, key); err != nil {
		s.log.WarnContext(c.Ctx, "refused request not forgotten", "route", c.route.String(), "error", err)
	}
}
