package desk

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"
)

// When an older copy of the database is restored, the event log's position goes back, and later events reuse the positions of
// lost events. The event log's epoch, a random number, keeps their SIDs distinct. A new epoch starts with [Desk.Restored], which
// an operator calls, or when a process finds a position that is lower than one it has seen.

// logEnd is how far the event log has come, in which epoch.
type logEnd struct{ epoch, position int64 }

// logSeen is how far this process has seen the event log come, of each epoch: what was committed.
type logSeen struct {
	mutex     sync.Mutex
	positions map[int64]int64
}

// of is the position that was seen of that epoch.
func (s *logSeen) of(epoch int64) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.positions[epoch]
}

// see takes what was committed; of an epoch the position only rises.
func (s *logSeen) see(now logEnd) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.positions[now.epoch] = max(s.positions[now.epoch], now.position)
}

// all are the positions that were seen.
func (s *logSeen) all() map[int64]int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.positions)
}

// newEpoch draws an epoch.
func newEpoch() int64 { return rand.Int64N(math.MaxInt64) + 1 } //nolint:gosec // it needs to be distinct, not secret

// takePositions reserves a position for each event of the transaction. The update locks the event log's row, so it reads the last
// committed position; if that is lower than one seen before, the database is an older copy.
func (t *transaction) takePositions(ctx context.Context) error {
	t.afterCommit.news = true
	var err error
	t.logEnd, _, err = firstRow(ctx, t, scanLogEnd, `UPDATE feed SET position = position + $1, epoch = CASE WHEN epoch = 0 THEN CAST($2 AS BIGINT) ELSE epoch END
		WHERE id = 1 RETURNING epoch, position`, len(t.appended), newEpoch())
	if err != nil {
		return err
	}
	if was := t.logEnd.position - int64(len(t.appended)); was >= t.pool.logSeen.of(t.logEnd.epoch) {
		return nil
	}
	t.afterCommit.wentBack = true // compareAll follows after the commit: it needs locks that come before the event log
	return t.renewEpoch(ctx)
}

func scanLogEnd(r row) (f logEnd, err error) {
	err = r.Scan(&f.epoch, &f.position)
	return f, err
}

// renewEpoch draws a new epoch.
func (t *transaction) renewEpoch(ctx context.Context) (err error) {
	t.logEnd, _, err = firstRow(ctx, t, scanLogEnd, `UPDATE feed SET epoch = $1 WHERE id = 1 RETURNING epoch, position`, newEpoch())
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
	if err := d.exclusiveTx(ctx, "have conversations compared", func(t *transaction) error { return t.compareAll(ctx) }); err != nil {
		d.log.WarnContext(ctx, "Open conversations are compared in their turn only", "error", err)
	}
}

// Restored says that an older copy of the database was put back: events from now on have other SIDs than those that had the same
// positions before, and every open conversation is compared with its workflow, which workers do within a minute.
func (d *Desk) Restored(ctx context.Context) error {
	return d.exclusiveTx(ctx, "begin a new epoch of the event log", func(t *transaction) error {
		if err := t.renewEpoch(ctx); err != nil {
			return err
		}
		return t.compareAll(ctx)
	})
}

// LastPosition is how far the event log has come: see [Desk.AllEvents]. One that has gone back begins a new epoch.
func (d *Desk) LastPosition(ctx context.Context) (position int64, err error) {
	seen := d.store.logSeen.all() // before it is read: what was seen then is in what is read
	var now logEnd
	err = d.queryOne(ctx, "read the event log's position", func(t *transaction) error {
		now, _, err = firstRow(ctx, t, scanLogEnd, `SELECT epoch, position FROM feed WHERE id = 1`)
		return err
	})
	if err != nil {
		return 0, err
	}
	if now.position >= seen[now.epoch] {
		d.store.logSeen.see(now)
		return now.position, nil
	}
	renewed := false
	err = d.exclusiveTx(ctx, "begin a new epoch of the event log", func(t *transaction) error {
		renewed = false
		again, _, err := firstRow(ctx, t, scanLogEnd, `SELECT epoch, position FROM feed WHERE id = 1`)
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
