// Package database has the commands for what an installation stores: the tables of the desk, its encryption keys, and
// the search attributes of the namespace.
//
// Must not import: the other packages with commands.
package database

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

func migrateDesk(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "migrate", Short: "Create or migrate the desk's tables", Args: cobra.NoArgs,
		Long: "Creates the tables of the database in BATON_DATABASE, or migrates them, and prints the versions before and after.\n" +
			"Every program does this when it starts; this command does it earlier. It has no time limit.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			if err := cli.MakeFolder(settings.Database); err != nil {
				return err
			}
			before, after, err := desk.Migrate(cmd.Context(), settings.Database)
			if err != nil {
				return err
			}
			migrated := struct {
				Database string `json:"database"`
				Before   int64  `json:"before"`
				After    int64  `json:"after"`
			}{desk.Named(settings.Database), before, after}
			return c.Print(migrated, func(w io.Writer) {
				if before == after {
					fmt.Fprintf(w, "%s: the tables are version %d already\n", migrated.Database, after)
					return
				}
				fmt.Fprintf(w, "%s: the tables were version %d, and are version %d now\n", migrated.Database, before, after)
			})
		},
	}
}

func grantDesk(c *cli.Env) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "grants --role ROLE", Short: "Grant a PostgreSQL role what workers and gateways need", Args: cobra.NoArgs,
		Long: "Migrates the tables and grants the role SELECT, INSERT, UPDATE and DELETE on them and on the tables of later versions.\n" +
			"BATON_DATABASE must name the owner of the tables, here and for `baton desk migrate`; workers and gateways then use the\n" +
			"role. The role must exist: CREATE ROLE baton_run LOGIN PASSWORD '…'.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			granted, err := grant(cmd.Context(), c, role)
			if err != nil {
				return err
			}
			return c.Print(granted, func(w io.Writer) {
				for _, statement := range granted.Statements {
					fmt.Fprintln(w, statement+";")
				}
				printGranted(w, granted)
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "PostgreSQL `role`, as baton_run")
	cli.Required(cmd, "role")
	return cmd
}

// grant gives the role the privileges to run workers and gateways. It connects to BATON_DATABASE as the owner of
// the tables.
func grant(ctx context.Context, c *cli.Env, role string) (desk.Granted, error) {
	settings, err := c.Config()
	if err != nil {
		return desk.Granted{}, err
	}
	return desk.Grant(ctx, settings.Database, role)
}

func printGranted(w io.Writer, granted desk.Granted) {
	fmt.Fprintf(w, "%s may run workers and gateways\n", granted.Role)
	if granted.MayCreate {
		fmt.Fprintln(w, "It may still make tables: run REVOKE CREATE ON SCHEMA public FROM PUBLIC as the schema's owner")
	}
}

func copyDesk(c *cli.Env) *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use: "copy --to postgres://USER@HOST/DATABASE", Short: "Copy an embedded desk to an empty PostgreSQL database", Args: cobra.NoArgs,
		Long: "Copies an embedded desk to an empty PostgreSQL database, completely or not at all, reads the copy back, and prints\n" +
			"rows and checksum of each table, which are the same on both.\n" +
			"\n" +
			"Stop every worker and gateway first. If one of them has the desk open, the command refuses, because its later changes\n" +
			"would be lost. Then start them with BATON_DATABASE set to the new database, and they continue every conversation. The\n" +
			"file is not changed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := c.Config()
			if err != nil {
				return err
			}
			from := cmp.Or(from, settings.Database)
			for flag, database := range map[string]string{"--from": from, "--to": to} {
				if err := config.CheckDatabase(flag, database); err != nil {
					return err
				}
			}
			if err := cli.RequireFile(from); err != nil {
				return err
			}
			tables, err := desk.Copy(cmd.Context(), from, to)
			if err != nil {
				return err
			}
			c.Security().Write(c.WithOrigin(cmd.Context()), seclog.Entry{Event: seclog.Export, Subject: "desk", Reason: "copy"})
			return c.Print(tables, func(w io.Writer) {
				rows, total := make([][]string, len(tables)), int64(0)
				for i, t := range tables {
					rows[i] = []string{t.Name, strconv.FormatInt(t.Rows, 10), t.Checksum}
					total += t.Rows
				}
				cli.Table(w, []string{"TABLE", "ROWS", "CHECKSUM"}, rows)
				fmt.Fprintf(w, "%d rows of %s are in %s, and were read back the same\n", total, desk.Named(from), desk.Named(to))
			})
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "the embedded `database`, as sqlite:PATH (default: BATON_DATABASE, else the one in the data folder)")
	cmd.Flags().StringVar(&to, "to", "", "the empty `database`, as postgres://USER@HOST/DATABASE; its password may come from PGPASSWORD")
	cli.Required(cmd, "to")
	return cmd
}
