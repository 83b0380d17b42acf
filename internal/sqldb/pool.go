package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// pool is a pool of connections and the statements prepared for them. The queries are a fixed set.
type pool struct {
	*sql.DB

	// seals encrypt and decrypt the texts of the transactions.
	seals Seals
	// own is set when the driver prepares statements itself. Then statements is not used.
	own bool
	// idle is how many connections are kept while they are not in use. It is 0 where connections cannot be lost.
	idle       int
	mutex      sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPool(db *sql.DB) *pool { return &pool{DB: db, statements: map[string]*sql.Stmt{}} }

// commitError is a failed commit. If the connection was lost meanwhile, it is unknown whether the commit took
// place.
type commitError struct{ error }

func (e *commitError) Unwrap() error { return e.error }

func (p *pool) run(ctx context.Context, options *sql.TxOptions, l locks, do func(*Tx) error) (err error) {
	writes := options == nil || !options.ReadOnly
	t := &Tx{ctx: ctx, pool: p, locks: l, short: !p.own && writes}
	begin := p.BeginTx
	if p.own && writes {
		if t.conn, err = p.Conn(ctx); err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		defer func() { err = errors.Join(err, closed(t.conn.Close())) }()
		begin = t.conn.BeginTx
	}
	tx, err := begin(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t.sql = tx
	if err := do(t); err != nil {
		if undone := tx.Rollback(); undone != nil && !errors.Is(undone, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", undone))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return &commitError{fmt.Errorf("commit: %w", err)}
	}
	p.prepare(ctx, t.unprepared)
	return nil
}

// closed returns the error of returning a connection to the pool, except that it was lost: its transaction has failed
// then.
func closed(err error) error {
	if err == nil || errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return fmt.Errorf("return the connection: %w", err)
}

// look runs one query without a transaction.
func (p *pool) look(ctx context.Context, do func(*Tx) error) error {
	t := &Tx{ctx: ctx, pool: p}
	if err := do(t); err != nil {
		return err
	}
	p.prepare(ctx, t.unprepared)
	return nil
}

// prepare prepares the statements that a transaction has run unprepared. It runs after the transaction, which may
// hold the pool's only connection. A statement that cannot be prepared now is prepared another time.
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
			_ = statement.Close() // another transaction has prepared it meanwhile
		}
	}
}

func (p *pool) prepared(query string) *sql.Stmt {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	return p.statements[query]
}

func (p *pool) queries() []string {
	p.mutex.RLock()
	defer p.mutex.RUnlock()
	return slices.Sorted(maps.Keys(p.statements))
}
