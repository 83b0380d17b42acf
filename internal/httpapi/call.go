package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

// call is one request, from its arrival to its answer.
type call struct {
	*Server

	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context //nolint:containedctx // a call lives as long as its request
	route   route
	caller  caller
	account desk.Account
	now     time.Time
	// asked is the hash of a request that has an idempotency token.
	asked string
	// begun is what the desk recorded about earlier attempts of the request. Changes of the desk use the context
	// changing, so that repeated attempts make each change only once.
	begun    desk.Answer
	changing context.Context //nolint:containedctx // as ctx
	// form holds the query of a GET or DELETE, or the form of a POST; body holds a POST's JSON.
	form url.Values
	body []byte
	// uncertain is set if it is unknown whether an earlier attempt was carried out.
	uncertain bool
	// effective is set after a command of the request was carried out.
	effective bool
	// sent is the last command that the call sent; sentTo is the conversation that it was sent to.
	sent   conversation.Command
	sentTo string
}

// serve returns the handler of a route: it authenticates the caller, checks permission, reads the request, handles
// it and writes the answer.
func (s *Server) serve(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		c := &call{Server: s, w: w, r: r, ctx: ctx, route: route, now: time.Now()}
		reply, err := c.run()
		c.write(reply, c.withinTurn(err)) //nolint:contextcheck // a call has its own context
	})
}

func (c *call) run() (reply any, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			c.log.ErrorContext(c.ctx, "A request has failed by a fault of Baton's", "route", c.route.String(), "stack", string(debug.Stack()))
			reply, err = nil, errors.New("a fault")
		}
	}()
	if err := c.admit(); err != nil {
		return nil, err
	}
	if err := c.read(); err != nil {
		return nil, err
	}
	c.changing = c.ctx
	if c.r.Method != http.MethodGet && c.token() != "" {
		return c.once()
	}
	return c.route.handle(c)
}

// admit authenticates the caller, and checks the rate limit and the permission.
func (c *call) admit() (err error) {
	if c.caller, c.account, err = c.authenticate(c.r.WithContext(c.ctx)); err != nil {
		return c.refused(err)
	}
	c.authenticated(c.ctx, c.caller.key.SID)
	c.ctx = desk.WithActor(c.ctx, c.caller.key.Name)
	seclog.Identify(c.ctx, c.caller.key.Name, string(c.caller.key.Role), c.caller.key.SID)
	seclog.Because(c.ctx, "")
	// The present time, not the time of arrival: if a rate limiter gets a time earlier than its last one, it grants
	// the time in between again.
	if err := c.limits.take(c.caller.key, time.Now()); err != nil {
		return err
	}
	if !c.route.access.allows(c.caller.key.Role) {
		return c.forbid("A key of the role %s may not do this: use another key", c.caller.key.Role)
	}
	return nil
}

// Staff admits requests with the credentials of a service or a supervisor, within the key's rate limit. The
// credentials are HTTP Basic or the bearer token SID:SECRET. Staff answers all other requests with the API's
// errors.
func (s *Server) Staff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{Server: s, w: w, r: r.Clone(r.Context()), ctx: r.Context(), route: route{access: staff}}
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			sid, secret, _ := strings.Cut(token, ":")
			c.r.SetBasicAuth(sid, secret)
		}
		if err := c.admit(); err != nil {
			c.write(nil, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// read reads and checks the query and the body.
func (c *call) read() error {
	query, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return c.wrong("", "The query of the URL can't be read: encode it as application/x-www-form-urlencoded")
	}
	c.form = query
	if c.r.Method == http.MethodPost {
		if err := c.readBody(); err != nil {
			return err
		}
	}
	if err := c.validText(query, c.form); err != nil {
		return err
	}
	return c.supported(query)
}

// validText refuses parameters, and fields of a body, that are not valid UTF-8.
func (c *call) validText(parameters ...url.Values) error {
	const advice = "is not valid UTF-8: encode the text as UTF-8"
	for _, given := range parameters {
		for _, name := range slices.Sorted(maps.Keys(given)) {
			switch {
			case !utf8.ValidString(name):
				return c.wrong("", "The name of a parameter %s", advice)
			case slices.ContainsFunc(given[name], func(value string) bool { return !utf8.ValidString(value) }):
				return c.wrong(name, "%s %s", name, advice)
			}
		}
	}
	if field, found := conversation.InvalidText(c.body); found {
		return c.wrong(field, "%s %s", cmp.Or(field, "The body"), advice)
	}
	return nil
}

func (c *call) readBody() error {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, MaxBody)
	switch kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); {
	case kind == "application/json" && (c.route.json || c.route.path == ""):
		return c.readJSON()
	case kind == "application/x-www-form-urlencoded":
	default: // net/http would ignore its parameters without an error
		if n, _ := c.r.Body.Read(make([]byte, 1)); n > 0 {
			return &problem{
				Status: http.StatusUnsupportedMediaType, Code: 20415,
				Message: "The body's type is not supported: send application/x-www-form-urlencoded, or application/json where the call takes it",
			}
		}
	}
	err := c.r.ParseForm()
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return tooLong()
	}
	if err != nil {
		return c.wrong("", "The body can't be read: send application/x-www-form-urlencoded")
	}
	c.form = c.r.PostForm
	return nil
}

