package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/deskload"
	"github.com/baton-transfers/baton/internal/load"
	"github.com/baton-transfers/baton/internal/people"
)

// growth is how cost grows with the number of conversations, transfers and agents.
type growth struct {
	StartedAt time.Time      `json:"started_at"`
	Seconds   float64        `json:"seconds"`
	CPUs      int            `json:"cpus"`
	Open      []openGrowth   `json:"open_conversations,omitempty"`
	Passed    []passedGrowth `json:"transfers_of_a_conversation,omitempty"`
	Agents    []agentGrowth  `json:"agents,omitempty"`
	// Desk is the desk alone, in PostgreSQL.
	Desk    []deskload.Figures `json:"desk_alone,omitempty"`
	Targets []target           `json:"targets"`
}

// openGrowth is the cost of commands, and the worker's memory, with Open conversations open.
type openGrowth struct {
	Open   int            `json:"open"`
	Opened load.Rate      `json:"opened"`
	Paced  []load.Latency `json:"paced"`
	// Cached is how many conversations the worker keeps in memory: the open ones and some closed ones.
	Cached int `json:"cached"`
	// CPU is the worker's CPU time for each command, in milliseconds, including the dispatcher and other work.
	CPU float64 `json:"worker_cpu_ms_a_command"`
	// Resident is the memory of the worker's process in MiB at the end, Most its highest value.
	Resident float64 `json:"resident_mib"`
	Most     float64 `json:"most_resident_mib"`
}

// passedGrowth is the cost of a transfer after that many transfers of one conversation.
type passedGrowth struct {
	Transfers int     `json:"transfers"`
	P50       float64 `json:"p50_ms"`
	State     int     `json:"state_bytes"`
}

// agentGrowth is the cost of a match with that many agents on one queue, as the p50 in milliseconds.
type agentGrowth struct {
	Agents int     `json:"agents"`
	Match  float64 `json:"match_p50_ms"`
}

// growthPlan holds the sizes that are measured.
type growthPlan struct {
	open, passed, agents []int
	// paced is for how long commands are timed at each number of open conversations, at pacedRate a second.
	paced time.Duration
	// times is how often each operation of the desk is timed.
	times int
	// queues, processes and latencies are the loads on the desk alone, for deskLoad each. Latencies are in milliseconds.
	queues, processes []int
	latencies         []float64
	deskLoad          time.Duration
}

func fullGrowth() growthPlan {
	return growthPlan{
		open: []int{100, 1_000, 5_000, 20_000}, passed: []int{50, 250, 500}, agents: []int{100, 1_000, 10_000}, paced: 30 * time.Second, times: 100,
		queues: []int{1, 10, 50}, processes: []int{1, 4, 8}, latencies: []float64{0.3, 1}, deskLoad: 10 * time.Second,
	}
}

func shortGrowth() growthPlan {
	return growthPlan{
		open: []int{100, 500}, passed: []int{20, 50}, agents: []int{100, 1_000}, paced: 10 * time.Second, times: 20,
		queues: []int{1, 10, 50}, processes: []int{1, 4}, latencies: []float64{0.3}, deskLoad: 2 * time.Second,
	}
}

const (
	pacedRate = 20
	// memoryLimit is the worker's GOMEMLIMIT.
	memoryLimit = "960MiB"
	// mostOpen and mostResident are promised for promisedOpen open conversations.
	promisedOpen = 20_000
	mostOpen     = 1.3
	mostResident = 1024
	// growthTimeout exceeds what a run takes on a slow machine.
	growthTimeout = time.Hour
)

