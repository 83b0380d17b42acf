package conversations

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func findCommand(c *cli.Env) *cobra.Command {
	var filter records.Filter
	var status string
	var limit int
	cmd := &cobra.Command{
		Use: "find TEXT", Short: "Find conversations by customer name, address, participant, message text or SID",
		Long: "Find conversations by customer name, address, participant, message text or SID, the newest first.\n" +
			"Case, diacritics, full-width forms, repeated spaces and the separators of telephone numbers do not matter.\n" +
			"WHO is the holder, the queue where the conversation waits, or the last holder of a closed conversation.",
		Args: func(_ *cobra.Command, args []string) error {
			if strings.TrimSpace(strings.Join(args, " ")) == "" {
				return cli.WrongUsage("no text to find: name a customer, an address, a part of a message or a SID")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			filter.Status = conversation.ConversationStatus(status)
			statuses := []conversation.ConversationStatus{"", conversation.ConversationActive, conversation.ConversationWrapping, conversation.ConversationClosed}
			if !slices.Contains(statuses, filter.Status) {
				return cli.WrongUsage("--status is %q: use active, wrapping or closed", status)
			}
			if limit < 1 || limit > desk.MaxPage {
				return cli.WrongUsage("--limit is %d: use 1 to %d", limit, desk.MaxPage)
			}
			return c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
				found, err := findAll(ctx, d, filter, strings.Join(args, " "), limit)
				if err == nil && len(found) == 0 {
					err = cli.RequireKnown(ctx, d, filter.Agent, filter.Queue)
				}
				if err != nil {
					return err
				}
				c.Security().Write(ctx, seclog.Entry{Event: seclog.Search, Subject: "conversations"})
				known, err := cli.ReadNames(ctx, d)
				if err != nil {
					return err
				}
				return c.Print(found, func(w io.Writer) { showFound(w, found, known) })
			})(cmd, args)
		},
	}
	cmd.Flags().StringVar(&status, "status", "", "only active, wrapping or closed conversations")
	cmd.Flags().StringVar(&filter.Agent, "agent", "", "only conversations of this agent")
	cmd.Flags().StringVar(&filter.Queue, "queue", "", "only conversations in this queue")
	cmd.Flags().IntVar(&limit, "limit", 50, "maximum number of conversations")
	return cmd
}

// findAll reads pages until it has the wanted number of matches, because one search stops at the desk's limits.
func findAll(ctx context.Context, d *desk.Desk, filter records.Filter, text string, limit int) ([]records.Match, error) {
	found := []records.Match{}
	page := desk.Page{Limit: limit}
	for {
		some, err := records.ConversationPage(ctx, d, filter, text, page)
		if err != nil {
			return nil, err
		}
		found = append(found, some.Entries...)
		if !some.More || len(found) >= limit {
			return found, nil
		}
		page = desk.Page{Limit: limit - len(found), After: &some.Last}
	}
}

func showFound(w io.Writer, found []records.Match, known cli.Names) {
	if len(found) == 0 {
		fmt.Fprintln(w, "no conversation found")
		return
	}
	var rows [][]string
	for _, m := range found {
		var holders []string
		for _, t := range m.Live {
			holders = append(holders, known.Holder(t.Agent, t.Queue))
		}
		if len(holders) == 0 {
			holders = []string{known.Holder(m.LastAgent, m.LastQueue)}
		}
		rows = append(rows, []string{
			m.SID, string(m.Status), string(m.Channel), cli.Dash(m.Customer.Name), cli.Dash(strings.Join(holders, ",")), strconv.Itoa(m.Messages),
			cli.Moment(m.CreatedAt),
			string(m.Excerpt.In), cli.OneLine(m.Excerpt.Before + m.Excerpt.Match + m.Excerpt.After),
		})
	}
	cli.Table(w, []string{"CONVERSATION", "STATUS", "CHANNEL", "CUSTOMER", "WHO", "MESSAGES", "BEGAN", "FOUND IN", "LINE"}, rows)
}
