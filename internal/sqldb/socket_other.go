//go:build !linux

package sqldb

import (
	"syscall"
	"time"
)

// boundUnacknowledged does nothing: the option is specific to Linux, and keepalive detects the same a little later.
func boundUnacknowledged(syscall.RawConn, time.Duration) error { return nil }
