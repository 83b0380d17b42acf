package desk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/desk/expression"
	"github.com/baton-transfers/baton/internal/seclog"
)

// store is a database and how its transactions run.
type store struct {
	// writes and reads may be the same pool or two pools, depending on the database.
	writes, reads *pool
	// reading and writing are the options with which transactions begin.
	reading, writing *sql.TxOptions
	// locks serialize transactions that write at the same time where they would conflict: see locks.go.
	locks locks
	// busy reports whether a transaction failed only because of concurrent transactions or an unavailable database,
	// with nothing changed. Such a transaction may be tried again: at most tries times in all, each time after a
	// pause that grows from pause.
	busy  func(error) bool
	tries int
	pause time.Duration
	// before is the schema version when the database was opened, after the version since.
	before, after int64
	// notifier wakes the desks of other processes. It is nil where each process polls.
	notifier *notifier
	// observe is called after every transaction. It may be nil.
	observe func(Transaction)
	// overwrite rewrites the database's files, so that they keep no earlier versions of rows. It returns a sentence
	// about what may remain nevertheless. It is nil where the database cannot do this.
	overwrite func(context.Context) (left string, err error)
	// dropped is when idle connections were last closed, in Unix nanoseconds.
	dropped atomic.Int64
	// logSeen is the highest position of the event log that was seen.
	logSeen *logSeen
	// narrowed are the files that other users had access to before they were opened.
	narrowed []string
}

// longestPause is the maximum pause before another try.
const longestPause = 500 * time.Millisecond

// readTx runs a transaction that only reads. All its queries see the snapshot of the database that its first query
// sees. Otherwise, a result from several tables, such as a conversation with its tasks, would mix several moments.
func (s *store) readTx(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, false, func(ctx context.Context) error { return s.reads.run(ctx, s.reading, do) })
}

// queryOne runs one query. One query sees one snapshot anyway, and a transaction would cost two more round trips.
func (s *store) queryOne(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, false, func(ctx context.Context) error { return s.reads.look(ctx, do) })
}

// writeTx runs a transaction that writes: exclusive (alone), or shared, which locks what it decides on (see
// locks.go).
func (s *store) writeTx(ctx context.Context, alone bool, do func(*transaction) error) error {
	var reached logEnd
	err := s.run(ctx, true, func(ctx context.Context) error {
		return s.writes.run(ctx, s.writing, func(t *transaction) error {
			reached = logEnd{}
			t.locks = s.locks
			if err := t.enter(ctx, alone); err != nil {
				return err
			}
			if err := do(t); err != nil {
				return err
			}
			defer func() { reached = t.logEnd }()
			return t.appendEvents(ctx)
		})
	})
	if err == nil && reached != (logEnd{}) {
		s.logSeen.see(reached)
	}
	return err
}

// transactionTimeout bounds a transaction with its retries when the caller sets no deadline: a connection can go
// silent without being closed.
const transactionTimeout = 10 * time.Second

func (s *store) run(caller context.Context, write bool, try func(context.Context) error) error {
	ctx := caller
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, transactionTimeout)
		defer cancel()
	}
	began, pause := time.Now(), s.pause
	tried := 1
	err := try(ctx)
	for err != nil && tried < s.tries && s.busy(err) && rest(ctx, pause) {
		tried++
		pause = min(2*pause, longestPause)
		err = try(ctx)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.dropIdle(time.Now())
	}
	s.observed(caller, Transaction{Write: write, Took: time.Since(began), Retries: tried - 1}, err)
	return err
}

// dropAgainAfter is the minimum time between two closings of the idle connections.
const dropAgainAfter = 5 * time.Second

// dropIdle closes the idle connections after a transaction has timed out: they may be as silent as its own.
func (s *store) dropIdle(now time.Time) {
	last := s.dropped.Load()
	if now.Sub(time.Unix(0, last)) < dropAgainAfter || !s.dropped.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	for _, p := range []*pool{s.reads, s.writes} {
		if p.idle > 0 {
			p.SetMaxIdleConns(0)
			p.SetMaxIdleConns(p.idle)
		}
	}
}

// scrub removes earlier versions of rows from the database's files, and returns a sentence about what may remain.
func (s *store) scrub(ctx context.Context) (left string, err error) {
	if s.overwrite == nil {
		return "the database's own files keep earlier versions of rows until it has vacuumed them", nil
	}
	return s.overwrite(ctx)
}

