// Package child starts processes that end with this one: servers that tests, benchmarks and `baton dev` run, and
// programs under test. It knows nothing about the processes.
package child

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// Start starts the command and returns when it runs. The child is killed when this process ends for any reason, if
// the system supports it. Ctrl-C in the terminal does not reach the child. When the child has ended, ended is
// called with the result of [exec.Cmd.Wait].
func Start(command *exec.Cmd, ended func(error)) error {
	started := make(chan error)
	go run(command, started, ended)
	return <-started
}

// Environment returns this process's environment without the variables that begin with one of the prefixes, because
// they would change the child's behavior.
func Environment(without ...string) []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(without, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
	})
}

// Bind prepares a command that the caller starts: the child is killed when the thread that starts it ends, if the
// system supports it. Ctrl-C in the terminal does not reach the child.
func Bind(command *exec.Cmd) { bindToParent(command) }

// run keeps the thread that starts the child until the child ends: the kernel treats the end of the thread as the
// end of the parent.
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
