package web

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/web/identity"
)

// Conversations commands conversations: [*baton.Client] does.
type Conversations interface {
	Start(ctx context.Context, start conversation.StartCommand) (string, error)
	Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error)
}

// Options say who signs in how, and where the pages are. The zero Options serve pages to which nobody can
// sign in.
type Options struct {
	Logger *slog.Logger
	// URL is the pages' public address, as https://baton.example.com; empty for the address that was asked. With
	// https, browsers use no other scheme for it, and cookies have a name that says so.
	URL string
	// Limits bound what people of whom little is known may do.
	Limits Limits
	// Provider is whom to sign in with; nil for none.
	Provider *identity.Provider
	// Demo lets whoever is on this machine sign in as anybody: for a desk that is nobody's.
	Demo bool
	// DemoOff is set if the demo was asked for and is off, because others than this machine may reach the pages.
	DemoOff bool
	// Idle is after how long without a request of a person's own their session ends; [DefaultIdle] where it is zero.
	Idle time.Duration
	// Now is the clock of idle times and of the periods of insights; the system's where it is nil.
	Now func() time.Time
	// TemporalUI is the address of the Temporal Web UI and the namespace's page in it, to which a conversation's
	// workflow ID is added; no links where it is empty.
	TemporalUI string
}

// Site serves the pages.
type Site struct {
	desk          *desk.Desk
	conversations Conversations
	options       Options
	log           *slog.Logger
	people        *scs.SessionManager
	customers     *scs.SessionManager
	pages         map[string]*template.Template
	live          *live
	security      *seclog.Log
	idle          time.Duration
	now           func() time.Time
	guard         *http.CrossOriginProtection
	// starts bounds the chats that are begun, says what is said in one, signIns the sign-ins that are begun.
	starts, signIns addressLimiter
	says            *limit.Limiter
	streams         *streams
}

// New returns the pages over an open desk. Run has to run for pages to learn of changes.
func New(d *desk.Desk, conversations Conversations, options Options) *Site {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	limits := options.Limits.or(DefaultLimits())
	s := &Site{
		desk: d, conversations: conversations, options: options, log: options.Logger,
		pages: parsePages(), live: newLive(d, options.Logger), guard: http.NewCrossOriginProtection(),
		starts: newAddressLimiter(limits.Chats, limits.ChatsTotal), signIns: newAddressLimiter(limits.SignIns, limits.SignInsTotal),
		says: limit.New(limits.Messages, limits.MessagesTotal), streams: newStreams(),
	}
	s.security, s.idle, s.now = seclog.New(options.Logger), cmp.Or(options.Idle, DefaultIdle), options.Now
	if s.now == nil {
		s.now = time.Now
	}
	if options.URL != "" { // a proxy may send another Host than the browser's
		if err := s.guard.AddTrustedOrigin(options.URL); err != nil {
			options.Logger.Error("public address is not an origin", "url", options.URL, "error", err)
		}
	}
	s.guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seclog.Because(r.Context(), "another site")
		http.Error(w, "This form came from another site. Open the page here and send it from there.", http.StatusForbidden)
	}))
	s.people = s.sessions("baton", "/", sessionKept)
	s.customers = s.sessions("baton_chat", "/chat", customerLifetime)
	return s
}

// Run watches the desk, and tells open pages what has changed, until ctx ends; then open streams end too.
func (s *Site) Run(ctx context.Context) error { return s.live.run(ctx) }

// Streams is how many pages are open and told of changes.
func (s *Site) Streams() int {
	s.streams.mutex.Lock()
	defer s.streams.mutex.Unlock()
	return s.streams.open
}

// Handler serves every page, and the assets; a page that says so for every other path.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.method+" "+r.path, s.serve(r))
	}
	mux.Handle("GET /assets/", compressed(s.assets()))
	mux.Handle("GET /favicon.ico", http.RedirectHandler(assetPath("baton.svg"), http.StatusFound))
	mux.Handle("GET /{$}", http.RedirectHandler("/desk", http.StatusSeeOther))
	return s.security.HTTP(s.secured(s.guard.Handler(s.orNotFound(mux))))
}

