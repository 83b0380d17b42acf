package desk

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// notifier wakes the desks of other processes on one PostgreSQL database by NOTIFY: dispatchers, and callers that
// wait for a conversation's next revision. It notifies after the commit, and sends several words at once, because
// PostgreSQL commits transactions that notify one at a time. A lost notification costs at most one polling
// interval: every waiter polls.
//
// It is nil on SQLite, where each process polls.
type notifier struct {
	config *pgx.ConnConfig
	db     *sql.DB
	// own distinguishes this desk's notifications from those of others.
	own     string
	stop    context.CancelFunc
	running sync.WaitGroup
	// receivedAt is when the listener's connection last worked, in Unix nanoseconds.
	receivedAt atomic.Int64

	mutex   sync.Mutex
	pending map[string]bool
	some    chan struct{}
}

// The words of notifications. The other word is a conversation's SID: the conversation has a new revision.
const (
	notifyMatch   = "place"
	notifyDeliver = "deliver"
)

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
	wake(n.some)
}

// run sends notifications to other processes, and wakes this desk's own waiters on theirs, until close.
func (n *notifier) run(ctx context.Context, d *Desk) {
	if n == nil {
		return
	}
	ctx, n.stop = context.WithCancel(ctx)
	n.running.Go(func() { n.send(ctx) })
	n.running.Go(func() { n.receive(ctx, d) })
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
func (n *notifier) receive(ctx context.Context, d *Desk) {
	pause := firstReconnect
	n.receivedAt.Store(time.Now().UnixNano())
	for ctx.Err() == nil {
		began := time.Now()
		n.receiveOnce(ctx, d)
		if time.Since(began) > lastReconnect {
			pause = firstReconnect // the connection had worked for long enough
		}
		rest(ctx, pause)
		pause = min(2*pause, lastReconnect)
	}
}

func (n *notifier) receiveOnce(ctx context.Context, d *Desk) {
	connection, err := n.connect(ctx)
	if err != nil {
		return // the desk's own calls report it
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), silentFor)
		defer cancel()
		_ = connection.Close(within)
	}()
	// Earlier notifications are not received any more: all waiters look once.
	wake(d.toPlace)
	wake(d.toDeliver)
	d.shown.tellAll()
	for {
		n.receivedAt.Store(time.Now().UnixNano())
		heard, err := n.next(ctx, connection)
		if err != nil {
			return
		}
		if heard == nil {
			continue
		}
		from, words, _ := strings.Cut(heard.Payload, " ")
		if from == n.own {
			continue
		}
		for word := range strings.FieldsSeq(words) {
			switch word {
			case notifyMatch:
				wake(d.toPlace)
			case notifyDeliver:
				wake(d.toDeliver)
			default:
				d.shown.tell(word)
			}
		}
	}
}

// connect opens a connection that listens.
func (n *notifier) connect(ctx context.Context) (*pgx.Conn, error) {
	within, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	connection, err := pgx.ConnectConfig(within, n.config.Copy())
	if err != nil {
		return nil, wrap("connect", err)
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
	return moved(&n.receivedAt, within)
}
