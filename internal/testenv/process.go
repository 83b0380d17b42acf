package testenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/internal/child"
)

// NotDeterministic is in the SDK's report that a replay differs from the history.
const NotDeterministic = "TMPRL1100"

// deadlock is what the SDK's deadlock detector prints. It takes the pause of a stopped process for one of the
// workflow, fails the workflow task, and the task is retried.
const deadlock = "Potential deadlock detected"

// faults are what no process may print: a data race, a panic, and a potential deadlock.
var faults = []string{"WARNING: DATA RACE", "panic:", deadlock}

// Build builds programs of the module in the folder code, for example ./worker. The output is a folder that ends
// with a slash, or the file of a single program. The flags are those of `go build`. The programs have no symbol table
// and no debug information: a panic prints its stack without them, and linking takes a quarter less.
func Build(ctx context.Context, code, output string, flags []string, packages ...string) error {
	args := slices.Concat([]string{"build", "-buildvcs=false", "-ldflags=-s -w"}, flags, []string{"-o", output}, packages)
	build := exec.CommandContext(ctx, "go", args...)
	build.Dir = code
	if printed, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s, which has to be the repository: %w\n%s", strings.Join(packages, " "), code, err, printed)
	}
	return nil
}

// Variables returns this process's environment without the variables that would point a child to another server or
// desk, and with more.
func Variables(more ...string) []string {
	return append(child.Environment("TEMPORAL_", "BATON_"), more...)
}

// Program is a program to run.
type Program struct {
	// Name is its name in errors.
	Name string
	Path string
	Args []string
	// Variables are its environment; see [Variables].
	Variables []string
	// Log receives its output too; it may be nil.
	Log io.Writer
}

// Process is a running program.
type Process struct {
	Name           string
	Stdout, Stderr Output

	command *exec.Cmd
	ended   chan struct{}
	stopped atomic.Bool
}

// Start starts a program. It runs until it ends by itself or is killed, also if ctx has ended. It is killed when this
// process ends.
func Start(ctx context.Context, program Program) (*Process, error) {
	p := &Process{
		Name: program.Name, command: exec.CommandContext(context.WithoutCancel(ctx), program.Path, program.Args...), ended: make(chan struct{}),
	}
	p.Stdout.log, p.Stderr.log = program.Log, program.Log
	p.command.Env = program.Variables
	p.command.Stdout, p.command.Stderr = &p.Stdout, &p.Stderr
	// How the process ended is in its ProcessState.
	if err := child.Start(p.command, func(error) { close(p.ended) }); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return p, nil
}

// PID returns the ID of the process.
func (p *Process) PID() int { return p.command.Process.Pid }

// Kill ends the process with SIGKILL and returns when it has ended.
func (p *Process) Kill() {
	_ = p.command.Process.Kill() // fails only if the process has ended
	<-p.ended
}

// Interrupt sends what Ctrl-C sends.
func (p *Process) Interrupt() error {
	if err := p.command.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("interrupt %s: %w", p.Name, err)
	}
	return nil
}

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Runs reports whether the process has not ended.
func (p *Process) Runs() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// endGrace is how long a process may take to end after it was asked to.
const endGrace = 30 * time.Second

// ExitCode waits for the end of the process, and returns its exit code.
func (p *Process) ExitCode(ctx context.Context) (int, error) {
	grace := time.NewTimer(endGrace)
	defer grace.Stop()
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode(), nil
	case <-grace.C:
		return 0, fmt.Errorf("%s did not end within %s; it printed:\n%s", p.Name, endGrace, p.Tail())
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the end of %s: %w", p.Name, context.Cause(ctx))
	}
}

// Tail returns the end of what the process has printed.
func (p *Process) Tail() string { return p.Stdout.Tail() + p.Stderr.Tail() }

// Faults returns the lines that no process may print, and those that contain one of the words. A process that was
// stopped may report a potential deadlock.
func (p *Process) Faults(also ...string) []string {
	words := slices.Concat(faults, also)
	if p.stopped.Load() {
		words = slices.DeleteFunc(words, func(word string) bool { return word == deadlock })
	}
	var found []string
	for _, output := range []*Output{&p.Stdout, &p.Stderr} {
		for line := range strings.Lines(output.String()) {
			if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, word) }) {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// Logged returns the records that the process has logged with that message so far.
func (p *Process) Logged(message string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(p.Stderr.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			found = append(found, record)
		}
	}
	return found
}

var errEnded = errors.New("it has ended")

// AwaitLogged waits until the process has logged a record with that message, and returns the first one. It returns an
// error if the process ends before.
func (p *Process) AwaitLogged(ctx context.Context, message string) (record map[string]any, err error) {
	err = Await(ctx, Patience, fmt.Sprintf("%s logs %q", p.Name, message), func() (bool, error) {
		running := p.Runs() // before the log is read, which is complete afterwards
		records := p.Logged(message)
		if len(records) > 0 {
			record = records[0]
			return true, nil
		}
		if !running {
			return false, errEnded
		}
		return false, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w; it printed:\n%s", err, p.Tail())
	}
	return record, nil
}
