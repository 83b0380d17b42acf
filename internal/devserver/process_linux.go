package devserver

import (
	"os/exec"
	"syscall"
)

// bindToParent has the kernel kill the child when the thread that started it ends, however that
// comes; [Server.run] keeps that thread for as long as the child lives.
func bindToParent(command *exec.Cmd) (watch func(pid int) (release func(), err error)) {
	command.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // Ctrl-C in the terminal is for the parent, which stops the child when its own work is done
		Pdeathsig: syscall.SIGKILL,
	}
	return func(int) (func(), error) { return func() {}, nil }
}
