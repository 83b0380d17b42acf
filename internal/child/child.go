// Package child starts processes that end with this one: servers that tests, benchmarks and `starter dev` run,
// and programs under test. What the processes are may not come in.
package child

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// Start starts the command and returns when it runs. It is killed when this process ends, however that comes, where the
// system can be made to, and a terminal's Ctrl-C isn't for it. When it has ended, ended is called with how.
func Start(command *exec.Cmd, ended func(error)) error {
	started := make(chan error)
	go run(command, started, ended)
	return <-started
}

// Environment is this process's own, without the variables whose names begin so: they would lead the child elsewhere.
func Environment(without ...string) []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// Bind prepares a command that somebody else starts: it is killed when the thread that starts it ends, where the system
// can be made to, and a terminal's Ctrl-C isn't for it.
func Bind(command *exec.Cmd) { bindToParent(command) }

// run keeps the thread that starts the child for as long as it lives: the kernel counts the end of the thread as the
// end of its parent.
func run(command *exec.Cmd, started chan<- error, ended func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	watch := bindToParent(command)
	if err := command.Start(); err != nil {
		started <- err
		return
	}
	release, err := watch(command.Process.Pid)
	if err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		started <- err
		return
	}
	started <- nil
	err = command.Wait()
	release()
	ended(err)
}
