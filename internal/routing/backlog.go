package routing

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Backlog is the work that waits at the desk: for agents, for delivery to conversations, and for delivery as
// webhooks.
type Backlog struct {
	// At is when the backlog was read.
	At time.Time
	// Lines are the queues, by channel, with waiting tasks that are not offered to any agent. Oldest is when the
	// first of these tasks entered its queue.
	Lines []WaitingLine
	// Direct are the tasks that wait for one particular agent.
	Direct Pending
	// Matches are matches and declines that their conversations have not confirmed, by when they were made.
	Matches Pending
	// Webhooks are events that are still to be delivered, by when they happened. Dead counts events whose delivery
	// was given up. Unqueued counts the positions of the event log that have not been checked for webhooks yet.
	Webhooks       Pending
	Dead, Unqueued int
	// Conversations counts the conversations that are not closed, by status.
	Conversations map[conversation.ConversationStatus]int
}

// WaitingLine counts the tasks that wait in a queue on a channel.
type WaitingLine struct {
	Queue   string
	Channel conversation.Channel
	Waiting int
	Oldest  time.Time
}

// Pending is a count, and the time since when the oldest has waited.
type Pending struct {
	Count  int
	Oldest time.Time
}

// ReadBacklog reads the waiting work. Each query uses an index of waiting rows only, so finished work costs nothing.
func ReadBacklog(ctx context.Context, d *desk.Desk) (b Backlog, err error) {
	err = d.ReadTx(ctx, "read what waits", func(tx *desk.Tx) error {
		b = Backlog{At: d.Now(), Conversations: map[conversation.ConversationStatus]int{}}
		if b.Lines, err = sqldb.All(ctx, tx, func(r sqldb.Row) (l WaitingLine, err error) {
			err = r.Scan(&l.Queue, &l.Channel, &l.Waiting, sqldb.Instant(&l.Oldest))
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
			*part.into, _, err = sqldb.First(ctx, tx, func(r sqldb.Row) (p Pending, err error) {
				err = r.Scan(&p.Count, sqldb.Instant(&p.Oldest))
				return p, err
			}, part.query)
			if err != nil {
				return err
			}
		}
		if b.Dead, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 1`); err != nil {
			return err
		}
		if b.Unqueued, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT f.position - c.position FROM feed f, webhook_cursor c WHERE f.id = 1 AND c.id = 1`); err != nil {
			return err
		}
		return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			var status conversation.ConversationStatus
			var count int
			err := r.Scan(&status, &count)
			b.Conversations[status] = count
			return err
		}, `SELECT status, count(*) FROM conversations WHERE status IN ('active', 'wrapping') GROUP BY status`)
	})
	return b, err
}
