package e2e

import (
	"os/exec"
	"syscall"
)

// endWithParent has the kernel kill the child when this process ends, however that comes, and keeps
// the terminal's Ctrl-C from it.
func endWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
