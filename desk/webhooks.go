package desk

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// Webhooks are events that the workspace's EventCallbackURL is to be told. They are kept in streams,
// one for each conversation, agent and queue, and a stream's events are delivered in their order.
//
// Only the first of a stream has a time at which it is due; those behind it wait with a time that never
// comes, until it is delivered or given up. So what is due is found at the head of an index, however
// many wait for a receiver that has been down all day.

const (
	// queuedAtOnce bounds the events of one transaction that turns them into webhooks, and what is
	// dropped or revived in one, so that others may write between.
	queuedAtOnce = 200
	// waits is when a webhook is due that has another of its stream before it.
	waits = math.MaxInt64
	// firstWebhookRetry is when a webhook that failed is sent again, lastWebhookRetry how long its doubling may get.
	firstWebhookRetry = time.Second
	lastWebhookRetry  = 15 * time.Minute
	// givenUpAfter is how long after its first try a webhook may still fail and be sent again.
	givenUpAfter = 24 * time.Hour
)

// Webhook is an event that is to be delivered, or that could not be.
type Webhook struct {
	// Position is the event's place in the event log.
	Position int64
	// Stream is the conversation's SID, or agent/NAME or queue/NAME for what happened at the desk itself.
	Stream string
	// Dead is set once it was given up: nothing sends it any more but [Desk.RedeliverWebhooks].
	Dead bool
	// Attempts is how often it was taken, FirstAt when for the first time.
	Attempts int
	FirstAt  time.Time
	// DeliverAt is when it may be taken again, none where it is dead. Failure says why the last try failed.
	DeliverAt time.Time
	Failure   string
	Event     LoggedEvent
}

// QueueWebhooks turns the events that have come since the last time into webhooks, as far as the
// workspace's EventsFilter lets them pass. It may run in many processes at once.
//
// Without an EventCallbackURL it passes over all events, so that a URL set later is told of what
// happens from then on, and drops the webhooks that are still queued: there is nobody to tell. Those
// that were given up before stay on record.
func (d *Desk) QueueWebhooks(ctx context.Context) error {
	for {
		d.queuedAt.Store(time.Now().UnixNano())
		behind := false
		err := d.readTx(ctx, "look for events to send", func(t *transaction) (err error) {
			behind, err = t.webhooksBehind(ctx)
			return err
		})
		if err != nil || !behind {
			return err
		}
		err = d.sharedTx(ctx, "queue webhooks", func(t *transaction) error { return t.queueWebhooks(ctx, micros(d.now())) })
		if err != nil {
			return err
		}
	}
}

// QueuedAt is when [Desk.QueueWebhooks] began its last transactions in this process.
func (d *Desk) QueuedAt() time.Time { return time.Unix(0, d.queuedAt.Load()) }

// webhooksBehind tells whether there is anything to do, so that an idle desk isn't written.
func (t *transaction) webhooksBehind(ctx context.Context) (bool, error) {
	events, err := t.unsent(ctx, 1)
	if err != nil || len(events) > 0 {
		return len(events) > 0, err
	}
	account, _, err := t.account(ctx)
	if err != nil || account.Workspace.EventCallbackURL != "" {
		return false, err
	}
	_, queued, err := firstRow(ctx, t, value[int64], `SELECT position FROM webhooks WHERE dead = 0 LIMIT 1`)
	return queued, err
}

// unsent returns the next events that have not become webhooks yet.
func (t *transaction) unsent(ctx context.Context, limit int) ([]LoggedEvent, error) {
	cursor, _, err := firstRow(ctx, t, value[int64], `SELECT position FROM webhook_cursor WHERE id = 1`+t.rowsOf("webhook_cursor"))
	if err != nil {
		return nil, err
	}
	return t.after(ctx, cursor, limit)
}

