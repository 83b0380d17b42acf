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
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// trouble is the time of a fault, including the time that recovery takes.
type trouble struct {
	kind     plan.Kind
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
func (f *faults) run(ctx context.Context, planned []plan.Fault) error {
	var underWay sync.WaitGroup
	busy := map[string]*sync.Mutex{} // one fault at a time for each process
	for _, f := range planned {
		busy[f.Subject()] = &sync.Mutex{}
	}
	for _, next := range planned {
		if err := sleep.For(ctx, time.Until(f.began.Add(next.At))); err != nil {
			break // the faults under way end first
		}
		underWay.Go(func() {
			busy[next.Subject()].Lock()
			defer busy[next.Subject()].Unlock()
			from := time.Now()
			err := f.happen(ctx, next)
			if slices.Contains(plan.OfTrials, next.Kind) {
				return // it affected only its own conversation
			}
			f.mutex.Lock()
			defer f.mutex.Unlock()
			f.troubles = append(f.troubles, trouble{next.Kind, from, time.Now().Add(recovery)})
			if err != nil {
				f.errs = append(f.errs, fmt.Errorf("after the %s was to come: %w", next.Subject(), err))
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

func (f *faults) happen(ctx context.Context, next plan.Fault) error {
	s := f.environment
	f.note("%s: %s, for %s", next.Kind, next.Subject(), next.Away.Round(time.Millisecond))
	switch next.Kind {
	case plan.KillWorker, plan.KillGateway:
		p := s.take(next.Subject())
		if p == nil {
			return nil // it did not come back from an earlier fault, which is recorded as an error
		}
		p.Kill()
		s.gather(p)
		start := s.startWorker
		if next.Kind == plan.KillGateway {
			start = s.startGateway
		}
		return again(ctx, next.Away, func() error { return start(ctx, next.Which) })
	case plan.StopWorker:
		p := s.process(next.Subject())
		if p == nil {
			return nil // as above
		}
		if err := p.Stop(); err != nil {
			return err
		}
		return errors.Join(sleep.For(ctx, next.Away), p.Continue())
	case plan.FreezeWorker, plan.FreezeGateway:
		p := s.process(next.Subject())
		if p == nil {
			return nil // as above
		}
		return s.database.freeze(ctx, p, next.Away)
	case plan.KillTemporal, plan.HungTemporal:
		s.serverMutex.Lock()
		defer s.serverMutex.Unlock()
		s.Server.Kill()
		return again(ctx, next.Away, func() error { return s.StartServer(ctx) })
	case plan.KillDatabase:
		s.database.server.Kill()
		return again(ctx, next.Away, func() error { return s.database.server.Restart(ctx) })
	case plan.SilentDatabase:
		s.database.proxy.Silence(silence.Both)
	case plan.StalledDatabase:
		s.database.proxy.Silence(silence.ToClient)
	case plan.ReadOnlyDatabase:
		return s.database.readOnly(ctx, next.Away)
	case plan.FullDatabase:
		return s.database.full(ctx, next.Away)
	case plan.ExhaustedDatabase:
		return s.database.exhaust(ctx, next.Away)
	case plan.LockedDatabase:
		return s.database.lock(ctx, next.Away)
	case plan.ResetWorkflow, plan.TerminateWorkflow, plan.PoisonWorkflow, plan.LoseAnswer:
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
	for sleep.For(ctx, watchEvery) == nil {
		f.environment.serverMutex.Lock() // not while the server is killed and restarted
		asking, cancel := context.WithTimeout(ctx, hungAfter/3)
		_, err := f.environment.Temporal.WorkflowService().DescribeNamespace(asking, &workflowservice.DescribeNamespaceRequest{Namespace: client.DefaultNamespace})
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
		err = f.happen(ctx, plan.Fault{Kind: plan.HungTemporal})
		f.mutex.Lock()
		f.troubles = append(f.troubles, trouble{plan.HungTemporal, from, time.Now().Add(recovery)})
		if err != nil {
			f.errs = append(f.errs, err)
		}
		f.mutex.Unlock()
		answered = time.Now()
	}
}

// againAfter is the pause after a failed start. A start fails while something that it needs is down.
const againAfter = 500 * time.Millisecond

// again starts something after a delay, and retries for up to [testenv.Patience], as a supervisor would.
func again(ctx context.Context, after time.Duration, start func() error) error {
	if err := sleep.For(ctx, after); err != nil {
		return err
	}
	until := time.Now().Add(testenv.Patience)
	for {
		err := start()
		if err == nil || time.Now().After(until) {
			return err
		}
		if paused := sleep.For(ctx, againAfter); paused != nil {
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
func (f *faults) counts() map[plan.Kind]int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	counts := map[plan.Kind]int{}
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
		ofGateway := t.kind == plan.KillGateway || t.kind == plan.FreezeGateway // which repair nothing
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
