package rest

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

// serve returns the handler of a route: it authenticates the caller, checks permission, reads the request, handles
// it and writes the answer.
func (s *Server) serve(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		c := s.newCall(w, r, route)
		c.Ctx = ctx
		reply, err := s.run(c)
		s.write(c, reply, withinTurn(c, err)) //nolint:contextcheck // a call has its own context
	})
}

func (s *Server) run(c *Call) (reply any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			s.log.ErrorContext(c.Ctx, "request panicked", "route", c.route.String(), "stack", string(debug.Stack()))
			reply, err = nil, errors.New("a fault")
		}
	}()
	if err := s.admit(c); err != nil {
		return nil, err
	}
	if err := c.read(c.w, c.Request); err != nil {
		return nil, err
	}
	c.Changing = c.Ctx
	if c.Request.Method != http.MethodGet && c.Token() != "" {
		return s.once(c)
	}
	return c.route.handle(c)
}

// admit authenticates the caller, and checks the rate limit and the permission.
func (s *Server) admit(c *Call) (err error) {
	if c.Caller, c.Account, err = s.authenticate(c.Request.WithContext(c.Ctx)); err != nil {
		return s.refused(c, err)
	}
	s.authenticated(c.Ctx, c.Caller.Key.SID)
	c.Ctx = desk.WithActor(c.Ctx, c.Caller.Key.Name)
	seclog.Identify(c.Ctx, c.Caller.Key.Name, string(c.Caller.Key.Role), c.Caller.Key.SID)
	seclog.Because(c.Ctx, "")
	// The present time, not the time of arrival: if a rate limiter gets a time earlier than its last one, it grants
	// the time in between again.
	if err := s.take(c.Caller.Key); err != nil {
		return err
	}
	if !c.route.access.allows(c.Caller.Key.Role) {
		return Forbid("A key of the role %s may not do this: use another key", c.Caller.Key.Role)
	}
	return nil
}

// Staff admits requests with the credentials of a service or a supervisor, within the key's rate limit. The
// credentials are HTTP Basic or the bearer token SID:SECRET. Staff answers all other requests with the API's
// errors.
func (s *Server) Staff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.newCall(w, r.Clone(r.Context()), Route{access: Staff})
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			sid, secret, _ := strings.Cut(token, ":")
			c.Request.SetBasicAuth(sid, secret)
		}
		if err := s.admit(c); err != nil {
			s.write(c, nil, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// write encodes the reply, or the problem that err becomes, and sends it.
func (s *Server) write(c *Call, reply any, err error) {
	header := c.w.Header()
	asData(header)
	status := c.route.Status
	var encoded []byte
	if err == nil && status != http.StatusNoContent {
		encoded, err = encode(reply)
	}
	if err != nil {
		p := problemOf(err, c.route)
		if p.Status >= http.StatusInternalServerError && c.Request.Context().Err() == nil {
			s.log.ErrorContext(c.Ctx, "request failed", "route", c.route.String(), "status", p.Status, "error", err)
		}
		header.Del("ETag")
		if p.RetryAfter > 0 {
			header.Set("Retry-After", strconv.Itoa(p.RetryAfter))
		}
		if p.Status == http.StatusUnauthorized {
			header.Set("WWW-Authenticate", `Basic realm="Baton"`)
		}
		status = p.Status
		encoded, _ = encode(p) // texts and SIDs can always be encoded
	}
	c.w.WriteHeader(status)
	_, _ = c.w.Write(encoded) //nolint:gosec // JSON, which no browser renders; the client may have disconnected
}

// asData marks the answer as JSON for programs. A browser that is led to the address must not render any of it.
func asData(header http.Header) {
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="api.json"`)
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	header.Set("Cache-Control", "no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
}
