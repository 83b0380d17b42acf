package conversations

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func transcriptCommand(c *cli.Env) *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use: "transcript CH…", Short: "Show the transcript and the notes of a conversation", Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			reader := records.AsSystem()
			switch as {
			case "":
			case records.FromCustomer:
				reader = records.AsCustomer()
			default:
				reader = records.AsAgent(as)
			}
			read := func(ctx context.Context, d *desk.Desk) error { return readTranscript(ctx, c, d, args[0], reader) }
			err := c.WithDesk(cmd.Context(), false, read)
			if conversation.CodeOf(err) != conversation.CodeNotYourTask {
				return err
			}
			// The agent may have received the conversation just now, and the desk may be behind. If the server
			// cannot be reached, the command returns the first error.
			behind := c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				return commands.CaughtUp(ctx, b, d, args[0])
			})
			if behind != nil {
				return err
			}
			return c.WithDesk(cmd.Context(), false, read)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "read as the customer or as this agent (default: read everything)")
	return cmd
}

func readTranscript(ctx context.Context, c *cli.Env, d *desk.Desk, sid string, reader records.Reader) error {
	messages, err := records.ReadTranscript(ctx, d, sid, reader)
	if err != nil {
		return err
	}
	var notes []conversation.Note
	if reader != records.AsCustomer() { // customers never see notes
		if notes, err = records.ListNotes(ctx, d, sid, reader); err != nil {
			return err
		}
	}
	c.Security().Write(ctx, seclog.Entry{Event: seclog.Export, Subject: sid, Reason: "transcript"})
	read := struct {
		Messages []records.Message   `json:"messages"`
		Notes    []conversation.Note `json:"notes"`
	}{messages, notes}
	known, err := cli.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(read, func(w io.Writer) { showTranscript(w, messages, notes, known) })
}

func showTranscript(w io.Writer, messages []records.Message, notes []conversation.Note, known cli.Names) {
	for _, m := range messages {
		fmt.Fprintf(w, "%s  %s: %s\n", cli.Clock(m.At), cli.OneLine(known.Author(m.From)), cli.OneLine(m.Text))
	}
	for _, n := range notes {
		fmt.Fprintf(w, "%s  note of %s (%s): %s\n", cli.Clock(n.CreatedAt), cli.OneLine(known.Agent(n.Author)), n.Kind, cli.OneLine(n.Text))
	}
}

func offersCommand(c *cli.Env) *cobra.Command {
	var agent string
	cmd := &cobra.Command{
		Use: "offers --agent AGENT", Short: "Show the offers to an agent, with transcript and note", Args: cobra.NoArgs,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			offers, err := routing.ListOffers(ctx, d, agent)
			if err != nil {
				return err
			}
			known, err := cli.ReadNames(ctx, d)
			if err != nil {
				return err
			}
			return c.Print(offers, func(w io.Writer) {
				for _, o := range offers {
					from := "the queue " + known.Queue(o.Task.Queue)
					if o.Transfer != nil {
						from = known.Agent(o.Transfer.From)
					}
					fmt.Fprintf(w, "%s  task %s from %s, until %s\n", o.Conversation.SID, o.Task.SID, cli.OneLine(from), cli.Clock(o.Task.Reservation.ExpiresAt))
					showTranscript(w, o.Transcript, o.Notes, known)
				}
				if len(offers) == 0 {
					fmt.Fprintf(w, "%s has no offers\n", cli.OneLine(known.Agent(agent)))
				}
			})
		}),
	}
	return agentFlag(cmd, &agent)
}

func noteCommand(c *cli.Env) *cobra.Command {
	var author string
	cmd := &cobra.Command{
		Use: "note CH… --author AGENT TEXT", Short: "Store a note at the desk and print its SID, for a later transfer",
		Args: conversationAndText,
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			sid, err := records.StoreNote(ctx, d, args[0], author, strings.Join(args[1:], " "))
			if err != nil {
				return err
			}
			return c.Print(map[string]string{"sid": sid}, func(w io.Writer) { fmt.Fprintln(w, sid) })
		}),
	}
	cmd.Flags().StringVar(&author, "author", "", "the agent who writes it")
	cli.Required(cmd, "author")
	return cmd
}
