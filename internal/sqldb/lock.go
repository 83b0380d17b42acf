package sqldb

import (
	"context"
	"fmt"
)

// locks are the queries that separate concurrent write transactions. They are empty on SQLite, where one transaction
// writes at a time, and in transactions that only read.
type locks struct {
	// exclusive and shared begin a transaction that writes alone or beside others.
	exclusive, shared string
	// number and text lock what has a number or a name, until the transaction ends.
	number, text string
	// rows, followed by a table's name, ends a query that locks the rows it reads. With skip after that, the query
	// skips locked rows.
	rows, skip string
}

// enter waits until the transaction may write: an exclusive one until all others have ended, a shared one until the
// exclusive ones have.
func (t *Tx) enter(ctx context.Context, exclusive bool) error {
	query := t.locks.shared
	if exclusive {
		query = t.locks.exclusive
	}
	return t.lock(ctx, query)
}

func (t *Tx) lock(ctx context.Context, query string, args ...any) error {
	if query == "" {
		return nil
	}
	err := Each(ctx, t, func(Row) error { return nil }, query, args...)
	if err != nil {
		return fmt.Errorf("wait for others: %w", err)
	}
	return nil
}

// LocksRows reports whether transactions write beside this one, so that it has to lock the rows it decides on.
func (t *Tx) LocksRows() bool { return t.locks.rows != "" }

// LockRows locks the rows of the table that the query reads, until the transaction ends. On SQLite it does nothing.
func (t *Tx) LockRows(ctx context.Context, table, query string, args ...any) error {
	if !t.LocksRows() {
		return nil
	}
	return t.lock(ctx, query+t.RowsOf(table), args...)
}

// LockNumber locks what has that number in the program, until the transaction ends. 1 and 3 are this package's.
func (t *Tx) LockNumber(ctx context.Context, number int32) error {
	if t.locks.number == "" {
		return nil
	}
	return t.lock(ctx, t.locks.number, number)
}

// LockText locks what has that name, until the transaction ends. Different names may share a lock.
func (t *Tx) LockText(ctx context.Context, text string) error {
	if t.locks.text == "" {
		return nil
	}
	return t.lock(ctx, t.locks.text, text)
}

// RowsOf ends a query that locks the rows it reads of the table. It is empty where nothing is locked.
func (t *Tx) RowsOf(table string) string {
	if !t.LocksRows() {
		return ""
	}
	return t.locks.rows + table
}

// SkipLocked ends a query that locks the rows it reads of the table and skips those that are locked already.
func (t *Tx) SkipLocked(table string) string {
	if !t.LocksRows() {
		return ""
	}
	return t.locks.rows + table + t.locks.skip
}
