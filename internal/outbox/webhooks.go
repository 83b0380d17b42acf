package outbox

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Webhooks are events to be sent to the workspace's EventCallbackURL. They are kept in streams, one for each
// conversation, agent and queue. The events of a stream are delivered in order.
//
// Only the first event of a stream has a due time. The others have a time that never comes, until the one before
// them is delivered or given up. So the due events are at the head of an index, even when many wait for a receiver
// that has been down all day.

const (
	// queuedAtOnce is the maximum number of events that one transaction turns into webhooks, drops or revives, so
	// that other transactions can write in between.
	queuedAtOnce = 200
	// waits is the due time of a webhook that has another of its stream before it.
	waits = math.MaxInt64
	// firstWebhookRetry is the first pause after a failure. It doubles up to lastWebhookRetry.
	firstWebhookRetry = time.Second
	lastWebhookRetry  = 15 * time.Minute
	// givenUpAfter is how long after its first try a webhook is still sent again.
	givenUpAfter = 24 * time.Hour
)

// Webhook is an event that is to be delivered, or that could not be delivered.
type Webhook struct {
	// Position is the event's position in the event log.
	Position int64
	// Stream is the conversation's SID, or agent/NAME or queue/NAME for events that belong to no conversation.
	Stream string
	// Dead is set when it was given up. Only [RedeliverWebhooks] sends it again.
	Dead bool
	// Attempts is how often it was taken, and FirstAt when it was first taken.
	Attempts int
	FirstAt  time.Time
	// DeliverAt is when it may be taken again, zero when it is dead. Failure says why the last try failed.
	DeliverAt time.Time
	Failure   string
	Event     desk.LoggedEvent
}

// QueueWebhooks turns the events since the last call into webhooks, if they pass the workspace's EventsFilter. It
// may run in many processes at once. It calls progress before each of its transactions.
//
// Without an EventCallbackURL it skips all events, so that a URL that is set later receives only later events. It
// also drops the webhooks that are still queued, because there is no receiver. Webhooks that were given up before
// are kept.
func QueueWebhooks(ctx context.Context, d *desk.Desk, progress func()) error {
	for {
		progress()
		behind := false
		err := d.ReadTx(ctx, "look for events to send", func(tx *desk.Tx) (err error) {
			behind, err = webhooksBehind(ctx, tx)
			return err
		})
		if err != nil || !behind {
			return err
		}
		err = d.SharedTx(ctx, "queue webhooks", func(tx *desk.Tx) error { return insertWebhooks(ctx, tx, sqldb.Micros(d.Now())) })
		if err != nil {
			return err
		}
	}
}

// webhooksBehind reports whether there is anything to do, so that an idle desk does not write.
func webhooksBehind(ctx context.Context, tx *desk.Tx) (bool, error) {
	events, err := unsentEvents(ctx, tx, 1)
	if err != nil || len(events) > 0 {
		return len(events) > 0, err
	}
	account, _, err := access.ReadAccountTx(ctx, tx)
	if err != nil || account.Workspace.EventCallbackURL != "" {
		return false, err
	}
	_, queued, err := sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT position FROM webhooks WHERE dead = 0 LIMIT 1`)
	return queued, err
}

// unsentEvents returns the next events that have not become webhooks yet.
func unsentEvents(ctx context.Context, tx *desk.Tx, limit int) ([]desk.LoggedEvent, error) {
	cursor, _, err := sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT position FROM webhook_cursor WHERE id = 1`+tx.RowsOf("webhook_cursor"))
	if err != nil {
		return nil, err
	}
	return desk.ReadEventsAfter(ctx, tx, cursor, limit)
}

