package database

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// Keyring returns the command `baton keyring`.
func Keyring(c *cli.Env) *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "keyring", Short: "Show which encryption keys are configured, by their IDs, or make one", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := config.LoadKeys(c.Getenv)
			if err != nil {
				return err
			}
			return c.Print(map[string][]string{"keys": keys.IDs()}, func(w io.Writer) {
				for i, id := range keys.IDs() {
					does := "decrypts"
					if i == 0 {
						does = "encrypts and decrypts"
					}
					fmt.Fprintf(w, "%s  %s\n", id, does)
				}
				if keys.Empty() {
					fmt.Fprintln(w, "no keys are configured: nothing is encrypted")
				}
			})
		},
	}
	fresh := &cobra.Command{
		Use: "new", Short: "Print a new key, for BATON_ENCRYPTION_KEYS: keep it where you keep secrets", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := codec.FreshKey(id)
			if err != nil {
				return cli.WrongUsage("--id: %w", err)
			}
			c.Security().Write(c.WithOrigin(cmd.Context()), seclog.Entry{Event: seclog.SecretShown, Subject: "encryption_key"})
			return c.Print(map[string]string{"key": key}, func(w io.Writer) { fmt.Fprintln(w, key) })
		},
	}
	fresh.Flags().StringVar(&id, "id", time.Now().UTC().Format("2006-01-02"), "what the key is called, beside what it has encrypted")
	cmd.AddCommand(fresh)
	return cmd
}

// sealDesk returns the command `baton desk seal`.
func sealDesk(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "seal", Short: "Encrypt what the desk keeps clear, or encrypted with an older key", Args: cobra.NoArgs,
		Long: "Encrypts, with the first of the configured keys, what customers and agents wrote and the desk's secrets, where they are\n" +
			"clear or were encrypted with another key. It may run while everything is at work, and any number of times.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour // a desk may be large
			}
			return c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
				sealed, left, err := d.Reseal(ctx)
				if err != nil {
					return err
				}
				return c.Print(map[string]any{"sealed": sealed, "left": left}, func(w io.Writer) {
					fmt.Fprintf(w, "%d texts were encrypted with the newest key\n", sealed)
					if left != "" {
						fmt.Fprintf(w, "left: %s\n", left)
					}
				})
			})(cmd, args)
		},
	}
}

// Desk returns the command `baton desk`, with the commands for the desk's database.
func Desk(c *cli.Env) *cobra.Command {
	cmd := &cobra.Command{Use: "desk", Short: "Look after the desk's database"}
	cmd.AddCommand(migrateDesk(c), grantDesk(c), copyDesk(c), sealDesk(c), reconcileDesk(c), restoredDesk(c))
	return cmd
}