// rest waits for a random part of the time, so that transactions that were in each other's way do not retry at the
// same moment. It returns false when ctx ends.
func rest(ctx context.Context, most time.Duration) bool {
	if most == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // it need not be unpredictable
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *store) close() error {
	s.notifier.close()
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

	// seals encrypt and decrypt the texts of the transactions.
	seals seals
	// expressions are the parsed expressions of queues and workflows.
	expressions *expression.Cache
	// own is set when the driver prepares statements itself. Then statements is not used.
	own bool
	// logSeen is the store's.
	logSeen *logSeen
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

func (p *pool) run(ctx context.Context, options *sql.TxOptions, do func(*transaction) error) error {
	tx, err := p.BeginTx(ctx, options)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &transaction{ctx: ctx, tx: tx, pool: p, short: !p.own && (options == nil || !options.ReadOnly)}
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

// look runs one query without a transaction.
func (p *pool) look(ctx context.Context, do func(*transaction) error) error {
	t := &transaction{ctx: ctx, pool: p}
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

// afterCommit is the work after a transaction's commit: tasks to match and commands to deliver, both for the
// dispatcher, and lines of the security log.
type afterCommit struct {
	place, deliver bool
	// news is set when something has changed that pages show.
	news bool
	// wentBack is set when the database turned out to be an older copy.
	wentBack bool
	security []seclog.Entry
}

// transaction runs the statements of one transaction, or one query without a transaction.
type transaction struct {
	// ctx bounds the statements of callers without a deadline.
	ctx         context.Context //nolint:containedctx // it lives as long as the transaction
	tx          *sql.Tx         // nil: see [store.look]
	pool        *pool
	unprepared  []string
	afterCommit afterCommit
	locks       locks
	// appended are the events that the transaction appends to the event log when it ends: see appendEvents.
	appended []newEvent
	// logEnd is the position of the last of them.
	logEnd logEnd
	// routing is set when the transaction holds the routing lock: see holdRouting.
	routing bool
	// looked is set when the one query without a transaction has begun.
	looked bool
	// short is set where a statement is too short to be interrupted: watching the context costs as much as the
	// statement. The context still ends the transaction.
	short bool
}

// statement returns the prepared statement, or nil when there is none yet.
func (t *transaction) statement(ctx context.Context, query string) *sql.Stmt {
	if t.pool.own {
		return nil
	}
	t.pool.mutex.RLock()
	statement := t.pool.statements[query]
	t.pool.mutex.RUnlock()
	if statement == nil {
		t.unprepared = append(t.unprepared, query)
		return nil
	}
	if t.tx == nil {
		return statement
	}
	return t.tx.StmtContext(ctx, statement)
}

// bounded returns the context of a statement.
func (t *transaction) bounded(ctx context.Context) context.Context {
	if t.short {
		return context.WithoutCancel(ctx)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return t.ctx
	}
	return ctx
}

// exec runs a statement and returns how many rows it changed.
func (t *transaction) exec(ctx context.Context, query string, args ...any) (int64, error) {
	ctx = t.bounded(ctx)
	args = storableArgs(args)
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
	ctx = t.bounded(ctx)
	args = storableArgs(args)
	var rows *sql.Rows
	var err error
	switch statement := t.statement(ctx, query); { //nolint:sqlclosecheck // the end of the transaction closes it
	case t.looked:
		return nil, fmt.Errorf("run %q: queryOne runs one query: use readTx for more", opening(query))
	case statement != nil:
		rows, err = statement.QueryContext(ctx, args...)
	case t.tx == nil:
		rows, err = t.pool.QueryContext(ctx, query, args...)
	default:
		rows, err = t.tx.QueryContext(ctx, query, args...)
	}
	t.looked = t.tx == nil
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", opening(query), err)
	}
	return rows, nil
}

// storableArgs replaces the texts among the arguments of a query by texts that every database accepts. Such input
// is refused earlier. Text that arrives here nevertheless, for example from a conversation that an earlier version
// accepted, must not block it.
func storableArgs(args []any) []any {
	for i := range args {
		if text, ok := args[i].(string); ok && !storable(text) {
			args[i] = storableText(text)
		}
	}
	return args
}

// storableText returns the text with U+FFFD in place of what no database stores: invalid UTF-8 and NUL.
func storableText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// opening returns the first words of a query, for errors. Errors never contain the arguments, which people may have
// written.
func opening(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(len(words), 6)], " ")
}

// row is a row that is being read.
type row interface{ Scan(into ...any) error }

// all returns every row of the query, each read by scan, or an empty slice when there is none.
func all[T any](ctx context.Context, t *transaction, scan func(row) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := t.query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := []T{}
	for rows.Next() {
		one, err := scan(t.opening(rows))
		if err != nil {
			return nil, err
		}
		found = append(found, one)
	}
	return found, rows.Err()
}

// eachRow reads every row of the query.
func eachRow(ctx context.Context, t *transaction, read func(row) error, query string, args ...any) error {
	_, err := all(ctx, t, func(r row) (struct{}, error) { return struct{}{}, read(r) }, query, args...)
	return err
}

// firstRow returns the query's first row, or false when there is none.
func firstRow[T any](ctx context.Context, t *transaction, scan func(row) (T, error), query string, args ...any) (T, bool, error) {
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

// micros returns a time as the tables store it: UTC microseconds, 0 for none.
func micros(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}

// instant scans a time stored by micros.
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

// flag returns a boolean as the tables store it.
func flag(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
