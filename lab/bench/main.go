// Command bench compares conversations with bare workflows on one Temporal dev server. It shows what Baton adds to
// the cost of bare workflows: applying the rules, syncing with the desk, and making the result visible.
//
// One process runs everything: the server's client, the worker, the callers, and the desk, in a SQLite file or on a
// private PostgreSQL server. With --growth, the worker is a separate process, and so are the callers of the desk alone
// (package deskload; the command desk in this folder runs single loads). Measurements that are compared run
// interleaved and are compared within their round, so that other load on the machine slows both sides. Each figure
// is the median of the rounds. No other package imports this one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/baton-transfers/baton/internal/deskload"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if deskload.IsCaller(os.Args) {
		err = deskload.Caller(ctx, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runTimeout exceeds what a run takes on a slow machine. It ends a run that hangs.
const runTimeout = 20 * time.Minute

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("json", "", "write the figures to this `FILE` as well")
	rounds := flags.Int("rounds", 0, "how many rounds to take the median of (5; 2 with --short)")
	grows := flags.Bool("growth", false, "measure how cost grows instead: conversations open, transfers of one, agents, and the desk alone with lines, processes and latency")
	database := flags.String("database", databaseSQLite, "where the desk is: sqlite, in a file, or postgres, on a private server that is started for it")
	short := flags.Bool("short", false, "a quick look: fewer rounds, shorter ones, at most 10,000 tasks waiting")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("bench: %w", err)
	}
	if flags.NArg() > 0 || *rounds < 0 {
		return errors.New("bench takes flags only, and a number of rounds from 1 on: see --help")
	}
	if *database != databaseSQLite && *database != databasePostgres {
		return fmt.Errorf("bench: --database is %q: choose %s or %s", *database, databaseSQLite, databasePostgres)
	}
	if *grows {
		return runGrowth(ctx, *short, *file, stdout, stderr)
	}
	p := fullPlan()
	if *short {
		p = shortPlan()
	}
	if *rounds > 0 {
		p.rounds = *rounds
	}
	ctx, cancel := context.WithTimeoutCause(ctx, runTimeout, fmt.Errorf("the benchmarks did not end within %s", runTimeout))
	defer cancel()
	r, err := measure(ctx, p, *database, stderr)
	if ctx.Err() != nil {
		return fmt.Errorf("the benchmarks were stopped: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	r.print(stdout)
	return errors.Join(write(*file, r), held(r.Targets))
}

func runGrowth(ctx context.Context, short bool, file string, stdout, stderr io.Writer) error {
	p := fullGrowth()
	if short {
		p = shortGrowth()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, growthTimeout, fmt.Errorf("the benchmarks did not end within %s", growthTimeout))
	defer cancel()
	g, err := measureGrowth(ctx, p, stderr)
	if ctx.Err() != nil {
		return fmt.Errorf("the benchmarks were stopped: %w", context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	g.print(stdout)
	return errors.Join(write(file, g), held(g.Targets))
}
