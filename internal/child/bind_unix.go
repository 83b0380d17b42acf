//go:build unix && !linux

package child

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// bindToParent leaves a shell beside the child that reads from a pipe of ours. The pipe closes when
// this process ends, however that comes, and the shell kills the child then.
func bindToParent(command *exec.Cmd) (watch func(pid int) (release func(), err error)) {
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Setpgid = true // Ctrl-C in the terminal is for the parent, which stops the child when its own work is done
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
			_ = watcher.Process.Kill() // before the pipe closes: the process ID may be somebody else's by now
			_ = watcher.Wait()
			_ = writer.Close()
		}, nil
	}
}
