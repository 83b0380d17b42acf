// Package benchmark has the command that measures a deployment.
//
// Must not import: the other packages with commands.
package benchmark

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/load"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// benched is the result of `baton bench`.
type benched struct {
	Queue   string         `json:"queue"`
	Open    int            `json:"open"`
	Opened  load.Rate      `json:"opened"`
	Rate    float64        `json:"rate"`
	Paced   []load.Latency `json:"paced,omitempty"`
	Clients int            `json:"clients"`
	Unpaced load.Rate      `json:"unpaced"`
	Loaded  []load.Latency `json:"loaded,omitempty"`
}

// cleanWithin bounds the time to close the opened conversations, for each hundred of them.
const cleanWithin = 30 * time.Second

// Command returns the commands `baton bench` and `baton bench desk`.
func Command(c *cli.Env) *cobra.Command {
	var o load.Options
	var keep bool
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure this deployment: conversations per second and latency of commands",
		Long: "Opens conversations on its own queue with its own agents (bench-…), sends them commands at a fixed rate, then without\n" +
			"a pause, then closes the conversations and removes queue and agents. It uses the configured Temporal server, workers\n" +
			"and desk, and adds to their load: begin with small numbers. The conversations stay in the insights, under the queue's\n" +
			"name, and cause webhooks. Latencies are milliseconds from the planned time of a command to its outcome.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Open < 1 || o.Clients < 1 || o.Rate < 0 || o.For < 0 || o.Unpaced < 0 {
				return cli.WrongUsage("--open and --clients take a number from 1 on; --rate, --for and --unpaced none below 0")
			}
			o.Progress = benchProgress(c)
			c.Timeout = 24 * time.Hour // each part has its own time limit
			return c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				found, err := runBench(ctx, b, d, o, keep)
				if err != nil {
					return err
				}
				return c.Print(found, found.print)
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Open, "open", 100, "number of open conversations")
	flags.Float64Var(&o.Rate, "rate", 20, "commands per second, over all conversations")
	cli.DurationVar(flags, &o.For, "for", 30*time.Second, "duration of the part with a fixed rate")
	flags.IntVar(&o.Clients, "clients", 40, "number of clients that open conversations, and that send commands without a pause")
	cli.DurationVar(flags, &o.Unpaced, "unpaced", 10*time.Second, "duration of the part without a pause; 0: none")
	flags.BoolVar(&keep, "keep", false, "keep the conversations, their queue and agents")
	cmd.AddCommand(deskCommand(c))
	return cmd
}

func runBench(ctx context.Context, b *baton.Client, d *desk.Desk, o load.Options, keep bool) (found benched, err error) {
	l, err := load.Prepare(ctx, b, d, o)
	if l != nil && !keep {
		defer func() {
			within := cleanWithin * time.Duration(1+o.Open/100)
			clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
			defer cancel()
			err = errors.Join(err, l.Clean(clean)) // also after Ctrl-C, so that no test queue and agents remain
		}()
	}
	if err != nil {
		return found, err
	}
	found = benched{Queue: l.Queue(), Open: o.Open, Rate: o.Rate, Clients: min(o.Clients, o.Open)}
	if found.Opened, err = l.OpenUpTo(ctx, o.Open); err != nil {
		return found, err
	}
	if found.Paced, err = l.Paced(ctx); err != nil {
		return found, err
	}
	found.Unpaced, found.Loaded, err = l.Unpaced(ctx)
	return found, err
}

// benchProgress returns a function that prints the progress on stderr, once a second.
func benchProgress(c *cli.Env) func(part string, done, of int) {
	var mutex sync.Mutex
	var said time.Time
	return func(part string, done, of int) {
		mutex.Lock()
		defer mutex.Unlock()
		if time.Since(said) >= time.Second || done == of {
			said = time.Now()
			fmt.Fprintf(c.Stderr, "%s: %d of %d\n", part, done, of)
		}
	}
}

func (b benched) print(w io.Writer) {
	fmt.Fprintf(w, "Opened %d conversations in %.1f s: %.1f a second, each accepted by an agent.\n", b.Opened.Count, b.Opened.Seconds, b.Opened.PerSecond)
	if len(b.Paced) > 0 {
		printLatencies(w, fmt.Sprintf("%g commands a second, %d conversations open", b.Rate, b.Open), b.Paced)
	}
	if b.Unpaced.Count > 0 {
		printLatencies(w, fmt.Sprintf("%d clients without a pause: %.1f commands a second", b.Clients, b.Unpaced.PerSecond), b.Loaded)
	}
}

func printLatencies(w io.Writer, title string, latencies []load.Latency) {
	fmt.Fprintf(w, "\n%s\n", title)
	var rows [][]string
	for _, l := range latencies {
		rows = append(rows, []string{l.Command, strconv.Itoa(l.Count), milliseconds(l.P50), milliseconds(l.P90), milliseconds(l.P99), milliseconds(l.Longest)})
	}
	cli.Table(w, []string{"COMMAND", "COUNT", "P50 MS", "P90 MS", "P99 MS", "LONGEST MS"}, rows)
}

func milliseconds(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) }