// measureGrowth measures each kind of growth separately.
func measureGrowth(ctx context.Context, p growthPlan, progress io.Writer) (_ *growth, err error) {
	folder, err := os.MkdirTemp("", "baton-growth-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the databases: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	g := &growth{StartedAt: time.Now().UTC(), CPUs: runtime.NumCPU()}
	for _, part := range []func() error{
		func() error { return g.measureAgents(ctx, p, folder, progress) },
		func() error { return g.measureDesk(ctx, p, folder, progress) },
		func() error { return g.measureTalks(ctx, p, folder, progress) },
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	g.Seconds = time.Since(g.StartedAt).Seconds()
	g.judge()
	return g, nil
}

// measureTalks measures what needs the Temporal server, with the worker as a separate process.
func (g *growth) measureTalks(ctx context.Context, p growthPlan, folder string, progress io.Writer) (err error) {
	s, err := openWithoutWorkers(ctx, folder, config.Database(folder), progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	w, err := startWorkerProcess(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop(ctx)) }()
	if err := g.measurePassed(ctx, s, p, progress); err != nil {
		return fmt.Errorf("many transfers of one conversation: %w", err)
	}
	if err := g.measureOpen(ctx, s, w, p, progress); err != nil {
		return fmt.Errorf("many open conversations: %w", err)
	}
	return nil
}

func (g *growth) measureOpen(ctx context.Context, s *environment, w *workerProcess, p growthPlan, progress io.Writer) error {
	most := p.open[len(p.open)-1]
	said := time.Now()
	l, err := load.Prepare(ctx, s.Baton, s.Desk, load.Options{
		Open: most, Rate: pacedRate, For: p.paced, Clients: clients,
		Progress: func(part string, done, of int) {
			if done == of || time.Since(said) > 10*time.Second {
				said = time.Now()
				say(progress, "%s: %d of %d", part, done, of)
			}
		},
	})
	if err != nil {
		return err
	}
	for _, open := range p.open {
		step := openGrowth{Open: open}
		if step.Opened, err = l.OpenUpTo(ctx, open); err != nil {
			return err
		}
		if err := l.Settle(ctx); err != nil {
			return err
		}
		if _, err := l.Paced(ctx); err != nil { // work left over from opening must not count as the cost of commands
			return err
		}
		before, err := w.busy()
		if err != nil {
			return err
		}
		if step.Paced, err = l.Paced(ctx); err != nil {
			return err
		}
		after, err := w.busy()
		if err != nil {
			return err
		}
		step.CPU = float64(after-before) / float64(time.Millisecond) / (pacedRate * p.paced.Seconds())
		if step.Resident, step.Most, err = w.resident(); err != nil {
			return err
		}
		if step.Cached, err = w.cached(ctx); err != nil {
			return err
		}
		g.Open = append(g.Open, step)
	}
	return nil // the folder is removed, and the conversations with it
}

// measurePassed transfers one conversation back and forth, and times the last transfers before each mark.
func (g *growth) measurePassed(ctx context.Context, s *environment, p growthPlan, progress io.Writer) error {
	on, err := openTalk(ctx, s, 0)
	if err != nil {
		return err
	}
	const timed = 20
	var took timings
	done := 0
	for _, mark := range p.passed {
		say(progress, "one conversation: up to %d transfers", mark)
		for ; done < mark; done++ {
			for range talkSteps() {
				began := time.Now()
				name, err := on.step(ctx)
				if err != nil {
					return err
				}
				if name == string(conversation.CommandTransfer) && done >= mark-timed {
					took.add(time.Since(began))
				}
			}
		}
		record, err := s.Baton.State(ctx, on.SID)
		if err != nil {
			return err
		}
		state, err := json.Marshal(record)
		if err != nil {
			return fmt.Errorf("write the state as JSON: %w", err)
		}
		g.Passed = append(g.Passed, passedGrowth{Transfers: mark, P50: took.percentile(0.5), State: len(state)})
		took = timings{}
	}
	return on.end(ctx)
}

// measureAgents times the desk's matches with many agents on one queue.
func (g *growth) measureAgents(ctx context.Context, p growthPlan, folder string, progress io.Writer) error {
	for _, agents := range p.agents {
		say(progress, "%d agents on a queue", agents)
		step, err := measureAgentsOf(ctx, filepath.Join(folder, "agents-"+strconv.Itoa(agents)+".db"), agents, p.times)
		if err != nil {
			return fmt.Errorf("%d agents on a queue: %w", agents, err)
		}
		g.Agents = append(g.Agents, step)
	}
	return nil
}

func measureAgentsOf(ctx context.Context, path string, agents, times int) (step agentGrowth, err error) {
	d, err := desk.Open(ctx, "sqlite:"+path, desk.Options{})
	if err != nil {
		return step, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := people.AddQueue(ctx, d, queueSupport); err != nil {
		return step, err
	}
	names := make([]string, agents)
	for i := range names {
		names[i] = fmt.Sprintf("agent-%05d", i)
		if err := people.AddAgent(ctx, d, people.NewAgent{Name: names[i], Capacity: 3, Presence: desk.PresenceAvailable}); err != nil {
			return step, err
		}
	}
	if err := people.SetMembers(ctx, d, queueSupport, names...); err != nil {
		return step, err
	}
	l := &waitingLine{desk: d}
	var matches timings
	for range times {
		began := time.Now()
		if err := l.join(ctx); err != nil { // an agent is free: it is matched at once
			return step, err
		}
		matches.add(time.Since(began))
	}
	return agentGrowth{Agents: agents, Match: matches.percentile(0.5)}, nil
}

// measureDesk runs loads on the desk alone: with several queues, and with several processes at several latencies.
func (g *growth) measureDesk(ctx context.Context, p growthPlan, folder string, progress io.Writer) (err error) {
	desks, err := openDatabases(ctx, databasePostgres, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desks.close(ctx)) }()
	var loads []deskload.Options
	load := deskload.Options{Callers: loadCallers, TransferEvery: transferEvery, For: p.deskLoad}
	for _, load.Queues = range p.queues {
		loads = append(loads, load)
	}
	load.Queues = 0
	for _, load.LatencyMillis = range append([]float64{0}, p.latencies...) {
		for _, load.Processes = range p.processes {
			loads = append(loads, load)
		}
	}
	g.Desk, err = measureDesk(ctx, desks, loads, progress)
	return err
}

// judge compares the measurements with the targets.
func (g *growth) judge() {
	g.Targets = deskTargets(g.Desk)
	if len(g.Open) == 0 || g.Open[len(g.Open)-1].Open != promisedOpen {
		return // a short run
	}
	few, many := g.Open[0], g.Open[len(g.Open)-1]
	for i, latency := range many.Paced {
		by := ratio(latency.P50, few.Paced[i].P50)
		g.Targets = append(g.Targets, target{
			Name: fmt.Sprintf("p50 of %s with %s open by with %s", latency.Command, grouped(many.Open), grouped(few.Open)), Measured: by, Limit: mostOpen, Held: by <= mostOpen,
		})
	}
	g.Targets = append(g.Targets, target{
		Name:     fmt.Sprintf("MiB that a worker takes with %s open, at most", grouped(many.Open)),
		Measured: many.Most, Limit: mostResident, Held: many.Most <= mostResident,
	}, target{
		Name:     fmt.Sprintf("of %s open, conversations in the worker's cache", grouped(many.Open)),
		Measured: float64(many.Cached), Limit: promisedOpen, AtLeast: true, Held: many.Cached >= promisedOpen,
	})
}

func (g *growth) print(out io.Writer) {
	fmt.Fprintf(out, "How cost grows: one dev server with its database in a file, a worker of its own, %d CPUs, %.0f s.\n", g.CPUs, g.Seconds)
	table := newTable(out, fmt.Sprintf("Conversations open, all of them kept by one worker (GOMEMLIMIT=%s); %d commands a second", memoryLimit, pacedRate))
	fmt.Fprintln(table, "open\tin the cache\topened a second\ttransfer p50 ms\taccept p50 ms\twrapup p50 ms\tworker CPU ms a command\tworker MiB\tat most")
	for _, step := range g.Open {
		fmt.Fprintf(table, "%s\t%s\t%.1f", grouped(step.Open), grouped(step.Cached), step.Opened.PerSecond)
		for _, latency := range step.Paced {
			fmt.Fprintf(table, "\t%.1f", latency.P50)
		}
		fmt.Fprintf(table, "\t%.1f\t%.0f\t%.0f\n", step.CPU, step.Resident, step.Most)
	}
	_ = table.Flush()
	table = newTable(out, "Transfers of one conversation, back to back")
	fmt.Fprintln(table, "transfers\ttransfer p50 ms\tstate kB")
	for _, step := range g.Passed {
		fmt.Fprintf(table, "%d\t%.1f\t%.0f\n", step.Transfers, step.P50, float64(step.State)/1000)
	}
	_ = table.Flush()
	table = newTable(out, "Agents on one queue, at the desk")
	fmt.Fprintln(table, "agents\ta task is matched, p50 ms")
	for _, step := range g.Agents {
		fmt.Fprintf(table, "%s\t%.2f\n", grouped(step.Agents), step.Match)
	}
	_ = table.Flush()
	printDesk(out, g.Desk)
	printTargets(out, g.Targets)
}
