package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/child"
)

// faultWords are what no process may print, in any fault: a data race, a panic, and a potential deadlock.
// The SDK's report of a workflow that is not deterministic (TMPRL1100) is not among them: a query that a conversation
// has overtaken causes it too. The histories tell whether a workflow task failed.
var faultWords = []string{"WARNING: DATA RACE", "panic:", "Potential deadlock detected"}

// stoppedWords are the words among them that a stopped process may print. The SDK's deadlock detector takes the
// pause of the process for a pause of the workflow. It fails the workflow task, which is retried.
var stoppedWords = []string{"Potential deadlock detected"}

// startWithin is how long a process may take to start on a busy machine.
const startWithin = 60 * time.Second

// process is a running worker or gateway.
type process struct {
	name    string
	command *exec.Cmd
	printed *printed
	ended   chan struct{}
}

// launch starts a program and appends its output to the file name.log in the folder. It returns once the program
// has printed runs. It returns an error if the program ends before, or takes longer than startWithin.
func launch(ctx context.Context, folder, name, program, runs string, environment []string) (*process, error) {
	out, err := os.OpenFile(filepath.Join(folder, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	p := &process{
		name: name, command: exec.CommandContext(context.WithoutCancel(ctx), program),
		printed: &printed{file: out, runs: []byte(runs), running: make(chan struct{})}, ended: make(chan struct{}),
	}
	p.command.Env = environment
	p.command.Stdout, p.command.Stderr = p.printed, p.printed
	if err := child.Start(p.command, p.end); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	patience := time.NewTimer(startWithin)
	defer patience.Stop()
	select {
	case <-p.printed.running:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("%s has ended at its start: %s", name, p.printed.last())
	case <-patience.C:
	case <-ctx.Done():
	}
	p.kill()
	return nil, fmt.Errorf("%s doesn't run after %s: %s", name, startWithin, p.printed.last())
}

// end records that the process has ended. Its output says how.
func (p *process) end(error) {
	p.printed.close()
	close(p.ended)
}

// kill ends the process with SIGKILL and returns when it has ended.
func (p *process) kill() {
	_ = p.command.Process.Kill() // fails only if the process has ended
	<-p.ended
}

// alive reports whether the process is running.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// printed is the output of a process. It writes the output to a file and checks each line.
type printed struct {
	mutex sync.Mutex
	file  *os.File
	line  bytes.Buffer
	// runs is the text that a process prints once it runs. Then running is closed.
	runs    []byte
	running chan struct{}
	known   bool
	tail    []string
	faults  []string
	// stopped is set once the process has been stopped for a while.
	stopped bool
}

// keptLines is how many of the last lines are kept for error messages.
const keptLines = 5

// Write implements [io.Writer].
func (p *printed) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if _, err := p.file.Write(text); err != nil {
		return 0, fmt.Errorf("keep what a process prints: %w", err)
	}
	p.line.Write(text)
	for {
		at := bytes.IndexByte(p.line.Bytes(), '\n')
		if at < 0 {
			return len(text), nil
		}
		p.read(p.line.Next(at + 1))
	}
}

func (p *printed) read(line []byte) {
	if !p.known && bytes.Contains(line, p.runs) {
		p.known = true
		close(p.running)
	}
	p.tail = append(p.tail, strings.TrimSpace(string(line)))
	p.tail = p.tail[max(0, len(p.tail)-keptLines):]
	if slices.ContainsFunc(faultWords, func(word string) bool { return bytes.Contains(line, []byte(word)) }) {
		p.faults = append(p.faults, strings.TrimSpace(string(line)))
	}
}

func (p *printed) last() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return strings.Join(p.tail, "\n")
}

// wrong returns the printed lines that no process may print.
func (p *printed) wrong() []string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return slices.DeleteFunc(slices.Clone(p.faults), func(line string) bool {
		return p.stopped && slices.ContainsFunc(stoppedWords, func(word string) bool { return strings.Contains(line, word) })
	})
}

// standsStill records that the process was stopped.
func (p *printed) standsStill() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.stopped = true
}

func (p *printed) close() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	_ = p.file.Close() // all output has been written
}

// ownEnvironment returns this process's environment without the variables that would point a child to another
// server or desk.
func ownEnvironment(more ...string) []string {
	return append(child.Environment("TEMPORAL_", "BATON_"), more...)
}
