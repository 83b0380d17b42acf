package desk

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// When an older copy of the database is restored, the event log's position goes back, and later events reuse the
// positions of lost events. The event log's epoch, a random number, keeps their SIDs distinct. A new epoch starts
// when an operator calls [Restored], or when a process finds a position that is lower than one it has seen.

// logEnd is the last position of the event log and its epoch.
type logEnd struct{ epoch, position int64 }

// logSeen is the highest committed position of the event log that this process has seen in each epoch.
type logSeen struct {
	mutex     sync.Mutex
	positions map[int64]int64
}

// of returns the highest position seen in the epoch.
func (s *logSeen) of(epoch int64) int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.positions[epoch]
}

// see records a committed position. The position of an epoch never decreases.
func (s *logSeen) see(now logEnd) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.positions[now.epoch] = max(s.positions[now.epoch], now.position)
}

// all returns the highest position seen in each epoch.
func (s *logSeen) all() map[int64]int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return maps.Clone(s.positions)
}

// newEpoch returns a random epoch.
func newEpoch() int64 { return rand.Int64N(math.MaxInt64) + 1 } //nolint:gosec // it needs to be distinct, not secret

// takePositions reserves a position for each event of the transaction. The update locks the event log's row, so it
// reads the last committed position. If that is lower than one seen before, the database is an older copy.
func (tx *Tx) takePositions(ctx context.Context) error {
	tx.WakePages()
	var err error
	tx.logEnd, _, err = sqldb.First(ctx, tx, scanLogEnd, `UPDATE feed SET position = position + $1, epoch = CASE WHEN epoch = 0 THEN CAST($2 AS BIGINT) ELSE epoch END
		WHERE id = 1 RETURNING epoch, position`, len(tx.appended), newEpoch())
	if err != nil {
		return err
	}
	if was := tx.logEnd.position - int64(len(tx.appended)); was >= tx.logSeen.of(tx.logEnd.epoch) {
		return nil
	}
	tx.afterCommit.wentBack = true // compareAll runs after the commit: its locks come before the event log's
	return renewEpoch(ctx, tx)
}

func scanLogEnd(r sqldb.Row) (f logEnd, err error) {
	err = r.Scan(&f.epoch, &f.position)
	return f, err
}

// renewEpoch starts a new epoch.
func renewEpoch(ctx context.Context, tx *Tx) (err error) {
	tx.logEnd, _, err = sqldb.First(ctx, tx, scanLogEnd, `UPDATE feed SET epoch = $1 WHERE id = 1 RETURNING epoch, position`, newEpoch())
	return err
}

// compareAll makes every open conversation due for comparison with its workflow, because an older copy may lack any
// change. It requires an exclusive transaction ([Desk.ExclusiveTx]).
func compareAll(ctx context.Context, tx *Tx) error {
	for _, query := range []string{`UPDATE conversations SET compared_at = 0 WHERE status <> 'closed' AND compared_at > 0`, `DELETE FROM leases`} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// wentBack logs that the database is an older copy, and makes open conversations due for comparison.
func wentBack(ctx context.Context, d *Desk) {
	d.Log().ErrorContext(ctx, "desk database is an older copy, comparing every open conversation")
	if err := CompareAll(ctx, d); err != nil {
		d.Log().WarnContext(ctx, "open conversations not marked for comparison", "error", err)
	}
}

// CompareAll makes every open conversation due for comparison with its workflow.
func CompareAll(ctx context.Context, d *Desk) error {
	return d.ExclusiveTx(ctx, "have conversations compared", func(tx *Tx) error { return compareAll(ctx, tx) })
}

// Restored records that an older copy of the database was restored. It starts a new epoch, so that new events get
// other SIDs than the lost events at the same positions. Workers compare every open conversation with its workflow
// within a minute.
func Restored(ctx context.Context, d *Desk) error {
	return d.ExclusiveTx(ctx, "begin a new epoch of the event log", func(tx *Tx) error {
		if err := renewEpoch(ctx, tx); err != nil {
			return err
		}
		return compareAll(ctx, tx)
	})
}

// LastPosition returns the last position of the event log, see [outbox.EventsAfter]. If it has gone back, a new epoch
// starts.
func LastPosition(ctx context.Context, d *Desk) (position int64, err error) {
	seen := d.logSeen.all() // read first: the position read below includes everything seen by now
	var now logEnd
	err = d.QueryOne(ctx, "read the event log's position", func(tx *Tx) error {
		now, _, err = sqldb.First(ctx, tx, scanLogEnd, `SELECT epoch, position FROM feed WHERE id = 1`)
		return err
	})
	if err != nil {
		return 0, err
	}
	if now.position >= seen[now.epoch] {
		d.logSeen.see(now)
		return now.position, nil
	}
	renewed := false
	err = d.ExclusiveTx(ctx, "begin a new epoch of the event log", func(tx *Tx) error {
		renewed = false
		again, _, err := sqldb.First(ctx, tx, scanLogEnd, `SELECT epoch, position FROM feed WHERE id = 1`)
		if err != nil || again.epoch != now.epoch {
			return err // another process was faster
		}
		renewed = true
		return renewEpoch(ctx, tx)
	})
	if err == nil && renewed {
		wentBack(ctx, d)
	}
	return now.position, err
}
