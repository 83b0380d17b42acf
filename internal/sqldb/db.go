package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/internal/sleep"
)

// Options configure a database. The zero value is usable.
type Options struct {
	// Cipher encrypts columns. Without a cipher, or with one that has no keys, texts are stored clear.
	Cipher Cipher
	// Observe is called after every transaction with the context and the error of its caller. It must not block.
	Observe func(context.Context, Transaction, error)
}

// Transaction is a transaction that has ended.
type Transaction struct {
	Write bool
	// Took is its duration with all retries, and Retries how often it was tried again.
	Took    time.Duration
	Retries int
}

// DB is a database with the tables of a [Schema]. It is safe for concurrent use, and many processes may open the same
// database.
type DB struct {
	// writes and reads may be the same pool or two pools, depending on the database.
	writes, reads *pool
	// reading and writing are the options with which transactions begin.
	reading, writing *sql.TxOptions
	locks            locks
	// busy reports whether a transaction failed only because of concurrent transactions or an unavailable database,
	// with nothing changed. Such a transaction may be tried again: at most tries times in all, each time after a
	// pause that grows from pause.
	busy  func(error) bool
	tries int
	pause time.Duration
	// before is the version of the tables when the database was opened, after the version since.
	before, after int64
	// notifier sends and receives notifications. It is nil where each process polls.
	notifier *notifier
	observe  func(context.Context, Transaction, error)
	// overwrite rewrites the database's files, so that they keep no earlier versions of rows. It returns a sentence
	// about what may remain nevertheless. It is nil where the database cannot do this.
	overwrite func(context.Context) (left string, err error)
	// dropped is when idle connections were last closed, in Unix nanoseconds.
	dropped atomic.Int64
	// narrowed are the files that other users had access to before they were opened.
	narrowed []string
}

// Open opens a database: `sqlite:PATH`, a bare path, or `postgres://USER@HOST/DATABASE`. It creates missing tables and
// migrates older ones. It refuses, without changing it, a database with other tables or of a newer build; the error
// says what to do. Errors contain no password.
func Open(ctx context.Context, database string, schema Schema, options Options) (*DB, error) {
	db, err := open(ctx, database, schema)
	if err != nil {
		return nil, err
	}
	db.observe = options.Observe
	db.writes.seals, db.reads.seals = Seals{options.Cipher}, Seals{options.Cipher}
	return db, nil
}

func open(ctx context.Context, database string, schema Schema) (*DB, error) {
	if IsPostgres(database) {
		return openPostgres(ctx, database, schema)
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
	return openSQLite(ctx, path, schema)
}

// Named returns the database's name for logs and tables, without parts that may be secret.
func Named(database string) string {
	if IsPostgres(database) {
		return postgresName(database)
	}
	return database
}

// Close closes the database. Calls in progress fail.
func (db *DB) Close() error {
	db.notifier.close()
	err := db.reads.Close()
	if db.reads != db.writes {
		err = errors.Join(err, db.writes.Close())
	}
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Narrowed returns the database's files that other users had access to before they were opened.
func (db *DB) Narrowed() []string { return db.narrowed }

// Seals returns what encrypts and decrypts the texts of columns.
func (db *DB) Seals() Seals { return db.reads.seals }

// Reader and Writer return the connections that read and those that write, for what [Tx] does not do. They may be the
// same.
func (db *DB) Reader() *sql.DB { return db.reads.DB }

// Writer is described at [DB.Reader].
func (db *DB) Writer() *sql.DB { return db.writes.DB }

// Prepared returns the queries that were prepared so far. There are none where the driver prepares them itself.
func (db *DB) Prepared() (reading, writing []string) { return db.reads.queries(), db.writes.queries() }

// Read runs a transaction that only reads. All its queries see the snapshot of the database that its first query
// sees. Otherwise, a result from several tables would mix several moments.
func (db *DB) Read(ctx context.Context, do func(*Tx) error) error {
	return db.run(ctx, false, func(ctx context.Context) error { return db.reads.run(ctx, db.reading, locks{}, do) })
}

// QueryOne runs one query. One query sees one snapshot anyway, and a transaction would cost two more round trips.
func (db *DB) QueryOne(ctx context.Context, do func(*Tx) error) error {
	return db.run(ctx, false, func(ctx context.Context) error { return db.reads.look(ctx, do) })
}

// Write runs a transaction that writes: exclusively, while no other writes, or beside others. It may call the function
// more than once, which must not keep anything from a call that failed.
func (db *DB) Write(ctx context.Context, exclusive bool, do func(*Tx) error) error {
	return db.run(ctx, true, func(ctx context.Context) error {
		return db.writes.run(ctx, db.writing, db.locks, func(t *Tx) error {
			if err := t.enter(ctx, exclusive); err != nil {
				return err
			}
			return do(t)
		})
	})
}

const (
	// transactionTimeout bounds a transaction with its retries when the caller sets no deadline: a connection can go
	// silent without being closed.
	transactionTimeout = 10 * time.Second
	// longestPause is the maximum pause before another try.
	longestPause = 500 * time.Millisecond
)

func (db *DB) run(caller context.Context, write bool, try func(context.Context) error) error {
	ctx := caller
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, transactionTimeout)
		defer cancel()
	}
	began, pause := time.Now(), db.pause
	tried := 1
	err := try(ctx)
	for err != nil && tried < db.tries && db.busy(err) && sleepUpTo(ctx, pause) {
		tried++
		pause = min(2*pause, longestPause)
		err = try(ctx)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		db.dropIdle(time.Now())
	}
	if db.observe != nil {
		db.observe(caller, Transaction{Write: write, Took: time.Since(began), Retries: tried - 1}, err)
	}
	return err
}

// dropAgainAfter is the minimum time between two closings of the idle connections.
const dropAgainAfter = 5 * time.Second

// dropIdle closes the idle connections after a transaction has timed out: they may be as silent as its own.
func (db *DB) dropIdle(now time.Time) {
	last := db.dropped.Load()
	if now.Sub(time.Unix(0, last)) < dropAgainAfter || !db.dropped.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	for _, p := range []*pool{db.reads, db.writes} {
		if p.idle > 0 {
			p.SetMaxIdleConns(0)
			p.SetMaxIdleConns(p.idle)
		}
	}
}

// Scrub removes earlier versions of rows from the database's files. It returns a sentence about what may remain, or
// nothing.
func (db *DB) Scrub(ctx context.Context) (left string, err error) {
	if db.overwrite == nil {
		return "the database's own files keep earlier versions of rows until it has vacuumed them", nil
	}
	return db.overwrite(ctx)
}

// sleepUpTo sleeps for a random part of the time, so that transactions that were in each other's way do not retry at
// the same moment. It returns false when ctx ends.
func sleepUpTo(ctx context.Context, most time.Duration) bool {
	return sleep.For(ctx, rand.N(max(most, 1))) == nil //nolint:gosec // it need not be unpredictable
}

// Unavailable reports whether a call failed because the database is not reachable or not writable now. The same call
// may succeed later.
func Unavailable(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || postgresUnavailable(err) || sqliteUnavailable(err)
}

// Rejected reports whether the database refuses the data, and will refuse them again.
func Rejected(err error) bool { return postgresRejected(err) || sqliteRejected(err) }
