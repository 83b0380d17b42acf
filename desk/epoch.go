package desk

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
)

// When an older copy of the database is restored, the feed's position goes back, and later events reuse the positions of
// lost events. The feed's epoch, a random number, keeps their SIDs distinct. A new epoch starts with [Desk.Restored], which
// an operator calls, or when a process finds a position that is lower than one it has seen.

// feed is how far the feed has come, in which epoch.
type feed struct{ epoch, position int64 }

// feedSeen is how far this process has seen the feed come, of each epoch: what was committed.
type feedSeen struct {
	mutex     sync.Mutex
	positions map[int64]int64
}

// of is the position that was seen of that epoch.
func (s *feedSeen) of(epoch int64) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.positions[epoch]
}

// see takes what was committed; of an epoch the position only rises.
func (s *feedSeen) see(now feed) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.positions[now.epoch] = max(s.positions[now.epoch], now.position)
}

// all are the positions that were seen.
func (s *feedSeen) all() map[int64]int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.positions)
}

// newEpoch draws an epoch.
func newEpoch() int64 { return rand.Int64N(math.MaxInt64) + 1 } //nolint:gosec // it needs to be distinct, not secret

// takePositions reserves a position for each event of the transaction. The update locks the feed's row, so it reads the last
// committed position; if that is lower than one seen before, the database is an older copy.
func (t *transaction) takePositions(ctx context.Context) error {
	t.leaves.news = true
	var err error
	t.feed, _, err = first(ctx, t, scanFeed, `UPDATE feed SET position = position + $1, epoch = CASE WHEN epoch = 0 THEN CAST($2 AS BIGINT) ELSE epoch END
		WHERE id = 1 RETURNING epoch, position`, len(t.happened), newEpoch())
	if err != nil {
		return err
	}
	if was := t.feed.position - int64(len(t.happened)); was >= t.pool.feedSeen.of(t.feed.epoch) {
		return nil
	}
	t.leaves.wentBack = true // compareAll follows after the commit: it needs locks that come before the feed
	return t.renewEpoch(ctx)
}

func scanFeed(r row) (f feed, err error) {
	err = r.Scan(&f.epoch, &f.position)
	return f, err
}

// renewEpoch draws a new epoch.
func (t *transaction) renewEpoch(ctx context.Context) (err error) {
	t.feed, _, err = first(ctx, t, scanFeed, `UPDATE feed SET epoch = $1 WHERE id = 1 RETURNING epoch, position`, newEpoch())
	return err
}

// compareAll makes every open conversation due for comparison with its workflow, because an older copy may lack any change. It
// requires an exclusive transaction ([Desk.write]).
func (t *transaction) compareAll(ctx context.Context) error {
	for _, query := range []string{`UPDATE conversations SET compared_at = 0 WHERE status <> 'closed' AND compared_at > 0`, `DELETE FROM leases`} {
		if _, err := t.exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// wentBack logs that the database is an older copy, and makes open conversations due for comparison.
func (d *Desk) wentBack(ctx context.Context) {
	d.log.ErrorContext(ctx, "The desk's database is an older copy: events have SIDs of a new epoch, and every open conversation is compared with its workflow")
	if err := d.write(ctx, "have conversations compared", func(t *transaction) error { return t.compareAll(ctx) }); err != nil {
		d.log.WarnContext(ctx, "Open conversations are compared in their turn only", "error", err)
	}
}

// Restored says that an older copy of the database was put back: events from now on have other SIDs than those that had the same
// positions before, and every open conversation is compared with its workflow, which workers do within a minute.
func (d *Desk) Restored(ctx context.Context) error {
	return d.write(ctx, "begin a new epoch of the feed", func(t *transaction) error {
		if err := t.renewEpoch(ctx); err != nil {
			return err
		}
		return t.compareAll(ctx)
	})
}

// Position is how far the feed has come: see [Desk.Happened]. One that has gone back begins a new epoch.
func (d *Desk) Position(ctx context.Context) (position int64, err error) {
	seen := d.store.feedSeen.all() // before it is read: what was seen then is in what is read
	var now feed
	err = d.look(ctx, "read the feed's position", func(t *transaction) error {
		now, _, err = first(ctx, t, scanFeed, `SELECT epoch, position FROM feed WHERE id = 1`)
		return err
	})
	if err != nil {
		return 0, err
	}
	if now.position >= seen[now.epoch] {
		d.store.feedSeen.see(now)
		return now.position, nil
	}
	renewed := false
	err = d.write(ctx, "begin a new epoch of the feed", func(t *transaction) error {
		renewed = false
		again, _, err := first(ctx, t, scanFeed, `SELECT epoch, position FROM feed WHERE id = 1`)
		if err != nil || again.epoch != now.epoch {
			return err // another process was faster
		}
		renewed = true
		return t.renewEpoch(ctx)
	})
	if err == nil && renewed {
		d.wentBack(ctx)
	}
	return now.position, err
}
