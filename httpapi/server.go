package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// Conversations commands conversations and reads them: [*baton.Client] does.
type Conversations interface {
	Start(ctx context.Context, start conversation.StartCommand) (string, error)
	Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error)
	SendAsync(ctx context.Context, sid string, command conversation.Command) error
	State(ctx context.Context, sid string) (conversation.Record, error)
	Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error)
}

var _ Conversations = (*baton.Client)(nil)

// Options are what a server may be made with. The zero Options serve.
type Options struct {
	// Logger takes what went wrong inside; nothing is logged where it is nil. Neither secrets nor what
	// people wrote is ever logged.
	Logger *slog.Logger
	// AllowCallback tells whether an address may be set as the workspace's event callback: nil, or why not.
	AllowCallback func(callback string) error
	// Authenticated is told with which credentials a request came, by their SID; nobody where it is nil.
	Authenticated func(ctx context.Context, sid string)
}

// Server answers the API's requests. It is safe for concurrent use.
type Server struct {
	desk          *desk.Desk
	conversations Conversations
	log           *slog.Logger
	allowCallback func(callback string) error
	authenticated func(ctx context.Context, sid string)
	limits        *limits
	writes        *writes
	seen          *seen
}

// New returns a server over a desk and the client for conversations, which stay the caller's to close.
func New(d *desk.Desk, c Conversations, o Options) *Server {
	s := &Server{
		desk: d, conversations: c, log: o.Logger, allowCallback: o.AllowCallback, authenticated: o.Authenticated,
		limits: newLimits(), writes: newWrites(), seen: newSeen(),
	}
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

// MaxBody is how many bytes a request may have.
const MaxBody = 1 << 20

// patience is how long a request may take inside, which has to be less than the server's WriteTimeout.
const patience = 20 * time.Second

// Handler returns the API as a handler of HTTP.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range routes() {
		mux.Handle(r.method+" "+r.path, s.serve(r))
	}
	mux.HandleFunc("GET /openapi.json", serveOpenAPI)
	mux.Handle("/", s.elsewhere(mux))
	return mux
}

// elsewhere answers what no route is for: with 405 where the path has other methods, else with 404.
func (s *Server) elsewhere(mux *http.ServeMux) http.Handler {
	return s.serve(route{access: everyone, handle: func(c *call) (any, error) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			other := c.r.Clone(c.r.Context())
			other.Method = method
			if _, pattern := mux.Handler(other); pattern != "/" {
				c.w.Header().Add("Allow", method)
			}
		}
		if allowed := c.w.Header().Values("Allow"); len(allowed) > 0 {
			return nil, &problem{
				Status: http.StatusMethodNotAllowed, Code: 20004,
				Message: c.r.Method + " is not supported here: see docs/http.md for what is",
			}
		}
		return nil, notFound("the resource " + c.r.URL.Path)
	}})
}
