//go:build unix

package e2e

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// freeze stops the process, as the system does when it suspends it; thaw resumes it.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGSTOP))
}

func (p *process) thaw(t *testing.T) {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(syscall.SIGCONT))
}
