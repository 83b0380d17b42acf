package devserver

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"sync"
)

const (
	keptLines  = 12
	keptLength = 600
)

// logTail forwards the server's log and keeps its last lines, for the error that says why the server ended.
type logTail struct {
	to io.Writer

	mu    sync.Mutex
	crash []string // the first line of a crash: its stack trace has more lines than are kept
	lines []string
	rest  []byte
}

// Write never fails: a full disk of this process must not end the server.
func (l *logTail) Write(chunk []byte) (int, error) {
	l.keep(chunk) // first: the writer may end the server immediately, and the error quotes the kept lines
	if l.to != nil {
		_, _ = l.to.Write(chunk)
	}
	return len(chunk), nil
}

func (l *logTail) keep(chunk []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, chunk...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return
		}
		if l.crash == nil && (bytes.HasPrefix(line, []byte("panic: ")) || bytes.HasPrefix(line, []byte("fatal error: "))) {
			l.crash = lastLines(string(line))
		}
		l.lines = lastLines(strings.Join(append(l.lines, string(line)), "\n"))
		l.rest = rest
	}
}

// crashed reports whether the server has printed a Go panic or fatal error.
func (l *logTail) crashed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crash != nil
}

func (l *logTail) last() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := lastLines(strings.Join(append(l.lines, string(l.rest)), "\n"))
	if l.crash == nil || slices.Contains(lines, l.crash[0]) {
		return lines
	}
	return append(slices.Clone(l.crash), lines...)
}

// lastLines returns the last non-empty lines, each cut to the length that an error can show.
func lastLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if len(line) > keptLength {
			line = line[:keptLength] + "…"
		}
		lines = append(lines, line)
	}
	return lines[max(0, len(lines)-keptLines):]
}

// quoteLog formats log lines for the end of an error.
func quoteLog(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return "\nIts last lines:\n  " + strings.Join(lines, "\n  ")
}
