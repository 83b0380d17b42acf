//go:build unix

package e2e

import (
	"os"
	"syscall"
)

// SQLite's locks for a database in WAL mode, in the file next to the database (https://sqlite.org/walformat.html,
// "WAL Locks"): one for writing, one for each group of readers.
const (
	firstLock = 120
	locks     = 8
)

// lockAll takes all of them for this process as soon as no transaction is open.
func lockAll(database string) error {
	file, err := os.OpenFile(database+"-shm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return syscall.FcntlFlock(file.Fd(), syscall.F_SETLKW, &syscall.Flock_t{Type: syscall.F_WRLCK, Start: firstLock, Len: locks})
}
