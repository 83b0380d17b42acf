// Package seclog writes the security log: one line for each sign-in, refused request, displayed secret and similar
// event.
//
// Every line has the message "security event" and the attributes event and outcome. It has who, role, key, address,
// route, subject and reason if they are known. It holds no secrets and nothing that a customer or an agent wrote.
// BATON_LOG_LEVEL does not silence it.
//
// Must not import: other packages of Baton than internal/forwarded.
package seclog

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/internal/answer"
	"github.com/baton-transfers/baton/internal/forwarded"
)

// Event is a kind of event.
type Event string

// The events. Their values are contract: dashboards and alerts use them.
const (
	// SignIn and SignOut are a person's sign-in to and sign-out from the pages.
	SignIn  Event = "sign_in"
	SignOut Event = "sign_out"
	// SessionExpired is the end of a session because the person was idle.
	SessionExpired Event = "session_expired"
	// Authentication is a request that was refused with 401, Authorization one that was refused with 403.
	Authentication Event = "authentication"
	Authorization  Event = "authorization"
	// Decode is a request to the codec server for clear text.
	Decode Event = "decode"
	// Export is an export of data: a file, a complete list, or a copy of the desk.
	Export Event = "export"
	// Search is a search in customers' conversations. The log does not contain the search terms.
	Search Event = "search"
	// Erasure is the erasure of a customer's conversation.
	Erasure Event = "erasure"
	// SecretShown is the display of a secret; the subject is the name of the secret.
	SecretShown Event = "secret_shown"
	// KeyAdded and KeyRevoked are changes of API keys; the subject is the key's SID.
	KeyAdded   Event = "key_added"
	KeyRevoked Event = "key_revoked"
	// AuthTokenRenewed and WebhookSecretRenewed are changes of the account's secrets.
	AuthTokenRenewed     Event = "auth_token_renewed" //nolint:gosec // no secret, an event's name
	WebhookSecretRenewed Event = "webhook_secret_renewed"
	// IdentityBound and IdentityReleased are changes of the account at the OpenID Connect provider that an agent is
	// bound to. RoleChanged is a change of an agent's role.
	IdentityBound    Event = "identity_bound"
	IdentityReleased Event = "identity_released"
	RoleChanged      Event = "role_changed"
)

// Outcome is the result of an event.
type Outcome string

// The outcomes. Failed is an attempt that was allowed and ended in an error.
const (
	Accepted Outcome = "accepted"
	Refused  Outcome = "refused"
	Failed   Outcome = "failed"
)

// Entry is one event. Its texts are names, SIDs and constants.
type Entry struct {
	Event Event
	// Outcome is the result; empty means Accepted.
	Outcome Outcome
	// Who is the name of the person or of the key; empty means the one passed to [Identify].
	Who string
	// Subject is the object of the event: the SID of a key or a conversation, or the name of an agent or a secret.
	Subject string
	// Reason is a constant word or two: the reason of a refusal, or the kind of the event.
	Reason string
}

// Log writes the security log. A nil or zero Log writes nothing.
type Log struct{ handler slog.Handler }

// New returns a security log that writes to the logger's handler. A nil logger makes a log that writes nothing.
func New(logger *slog.Logger) *Log {
	if logger == nil {
		return &Log{}
	}
	return &Log{handler: logger.Handler()}
}

// Origin is the source of events: a request, or a command on the command line.
type Origin struct {
	// Who is the name of the person or of the key, Role their role, and Key the SID of the credentials.
	Who, Role, Key string
	// Address is the network address that a request came from. Route is the pattern of its route, or the command.
	Address, Route string
}

// origin is the Origin of a request or a command in progress.
type origin struct {
	mutex sync.Mutex
	Origin
	// request holds the pattern of the route after a mux has found it.
	request *http.Request
	// refused is set when a refusal of the request has been logged.
	refused bool
	// reason is the reason of a refusal, if a handler knows more than the status shows.
	reason string
}

type originKey struct{}

// WithOrigin sets the origin of events that are written with the returned context.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, &origin{Origin: o})
}

func originOf(ctx context.Context) *origin {
	o, _ := ctx.Value(originKey{}).(*origin)
	return o
}

// Identify sets the identity of the request with this context: the name of the person or the key, their role, and
// the SID of the credentials.
func Identify(ctx context.Context, who, role, key string) {
	if o := originOf(ctx); o != nil {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.Who, o.Role, o.Key = who, role, key
	}
}

// Because sets the reason, a constant word or two, why the request with this context is about to be refused.
func Because(ctx context.Context, reason string) {
	if o := originOf(ctx); o != nil {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.reason = reason
	}
}

// maxValue limits the length of a value in bytes, because some values come from outside.
const maxValue = 200

// Write writes one line.
func (l *Log) Write(ctx context.Context, e Entry) {
	if e.Outcome == "" {
		e.Outcome = Accepted
	}
	var from Origin
	if o := originOf(ctx); o != nil {
		o.mutex.Lock()
		from = o.Origin
		if o.request != nil {
			from.Route = routeOf(o.request)
		}
		if e.Outcome == Refused {
			o.refused = true
			if e.Reason == "" {
				e.Reason = o.reason
			}
		}
		o.mutex.Unlock()
	}
	if l == nil || l.handler == nil {
		return
	}
	if e.Who == "" {
		e.Who = from.Who
	}
	level := slog.LevelInfo
	if e.Outcome != Accepted {
		level = slog.LevelWarn
	}
	record := slog.NewRecord(time.Now(), level, "security event", 0)
	for _, a := range [][2]string{
		{"event", string(e.Event)},
		{"outcome", string(e.Outcome)},
		{"who", e.Who},
		{"role", from.Role},
		{"key", from.Key},
		{"address", from.Address},
		{"route", from.Route},
		{"subject", e.Subject},
		{"reason", e.Reason},
	} {
		if a[1] != "" {
			record.AddAttrs(slog.String(a[0], bounded(a[1])))
		}
	}
	// The handler is called directly, because the logger would drop lines below its level. An error of the log's
	// writer cannot be reported anywhere else.
	_ = l.handler.Handle(context.WithoutCancel(ctx), record)
}

func bounded(text string) string {
	if len(text) <= maxValue {
		return text
	}
	end := maxValue
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// HTTP wraps a handler. It sets the origin of each request's events, and writes a line for each response with
// status 401 or 403 that has no line yet. If several handlers of a request are wrapped, only the outermost does
// this.
func (l *Log) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if originOf(r.Context()) != nil {
			next.ServeHTTP(w, r)
			return
		}
		o := &origin{Origin: Origin{Address: forwarded.Of(r).String()}}
		o.request = r.WithContext(context.WithValue(r.Context(), originKey{}, o))
		answer := answer.Record(w)
		next.ServeHTTP(answer, o.request)
		r.Pattern = o.request.Pattern // for the handlers outside this one
		o.mutex.Lock()
		written := o.refused
		o.mutex.Unlock()
		switch {
		case written:
		case answer.Status() == http.StatusUnauthorized:
			l.Write(o.request.Context(), Entry{Event: Authentication, Outcome: Refused}) //nolint:contextcheck // derived from the request's
		case answer.Status() == http.StatusForbidden:
			l.Write(o.request.Context(), Entry{Event: Authorization, Outcome: Refused}) //nolint:contextcheck // as above
		}
	})
}

// routeOf returns the pattern of the route, not the path, which may hold anything.
func routeOf(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return "(none)"
	}
	return r.Pattern
}
