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

// bells wake the desks of other processes on one PostgreSQL database, by NOTIFY: dispatchers, and those who wait for
// a conversation's next revision. They are rung after the commit, and together: PostgreSQL lets transactions that
// notify commit only one by one. A bell that is lost, with its process or connection, costs no more than a poll does,
// for everybody who waits looks by themselves as well.
//
// Those of a database that one process uses at a time are nil, and silent.
type bells struct {
	config *pgx.ConnConfig
	db     *sql.DB
	// own tells this desk's words from others'.
	own     string
	stop    context.CancelFunc
	running sync.WaitGroup
	// heardAt is when the listener's connection worked last, in Unix nanoseconds.
	heardAt atomic.Int64

	mutex sync.Mutex
	rung  map[string]bool
	some  chan struct{}
}

// The words that bells say; a conversation's SID is another, for its next revision.
const (
	bellPlace   = "place"
	bellDeliver = "deliver"
)

const (
	bellsChannel = "baton"
	// bellsAtOnce keeps what is said within the 8,000 bytes of a notification.
	bellsAtOnce = 200
	// ringTimeout bounds how long the bells may keep a connection.
	ringTimeout = 5 * time.Second
	// The pause before the listener connects again, which grows.
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 5 * time.Second
	// silentFor is how long the listener waits before it asks whether the connection still works, and for the answer.
	silentFor = 2 * time.Second
)

func newBells(config *pgx.ConnConfig, db *sql.DB) *bells {
	return &bells{config: config, db: db, own: uuid.NewString(), rung: map[string]bool{}, some: make(chan struct{}, 1)}
}

// ring has others told the word, soon.
func (b *bells) ring(word string) {
	if b == nil {
		return
	}
	b.mutex.Lock()
	b.rung[word] = true
	b.mutex.Unlock()
	wake(b.some)
}

// listen rings for others, and wakes the desk's own when they ring, until close.
func (b *bells) listen(ctx context.Context, d *Desk) {
	if b == nil {
		return
	}
	ctx, b.stop = context.WithCancel(ctx)
	b.running.Go(func() { b.tell(ctx) })
	b.running.Go(func() { b.hear(ctx, d) })
}

func (b *bells) close() {
	if b == nil || b.stop == nil {
		return
	}
	b.stop()
	b.running.Wait()
}

// tell says what was rung. What comes while it does is said next, together.
func (b *bells) tell(ctx context.Context) {
	for {
		select {
		case <-b.some:
		case <-ctx.Done():
			return
		}
		for words := b.take(); len(words) > 0; words = b.take() {
			within, cancel := context.WithTimeout(ctx, ringTimeout)
			// One that fails is as one that is lost.
			_, _ = b.db.ExecContext(within, `SELECT pg_notify($1, $2)`, bellsChannel, b.own+" "+strings.Join(words, " "))
			cancel()
		}
	}
}

func (b *bells) take() (words []string) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for word := range b.rung {
		if len(words) == bellsAtOnce {
			break
		}
		words = append(words, word)
		delete(b.rung, word)
	}
	return words
}

// hear listens on a connection of its own, and on another one when that is lost.
func (b *bells) hear(ctx context.Context, d *Desk) {
	pause := firstReconnect
	b.heardAt.Store(time.Now().UnixNano())
	for ctx.Err() == nil {
		began := time.Now()
		b.hearOnce(ctx, d)
		if time.Since(began) > lastReconnect {
			pause = firstReconnect // it was a good one
		}
		rest(ctx, pause)
		pause = min(2*pause, lastReconnect)
	}
}

func (b *bells) hearOnce(ctx context.Context, d *Desk) {
	connection, err := b.connect(ctx)
	if err != nil {
		return // the desk's own calls will say so
	}
	defer func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), silentFor)
		defer cancel()
		_ = connection.Close(within)
	}()
	// What was rung before is not heard any more: everybody looks once.
	wake(d.toPlace)
	wake(d.toDeliver)
	d.shown.tellAll()
	for {
		b.heardAt.Store(time.Now().UnixNano())
		heard, err := b.next(ctx, connection)
		if err != nil {
			return
		}
		if heard == nil {
			continue
		}
		from, words, _ := strings.Cut(heard.Payload, " ")
		if from == b.own {
			continue
		}
		for word := range strings.FieldsSeq(words) {
			switch word {
			case bellPlace:
				wake(d.toPlace)
			case bellDeliver:
				wake(d.toDeliver)
			default:
				d.shown.tell(word)
			}
		}
	}
}

// connect opens a connection that listens.
func (b *bells) connect(ctx context.Context) (*pgx.Conn, error) {
	within, cancel := context.WithTimeout(ctx, ringTimeout)
	defer cancel()
	connection, err := pgx.ConnectConfig(within, b.config.Copy())
	if err != nil {
		return nil, wrap("connect", err)
	}
	if _, err := connection.Exec(within, `LISTEN `+bellsChannel); err != nil {
		return nil, errors.Join(err, connection.Close(within))
	}
	return connection, nil
}

// next returns the next notification, nil where there was none for a while and the connection still answers.
func (b *bells) next(ctx context.Context, connection *pgx.Conn) (*pgconn.Notification, error) {
	waiting, cancel := context.WithTimeout(ctx, silentFor)
	defer cancel()
	heard, err := connection.WaitForNotification(waiting)
	if err == nil || ctx.Err() != nil || !pgconn.Timeout(err) {
		return heard, err //nolint:wrapcheck // only that there is one is of interest
	}
	asking, answered := context.WithTimeout(ctx, silentFor)
	defer answered()
	_, err = connection.Exec(asking, `LISTEN `+bellsChannel) // again, so that the server's list of sessions still shows what it is for
	return nil, err                                          //nolint:wrapcheck // as above
}

// listens returns an error where no connection has been heard of for that long.
func (b *bells) listens(within time.Duration) error {
	if b == nil {
		return nil
	}
	return moved(&b.heardAt, within)
}
