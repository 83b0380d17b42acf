//go:build unix

package main

import (
	"fmt"
	"syscall"
)

// stop pauses the process with SIGSTOP; proceed resumes it.
func (p *process) stop() error {
	p.printed.standsStill()
	return p.signal(syscall.SIGSTOP)
}

func (p *process) proceed() error { return p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) error {
	if err := p.command.Process.Signal(s); err != nil {
		return fmt.Errorf("send %s to %s: %w", s, p.name, err)
	}
	return nil
}
