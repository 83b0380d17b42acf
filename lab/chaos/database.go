package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver of the connections that make faults

	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/silence"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
)

// database is the desk's database, with what makes its faults.
type database struct {
	// address is the database's own, without the proxy.
	address string
	server  *postgres.Server // nil if the desk is in a SQLite file; so is proxy
	// proxy is between the programs and the server. Its connections can go silent.
	proxy *silence.Proxy
	// admin has the connections that make faults.
	admin *sql.DB
}

// startServer starts a private PostgreSQL server with an empty database for the desk.
func (d *database) startServer(ctx context.Context, log io.Writer) (err error) {
	if d.server, err = postgres.Start(ctx, postgres.Options{LogWriter: log}); err != nil {
		return err
	}
	if err := d.server.CreateDatabase(ctx, deskDatabase, ""); err != nil {
		return err
	}
	d.address = d.server.URL(deskDatabase)
	address, err := url.Parse(d.address)
	if err != nil {
		return fmt.Errorf("read the address of the database: %w", err)
	}
	d.proxy, err = silence.Listen(ctx, address.Host)
	return err
}

// openAdmin opens the connections that make faults.
func (d *database) openAdmin() (err error) {
	driver, address := "sqlite", strings.TrimPrefix(d.address, "sqlite:")
	if d.server != nil {
		driver, address = "pgx", d.address
	}
	if d.admin, err = sql.Open(driver, address); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	return nil
}

// close closes everything but the server.
func (d *database) close() error {
	var errs []error
	if d.admin != nil {
		errs = append(errs, d.admin.Close())
	}
	if d.proxy != nil {
		errs = append(errs, d.proxy.Close())
	}
	return errors.Join(errs...)
}

// of returns the database's address for a program, through the proxy. On PostgreSQL, the program's
// connections carry its name.
func (d *database) of(name string) string {
	address, err := url.Parse(d.address)
	if d.proxy == nil || err != nil {
		return d.address
	}
	address.Host = d.proxy.Address()
	query := address.Query()
	query.Set("application_name", name)
	address.RawQuery = query.Encode()
	return address.String()
}

// administer runs statements in the database. It retries while the database is down or its tables are locked.
func (d *database) administer(ctx context.Context, statements ...string) error {
	return again(ctx, 0, func() error {
		connection, err := d.admin.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		defer func() { _ = connection.Close() }() // back to the pool
		wait := "PRAGMA busy_timeout = 1000"
		if d.server != nil {
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
func (d *database) readOnly(ctx context.Context, away time.Duration) error {
	err := d.administer(ctx, `ALTER SYSTEM SET default_transaction_read_only = on`, `SELECT pg_reload_conf()`)
	return errors.Join(err, sleep.For(ctx, away),
		d.administer(context.WithoutCancel(ctx), `ALTER SYSTEM RESET default_transaction_read_only`, `SELECT pg_reload_conf()`))
}

// grown are the tables that grow with every command.
var grown = []string{"feed", "conversations", "placements", "messages", "answers"}

// full makes the database answer as if its disk were full, for the duration away.
func (d *database) full(ctx context.Context, away time.Duration) error {
	fill := []string{`CREATE OR REPLACE FUNCTION chaos_full() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$`}
	var empty []string
	for _, table := range grown {
		fill = append(fill, `CREATE OR REPLACE TRIGGER chaos_full BEFORE INSERT OR UPDATE ON `+table+` EXECUTE FUNCTION chaos_full()`)
		empty = append(empty, `DROP TRIGGER IF EXISTS chaos_full ON `+table)
	}
	return errors.Join(d.administer(ctx, fill...), sleep.For(ctx, away), d.administer(context.WithoutCancel(ctx), empty...))
}

// exhaust takes all connections of the database for the duration away.
func (d *database) exhaust(ctx context.Context, away time.Duration) error {
	taken, err := sql.Open("pgx", d.address)
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
		if err := sleep.For(ctx, anew); err != nil { // all are in use: take the next one that is released
			break
		}
	}
	for _, connection := range connections {
		errs = append(errs, connection.Close())
	}
	return errors.Join(append(errs, taken.Close())...)
}

// lock holds the lock of the SQLite file for the duration away, like a process stopped in a transaction.
func (d *database) lock(ctx context.Context, away time.Duration) error {
	return again(ctx, 0, func() error {
		connection, err := d.admin.Conn(ctx)
		if err != nil {
			return fmt.Errorf("connect to the database: %w", err)
		}
		defer func() { _ = connection.Close() }() // back to the pool
		for _, statement := range []string{"PRAGMA busy_timeout = 1000", "BEGIN IMMEDIATE"} {
			if _, err := connection.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("lock the database: %w", err)
			}
		}
		paused := sleep.For(ctx, away)
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
func (d *database) freeze(ctx context.Context, p *testenv.Process, away time.Duration) error {
	for until := time.Now().Add(aimsFor); d.server != nil && time.Now().Before(until); {
		if err := p.Stop(); err != nil {
			return err
		}
		var holds bool
		err := d.admin.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE application_name = $1 AND state = 'idle in transaction' AND backend_xid IS NOT NULL)`, p.Name).Scan(&holds)
		if err == nil && holds {
			return errors.Join(sleep.For(ctx, away), p.Continue())
		}
		if err := errors.Join(p.Continue(), sleep.For(ctx, aimed)); err != nil {
			return err
		}
	}
	if err := p.Stop(); err != nil {
		return err
	}
	return errors.Join(sleep.For(ctx, away), p.Continue())
}

// forgetAnswer clears the stored answer that contains a SID, as if the gateway had been killed before it stored the
// answer.
func (d *database) forgetAnswer(ctx context.Context, sid string) error {
	cleared, attempts := int64(0), 0
	err := again(ctx, 0, func() error {
		attempts++
		result, err := d.admin.ExecContext(ctx, `UPDATE answers SET status = 0, etag = '', body = '' WHERE body LIKE $1`, "%"+sid+"%")
		if err != nil {
			return fmt.Errorf("clear an answer: %w", err)
		}
		cleared, err = result.RowsAffected()
		return err //nolint:wrapcheck // both drivers know
	})
	if err == nil && cleared == 0 && attempts == 1 {
		return fmt.Errorf("no answer with %s is stored", sid)
	}
	return err
}

// endConnections ends all connections to the desk's database.
const endConnections = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + deskDatabase + "'"

// atServer runs statements on the database server, outside a transaction.
func (d *database) atServer(ctx context.Context, statements ...string) error {
	connection, err := pgx.Connect(ctx, d.server.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the database server: %w", err)
	}
	defer func() { _ = connection.Close(ctx) }() // all statements have run
	for _, statement := range statements {
		if _, err := connection.Exec(ctx, statement); err != nil {
			return fmt.Errorf("run %q: %w", statement, err)
		}
	}
	return nil
}
