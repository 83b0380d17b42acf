// Package upgrade has the commands for an upgrade: the replay of conversations against this build, and the versions of
// the workers.
//
// Must not import: the other packages with commands.
package upgrade

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/build"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/private"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// replayOptions select the conversations to replay.
type replayOptions struct {
	// query selects conversations on the server.
	query string
	// limit selects the first matches, sample a random sample of that size; 0 means all.
	limit, sample int
	// parallel is how many histories are replayed at a time.
	parallel int
	// allowNone makes it a success if there is nothing to replay.
	allowNone bool
	// save is a folder for the histories that fail; empty saves none.
	save string
}

// everyOpen selects the conversations that a new build would have to continue.
const everyOpen = `ExecutionStatus = "Running"`

// Replay returns the command `baton replay`.
func Replay(c *cli.Env) *cobra.Command {
	o := replayOptions{}
	cmd := &cobra.Command{
		Use: "replay [FILE…]", Short: "Replay open or recorded conversations with this build, before an upgrade",
		Long: "Replays histories with the workflow code of this build: all open conversations on the server, those that --query\n" +
			"finds, or files that `temporal workflow show --output json` has written. It changes nothing. Exit code 0: all replayed\n" +
			"as they had run, and this build can continue them. 1: at least one did not, or none was found.",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && (o.query != everyOpen || o.limit > 0 || o.sample > 0):
				return cli.WrongUsage("name either history files, or conversations on the server by --query, --limit or --sample")
			case o.limit < 0 || o.sample < 0 || (o.limit > 0 && o.sample > 0):
				return cli.WrongUsage("use either --limit or --sample, with a number from 1 on")
			case o.parallel < 1:
				return cli.WrongUsage("--parallel is %d: use a number from 1 on", o.parallel)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			this, err := build.Read()
			if err != nil {
				return err
			}
			keys, err := config.LoadKeys(c.Getenv)
			if err != nil {
				return err
			}
			g := &gate{Build: this.ID, Failures: []replayed{}, options: o, keys: keys, began: time.Now()}
			if len(args) > 0 {
				g.progress = newProgress(c, "replayed", int64(len(args)))
				for _, file := range args {
					g.tell(g.replayFile(file))
				}
				return verdict(c, g)
			}
			if !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour // there may be many conversations
			}
			return c.Connected(cmd.Context(), func(ctx context.Context, temporal client.Client) error {
				return replayOnServer(ctx, c, temporal, g)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.query, "query", everyOpen, `conversations on the server, as in 'ConversationStatus = "active"'`)
	flags.IntVar(&o.limit, "limit", 0, "maximum number of conversations, latest first")
	flags.IntVar(&o.sample, "sample", 0, "number of conversations, chosen at random")
	flags.IntVar(&o.parallel, "parallel", runtime.GOMAXPROCS(0), "number of parallel replays")
	flags.BoolVar(&o.allowNone, "allow-none", false, "exit with 0 if no conversation is found, as in a new installation")
	flags.StringVar(&o.save, "save", "", "`folder` for the histories that fail, for a bug report; they may contain personal data")
	return cmd
}

// replayFile replays a history in a file.
func (g *gate) replayFile(file string) replayed {
	r := replayed{History: file}
	reader, err := os.Open(file)
	if err != nil {
		r.err = fmt.Errorf("read the history: %w", err)
		return r
	}
	defer func() { _ = reader.Close() }() // opened for reading only
	history, err := client.HistoryFromJSON(reader, client.HistoryJSONOptions{})
	if err != nil {
		r.err = fmt.Errorf("not a history: write it with `temporal workflow show --output json`: %w", err)
		return r
	}
	return g.replay(r, history)
}

// replayOnServer replays the conversations that the query selects. It holds only the histories that are being
// replayed in memory, so that a namespace may have millions.
func replayOnServer(ctx context.Context, c *cli.Env, temporal client.Client, g *gate) error {
	o := g.options
	count, err := countFound(ctx, temporal, o)
	if err != nil {
		return err
	}
	g.progress = newProgress(c, "replayed", count)
	found := make(chan execution)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(found)
		return find(running, temporal, o, func(e execution) error {
			select {
			case found <- e:
				return nil
			case <-running.Done():
				return running.Err()
			}
		})
	})
	for range o.parallel {
		group.Go(func() error {
			for e := range found {
				g.tell(g.replayExecution(running, temporal, e))
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err //nolint:wrapcheck // find has wrapped it
	}
	if ctx.Err() != nil { // after the deadline or Ctrl-C, a history that could not be read says nothing about this build
		return ctx.Err()
	}
	return verdict(c, g)
}

// gate collects the results of the replays.
type gate struct {
	// Build is this build's ID.
	Build    string `json:"build_id"`
	Replayed int    `json:"replayed"`
	Failed   int    `json:"failed"`
	// Gone is how many histories were deleted before they could be read.
	Gone int `json:"gone"`
	// Failures are the first failed replays, at most shownFailures.
	Failures []replayed `json:"failures"`

	options  replayOptions
	keys     *codec.KeyRing
	progress *progress
	began    time.Time
	mu       sync.Mutex
	problem  error
}

// shownFailures is how many failed replays are reported.
const shownFailures = 50

// tell records the result of one replay.
func (g *gate) tell(r replayed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() { g.progress.done(g.Failed) }()
	if r.gone {
		g.Gone++
		return
	}
	g.Replayed++
	if r.err == nil {
		return
	}
	g.Failed++
	if len(g.Failures) == shownFailures {
		return
	}
	g.explain(&r)
	if g.options.save != "" && r.history != nil {
		file, err := r.saveTo(g.options.save)
		r.Saved, g.problem = file, errors.Join(g.problem, err)
	}
	r.history = nil
	g.Failures = append(g.Failures, r)
}

// saveTo writes the history to a file in the folder that only this user can read, and returns the file's name.
func (r replayed) saveTo(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("make the folder for histories that fail: %w", err)
	}
	text, err := temporalproto.CustomJSONMarshalOptions{Indent: "  "}.Marshal(r.history)
	if err != nil {
		return "", fmt.Errorf("save the history of %s: %w", r.History, err)
	}
	name := strings.TrimSuffix(filepath.Base(r.History), ".json")
	if r.Run != "" {
		name += "-" + r.Run
	}
	file := filepath.Join(folder, name+".json")
	if err := private.Write(file, text); err != nil {
		return "", fmt.Errorf("save the history of %s: %w", r.History, err)
	}
	return file, nil
}

// verdict prints the results, and returns an error if this build may not continue the conversations.
func verdict(c *cli.Env, g *gate) error {
	g.progress.end()
	err := c.Print(g, func(w io.Writer) {
		if g.Failed > 0 {
			var rows [][]string
			for _, f := range g.Failures {
				event := "-"
				if f.Event > 0 {
					event = strconv.FormatInt(f.Event, 10)
				}
				rows = append(rows, []string{cli.OneLine(f.History), event, cli.OneLine(f.Error)})
			}
			cli.Table(w, []string{"FAILED", "EVENT", "WHY"}, rows)
			if more := g.Failed - len(g.Failures); more > 0 {
				fmt.Fprintf(w, "and %d more\n", more)
			}
		}
		fmt.Fprintf(w, "%d replayed, %d failed", g.Replayed, g.Failed)
		if g.Gone > 0 {
			fmt.Fprintf(w, ", %d deleted meanwhile", g.Gone)
		}
		fmt.Fprintf(w, ", in %s\n", time.Since(g.began).Round(100*time.Millisecond))
		if g.Failed == 0 && g.Replayed > 0 {
			fmt.Fprintf(w, "This build (%s) may carry them on.\n", g.Build)
		}
	})
	for _, f := range g.Failures {
		if f.Saved != "" {
			fmt.Fprintf(c.Stderr, "The histories that fail are in %s: they may hold personal data, look before you pass them on.\n", g.options.save)
			break
		}
	}
	err = errors.Join(err, g.problem)
	if g.Replayed == 0 && g.problem == nil && !g.options.allowNone {
		err = errors.Join(err, errors.New("no history was found, so this build is not tested: check the namespace and --query, or give --allow-none if there are none yet"))
	}
	if g.Failed > 0 {
		err = errors.Join(err, fmt.Errorf("this build (%s) may not carry these conversations on: put what changed behind workflow.GetVersion, "+
			"build again, and replay again; where a payload can't be decoded, give this command the workers' keys", g.Build))
	}
	return err
}
