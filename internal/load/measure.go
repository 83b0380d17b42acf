package load

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sleep"
)

// Latency summarizes the durations of a command in milliseconds. A duration begins at the time when the command was
// due, so it includes waiting for the previous command.
type Latency struct {
	Command string  `json:"command"`
	Count   int     `json:"count"`
	P50     float64 `json:"p50_ms"`
	P90     float64 `json:"p90_ms"`
	P99     float64 `json:"p99_ms"`
	Longest float64 `json:"longest_ms"`
}

// times collects the durations by command.
type times struct {
	mutex sync.Mutex
	took  map[conversation.CommandName][]time.Duration
}

func (t *times) add(name conversation.CommandName, took time.Duration) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.took[name] = append(t.took[name], took)
}

func (t *times) latencies() []Latency {
	var all []Latency
	for _, name := range []conversation.CommandName{conversation.CommandTransfer, conversation.CommandAccept, conversation.CommandWrapup} {
		if took := t.took[name]; len(took) > 0 {
			all = append(all, latencyOf(string(name), took))
		}
	}
	return all
}

func latencyOf(name string, took []time.Duration) Latency {
	slices.Sort(took)
	within := func(share float64) float64 {
		return milliseconds(took[max(int(math.Ceil(share*float64(len(took))))-1, 0)])
	}
	return Latency{Command: name, Count: len(took), P50: within(0.5), P90: within(0.9), P99: within(0.99), Longest: milliseconds(took[len(took)-1])}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// apart is the time between two commands of a conversation, in which other conversations get theirs; with few
// conversations it is less. It is shorter than the expiry of an offer, and no human agent is faster.
const apart = 5 * time.Second

// paced returns the conversation of each command. The commands are spread over all open conversations. Each
// conversation gets its whole cycle, interleaved with the commands of others.
func (l *Load) paced(commands int) []*Talk {
	window := max(min(int(l.options.Rate*apart.Seconds()), len(l.talks), commands/len(cycle)), 1)
	block := window * len(cycle)
	stride := max(len(l.talks)*len(cycle)/max(commands, block), 1)
	order := make([]*Talk, commands)
	for i := range order {
		number := i/block*window + i%window
		order[i] = l.talks[number*stride%len(l.talks)]
	}
	return order
}

// Paced sends commands at the configured rate, spread over all open conversations. If a conversation is still busy
// with the previous command, the next one waits, and the wait counts.
func (l *Load) Paced(ctx context.Context) ([]Latency, error) {
	order := l.paced(int(l.options.Rate * l.options.For.Seconds()))
	found := &times{took: map[conversation.CommandName][]time.Duration{}}
	group, sending := errgroup.WithContext(ctx)
	began := time.Now()
	for i, t := range order {
		meant := began.Add(time.Duration(float64(i) / l.options.Rate * float64(time.Second)))
		if err := sleep.For(sending, time.Until(meant)); err != nil {
			break // a command failed, or ctx has ended
		}
		group.Go(func() error {
			name, err := t.Step(sending)
			if err != nil {
				return err
			}
			found.add(name, time.Since(meant))
			return nil
		})
		l.progress("commands at a rate", i+1, len(order))
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // the error has its context
	}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	// Offers that are left open would expire before the next measurement.
	return found.latencies(), l.each(ctx, len(order), func(ctx context.Context, i int) error { return order[i].complete(ctx) })
}

// Unpaced makes every client send commands to a conversation without pauses. It returns the rate and the latencies.
func (l *Load) Unpaced(ctx context.Context) (Rate, []Latency, error) {
	clients := min(l.options.Clients, len(l.talks))
	if l.options.Unpaced == 0 || clients == 0 {
		return Rate{}, nil, nil
	}
	found := &times{took: map[conversation.CommandName][]time.Duration{}}
	began := time.Now()
	err := l.each(ctx, clients, func(ctx context.Context, i int) error {
		t := l.talks[i]
		for time.Since(began) < l.options.Unpaced {
			sent := time.Now()
			name, err := t.Step(ctx)
			if err != nil {
				return err
			}
			found.add(name, time.Since(sent))
		}
		return nil
	})
	took := time.Since(began)
	count := 0
	for _, each := range found.took {
		count += len(each)
	}
	return rateOf(count, took), found.latencies(), err
}
