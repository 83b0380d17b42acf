package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Pipeline collects statements of a transaction that do not depend on each other's results, to send them together:
// one round trip on PostgreSQL, one call after the other on SQLite. The statements run in the order in which they were
// added, and each sees what those before it have changed.
type Pipeline struct {
	tx    *Tx
	steps []step
}

// step is one statement. read is nil for a statement whose rows are only counted.
type step struct {
	query string
	args  []any
	read  func(Row) error
}

// Pipeline returns an empty pipeline.
func (t *Tx) Pipeline() *Pipeline { return &Pipeline{tx: t} }

// Exec adds a statement.
func (p *Pipeline) Exec(query string, args ...any) {
	p.steps = append(p.steps, step{query: query, args: storableArgs(args)})
}

// Each adds a query whose rows read receives.
func (p *Pipeline) Each(read func(Row) error, query string, args ...any) {
	p.steps = append(p.steps, step{query: query, args: storableArgs(args), read: read})
}

// Run runs the statements and empties the pipeline. It stops at the first error.
func (p *Pipeline) Run(ctx context.Context) error {
	steps := p.steps
	p.steps = nil
	switch {
	case len(steps) == 0:
		return nil
	case p.tx.conn == nil || len(steps) == 1:
		for _, s := range steps {
			if err := p.tx.step(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	return p.tx.send(p.tx.bounded(ctx), steps)
}

func (t *Tx) step(ctx context.Context, s step) error {
	if s.read != nil {
		return Each(ctx, t, s.read, s.query, s.args...)
	}
	_, err := t.Exec(ctx, s.query, s.args...)
	return err
}

// send sends all statements in one round trip on the transaction's connection.
func (t *Tx) send(ctx context.Context, steps []step) error {
	batch := &pgx.Batch{}
	for _, s := range steps {
		batch.Queue(s.query, s.args...)
	}
	err := t.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a pipeline needs a connection of pgx, not %T", driver)
		}
		return t.receive(conn.Conn().SendBatch(ctx, batch), steps)
	})
	if err != nil {
		return fmt.Errorf("run %d statements together: %w", len(steps), err)
	}
	return nil
}

func (t *Tx) receive(results pgx.BatchResults, steps []step) (err error) {
	defer func() { err = errors.Join(err, results.Close()) }()
	for _, s := range steps {
		if err := t.result(results, s); err != nil {
			return fmt.Errorf("run %q: %w", opening(s.query), err)
		}
	}
	return nil
}

func (t *Tx) result(results pgx.BatchResults, s step) error {
	if s.read == nil {
		_, err := results.Exec()
		return err //nolint:wrapcheck // the caller names the statement
	}
	rows, err := results.Query()
	if err != nil {
		return err //nolint:wrapcheck // the caller names the statement
	}
	defer rows.Close()
	for rows.Next() {
		if err := s.read(t.openingRow(convertingRow{rows})); err != nil {
			return err
		}
	}
	return rows.Err()
}

// convertingRow scans as package database/sql does: an integer that is 0 or 1 into a bool.
type convertingRow struct{ Row }

// Scan implements [Row].
func (r convertingRow) Scan(into ...any) error {
	flags := map[int]*sql.NullInt64{}
	for i := range into {
		if _, ok := into[i].(*bool); ok {
			flags[i] = &sql.NullInt64{}
		}
	}
	if len(flags) == 0 {
		return r.Row.Scan(into...)
	}
	scanned := make([]any, len(into))
	copy(scanned, into)
	for i, flag := range flags {
		scanned[i] = flag
	}
	if err := r.Row.Scan(scanned...); err != nil {
		return err
	}
	for i, flag := range flags {
		*into[i].(*bool) = flag.Int64 != 0 //nolint:forcetypeassert // chosen above
	}
	return nil
}
