//go:build !linux

package postgres

import (
	"os"
	"os/exec"
)

// account is described in process_linux.go. Here the programs run as the current user.
type account struct{}

func newAccount() (account, error) { return account{}, nil }

func (account) own(string) error { return nil }

func (account) prepare(*exec.Cmd) {}

func finish(process *os.Process) { _ = process.Signal(os.Interrupt) }
