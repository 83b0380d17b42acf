package main

import (
	"context"
	"math"
	"slices"
	"time"
)

// timings are the durations of the calls of one name in one round.
type timings struct {
	took []time.Duration
	// within is the time in which the calls were made. For a client that waits for each call, it is their total;
	// for many clients, it is the length of the loop.
	within time.Duration
}

func (t *timings) add(took time.Duration) {
	t.took = append(t.took, took)
	t.within += took
}

// percentile returns the time, in milliseconds, within which this share of the calls was done.
func (t *timings) percentile(share float64) float64 {
	if len(t.took) == 0 {
		return 0
	}
	slices.Sort(t.took)
	at := int(math.Ceil(share*float64(len(t.took)))) - 1
	return milliseconds(t.took[max(at, 0)])
}

func (t *timings) perSecond() float64 {
	if t.within == 0 {
		return 0
	}
	return float64(len(t.took)) / t.within.Seconds()
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// round is the timings of one round by name.
type round map[string]*timings

func (r round) of(name string) *timings {
	if r[name] == nil {
		r[name] = &timings{}
	}
	return r[name]
}

// step takes the subject's next step and records its duration.
func (r round) step(ctx context.Context, on subject) error {
	began := time.Now()
	name, err := on.step(ctx)
	if err != nil {
		return err
	}
	r.of(name).add(time.Since(began))
	return nil
}

func (r round) merge(other round) {
	for name, t := range other {
		r.of(name).took = append(r.of(name).took, t.took...)
	}
}

// lasted adds the length of a loop in which the named calls were made.
func (r round) lasted(names []string, loop time.Duration) {
	for _, name := range names {
		r.of(name).within += loop
	}
}

// together returns the calls of several names as one.
func (r round) together(names []string) *timings {
	all := &timings{}
	for _, name := range names {
		all.took = append(all.took, r.of(name).took...)
		all.within = max(all.within, r.of(name).within)
	}
	return all
}

// spread is a figure over all rounds: the median, the least and the most.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func spreadOf(rounds []float64) spread {
	if len(rounds) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(rounds))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{Median: median, Least: sorted[0], Most: sorted[len(sorted)-1]}
}

// overRounds returns the spread of a figure over all rounds.
func overRounds[R any](rounds []R, figure func(R) float64) spread {
	figures := make([]float64, len(rounds))
	for i, r := range rounds {
		figures[i] = figure(r)
	}
	return spreadOf(figures)
}

// ratio returns figure divided by to, or 0 if to is 0.
func ratio(figure, to float64) float64 {
	if to == 0 {
		return 0
	}
	return figure / to
}
