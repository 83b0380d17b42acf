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

// store is a database and how its transactions are run.
type store struct {
	// writes and reads may be one pool or two, as the database likes it.
	writes, reads *pool
	// reading and writing are how transactions begin.
	reading, writing *sql.TxOptions
	// locks keep transactions that write at the same time out of each other's way.
	locks locks
	// busy tells whether a transaction failed only because others were at work, or the database was away, with
	// nothing done: it may be tried again, as often as tries, each time after a pause that grows from pause on.
	busy  func(error) bool
	tries int
	pause time.Duration
	// before is the version that the tables had when the database was opened, after the one they have since.
	before, after int64
	// notifier wake the desks of other processes; nil where each process looks by itself.
	notifier *notifier
	// observe is told of every transaction that has ended; nil where nobody asks.
	observe func(Transaction)
	// overwrite rewrites the database's files, so that they keep nothing of what was changed before; it returns what
	// may remain all the same. It is nil where the database can't.
	overwrite func(context.Context) (left string, err error)
	// dropped is when idle connections were dropped last, in Unix nanoseconds.
	dropped atomic.Int64
	// logSeen is how far the event log was seen to have come.
	logSeen *logSeen
	// narrowed are the files that other users had access to until they were opened.
	narrowed []string
}

// longestPause is how long the pause before another try may grow.
const longestPause = 500 * time.Millisecond

// readTx runs a transaction that only reads. All its queries see one snapshot of the database, that of the first: what
// is put together from several tables, as a conversation with its tasks is, would else be of several moments.
func (s *store) readTx(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, false, func(ctx context.Context) error { return s.reads.run(ctx, s.reading, do) })
}

// queryOne runs one query. It sees one snapshot by itself, and a transaction around it would cost two ways to the database.
func (s *store) queryOne(ctx context.Context, do func(*transaction) error) error {
	return s.run(ctx, false, func(ctx context.Context) error { return s.reads.look(ctx, do) })
}

// writeTx runs a transaction that writes: alone, or beside others, and then it holds what it decides on (see locks.go).
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

// transactionTimeout bounds a transaction with its retries where the caller sets no deadline: a connection can go
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

// dropAgainAfter is how long idle connections are kept after they were dropped.
const dropAgainAfter = 5 * time.Second

// dropIdle closes the connections that are not in use after a transaction has timed out: they may be as silent as its own.
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

// scrub has nothing of what was changed stay in the database's files, and says what may remain.
func (s *store) scrub(ctx context.Context) (left string, err error) {
	if s.overwrite == nil {
		return "the database's own files keep earlier versions of rows until it has vacuumed them", nil
	}
	return s.overwrite(ctx)
}

// rest waits for some of the time, so that those who were in each other's way come back at different moments. It
// returns false where ctx ends.
func rest(ctx context.Context, most time.Duration) bool {
	if most == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(rand.N(most)) //nolint:gosec // nobody gains by foreseeing it
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

	// seals seal and open the texts of the transactions.
	seals seals
	// expressions are those of queues and workflows.
	expressions *expression.Cache
	// own tells that the driver prepares statements itself; then none are here.
	own bool
	// logSeen is the store's.
	logSeen *logSeen
	// idle is how many connections are kept while they are not in use; 0 where they cannot be lost.
	idle       int
	mutex      sync.RWMutex
	statements map[string]*sql.Stmt
}

func newPool(db *sql.DB) *pool { return &pool{DB: db, statements: map[string]*sql.Stmt{}} }

// commitError is the failure of a commit. Where the connection was lost meanwhile, nobody knows whether it took place.
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

// afterCommit are what a transaction leaves for after its commit: tasks to place and commands to deliver for the dispatcher, and lines
// of the security log.
type afterCommit struct {
	place, deliver bool
	// news is set where something has happened that pages show.
	news bool
	// wentBack is set where the database turned out to be an older copy.
	wentBack bool
	security []seclog.Entry
}

// transaction runs the statements of one transaction, or one query without any.
type transaction struct {
	// ctx bounds the statements of callers without a deadline.
	ctx         context.Context //nolint:containedctx // it lives as long as the transaction
	tx          *sql.Tx         // nil: see [store.look]
	pool        *pool
	unprepared  []string
	afterCommit afterCommit
	locks       locks
	// appended are the events that the transaction appends to the event log when it ends; see appendEvents.
	appended []newEvent
	// logEnd is the last position that they have.
	logEnd logEnd
	// routing tells that the transaction holds the routing; see holdRouting.
	routing bool
	// looked is set when the one query without a transaction has begun.
	looked bool
	// short is set where a statement isn't worth being interrupted: to watch the context costs as much
	// as the statement. The context still ends the transaction.
	short bool
}

// statement returns the prepared statement, nil where there is none yet.
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
		return nil, fmt.Errorf("run %q: a look is one query, use a read for more", opening(query))
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

// storableArgs makes the texts among the arguments of a query ones that every database takes. What people send is refused
// before; what comes here all the same, as from a conversation that an earlier build has taken, must not hold it up.
func storableArgs(args []any) []any {
	for i := range args {
		if text, ok := args[i].(string); ok && !storable(text) {
			args[i] = storableText(text)
		}
	}
	return args
}

// storableText returns the text with U+FFFD in the place of what no database keeps.
func storableText(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
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

// firstRow returns the query's first row, and false where there is none.
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
