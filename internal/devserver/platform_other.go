//go:build !unix

package devserver

import (
	"errors"
	"fmt"
	"os"
)

// terminate kills a process: there is no way to ask it to end.
func terminate(process *os.Process) error {
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end process %d: %w", process.Pid, err)
	}
	return nil
}

// tryLock always succeeds, because this platform has no such file locks. Two processes may build the same binary at
// the same time, and the last one to rename it wins.
func tryLock(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	return file, nil
}
