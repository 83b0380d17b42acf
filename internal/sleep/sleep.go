// Package sleep waits for a time, or for the end of a context.
//
// Must not import: other packages of Baton.
package sleep

import (
	"context"
	"time"
)

// For waits for d. If ctx ends first, it returns the cause ([context.Cause]).
func For(ctx context.Context, d time.Duration) error { return Until(ctx, nil, d) }

// Until waits until woken is closed, for at most d. If ctx ends first, it returns the cause. A nil woken is never
// closed.
func Until(ctx context.Context, woken <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-woken:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}
