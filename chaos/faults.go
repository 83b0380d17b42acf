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

// trouble is the time of a fault, including the time that recovery takes.
type trouble struct {
	kind     kind
	from, to time.Time
}

// recovery is how long calls may still be affected after a fault. An update held by a worker or server that was
// killed is retried after about ten seconds.
const recovery = 10 * time.Second

// faults makes the planned faults happen and records them.
type faults struct {
	environment *environment
	trials      *trials
	began       time.Time
	note        func(format string, args ...any)

	mutex    sync.Mutex
	troubles []trouble
	errs     []error
}

// run makes each fault happen at its time. Several may be active at once, but only one for each subject. It returns
// when all is running again.
func (f *faults) run(ctx context.Context, planned []fault) error {
	var underWay sync.WaitGroup
	busy := map[string]*sync.Mutex{} // one fault at a time for each process
	for _, f := range planned {
		busy[f.subject()] = &sync.Mutex{}
	}
	for _, next := range planned {
		if err := pause(ctx, time.Until(f.began.Add(next.at))); err != nil {
			break // the faults under way end first
		}
		underWay.Go(func() {
			busy[next.subject()].Lock()
			defer busy[next.subject()].Unlock()
			from := time.Now()
			err := f.happen(ctx, next)
			if slices.Contains(ofTrials, next.kind) {
				return // it affected only its own conversation
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

// failed returns the errors of what did not come back.
func (f *faults) failed() error {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return errors.Join(f.errs...)
}

// subject names what the fault hits.
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
			return nil // it did not come back from an earlier fault, which is recorded as an error
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
	// watchEvery is how often the Temporal server is probed; hungAfter is how long it may fail to answer.
	watchEvery = time.Second
	hungAfter  = 15 * time.Second
)

// watch kills a Temporal server that runs but does not answer, as a supervisor would. A canceled call can leave the
// dev server's only connection to its SQLite file interrupted permanently (a bug of the driver,
// https://gitlab.com/cznic/sqlite/-/issues/198, in the versions that the dev server is built with). watch returns
// when ctx ends.
func (f *faults) watch(ctx context.Context) {
	answered := time.Now()
	for pause(ctx, watchEvery) == nil {
		f.environment.serverMutex.Lock() // not while the server is killed and restarted
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

// againAfter is the pause after a failed start. A start fails while something that it needs is down.
const againAfter = 500 * time.Millisecond

// again starts something after a delay, and retries for up to startWithin, as a supervisor would.
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

// within reports whether a fault affected any part of the time between from and to.
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

// counts returns how often each kind of fault has happened.
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

// quietFrom returns when the last fault between both times had ended, or from if there was none.
func (f *faults) quietFrom(from, to time.Time) time.Time {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	quiet := from
	for _, t := range f.troubles {
		ofGateway := t.kind == killGateway || t.kind == freezeGateway // which repair nothing
		if !ofGateway && from.Before(t.to) && to.After(t.from) && t.to.After(quiet) {
			quiet = t.to
		}
	}
	return quiet
}

// during returns the kinds of the faults that affected any part of the time between from and to.
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
