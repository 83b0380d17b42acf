// Package webhook delivers TaskRouter's events to the workspace's EventCallbackURL. It signs each request as Twilio
// does.
//
// The desk decides and stores which events are delivered, in which order and when they are repeated. This package
// only sends them. Must not contain: SQL, Temporal, and the text of notes and messages.
//
// Where to look:
//   - sender.go: what is sent when. request.go: one request.
//   - form.go: the parameters that a receiver gets.
//   - address.go: where webhooks may go.
package webhook

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
)

const (
	// deliveredAtOnce is the maximum number of concurrent deliveries. Each is of another stream.
	deliveredAtOnce = 32
	// beyondTimeout is added to a request's timeout for the lease of a webhook: the time to read the event's data
	// from the desk, and to record the result.
	beyondTimeout = 15 * time.Second
)

// Options configure a sender. The zero value is usable.
type Options struct {
	// Allow lists addresses that are not public and that webhooks may go to; see [ParseAllow].
	Allow []netip.Prefix
	// AllowRedirects makes the sender follow redirects that keep the request as it is (307 and 308). The signature
	// remains that of the workspace's URL. Other redirects are failures; if AllowRedirects is false, all redirects
	// are.
	AllowRedirects bool
	// Tick is how often the sender looks for due webhooks; 0 means 200 ms.
	Tick time.Duration
	// Timeout is how long a receiver may take to answer; 0 means TaskRouter's 15 s.
	Timeout time.Duration
	// Logger receives every failure; nil logs nothing.
	Logger *slog.Logger
	// Observe is called after each delivery with its outcome (delivered, failed or dead) and its duration; nil for
	// no calls.
	Observe func(outcome string, took time.Duration)
}

// Sender delivers webhooks. Several senders may use one desk, in one process or in several.
type Sender struct {
	desk    *desk.Desk
	client  *http.Client
	tick    time.Duration
	timeout time.Duration
	log     *slog.Logger
	observe func(outcome string, took time.Duration)

	// free holds a token for each current delivery. done receives a value after a delivery has ended, when there is
	// room and the next webhook of its stream may be due.
	free chan struct{}
	done chan struct{}
	// movedAt is the time of the last finished round, in Unix nanoseconds.
	movedAt atomic.Int64
}

func (s *Sender) moves() { s.movedAt.Store(time.Now().UnixNano()) }

// Moves returns an error if [Sender.Run] has finished no round for that long: the desk does not answer.
func (s *Sender) Moves(within time.Duration) error {
	if since := time.Since(time.Unix(0, s.movedAt.Load())); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}

// New returns a sender for the desk's webhooks.
func New(d *desk.Desk, o Options) *Sender {
	o.Tick, o.Timeout = cmp.Or(o.Tick, 200*time.Millisecond), cmp.Or(o.Timeout, 15*time.Second)
	if o.Observe == nil {
		o.Observe = func(string, time.Duration) {}
	}
	s := &Sender{
		desk: d, client: newClient(o), tick: o.Tick, timeout: o.Timeout, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), observe: o.Observe,
		free: make(chan struct{}, deliveredAtOnce), done: make(chan struct{}, 1),
	}
	s.moves()
	return s
}

// Run delivers webhooks until ctx ends, then returns ctx's error. It delivers each at least once: after an error or
// any status but 2xx it sends the webhook again as [outbox.WebhookFailed] describes. Deliveries that are
// unfinished when ctx ends are abandoned, and the next sender to run repeats them. Events of one conversation,
// agent or queue arrive in their order. A slow or failing stream does not delay the others.
func (s *Sender) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	defer s.client.CloseIdleConnections()
	var underWay sync.WaitGroup
	defer underWay.Wait()

	queue := true
	for {
		if queue {
			if err := outbox.QueueWebhooks(ctx, s.desk, s.moves); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "webhooks not queued, retrying", "error", err)
			}
		}
		if err := s.start(ctx, &underWay); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "due webhooks not read, retrying", "error", err)
		}
		s.moves()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			queue = true
		case <-s.done:
			queue = false
		}
	}
}

// start begins to deliver due webhooks, as many as there is room for.
func (s *Sender) start(ctx context.Context, underWay *sync.WaitGroup) error {
	room := cap(s.free) - len(s.free)
	if room == 0 {
		return nil
	}
	due, err := outbox.TakeWebhooks(ctx, s.desk, room, s.timeout+beyondTimeout)
	if err != nil || len(due) == 0 {
		return err
	}
	account, err := access.ReadAccount(ctx, s.desk)
	if err != nil {
		return err
	}
	if account.Workspace.EventCallbackURL == "" {
		return nil // the URL was just removed, and the queued webhooks with it
	}
	for _, w := range due {
		s.free <- struct{}{}
		underWay.Go(func() {
			s.deliver(ctx, account, w)
			<-s.free
			select {
			case s.done <- struct{}{}:
			default: // a wake-up is already pending
			}
		})
	}
	return nil
}

// startSpan begins the trace of a delivery. It is a trace of its own, because the event may be days old.
func startSpan(ctx context.Context, w outbox.Webhook) (context.Context, trace.Span) {
	return otel.Tracer("github.com/baton-transfers/baton/internal/httpapi/webhook").Start(ctx, "Webhook:"+string(w.Event.Name), //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("baton.event", w.Event.SID()), attribute.String("baton.conversation", w.Event.Conversation),
			attribute.String("baton.task", w.Event.Task), attribute.String("baton.transfer", w.Event.Transfer),
			attribute.Int("baton.attempt", w.Attempts)))
}

// deliver sends the webhook and records the result. It records it even after ctx ends, so that a delivered webhook
// is not sent again.
func (s *Sender) deliver(ctx context.Context, account access.Account, w outbox.Webhook) {
	began := time.Now()
	ctx, span := startSpan(ctx, w)
	defer span.End()
	failure := s.send(ctx, account, w.Event)
	if failure != "" && ctx.Err() != nil {
		return // abandoned: it is due again when its lease ends
	}
	took := time.Since(began)
	log := s.log.With("event", w.Event.SID(), "stream", w.Stream, "attempt", w.Attempts)
	ctx = context.WithoutCancel(ctx)
	if failure == "" {
		s.observe("delivered", took)
		if err := outbox.WebhookDelivered(ctx, s.desk, w.Position); err != nil {
			log.ErrorContext(ctx, "delivered webhook not recorded, it will be sent again", "error", err)
		}
		return
	}
	span.SetStatus(codes.Error, failure)
	dead, err := outbox.WebhookFailed(ctx, s.desk, w.Position, failure)
	s.observe(map[bool]string{false: "failed", true: "dead"}[dead], took)
	switch {
	case err != nil:
		log.ErrorContext(ctx, "failed webhook not recorded, it will be sent again", "failure", failure, "error", err)
	case dead:
		log.ErrorContext(ctx, "webhook failed for a day, given up", "failure", failure)
	default:
		log.WarnContext(ctx, "webhook failed, retrying", "failure", failure)
	}
}

// send delivers the event. It returns why that failed, or "".
func (s *Sender) send(ctx context.Context, account access.Account, e desk.LoggedEvent) (failure string) {
	f, err := s.form(ctx, account, e)
	if err != nil {
		if ctx.Err() == nil {
			s.log.ErrorContext(ctx, "webhook not built", "event", e.SID(), "error", err)
		}
		return "the desk could not be asked what the event is about"
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	current, next := access.Signing(s.desk, account)
	return post(ctx, s.client, account, current, next, e.SID(), f)
}
