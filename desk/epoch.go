package desk

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
)

// The feed's position goes back with a database that is put back to an older copy, and what happens afterwards has positions
// that other events had before: their SIDs are told apart by the feed's epoch. A new one is drawn by [Desk.Restored], which
// an operator calls, and by whoever sees the position go back.

// feed is how far the feed has come, in which epoch.
type feed struct{ epoch, position int64 }

// feedSeen is how far this process has seen the feed come: what was committed.
type feedSeen struct {
	mutex sync.Mutex
	feed
}

func (s *feedSeen) get() feed {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.feed
}

// see takes what was committed; of an epoch the position only rises.
func (s *feedSeen) see(now feed) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if now.epoch != s.epoch || now.position > s.position {
		s.feed = now
	}
}

// before tells whether the feed was further when it was seen: the database has been put back since.
func (f feed) before(seen feed) bool { return f.epoch == seen.epoch && f.position < seen.position }

// newEpoch draws an epoch.
func newEpoch() int64 { return rand.Int64N(math.MaxInt64) + 1 } //nolint:gosec // nobody gains by foreseeing it

// takePositions takes a position for each event that has happened. Whoever holds the feed sees all that was committed, so
// that a position below one that was seen before is of a database that was put back.
func (t *transaction) takePositions(ctx context.Context) error {
	t.leaves.news = true
	var err error
	t.feed, _, err = first(ctx, t, scanFeed, `UPDATE feed SET position = position + $1, epoch = CASE WHEN epoch = 0 THEN CAST($2 AS BIGINT) ELSE epoch END
		WHERE id = 1 RETURNING epoch, position`, len(t.happened), newEpoch())
	if err != nil {
		return err
	}
	was := feed{t.feed.epoch, t.feed.position - int64(len(t.happened))}
	if !was.before(t.pool.feedSeen.get()) {
		return nil
	}
	return t.renewEpoch(ctx)
}

func scanFeed(r row) (f feed, err error) {
	err = r.Scan(&f.epoch, &f.position)
	return f, err
}

// renewEpoch draws a new epoch, and has every open conversation compared with its workflow soon: nobody knows what else
// the database has lost.
func (t *transaction) renewEpoch(ctx context.Context) error {
	var err error
	t.feed, _, err = first(ctx, t, scanFeed, `UPDATE feed SET epoch = $1 WHERE id = 1 RETURNING epoch, position`, newEpoch())
	if err != nil {
		return err
	}
	t.leaves.wentBack = true
	for _, query := range []string{`UPDATE conversations SET compared_at = 0 WHERE status <> 'closed' AND compared_at > 0`, `DELETE FROM leases`} {
		if _, err := t.exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// Restored says that an older copy of the database was put back: events from now on have other SIDs than those that had the same
// positions before, and every open conversation is compared with its workflow, which workers do within a minute.
func (d *Desk) Restored(ctx context.Context) error {
	return d.write(ctx, "begin a new epoch of the feed", func(t *transaction) error { return t.renewEpoch(ctx) })
}

// Position is how far the feed has come: see [Desk.Happened]. One that has gone back begins a new epoch.
func (d *Desk) Position(ctx context.Context) (position int64, err error) {
	seen := d.store.feedSeen.get() // before it is read: what was seen then is in what is read
	var now feed
	err = d.look(ctx, "read the feed's position", func(t *transaction) error {
		now, _, err = first(ctx, t, scanFeed, `SELECT epoch, position FROM feed WHERE id = 1`)
		return err
	})
	switch {
	case err != nil:
		return 0, err
	case !now.before(seen):
		d.store.feedSeen.see(now)
		return now.position, nil
	}
	err = d.write(ctx, "begin a new epoch of the feed", func(t *transaction) error {
		now, _, err := first(ctx, t, scanFeed, `SELECT epoch, position FROM feed WHERE id = 1`)
		if err != nil || !now.before(seen) {
			return err // another process was faster
		}
		return t.renewEpoch(ctx)
	})
	return now.position, err
}
