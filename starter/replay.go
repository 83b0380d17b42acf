package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// silent drops what the SDK logs of a history that fails: the verdict says it.
var silent = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

// replayed is the verdict on one history.
type replayed struct {
	History string `json:"history"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

func (c *cli) replay() *cobra.Command {
	var query string
	cmd := &cobra.Command{
		Use: "replay [FILE…]", Short: "Replay recorded or running conversations against this build, before an upgrade",
		Long: "Replays histories against the workflow code of this build: files as `temporal workflow show --output json`\n" +
			"writes them, or those of the conversations that --query finds on the server. Exit code 1 if any fails.",
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) == 0) == (query == "") {
				return wrongUsage("name either history files or a --query")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			replayer, err := temporalenv.NewReplayer()
			if err != nil {
				return err
			}
			if query == "" {
				return c.verdict(replayFiles(replayer, args, c.progress(len(args))))
			}
			c.timeout = 24 * time.Hour // there may be very many
			return c.connected(cmd.Context(), func(ctx context.Context, temporal client.Client) error {
				results, err := c.replayFound(ctx, replayer, temporal, query)
				if err != nil {
					return err
				}
				return c.verdict(results)
			})
		},
	}
	cmd.Flags().StringVar(&query, "query", "", `conversations on the server, as in 'ConversationStatus = "active"'`)
	return cmd
}

func replayFiles(replayer worker.WorkflowReplayer, files []string, progress func(done int)) []replayed {
	var results []replayed
	for i, file := range files {
		result := replayed{History: file, OK: true}
		if err := replayFile(replayer, file); err != nil {
			result.OK, result.Error = false, err.Error()
		}
		results = append(results, result)
		progress(i + 1)
	}
	return results
}

func replayFile(replayer worker.WorkflowReplayer, file string) error {
	reader, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	defer func() { _ = reader.Close() }() // only read
	history, err := client.HistoryFromJSON(reader, client.HistoryJSONOptions{})
	if err != nil {
		return fmt.Errorf("%s is no history: write it with `temporal workflow show --output json`: %w", file, err)
	}
	if err := replayer.ReplayWorkflowHistory(silent, history); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	return nil
}

// replayFound replays what the query finds, one history at a time, so that a million fit.
func (c *cli) replayFound(ctx context.Context, replayer worker.WorkflowReplayer, temporal client.Client, query string) ([]replayed, error) {
	var found []string
	err := baton.NewClient(temporal).List(ctx, query, func(l baton.Listed) error {
		found = append(found, l.Conversation)
		return nil
	})
	if err != nil {
		return nil, err
	}
	progress := c.progress(len(found))
	var results []replayed
	for i, sid := range found {
		result := replayed{History: sid, OK: true}
		history, err := historyOf(ctx, temporal, sid)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			err = replayer.ReplayWorkflowHistory(silent, history)
		}
		if err != nil {
			result.OK, result.Error = false, err.Error()
		}
		results = append(results, result)
		progress(i + 1)
	}
	return results, nil
}

func historyOf(ctx context.Context, temporal client.Client, sid string) (*historypb.History, error) {
	history := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, workflows.ID(sid), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", sid, err)
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
}

// progress shows on stderr how far a long replay is.
func (c *cli) progress(of int) func(done int) {
	shown := time.Now()
	return func(done int) {
		if time.Since(shown) > time.Second || (done == of && of > 1) {
			shown = time.Now()
			fmt.Fprintf(c.stderr, "replayed %d of %d\n", done, of)
		}
	}
}

func (c *cli) verdict(results []replayed) error {
	failed := 0
	var rows [][]string
	for _, r := range results {
		if !r.OK {
			failed++
			rows = append(rows, []string{r.History, oneLine(r.Error)})
		}
	}
	err := c.print(results, func(w io.Writer) {
		if failed > 0 {
			table(w, []string{"FAILED", "WHY"}, rows)
		}
		fmt.Fprintf(w, "%d replayed, %d failed\n", len(results), failed)
	})
	if err == nil && failed > 0 {
		return errors.New("this build may not be deployed over these conversations: put the change behind workflow.GetVersion")
	}
	return err
}
