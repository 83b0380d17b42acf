package rest

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

// Call is one request, from its arrival to its answer.
type Call struct {
	Input

	Desk          *desk.Desk
	Conversations *commands.Sender
	Security      *seclog.Log
	// AllowCallback returns an error that states why an address may not be the workspace's event callback.
	AllowCallback func(callback string) error
	Request       *http.Request
	Ctx           context.Context //nolint:containedctx // a call lives as long as its request
	// Changing is the context for changes of the desk: repeated attempts of the request make each change only once.
	Changing context.Context //nolint:containedctx // as ctx
	Caller   Caller
	Account  access.Account
	Now      time.Time

	server *Server
	w      http.ResponseWriter
	// asked is the hash of a request that has an idempotency token.
	asked string
	// begun is what the desk recorded about earlier attempts of the request.
	begun desk.Answer
	// uncertain is set if it is unknown whether an earlier attempt was carried out.
	uncertain bool
	// effective is set after a command of the request was carried out.
	effective bool
	// sent is the last command that the call sent; sentTo is the conversation that it was sent to.
	sent   conversation.Command
	sentTo string
}

// newCall returns a call of the route that is not authenticated and not read yet.
func (s *Server) newCall(w http.ResponseWriter, r *http.Request, route Route) *Call {
	return &Call{
		Input: Input{route: route}, Desk: s.desk, Conversations: s.conversations, Security: s.security, AllowCallback: s.allowCallback,
		Request: r, Ctx: r.Context(), Now: time.Now(), server: s, w: w,
	}
}

// Path returns the lower-case digits of the SID in the path. If the value is not a SID with that prefix, the error
// is the answer for a resource that does not exist.
func (c *Call) Path(name, prefix, what string) (string, error) {
	sid := c.Request.PathValue(name)
	if !IsSID(prefix, sid) {
		return "", c.Lost(what, sid)
	}
	return strings.ToLower(sid[2:]), nil
}

// SetETag sets the ETag of the answer.
func (c *Call) SetETag(tag string) { c.w.Header().Set("ETag", tag) }
