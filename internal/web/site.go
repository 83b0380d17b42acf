package web

import (
	"cmp"
	"context"
	"errors"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/identity"
)

// Conversations sends commands to conversations. [*baton.Client] implements it.
type Conversations interface {
	Start(ctx context.Context, start conversation.StartCommand) (string, error)
	Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error)
}

// Options configure sign-in and the addresses of the pages. With the zero Options, the pages are served but no
// person can sign in.
type Options struct {
	Logger *slog.Logger
	// URL is the public address of the pages, for example https://baton.example.com; empty for the address of the
	// request. With https, browsers reach the host by https only, and cookie names have a prefix that requires it.
	URL string
	// Limits bound what visitors of whom little is known may do.
	Limits Limits
	// Provider is the OpenID Connect provider to sign in with, nil for none.
	Provider *identity.Provider
	// Demo lets every user of this machine sign in as any agent. It is meant for a desk without real data.
	Demo bool
	// DemoOff is set if the demo was requested but is off, because other machines may reach the pages.
	DemoOff bool
	// Idle is how long a session lasts without a request that the person made; zero means [DefaultIdle].
	Idle time.Duration
	// Now is the clock for idle times and for the periods of insights; nil means the system clock.
	Now func() time.Time
	// TemporalUI is the address of the namespace's page in the Temporal Web UI, to which a conversation's workflow
	// ID is appended. If it is empty, the pages show no such links.
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
	// starts bounds the chats that begin, says the messages in one chat, signIns the sign-ins that begin.
	starts, signIns addressLimiter
	says            *limit.Limiter
	streams         *streams
}

// New returns the pages of an open desk. Pages learn of changes only while [Site.Run] runs.
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
	if options.URL != "" { // a proxy may send a Host other than the browser's
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

// Run watches the desk and notifies open pages of changes until ctx ends. Then it ends the open streams.
func (s *Site) Run(ctx context.Context) error { return s.live.run(ctx) }

// Streams returns the number of open streams.
func (s *Site) Streams() int {
	s.streams.mutex.Lock()
	defer s.streams.mutex.Unlock()
	return s.streams.open
}

// Handler returns the handler of every page and of the assets. Any other path gets a "not found" page.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.method+" "+r.path, s.serve(r))
	}
	for path, handler := range s.fixed() {
		mux.Handle("GET "+path, handler)
	}
	return s.security.HTTP(s.secured(s.guard.Handler(s.orNotFound(mux))))
}

// orNotFound responds with the "not found" page if the mux has no route for the path.
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

// Paths returns the patterns, for a [http.ServeMux], of everything that the pages answer, sorted. If a route is below
// a first segment, every path below it is the site's.
func (s *Site) Paths() []string {
	found := slices.Collect(maps.Keys(s.fixed()))
	for _, r := range s.routes() {
		first, _, below := strings.Cut(strings.TrimPrefix(r.path, "/"), "/")
		found = append(found, "/"+first)
		if below {
			found = append(found, "/"+first+"/")
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// fixed returns the handlers of GET requests that need no visit, by pattern.
func (s *Site) fixed() map[string]http.Handler {
	return map[string]http.Handler{
		"/assets/":     compressed(s.assets()),
		"/favicon.ico": http.RedirectHandler(assetPath("baton.svg"), http.StatusFound),
		"/{$}":         http.RedirectHandler("/desk", http.StatusSeeOther),
	}
}

// patience is the timeout of a request, except for streams.
const patience = 20 * time.Second

// maxForm is the maximum size of a request body in bytes.
const maxForm = 256 << 10

// serve adds what all pages share: sessions, the role check, limits and error pages.
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

// peek loads the sessions for a stream. The response of a stream does not end, so it cannot save them.
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

// supervisorPace is how often one supervisor may request what [Site.Supervisors] guards. One page of the Temporal
// Web UI makes many requests at once.
var supervisorPace = limit.Pace{Count: 200, Per: 4 * time.Second}

// Supervisors passes requests of signed-in supervisors and administrators to next, and answers all others with 401
// or 403. It serves requests that a page of another site makes in the person's name: the caller must check the
// origin.
func (s *Site) Supervisors(next http.Handler) http.Handler {
	limits := limit.New(supervisorPace, limit.Pace{})
	return s.loaded(s.people, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Site: s, w: w, r: r, ctx: r.Context()}
		who, err := v.who()
		seclog.Identify(v.ctx, who.Name, string(who.Role), "") //nolint:contextcheck // each request has its own context
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

// policy is the content security policy: a page loads only what this site serves, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// strict makes browsers use only https for this host, for a year.
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
