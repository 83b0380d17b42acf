package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
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
}

// Desk is the contact centre's records and routing. It is safe for concurrent use, and many
// processes may open the same database.
type Desk struct {
	store *store
	now   func() time.Time
	log   *slog.Logger
	tick  time.Duration

	// toPlace and toDeliver wake the dispatcher; shown wakes who waits for a revision.
	toPlace, toDeliver chan struct{}
	shown              *shown
}

// Open opens the desk kept in the database, `sqlite:PATH` or a bare path, creates it where there is
// none yet, and brings its tables up to date. A file that isn't a desk, or that a newer build has
// written, is left as it is and refused with a sentence that says what to do.
func Open(ctx context.Context, database string, options Options) (*Desk, error) {
	if scheme, _, ok := strings.Cut(database, "://"); ok && (scheme == "postgres" || scheme == "postgresql") {
		return nil, errors.New("open desk: Postgres is not supported by this build yet: use sqlite:PATH")
	}
	path := strings.TrimPrefix(database, "sqlite:")
	if path == "" {
		return nil, errors.New("open desk: no database is named: use sqlite:PATH, as in sqlite:.baton/desk.db")
	}
	s, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open desk: %w", err)
	}
	d := &Desk{
		store: s, now: options.Now, log: options.Logger, tick: options.Tick,
		toPlace: make(chan struct{}, 1), toDeliver: make(chan struct{}, 1), shown: newShown(),
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.tick == 0 {
		d.tick = time.Second
	}
	return d, nil
}

// Close closes the database. Calls that are under way fail.
func (d *Desk) Close() error {
	if err := d.store.close(); err != nil {
		return fmt.Errorf("close desk: %w", err)
	}
	return nil
}

// read runs one read transaction: everything it reads is of one moment.
func (d *Desk) read(ctx context.Context, doing string, do func(*transaction) error) error {
	return outcome(doing, d.store.read(ctx, do))
}

// write runs one transaction, and afterwards wakes the dispatcher for what it left to do. The
// function may be called more than once and must not keep anything of a call that failed.
func (d *Desk) write(ctx context.Context, doing string, do func(*transaction) error) error {
	var leaves leftovers
	err := d.store.write(ctx, func(t *transaction) error {
		err := do(t)
		leaves = t.leaves
		return err
	})
	if err != nil {
		return outcome(doing, err)
	}
	if leaves.place {
		wake(d.toPlace)
	}
	if leaves.deliver {
		wake(d.toDeliver)
	}
	return nil
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

func wake(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // it rings already
	}
}
