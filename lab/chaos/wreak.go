package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/check"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// wreak carries out the plan and checks what is left. It prints progress as it goes. An error means that the run
// has no result; what was lost or doubled is in the report.
func wreak(ctx context.Context, o options, progress io.Writer) (_ *report, err error) {
	o, forget, err := o.withFolder()
	if err != nil {
		return nil, err
	}
	p := plan.New(plan.Options{Seed: o.seed, Lasts: o.faultsFor, Conversations: o.conversations, Server: o.database != databaseSQLite})
	s, err := openEnvironment(ctx, o, p, progress)
	if err != nil {
		return nil, errors.Join(err, forget())
	}
	r := &report{options: o, journal: &journal.Journal{}}
	defer func() {
		bad := err != nil || r.verdict() != nil
		var closed error
		r.folders, closed = s.close(ctx, o.keep || bad)
		switch err = errors.Join(err, closed); {
		case err != nil:
			err = fmt.Errorf("%w\nThe databases and what the processes printed are in %s", err, strings.Join(r.folders, " and "))
		case !bad:
			err = forget()
		}
	}()
	keys, err := s.addKeys(ctx)
	if err != nil {
		return nil, err
	}
	d := &driver{
		baton: s.Baton, desk: s.Desk, temporal: s.Temporal, gateways: newGateways(s.gateways, s.account), keys: keys, journal: r.journal, plan: p, began: time.Now(),
	}
	tell := &teller{to: progress, began: d.began}
	r.began, r.trials = d.began, &trials{driver: d, forget: s.database.forgetAnswer}
	r.faults = &faults{environment: s, trials: r.trials, began: d.began, note: tell.say}

	talks := make([]*talk, len(p.Talks))
	for i := range p.Talks {
		talks[i] = &talk{driver: d, plan: p.Talks[i]}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.faultsFor+settleWithin, fmt.Errorf("it did not come to rest within %s", o.faultsFor+settleWithin))
	defer cancel()
	watching, unwatch := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer unwatch()
	beside.Go(func() { tell.every(watching, r) })
	beside.Go(func() { r.faults.watch(watching) })
	if err := load(ctx, s, d, r.faults, talks); err != nil {
		return nil, err
	}
	tell.say("the faults have ended, everything runs; the conversations are brought to their ends")
	if err := errors.Join(settle(ctx, s, d, talks), r.faults.failed()); err != nil {
		return nil, fmt.Errorf("bring everything to rest: %w", err)
	}
	tell.say("everything is quiet; the log is compared with what there is")
	v, err := check.Gather(ctx, check.Sources{
		Baton: s.Baton, Desk: s.Desk, Temporal: s.Temporal, Journal: r.journal, Plan: p, Began: d.began, Trials: r.trials.sids(), Told: s.receiver.positions(),
	})
	if err != nil {
		return nil, fmt.Errorf("look at what there is: %w", err)
	}
	r.rested = time.Now()
	if o.restores {
		tell.say("older copies of both databases are put in place, one after the other")
		r.restores = restores(ctx, s, d, v.Open())
	}
	s.endedByItself()
	s.endProcesses()
	r.rows = append(v.Judge(s.wrong), r.judgeTrials())
	if o.restores {
		r.rows = append(r.rows, r.judgeRestores())
	}
	r.wait(v.Happened)
	r.told, r.events = len(v.Told), len(v.Happened)
	return r, nil
}

// withFolder makes the folder. forget removes it, unless the options named it.
func (o options) withFolder() (_ options, forget func() error, err error) {
	forget = func() error { return nil }
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("", "baton-chaos-"); err != nil {
			return o, nil, fmt.Errorf("make a folder for the databases: %w", err)
		}
		made := o.folder
		return o, func() error { return os.RemoveAll(made) }, nil
	}
	if o.folder, err = filepath.Abs(o.folder); err != nil {
		return o, nil, fmt.Errorf("find the folder: %w", err)
	}
	if _, err := os.Stat(filepath.Join(o.folder, "desk.db")); err == nil {
		return o, nil, fmt.Errorf("the folder %s is that of a run before: name another, or remove it", o.folder)
	}
	if err := os.MkdirAll(o.folder, 0o750); err != nil {
		return o, nil, fmt.Errorf("make the folder: %w", err)
	}
	return o, forget, nil
}

// load runs the conversations, the agents' shifts and the faults. It returns when all is running again and every
// step is done.
func load(ctx context.Context, s *environment, d *driver, f *faults, talks []*talk) error {
	var working sync.WaitGroup
	errs := make(chan error, len(talks)+2)
	for _, t := range talks {
		working.Go(func() { errs <- t.run(ctx) })
	}
	working.Go(func() { d.shifts(ctx) })
	working.Go(func() { errs <- f.run(ctx, d.plan.Faults) })
	working.Go(func() { errs <- s.receiver.runMoods(ctx, d.began, d.plan.Moods) })
	working.Wait()
	close(errs)
	var all []error
	for err := range errs {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// finishedAtOnce is how many conversations are finished at a time.
const finishedAtOnce = 16

// settle finishes the conversations, and waits until the desk shows them as they are and every webhook is delivered.
func settle(ctx context.Context, s *environment, d *driver, talks []*talk) error {
	d.allBecome(ctx, "rest", desk.PresenceAvailable)
	begun := slices.DeleteFunc(slices.Clone(talks), func(t *talk) bool { return t.sid == "" })
	finished := testenv.Each(begun, finishedAtOnce, func(t *talk) error { return t.finish(ctx) })
	// An agent who let an offer expire on the way is made available again.
	d.allBecome(ctx, "end", desk.PresenceAvailable)
	// The last answer of a conversation can be earlier than its events at the desk.
	shown := testenv.Each(begun, finishedAtOnce, func(t *talk) error { return t.unless(ctx, (&trialTalk{d, t.sid}).shownAsIs(ctx)) })
	return errors.Join(finished, shown, untold(ctx, s))
}

// untold waits until every webhook was delivered.
func untold(ctx context.Context, s *environment) error {
	for {
		position, err := desk.LastPosition(ctx, s.Desk)
		if err != nil {
			return err
		}
		pending, _, err := outbox.PendingWebhooks(ctx, s.Desk)
		if err != nil {
			return err
		}
		if told := s.receiver.positions(); pending == 0 && len(told) > 0 && slices.Max(told) >= position {
			return nil
		}
		if err := sleep.For(ctx, lookEvery); err != nil {
			return fmt.Errorf("%d webhooks are not delivered: %w", pending, err)
		}
	}
}

// teller prints progress.
type teller struct {
	mutex sync.Mutex
	to    io.Writer
	began time.Time
}

func (t *teller) say(format string, args ...any) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	fmt.Fprintf(t.to, "%6.1f s  %s\n", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// saidEvery is how often the progress of the load is printed.
const saidEvery = 5 * time.Second

// every prints the progress of the load until ctx ends.
func (t *teller) every(ctx context.Context, r *report) {
	for sleep.For(ctx, saidEvery) == nil {
		t.say("%s", r.progress())
	}
}
