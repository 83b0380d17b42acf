package e2e

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/testenv"
)

// process is a child process of a test: a worker, a gateway, or `baton dev`. Its output is shown if its test fails.
type process struct {
	*testenv.Process

	// provoked is output that would be a fault in other tests, but that this test provokes.
	provoked string
	// allowed reports whether the process may print a line that has a fault; it may be nil.
	allowed func(line string) bool
}

// launch starts a program. It is killed when the test ends, and when the process that runs the tests ends.
func launch(t *testing.T, name, program string, variables []string, args ...string) *process {
	t.Helper()
	started, err := testenv.Start(t.Context(), testenv.Program{Name: name, Path: program, Args: args, Variables: variables})
	require.NoError(t, err)
	p := &process{Process: started}
	t.Cleanup(func() {
		p.Kill()
		for _, line := range p.Faults(testenv.NotDeterministic) {
			if (p.provoked == "" || !strings.Contains(line, p.provoked)) && (p.allowed == nil || !p.allowed(line)) {
				t.Errorf("%s printed %q", name, line)
			}
		}
		if t.Failed() {
			code, _ := p.ExitCode(context.WithoutCancel(t.Context())) // it has ended
			t.Logf("%s (process %d) ended with %d and printed:\n%s", name, p.PID(), code, p.Tail())
		}
	})
	return p
}

// interrupt sends what Ctrl-C sends, and returns the exit code.
func (p *process) interrupt(t *testing.T) int {
	t.Helper()
	require.NoError(t, p.Interrupt())
	return p.ended(t)
}

// ended waits for the end of the process and returns its exit code.
func (p *process) ended(t *testing.T) int {
	t.Helper()
	code, err := p.ExitCode(t.Context())
	require.NoError(t, err)
	return code
}

// logged waits until the process logs the message, and returns the record's attribute of that key.
func (p *process) logged(t *testing.T, message, key string) string {
	t.Helper()
	record, err := p.AwaitLogged(t.Context(), message)
	require.NoError(t, err)
	value, _ := record[key].(string)
	require.NotEmpty(t, value, "%s logs %q without %s", p.Name, message, key)
	return value
}

// freeze stops the process, as the system does when it suspends it; thaw resumes it. On a system that cannot, it skips
// the test.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	err := p.Stop()
	if errors.Is(err, testenv.ErrNoStop) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

func (p *process) thaw(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Continue())
}

// result is the result of a program that ran to its end.
type result struct {
	code           int
	stdout, stderr string
}

// execute runs a program to its end.
func execute(t *testing.T, program string, variables []string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), program, args...)
	command.Env = variables
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		require.NoError(t, err, "run %s", strings.Join(args, " "))
	}
	return result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}
