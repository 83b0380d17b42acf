package desk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// news is the notification for changes that pages show: events, messages and administration. It cannot be a SID.
const news = "news"

const (
	// pollUnnotified is the polling interval on databases without notifications between processes (SQLite).
	// pollNotified is the interval on databases with notifications, which may be lost.
	pollUnnotified, pollNotified = 100 * time.Millisecond, time.Second
)

// WaitNews returns a channel that is closed at the next event, message or administrative change. It may miss changes by
// other processes, so callers must also poll at the returned interval. Call leave when done waiting.
func WaitNews(d *Desk) (something <-chan struct{}, look time.Duration, leave func()) {
	something, leave = d.shown.wait(news)
	if !d.db.Notifies() {
		return something, pollUnnotified, leave
	}
	return something, pollNotified, leave
}

// LastAdministered returns a number that rises with every change by an administrator.
func LastAdministered(ctx context.Context, d *Desk) (last int64, err error) {
	err = d.ReadTx(ctx, "read how far the audit list goes", func(tx *Tx) error {
		last, _, err = sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT position FROM audit_position WHERE id = 1`)
		return err
	})
	return last, err
}

// EventsAfter returns at most limit events of every kind after the position, in order: those of conversations, and
// those of the desk itself, which have no conversation.
func EventsAfter(ctx context.Context, d *Desk, after int64, limit int) (events []LoggedEvent, err error) {
	err = d.ReadTx(ctx, fmt.Sprintf("read what happened after %d", after), func(tx *Tx) error {
		events, err = readEventsAfter(ctx, tx, after, limit)
		return err
	})
	return events, err
}

// asked is how many conversations one query reads.
const asked = 200

// ReadSpoken returns for each of the conversations a number that rises with every message that is written, changed or
// removed.
func ReadSpoken(ctx context.Context, d *Desk, sids []string) (spoken map[string]int, err error) {
	spoken = make(map[string]int, len(sids))
	err = d.ReadTx(ctx, "read who has written", func(tx *Tx) error {
		for len(sids) > 0 {
			part := sids[:min(len(sids), asked)]
			sids = sids[len(part):]
			places, args := make([]string, len(part)), make([]any, len(part))
			for i, sid := range part {
				places[i], args[i] = fmt.Sprintf("$%d", i+1), sid
			}
			if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
				var sid string
				var count int
				err := r.Scan(&sid, &count)
				spoken[sid] = count
				return err
			}, `SELECT sid, messages + edits FROM conversations WHERE sid IN (`+strings.Join(places, ", ")+`)`, args...); err != nil {
				return err
			}
		}
		return nil
	})
	return spoken, err
}
