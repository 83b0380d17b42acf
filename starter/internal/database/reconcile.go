package database

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// reconciled is the result of comparing conversations with the desk.
type reconciled struct {
	// Compared is how many conversations were compared.
	Compared int `json:"compared"`
	// Repaired are the conversations that differed at the desk and agree now.
	Repaired []reconciledConversation `json:"repaired"`
	// Failed are the conversations that could not be compared or still differ at the desk.
	Failed []reconciledConversation `json:"failed"`
}

type reconciledConversation struct {
	Conversation string `json:"conversation"`
	// Outcome is resynced, ended or released after a repair, and the error otherwise.
	Outcome string `json:"outcome"`
}

func reconcileDesk(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "reconcile", Short: "Compare the desk with the conversations and repair it", Args: cobra.NoArgs,
		Long: "Compares every open conversation of the desk with its workflow, and every running workflow with the desk, and repairs\n" +
			"the desk. resynced: the workflow sent its snapshot again. ended: the conversation had ended, and the desk has its end.\n" +
			"released: the workflow was ended from outside, and the desk has closed the conversation and freed its agents. Workers\n" +
			"do the same all the time, at a low rate.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.WithBoth(cmd.Context(), func(ctx context.Context, b *baton.Client, d *desk.Desk) error {
				done := reconciled{Repaired: []reconciledConversation{}, Failed: []reconciledConversation{}}
				err := reconcile.New(b, d, reconcile.Options{}).All(ctx, done.add)
				if err != nil {
					return err
				}
				if err := c.Print(done, done.show); err != nil {
					return err
				}
				if len(done.Failed) > 0 {
					return fmt.Errorf("%d conversations could not be repaired: see that workers run and the desk's database answers, then run it again", len(done.Failed))
				}
				return nil
			})
		},
	}
}

func (r *reconciled) add(sid string, outcome reconcile.Outcome, err error) {
	r.Compared++
	switch {
	case err != nil:
		r.Failed = append(r.Failed, reconciledConversation{sid, err.Error()})
	case outcome == reconcile.Differs:
		r.Failed = append(r.Failed, reconciledConversation{sid, "it was asked to show itself, and the desk does not show it as it is yet"})
	case outcome != reconcile.Agrees:
		r.Repaired = append(r.Repaired, reconciledConversation{sid, string(outcome)})
	}
}

func (r *reconciled) show(w io.Writer) {
	for _, repaired := range r.Repaired {
		fmt.Fprintf(w, "%s  %s\n", repaired.Conversation, repaired.Outcome)
	}
	for _, failed := range r.Failed {
		fmt.Fprintf(w, "%s  not repaired: %s\n", failed.Conversation, cli.OneLine(failed.Outcome))
	}
	fmt.Fprintf(w, "conversations compared: %d, repaired: %d, not repaired: %d\n", r.Compared, len(r.Repaired), len(r.Failed))
}

func restoredDesk(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "restored", Short: "Report that the desk's database was restored from a backup", Args: cobra.NoArgs,
		Long: "Run this after each restore of the desk's database, before workers and gateways start. New events get SIDs of a new\n" +
			"epoch, so that receivers of webhooks do not take them for earlier events, and workers compare every open conversation\n" +
			"with the desk at once.",
		RunE: c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
			if err := desk.Restored(ctx, d); err != nil {
				return err
			}
			return c.Print(map[string]bool{"restored": true}, func(w io.Writer) {
				fmt.Fprintln(w, "events have SIDs of a new epoch; workers compare every open conversation as soon as they run, as `baton desk reconcile` does")
			})
		}),
	}
}
