// Package seclog writes the security log: one line for each sign-in, refused request, shown secret and the like.
//
// Every line has the message "security event" and the attributes event and outcome; who, role, key, address, route, subject and
// reason where they are known. It holds no secret and nothing that a customer or an agent wrote. BATON_LOG_LEVEL does not
// silence it. Must not import: any other package of Baton's but internal/forwarded.
package seclog

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/baton-transfers/baton/internal/forwarded"
)

// Event is what happened.
type Event string

// The events. The values are contract: dashboards and alerts read them.
const (
	// SignIn and SignOut are of the pages.
	SignIn  Event = "sign_in"
	SignOut Event = "sign_out"
	// SessionExpired is a session that ended because its person was idle.
	SessionExpired Event = "session_expired"
	// Authentication is a request that was answered with 401, Authorization one that was answered with 403.
	Authentication Event = "authentication"
	Authorization  Event = "authorization"
	// Decode is a request to the codec server for clear text.
	Decode Event = "decode"
	// Export is data that leaves Baton as a whole: a file, a list of all, a copy of the desk.
	Export Event = "export"
	// Search is a search through customers' conversations; what was searched for is in no line.
	Search Event = "search"
	// Erasure is a customer's conversation that was erased.
	Erasure Event = "erasure"
	// SecretShown is a secret that was displayed; the subject says which.
	SecretShown Event = "secret_shown"
	// KeyAdded and KeyRevoked are of API keys; the subject is the key's SID.
	KeyAdded   Event = "key_added"
	KeyRevoked Event = "key_revoked"
	// AuthTokenRenewed and WebhookSecretRenewed are of the account.
	AuthTokenRenewed     Event = "auth_token_renewed" //nolint:gosec // no secret, an event's name
	WebhookSecretRenewed Event = "webhook_secret_renewed"
	// IdentityBound and IdentityReleased are of an agent's account at the OpenID Connect provider; RoleChanged is of an agent.
	IdentityBound    Event = "identity_bound"
	IdentityReleased Event = "identity_released"
	RoleChanged      Event = "role_changed"
)

// Outcome is what came of it.
type Outcome string

// The outcomes. Failed is an attempt that was allowed and ended in an error.
const (
	Accepted Outcome = "accepted"
	Refused  Outcome = "refused"
	Failed   Outcome = "failed"
)

// Entry is one event. Its texts are names, SIDs and constant words.
type Entry struct {
	Event Event
	// Outcome is Accepted where it is left out.
	Outcome Outcome
	// Who is the person or the key's name; where it is left out, whom the request was found to be from.
	Who string
	// Subject is what the event is about: a key's SID, a conversation's SID, the name of an agent or of a secret.
	Subject string
	// Reason is a constant word or two: why it was refused, or what kind it is.
	Reason string
}

// Log writes the security log. The zero Log and nil write nothing.
type Log struct{ handler slog.Handler }

// New returns a security log that writes to the logger's handler; nil writes nothing.
func New(logger *slog.Logger) *Log {
	if logger == nil {
		return &Log{}
	}
	return &Log{handler: logger.Handler()}
}

// Origin is where events come from: a request, or a command at the command line.
type Origin struct {
	// Who is the person or the key's name, Role what they may do, Key the SID of the credentials.
	Who, Role, Key string
	// Address is the network address that a request came from, Route the pattern of its route or the command.
	Address, Route string
}

// origin is the Origin of a request or command while it runs.
type origin struct {
	mutex sync.Mutex
	Origin
	// request has the route's pattern, once a mux has found it.
	request *http.Request
	// refused is set once a refusal of the request was written.
	refused bool
	// reason is why it is refused, where a door knows more than the status says.
	reason string
}

type originKey struct{}

// WithOrigin says where the events of calls with this context come from.
func WithOrigin(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, &origin{Origin: o})
}

func originOf(ctx context.Context) *origin {
	o, _ := ctx.Value(originKey{}).(*origin)
	return o
}

// Identify says whom the request with this context is from: a person or the name of a key, their role, and the SID of the credentials.
func Identify(ctx context.Context, who, role, key string) {
	if o := originOf(ctx); o != nil {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.Who, o.Role, o.Key = who, role, key
	}
}

// Because says, in a constant word or two, why the request with this context is going to be refused.
func Because(ctx context.Context, reason string) {
	if o := originOf(ctx); o != nil {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		o.reason = reason
	}
}

// maxValue bounds a value of a line: some come from outside.
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
	// The handler itself: the logger would drop the line below its level. An error of the log's own writer has no other place to go.
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

// HTTP answers requests as next does, says where their events come from, and writes a line for each answer with the status 401 or
// 403 that has none yet. Handlers of one request may each be wrapped: the outermost does it.
func (l *Log) HTTP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if originOf(r.Context()) != nil {
			next.ServeHTTP(w, r)
			return
		}
		o := &origin{Origin: Origin{Address: forwarded.Of(r).String()}}
		o.request = r.WithContext(context.WithValue(r.Context(), originKey{}, o))
		answer := &answer{ResponseWriter: w}
		next.ServeHTTP(answer, o.request)
		r.Pattern = o.request.Pattern // for those around
		o.mutex.Lock()
		written := o.refused
		o.mutex.Unlock()
		switch {
		case written:
		case answer.status == http.StatusUnauthorized:
			l.Write(o.request.Context(), Entry{Event: Authentication, Outcome: Refused}) //nolint:contextcheck // derived from the request's
		case answer.status == http.StatusForbidden:
			l.Write(o.request.Context(), Entry{Event: Authorization, Outcome: Refused}) //nolint:contextcheck // as above
		}
	})
}

// routeOf is the pattern that the request was answered by: a path may hold anything.
func routeOf(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return "(none)"
	}
	return r.Pattern
}

// answer notes the status of an answer.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(body []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(body) //nolint:wrapcheck // a writer in between
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
