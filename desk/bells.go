package desk

import (
	"context"
	"database/sql"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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
	connection, err := pgx.ConnectConfig(ctx, b.config.Copy())
	if err != nil {
		return // the desk's own calls will say so
	}
	defer func() { _ = connection.Close(context.WithoutCancel(ctx)) }()
	if _, err := connection.Exec(ctx, `LISTEN `+bellsChannel); err != nil {
		return
	}
	// What was rung before is not heard any more: everybody looks once.
	wake(d.toPlace)
	wake(d.toDeliver)
	d.shown.tellAll()
	for {
		heard, err := connection.WaitForNotification(ctx)
		if err != nil {
			return
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
