//go:build !unix

package devserver

import (
	"errors"
	"fmt"
	"os"
)

// terminate ends a process: there is no asking.
func terminate(process *os.Process) error {
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end process %d: %w", process.Pid, err)
	}
	return nil
}

// tryLock always succeeds where files have no such locks: two processes may build the same binary
// at once there, and the one that renames it last wins.
func tryLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	return file, nil
}
