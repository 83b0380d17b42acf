//go:build !linux

package deskload

import "time"

// pauseUntil waits until the time. An idle program may be woken up to a millisecond late.
func pauseUntil(due time.Time) { <-time.After(time.Until(due)) }
