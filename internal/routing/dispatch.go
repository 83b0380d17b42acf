package routing

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Courier delivers commands to conversations.
type Courier interface {
	// Deliver returns nil once the conversation is certain to receive the command, or [desk.ErrConversationGone] if its
	// workflow no longer runs. After any other error the desk delivers again.
	Deliver(ctx context.Context, conversation string, c conversation.Command) error
}

const (
	// matchedAtOnce limits the matches in one transaction of the dispatcher, so that other transactions can run in
	// between.
	matchedAtOnce = 50
	// deliveredAtOnce limits the concurrent deliveries.
	deliveredAtOnce = 32
	// deliveryTimeout limits one delivery. It is shorter than firstRetry.
	deliveryTimeout = 4 * time.Second
	// firstRetry is the time until an unconfirmed delivery is repeated; it doubles each time, up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = time.Minute
)

// Dispatch matches every waiting task for which an agent is free. It may run in many processes at once.
func Dispatch(ctx context.Context, d *desk.Desk) error { return matchAll(ctx, d, func() {}) }

// matchAll calls progress before each transaction.
func matchAll(ctx context.Context, d *desk.Desk, progress func()) error {
	for {
		progress()
		var work matchable
		err := d.ReadTx(ctx, "look for tasks to place", func(tx *desk.Tx) (err error) {
			work, err = readMatchable(ctx, tx)
			return err
		})
		if err != nil || len(work.lines)+len(work.agents) == 0 {
			return err
		}
		made := 0
		err = d.SharedTx(ctx, "place waiting tasks", func(tx *desk.Tx) error {
			if err := desk.LockRouting(ctx, tx); err != nil {
				return err
			}
			settings, err := desk.ReadSettingsTx(ctx, tx)
			if err != nil {
				return err
			}
			m := matching{Tx: tx, now: d.Now(), room: matchedAtOnce, settings: &settings}
			if err := m.matchDirect(ctx, work.agents); err != nil {
				return err
			}
			for _, l := range work.lines {
				m.addLine(l.queue, l.channel)
			}
			if err := m.matchLines(ctx); err != nil {
				return err
			}
			made = len(m.made)
			if made > 0 {
				tx.WakeDelivery()
			}
			return nil
		})
		if err != nil || made < matchedAtOnce {
			return err
		}
	}
}

// matchable lists where tasks can be matched: the lines with a waiting task and a free agent, and the available
// agents for which direct tasks wait.
type matchable struct {
	lines  []line
	agents []string
}

func readMatchable(ctx context.Context, tx *desk.Tx) (work matchable, err error) {
	for _, channel := range conversation.Channels() {
		lines, err := sqldb.All(ctx, tx, func(r sqldb.Row) (line, error) {
			l := line{channel: channel}
			err := r.Scan(&l.queue)
			return l, err
		}, `SELECT name FROM queues
			WHERE EXISTS (SELECT 1 FROM tasks WHERE waiting = 1 AND direct = 0 AND queue = queues.name AND channel = $1)
				AND EXISTS (SELECT 1 FROM queue_agents q
					JOIN agent_channels c ON c.agent = q.agent AND c.channel = $1 AND c.load < c.capacity
					WHERE q.queue = queues.name AND q.available = 1)`, string(channel))
		if err != nil {
			return work, err
		}
		work.lines = append(work.lines, lines...)
	}
	work.agents, err = sqldb.All(ctx, tx, sqldb.Value[string], `SELECT name FROM agents
		WHERE presence = 'available' AND EXISTS (SELECT 1 FROM tasks WHERE waiting = 1 AND direct = 1 AND agent = agents.name)`)
	return work, err
}

// RunDispatcher matches tasks with agents and delivers commands to conversations with the courier, until ctx ends;
// then it returns ctx's error. It runs at once after a change made through this Desk, and checks for all work on
// each tick. It repeats a delivery that no snapshot confirms, at growing intervals. An unreachable conversation
// does not delay the others.
func RunDispatcher(ctx context.Context, d *desk.Desk, courier Courier) error {
	match, deliver, progress, end := d.Dispatching()
	defer end()
	ticker := time.NewTicker(d.Tick())
	defer ticker.Stop()
	deliveries := &deliveries{desk: d, courier: courier, free: make(chan struct{}, deliveredAtOnce), freed: make(chan struct{}, 1)}
	defer deliveries.underWay.Wait()

	place := true
	for {
		if place {
			if err := matchAll(ctx, d, progress); err != nil && ctx.Err() == nil {
				d.Log().ErrorContext(ctx, "matching failed, retrying", "error", err)
			}
		}
		if err := deliveries.start(ctx); err != nil && ctx.Err() == nil {
			d.Log().ErrorContext(ctx, "due deliveries not read, retrying", "error", err)
		}
		progress()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
			place = true
		case <-match:
			place = true
		case <-deliver:
			place = false
		case <-deliveries.freed:
			place = false
		}
	}
}

