package desk

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Dispatches returns an error if a dispatcher runs in this process that has finished no round within that time: its
// database does not answer or blocks it.
func (d *Desk) Dispatches(within time.Duration) error {
	if d.dispatchers.Load() == 0 {
		return nil
	}
	return moved(&d.dispatchedAt, within)
}

// Listens returns an error if the connection for the notifications of other processes has not worked within that
// time.
func (d *Desk) Listens(within time.Duration) error { return d.db.Listens(within) }

// moved returns an error if the time at, in Unix nanoseconds, is longer ago than within.
func moved(at *atomic.Int64, within time.Duration) error {
	if since := time.Since(time.Unix(0, at.Load())); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}
