// Command desk measures the desk alone: conversations a second, and whether it stays correct meanwhile. It prints one
// line of JSON with the figures (package deskload describes them), and fails if the checker found a fault.
//
// With --against it builds itself in this checkout and in another one, and runs both in turn. It prints the medians and
// ratios. If the other checkout does not have this program, that of this checkout is built with the other's packages.
// No other package imports this one.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/baton-transfers/baton/internal/deskload"
	"github.com/baton-transfers/baton/internal/postgres"
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

// errFaults is the error of a load with faults.
var errFaults = errors.New("the checker found faults: see the line above")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o deskload.Options
	flags := flag.NewFlagSet("desk", flag.ContinueOnError)
	flags.SetOutput(stderr)
	database := flags.String("database", "sqlite", "where the desk is: sqlite, in a file, or postgres, on a private server that is started for it")
	flags.IntVar(&o.Callers, "callers", 128, "conversations that run at the same time")
	flags.IntVar(&o.Processes, "processes", 1, "processes of the callers")
	flags.IntVar(&o.Queues, "queues", 10, "queues in which conversations start; every five of them share one more, for transfers")
	agents := flags.String("agents", string(deskload.Plenty), "plenty or scarce")
	flags.IntVar(&o.TransferEvery, "transfer-every", 5, "transfer every so manieth conversation to a queue; 0: none")
	flags.Float64Var(&o.LatencyMillis, "latency", 0, "milliseconds to add to each round trip to PostgreSQL; it also counts statements")
	flags.DurationVar(&o.For, "for", 10*time.Second, "how long conversations are started")
	flags.IntVar(&o.Conversations, "conversations", 0, "maximum number of conversations; 0: no maximum")
	against := flags.String("against", "", "compare with the checkout at this `PATH`: both run in turn")
	rounds := flags.Int("rounds", 3, "rounds of a comparison")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return fmt.Errorf("desk: %w", err)
	}
	if flags.NArg() > 0 || *rounds < 1 {
		return errors.New("desk takes flags only, and a number of rounds from 1 on: see --help")
	}
	if *against != "" {
		return compare(ctx, *against, *rounds, passed(flags), stdout, stderr)
	}
	o.Agents = deskload.Staffing(*agents)
	figures, err := measure(ctx, *database, o)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(figures); err != nil {
		return fmt.Errorf("print the figures: %w", err)
	}
	if figures.Faults.Sum() > 0 {
		return errFaults
	}
	return nil
}

// passed returns the flags of a load that were given.
func passed(flags *flag.FlagSet) (args []string) {
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "against" && f.Name != "rounds" {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// measure runs a load on an empty database.
func measure(ctx context.Context, database string, o deskload.Options) (_ deskload.Figures, err error) {
	switch database {
	case "sqlite":
		folder, err := os.MkdirTemp("", "baton-desk-")
		if err != nil {
			return deskload.Figures{}, fmt.Errorf("make a folder for the database: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		o.Database = "sqlite:" + filepath.Join(folder, "desk.db")
		return deskload.Run(ctx, o)
	case "postgres":
		server, err := postgres.Start(ctx, postgres.Options{})
		if err != nil {
			return deskload.Figures{}, err
		}
		defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
		if err := server.CreateDatabase(ctx, "desk", ""); err != nil {
			return deskload.Figures{}, err
		}
		o.Database = server.URL("desk")
		return deskload.Run(ctx, o)
	}
	return deskload.Figures{}, fmt.Errorf("--database is %q: choose sqlite or postgres", strings.TrimSpace(database))
}
