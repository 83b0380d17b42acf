package upgrade

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/baton-transfers/baton/starter/internal/cli"
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

func newProgress(c *cli.Env, what string, of int64) *progress {
	p := &progress{what: what, of: of, lines: c.Stderr, shown: time.Now()}
	if cli.IsTerminal(c.Stderr) {
		p.bar = progressbar.NewOptions64(of, progressbar.OptionSetWriter(c.Stderr), progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
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
