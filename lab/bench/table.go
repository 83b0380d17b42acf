package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// print writes the report as text.
func (r *report) print(out io.Writer) {
	fmt.Fprintf(out, "Baton beside bare workflows: median of %d rounds, one dev server with its database in a file, the desk in %s, %d CPUs, %.0f s.\n",
		r.Rounds, map[string]string{databaseSQLite: "SQLite", databasePostgres: "PostgreSQL"}[r.Database], r.CPUs, r.Seconds)
	fmt.Fprintln(out, "(a) is an update that does nothing; (b) is one that changes a search attribute. Ratios: median, and least to most of the rounds.")

	printFigures(out, "One client, each command once the one before has come to rest", "p50 by (b)\tp50 by (a)", r.Paced)
	printFigures(out, "One client, commands back to back", "p50 by (b)\tp50 by (a)", r.Unpaced)
	printFigures(out, fmt.Sprintf("%d clients in a closed loop, a workflow each", r.Clients), "rate by (b)\trate by (a)", r.Many)

	table := newTable(out, "Other costs of a conversation")
	fmt.Fprintf(table, "history of a paced transfer, accept and wrapup\t%.1f events\t%.1f kB\n", r.Cycle.Events, r.Cycle.Bytes/1000)
	fmt.Fprintf(table, "history of a command refused in the validator\t%d events\tanswered in %.2f ms (p50)\n", r.Cycle.RefusedEvents, r.Cycle.RefusedP50)
	fmt.Fprintf(table, "from a transfer to a queue until reserved\tp50 %.1f ms\tp90 %.1f ms\n", r.Queue.P50, r.Queue.P90)
	_ = table.Flush()

	table = newTable(out, fmt.Sprintf("%d commands a second over HTTP, and as many by the Go client", rateHTTP))
	fmt.Fprintln(table, "\tclient p50 ms\tHTTP p50 ms\tHTTP p99 ms\tHTTP by client")
	for _, f := range r.HTTP {
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.2f\t%s\n", f.Name, f.Client, f.HTTP, f.HTTP99, f.ToClient)
	}
	_ = table.Flush()
	fmt.Fprintf(out, "\n%d clients over HTTP for %.0f s: %d answers, %.0f a second; %d with 5xx, %d with 4xx\n",
		r.Clients, r.Load.Seconds, r.Load.Answered, r.Load.PerSecond, r.Load.Failed, r.Load.Refused)

	table = newTable(out, "Placing one task at the desk, p50")
	fmt.Fprintln(table, "waiting\ta task joins\tan agent takes the best\tboth\tby the shortest line")
	for _, p := range r.Placing {
		fmt.Fprintf(table, "%s\t%.2f ms\t%.2f ms\t%.2f ms\t%.2f\n", grouped(p.Waiting), p.JoinMillis, p.TakeMillis, p.PlaceMillis, p.ToShortest)
	}
	_ = table.Flush()
	printDesk(out, r.Desk)
	printTargets(out, r.Targets)
}

func printFigures(out io.Writer, title, ratios string, figures []figure) {
	table := newTable(out, title)
	fmt.Fprintln(table, "\tp50 ms\tp99 ms\tper second\t"+ratios)
	for _, f := range figures {
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.1f\t%s\t%s\n", f.Name, f.P50, f.P99, f.PerSecond, f.ToNoted, f.ToBare)
	}
	_ = table.Flush()
}

func printTargets(out io.Writer, targets []target) {
	if len(targets) == 0 {
		return // a short run checks no targets
	}
	table := newTable(out, "Targets")
	var missed []string
	for _, t := range targets {
		held, sign := "held", "≤"
		if !t.Held {
			held = "NOT HELD"
			missed = append(missed, t.Name)
		}
		if t.AtLeast {
			sign = "≥"
		}
		fmt.Fprintf(table, "%s\t%.2f\t%s %g\t%s\n", t.Name, t.Measured, sign, t.Limit, held)
	}
	_ = table.Flush()
	if len(missed) == 0 {
		fmt.Fprintln(out, "\nEvery target is held.")
		return
	}
	fmt.Fprintf(out, "\nNot held: %s.\n", strings.Join(missed, "; "))
}

func newTable(out io.Writer, title string) *tabwriter.Writer {
	fmt.Fprintf(out, "\n%s\n", title)
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
}

// String formats the ratio for a table, and the zero value as "".
func (s spread) String() string {
	if s == (spread{}) {
		return ""
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Least, s.Most)
}

// grouped formats a number with thousands separators: 100,000.
func grouped(number int) string {
	digits := strconv.Itoa(number)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
