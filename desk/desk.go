package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk/expression"
	"github.com/baton-transfers/baton/internal/seclog"
)

// ErrConversationGone is what a [Courier] returns for a conversation whose workflow no longer runs.
var ErrConversationGone = errors.New("the conversation's workflow no longer runs")

// Options configure a desk. The zero value is usable.
type Options struct {
	// Now is the desk's clock; nil means the system clock.
	Now func() time.Time
	// Logger logs errors that are not returned to a caller; nil discards them.
	Logger *slog.Logger
	// Tick is how often the dispatcher checks for all work; zero means one second.
	Tick time.Duration
	// Observe is called after every transaction and must not block. It may be nil.
	Observe func(Transaction)
	// Cipher seals secrets and the texts of customers and agents. Without a cipher, or with one that has no keys,
	// texts are stored clear. Texts that are sealed already can only be read with their keys.
	Cipher Cipher
	// Security logs security events, such as added and revoked keys and erasures; nil means they go to the Logger.
	Security *seclog.Log
}

// Desk holds the contact centre's records and does its routing. It is safe for concurrent use, and many processes
// may open the same database.
type Desk struct {
	store *store
	now   func() time.Time
	log   *slog.Logger
	tick  time.Duration
	// security is the security log; used holds when the last use of each key was recorded.
	security *seclog.Log
	used     keyUses
	// searching holds a token for each running search; searchBounds limit how much one search reads.
	searching    chan struct{}
	searchBounds searchBounds

	// toPlace and toDeliver wake the dispatcher; shown wakes callers that wait for a revision.
	toPlace, toDeliver chan struct{}
	shown              *shown
	// rejections are the snapshots that the database has refused.
	rejections rejections
	// dispatchers is the number of dispatchers that run in this process; dispatchedAt is when one last made
	// progress, in Unix nanoseconds.
	dispatchers  atomic.Int32
	dispatchedAt atomic.Int64
	// queuedAt is when webhooks were last queued, in Unix nanoseconds.
	queuedAt atomic.Int64
}

// Open opens the desk in a database: `sqlite:PATH`, a bare path, or `postgres://USER@HOST/DATABASE`. It creates
// missing tables and migrates older ones. It refuses, without changing it, a database that is not a desk, that a
// newer build has written, or that is encrypted when there are no keys; the error says what to do. Errors contain
// no password.
func Open(ctx context.Context, database string, options Options) (*Desk, error) {
	s, err := openStore(ctx, database)
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	s.observe = options.Observe
	s.logSeen = &logSeen{positions: map[int64]int64{}}
	s.writes.logSeen, s.reads.logSeen = s.logSeen, s.logSeen
	s.writes.seals, s.reads.seals = seals{options.Cipher}, seals{options.Cipher}
	expressions := &expression.Cache{}
	s.writes.expressions, s.reads.expressions = expressions, expressions
	d := &Desk{
		store: s, now: options.Now, log: options.Logger, tick: options.Tick,
		toPlace: make(chan struct{}, 1), toDeliver: make(chan struct{}, 1), shown: newShown(),
		searching: make(chan struct{}, searchesAtOnce), searchBounds: defaultSearchBounds(),
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.security = options.Security; d.security == nil {
		d.security = seclog.New(options.Logger)
	}
	if d.tick == 0 {
		d.tick = time.Second
	}
	for _, file := range s.narrowed {
		d.log.WarnContext(ctx, "database file was accessible to other users: access removed", "file", file)
	}
	if err := d.keysAreThere(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open desk: %w", err), s.close())
	}
	s.notifier.run(context.WithoutCancel(ctx), d)
	return d, nil
}

func openStore(ctx context.Context, database string) (*store, error) {
	if isPostgres(database) {
		return openPostgres(ctx, database)
	}
	path, named := strings.CutPrefix(database, "sqlite:")
	if !named && strings.ContainsAny(path, "@=\"'") || !named && strings.Contains(path, ":/") {
		// not quoted: it may contain a password
		return nil, errors.New("the database is neither sqlite:PATH nor postgres://USER@HOST/DATABASE: write it as one of them, in lower case and without " +
			"quotation marks; a path with @, =, :/ or a quotation mark in it needs sqlite: before it")
	}
	if path == "" {
		return nil, errors.New("no database is named: use sqlite:PATH, as in sqlite:.baton/desk.db, or postgres://USER@HOST/DATABASE")
	}
	return openSQLite(ctx, path)
}

// Named returns the database's name for logs and tables, without parts that may be secret.
func Named(database string) string {
	if isPostgres(database) {
		return postgresName(database)
	}
	return database
}

// Migrate brings the tables of the database up to date, as [Open] does. It returns their version before, 0 for an
// empty database, and after.
func Migrate(ctx context.Context, database string) (before, after int64, err error) {
	s, err := openStore(ctx, database)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate desk: %w", err)
	}
	return s.before, s.after, s.close()
}

