// Package webhook tells the workspace's EventCallbackURL of TaskRouter's events, each signed as Twilio
// signs its own.
//
// What is to be delivered, in which order and when again, the desk decides and keeps; this package
// carries it. What may not come in: SQL, Temporal, and the text of notes and messages.
//
// Where to look:
//   - sender.go: what is sent when; request.go: one request.
//   - form.go: what an event looks like to its receiver.
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

	"github.com/baton-transfers/baton/desk"
)

const (
	// deliveredAtOnce bounds the deliveries under way, each of another stream.
	deliveredAtOnce = 32
	// beyondTimeout is how much longer than a request's timeout a webhook is taken for: to read what it
	// tells from the desk, and to write how it went.
	beyondTimeout = 15 * time.Second
)

// Options are what a sender may be told. The zero Options serve.
type Options struct {
	// Allow are addresses that webhooks may go to though they are no public ones; see [ParseAllow].
	Allow []netip.Prefix
	// AllowRedirects has redirects followed that keep the request as it is (307 and 308). The signature
	// stays that of the workspace's URL. Without it, and for other redirects, they are failures.
	AllowRedirects bool
	// Tick is how often the sender looks for what is due; 200 ms where it is zero.
	Tick time.Duration
	// Timeout is how long a receiver may take to answer; TaskRouter's 15 s where it is zero.
	Timeout time.Duration
	// Logger takes every failure; nothing is logged where it is nil.
	Logger *slog.Logger
	// Observe is told how each delivery ended, delivered, failed or dead, and how long it took; nobody where it is nil.
	Observe func(outcome string, took time.Duration)
}

// Sender delivers webhooks. Many may work on one desk, in one process or in several.
type Sender struct {
	desk    *desk.Desk
	client  *http.Client
	tick    time.Duration
	timeout time.Duration
	log     *slog.Logger
	observe func(outcome string, took time.Duration)

	// free holds a token for each delivery under way; done tells that one has ended, so that there is
	// room, and the next of its stream is due.
	free chan struct{}
	done chan struct{}
	// movedAt is when a round has ended, in Unix nanoseconds.
	movedAt atomic.Int64
}

func (s *Sender) moves() { s.movedAt.Store(time.Now().UnixNano()) }

// Moves returns an error where [Sender.Run] has finished no round for that long: the desk does not answer.
func (s *Sender) Moves(within time.Duration) error {
	last := time.Unix(0, s.movedAt.Load())
	if queued := s.desk.QueuedAt(); queued.After(last) { // one that has much to do moves too
		last = queued
	}
	if since := time.Since(last); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}

// New returns a sender of the desk's webhooks.
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

// Run delivers webhooks until ctx ends, then returns ctx's error. Each is delivered at least once: after
// an error or anything but a 2xx it is sent again as [desk.Desk.WebhookFailed] describes, and what is
// under way when ctx ends is given up, and sent again by whoever runs next. Events of one conversation,
// agent or queue arrive in their order; one that fails or is slow doesn't hold up the others.
func (s *Sender) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.tick)
	defer ticker.Stop()
	defer s.client.CloseIdleConnections()
	var underWay sync.WaitGroup
	defer underWay.Wait()

	queue := true
	for {
		if queue {
			if err := s.desk.QueueWebhooks(ctx); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "webhooks could not be queued, which will be tried again", "error", err)
			}
		}
		if err := s.start(ctx, &underWay); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the desk could not say which webhooks are due, and will be asked again", "error", err)
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

// start begins to deliver what is due, as far as there is room.
func (s *Sender) start(ctx context.Context, underWay *sync.WaitGroup) error {
	room := cap(s.free) - len(s.free)
	if room == 0 {
		return nil
	}
	due, err := s.desk.TakeWebhooks(ctx, room, s.timeout+beyondTimeout)
	if err != nil || len(due) == 0 {
		return err
	}
	account, err := s.desk.Account(ctx)
	if err != nil {
		return err
	}
	if account.Workspace.EventCallbackURL == "" {
		return nil // just taken away, and what is queued with it
	}
	for _, w := range due {
		s.free <- struct{}{}
		underWay.Go(func() {
			s.deliver(ctx, account, w)
			<-s.free
			select {
			case s.done <- struct{}{}:
			default: // it is known already
			}
		})
	}
	return nil
}

// startSpan begins the trace of a delivery. What it tells of may be days old, so it is a trace of its own.
func startSpan(ctx context.Context, w desk.Webhook) (context.Context, trace.Span) {
	return otel.Tracer("github.com/baton-transfers/baton/httpapi/webhook").Start(ctx, "Webhook:"+string(w.Event.Name), //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
			attribute.String("baton.event", w.Event.SID()), attribute.String("baton.conversation", w.Event.Conversation),
			attribute.String("baton.task", w.Event.Task), attribute.String("baton.transfer", w.Event.Transfer),
			attribute.Int("baton.attempt", w.Attempts)))
}

// deliver sends the webhook and records how it went, even while ctx ends: what has arrived needn't be sent again.
func (s *Sender) deliver(ctx context.Context, account desk.Account, w desk.Webhook) {
	began := time.Now()
	ctx, span := startSpan(ctx, w)
	defer span.End()
	failure := s.send(ctx, account, w.Event)
	if failure != "" && ctx.Err() != nil {
		return // given up: it is due again when its lease ends
	}
	took := time.Since(began)
	log := s.log.With("event", w.Event.SID(), "stream", w.Stream, "attempt", w.Attempts)
	ctx = context.WithoutCancel(ctx)
	if failure == "" {
		s.observe("delivered", took)
		if err := s.desk.WebhookDelivered(ctx, w.Position); err != nil {
			log.ErrorContext(ctx, "a webhook was delivered, which could not be recorded: it will be sent again", "error", err)
		}
		return
	}
	span.SetStatus(codes.Error, failure)
	dead, err := s.desk.WebhookFailed(ctx, w.Position, failure)
	s.observe(map[bool]string{false: "failed", true: "dead"}[dead], took)
	switch {
	case err != nil:
		log.ErrorContext(ctx, "a webhook failed, which could not be recorded: it will be sent again", "failure", failure, "error", err)
	case dead:
		log.ErrorContext(ctx, "a webhook has failed for a day and is given up, until somebody has it delivered again", "failure", failure)
	default:
		log.WarnContext(ctx, "a webhook failed, and will be sent again", "failure", failure)
	}
}

// send returns why the event could not be delivered, "" where it was.
func (s *Sender) send(ctx context.Context, account desk.Account, e desk.LoggedEvent) (failure string) {
	f, err := s.form(ctx, account, e)
	if err != nil {
		if ctx.Err() == nil {
			s.log.ErrorContext(ctx, "a webhook could not be put together", "event", e.SID(), "error", err)
		}
		return "the desk could not be asked what the event is about"
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	current, next := s.desk.Signing(account)
	return post(ctx, s.client, account, current, next, e.SID(), f)
}
