package deskload

import (
	"syscall"
	"time"
)

// timerSlack is how much later than asked Linux wakes a thread.
const timerSlack = 50 * time.Microsecond

// pauseUntil waits until the time. Go's own timers wake an idle program up to a millisecond late.
func pauseUntil(due time.Time) {
	for left := time.Until(due); left > timerSlack; left = time.Until(due) {
		rest := syscall.NsecToTimespec(int64(left - timerSlack))
		_ = syscall.Nanosleep(&rest, nil) // interrupted: the loop waits for the rest
	}
}
