package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// table prints rows in columns under a header.
func table(w io.Writer, header []string, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(t, strings.TrimRight(strings.Join(row, "\t"), "\t "))
	}
	_ = t.Flush() // nothing to do about a closed terminal
}

// tableOfSome prints a wide table without the columns that are empty in all rows.
func tableOfSome(w io.Writer, header []string, rows [][]string) {
	kept := make([][]string, len(rows)+1)
	for column := range header {
		if !slices.ContainsFunc(rows, func(row []string) bool { return row[column] != "0" && row[column] != "-" }) {
			continue
		}
		for i, row := range append([][]string{header}, rows...) {
			kept[i] = append(kept[i], row[column])
		}
	}
	table(w, kept[0], kept[1:])
}

// moment formats a date and time for a table; a dash for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime) //nolint:gosmopolitan // who reads a table reads their own clock
}

// clock formats a time for a table, with its date unless it is today.
func clock(t time.Time) string { return clockAt(t, time.Now()) }

func clockAt(t, now time.Time) string {
	shown := moment(t)
	if date, of, found := strings.Cut(shown, " "); found && strings.HasPrefix(moment(now), date) {
		return of
	}
	return shown
}

// counted formats a number of things, as in "1 conversation".
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// named formats an agent or a queue for a table: the friendly name, and the unique name if it differs.
func named(friendly, name string) string {
	if friendly == name || friendly == "" {
		return name
	}
	return friendly + " (" + name + ")"
}

// oneLine makes text fit into one row: it removes line breaks and characters that control the terminal, reorder
// text or are invisible.
func oneLine(text string) string {
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

// printable returns a text of several lines without characters that would control the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && conversation.Hidden(r) {
			return -1
		}
		return r
	}, text)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return oneLine(text)
}

func seconds(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return d.Round(10 * time.Millisecond).String()
}
