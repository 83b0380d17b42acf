package desk

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Backlog is what waits at the desk: for agents, for conversations to be told, and for webhooks to be delivered.
type Backlog struct {
	// At is when it was read.
	At time.Time
	// Lines are the queues, by channel, in which tasks wait that are offered to nobody; Oldest is when the
	// first of them entered its queue.
	Lines []WaitingLine
	// Direct are tasks that wait for the one agent whom they are meant for.
	Direct Pending
	// Matches are matches and declines that their conversations have not confirmed, by when they were made.
	Matches Pending
	// Webhooks are events that are still to be delivered, by when they happened; Dead those that were given up.
	// Unqueued is how many positions of the event log nobody has looked at yet for webhooks.
	Webhooks       Pending
	Dead, Unqueued int
	// Conversations are how many aren't closed, by status.
	Conversations map[conversation.ConversationStatus]int
}

// WaitingLine is how many tasks wait in a queue on a channel.
type WaitingLine struct {
	Queue   string
	Channel conversation.Channel
	Waiting int
	Oldest  time.Time
}

// Pending is how many wait, and since when the oldest does.
type Pending struct {
	Count  int
	Oldest time.Time
}

// Backlog reads what waits, each along an index of what waits alone: what was done costs nothing.
func (d *Desk) Backlog(ctx context.Context) (b Backlog, err error) {
	err = d.readTx(ctx, "read what waits", func(t *transaction) error {
		b = Backlog{At: d.now(), Conversations: map[conversation.ConversationStatus]int{}}
		if b.Lines, err = all(ctx, t, func(r row) (l WaitingLine, err error) {
			err = r.Scan(&l.Queue, &l.Channel, &l.Waiting, instant{&l.Oldest})
			return l, err
		}, `SELECT queue, channel, count(*), min(queued_at) FROM tasks WHERE waiting = 1 AND direct = 0 GROUP BY queue, channel`); err != nil {
			return err
		}
		for _, part := range []struct {
			into  *Pending
			query string
		}{
			{&b.Direct, `SELECT count(*), coalesce(min(queued_at), 0) FROM tasks WHERE waiting = 1 AND direct = 1`},
			{&b.Matches, `SELECT count(*), coalesce(min(created_at), 0) FROM (
				SELECT created_at FROM placements WHERE deliver_at >= 0 UNION ALL SELECT created_at FROM declines WHERE deliver_at >= 0) undelivered`},
			{&b.Webhooks, `SELECT n, coalesce((SELECT at FROM events WHERE position = oldest), (SELECT at FROM desk_events WHERE position = oldest), 0)
				FROM (SELECT count(*) AS n, min(position) AS oldest FROM webhooks WHERE dead = 0) pending`},
		} {
			*part.into, _, err = firstRow(ctx, t, func(r row) (p Pending, err error) {
				err = r.Scan(&p.Count, instant{&p.Oldest})
				return p, err
			}, part.query)
			if err != nil {
				return err
			}
		}
		if b.Dead, _, err = firstRow(ctx, t, value[int], `SELECT count(*) FROM webhooks WHERE dead = 1`); err != nil {
			return err
		}
		if b.Unqueued, _, err = firstRow(ctx, t, value[int], `SELECT f.position - c.position FROM feed f, webhook_cursor c WHERE f.id = 1 AND c.id = 1`); err != nil {
			return err
		}
		return eachRow(ctx, t, func(r row) error {
			var status conversation.ConversationStatus
			var count int
			err := r.Scan(&status, &count)
			b.Conversations[status] = count
			return err
		}, `SELECT status, count(*) FROM conversations WHERE status IN ('active', 'wrapping') GROUP BY status`)
	})
	return b, err
}
