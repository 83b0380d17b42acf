// Package load drives conversations of its own on a running deployment and times what they are told: how
// many a second are opened, how long commands take at a rate with so many open, and how many a second are
// carried out without a pause. `starter bench` and the growth part of bench/ print what it finds.
//
// It works on agents and a queue of its own, which nobody else is given work on, and speaks to the
// conversations as services do. No promise is judged here.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// Options say what is driven. Fields that are zero leave their part out.
type Options struct {
	// Open is how many conversations are open while commands are timed; at least one.
	Open int
	// Rate is how many commands a second they are sent, spread over all of them, and For for how long.
	Rate float64
	For  time.Duration
	// Clients is how many conversations are opened at a time, and commanded without a pause, each by one
	// client that waits for the answer; Unpaced is for how long.
	Clients int
	Unpaced time.Duration
	// Progress, where it is set, is told of each part and how far it is.
	Progress func(part string, done, of int)
}

// Load is a set of open conversations, with the agents who have them.
type Load struct {
	baton    *baton.Client
	desk     *desk.Desk
	options  Options
	queue    string
	agents   []string
	talks    []*talk
	progress func(part string, done, of int)
}

const (
	// talksOfAgent is how many conversations an agent has at the start, at most.
	talksOfAgent = 5
	// fewestAgents leaves somebody to pass a conversation to.
	fewestAgents = 10
)

// QueuePrefix begins the names of the queues that conversations are opened on.
const QueuePrefix = "bench-"

// Prepare adds the queue and the agents. Refused while transfers are off: nothing could be measured.
func Prepare(ctx context.Context, b *baton.Client, d *desk.Desk, o Options) (*Load, error) {
	settings, err := d.Settings(ctx)
	switch {
	case err != nil:
		return nil, err
	case !settings.MessagingTransfers:
		return nil, conversation.Refuse(conversation.CodeMessagingTransfersOff, conversation.Details{},
			"transfers are off, so none can be timed: turn them on with `starter settings --messaging-transfers on`")
	}
	l := &Load{baton: b, desk: d, options: o, progress: o.Progress, queue: QueuePrefix + uuid.NewString()[:8]}
	if l.progress == nil {
		l.progress = func(string, int, int) {}
	}
	if err := d.AddQueue(ctx, l.queue); err != nil {
		return nil, err
	}
	for i := range max(fewestAgents, (o.Open+talksOfAgent-1)/talksOfAgent) {
		agent := fmt.Sprintf("%s-%05d", l.queue, i)
		if err := d.AddAgent(ctx, desk.NewAgent{Name: agent, Presence: desk.PresenceAvailable}); err != nil {
			return l, err
		}
		l.agents = append(l.agents, agent)
	}
	return l, nil
}

// Queue is the queue that the conversations belong to.
func (l *Load) Queue() string { return l.queue }

// Rate is how many of something were done in a time.
type Rate struct {
	Count     int     `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
}

func rateOf(count int, within time.Duration) Rate {
	return Rate{Count: count, Seconds: within.Seconds(), PerSecond: float64(count) / within.Seconds()}
}

// OpenUpTo opens conversations until so many are open, each accepted by an agent, several at a time.
func (l *Load) OpenUpTo(ctx context.Context, open int) (Rate, error) {
	first := len(l.talks)
	opened := make([]*talk, max(open-first, 0))
	began := time.Now()
	var done atomic.Int64
	err := l.each(ctx, len(opened), func(ctx context.Context, i int) (err error) {
		opened[i], err = l.open(ctx, first+i)
		l.progress("opening conversations", int(done.Add(1)), len(opened))
		return err
	})
	for _, t := range opened {
		if t != nil {
			l.talks = append(l.talks, t)
		}
	}
	return rateOf(len(opened), time.Since(began)), err
}

// each runs do for every number below n, as many at a time as there are clients, until one fails.
func (l *Load) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(l.options.Clients, 1))
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait() //nolint:wrapcheck // each error says what was being done
}

// Settle waits until the desk shows what the conversations have been told.
func (l *Load) Settle(ctx context.Context) error {
	for _, t := range l.talks {
		if err := l.desk.AwaitRevision(ctx, t.sid, t.revision); err != nil {
			return err
		}
	}
	return nil
}

// Clean closes the conversations and removes the agents and the queue, as far as it can. What a closed
// conversation's record still needs, it keeps.
func (l *Load) Clean(ctx context.Context) error {
	var done atomic.Int64
	open := make([]error, len(l.talks))
	stopped := l.each(ctx, len(l.talks), func(ctx context.Context, i int) error {
		open[i] = l.talks[i].end(ctx) // the others are closed all the same
		l.progress("closing conversations", int(done.Add(1)), len(l.talks))
		return ctx.Err()
	})
	if err := errors.Join(errors.Join(open...), stopped); err != nil {
		return fmt.Errorf("some conversations of queue %s are still open, and its agents are left: %w", l.queue, err)
	}
	if err := l.Settle(ctx); err != nil {
		return err
	}
	var errs []error
	for _, agent := range l.agents {
		errs = append(errs, l.desk.RemoveAgent(ctx, agent))
	}
	return errors.Join(append(errs, l.desk.RemoveQueue(ctx, l.queue))...)
}
