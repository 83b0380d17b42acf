package httpapi

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
	"github.com/baton-transfers/baton/desk"
)

// A client may repeat a request that has an idempotency token: it has one effect, and gets the first answer again.
// The desk records that the request is about to be carried out, and keeps its answer afterwards. If the process
// dies in between, a repeat makes the same commands and SIDs again. Conversations refuse those commands that they
// may have forgotten. Changes of the desk are recorded in their own transactions. Thus no repeat has a second
// effect.

// token returns the idempotency token, which identifies repeats of one request; "" if the client sent none.
func (c *call) token() string {
	if token := c.r.Header.Get(idempotencyHeader); token != "" {
		return token
	}
	return c.r.Header.Get("Idempotency-Key")
}

// maxToken is the maximum length of a token in bytes.
const maxToken = 255

// once handles a request that has a token.
func (c *call) once() (any, error) {
	if len(c.token()) > maxToken {
		return nil, c.wrong("Idempotency-Key", "Idempotency-Key can have at most %d characters", maxToken)
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{c.r.Method, c.r.URL.Path, c.form.Encode(), string(c.body)}, "\x00")))
	c.asked = hex.EncodeToString(sum[:16])
	key := c.caller.key.SID + "/" + hashed(c.token())
	begun, err := c.desk.BeginAnswer(c.ctx, key, c.asked)
	switch {
	case err != nil:
		return nil, err
	case begun.Request != c.asked:
		return nil, c.wrong("Idempotency-Key", "This Idempotency-Key was used for another request: give each request a key of its own")
	case begun.Status != 0:
		if begun.ETag != "" {
			c.w.Header().Set("ETag", begun.ETag)
		}
		return json.RawMessage(begun.Body), nil
	}
	c.begun, c.changing = begun, desk.Once(c.ctx, key, c.asked)
	reply, err := c.carryOut()
	if err != nil {
		c.forget(key, err)
		return nil, err // refusals aren't kept, so that the client may send the request again
	}
	body := []byte("null")
	if c.route.status != http.StatusNoContent {
		if body, err = encode(reply); err != nil {
			return nil, fmt.Errorf("encode an answer: %w", err)
		}
	}
	kept := desk.Answer{Request: c.asked, Status: c.route.status, ETag: c.w.Header().Get("ETag"), Body: string(body)}
	if err := c.desk.KeepAnswer(c.ctx, key, kept); err != nil {
		// The request was carried out, and a repeat has no second effect.
		c.log.ErrorContext(c.ctx, "An answer could not be kept", "route", c.route.String(), "error", err)
	}
	return json.RawMessage(body), nil
}

// carryOut carries out what earlier attempts of the request did not.
func (c *call) carryOut() (any, error) {
	if c.begun.Changes > 0 && c.route.method == http.MethodDelete {
		return nil, nil //nolint:nilnil // the answer to a removal is empty
	}
	reply, err := c.route.handle(c)
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	switch {
	case errors.Is(err, desk.ErrDoneBefore) && c.route.method == http.MethodDelete:
		return nil, nil //nolint:nilnil // the answer to a removal is empty
	case errors.Is(err, desk.ErrDoneBefore):
		return c.afterwards()
	case refused && refusal.Details.Field == "command_id":
		return nil, c.untold("Whether this request was carried out can't be told any more")
	}
	return reply, err
}

// afterwards answers a request that was carried out before and whose answer was lost. The answer is the present
// state of the resource that the request changed.
func (c *call) afterwards() (any, error) {
	for _, r := range routes() {
		if r.method == http.MethodGet && r.product == c.route.product && r.path == c.route.path && r.list == "" {
			return r.handle(c)
		}
	}
	return nil, c.untold("This request was carried out before, and its answer was lost")
}

// untold is the answer to a request if it is unknown whether it was carried out. Repeats get it too.
func (c *call) untold(what string) *problem {
	c.uncertain = true
	return &problem{
		Status: http.StatusConflict, Code: conflict.code(c.route.product),
		Message: what + ": read what there is now, and send what is still to be done with another Idempotency-Key",
	}
}

// forget drops the record of a refused request, so that the client may send it again. A request that may have had
// an effect stays recorded.
func (c *call) forget(key string, refused error) {
	if c.uncertain || c.effective || problemOf(refused, c.route).Status >= http.StatusInternalServerError {
		return
	}
	if err := c.desk.DropAnswer(c.ctx, key); err != nil {
		c.log.WarnContext(c.ctx, "A refused request could not be forgotten", "route", c.route.String(), "error", err)
	}
}

// command returns the fields that every command carries: the ID under which it may be repeated, and who acted for
// the agent. The step distinguishes the commands of one request.
func (c *call) command(step string) conversation.Meta {
	meta := conversation.Meta{By: c.caller.by()}
	if c.token() != "" {
		meta.CommandID, meta.FirstSentAt = "http/"+c.derived("", step).String(), c.begun.At
	}
	return meta
}

// derived returns an ID that depends only on the caller's key, the token, the request, the prefix and the step. A
// repeat of the request gets the same ID.
func (c *call) derived(prefix, step string) uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, []byte(strings.Join([]string{prefix, c.caller.key.SID, c.token(), c.asked, step}, "\x00")))
}

// newSID returns a new SID with that prefix. A repeated request gets the same SID.
func (c *call) newSID(prefix string) string {
	if c.token() == "" {
		return conversation.SIDOf(prefix, uuid.New())
	}
	return conversation.SIDOf(prefix, c.derived(prefix, ""))
}
