package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// plan sets the counts and durations of a run.
type plan struct {
	rounds int
	// paced and cycles are how often one client sends each command in a round: paced, about a second each, and back
	// to back.
	paced, cycles int
	// slices is how many slices of the closed loop each kind of workflow gets in a round; slice is the length of
	// one.
	slices int
	slice  time.Duration
	// queued is how many transfers to a queue a round makes.
	queued int
	// waiting are the lengths of the lines in which tasks are placed, the shortest first.
	waiting []int
	// placings is how many tasks are placed in each line.
	placings int
	// rate is for how long a round sends commands at a fixed rate; loadHTTP is how long the full load on the API
	// lasts.
	rate, loadHTTP time.Duration
	// deskLoad is how long conversations are started in each load on the desk alone.
	deskLoad time.Duration
}

func fullPlan() plan {
	return plan{
		rounds: 5, paced: 12, cycles: 40, slices: 4, slice: time.Second, queued: 20, waiting: []int{100, 10_000, 100_000}, placings: 200,
		rate: 6 * time.Second, loadHTTP: time.Minute, deskLoad: 10 * time.Second,
	}
}

func shortPlan() plan {
	return plan{
		rounds: 2, paced: 6, cycles: 20, slices: 2, slice: time.Second, queued: 10, waiting: []int{100, 10_000}, placings: 50,
		rate: 6 * time.Second, loadHTTP: 10 * time.Second, deskLoad: 2 * time.Second,
	}
}

// clients is how many conversations or bare workflows are commanded at once in the closed loop.
const clients = 40

// measure runs the plan in a temporary folder and prints progress.
func measure(ctx context.Context, p plan, database string, progress io.Writer) (_ *report, err error) {
	folder, err := os.MkdirTemp("", "baton-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the databases: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	desks, err := openDatabases(ctx, database, folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, desks.close(ctx)) }()

	r := newReport(p)
	r.Database = database
	if err := measureConversations(ctx, p, desks, r, progress); err != nil {
		return nil, err
	}
	if r.Placing, err = measurePlacing(ctx, p, desks, progress); err != nil {
		return nil, err
	}
	if r.Desk, err = measureDesk(ctx, desks, deskLoads(p), progress); err != nil {
		return nil, err
	}
	r.finish()
	return r, nil
}

// measureConversations runs everything that needs the Temporal server.
func measureConversations(ctx context.Context, p plan, desks *databases, r *report, progress io.Writer) (err error) {
	database, err := desks.make(ctx, "desk")
	if err != nil {
		return err
	}
	s, err := openEnvironment(ctx, desks.folder, database, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()

	var m measured
	for round := range p.rounds {
		say(progress, "round %d of %d: one client", round+1, p.rounds)
		if err := m.oneClient(ctx, s, p, round); err != nil {
			return fmt.Errorf("one client: %w", err)
		}
		say(progress, "round %d of %d: %d conversations", round+1, p.rounds, clients)
		if err := m.manyClients(ctx, s, p, round); err != nil {
			return fmt.Errorf("%d conversations: %w", clients, err)
		}
		say(progress, "round %d of %d: transfers to a queue", round+1, p.rounds)
		if err := m.queueTransfers(ctx, s, p); err != nil {
			return fmt.Errorf("transfers to a queue: %w", err)
		}
	}
	if err := measureHTTP(ctx, s, p, &m, progress); err != nil {
		return err
	}
	r.conclude(m)
	return nil
}

func say(progress io.Writer, format string, args ...any) {
	fmt.Fprintf(progress, format+"\n", args...)
}