func insertWebhooks(ctx context.Context, tx *desk.Tx, now int64) error {
	account, _, err := access.ReadAccountTx(ctx, tx)
	if err != nil {
		return err
	}
	if account.Workspace.EventCallbackURL == "" {
		return dropWebhooks(ctx, tx)
	}
	events, err := unsentEvents(ctx, tx, queuedAtOnce)
	if err != nil || len(events) == 0 {
		return err // another process was faster
	}
	filter := account.Workspace.EventsFilter
	for _, e := range events {
		if len(filter) > 0 && !slices.Contains(filter, string(e.Name)) {
			continue
		}
		if err := desk.LockStream(ctx, tx, streamOf(e)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO webhooks (position, stream, dead, attempts, first_at, deliver_at, failure)
			VALUES ($1, $2, 0, 0, 0, CASE WHEN EXISTS (SELECT 1 FROM webhooks WHERE stream = $2 AND dead = 0) THEN CAST($4 AS BIGINT) ELSE CAST($3 AS BIGINT) END, '')`,
			e.Position, streamOf(e), now, int64(waits)); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, `UPDATE webhook_cursor SET position = $1 WHERE id = 1`, events[len(events)-1].Position)
	return err
}

// dropWebhooks skips all events, and deletes part of the queued webhooks.
func dropWebhooks(ctx context.Context, tx *desk.Tx) error {
	if _, err := tx.Exec(ctx, `UPDATE webhook_cursor SET position = (SELECT position FROM feed WHERE id = 1) WHERE id = 1`); err != nil {
		return err
	}
	// The last of a stream are deleted first: if a URL is set before all are deleted, each stream still has its
	// head.
	_, err := tx.Exec(ctx, `DELETE FROM webhooks WHERE position IN (SELECT position FROM webhooks WHERE dead = 0 ORDER BY position DESC LIMIT $1`+tx.SkipLocked("webhooks")+`)`, queuedAtOnce)
	return err
}

func streamOf(e desk.LoggedEvent) string {
	switch {
	case e.Conversation != "":
		return e.Conversation
	case e.Agent != "":
		return "agent/" + e.Agent
	default:
		return "queue/" + e.Queue
	}
}

// TakeWebhooks returns at most limit webhooks that are due, longest due first, at most one of each stream. No other
// caller gets them until the lease has passed, so the lease must be longer than a delivery takes. Before that, the
// caller reports [WebhookDelivered] or [WebhookFailed]. If the caller dies, another caller takes them
// after the lease.
func TakeWebhooks(ctx context.Context, d *desk.Desk, limit int, lease time.Duration) ([]Webhook, error) {
	var due []Webhook
	err := d.ReadTx(ctx, "look for webhooks to send", func(tx *desk.Tx) (err error) {
		due, err = dueWebhooks(ctx, tx, d.Now(), limit)
		return err
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	err = d.SharedTx(ctx, "take webhooks", func(tx *desk.Tx) (err error) {
		now := d.Now()
		if due, err = dueWebhooks(ctx, tx, now, limit); err != nil {
			return err
		}
		for i := range due {
			w := &due[i]
			w.DeliverAt, w.Attempts = now.Add(lease), w.Attempts+1
			if w.FirstAt.IsZero() {
				w.FirstAt = now
			}
			if _, err := tx.Exec(ctx, `UPDATE webhooks SET deliver_at = $2, attempts = $3, first_at = $4 WHERE position = $1`,
				w.Position, sqldb.Micros(w.DeliverAt), w.Attempts, sqldb.Micros(w.FirstAt)); err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// dueWebhooks reads the webhooks that are due and first in their stream. One that is not first can only be due when
// one before it was revived. It is not rescheduled, because its delivery may be under way.
func dueWebhooks(ctx context.Context, tx *desk.Tx, now time.Time, limit int) ([]Webhook, error) {
	return sqldb.All(ctx, tx, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+` WHERE w.dead = 0 AND w.deliver_at <= $1
		AND NOT EXISTS (SELECT 1 FROM webhooks b WHERE b.stream = w.stream AND b.dead = 0 AND b.position < w.position)
		ORDER BY w.deliver_at LIMIT $2`+tx.SkipLocked("w"), sqldb.Micros(now), limit)
}

// WebhookDelivered removes the webhook from the queue. The next of its stream becomes due.
func WebhookDelivered(ctx context.Context, d *desk.Desk, position int64) error {
	return d.SharedTx(ctx, fmt.Sprintf("record that webhook %d was delivered", position), func(tx *desk.Tx) error {
		stream, found, err := sqldb.First(ctx, tx, sqldb.Value[string], `DELETE FROM webhooks WHERE position = $1 RETURNING stream`, position)
		if err != nil || !found {
			return err // reported twice: the first report deleted it
		}
		return nextWebhook(ctx, tx, stream, sqldb.Micros(d.Now()))
	})
}

// WebhookFailed schedules the next try: after a second, then after twice the time at each failure, up to fifteen
// minutes. A day after the first try the webhook is given up instead: dead is true, and the next of its stream
// becomes due. The failure is a short sentence for people and contains no secrets.
func WebhookFailed(ctx context.Context, d *desk.Desk, position int64, failure string) (dead bool, err error) {
	err = d.SharedTx(ctx, fmt.Sprintf("record that webhook %d failed", position), func(tx *desk.Tx) error {
		now := d.Now()
		dead = false
		// A webhook without attempts was revived after this try began, so the failure does not count.
		w, found, err := sqldb.First(ctx, tx, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+`
			WHERE w.position = $1 AND w.dead = 0 AND w.attempts > 0`+tx.RowsOf("w"), position)
		if err != nil || !found {
			return err
		}
		if now.Sub(w.FirstAt) < givenUpAfter {
			_, err = tx.Exec(ctx, `UPDATE webhooks SET deliver_at = $2, failure = $3 WHERE position = $1`,
				position, sqldb.Micros(now.Add(webhookRetryAfter(w.Attempts))), failure)
			return err
		}
		dead = true
		if _, err := tx.Exec(ctx, `UPDATE webhooks SET dead = 1, deliver_at = 0, failure = $2 WHERE position = $1`, position, failure); err != nil {
			return err
		}
		return nextWebhook(ctx, tx, w.Stream, sqldb.Micros(now))
	})
	return dead, err
}

func webhookRetryAfter(attempts int) time.Duration {
	after := firstWebhookRetry
	for range attempts - 1 {
		after = min(2*after, lastWebhookRetry)
	}
	return after
}

// nextWebhook makes the first webhook of the stream due if it has waited behind another until now.
func nextWebhook(ctx context.Context, tx *desk.Tx, stream string, now int64) error {
	if err := desk.LockStream(ctx, tx, stream); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE webhooks SET deliver_at = $2
		WHERE position = (SELECT position FROM webhooks WHERE stream = $1 AND dead = 0 ORDER BY position LIMIT 1) AND deliver_at = $3`,
		stream, now, int64(waits))
	return err
}

// DeadWebhooks returns a page of the webhooks that were given up, newest first.
func DeadWebhooks(ctx context.Context, d *desk.Desk, p desk.Page) (found desk.Found[Webhook], err error) {
	list := sqldb.Listing[Webhook]{
		Columns: webhookColumns, From: webhookTables, Conditions: []string{`w.dead = 1`}, Scan: scanWebhook,
		Key: "w.position", KeyOf: func(w Webhook) (int64, string) { return w.Position, "" }, Descending: true,
	}
	err = d.ReadTx(ctx, "read the webhooks that were given up", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// RedeliverWebhooks revives the webhooks that were given up at those positions, or all of them when no position is
// named, and returns how many. They are due at once, before the queued webhooks of their streams, as if they had
// never been tried. It is refused with invalid_payload while the workspace has no EventCallbackURL.
func RedeliverWebhooks(ctx context.Context, d *desk.Desk, positions ...int64) (int, error) {
	if len(positions) == 0 {
		err := d.ReadTx(ctx, "read which webhooks were given up", func(tx *desk.Tx) (err error) {
			positions, err = sqldb.All(ctx, tx, sqldb.Value[int64], `SELECT position FROM webhooks WHERE dead = 1 ORDER BY position`)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	total := 0
	for some := range slices.Chunk(positions, queuedAtOnce) {
		revived := 0
		err := d.ExclusiveTx(ctx, "revive webhooks", func(tx *desk.Tx) (err error) {
			revived, err = reviveWebhooks(ctx, tx, some, sqldb.Micros(d.Now()))
			return err
		})
		if err != nil {
			return total, err
		}
		total += revived
	}
	return total, nil
}

func reviveWebhooks(ctx context.Context, tx *desk.Tx, positions []int64, now int64) (revived int, err error) {
	account, _, err := access.ReadAccountTx(ctx, tx)
	if err != nil {
		return 0, err
	}
	if account.Workspace.EventCallbackURL == "" {
		return 0, desk.Invalid("event_callback_url", "the workspace has no event callback URL to deliver to: set one, then deliver again")
	}
	for _, position := range positions {
		stream, dead, err := sqldb.First(ctx, tx, sqldb.Value[string], `UPDATE webhooks SET dead = 0, attempts = 0, first_at = 0, deliver_at = $2, failure = ''
			WHERE position = $1 AND dead = 1 RETURNING stream`, position, int64(waits))
		if err != nil {
			return 0, err
		}
		if !dead {
			continue
		}
		revived++
		if err := nextWebhook(ctx, tx, stream, now); err != nil {
			return 0, err
		}
	}
	return revived, nil
}

// PendingWebhooks returns how many events are still to be delivered, and the time of the oldest of them. It does
// not count webhooks that were given up.
func PendingWebhooks(ctx context.Context, d *desk.Desk) (count int, oldest time.Time, err error) {
	err = d.ReadTx(ctx, "count webhooks", func(tx *desk.Tx) error {
		if count, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 0`); err != nil {
			return err
		}
		w, _, err := sqldb.First(ctx, tx, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+`
			WHERE w.dead = 0 ORDER BY w.position LIMIT 1`)
		oldest = w.Event.At
		return err
	})
	return count, oldest, err
}

const (
	webhookColumns = `w.position, w.stream, w.dead, w.attempts, w.first_at, w.deliver_at, w.failure,
		coalesce(e.epoch, o.epoch), coalesce(e.conversation, ''), coalesce(e.event, o.event)`
	webhookTables = `webhooks w LEFT JOIN events e ON e.position = w.position LEFT JOIN desk_events o ON o.position = w.position`
)

func scanWebhook(r sqldb.Row) (w Webhook, err error) {
	err = r.Scan(&w.Position, &w.Stream, &w.Dead, &w.Attempts, sqldb.Instant(&w.FirstAt), sqldb.Instant(&w.DeliverAt), &w.Failure,
		&w.Event.Epoch, &w.Event.Conversation, desk.ReadEvent(&w.Position, &w.Event.Event))
	w.Event.Position = w.Position
	return w, err
}
