package devserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// How often progress is printed: on a terminal one line is rewritten, elsewhere each report is a new line.
const (
	terminalInterval = time.Second
	logInterval      = 15 * time.Second
)

// build builds the binary under a temporary name and renames it, so that no process runs a partial file.
func (p pinned) build(ctx context.Context, target string) (err error) {
	leftovers, _ := filepath.Glob(target + ".*.building") // left by builds that were killed; safe to remove, because the lock is held
	for _, leftover := range leftovers {
		_ = os.Remove(leftover)
	}
	unfinished := fmt.Sprintf("%s.%d.building", target, os.Getpid())
	defer func() { _ = os.Remove(unfinished) }()

	// The version is a linker flag because the CLI cannot know its own otherwise. -s -w omit debugging information.
	// CGO is off, so that no C compiler is needed.
	command := exec.CommandContext(ctx, p.goCommand, "build", "-v", "-trimpath", "-mod=readonly",
		"-ldflags", "-s -w -X github.com/temporalio/cli/temporalcli.Version="+Version,
		"-o", unfinished, "github.com/temporalio/cli/cmd/temporal")
	command.Dir = p.tools
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) } // go removes its temporary files on interrupt
	command.WaitDelay = 10 * time.Second
	output := &buildOutput{}
	command.Stdout, command.Stderr = output, output

	stop := p.showProgress(output)
	err = command.Run()
	stop(err == nil)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("build the Temporal dev server: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("the Temporal dev server could not be built in %s (%w); "+
			"fix that, or install the Temporal CLI %s or newer in PATH%s", p.tools, err, Version, quoteLog(output.complaints()))
	}
	if err := os.Rename(unfinished, target); err != nil {
		return p.cannotKeep(err)
	}
	return nil
}

// showProgress prints progress on p.progress until stop is called.
func (p pinned) showProgress(output *buildOutput) (stop func(built bool)) {
	start := time.Now()
	elapsed := func() time.Duration { return time.Since(start).Round(time.Second) }
	say(p.progress, "Building the Temporal dev server %s. This happens only once, and takes about three minutes on two cores.", Version)

	interval, line := logInterval, "%s\n"
	if isTerminal(p.progress) {
		interval, line = terminalInterval, "\r\x1b[K%s"
	}
	ended := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				write(p.progress, line, fmt.Sprintf("  %s: %s", elapsed(), output.summary()))
			case <-ended:
				return
			}
		}
	})
	return func(built bool) {
		close(ended)
		telling.Wait()
		if isTerminal(p.progress) {
			write(p.progress, line, "")
		}
		if built {
			say(p.progress, "The Temporal dev server was built in %s.", elapsed())
		}
	}
}

// buildOutput parses the output of `go build -v`: a line for every module that it downloads and for every package
// that it compiles, and errors.
type buildOutput struct {
	mu         sync.Mutex
	rest       []byte
	downloaded int
	compiled   int
	others     []string
}

func (o *buildOutput) Write(chunk []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, chunk...)
	for {
		line, rest, found := bytes.Cut(o.rest, []byte("\n"))
		if !found {
			return len(chunk), nil
		}
		o.read(string(line))
		o.rest = rest
	}
}

func (o *buildOutput) read(line string) {
	switch {
	case strings.HasPrefix(line, "go: downloading "):
		o.downloaded++
	case line != "" && !strings.ContainsAny(line, " \t:#"):
		o.compiled++
	default:
		o.others = append(o.others, line)
	}
}

func (o *buildOutput) summary() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.compiled == 0 && o.downloaded > 0 {
		return fmt.Sprintf("downloaded %d modules", o.downloaded)
	}
	return fmt.Sprintf("compiled %d packages", o.compiled)
}

func (o *buildOutput) complaints() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return lastLines(strings.Join(append(o.others, string(o.rest)), "\n"))
}

// standardError returns the error output of a failed command, if [exec.Cmd.Output] has captured it.
func standardError(err error) []string {
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return lastLines(string(failed.Stderr))
	}
	return nil
}

// say prints a line for people. A failure to print is ignored.
func say(w io.Writer, format string, args ...any) { write(w, format+"\n", args...) }

func write(w io.Writer, format string, args ...any) {
	if w != nil {
		_, _ = fmt.Fprintf(w, format, args...)
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
