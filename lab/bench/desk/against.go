package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/baton-transfers/baton/internal/child"
	"github.com/baton-transfers/baton/internal/deskload"
)

// thisProgram is the package of this program, and ownPackages those that another checkout may lack.
const thisProgram = "lab/bench/desk"

var ownPackages = []string{thisProgram, "internal/deskload"}

// compared are the figures that a comparison prints.
var compared = []struct {
	name string
	of   func(deskload.Figures) float64
	// unmeasured is set if zero means that the figure was not measured.
	unmeasured bool
}{
	{"conversations a second", func(f deskload.Figures) float64 { return f.ConversationsRate }, false},
	{"snapshots a second", func(f deskload.Figures) float64 { return f.SnapshotsRate }, false},
	{"sync p50, ms", func(f deskload.Figures) float64 { return f.SyncP50 }, false},
	{"sync p99, ms", func(f deskload.Figures) float64 { return f.SyncP99 }, false},
	{"PostgreSQL CPU a conversation, ms", func(f deskload.Figures) float64 { return f.DatabaseCPU }, true},
	{"Go CPU a conversation, ms", func(f deskload.Figures) float64 { return f.GoCPU }, true},
	{"write transactions a snapshot", func(f deskload.Figures) float64 { return f.Writes }, false},
	{"round trips a snapshot", func(f deskload.Figures) float64 { return f.Trips }, true},
	{"statements a snapshot", func(f deskload.Figures) float64 { return f.Statements }, true},
	{"inversions, %", func(f deskload.Figures) float64 { return f.InversionsPercent }, false},
	{"faults", func(f deskload.Figures) float64 { return float64(f.Faults.Sum()) }, false},
}

// compare builds the program in both checkouts and runs the loads in turn, the other checkout first in every second
// round. It prints every line of figures to stderr.
func compare(ctx context.Context, other string, rounds int, args []string, stdout, stderr io.Writer) (err error) {
	folder, err := os.MkdirTemp("", "baton-against-")
	if err != nil {
		return fmt.Errorf("make a folder for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	checkouts := []string{".", other}
	programs, found := make([]string, len(checkouts)), make([][]deskload.Figures, len(checkouts))
	for i, checkout := range checkouts {
		fmt.Fprintf(stderr, "building %s\n", checkout)
		programs[i] = filepath.Join(folder, fmt.Sprintf("desk-%d", i))
		if err := build(ctx, checkout, programs[i]); err != nil {
			return err
		}
	}
	for round := range rounds {
		order := []int{0, 1}
		if round%2 > 0 {
			slices.Reverse(order)
		}
		for _, i := range order {
			figures, err := runProgram(ctx, programs[i], args)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", checkouts[i], round+1, err)
			}
			line, err := json.Marshal(figures)
			if err != nil {
				return fmt.Errorf("encode figures: %w", err)
			}
			fmt.Fprintf(stderr, "%s %s\n", checkouts[i], line)
			found[i] = append(found[i], figures)
		}
	}
	return report(stdout, other, found[0], found[1])
}

// report prints the medians of both, and the medians of the rounds' ratios. It fails if this checkout has faults.
func report(stdout io.Writer, other string, ours, theirs []deskload.Figures) error {
	fmt.Fprintf(stdout, "Medians of %d rounds against %s.\n\n", len(ours), other)
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tthis\tother\tratio")
	faults := 0
	for _, c := range compared {
		var here, there, ratios []float64
		for i := range ours {
			a, b := c.of(ours[i]), c.of(theirs[i])
			here, there = append(here, a), append(there, b)
			if b != 0 {
				ratios = append(ratios, a/b)
			}
		}
		ratio := ""
		if len(ratios) == 0 && c.unmeasured {
			continue
		}
		if len(ratios) > 0 {
			ratio = fmt.Sprintf("%.2f", median(ratios))
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%s\n", c.name, median(here), median(there), ratio)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the comparison: %w", err)
	}
	for _, f := range ours {
		faults += f.Faults.Sum()
	}
	if faults > 0 {
		return errFaults
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}

// build builds the program in a checkout. The packages that the checkout lacks come from this one.
func build(ctx context.Context, checkout, program string) error {
	args := []string{"build", "-buildvcs=false", "-o", program}
	overlay, err := overlayFor(checkout)
	if err != nil {
		return err
	}
	if len(overlay) > 0 {
		file := program + ".json"
		content, err := json.Marshal(map[string]any{"Replace": overlay})
		if err != nil {
			return fmt.Errorf("encode the overlay: %w", err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return fmt.Errorf("write the overlay: %w", err)
		}
		args = append(args, "-overlay", file)
	}
	command := exec.CommandContext(ctx, "go", append(args, "./"+thisProgram)...)
	command.Dir = checkout
	child.Bind(command)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", thisProgram, checkout, err, bytes.TrimSpace(output))
	}
	return nil
}

// overlayFor returns the files that a checkout without this program is built with, as `go build -overlay` takes them.
func overlayFor(checkout string) (map[string]string, error) {
	if _, err := os.Stat(filepath.Join(checkout, thisProgram)); !errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil // go build reports any other error
	}
	root, err := filepath.Abs(checkout)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", checkout, err)
	}
	overlay := map[string]string{}
	for _, name := range ownPackages {
		files, err := filepath.Glob(filepath.Join(name, "*.go"))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("%s is not here: run this in the top folder of the checkout", name)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			here, err := filepath.Abs(file)
			if err != nil {
				return nil, fmt.Errorf("find %s: %w", file, err)
			}
			overlay[filepath.Join(root, file)] = here
		}
	}
	return overlay, nil
}

// runProgram runs a load and returns its figures, also if they have faults.
func runProgram(ctx context.Context, program string, args []string) (figures deskload.Figures, err error) {
	command := exec.CommandContext(ctx, program, args...)
	var output, printed bytes.Buffer
	command.Stdout, command.Stderr = &output, &printed
	ended := make(chan error, 1)
	if err := child.Start(command, func(err error) { ended <- err }); err != nil {
		return figures, fmt.Errorf("start it: %w", err)
	}
	failed := <-ended
	if err := json.Unmarshal(output.Bytes(), &figures); err != nil {
		return figures, fmt.Errorf("it printed no figures: %w: %s", errors.Join(failed, err), bytes.TrimSpace(printed.Bytes()))
	}
	return figures, nil
}
