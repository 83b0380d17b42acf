package admin

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func queuesCommand(c *cli.Env) *cobra.Command {
	show := c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error { return showQueues(ctx, c, d) })
	cmd := &cobra.Command{Use: "queues", Short: "Show, add, change or remove queues", Args: cobra.NoArgs, RunE: show}
	var members []string
	var friendly string
	add := &cobra.Command{
		Use: "add NAME", Short: "Add a queue", Args: name("queue"), Long: addedName("Add a queue.", "Возвраты", "vozvraty"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			unique, shown := namesOf(args[0], friendly)
			if err := people.CreateQueue(ctx, d, people.NewQueue{Name: unique, FriendlyName: shown, Members: members}); err != nil {
				return err
			}
			return showQueues(ctx, c, d)
		}),
	}
	add.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script (default: NAME)")
	set := &cobra.Command{
		Use: "set NAME --member AGENT", Short: "Replace the members of a queue or set its friendly name", Args: name("queue"),
	}
	set.RunE = c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
		change := people.QueueChange{}
		if set.Flags().Changed("friendly-name") {
			change.FriendlyName = &friendly
		}
		if set.Flags().Changed("member") || change.FriendlyName == nil {
			change.Members = &members
		}
		if err := people.UpdateQueue(ctx, d, args[0], change); err != nil {
			return err
		}
		return showQueues(ctx, c, d)
	})
	set.Flags().StringVar(&friendly, "friendly-name", "", "the name that people read, in any script")
	for _, command := range []*cobra.Command{add, set} {
		command.Flags().StringSliceVar(&members, "member", nil, "an agent on the queue; may be repeated")
	}
	cmd.AddCommand(add, set, &cobra.Command{
		Use: "remove NAME", Short: "Remove a queue that has no tasks", Args: name("queue"),
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, args []string) error {
			if err := people.RemoveQueue(ctx, d, args[0]); err != nil {
				return err
			}
			return showQueues(ctx, c, d)
		}),
	})
	return cmd
}

func showQueues(ctx context.Context, c *cli.Env, d *desk.Desk) error {
	queues, err := people.ListQueues(ctx, d)
	if err != nil {
		return err
	}
	known, err := cli.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	return c.Print(queues, func(w io.Writer) {
		var rows [][]string
		for _, q := range queues {
			rows = append(rows, []string{q.Name, shownAs(q.FriendlyName, q.Name), cli.Dash(known.Agents(q.Members)), strconv.Itoa(q.Waiting), cli.Clock(q.WaitingSince)})
		}
		cli.Table(w, []string{"QUEUE", "FRIENDLY NAME", "MEMBERS", "WAITING", "SINCE"}, rows)
	})
}
