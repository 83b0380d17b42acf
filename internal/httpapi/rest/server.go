package rest

import (
	"context"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/limit"
	"github.com/baton-transfers/baton/internal/seclog"
)

// Options configure a server. The zero value is usable.
type Options struct {
	// Logger receives internal errors; nil logs nothing. Secrets and what people wrote are never logged.
	Logger *slog.Logger
	// AllowCallback returns an error that states why an address may not be the workspace's event callback; nil
	// allows all.
	AllowCallback func(callback string) error
	// URL is the public base address, as https://baton.example.com, of URLs in answers. If it is empty, the address
	// that the client requested is used.
	URL string
	// Elsewhere answers browsers that ask for a path outside the API; nil for the API's own answer.
	Elsewhere http.Handler
	// WrongCredentials is how often one address (of IPv6, one /64) may send wrong credentials;
	// WrongCredentialsTotal is how often all addresses together may. Zero means the defaults.
	WrongCredentials, WrongCredentialsTotal limit.Pace
	// Authenticated is called for each authenticated request with the SID of its credentials; nil for no calls.
	Authenticated func(ctx context.Context, sid string)
}

// Server answers the API's requests. It is safe for concurrent use.
type Server struct {
	desk          *desk.Desk
	conversations *commands.Sender
	log           *slog.Logger
	security      *seclog.Log
	allowCallback func(callback string) error
	authenticated func(ctx context.Context, sid string)
	// requests limits the requests of each key, guesses the wrong credentials of each address.
	requests, guesses *limit.Limiter
	keys              *access.Authenticator

	public    string
	elsewhere http.Handler
	writes    *writes
	seen      *seen
	routes    []Route
	// document is the API's OpenAPI description.
	document []byte
}

// New returns a server of the routes that uses the desk and the client for conversations. The caller closes both. The
// document is the routes' OpenAPI description.
func New(d *desk.Desk, c *commands.Sender, routes []Route, document []byte, o Options) *Server {
	s := &Server{
		desk: d, conversations: c, routes: routes, document: document, log: o.Logger, allowCallback: o.AllowCallback, authenticated: o.Authenticated,
		requests: limit.New(limit.Pace{}, limit.Pace{}), writes: newWrites(), seen: newSeen(), public: o.URL, elsewhere: o.Elsewhere,
		keys:    access.NewAuthenticator(d),
		guesses: limit.New(o.WrongCredentials.Or(defaultWrongCredentials()), o.WrongCredentialsTotal.Or(defaultWrongCredentialsTotal())),
	}
	s.security = seclog.New(o.Logger)
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.allowCallback == nil {
		s.allowCallback = func(string) error { return nil }
	}
	if s.authenticated == nil {
		s.authenticated = func(context.Context, string) {}
	}
	return s
}

// patience is how long a request may take to handle. It must be less than the server's WriteTimeout.
const patience = 20 * time.Second

// Handler returns the API as an HTTP handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		mux.Handle(r.String(), s.serve(r))
	}
	mux.HandleFunc("GET /openapi.json", s.serveDocument)
	mux.Handle("/", s.unrouted(mux))
	return s.security.HTTP(s.secured(mux))
}

func (s *Server) serveDocument(w http.ResponseWriter, _ *http.Request) {
	asData(w.Header())
	w.Header().Set("Content-Disposition", `attachment; filename="openapi.json"`)
	_, _ = w.Write(s.document) // the client may have disconnected
}

// secured refuses requests that a page of another site makes a browser send with remembered credentials. Programs
// send neither Origin nor Sec-Fetch-Site.
func (s *Server) secured(next http.Handler) http.Handler {
	guard := http.NewCrossOriginProtection()
	if s.public != "" { // a proxy may change the browser's Host
		if err := guard.AddTrustedOrigin(s.public); err != nil {
			s.log.Error("public address is not an origin", "url", s.public, "error", err)
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.write(s.newCall(w, r, Route{}), nil, Forbid("the request comes from a page of another site: call the API from a program"))
	}))
	guarded := guard.Handler(next)
	if !strings.HasPrefix(s.public, "https://") {
		return guarded
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		guarded.ServeHTTP(w, r)
	})
}

// unrouted answers requests without a route: with 405 if the path has other methods, else with 404. A browser that
// asks for a page gets a page.
func (s *Server) unrouted(mux *http.ServeMux) http.Handler {
	unrouted := s.serve(Route{access: Everyone, handle: func(c *Call) (any, error) {
		allowed := methods(mux, c.Request)
		if len(allowed) == 0 {
			return nil, notFound("the resource " + c.Request.URL.Path)
		}
		for _, method := range allowed {
			c.w.Header().Add("Allow", method)
		}
		return nil, &Problem{
			Status: http.StatusMethodNotAllowed, Code: 20004,
			Message: c.Request.Method + " is not supported here: see docs/http.md for what is",
		}
	}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.elsewhere != nil && forBrowsers(r) && len(methods(mux, r)) == 0 {
			s.elsewhere.ServeHTTP(w, r)
			return
		}
		unrouted.ServeHTTP(w, r)
	})
}

// methods returns the methods that have a route for the request's path.
func methods(mux *http.ServeMux, r *http.Request) (found []string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := mux.Handler(other); pattern != "/" {
			found = append(found, method)
		}
	}
	return found
}

var versioned = regexp.MustCompile(`^/v[0-9]+(/|$)`)

// forBrowsers reports whether a browser asks for a page: the request has no credentials, its path is not below a
// version of the API, and it accepts HTML.
func forBrowsers(r *http.Request) bool {
	return r.Header.Get("Authorization") == "" && !versioned.MatchString(r.URL.Path) && acceptsHTML(r.Header.Values("Accept"))
}

// acceptsHTML reports whether the accepted types name HTML. Programs accept */* or JSON.
func acceptsHTML(accept []string) bool {
	for _, line := range accept {
		for entry := range strings.SplitSeq(line, ",") {
			kind, parameters, err := mime.ParseMediaType(strings.TrimSpace(entry))
			if err == nil && (kind == "text/html" || kind == "application/xhtml+xml") && parameters["q"] != "0" {
				return true
			}
		}
	}
	return false
}