func (c *call) readJSON() error {
	var body json.RawMessage
	err := json.NewDecoder(c.r.Body).Decode(&body)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return tooLong()
	}
	if err != nil {
		return c.wrong("", "The body isn't valid JSON")
	}
	c.body = body
	return nil
}

func tooLong() *problem {
	return &problem{Status: http.StatusRequestEntityTooLarge, Code: 20413, Message: "The body is longer than a megabyte: send less"}
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

// write encodes the reply, or the problem that err becomes, and sends it.
func (c *call) write(reply any, err error) {
	header := c.w.Header()
	asData(header)
	status := c.route.status
	var encoded []byte
	if err == nil && status != http.StatusNoContent {
		encoded, err = encode(reply)
	}
	if err != nil {
		p := problemOf(err, c.route)
		if p.Status >= http.StatusInternalServerError && c.r.Context().Err() == nil {
			c.log.ErrorContext(c.ctx, "A request could not be answered", "route", c.route.String(), "status", p.Status, "error", err)
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
	_, _ = c.w.Write(encoded) // the client may have disconnected
}

// actAs returns a refusal if the caller may not act for the agent.
func (c *call) actAs(agent string) error {
	if own := c.caller.agent(); own != "" && own != agent {
		return c.notTheirs()
	}
	return nil
}

// notTheirs is the answer to an agent's key that asks for something that does not belong to its agent, whether it
// exists or not. The SIDs of a conversation's tasks, reservations, transfers and notes can be computed from the
// conversation's SID. A different answer would reveal what happened later.
func (c *call) notTheirs() *problem {
	own := c.caller.agent()
	return c.forbid("This key acts as %s only: ask for what %s has, wraps up or is offered", own, own)
}

// path returns the lower-case digits of the SID in the path. If the value is not a SID with that prefix, the error
// is the answer for a resource that does not exist.
func (c *call) path(name, prefix, what string) (string, error) {
	sid := c.r.PathValue(name)
	if !isSID(prefix, sid) {
		return "", c.lost(what, sid)
	}
	return strings.ToLower(sid[2:]), nil
}

// isSID reports whether the text is a SID with that prefix. The digits may be in either case.
func isSID(prefix, text string) bool {
	return len(text) == 34 && strings.HasPrefix(text, prefix) && conversation.IsSID(prefix, prefix+strings.ToLower(text[2:]))
}

// sid reads a SID with that prefix from the form; "" if the field is empty.
func (c *call) sid(field, prefix string) (string, error) {
	value := c.form.Get(field)
	if value == "" {
		return "", nil
	}
	if !isSID(prefix, value) {
		return "", c.noSID(field, prefix)
	}
	return prefix + strings.ToLower(value[2:]), nil
}

// noSID is the refusal of a parameter that is not a SID with that prefix.
func (c *call) noSID(field, prefix string) *problem {
	return &problem{
		Status: http.StatusBadRequest, Code: 20423, Details: map[string]any{"reason": conversation.CodeInvalidPayload, "field": field},
		Message: field + " has to be a SID: " + prefix + " and 32 hex digits",
	}
}

// required returns a field's value, or a refusal if the field is blank.
func (c *call) required(field string) (string, error) {
	value := c.form.Get(field)
	if strings.TrimSpace(value) == "" {
		return "", c.wrong(field, "Missing required parameter %s", field)
	}
	return value, nil
}

// optional returns the field's value; nil if the field is absent.
func (c *call) optional(field string) *string {
	if !c.form.Has(field) {
		return nil
	}
	return new(c.form.Get(field))
}

// number reads an integer between the bounds; the fallback if the field is empty.
func (c *call) number(field string, fallback, least, most int) (int, error) {
	value := c.form.Get(field)
	if value == "" {
		return fallback, nil
	}
	number, err := strconv.Atoi(value)
	if least == most && (err != nil || number != least) {
		return 0, c.wrong(field, "%s can only be %d: leave it out", field, least)
	}
	if err != nil || number < least || number > most {
		return 0, c.wrong(field, "%s has to be a whole number from %d to %d", field, least, most)
	}
	return number, nil
}

// flag reads a boolean; the fallback if the field is empty.
func (c *call) flag(field string, fallback bool) (bool, error) {
	switch strings.ToLower(c.form.Get(field)) {
	case "":
		return fallback, nil
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	}
	return false, c.wrong(field, "%s has to be true or false", field)
}

// instant reads a time in ISO 8601; the zero time if the field is empty.
func (c *call) instant(field string) (time.Time, error) {
	value := c.form.Get(field)
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, value); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, c.wrong(field, "%s has to be a time in ISO 8601, as in 2026-11-24T09:00:00Z", field)
}
