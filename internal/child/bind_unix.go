//go:build unix && !linux

package child

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// bindToParent starts a shell next to the child that reads from a pipe of this process. The pipe closes when this
// process ends for any reason, and then the shell kills the child.
func bindToParent(command *exec.Cmd) (watch func(pid int) (release func(), err error)) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid = true // Ctrl-C is for the parent only, which stops the child after its own work
	return func(pid int) (func(), error) {
		reader, writer, err := os.Pipe()
		if err != nil {
			return nil, fmt.Errorf("watch over a child: %w", err)
		}
		watcher := exec.Command("/bin/sh", "-c", `read _; kill -KILL "$1"`, "sh", strconv.Itoa(pid))
		watcher.Stdin = reader
		watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		err = watcher.Start()
		_ = reader.Close()
		if err != nil {
			_ = writer.Close()
			return nil, fmt.Errorf("watch over a child: %w", err)
		}
		return func() {
			_ = watcher.Process.Kill() // before the pipe closes: another process may have the process ID by now
			_ = watcher.Wait()
			_ = writer.Close()
		}, nil
	}
}