// Close closes the database. Calls in progress fail.
func (d *Desk) Close() error {
	if err := d.store.close(); err != nil {
		return fmt.Errorf("close desk: %w", err)
	}
	return nil
}

// readTx runs one read transaction. All its reads see the same snapshot of the database.
func (d *Desk) readTx(ctx context.Context, doing string, do func(*transaction) error) error {
	return outcome(doing, d.store.readTx(ctx, do))
}

// queryOne runs one query, without a transaction.
func (d *Desk) queryOne(ctx context.Context, doing string, do func(*transaction) error) error {
	return outcome(doing, d.store.queryOne(ctx, do))
}

// exclusiveTx runs one write transaction while no other runs, and then does what it left in afterCommit.
// It may call the function more than once, which must not keep anything from a call that failed.
func (d *Desk) exclusiveTx(ctx context.Context, doing string, do func(*transaction) error) error {
	return d.change(ctx, doing, true, do)
}

// sharedTx runs one write transaction as exclusiveTx does, but concurrently with others: it is for frequent writes.
// The transaction has to lock what it bases its decisions on, see locks.go.
func (d *Desk) sharedTx(ctx context.Context, doing string, do func(*transaction) error) error {
	return d.change(ctx, doing, false, do)
}

func (d *Desk) change(ctx context.Context, doing string, alone bool, do func(*transaction) error) error {
	var left *transaction
	request, _ := ctx.Value(onceKey{}).(*once)
	err := d.store.writeTx(ctx, alone, func(t *transaction) error {
		err := request.change(ctx, t, d.now(), do)
		left = t
		return err
	})
	if request != nil && (err == nil || errors.Is(err, ErrDoneBefore)) {
		request.changes++
	}
	if err != nil {
		return outcome(doing, err)
	}
	leaves := left.afterCommit // includes what appendEvents has added
	if leaves.wentBack {
		d.wentBack(context.WithoutCancel(ctx))
	}
	for _, e := range leaves.security {
		d.security.Write(ctx, e)
	}
	if leaves.news {
		d.shown.tell(news)
		d.store.notifier.notify(news)
	}
	if leaves.place {
		d.notify(d.toPlace, notifyMatch)
	}
	if leaves.deliver {
		d.notify(d.toDeliver, notifyDeliver)
	}
	return nil
}

// notify wakes a dispatcher of this process or, if it runs none, those of other processes.
func (d *Desk) notify(waiter chan struct{}, word string) {
	wake(waiter)
	if d.dispatchers.Load() == 0 {
		d.store.notifier.notify(word)
	}
}

func wrap(doing string, err error) error { return fmt.Errorf("%s: %w", doing, err) }

// outcome returns the error for the caller: a refusal unchanged, because people read it, and any other error
// wrapped with what was being done.
func outcome(doing string, err error) error {
	var refusal *conversation.Refusal
	var conflict *TakenError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &conflict):
		return conflict
	case errors.As(err, &refusal):
		return refusal
	}
	return wrap(doing, err)
}

// TakenError is the refusal of a name or an agent that exists already.
type TakenError struct{ refusal *conversation.Refusal }

// Error returns the refusal's sentence.
func (e *TakenError) Error() string { return e.refusal.Error() }

// Unwrap returns the refusal.
func (e *TakenError) Unwrap() error { return e.refusal }

func taken(field, format string, args ...any) error {
	return &TakenError{invalid(field, format, args...)}
}

func wake(waiter chan struct{}) {
	select {
	case waiter <- struct{}{}:
	default: // already woken
	}
}
