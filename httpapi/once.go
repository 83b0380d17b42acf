package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// A request with a token may be repeated: it has one effect, and is answered as the first time. What was
// answered is kept. Where a process died before that, the commands and SIDs that a request makes are the
// same ones again, so that they have no second effect.

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
	before, found, err := c.desk.Answer(c.ctx, key)
	switch {
	case err != nil:
		return nil, err
	case found && before.Request != c.asked:
		return nil, c.wrong("Idempotency-Key", "This Idempotency-Key was used for another request: give each request a key of its own")
	case found:
		if before.ETag != "" {
			c.w.Header().Set("ETag", before.ETag)
		}
		return json.RawMessage(before.Body), nil
	}
	reply, err := c.route.handle(c)
	if err != nil {
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

// command is what every command carries: under which ID it may be repeated, and who did it for the
// agent. The step tells apart the commands that one request sends.
func (c *call) command(step string) conversation.Meta {
	meta := conversation.Meta{By: c.caller.by()}
	if c.token() != "" {
		meta.CommandID = "http/" + c.derived("", step).String()
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
