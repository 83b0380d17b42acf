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

// A request with a token may be repeated: it has one effect, and is answered as the first time. That it is about to be carried
// out is noted before, its answer is kept afterwards. Where a process died in between, the commands and SIDs that a request
// makes are the same ones again, and conversations refuse those that they may have forgotten; changes of the desk are noted
// in their own transactions. So nothing has a second effect.

// token is what makes a request the same as one before; "" where the client has given none.
func (c *call) token() string {
	if token := c.r.Header.Get(idempotencyHeader); token != "" {
		return token
	}
	return c.r.Header.Get("Idempotency-Key")
}

// maxToken bounds a token.
const maxToken = 255

// once answers a request that may be repeated.
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
		return nil, err // refusals aren't kept: what is refused may be sent again
	}
	body := []byte("null")
	if c.route.status != http.StatusNoContent {
		if body, err = encode(reply); err != nil {
			return nil, fmt.Errorf("encode an answer: %w", err)
		}
	}
	kept := desk.Answer{Request: c.asked, Status: c.route.status, ETag: c.w.Header().Get("ETag"), Body: string(body)}
	if err := c.desk.KeepAnswer(c.ctx, key, kept); err != nil {
		// It was carried out all the same, and repeated it has no second effect.
		c.log.ErrorContext(c.ctx, "An answer could not be kept", "route", c.route.String(), "error", err)
	}
	return json.RawMessage(body), nil
}

// carryOut carries the request out, as far as it was not before.
func (c *call) carryOut() (any, error) {
	if c.begun.Changes > 0 && c.route.method == http.MethodDelete {
		return nil, nil //nolint:nilnil // what is removed is answered with nothing
	}
	reply, err := c.route.handle(c)
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	switch {
	case errors.Is(err, desk.ErrDoneBefore) && c.route.method == http.MethodDelete:
		return nil, nil //nolint:nilnil // as above
	case errors.Is(err, desk.ErrDoneBefore):
		return c.afterwards()
	case refused && refusal.Details.Field == "command_id":
		return nil, c.untold("Whether this request was carried out can't be told any more")
	}
	return reply, err
}

// afterwards answers a request that was carried out before, and whose answer was lost, with what it changed as it is now.
func (c *call) afterwards() (any, error) {
	for _, r := range routes() {
		if r.method == http.MethodGet && r.product == c.route.product && r.path == c.route.path && r.list == "" {
			return r.handle(c)
		}
	}
	return nil, c.untold("This request was carried out before, and its answer was lost")
}

// untold tells that nobody can say whether the request was carried out. It stays so.
func (c *call) untold(what string) *problem {
	c.uncertain = true
	return &problem{
		Status: http.StatusConflict, Code: conflict.code(c.route.product),
		Message: what + ": read what there is now, and send what is still to be done with another Idempotency-Key",
	}
}

// forget lets a refused request be sent again at any time. One that may have had an effect stays noted.
func (c *call) forget(key string, refused error) {
	if c.uncertain || c.effective || problemOf(refused, c.route).Status >= http.StatusInternalServerError {
		return
	}
	if err := c.desk.DropAnswer(c.ctx, key); err != nil {
		c.log.WarnContext(c.ctx, "A refused request could not be forgotten", "route", c.route.String(), "error", err)
	}
}

// command is what every command carries: under which ID it may be repeated, and who did it for the
// agent. The step tells apart the commands that one request sends.
func (c *call) command(step string) conversation.Meta {
	meta := conversation.Meta{By: c.caller.by()}
	if c.token() != "" {
		meta.CommandID, meta.FirstSentAt = "http/"+c.derived("", step).String(), c.begun.At
	}
	return meta
}

// derived is an ID that the same request of the same caller has again, and none besides.
func (c *call) derived(prefix, step string) uuid.UUID {
	return uuid.NewSHA1(uuid.Nil, []byte(strings.Join([]string{prefix, c.caller.key.SID, c.token(), c.asked, step}, "\x00")))
}

// newSID is a new SID of that prefix, and the same one for a request that is repeated.
func (c *call) newSID(prefix string) string {
	if c.token() == "" {
		return conversation.SIDOf(prefix, uuid.New())
	}
	return conversation.SIDOf(prefix, c.derived(prefix, ""))
}
