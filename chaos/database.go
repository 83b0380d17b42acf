package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the connections that make faults

	"github.com/baton-transfers/baton/internal/silence"
)

// putProxy puts a proxy between the programs and the database. The proxy's connections can go silent.
func (s *environment) putProxy(ctx context.Context) (err error) {
	address, err := url.Parse(s.database)
	if err != nil {
		return fmt.Errorf("read the address of the database: %w", err)
	}
	s.proxy, err = silence.Listen(ctx, address.Host)
	return err
}

// openAdmin opens the connections that make faults.
func (s *environment) openAdmin() (err error) {
	driver, address := "sqlite", strings.TrimPrefix(s.database, "sqlite:")
	if s.postgres != nil {
		driver, address = "pgx", s.database
	}
	if s.admin, err = sql.Open(driver, address); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	return nil
}

// databaseOf returns the database's address for a program, through the proxy. On PostgreSQL, the program's
// connections carry its name.
func (s *environment) databaseOf(name string) string {
	address, err := url.Parse(s.database)
	if s.proxy == nil || err != nil {
		return s.database
	}
	address.Host = s.proxy.Address()
	query := address.Query()
	query.Set("application_name", name)
	address.RawQuery = query.Encode()
	return address.String()
}

// administer runs statements in the database. It retries while the database is down or its tables are locked.
func (s *environment) administer(ctx context.Context, statements ...string) error {
	return again(ctx, 0, func() error {
		connection, err := s.admin.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		defer func() { _ = connection.Close() }() // back to the pool
		wait := "PRAGMA busy_timeout = 1000"
		if s.postgres != nil {
			wait = "SET lock_timeout = '1s'"
		}
		for _, statement := range append([]string{wait}, statements...) {
			if _, err := connection.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("run %q: %w", statement, err)
			}
		}
		return nil
	})
}

// readOnly makes the database read-only for the duration away.
func (s *environment) readOnly(ctx context.Context, away time.Duration) error {
	err := s.administer(ctx, `ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`)
	return errors.Join(err, pause(ctx, away),
		s.administer(context.WithoutCancel(ctx), `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`))
}

// grown are the tables that grow with every command.
var grown = []string{"feed", "conversations", "placements", "messages", "answers"}

// full makes the database answer as if its disk were full, for the duration away.
func (s *environment) full(ctx context.Context, away time.Duration) error {
	fill := []string{`CREATE OR REPLACE FUNCTION chaos_full() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`}
	var empty []string
	for _, table := range grown {
		fill = append(fill, `CREATE OR REPLACE TRIGGER chaos_full BEFORE INSERT OR UPDATE ON `+table+` EXECUTE FUNCTION chaos_full()`)
		empty = append(empty, `DROP TRIGGER IF EXISTS chaos_full ON `+table)
	}
	return errors.Join(s.administer(ctx, fill...), pause(ctx, away), s.administer(context.WithoutCancel(ctx), empty...))
}

// exhaust takes all connections of the database for the duration away.
func (s *environment) exhaust(ctx context.Context, away time.Duration) error {
	taken, err := sql.Open("pgx", s.database)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	var errs []error
	var connections []*sql.Conn
	for until := time.Now().Add(away); time.Now().Before(until); {
		connection, err := taken.Conn(ctx)
		if err == nil {
			connections = append(connections, connection)
			continue
		}
		if err := pause(ctx, anew); err != nil { // all are in use: take the next one that is released
			break
		}
	}
	for _, connection := range connections {
		errs = append(errs, connection.Close())
	}
	return errors.Join(append(errs, taken.Close())...)
}

// lock holds the lock of the SQLite file for the duration away, like a process stopped in a transaction.
func (s *environment) lock(ctx context.Context, away time.Duration) error {
	return again(ctx, 0, func() error {
		connection, err := s.admin.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		defer func() { _ = connection.Close() }() // back to the pool
		for _, statement := range []string{"PRAGMA busy_timeout = 1000", "BEGIN IMMEDIATE"} {
			if _, err := connection.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("lock the database: %w", err)
			}
		}
		paused := pause(ctx, away)
		_, err = connection.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		return errors.Join(paused, err)
	})
}

const (
	// aimsFor is how long freeze tries to stop a process while it holds a lock, aimed the pause between attempts.
	aimsFor, aimed = 3 * time.Second, 5 * time.Millisecond
)

// freeze stops the process for the duration away, if possible while it is in a transaction that has written. That
// is longer than every timeout.
func (s *environment) freeze(ctx context.Context, p *process, away time.Duration) error {
	for until := time.Now().Add(aimsFor); s.postgres != nil && time.Now().Before(until); {
		if err := p.stop(); err != nil {
			return err
		}
		var holds bool
		err := s.admin.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE application_name = $1 AND state = 'idle in transaction' AND backend_xid IS NOT NULL)`, p.name).Scan(&holds)
		if err == nil && holds {
			return errors.Join(pause(ctx, away), p.proceed())
		}
		if err := errors.Join(p.proceed(), pause(ctx, aimed)); err != nil {
			return err
		}
	}
	if err := p.stop(); err != nil {
		return err
	}
	return errors.Join(pause(ctx, away), p.proceed())
}
