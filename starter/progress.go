package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows the progress of a long command on stderr: a bar on a terminal, else a line every few seconds.
type progress struct {
	what   string
	of     int64
	count  int64
	failed int
	bar    *progressbar.ProgressBar // nil without a terminal
	lines  io.Writer
	shown  time.Time
}

// linesEvery is the time between two lines.
const linesEvery = 5 * time.Second

func (c *cli) progress(what string, of int64) *progress {
	p := &progress{what: what, of: of, lines: c.stderr, shown: time.Now()}
	if isTerminal(c.stderr) {
		p.bar = progressbar.NewOptions64(of, progressbar.OptionSetWriter(c.stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// done counts one more, and shows how many have failed so far.
func (p *progress) done(failed int) {
	p.count++
	if p.bar != nil {
		if failed != p.failed {
			p.bar.Describe(fmt.Sprintf("%s, %d failed", p.what, failed))
		}
		p.failed = failed
		_ = p.bar.Add(1) // exceeding the first count is not an error
		return
	}
	if time.Since(p.shown) > linesEvery {
		p.shown = time.Now()
		fmt.Fprintf(p.lines, "%s %d of %d, %d failed\n", p.what, p.count, max(p.of, p.count), failed)
	}
}

// end removes the bar.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish() // nothing to do about a closed terminal
	}
}
