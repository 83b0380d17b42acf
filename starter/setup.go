package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

func (c *cli) setup() *cobra.Command {
	return &cobra.Command{
		Use: "setup", Short: "Register the search attributes on the namespace and create or migrate the desk", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := c.connected(cmd.Context(), func(ctx context.Context, temporal client.Client) error {
				return devserver.RegisterSearchAttributes(ctx, temporal, temporalenv.Namespace(c.namespace), workflows.SearchAttributes())
			})
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("timeout") {
				c.timeout = 24 * time.Hour // a large desk is migrated for long
			}
			if err := c.withDesk(cmd.Context(), true, func(context.Context, *desk.Desk) error { return nil }); err != nil {
				return err
			}
			done := map[string]string{"search_attributes": "registered", "desk": "migrated"}
			return c.print(done, func(w io.Writer) { fmt.Fprintln(w, "the search attributes are registered, the desk is up to date") })
		},
	}
}
