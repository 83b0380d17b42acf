package desk

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Dispatches returns an error where a dispatcher runs in this process that has finished no round for that long: its
// database does not answer, or holds it up.
func (d *Desk) Dispatches(within time.Duration) error {
	if d.dispatchers.Load() == 0 {
		return nil
	}
	return moved(&d.dispatchedAt, within)
}

// Listens returns an error where the connection that other processes' notifications come by has not worked for that long.
func (d *Desk) Listens(within time.Duration) error { return d.store.notifier.listens(within) }

// moved returns an error where the moment, in Unix nanoseconds, is longer ago than that.
func moved(at *atomic.Int64, within time.Duration) error {
	if since := time.Since(time.Unix(0, at.Load())); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}
