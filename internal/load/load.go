// Package load generates load on a running deployment and measures it: how many conversations are opened per
// second, how long commands take at a given rate with many open conversations, and how many commands per second are
// executed without pauses. `baton bench` and the growth part of lab/bench print the results.
//
// It uses its own agents and its own queue, and sends commands as services do. It does not check guarantees.
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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// Options configure the load. A part whose fields are zero is left out.
type Options struct {
	// Open is how many conversations are open while commands are measured; at least one.
	Open int
	// Rate is the number of commands per second, spread over all conversations, and For the duration.
	Rate float64
	For  time.Duration
	// Clients is how many conversations are opened at a time, and how many clients send commands without pauses,
	// each to one conversation and waiting for each answer. Unpaced is the duration of the latter.
	Clients int
	Unpaced time.Duration
	// Progress is called with the progress of each part; it may be nil.
	Progress func(part string, done, of int)
}

// Load is a set of open conversations and their agents.
type Load struct {
	baton    *baton.Client
	desk     *desk.Desk
	options  Options
	queue    string
	agents   []string
	talks    []*Talk
	progress func(part string, done, of int)
}

const (
	// talksOfAgent is the maximum number of conversations of an agent at the start.
	talksOfAgent = 5
	// fewestAgents makes sure that there are agents to transfer to.
	fewestAgents = 10
)

// QueuePrefix is the prefix of the names of the load's queues.
const QueuePrefix = "bench-"

// Prepare adds the queue and the agents. It refuses to start while transfers are off, because nothing could be
// measured.
func Prepare(ctx context.Context, b *baton.Client, d *desk.Desk, o Options) (*Load, error) {
	settings, err := desk.ReadSettings(ctx, d)
	switch {
	case err != nil:
		return nil, err
	case !settings.MessagingTransfers:
		return nil, conversation.Refuse(conversation.CodeMessagingTransfersOff, conversation.Details{},
			"transfers are off, so none can be timed: turn them on with `baton settings --messaging-transfers on`")
	}
	l := &Load{baton: b, desk: d, options: o, progress: o.Progress, queue: QueuePrefix + uuid.NewString()[:8]}
	if l.progress == nil {
		l.progress = func(string, int, int) {}
	}
	if err := people.AddQueue(ctx, d, l.queue); err != nil {
		return nil, err
	}
	for i := range max(fewestAgents, (o.Open+talksOfAgent-1)/talksOfAgent) {
		agent := fmt.Sprintf("%s-%05d", l.queue, i)
		if err := people.AddAgent(ctx, d, people.NewAgent{Name: agent, Presence: desk.PresenceAvailable}); err != nil {
			return l, err
		}
		l.agents = append(l.agents, agent)
	}
	return l, nil
}

// Queue returns the name of the load's queue.
func (l *Load) Queue() string { return l.queue }

// Rate is a count of operations and the time that they took.
type Rate struct {
	Count     int     `json:"count"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"per_second"`
}

func rateOf(count int, within time.Duration) Rate {
	return Rate{Count: count, Seconds: within.Seconds(), PerSecond: float64(count) / within.Seconds()}
}

// OpenUpTo opens conversations, several at a time, until the given number is open. An agent accepts each of them.
func (l *Load) OpenUpTo(ctx context.Context, open int) (Rate, error) {
	first := len(l.talks)
	opened := make([]*Talk, max(open-first, 0))
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

// each calls do with every number below n, with at most Options.Clients calls at a time, until a call fails.
func (l *Load) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(l.options.Clients, 1))
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait() //nolint:wrapcheck // each error has its context
}

// Settle waits until the desk has all changes of the conversations.
func (l *Load) Settle(ctx context.Context) error {
	for _, t := range l.talks {
		if err := routing.AwaitRevision(ctx, l.desk, t.SID, t.revision); err != nil {
			return err
		}
	}
	return nil
}

// Clean closes the conversations and removes the agents and the queue, as far as possible. The records of closed
// conversations keep what they need of them.
func (l *Load) Clean(ctx context.Context) error {
	var done atomic.Int64
	open := make([]error, len(l.talks))
	stopped := l.each(ctx, len(l.talks), func(ctx context.Context, i int) error {
		open[i] = l.talks[i].End(ctx) // on an error the others are still closed
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
		errs = append(errs, people.RemoveAgent(ctx, l.desk, agent))
	}
	return errors.Join(append(errs, people.RemoveQueue(ctx, l.desk, l.queue))...)
}