// deliveries are a dispatcher's deliveries in progress.
type deliveries struct {
	desk     *desk.Desk
	courier  Courier
	underWay sync.WaitGroup
	// free holds a token for each delivery in progress; freed signals that there is room again.
	free  chan struct{}
	freed chan struct{}
}

// start begins the deliveries that are due, as far as there is room.
func (d *deliveries) start(ctx context.Context) error {
	room := cap(d.free) - len(d.free)
	if room == 0 {
		return nil
	}
	due, err := takeDue(ctx, d.desk, room)
	if err != nil {
		return err
	}
	for _, item := range due {
		d.free <- struct{}{}
		d.underWay.Go(func() {
			d.deliver(ctx, item)
			full := len(d.free) == cap(d.free)
			<-d.free
			if full {
				desk.Wake(d.freed)
			}
		})
	}
	return nil
}

func (d *deliveries) deliver(ctx context.Context, item delivery) {
	within, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	err := d.courier.Deliver(within, item.conversation, item.command)
	switch {
	case errors.Is(err, desk.ErrConversationGone):
		if err := lose(ctx, d.desk, item.conversation); err != nil && ctx.Err() == nil {
			d.desk.Log().ErrorContext(ctx, "conversation without workflow not closed",
				"conversation", item.conversation, "error", err)
		}
	case err != nil && ctx.Err() == nil:
		d.desk.Log().WarnContext(ctx, "delivery to the conversation failed, retrying",
			"conversation", item.conversation, "command", item.command.Name(), "attempt", item.attempts, "error", err)
	}
}

// delivery is a command to be delivered to a conversation.
type delivery struct {
	conversation string
	command      conversation.Command
	// key identifies its row; attempts counts the deliveries so far.
	key      string
	attempts int
}

// takeDue returns the deliveries that are due, and sets when each is due again. If this process ends before it has
// delivered them, another one does.
func takeDue(ctx context.Context, d *desk.Desk, limit int) ([]delivery, error) {
	now := d.Now()
	var due []delivery
	err := d.ReadTx(ctx, "look for deliveries", func(tx *desk.Tx) (err error) {
		due, err = readDue(ctx, tx, now, limit)
		return err
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	err = d.SharedTx(ctx, "take deliveries", func(tx *desk.Tx) (err error) {
		if due, err = readDue(ctx, tx, now, limit); err != nil {
			return err
		}
		for i := range due {
			due[i].attempts++
			next := sqldb.Micros(now.Add(retryAfter(due[i].attempts)))
			update := `UPDATE placements SET deliver_at = $2, attempts = $3 WHERE task = $1`
			if due[i].command.Name() == conversation.CommandDecline {
				update = `UPDATE declines SET deliver_at = $2, attempts = $3 WHERE reservation = $1`
			}
			if _, err := tx.Exec(ctx, update, due[i].key, next, due[i].attempts); err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

func retryAfter(attempts int) time.Duration {
	after := firstRetry
	for range attempts - 1 {
		after = min(2*after, lastRetry)
	}
	return after
}

// readDue reads the declines and matches that are due for delivery, those due longest first; declines come before
// matches.
func readDue(ctx context.Context, tx *desk.Tx, now time.Time, limit int) ([]delivery, error) {
	declines, err := sqldb.All(ctx, tx, func(r sqldb.Row) (item delivery, err error) {
		decline := conversation.DeclineCommand{Reason: desk.ReasonAgentUnavailable, Unavailable: true}
		err = r.Scan(&item.key, &decline.Task, &item.conversation, &decline.Agent, &item.attempts)
		decline.CommandID = "desk/decline/" + item.key
		item.command = decline
		return item, err
	}, `SELECT reservation, task, conversation, agent, attempts FROM declines WHERE deliver_at <= $1 ORDER BY deliver_at LIMIT $2`+tx.SkipLocked("declines"),
		sqldb.Micros(now), limit)
	if err != nil || len(declines) == limit {
		return declines, err
	}
	matches, err := sqldb.All(ctx, tx, func(r sqldb.Row) (item delivery, err error) {
		var reserve conversation.ReserveCommand
		err = r.Scan(&item.key, &reserve.Reservation, &item.conversation, &reserve.Agent, &reserve.PendingSeq, &item.attempts)
		reserve.Task = item.key
		item.command = reserve
		return item, err
	}, `SELECT task, reservation, conversation, agent, placement, attempts FROM placements WHERE deliver_at <= $1 ORDER BY deliver_at LIMIT $2`+tx.SkipLocked("placements"),
		sqldb.Micros(now), limit-len(declines))
	return append(declines, matches...), err
}
