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

// Options are what a desk may be opened with. The zero Options serve.
type Options struct {
	// Now is the desk's clock; the system's where it is nil.
	Now func() time.Time
	// Logger takes what went wrong where nobody waits for an answer; nothing is logged where it is nil.
	Logger *slog.Logger
	// Tick is how often the dispatcher looks at everything; a second where it is zero.
	Tick time.Duration
	// Observe is told of every transaction that has ended; nobody where it is nil. It must not wait.
	Observe func(Transaction)
	// Cipher seals what customers and agents wrote, and secrets; where it is nil, or has no keys, texts are kept clear.
	// What is sealed already can be read with its keys only.
	Cipher Cipher
	// Security takes added and revoked keys, erasures and the like; where it is nil, the Logger does.
	Security *seclog.Log
}

// Desk is the contact centre's records and routing. It is safe for concurrent use, and many
// processes may open the same database.
type Desk struct {
	store *store
	now   func() time.Time
	log   *slog.Logger
	tick  time.Duration
	// security is the security log; used is when the last use of each key was recorded.
	security *seclog.Log
	used     keyUses
	// searching has a place for each search that may run, and searchBounds is how much one reads.
	searching    chan struct{}
	searchBounds searchBounds

	// toPlace and toDeliver wake the dispatcher; shown wakes who waits for a revision.
	toPlace, toDeliver chan struct{}
	shown              *shown
	// rejections are the snapshots that the database has refused.
	rejections rejections
	// dispatchers is how many run in this process; dispatchedAt is when one has finished a round, in Unix nanoseconds.
	dispatchers  atomic.Int32
	dispatchedAt atomic.Int64
	// queuedAt is when webhooks were queued last, in Unix nanoseconds.
	queuedAt atomic.Int64
}

// Open opens the desk kept in the database, `sqlite:PATH`, a bare path, or `postgres://USER@HOST/DATABASE`, makes
// its tables where there are none yet, and brings them up to date. A database that isn't a desk, or that a
// newer build has written, or that is encrypted where there are no keys, is left as it is and refused with a
// sentence that says what to do. A password stands in no error.
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
		// not quoted: it may hold a password
		return nil, errors.New("the database is neither sqlite:PATH nor postgres://USER@HOST/DATABASE: write it as one of them, in lower case and without " +
			"quotation marks; a path with @, =, :/ or a quotation mark in it needs sqlite: before it")
	}
	if path == "" {
		return nil, errors.New("no database is named: use sqlite:PATH, as in sqlite:.baton/desk.db, or postgres://USER@HOST/DATABASE")
	}
	return openSQLite(ctx, path)
}

// Named is how a log or a table names the database: as it is, but for what may be a secret in it.
func Named(database string) string {
	if isPostgres(database) {
		return postgresName(database)
	}
	return database
}

// Migrate brings the tables of the database up to date, as [Open] does, and returns their version before
// that, 0 for an empty database, and since.
func Migrate(ctx context.Context, database string) (before, after int64, err error) {
	s, err := openStore(ctx, database)
	if err != nil {
		return 0, 0, fmt.Errorf("migrate desk: %w", err)
	}
	return s.before, s.after, s.close()
}

// Close closes the database. Calls that are under way fail.
func (d *Desk) Close() error {
	if err := d.store.close(); err != nil {
		return fmt.Errorf("close desk: %w", err)
	}
	return nil
}

// readTx runs one read transaction: everything it reads is of one moment.
func (d *Desk) readTx(ctx context.Context, doing string, do func(*transaction) error) error {
	return outcome(doing, d.store.readTx(ctx, do))
}

// queryOne runs one query, without a transaction.
func (d *Desk) queryOne(ctx context.Context, doing string, do func(*transaction) error) error {
	return outcome(doing, d.store.queryOne(ctx, do))
}

// exclusiveTx runs one transaction that has the desk to itself, and afterwards wakes the dispatcher for what it left
// to do. The function may be called more than once and must not keep anything of a call that failed.
func (d *Desk) exclusiveTx(ctx context.Context, doing string, do func(*transaction) error) error {
	return d.change(ctx, doing, true, do)
}

// sharedTx runs one transaction as write does, but beside others: for what happens often. It has to hold
// what it decides on, see locks.go.
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
	leaves := left.afterCommit // with what appending to the event log has left
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

// notify wakes a dispatcher: this process's, or those of others where it has none.
func (d *Desk) notify(waiter chan struct{}, word string) {
	wake(waiter)
	if d.dispatchers.Load() == 0 {
		d.store.notifier.notify(word)
	}
}

func wrap(doing string, err error) error { return fmt.Errorf("%s: %w", doing, err) }

// outcome is what a caller gets: a refusal as it is, for a person to read, and other errors with what was being done.
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

// TakenError is the refusal of a name, or of somebody, that is there already.
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
	default: // it rings already
	}
}
