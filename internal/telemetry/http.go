package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/answer"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/workflows"
)

// headerRequest is the header of a request's ID, in requests and responses.
const headerRequest = "X-Request-ID"

// request collects what is found out about a request while it is handled.
type request struct {
	mutex sync.Mutex
	key   string
	// task and transfer are the SIDs that the request's command has changed.
	conversation, task, transfer string
}

type requestKey struct{}

// Key records the SID of the credentials that a request came with.
func Key(ctx context.Context, sid string) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.key = sid
	}
}

// named records the conversation of a request.
func named(ctx context.Context, sid string) {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.conversation = sid
	}
}

// decided records the outcome of the command that a request has sent.
func decided(ctx context.Context, outcome conversation.Outcome) {
	r, ok := ctx.Value(requestKey{}).(*request)
	if !ok {
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if outcome.Task != nil {
		r.task = outcome.Task.SID
	}
	if outcome.Transfer != nil {
		r.transfer = outcome.Transfer.SID
	}
}

// HTTP wraps a handler: each request gets a span, a log line and metrics. They are named after the route's pattern,
// because a path may hold anything.
func (t *Telemetry) HTTP(next http.Handler) http.Handler {
	tracer := t.tracer()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := requestID(r)
		w.Header().Set(headerRequest, id)
		about := &request{}
		ctx := context.WithValue(r.Context(), requestKey{}, about)
		if t.spans != nil {
			ctx = propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
		}
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		answer := answer.Record(w)
		r = r.WithContext(ctx)
		defer func() {
			line := answered{
				id: id, method: r.Method, route: routeOf(r), status: answer.Status(), took: time.Since(began),
				stream: strings.HasPrefix(answer.Header().Get("Content-Type"), "text/event-stream"),
				sids:   about.sids(r.URL.Path),
			}
			if client, ok := forwarded.Handled(ctx); ok {
				line.client = client.String()
			}
			t.metrics.request(line.route, line.status, line.took, line.stream)
			line.describe(span)
			span.End()
			line.log(ctx, t.log)
		}()
		next.ServeHTTP(answer, r)
	})
}

// answered describes a handled request.
type answered struct {
	id, method, route string
	status            int
	took              time.Duration
	stream            bool
	// client is the address that the request came from; empty if it is unknown.
	client string
	sids   []slog.Attr
}

func (a answered) describe(span trace.Span) {
	if !span.IsRecording() {
		return
	}
	span.SetName(a.route)
	_, path, _ := strings.Cut(a.route, " ")
	span.SetAttributes(attribute.String("http.request.method", a.method), attribute.String("http.route", path),
		attribute.Int("http.response.status_code", a.status), attribute.String("baton."+keyRequest, a.id))
	for _, sid := range a.sids {
		span.SetAttributes(attribute.String("baton."+sid.Key, sid.Value.String()))
	}
	if a.status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, "")
	}
}

// log writes the log line of the request. It has the client's address, and not the path, the query or the body.
// Probes and assets are logged at debug.
func (a answered) log(ctx context.Context, log *slog.Logger) {
	level := slog.LevelInfo
	switch {
	case a.status >= http.StatusInternalServerError:
	case strings.HasSuffix(a.route, " /healthz"), strings.HasSuffix(a.route, " /readyz"), strings.HasSuffix(a.route, " /assets/"):
		level = slog.LevelDebug
	}
	attributes := []slog.Attr{
		slog.String("route", a.route), slog.Int("status", a.status),
		slog.Float64("seconds", a.took.Seconds()), slog.String(keyRequest, a.id),
	}
	if a.client != "" {
		attributes = append(attributes, slog.String("client", a.client))
	}
	log.LogAttrs(ctx, level, "request", append(attributes, a.sids...)...)
}

// routeOf returns the method and the pattern of the route that handled the request, as set by the muxes.
func routeOf(r *http.Request) string {
	switch {
	case r.Pattern == "" || r.Pattern == "/":
		return methodOf(r) + " (none)"
	case strings.Contains(r.Pattern, " "):
		return r.Pattern
	}
	return methodOf(r) + " " + r.Pattern
}

// methodOf limits the values of the method, because a request may have any.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "OTHER"
}

var requestIDs = regexp.MustCompile(`^[0-9A-Za-z._-]{1,64}$`)

// requestID returns the ID that a proxy has given the request, or a new one.
func requestID(r *http.Request) string {
	if given := r.Header.Get(headerRequest); requestIDs.MatchString(given) {
		return given
	}
	return uuid.NewString()
}

// sids returns the SIDs of a request: those in its path, those of its conversation and of what it has changed, and
// that of its credentials.
func (r *request) sids(path string) []slog.Attr {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found := map[string]string{}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case conversation.IsSID(conversation.PrefixConversation, part), conversation.IsSID(conversation.PrefixInteraction, part),
			conversation.IsSID(conversation.PrefixInteractionChannel, part):
			found[keyConversation] = conversation.SameSID(conversation.PrefixConversation, part)
		case conversation.IsSID(conversation.PrefixTask, part):
			found[keyTask] = part
		case conversation.IsSID(conversation.PrefixTransfer, part):
			found[keyTransfer] = part
		}
	}
	for key, known := range map[string]string{keyConversation: r.conversation, keyTask: r.task, keyTransfer: r.transfer} {
		if known != "" {
			found[key] = known
		}
	}
	found[keyOfKey] = r.key
	var sids []slog.Attr
	for _, key := range []string{keyConversation, keyTask, keyTransfer, keyOfKey} {
		if found[key] != "" {
			sids = append(sids, slog.String(key, found[key]))
		}
	}
	return sids
}

// naming records the conversation that a request starts or updates.
type naming struct {
	interceptor.ClientInterceptorBase
}

// InterceptClient implements [interceptor.ClientInterceptor].
func (*naming) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	n := &namedCalls{}
	n.Next = next
	return n
}

type namedCalls struct {
	interceptor.ClientOutboundInterceptorBase
}

// ExecuteWorkflow implements [interceptor.ClientOutboundInterceptor].
func (n *namedCalls) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (client.WorkflowRun, error) {
	named(ctx, workflows.SID(in.Options.ID))
	return n.Next.ExecuteWorkflow(ctx, in) //nolint:wrapcheck // an interceptor in between
}

// UpdateWorkflow implements [interceptor.ClientOutboundInterceptor].
func (n *namedCalls) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (client.WorkflowUpdateHandle, error) {
	named(ctx, workflows.SID(in.WorkflowID))
	handle, err := n.Next.UpdateWorkflow(ctx, in)
	if err != nil {
		return nil, err //nolint:wrapcheck // an interceptor in between
	}
	return namedUpdate{handle}, nil
}

type namedUpdate struct{ client.WorkflowUpdateHandle }

// Get implements [client.WorkflowUpdateHandle].
func (u namedUpdate) Get(ctx context.Context, into any) error {
	err := u.WorkflowUpdateHandle.Get(ctx, into)
	if outcome, ok := into.(*conversation.Outcome); ok && err == nil {
		decided(ctx, *outcome)
	}
	return err //nolint:wrapcheck // an interceptor in between
}
