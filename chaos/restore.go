package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/desk"
)

// restored is what came of putting an older copy of a database in place.
type restored struct {
	what string
	// looked is how many conversations were compared, after how long all agreed.
	looked int
	after  time.Duration
	err    error
}

// older is an older copy of a database that is put in place.
type older struct {
	what          string
	keep, restore func(context.Context) error
	// closedIsOpen and begunIsOpen tell of conversations that were closed, and begun, since the copy whether they are open
	// afterwards.
	closedIsOpen, begunIsOpen bool
}

// restores replaces the Temporal server's database with an older copy, and then the desk's. This comes last, for effects that
// the journal knows are lost by it. Open are the conversations that are open.
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

// tryOut has conversations change after the copy was made, puts the copy in place, and waits until the desk and the
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
	d.desk = s.desk // it may have been opened anew
	err := errors.Join(changed.transfer(ctx), closed.finish(ctx), begun.begin(ctx),
		changed.agree(ctx, true), closed.agree(ctx, false), begun.agree(ctx, true))
	if err != nil {
		return err
	}
	if err := o.restore(ctx); err != nil {
		return fmt.Errorf("put the copy in place: %w", err)
	}
	d.desk = s.desk
	began := time.Now()
	wanted := map[*trialTalk]bool{changed: true, closed: o.closedIsOpen, idle: true, begun: o.begunIsOpen}
	for _, sid := range open {
		wanted[&trialTalk{d, sid}] = true
	}
	for t, isOpen := range wanted {
		if err := t.agree(ctx, isOpen); err != nil {
			return err
		}
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

// fileParts are the files of a SQLite database, of which the last two may be missing.
var fileParts = []string{"", "-wal", "-shm"}

// copyDatabase replaces one SQLite database, that no process has open, with a copy of another.
func copyDatabase(from, to string) error {
	for _, part := range fileParts {
		content, err := os.ReadFile(from + part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = os.RemoveAll(to + part)
		case err == nil:
			err = os.WriteFile(to+part, content, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy %s: %w", from+part, err)
		}
	}
	return nil
}

// kept is the name of a database's copy.
const kept = ".kept"

func (s *environment) keepTemporal(ctx context.Context) error {
	return s.withoutServer(ctx, func(file string) error { return copyDatabase(file, file+kept) })
}

func (s *environment) restoreTemporal(ctx context.Context) error {
	return s.withoutServer(ctx, func(file string) error { return copyDatabase(file+kept, file) })
}

// withoutServer does something to the Temporal server's database while the server does not run.
func (s *environment) withoutServer(ctx context.Context, do func(file string) error) error {
	s.serverMutex.Lock()
	defer s.serverMutex.Unlock()
	s.server.Kill()
	return errors.Join(do(s.serverOptions.DatabaseFile), again(ctx, 0, func() error { return s.startServer(ctx) }))
}

// The names of the desk's database at its server.
const deskDatabase, keptDatabase = "baton", "baton_kept"

func (s *environment) keepDesk(ctx context.Context) error {
	if s.postgres == nil {
		return s.withoutDesk(ctx, func(file string) error { return copyDatabase(file, file+kept) }, func() error { return nil })
	}
	return s.atServer(ctx, "ALTER DATABASE "+deskDatabase+" ALLOW_CONNECTIONS false", endConnections,
		"CREATE DATABASE "+keptDatabase+" TEMPLATE "+deskDatabase, "ALTER DATABASE "+deskDatabase+" ALLOW_CONNECTIONS true")
}

// restoreDesk puts the copy in place as docs/operations.md has it.
func (s *environment) restoreDesk(ctx context.Context) error {
	announce := func() error { return s.desk.Restored(ctx) }
	if s.postgres == nil {
		return s.withoutDesk(ctx, func(file string) error { return copyDatabase(file+kept, file) }, announce)
	}
	err := s.atServer(ctx, "DROP DATABASE "+deskDatabase+" WITH (FORCE)", "ALTER DATABASE "+keptDatabase+" RENAME TO "+deskDatabase)
	if err != nil {
		return err
	}
	return again(ctx, 0, announce) // again, for the connections are those to the database of before
}

// endConnections ends all connections to the desk's database.
const endConnections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + deskDatabase + "'"

// atServer runs statements at the database server, in no transaction.
func (s *environment) atServer(ctx context.Context, statements ...string) error {
	connection, err := pgx.Connect(ctx, s.postgres.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the database server: %w", err)
	}
	defer func() { _ = connection.Close(ctx) }() // all is done
	for _, statement := range statements {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return fmt.Errorf("run %q: %w", statement, err)
		}
	}
	return nil
}

// withoutDesk does something to the desk's file while no process has it open, and something else before the programs start.
func (s *environment) withoutDesk(ctx context.Context, do func(file string) error, opened func() error) (err error) {
	s.endProcesses()
	if err := errors.Join(s.desk.Close(), s.admin.Close()); err != nil {
		return fmt.Errorf("close the desk: %w", err)
	}
	if err := do(strings.TrimPrefix(s.database, "sqlite:")); err != nil {
		return err
	}
	if err := s.openAdmin(); err != nil {
		return err
	}
	if s.desk, err = desk.Open(ctx, s.database, desk.Options{}); err != nil {
		return err
	}
	if err := opened(); err != nil {
		return err
	}
	for which := range max(workerCount, gatewayCount) {
		if err := errors.Join(s.startWorker(ctx, which), s.startGateway(ctx, which)); err != nil {
			return err
		}
	}
	return nil
}
