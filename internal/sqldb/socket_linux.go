package sqldb

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// boundUnacknowledged makes the system close a connection on which nothing was acknowledged for that long.
func boundUnacknowledged(c syscall.RawConn, within time.Duration) error {
	var failed error
	err := c.Control(func(socket uintptr) {
		failed = unix.SetsockoptInt(int(socket), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(within.Milliseconds()))
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("set TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}
