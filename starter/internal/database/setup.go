package database

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/workflows"
)

// Setup returns the command `baton setup`.
func Setup(c *cli.Env) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "setup", Short: "Register the search attributes and create or migrate the desk", Args: cobra.NoArgs,
		Long: "Registers the search attributes on the namespace and creates or migrates the desk. A repeated run changes nothing.\n" +
			"With --grant it also does what `baton desk grants` does: here BATON_DATABASE must name the owner of the tables, while\n" +
			"workers and gateways use the role.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.Connected(cmd.Context(), func(ctx context.Context, temporal client.Client) error {
				return devserver.RegisterSearchAttributes(ctx, temporal, temporalenv.Namespace(c.Namespace), workflows.SearchAttributes())
			})
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour // the migration of a large desk takes long
			}
			if err := c.WithDesk(cmd.Context(), true, func(context.Context, *desk.Desk) error { return nil }); err != nil {
				return err
			}
			done := struct {
				SearchAttributes string        `json:"search_attributes"`
				Desk             string        `json:"desk"`
				Granted          *desk.Granted `json:"granted,omitempty"`
			}{SearchAttributes: "registered", Desk: "migrated"}
			if role != "" {
				granted, err := grant(cmd.Context(), c, role)
				if err != nil {
					return err
				}
				done.Granted = &granted
			}
			return c.Print(done, func(w io.Writer) {
				fmt.Fprintln(w, "the search attributes are registered, the desk is up to date")
				if done.Granted != nil {
					printGranted(w, *done.Granted)
				}
			})
		},
	}
	cmd.Flags().StringVar(&role, "grant", "", "PostgreSQL `role` of workers and gateways, as baton_run")
	return cmd
}
