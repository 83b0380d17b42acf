package sqldb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// notifier sends words to the other processes on one PostgreSQL database, and receives theirs, by NOTIFY. It notifies
// after the commit, and sends several words at once, because PostgreSQL commits transactions that notify one at a
// time. Notifications may be lost.
//
// It is nil on SQLite, where each process polls.
type notifier struct {
	config *pgx.ConnConfig
	db     *sql.DB
	// own distinguishes this process's notifications from those of others.
	own     string
	stop    context.CancelFunc
	running sync.WaitGroup
	// receivedAt is when the listener's connection last worked, in Unix nanoseconds.
	receivedAt atomic.Int64

	mutex   sync.Mutex
	pending map[string]bool
	some    chan struct{}
}

const (
	notifyChannel = "baton"
	// notifyAtOnce is how many words a notification has at most, to stay below PostgreSQL's limit of 8,000 bytes.
	notifyAtOnce = 200
	// notifyTimeout bounds how long a notification may use a connection.
	notifyTimeout = 5 * time.Second
	// The first and the longest pause before the listener connects again.
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 5 * time.Second
	// silentFor is how long the listener waits before it checks that the connection still works, and then for the
	// answer.
	silentFor = 2 * time.Second
)

func newNotifier(config *pgx.ConnConfig, db *sql.DB) *notifier {
	return &notifier{config: config, db: db, own: uuid.NewString(), pending: map[string]bool{}, some: make(chan struct{}, 1)}
}

// notify sends the word to the other processes, soon and in the background.
func (n *notifier) notify(word string) {
	if n == nil {
		return
	}
	n.mutex.Lock()
	n.pending[word] = true
	n.mutex.Unlock()
	select {
	case n.some <- struct{}{}:
	default: // it is about to look
	}
}

// Notify sends a word to the other processes, soon and in the background. A word has no spaces.
func (db *DB) Notify(word string) { db.notifier.notify(word) }

// Notifies reports whether [DB.Notify] reaches other processes. Where it does not, they have to poll.
func (db *DB) Notifies() bool { return db.notifier != nil }

// Listen calls heard with each word of another process, until [DB.Close]. It calls missed when words may have been
// lost: all that depends on them has to be read once.
func (db *DB) Listen(ctx context.Context, heard func(word string), missed func()) {
	db.notifier.run(ctx, heard, missed)
}

// Listens returns an error if the connection of [DB.Listen] has not worked within that time.
func (db *DB) Listens(within time.Duration) error { return db.notifier.listens(within) }

// run sends notifications to other processes, and receives theirs, until close.
func (n *notifier) run(ctx context.Context, heard func(word string), missed func()) {
	if n == nil {
		return
	}
	ctx, n.stop = context.WithCancel(ctx)
	n.running.Go(func() { n.send(ctx) })
	n.running.Go(func() { n.receive(ctx, heard, missed) })
}

func (n *notifier) close() {
	if n == nil || n.stop == nil {
		return
	}
	n.stop()
	n.running.Wait()
}

// send sends the pending words. Words that arrive while it does are sent next, together.
func (n *notifier) send(ctx context.Context) {
	for {
		select {
		case <-n.some:
		case <-ctx.Done():
			return
		}
		for words := n.takePending(); len(words) > 0; words = n.takePending() {
			within, cancel := context.WithTimeout(ctx, notifyTimeout)
			// A failed notification is like a lost one: waiters poll.
			_, _ = n.db.ExecContext(within, `SELECT pg_notify($1, $2)`, notifyChannel, n.own+" "+strings.Join(words, " "))
			cancel()
		}
	}
}

func (n *notifier) takePending() (words []string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for word := range n.pending {
		if len(words) == notifyAtOnce {
			break
		}
		words = append(words, word)
		delete(n.pending, word)
	}
	return words
}

// receive listens on its own connection, and connects again when that is lost.
func (n *notifier) receive(ctx context.Context, heard func(word string), missed func()) {
	pause := firstReconnect
	n.receivedAt.Store(time.Now().UnixNano())
	for ctx.Err() == nil {
		began := time.Now()
		n.receiveOnce(ctx, heard, missed)
		if time.Since(began) > lastReconnect {
			pause = firstReconnect // the connection had worked for long enough
		}
		sleepUpTo(ctx, pause)
		pause = min(2*pause, lastReconnect)
	}
}

func (n *notifier) receiveOnce(ctx context.Context, heard func(word string), missed func()) {
	connection, err := n.connect(ctx)
	if err != nil {
		return // the program's own calls report it
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), silentFor)
		defer cancel()
		_ = connection.Close(within)
	}()
	missed() // earlier notifications are not received any more
	for {
		n.receivedAt.Store(time.Now().UnixNano())
		received, err := n.next(ctx, connection)
		if err != nil {
			return
		}
		if received == nil {
			continue
		}
		from, words, _ := strings.Cut(received.Payload, " ")
		if from == n.own {
			continue
		}
		for word := range strings.FieldsSeq(words) {
			heard(word)
		}
	}
}

// connect opens a connection that listens.
func (n *notifier) connect(ctx context.Context) (*pgx.Conn, error) {
	within, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	connection, err := pgx.ConnectConfig(within, n.config.Copy())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := connection.Exec(within, `LISTEN `+notifyChannel); err != nil {
		return nil, errors.Join(err, connection.Close(within))
	}
	return connection, nil
}

// next returns the next notification. It returns nil when there was none for a while and the connection still
// answers.
func (n *notifier) next(ctx context.Context, connection *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, silentFor)
	defer cancel()
	heard, err := connection.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
		return heard, err //nolint:wrapcheck // only whether there is an error matters
	}
	asking, answered := context.WithTimeout(ctx, silentFor)
	defer answered()
	_, err = connection.Exec(asking, `LISTEN `+notifyChannel) // again: pg_stat_activity shows the last statement
	return nil, err                                           //nolint:wrapcheck // as above
}

// listens returns an error when the listener's connection has not worked within that time.
func (n *notifier) listens(within time.Duration) error {
	if n == nil {
		return nil
	}
	if since := time.Since(time.Unix(0, n.receivedAt.Load())); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}
