package conversations

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func showCommand(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "show CH…", Short: "Show the tasks and transfers of a conversation", Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.WithClient(cmd.Context(), func(ctx context.Context, b *baton.Client) error {
				record, err := b.State(ctx, args[0])
				if err != nil {
					return err
				}
				known := c.Names(ctx)
				return c.Print(record, func(w io.Writer) { ShowRecord(w, record, known) })
			})
		},
	}
}

// ShowRecord prints the tasks, transfers and refused signals of a conversation.
func ShowRecord(w io.Writer, record conversation.Record, known cli.Names) {
	fmt.Fprintf(w, "%s  %s on %s  revision %d  customer %s\n", record.Conversation, record.Status, record.Channel,
		record.Revision, cli.Dash(record.Customer.Name))
	var rows [][]string
	for _, t := range record.Tasks {
		until := "-"
		if t.Status == conversation.TaskReserved {
			until = cli.Clock(t.Reservation.ExpiresAt)
		}
		rows = append(rows, []string{t.SID, string(t.Status), cli.OneLine(known.Queue(t.Queue)), cli.Dash(known.Agent(t.Agent)), until, cli.Dash(t.Transfer), cli.Dash(t.Disposition)})
	}
	cli.Table(w, []string{"TASK", "STATUS", "QUEUE", "AGENT", "OFFER UNTIL", "TRANSFER", "DISPOSITION"}, rows)
	if len(record.Transfers) > 0 {
		rows = nil
		for _, t := range record.Transfers {
			rows = append(rows, []string{t.SID, string(t.Status), cli.OneLine(known.Agent(t.From)), cli.OneLine(known.Target(t.To)), cli.Dash(known.Agent(t.AcceptedBy)), cli.Dash(string(t.FailureReason)), cli.Dash(t.Note)})
		}
		cli.Table(w, []string{"TRANSFER", "STATUS", "FROM", "TO", "ACCEPTED BY", "FAILED", "NOTE"}, rows)
	}
	if len(record.Refusals) > 0 {
		rows = nil
		for _, r := range record.Refusals {
			rows = append(rows, []string{cli.Clock(r.At), cli.OneLine(r.Command), string(r.Code), cli.OneLine(r.Message)})
		}
		cli.Table(w, []string{"AT", "REFUSED SIGNAL", "CODE", "WHY"}, rows)
	}
}

// watchPause is the time between two readings of `watch`.
const watchPause = 300 * time.Millisecond

func watchCommand(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "watch CH…", Short: "Follow a conversation until it is closed, or until Ctrl-C", Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Timeout = 365 * 24 * time.Hour // following ends when the conversation ends
			err := c.WithClient(cmd.Context(), func(ctx context.Context, b *baton.Client) error {
				shown, known := -1, c.Names(ctx)
				for {
					record, err := b.State(ctx, args[0])
					if err != nil {
						return err
					}
					if record.Revision != shown {
						shown = record.Revision
						if err := c.Print(record, func(w io.Writer) { showStep(w, record, known) }); err != nil {
							return err
						}
					}
					if record.Status == conversation.ConversationClosed {
						return nil
					}
					if err := sleep.For(ctx, watchPause); err != nil {
						return err
					}
				}
			})
			if cmd.Context().Err() == nil { // Ctrl-C is the normal end of watching
				return err
			}
			return nil
		},
	}
}

// showStep prints one line of `watch`.
func showStep(w io.Writer, record conversation.Record, known cli.Names) {
	var parts []string
	for _, t := range record.LiveTasks() {
		part := string(t.Status)
		if t.Agent != "" {
			part = known.Agent(t.Agent) + " " + part
		} else {
			part += " in " + known.Queue(t.Queue)
		}
		parts = append(parts, part)
	}
	if t := record.ActiveTransfer(); t != nil {
		parts = append(parts, fmt.Sprintf("transfer %s → %s", known.Agent(t.From), known.Target(t.To)))
	}
	fmt.Fprintf(w, "%s  %3d  %-8s  %s\n", time.Now().Format("15:04:05"), record.Revision, record.Status, cli.OneLine(strings.Join(parts, "; ")))
}

func listCommand(c *cli.Env) *cobra.Command {
	var query string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List conversations by their search attributes", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 {
				return cli.WrongUsage("--limit is %d: use 1 or more", limit)
			}
			return c.WithClient(cmd.Context(), func(ctx context.Context, b *baton.Client) error {
				found := []baton.ConversationInfo{}
				for info, err := range b.List(ctx, query) {
					if err != nil {
						return err
					}
					if found = append(found, info); len(found) == limit {
						break
					}
				}
				known := c.Names(ctx)
				return c.Print(found, func(w io.Writer) {
					var rows [][]string
					for _, l := range found {
						rows = append(rows, []string{
							l.Conversation, cli.Dash(l.Status), cli.Dash(l.Channel), cli.Dash(known.Queue(l.Queue)),
							cli.Dash(known.Agents(l.Agents)), cli.Dash(known.Agents(l.Wrapping)), strconv.Itoa(l.Transfers), cli.Moment(l.StartedAt),
						})
					}
					cli.Table(w, []string{"CONVERSATION", "STATUS", "CHANNEL", "QUEUE", "AGENTS", "WRAPPING", "TRANSFERS", "STARTED"}, rows)
				})
			})
		},
	}
	cmd.Flags().StringVar(&query, "query", "", `list filter, as in 'ConversationStatus = "active" AND ConversationAgents = "alice"'`)
	cmd.Flags().IntVar(&limit, "limit", 100, "maximum number of conversations")
	return cmd
}
