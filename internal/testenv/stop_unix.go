//go:build unix

package testenv

import (
	"fmt"
	"syscall"
)

// Stop pauses the process with SIGSTOP, as the system does when it suspends it. It returns [ErrNoStop] on a system
// without that.
func (p *Process) Stop() error {
	p.stopped.Store(true)
	return p.signal(syscall.SIGSTOP)
}

// Continue resumes a stopped process.
func (p *Process) Continue() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.Name, err)
	}
	return nil
}
