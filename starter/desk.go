package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/seclog"
)

func (c *cli) transcript() *cobra.Command {
	var as string
	cmd := &cobra.Command{
		Use: "transcript CH…", Short: "Show what was written, and the notes", Args: oneConversation,
		RunE: func(cmd *cobra.Command, args []string) error {
			reader := desk.AsSystem()
			switch as {
			case "":
			case desk.FromCustomer:
				reader = desk.AsCustomer()
			default:
				reader = desk.AsAgent(as)
			}
			read := func(ctx context.Context, d *desk.Desk) error { return c.readTranscript(ctx, d, args[0], reader) }
			err := c.withDesk(cmd.Context(), false, read)
			if conversation.CodeOf(err) != conversation.CodeNotYourTask {
				return err
			}
			// The agent may have received the conversation just now, and the desk may be behind. If the server
			// cannot be reached, the command returns the first error.
			behind := c.withBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				return caughtUp(ctx, b, d, args[0])
			})
			if behind != nil {
				return err
			}
			return c.withDesk(cmd.Context(), false, read)
		},
	}
	cmd.Flags().StringVar(&as, "as", "", "read as customer or as this agent (default: everything)")
	return cmd
}

func (c *cli) readTranscript(ctx context.Context, d *desk.Desk, sid string, reader desk.Reader) error {
	messages, err := d.Transcript(ctx, sid, reader)
	if err != nil {
		return err
	}
	var notes []conversation.Note
	if reader != desk.AsCustomer() { // customers never see notes
		if notes, err = d.Notes(ctx, sid, reader); err != nil {
			return err
		}
	}
	c.security().Write(ctx, seclog.Entry{Event: seclog.Export, Subject: sid, Reason: "transcript"})
	read := struct {
		Messages []desk.Message      `json:"messages"`
		Notes    []conversation.Note `json:"notes"`
	}{messages, notes}
	known, err := readNames(ctx, d)
	if err != nil {
		return err
	}
	return c.print(read, func(w io.Writer) { showTranscript(w, messages, notes, known) })
}

func showTranscript(w io.Writer, messages []desk.Message, notes []conversation.Note, known names) {
	for _, m := range messages {
		fmt.Fprintf(w, "%s  %s: %s\n", clock(m.At), oneLine(known.author(m.From)), oneLine(m.Text))
	}
	for _, n := range notes {
		fmt.Fprintf(w, "%s  note of %s (%s): %s\n", clock(n.CreatedAt), oneLine(known.agent(n.Author)), n.Kind, oneLine(n.Text))
	}
}

func (c *cli) offers() *cobra.Command {
	var agent string
	cmd := &cobra.Command{
		Use: "offers --agent AGENT", Short: "Show what an agent is offered: history and note together", Args: cobra.NoArgs,
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			offers, err := d.Offers(ctx, agent)
			if err != nil {
				return err
			}
			known, err := readNames(ctx, d)
			if err != nil {
				return err
			}
			return c.print(offers, func(w io.Writer) {
				for _, o := range offers {
					from := "the queue " + known.queue(o.Task.Queue)
					if o.Transfer != nil {
						from = known.agent(o.Transfer.From)
					}
					fmt.Fprintf(w, "%s  task %s from %s, until %s\n", o.Conversation.SID, o.Task.SID, oneLine(from), clock(o.Task.Reservation.ExpiresAt))
					showTranscript(w, o.Transcript, o.Notes, known)
				}
				if len(offers) == 0 {
					fmt.Fprintf(w, "%s has no offers\n", oneLine(known.agent(agent)))
				}
			})
		}),
	}
	return agentFlag(cmd, &agent)
}

func (c *cli) note() *cobra.Command {
	var author string
	cmd := &cobra.Command{
		Use: "note CH… --author AGENT TEXT", Short: "Store a note at the desk and print its SID, for a transfer to name",
		Args: conversationAndText,
		RunE: c.onDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			sid, err := d.StoreNote(ctx, args[0], author, strings.Join(args[1:], " "))
			if err != nil {
				return err
			}
			return c.print(map[string]string{"sid": sid}, func(w io.Writer) { fmt.Fprintln(w, sid) })
		}),
	}
	cmd.Flags().StringVar(&author, "author", "", "the agent who writes it")
	required(cmd, "author")
	return cmd
}
