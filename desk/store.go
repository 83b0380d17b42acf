package desk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// store is a database and how its transactions are run.
type store struct {
	// writes and reads may be one pool or two, as the database likes it.
	writes, reads *pool
	// busy tells whether a transaction failed only because others were at work, and may be tried again.
	busy func(error) bool
}

// tries is how often a transaction is tried that others were in the way of. Each try has waited for
// as long as the database waits by itself.
const tries = 3

func (s *store) read(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, s.reads, &sql.TxOptions{ReadOnly: true}, do)
}

func (s *store) write(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, s.writes, nil, do)
}

func (s *store) run(ctx context.Context, p *pool, options *sql.TxOptions, do func(*transaction) error) error {
	var err error
	for range tries {
		if err = p.run(ctx, options, do); err == nil || !s.busy(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func (s *store) close() error {
	err := s.reads.Close()
	if s.reads != s.writes {
		err = errors.Join(err, s.writes.Close())
	}
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// pool is a pool of connections and the statements prepared for them. The queries are a fixed set.
type pool struct {
	*sql.DB

	mutex      sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPool(db *sql.DB) *pool { return &pool{DB: db, statements: map[string]*sql.Stmt{}} }

func (p *pool) run(ctx context.Context, options *sql.TxOptions, do func(*transaction) error) error {
	tx, err := p.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &transaction{tx: tx, pool: p, short: options == nil || !options.ReadOnly}
	if err := do(t); err != nil {
		if undone := tx.Rollback(); undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", undone))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	p.prepare(ctx, t.unprepared)
	return nil
}

// prepare prepares what a transaction has run without. It comes after the transaction, which may hold
// the pool's only connection; and what can't be prepared now will be another time.
func (p *pool) prepare(ctx context.Context, queries []string) {
	for _, query := range queries {
		statement, err := p.PrepareContext(ctx, query) //nolint:sqlclosecheck // kept for as long as the pool
		if err != nil {
			return
		}
		p.mutex.Lock()
		if p.statements[query] == nil {
			p.statements[query], statement = statement, nil
		}
		p.mutex.Unlock()
		if statement != nil {
			_ = statement.Close() // another has prepared it meanwhile
		}
	}
}

// leftovers are what a transaction leaves for the dispatcher: tasks to place, commands to deliver.
type leftovers struct{ place, deliver bool }

// transaction runs the statements of one transaction.
type transaction struct {
	tx         *sql.Tx
	pool       *pool
	unprepared []string
	leaves     leftovers
	// short is set where a statement isn't worth being interrupted: to watch the context costs as much
	// as the statement. The context still ends the transaction.
	short bool
}

// statement returns the prepared statement, nil where there is none yet.
func (t *transaction) statement(ctx context.Context, query string) *sql.Stmt {
	t.pool.mutex.RLock()
	statement := t.pool.statements[query]
	t.pool.mutex.RUnlock()
	if statement == nil {
		t.unprepared = append(t.unprepared, query)
		return nil
	}
	return t.tx.StmtContext(ctx, statement)
}

// exec runs a statement and returns how many rows it changed.
func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if t.short {
		ctx = context.WithoutCancel(ctx)
	}
	var result sql.Result
	var err error
	if statement := t.statement(ctx, query); statement != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		result, err = statement.ExecContext(ctx, args...)
	} else {
		result, err = t.tx.ExecContext(ctx, query, args...)
	}
	if err != nil {
		return 0, fmt.Errorf("run %q: %w", opening(query), err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count the rows of %q: %w", opening(query), err)
	}
	return changed, nil
}

func (t *transaction) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if t.short {
		ctx = context.WithoutCancel(ctx)
	}
	var rows *sql.Rows
	var err error
	if statement := t.statement(ctx, query); statement != nil { //nolint:sqlclosecheck // the end of the transaction closes it
		rows, err = statement.QueryContext(ctx, args...)
	} else {
		rows, err = t.tx.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", opening(query), err)
	}
	return rows, nil
}

// opening is how an error names a query. Its arguments, which may be what people wrote, are never named.
func opening(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 6)], " ")
}

// row is a row that is being read.
type row interface{ Scan(into ...any) error }

// all returns every row of the query, each read by scan; none is an empty slice.
func all[T any](ctx context.Context, t *transaction, scan func(row) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := t.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := []T{}
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// each reads every row of the query.
func each(ctx context.Context, t *transaction, read func(row) error, query string, args ...any) error {
	_, err := all(ctx, t, func(r row) (struct{}, error) { return struct{}{}, read(r) }, query, args...)
	return err
}

// first returns the query's first row, and false where there is none.
func first[T any](ctx context.Context, t *transaction, scan func(row) (T, error), query string, args ...any) (T, bool, error) {
	found, err := all(ctx, t, scan, query, args...)
	if err != nil || len(found) == 0 {
		var none T
		return none, false, err
	}
	return found[0], true, nil
}

// value reads a row of one column.
func value[T any](r row) (T, error) {
	var v T
	err := r.Scan(&v)
	return v, err
}

// micros is a time as the tables keep it: UTC microseconds, 0 for none.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

// instant is the time that micros was made from.
type instant struct{ *time.Time }

// Scan implements [sql.Scanner].
func (i instant) Scan(from any) error {
	stored, ok := from.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T, not as microseconds", from)
	}
	*i.Time = time.Time{}
	if stored != 0 {
		*i.Time = time.UnixMicro(stored).UTC()
	}
	return nil
}

// flag is a yes or no as the tables keep it.
func flag(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