func (t *transaction) queueWebhooks(ctx context.Context, now int64) error {
	account, _, err := t.account(ctx)
	if err != nil {
		return err
	}
	if account.Workspace.EventCallbackURL == "" {
		return t.dropWebhooks(ctx)
	}
	events, err := t.unsent(ctx, queuedAtOnce)
	if err != nil || len(events) == 0 {
		return err // another process was faster
	}
	filter := account.Workspace.EventsFilter
	for _, e := range events {
		if len(filter) > 0 && !slices.Contains(filter, string(e.Name)) {
			continue
		}
		if err := t.holdStream(ctx, streamOf(e)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO webhooks (position, stream, dead, attempts, first_at, deliver_at, failure)
			VALUES ($1, $2, 0, 0, 0, CASE WHEN EXISTS (SELECT 1 FROM webhooks WHERE stream = $2 AND dead = 0) THEN CAST($4 AS BIGINT) ELSE CAST($3 AS BIGINT) END, '')`,
			e.Position, streamOf(e), now, int64(waits)); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, `UPDATE webhook_cursor SET position = $1 WHERE id = 1`, events[len(events)-1].Position)
	return err
}

// dropWebhooks passes over all events, and drops some of what is queued.
func (t *transaction) dropWebhooks(ctx context.Context) error {
	if _, err := t.exec(ctx, `UPDATE webhook_cursor SET position = (SELECT position FROM feed WHERE id = 1) WHERE id = 1`); err != nil {
		return err
	}
	// The last of a stream go first: should a URL be set before all are gone, each stream still has its head.
	_, err := t.exec(ctx, `DELETE FROM webhooks WHERE position IN (SELECT position FROM webhooks WHERE dead = 0 ORDER BY position DESC LIMIT $1`+t.skipLocked("webhooks")+`)`, queuedAtOnce)
	return err
}

func streamOf(e LoggedEvent) string {
	switch {
	case e.Conversation != "":
		return e.Conversation
	case e.Agent != "":
		return "agent/" + e.Agent
	default:
		return "queue/" + e.Queue
	}
}

// TakeWebhooks returns at most limit webhooks that are due, those that have been due for longest first,
// and no two of one stream. Nobody else is given them until the lease has passed, so it has to be
// longer than a delivery takes: by then the caller reports [Desk.WebhookDelivered] or
// [Desk.WebhookFailed], or has died and leaves them to the next.
func (d *Desk) TakeWebhooks(ctx context.Context, limit int, lease time.Duration) ([]Webhook, error) {
	var due []Webhook
	err := d.readTx(ctx, "look for webhooks to send", func(t *transaction) (err error) {
		due, err = t.dueWebhooks(ctx, d.now(), limit)
		return err
	})
	if err != nil || len(due) == 0 {
		return nil, err
	}
	err = d.sharedTx(ctx, "take webhooks", func(t *transaction) (err error) {
		now := d.now()
		if due, err = t.dueWebhooks(ctx, now, limit); err != nil {
			return err
		}
		for i := range due {
			w := &due[i]
			w.DeliverAt, w.Attempts = now.Add(lease), w.Attempts+1
			if w.FirstAt.IsZero() {
				w.FirstAt = now
			}
			if _, err := t.exec(ctx, `UPDATE webhooks SET deliver_at = $2, attempts = $3, first_at = $4 WHERE position = $1`,
				w.Position, micros(w.DeliverAt), w.Attempts, micros(w.FirstAt)); err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// dueWebhooks reads what is due and first in its stream. One that isn't first can be due only when one
// before it was revived; it stays where it is, for it may be under way.
func (t *transaction) dueWebhooks(ctx context.Context, now time.Time, limit int) ([]Webhook, error) {
	return all(ctx, t, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+` WHERE w.dead = 0 AND w.deliver_at <= $1
		AND NOT EXISTS (SELECT 1 FROM webhooks b WHERE b.stream = w.stream AND b.dead = 0 AND b.position < w.position)
		ORDER BY w.deliver_at LIMIT $2`+t.skipLocked("w"), micros(now), limit)
}

// WebhookDelivered takes the webhook off the queue; the next of its stream is due.
func (d *Desk) WebhookDelivered(ctx context.Context, position int64) error {
	return d.sharedTx(ctx, fmt.Sprintf("record that webhook %d was delivered", position), func(t *transaction) error {
		stream, found, err := firstRow(ctx, t, value[string], `DELETE FROM webhooks WHERE position = $1 RETURNING stream`, position)
		if err != nil || !found {
			return err // delivered twice, and gone since the first time
		}
		return t.nextWebhook(ctx, stream, micros(d.now()))
	})
}

// WebhookFailed has the webhook sent again after a second, then after twice the time at each failure,
// up to fifteen minutes. A day after its first try it is given up instead: then dead is true, and the
// next of its stream is due. The failure is a short sentence for people, without anything secret in it.
func (d *Desk) WebhookFailed(ctx context.Context, position int64, failure string) (dead bool, err error) {
	err = d.sharedTx(ctx, fmt.Sprintf("record that webhook %d failed", position), func(t *transaction) error {
		now := d.now()
		dead = false
		// One without attempts was revived since this try began, and is not judged by it.
		w, found, err := firstRow(ctx, t, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+`
			WHERE w.position = $1 AND w.dead = 0 AND w.attempts > 0`+t.rowsOf("w"), position)
		if err != nil || !found {
			return err
		}
		if now.Sub(w.FirstAt) < givenUpAfter {
			_, err = t.exec(ctx, `UPDATE webhooks SET deliver_at = $2, failure = $3 WHERE position = $1`,
				position, micros(now.Add(webhookRetryAfter(w.Attempts))), failure)
			return err
		}
		dead = true
		if _, err := t.exec(ctx, `UPDATE webhooks SET dead = 1, deliver_at = 0, failure = $2 WHERE position = $1`, position, failure); err != nil {
			return err
		}
		return t.nextWebhook(ctx, w.Stream, micros(now))
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

// nextWebhook makes the first of the stream due that waited behind another until now.
func (t *transaction) nextWebhook(ctx context.Context, stream string, now int64) error {
	if err := t.holdStream(ctx, stream); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE webhooks SET deliver_at = $2
		WHERE position = (SELECT position FROM webhooks WHERE stream = $1 AND dead = 0 ORDER BY position LIMIT 1) AND deliver_at = $3`,
		stream, now, int64(waits))
	return err
}

// DeadWebhooks returns a page of the webhooks that were given up, newest first.
func (d *Desk) DeadWebhooks(ctx context.Context, p Page) (found Found[Webhook], err error) {
	list := listing[Webhook]{
		columns: webhookColumns, from: webhookTables, conditions: []string{`w.dead = 1`}, scan: scanWebhook,
		key: "w.position", keyOf: func(w Webhook) (int64, string) { return w.Position, "" }, descending: true,
	}
	err = d.readTx(ctx, "read the webhooks that were given up", func(t *transaction) error {
		found, err = list.page(ctx, t, p)
		return err
	})
	return found, err
}

// RedeliverWebhooks revives the webhooks that were given up at those positions, or all of them where no
// position is named, and returns how many. They are due at once, before what is still queued of their
// streams, as if they had never been tried. Refused with invalid_payload while the workspace has no
// EventCallbackURL.
func (d *Desk) RedeliverWebhooks(ctx context.Context, positions ...int64) (int, error) {
	if len(positions) == 0 {
		err := d.readTx(ctx, "read which webhooks were given up", func(t *transaction) (err error) {
			positions, err = all(ctx, t, value[int64], `SELECT position FROM webhooks WHERE dead = 1 ORDER BY position`)
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	total := 0
	for some := range slices.Chunk(positions, queuedAtOnce) {
		revived := 0
		err := d.exclusiveTx(ctx, "revive webhooks", func(t *transaction) (err error) {
			revived, err = t.reviveWebhooks(ctx, some, micros(d.now()))
			return err
		})
		if err != nil {
			return total, err
		}
		total += revived
	}
	return total, nil
}

func (t *transaction) reviveWebhooks(ctx context.Context, positions []int64, now int64) (revived int, err error) {
	account, _, err := t.account(ctx)
	if err != nil {
		return 0, err
	}
	if account.Workspace.EventCallbackURL == "" {
		return 0, invalid("event_callback_url", "the workspace has no event callback URL to deliver to: set one, then deliver again")
	}
	for _, position := range positions {
		stream, dead, err := firstRow(ctx, t, value[string], `UPDATE webhooks SET dead = 0, attempts = 0, first_at = 0, deliver_at = $2, failure = ''
			WHERE position = $1 AND dead = 1 RETURNING stream`, position, int64(waits))
		if err != nil {
			return 0, err
		}
		if !dead {
			continue
		}
		revived++
		if err := t.nextWebhook(ctx, stream, now); err != nil {
			return 0, err
		}
	}
	return revived, nil
}

// PendingWebhooks returns how many events are still to be delivered, and when the oldest of them
// happened. Those that were given up don't count.
func (d *Desk) PendingWebhooks(ctx context.Context) (count int, oldest time.Time, err error) {
	err = d.readTx(ctx, "count webhooks", func(t *transaction) error {
		if count, _, err = firstRow(ctx, t, value[int], `SELECT count(*) FROM webhooks WHERE dead = 0`); err != nil {
			return err
		}
		w, _, err := firstRow(ctx, t, scanWebhook, `SELECT `+webhookColumns+` FROM `+webhookTables+`
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

func scanWebhook(r row) (w Webhook, err error) {
	err = r.Scan(&w.Position, &w.Stream, &w.Dead, &w.Attempts, instant{&w.FirstAt}, instant{&w.DeliverAt}, &w.Failure,
		&w.Event.Epoch, &w.Event.Conversation, readEvent(&w.Position, &w.Event.Event))
	w.Event.Position = w.Position
	return w, err
}
