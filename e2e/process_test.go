package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/child"
)

// endGrace is how long a process may take to stop when asked to.
const endGrace = 30 * time.Second

// faults are what no child may print: a data race, a panic, the SDK's report that a replay differs from the history,
// and a potential deadlock.
var faults = []string{"WARNING: DATA RACE", "panic:", "TMPRL1100", "Potential deadlock detected"}

// process is a child process: a worker, or `baton dev`. Its output is shown if its test fails.
type process struct {
	name    string
	command *exec.Cmd
	stdout  output
	stderr  output
	done    chan struct{}
	// provoked is output that would be a fault in other tests, but that this test provokes.
	provoked string
	// allowed reports whether the process may print a line that has a fault; it may be nil.
	allowed func(line string) bool
}

// launch starts a program. It is killed when the test ends, and when the process that runs the tests ends.
func launch(t *testing.T, name, program string, environment []string, args ...string) *process {
	t.Helper()
	p := &process{name: name, command: exec.CommandContext(context.WithoutCancel(t.Context()), program, args...), done: make(chan struct{})}
	p.command.Env = environment
	p.command.Stdout, p.command.Stderr = &p.stdout, &p.stderr
	require.NoError(t, child.Start(p.command, func(error) { close(p.done) }), "start %s", name) // how it ended is in its ProcessState
	t.Cleanup(func() {
		p.kill()
		for _, fault := range faults {
			for line := range strings.Lines(p.stderr.String()) {
				if fault != p.provoked && strings.Contains(line, fault) && (p.allowed == nil || !p.allowed(line)) {
					t.Errorf("%s printed %q", name, line)
				}
			}
		}
		if t.Failed() {
			t.Logf("%s (process %d) ended with %d and printed:\n%s%s", name, p.command.Process.Pid, p.command.ProcessState.ExitCode(),
				p.stdout.tail(), p.stderr.tail())
		}
	})
	return p
}

// kill ends the process with SIGKILL and returns when it has ended.
func (p *process) kill() {
	_ = p.command.Process.Kill() // fails only if the process has ended
	<-p.done
}

// interrupt sends what Ctrl-C sends, and returns the exit code.
func (p *process) interrupt(t *testing.T) int {
	t.Helper()
	require.NoError(t, p.command.Process.Signal(os.Interrupt))
	return p.ended(t)
}

// ended waits for the end of the process and returns its exit code.
func (p *process) ended(t *testing.T) int {
	t.Helper()
	deadline := time.NewTimer(endGrace)
	defer deadline.Stop()
	select {
	case <-p.done:
	case <-deadline.C:
		require.Fail(t, "a process didn't end", "%s, within %s; it printed:\n%s%s", p.name, endGrace, p.stdout.tail(), p.stderr.tail())
	}
	return p.command.ProcessState.ExitCode()
}

func (p *process) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// result is the result of a program that ran to its end.
type result struct {
	code           int
	stdout, stderr string
}

// execute runs a program to its end.
func execute(t *testing.T, program string, environment []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = environment
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		require.NoError(t, err, "run %s", strings.Join(args, " "))
	}
	return result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

// environment returns this process's environment without the variables that would point a child to another server
// or desk.
func environment(more ...string) []string {
	own := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return strings.HasPrefix(name, "TEMPORAL_") || (strings.HasPrefix(name, "BATON_") && name != "BATON_TEMPORAL")
	})
	return append(own, more...)
}

// output keeps what a child prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// tailLength is how much of an output is shown.
const tailLength = 8000

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// String returns everything printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) tail() string {
	text := o.String()
	return text[max(0, len(text)-tailLength):]
}

var _ io.Writer = (*output)(nil)
