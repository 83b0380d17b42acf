// Package site holds what all pages share. The packages of the pages declare a [Route] for each page and form, and a
// handler gets a [Visit]: one request, the signed-in person, and the response.
//
// Must not import: the packages of the pages, SQL, Temporal (internal/commands sends commands), and the HTTP API.
//
// Where to look:
//   - route.go: a page or form with the role that it requires; visit.go: one request and its response.
//   - session.go: who is signed in; stream.go: how a page learns that something has changed.
//   - form.go, queued.go, list.go: what handlers read from requests; said.go, notices.go: what every page confirms and
//     reports.
package site

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

	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/assets"
	"github.com/baton-transfers/baton/internal/web/identity"
	"github.com/baton-transfers/baton/internal/web/live"
	"github.com/baton-transfers/baton/internal/web/templates"
)

// Options configure sign-in and the addresses of the pages. With the zero Options, the pages are served but no
// person can sign in.
type Options struct {
	Logger *slog.Logger
	// URL is the public address of the pages, for example https://baton.example.com; empty for the address of the
	// request. With https, browsers reach the host by https only, and cookie names have a prefix that requires it.
	URL string
	// Limits bound what visitors of whom little is known may do. The packages of sign-in and chat apply them.
	Limits Limits
	// Provider is the OpenID Connect provider to sign in with, nil for none.
	Provider *identity.Provider
	// Demo lets every user of this machine sign in as any agent. It is meant for a desk without real data.
	Demo bool
	// DemoOff is set if the demo was requested but is off, because other machines may reach the pages.
	DemoOff bool
	// Idle is how long a session lasts without a request that the person made; zero means [DefaultIdle].
	Idle time.Duration
	// Beat is the interval of keep-alive comments in a stream, at which the stream's session is checked as well; zero
	// means [DefaultBeat].
	Beat time.Duration
	// Now is the clock for idle times and for the periods of insights; nil means the system clock.
	Now func() time.Time
	// TemporalUI is the address of the namespace's page in the Temporal Web UI, to which a conversation's workflow
	// ID is appended. If it is empty, the pages show no such links.
	TemporalUI string
}

// Site serves the pages of its routes.
type Site struct {
	Desk          *desk.Desk
	Conversations *commands.Sender
	Options       Options
	Log           *slog.Logger
	Security      *seclog.Log
	// People and Customers are the sessions of people who sign in, and of browsers with a chat.
	People, Customers *scs.SessionManager
	Live              *live.Watcher
	// Now is the clock of the options, never nil.
	Now func() time.Time

	routes  []Route
	pages   map[string]*template.Template
	idle    time.Duration
	beat    time.Duration
	guard   *http.CrossOriginProtection
	streams *streams
}

// New returns a site of the routes over an open desk. Pages learn of changes only while [Site.Run] runs.
func New(d *desk.Desk, conversations *commands.Sender, options Options, routes []Route) *Site {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Site{
		Desk: d, Conversations: conversations, Options: options, Log: options.Logger,
		pages: templates.Parse(), Live: live.New(d, options.Logger), guard: http.NewCrossOriginProtection(),
		streams: newStreams(), routes: routes,
	}
	s.Security, s.Now = seclog.New(options.Logger), options.Now
	s.idle, s.beat = cmp.Or(options.Idle, DefaultIdle), cmp.Or(options.Beat, DefaultBeat)
	if s.Now == nil {
		s.Now = time.Now
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
	s.People = s.sessions("baton", "/", sessionKept)
	s.Customers = s.sessions("baton_chat", "/chat", customerLifetime)
	return s
}

// Run watches the desk and notifies open pages of changes until ctx ends. Then it ends the open streams.
func (s *Site) Run(ctx context.Context) error { return s.Live.Run(ctx) }

// Streams returns the number of open streams.
func (s *Site) Streams() int {
	s.streams.mutex.Lock()
	defer s.streams.mutex.Unlock()
	return s.streams.open
}

// Handler returns the handler of every page and of the assets. Any other path gets a "not found" page.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		mux.Handle(r.Method+" "+r.Path, s.serve(r))
	}
	for path, handler := range s.fixed() {
		mux.Handle("GET "+path, handler)
	}
	return s.Security.HTTP(s.secured(s.guard.Handler(s.orNotFound(mux))))
}

// orNotFound responds with the "not found" page if the mux has no route for the path.
func (s *Site) orNotFound(mux *http.ServeMux) http.Handler {
	unknown := s.serve(Route{Access: Everybody, Handle: func(*Visit) error {
		return NotFound("There is no page at this address. Check it, or go back to the start.")
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

// Routes returns every page and form, without the assets.
func (s *Site) Routes() []Route { return s.routes }

// Paths returns the patterns, for a [http.ServeMux], of everything that the pages answer, sorted. If a route is below
// a first segment, every path below it is the site's.
func (s *Site) Paths() []string {
	found := slices.Collect(maps.Keys(s.fixed()))
	for _, r := range s.routes {
		first, _, below := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
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
		"/assets/":     compressed(assets.Handler(s.Log)),
		"/favicon.ico": http.RedirectHandler(assets.Path("baton.svg"), http.StatusFound),
		"/{$}":         http.RedirectHandler("/desk", http.StatusSeeOther),
	}
}

// Patience is the timeout of a request, except for streams.
const Patience = 20 * time.Second

// maxForm is the maximum size of a request body in bytes.
const maxForm = 256 << 10

// serve adds what all pages share: sessions, the role check, limits and error pages.
func (s *Site) serve(r Route) http.Handler {
	handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !r.Stream {
			ctx, cancel := context.WithTimeout(req.Context(), Patience)
			defer cancel()
			req = req.WithContext(ctx)
		}
		req.Body = http.MaxBytesReader(w, req.Body, maxForm)
		v := &Visit{Site: s, W: w, R: req, Ctx: req.Context()}
		if err := guarded(v, r); err != nil {
			fail(v, r, err)
		}
	})
	if r.Stream {
		return s.peek(handler)
	}
	return compressed(s.Customers.LoadAndSave(s.People.LoadAndSave(handler)))
}

// peek loads the sessions for a stream. The response of a stream does not end, so it cannot save them.
func (s *Site) peek(next http.Handler) http.Handler {
	return s.loaded(s.People, s.loaded(s.Customers, next))
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
	return s.loaded(s.People, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &Visit{Site: s, W: w, R: r, Ctx: r.Context()}
		who, err := v.who()
		seclog.Identify(v.Ctx, who.Name, string(who.Role), "") //nolint:contextcheck // each request has its own context
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
		s.Log.ErrorContext(r.Context(), "session not read or stored", "error", err)
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
		if s.OverTLS() {
			h.Set("Strict-Transport-Security", strict)
		}
		next.ServeHTTP(w, r)
	})
}
