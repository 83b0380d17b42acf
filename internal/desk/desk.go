package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// ErrConversationGone is what a [routing.Courier] returns for a conversation whose workflow no longer runs.
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

// Desk holds the contact center's records and does its routing. It is safe for concurrent use, and many processes
// may open the same database.
type Desk struct {
	db       *sqldb.DB
	now      func() time.Time
	log      *slog.Logger
	tick     time.Duration
	security *seclog.Log
	// heavy holds a token for each running heavy read.
	heavy chan struct{}

	// toMatch and toDeliver wake the dispatcher; shown wakes callers that wait for a revision.
	toMatch, toDeliver chan struct{}
	shown              *shown
	// Expressions are the parsed expressions of queues and workflows.
	Expressions *expression.Cache
	// logSeen is the highest position of the event log that was seen.
	logSeen *logSeen
	// dispatchers is the number of dispatchers that run in this process; dispatchedAt is when one last made
	// progress, in Unix nanoseconds.
	dispatchers  atomic.Int32
	dispatchedAt atomic.Int64
}

// Open opens the desk in a database: `sqlite:PATH`, a bare path, or `postgres://USER@HOST/DATABASE`. It creates
// missing tables and migrates older ones. It refuses, without changing it, a database that is not a desk, that a
// newer build has written, or that is encrypted when there are no keys; the error says what to do. Errors contain
// no password.
func Open(ctx context.Context, database string, options Options) (*Desk, error) {
	db, err := sqldb.Open(ctx, database, schema(), sqldb.Options{Cipher: options.Cipher, Observe: observer(options.Observe)})
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	d := &Desk{
		db: db, now: options.Now, log: options.Logger, tick: options.Tick,
		toMatch: make(chan struct{}, 1), toDeliver: make(chan struct{}, 1), shown: newShown(), Expressions: &expression.Cache{}, logSeen: &logSeen{positions: map[int64]int64{}},
		heavy: make(chan struct{}, heavyReads),
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
	for _, file := range db.Narrowed() {
		d.log.WarnContext(ctx, "database file was accessible to other users: access removed", "file", file)
	}
	if err := keysAreThere(ctx, d); err != nil {
		return nil, errors.Join(fmt.Errorf("open desk: %w", err), db.Close())
	}
	d.listen(context.WithoutCancel(ctx))
	return d, nil
}

// heavyReads is how many heavy reads run in a process at the same time: each keeps a core busy.
const heavyReads = 2

// HeavyRead waits until a read may run that keeps a core busy. Call end when it has ended.
func (d *Desk) HeavyRead(ctx context.Context) (end func(), err error) {
	select {
	case d.heavy <- struct{}{}:
		return func() { <-d.heavy }, nil
	case <-ctx.Done():
		return nil, Wrap("wait for other heavy reads", ctx.Err())
	}
}

// Log returns the logger for errors that are not returned to a caller.
func (d *Desk) Log() *slog.Logger { return d.log }

// Tick returns how often the dispatcher checks for all work.
func (d *Desk) Tick() time.Duration { return d.tick }

// DB returns the desk's database.
func (d *Desk) DB() *sqldb.DB { return d.db }

// Now returns the time of the desk's clock.
func (d *Desk) Now() time.Time { return d.now() }

// Close closes the database. Calls in progress fail.
func (d *Desk) Close() error {
	if err := d.db.Close(); err != nil {
		return fmt.Errorf("close desk: %w", err)
	}
	return nil
}

// Wrap says in the error what was being done.
func Wrap(doing string, err error) error { return fmt.Errorf("%s: %w", doing, err) }

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
	return Wrap(doing, err)
}

// TakenError is the refusal of a name or an agent that exists already.
type TakenError struct{ Refusal *conversation.Refusal }

// Error returns the refusal's sentence.
func (e *TakenError) Error() string { return e.Refusal.Error() }

// Unwrap returns the refusal.
func (e *TakenError) Unwrap() error { return e.Refusal }

// Taken returns a [TakenError] that refuses the field with invalid_payload.
func Taken(field, format string, args ...any) error {
	return &TakenError{Invalid(field, format, args...)}
}