// orNotFound answers with a page where the mux has no route for the path.
func (s *Site) orNotFound(mux *http.ServeMux) http.Handler {
	unknown := s.serve(route{access: everybody, handle: func(*visit) error {
		return notFound("There is no page at this address. Check it, or go back to the start.")
	}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !routed(mux, r) {
			unknown.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// routed reports whether the mux has a route for the path, with any method.
func routed(mux *http.ServeMux, r *http.Request) bool {
	for _, method := range []string{r.Method, http.MethodGet, http.MethodPost} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := mux.Handler(other); pattern != "" {
			return true
		}
	}
	return false
}

// Paths are the patterns, for a [http.ServeMux], of everything that the pages answer.
func Paths() []string {
	return []string{"/{$}", "/favicon.ico", "/assets/", "/sign-in", "/sign-in/", "/sign-out", "/desk", "/desk/", "/chat", "/chat/", "/conversations", "/conversations/", "/insights", "/insights/", "/insights.csv", "/admin", "/admin/"}
}

// patience is how long a request may take, a stream apart.
const patience = 20 * time.Second

// maxForm bounds what a form may send.
const maxForm = 256 << 10

// serve does what every page has in common: the session, the role, limits, and what an error looks like.
func (s *Site) serve(r route) http.Handler {
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.stream {
			ctx, cancel := context.WithTimeout(req.Context(), patience)
			defer cancel()
			req = req.WithContext(ctx)
		}
		req.Body = http.MaxBytesReader(w, req.Body, maxForm)
		v := &visit{Site: s, w: w, r: req, ctx: req.Context()}
		if err := guarded(v, r); err != nil {
			v.fail(r, err)
		}
	})
	if r.stream {
		return s.peek(handler)
	}
	return compressed(s.customers.LoadAndSave(s.people.LoadAndSave(handler)))
}

// peek loads the sessions of a request whose answer doesn't end, and so can't save them.
func (s *Site) peek(next http.Handler) http.Handler {
	return s.loaded(s.people, s.loaded(s.customers, next))
}

func (s *Site) loaded(sessions *scs.SessionManager, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := ""
		if cookie, err := r.Cookie(sessions.Cookie.Name); err == nil {
			token = cookie.Value
		}
		ctx, err := sessions.Load(r.Context(), token)
		if err != nil {
			s.sessionFailed(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// supervisorPace is how often a supervisor may ask for what [Site.Supervisors] guards: a page of the Temporal Web UI asks for many
// things at once.
var supervisorPace = limit.Pace{Count: 200, Per: 4 * time.Second}

// Supervisors lets requests pass of those who are signed in as supervisor or administrator, and answers all others with 401 or
// 403. It is for what a page of another site asks for in their name: whoever uses it has to look at the origin.
func (s *Site) Supervisors(next http.Handler) http.Handler {
	limits := limit.New(supervisorPace, limit.Pace{})
	return s.loaded(s.people, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Site: s, w: w, r: r, ctx: r.Context()}
		who, err := v.who()
		seclog.Identify(v.ctx, who.Name, string(who.Role), "") //nolint:contextcheck // each request has its own
		switch {
		case err != nil:
			s.sessionFailed(w, r, err)
		case !who.In():
			http.Error(w, "Sign in to Baton's pages as a supervisor or administrator, in this browser, or send an API key.", http.StatusUnauthorized)
		case !who.Supervises():
			http.Error(w, "This is for supervisors and administrators: ask an administrator to give you that role.", http.StatusForbidden)
		case !limits.Allow(who.Name):
			w.Header().Set("Retry-After", "1")
			http.Error(w, "Too many requests: wait a moment.", http.StatusTooManyRequests)
		default:
			next.ServeHTTP(w, r)
		}
	}))
}

func (s *Site) sessionFailed(w http.ResponseWriter, r *http.Request, err error) {
	if !errors.Is(err, context.Canceled) {
		s.log.ErrorContext(r.Context(), "A session could not be read or kept", "error", err)
	}
	http.Error(w, "Baton can't reach its records now. Try again in a moment.", http.StatusServiceUnavailable)
}

// policy lets a page use what comes from here, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// strict has browsers use https alone for this host, for a year.
const strict = "max-age=31536000"

func (s *Site) secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		if s.overTLS() {
			h.Set("Strict-Transport-Security", strict)
		}
		next.ServeHTTP(w, r)
	})
}
