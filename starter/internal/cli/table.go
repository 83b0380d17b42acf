package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Table prints rows in columns under a header.
func Table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	_ = t.Flush() // nothing to do about a closed terminal
}

// Moment formats a date and time for a table; a dash for the zero time.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime) //nolint:gosmopolitan // who reads a table reads their own clock
}

// Clock formats a time for a table, with its date unless it is today.
func Clock(t time.Time) string { return clockAt(t, time.Now()) }

func clockAt(t, now time.Time) string {
	shown := Moment(t)
	if date, of, found := strings.Cut(shown, " "); found && strings.HasPrefix(Moment(now), date) {
		return of
	}
	return shown
}

// Named formats an agent or a queue for a table: the friendly name, and the unique name if it differs.
func Named(friendly, name string) string {
	if friendly == name || friendly == "" {
		return name
	}
	return friendly + " (" + name + ")"
}

// OneLine makes text fit into one row: it removes line breaks and characters that control the terminal, reorder
// text or are invisible.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case conversation.Hidden(r):
			return -1
		}
		return r
	}, text)
}

// Printable returns a text of several lines without characters that would control the terminal.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && conversation.Hidden(r) {
			return -1
		}
		return r
	}, text)
}

// Dash returns the text in one line, or a dash if it is empty.
func Dash(text string) string {
	if text == "" {
		return "-"
	}
	return OneLine(text)
}
