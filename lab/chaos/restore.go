package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
)

// restored is the result of putting an older copy of a database in place.
type restored struct {
	what string
	// looked is how many conversations were compared; after is the time until all agreed.
	looked int
	after  time.Duration
	err    error
}

// older is an older copy of a database that is put in place.
type older struct {
	what          string
	keep, restore func(context.Context) error
	// closedIsOpen and begunIsOpen say whether a conversation that was closed, or started, after the copy was made
	// is open once the copy is in place.
	closedIsOpen, begunIsOpen bool
}

// restores replaces the Temporal server's database with an older copy, and then the desk's. It runs last, because
// it loses effects that the journal knows. open holds the SIDs of the open conversations.
func restores(ctx context.Context, s *environment, d *driver, open []string) []restored {
	var results []restored
	for _, o := range []older{
		{"older copy of the Temporal server's database", s.keepTemporal, s.restoreTemporal, true, false},
		{"older copy of the desk's database", s.keepDesk, s.restoreDesk, false, true},
	} {
		r := restored{what: o.what}
		within, cancel := context.WithTimeout(ctx, 2*insistFor)
		r.err = o.tryOut(within, s, d, open, &r)
		cancel()
		results = append(results, r)
	}
	return results
}

// comparedAtOnce is how many conversations are compared with the desk at a time.
const comparedAtOnce = 8

// tryOut changes conversations after the copy was made, puts the copy in place, and waits until the desk and the
// conversations agree.
func (o older) tryOut(ctx context.Context, s *environment, d *driver, open []string, r *restored) error {
	talk := func() *trialTalk { return &trialTalk{d, baton.NewConversation()} }
	changed, closed, idle, begun := talk(), talk(), talk(), talk()
	for _, t := range []*trialTalk{changed, closed, idle} {
		if err := errors.Join(t.begin(ctx), t.agree(ctx, true)); err != nil {
			return err
		}
	}
	if err := o.keep(ctx); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	d.desk = s.Desk // it may have been reopened
	err := errors.Join(changed.transfer(ctx), closed.finish(ctx), begun.begin(ctx),
		changed.agree(ctx, true), closed.agree(ctx, false), begun.agree(ctx, true))
	if err != nil {
		return err
	}
	if err := o.restore(ctx); err != nil {
		return fmt.Errorf("put the copy in place: %w", err)
	}
	d.desk = s.Desk
	began := time.Now()
	wanted := map[*trialTalk]bool{changed: true, closed: o.closedIsOpen, idle: true, begun: o.begunIsOpen}
	for _, sid := range open {
		wanted[&trialTalk{d, sid}] = true
	}
	err = testenv.Each(slices.Collect(maps.Keys(wanted)), comparedAtOnce, func(t *trialTalk) error { return t.agree(ctx, wanted[t]) })
	if err != nil {
		return err
	}
	r.looked, r.after = len(wanted), time.Since(began)
	if err := changed.transfer(ctx); err != nil {
		return err
	}
	for _, t := range []*trialTalk{changed, closed, idle, begun} {
		if wanted[t] {
			if err := errors.Join(t.finish(ctx), t.agree(ctx, false)); err != nil {
				return err
			}
		}
	}
	if r.after > trialWithin {
		return fmt.Errorf("the desk agreed after %s only", r.after)
	}
	return nil
}

// kept is the suffix of a database's copy.
const kept = ".kept"

func (s *environment) keepTemporal(ctx context.Context) error {
	return s.withoutServer(ctx, func(file string) error { return testenv.CopyDatabase(file, file+kept) })
}

func (s *environment) restoreTemporal(ctx context.Context) error {
	return s.withoutServer(ctx, func(file string) error { return testenv.CopyDatabase(file+kept, file) })
}

// withoutServer runs do on the Temporal server's database while the server is down, and then restarts the server.
func (s *environment) withoutServer(ctx context.Context, do func(file string) error) error {
	s.serverMutex.Lock()
	defer s.serverMutex.Unlock()
	s.Server.Kill()
	return errors.Join(do(s.ServerOptions.DatabaseFile), again(ctx, 0, func() error { return s.StartServer(ctx) }))
}

// The names of the desk's database and its copy on the database server.
const deskDatabase, keptDatabase = "baton", "baton_kept"

func (s *environment) keepDesk(ctx context.Context) error {
	if s.database.server == nil {
		return s.withoutDesk(ctx, func(file string) error { return testenv.CopyDatabase(file, file+kept) }, func() error { return nil })
	}
	return errors.Join(
		s.database.atServer(ctx, "ALTER DATABASE "+deskDatabase+" ALLOW_CONNECTIONS false", endConnections,
			"CREATE DATABASE "+keptDatabase+" TEMPLATE "+deskDatabase),
		s.database.atServer(ctx, "ALTER DATABASE "+deskDatabase+" ALLOW_CONNECTIONS true"))
}

// restoreDesk puts the copy in place as docs/operations.md describes.
func (s *environment) restoreDesk(ctx context.Context) error {
	announce := func() error { return desk.Restored(ctx, s.Desk) }
	if s.database.server == nil {
		return s.withoutDesk(ctx, func(file string) error { return testenv.CopyDatabase(file+kept, file) }, announce)
	}
	err := s.database.atServer(ctx, "DROP DATABASE "+deskDatabase+" WITH (FORCE)", "ALTER DATABASE "+keptDatabase+" RENAME TO "+deskDatabase)
	if err != nil {
		return err
	}
	return again(ctx, 0, announce) // the first attempt may use pooled connections to the old database
}

// withoutDesk runs do on the desk's file while no process has it open, reopens the desk, runs opened, and restarts
// the programs.
func (s *environment) withoutDesk(ctx context.Context, do func(file string) error, opened func() error) (err error) {
	s.endProcesses()
	if err := errors.Join(s.Desk.Close(), s.database.admin.Close()); err != nil {
		return fmt.Errorf("close the desk: %w", err)
	}
	if err := do(s.DeskFile()); err != nil {
		return err
	}
	if err := s.database.openAdmin(); err != nil {
		return err
	}
	if err := s.OpenDesk(ctx); err != nil {
		return err
	}
	if err := opened(); err != nil {
		return err
	}
	return s.startPrograms(ctx)
}
