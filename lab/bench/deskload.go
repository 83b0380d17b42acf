package main

import (
	"context"
	"fmt"
	"io"

	"github.com/baton-transfers/baton/internal/deskload"
)

const (
	// loadCallers is how many conversations run at the same time at the desk alone.
	loadCallers = 128
	// transferEvery is after how many conversations at the desk alone one is transferred.
	transferEvery = 5
	// mostInversions is the promised share of matches, in percent, that pass over a better task.
	mostInversions = 0.05
)

// deskLoads are the loads on the desk alone of a run.
func deskLoads(p plan) (loads []deskload.Options) {
	for _, callers := range []int{1, 8, loadCallers} {
		loads = append(loads, deskload.Options{Callers: callers, TransferEvery: transferEvery, For: p.deskLoad})
	}
	return append(loads, deskload.Options{Callers: loadCallers, Agents: deskload.Scarce, TransferEvery: transferEvery, For: p.deskLoad})
}

// measureDesk runs each load on an empty database.
func measureDesk(ctx context.Context, desks *databases, loads []deskload.Options, progress io.Writer) (figures []deskload.Figures, err error) {
	for i, load := range loads {
		if load.Database, err = desks.make(ctx, fmt.Sprintf("load_%d", i)); err != nil {
			return nil, err
		}
		say(progress, "the desk alone: load %d of %d", i+1, len(loads))
		one, err := deskload.Run(ctx, load)
		if err != nil {
			return nil, fmt.Errorf("the desk alone: %w", err)
		}
		figures = append(figures, one)
	}
	return figures, nil
}

// deskTargets are the promises that every load on the desk keeps.
func deskTargets(figures []deskload.Figures) []target {
	if len(figures) == 0 {
		return nil
	}
	faults, inversions := 0, 0.0
	for _, f := range figures {
		faults += f.Faults.Sum()
		inversions = max(inversions, f.InversionsPercent)
	}
	return []target{
		{Name: "the desk alone: faults", Measured: float64(faults), Held: faults == 0},
		{Name: "the desk alone: % of matches that pass over a better task", Measured: inversions, Limit: mostInversions, Held: inversions <= mostInversions},
	}
}

func printDesk(out io.Writer, figures []deskload.Figures) {
	table := newTable(out, fmt.Sprintf("The desk alone: five snapshots for a conversation, nine for every %dth, which is transferred to a queue", transferEvery))
	fmt.Fprintln(table, "callers\tprocesses\tqueues\tagents\tlatency ms\tconversations a second\tsnapshots a second\tsync p50 ms\tp99 ms\t"+
		"CPU ms a conversation: PostgreSQL\tGo\tround trips a snapshot\tinversions\tfaults")
	for _, f := range figures {
		fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%g\t%.1f\t%.1f\t%.1f\t%.0f\t%s\t%s\t%s\t%.2f %%\t%d\n",
			f.Callers, f.Processes, f.Queues, f.Agents, f.LatencyMillis, f.ConversationsRate, f.SnapshotsRate, f.SyncP50, f.SyncP99,
			measuredOnly(f.DatabaseCPU), measuredOnly(f.GoCPU), measuredOnly(f.Trips), f.InversionsPercent, f.Faults.Sum())
	}
	_ = table.Flush()
	for _, f := range figures {
		for _, example := range f.Faults.Examples {
			fmt.Fprintf(out, "fault: %s\n", example)
		}
	}
}

// measuredOnly formats a figure, and "" if it was not measured.
func measuredOnly(figure float64) string {
	if figure == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", figure)
}
