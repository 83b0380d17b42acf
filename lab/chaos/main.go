// Command chaos drives hundreds of conversations while it kills the processes that carry them. Then it looks for
// what was lost or done twice.
//
// It runs two workers, two gateways, the Temporal dev server and the desk's database as separate processes. It
// plays customers, agents, services and a receiver of webhooks itself. It kills processes with SIGKILL and
// restarts them, stops them for seconds, and freezes them for longer than every timeout. It makes database
// connections go silent, and makes the database read-only, full, and out of connections. The receiver refuses,
// hangs and goes away. Separate conversations, the trials, have their workflows reset, terminated and sent poison.
// At the end, chaos puts an older copy of each database in place.
//
// The driver logs every request and its answer. When the faults have ended and everything is quiet, the log, the
// conversations' states and histories, the desk's rows and figures, the event log and the webhooks must agree.
//
// A seed determines the whole plan: who does what and when, and what is killed and when. Two runs of one plan still
// differ, because the planned times fall on different moments of the execution.
//
// Where to look:
//   - package plan: what a seed determines; intent.go there: what a step means in a conversation's state.
//   - environment.go, receiver.go, database.go: what runs, and how each fault is made; faults.go: when.
//   - trial.go, restore.go: conversations that go back in time, end outside Baton or are poisoned.
//   - talk.go: who does what; send.go, http.go: how commands are sent and retried; package journal: the driver's log.
//   - package check: reads what is left, checks it, and replays a conversation from its events.
//   - report.go: what is printed.
//
// No other package imports this one. It contains no conversation rules.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are the settings of a run.
type options struct {
	seed          uint64
	faultsFor     time.Duration
	conversations int
	database      string
	// folder holds the databases and the processes' output. Empty means a temporary folder, removed at the end.
	folder string
	// keep leaves the databases in place. A run that found something leaves them in any case.
	keep bool
	// restores is set for a run that puts older copies of the databases in place at the end.
	restores bool
	// code is the folder of the module whose programs are run.
	code string
}

const (
	databaseSQLite   = "sqlite"
	databasePostgres = "postgres"
	// settleWithin is how long it may take after the faults until everything is quiet.
	settleWithin = 12 * time.Minute
	leastFor     = 10 * time.Second
	mostFor      = time.Hour
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "The seed is %d: `go run ./lab/chaos --seed %d --for %s --conversations %d --database %s` makes the same plan again.\n",
		o.seed, o.seed, o.faultsFor, o.conversations, o.database)
	r, err := wreak(ctx, o, stderr)
	if err != nil {
		return err
	}
	r.print(stdout)
	return r.verdict()
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{restores: true}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Uint64Var(&o.seed, "seed", 0, "make the plan of this `NUMBER` (one by chance)")
	flags.DurationVar(&o.faultsFor, "for", 3*time.Minute, "how long there is load and are faults; settling comes on top")
	flags.IntVar(&o.conversations, "conversations", 300, "how many conversations begin in that time")
	flags.StringVar(&o.database, "database", databasePostgres, "where the desk is: sqlite or postgres")
	flags.StringVar(&o.folder, "folder", "", "keep the databases, and what the processes print in this `FOLDER`")
	flags.StringVar(&o.code, "code", ".", "the `FOLDER` of the module whose programs are run")
	if err := flags.Parse(args); err != nil {
		return o, fmt.Errorf("chaos: %w", err)
	}
	switch {
	case flags.NArg() > 0:
		return o, errors.New("chaos takes flags only: see --help")
	case o.faultsFor < leastFor || o.faultsFor > mostFor:
		return o, fmt.Errorf("chaos: --for has to be from %s to %s", leastFor, mostFor)
	case o.conversations < 1 || o.conversations > 10_000:
		return o, errors.New("chaos: --conversations has to be from 1 to 10,000")
	case o.database != databaseSQLite && o.database != databasePostgres:
		return o, fmt.Errorf("chaos: there is no database %q: use sqlite or postgres", o.database)
	}
	o.keep = o.folder != ""
	for o.seed == 0 {
		o.seed = uint64(rand.Uint32()) //nolint:gosec // a plan is no secret, and a short number is easier to type
	}
	return o, nil
}
