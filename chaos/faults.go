package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/silence"
)

// trouble is a time in which something was away, and not yet as it was before.
type trouble struct {
	kind     kind
	from, to time.Time
}

// recovery is how long after a fault calls may still feel it: an update that was held by a worker or a server
// that has gone comes back after some ten seconds.
const recovery = 10 * time.Second

// faults has the planned ones happen, and keeps what they were.
type faults struct {
	environment *environment
	trials      *trials
	began       time.Time
	note        func(format string, args ...any)

	mutex    sync.Mutex
	troubles []trouble
	errs     []error
}

// run has each fault happen at its time. Several may be under way at once. It returns when all is up again.
func (f *faults) run(ctx context.Context, planned []fault) error {
	var underWay sync.WaitGroup
	busy := map[string]*sync.Mutex{} // one at a time is done to each process
	for _, f := range planned {
		busy[f.subject()] = &sync.Mutex{}
	}
	for _, next := range planned {
		if err := pause(ctx, time.Until(f.began.Add(next.at))); err != nil {
			break // what is away comes back first
		}
		underWay.Go(func() {
			busy[next.subject()].Lock()
			defer busy[next.subject()].Unlock()
			from := time.Now()
			err := f.happen(ctx, next)
			if slices.Contains(ofTrials, next.kind) {
				return // only its own conversation has felt it
			}
			f.mutex.Lock()
			defer f.mutex.Unlock()
			f.troubles = append(f.troubles, trouble{next.kind, from, time.Now().Add(recovery)})
			if err != nil {
				f.errs = append(f.errs, fmt.Errorf("after the %s was to come: %w", next.subject(), err))
			}
		})
	}
	underWay.Wait()
	return errors.Join(f.failed(), ctx.Err())
}

// failed returns what has not come back.
func (f *faults) failed() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return errors.Join(f.errs...)
}

// subject names what the fault is done to.
func (f fault) subject() string {
	switch f.kind {
	case killWorker, stopWorker, freezeWorker:
		return workerName(f.which)
	case killGateway, freezeGateway:
		return gatewayName(f.which)
	case killTemporal, hungTemporal:
		return "Temporal server"
	case killDatabase, silentDatabase, stalledDatabase, readOnlyDatabase, fullDatabase, exhaustedDatabase, lockedDatabase:
		return "database"
	case resetWorkflow, terminateWorkflow, poisonWorkflow, loseAnswer:
		return "conversation of a trial"
	}
	return ""
}

func (f *faults) happen(ctx context.Context, next fault) error {
	s := f.environment
	f.note("%s: %s, for %s", next.kind, next.subject(), next.away.Round(time.Millisecond))
	switch next.kind {
	case killWorker, killGateway:
		p := s.take(next.subject())
		if p == nil {
			return nil // it hasn't come back from the fault before, which is an error already
		}
		p.kill()
		s.gather(p)
		start := s.startWorker
		if next.kind == killGateway {
			start = s.startGateway
		}
		return again(ctx, next.away, func() error { return start(ctx, next.which) })
	case stopWorker:
		p := s.process(next.subject())
		if p == nil {
			return nil // as above
		}
		if err := p.stop(); err != nil {
			return err
		}
		return errors.Join(pause(ctx, next.away), p.proceed())
	case freezeWorker, freezeGateway:
		p := s.process(next.subject())
		if p == nil {
			return nil // as above
		}
		return s.freeze(ctx, p, next.away)
	case killTemporal, hungTemporal:
		s.serverMutex.Lock()
		defer s.serverMutex.Unlock()
		s.server.Kill()
		return again(ctx, next.away, func() error { return s.startServer(ctx) })
	case killDatabase:
		s.postgres.Kill()
		return again(ctx, next.away, func() error { return s.postgres.Restart(ctx) })
	case silentDatabase:
		s.proxy.Silence(silence.Both)
	case stalledDatabase:
		s.proxy.Silence(silence.ToClient)
	case readOnlyDatabase:
		return s.readOnly(ctx, next.away)
	case fullDatabase:
		return s.full(ctx, next.away)
	case exhaustedDatabase:
		return s.exhaust(ctx, next.away)
	case lockedDatabase:
		return s.lock(ctx, next.away)
	case resetWorkflow, terminateWorkflow, poisonWorkflow, loseAnswer:
		f.trials.run(ctx, next)
	}
	return nil
}

const (
	// watchEvery is how often the Temporal server is asked whether it answers, hungAfter for how long it may not.
	watchEvery = time.Second
	hungAfter  = 15 * time.Second
)

// watch kills a Temporal server that runs and doesn't answer, as whoever looks after it would: a canceled call
// can leave the dev server's only connection to its SQLite file interrupted for good
// (the driver's fault, https://gitlab.com/cznic/sqlite/-/issues/198, in versions that the dev server is built with).
// It ends with ctx.
func (f *faults) watch(ctx context.Context) {
	answered := time.Now()
	for pause(ctx, watchEvery) == nil {
		f.environment.serverMutex.Lock() // not while it is killed and started again
		asking, cancel := context.WithTimeout(ctx, hungAfter/3)
		_, err := f.environment.temporal.WorkflowService().DescribeNamespace(asking, &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace})
		cancel()
		f.environment.serverMutex.Unlock()
		if err == nil {
			answered = time.Now()
			continue
		}
		if time.Since(answered) < hungAfter || ctx.Err() != nil {
			continue
		}
		from := time.Now()
		err = f.happen(ctx, fault{kind: hungTemporal})
		f.mutex.Lock()
		f.troubles = append(f.troubles, trouble{hungTemporal, from, time.Now().Add(recovery)})
		if err != nil {
			f.errs = append(f.errs, err)
		}
		f.mutex.Unlock()
		answered = time.Now()
	}
}

// againAfter is how long after a start that failed, because what it needs is away, the next one is made.
const againAfter = 500 * time.Millisecond

// again starts something after a while, and again while it can't start, as whoever looks after it would.
func again(ctx context.Context, after time.Duration, start func() error) error {
	if err := pause(ctx, after); err != nil {
		return err
	}
	until := time.Now().Add(startWithin)
	for {
		err := start()
		if err == nil || time.Now().After(until) {
			return err
		}
		if paused := pause(ctx, againAfter); paused != nil {
			return errors.Join(err, paused)
		}
	}
}

// within tells whether any of the time from then till then was one of trouble.
func (f *faults) within(from, to time.Time) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, t := range f.troubles {
		if from.Before(t.to) && to.After(t.from) {
			return true
		}
	}
	return false
}

// counts is how often each kind of fault has happened.
func (f *faults) counts() map[kind]int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	counts := map[kind]int{}
	for _, t := range f.troubles {
		counts[t.kind]++
	}
	for _, t := range f.trials.all {
		counts[t.kind]++
	}
	return counts
}

// quietFrom is when the last trouble between both times had ended, from where there was none.
func (f *faults) quietFrom(from, to time.Time) time.Time {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	quiet := from
	for _, t := range f.troubles {
		if from.Before(t.to) && to.After(t.from) && t.to.After(quiet) {
			quiet = t.to
		}
	}
	return quiet
}

// during are the kinds of faults that any of the time from then till then was of.
func (f *faults) during(from, to time.Time) []string {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var kinds []string
	for _, t := range f.troubles {
		if from.Before(t.to) && to.After(t.from) && !slices.Contains(kinds, string(t.kind)) {
			kinds = append(kinds, string(t.kind))
		}
	}
	return kinds
}
