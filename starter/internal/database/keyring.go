package database

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// Keyring returns the command `baton keyring`.
func Keyring(c *cli.Env) *cobra.Command {
	var id string
	cmd := &cobra.Command{
		Use: "keyring", Short: "Show the IDs of the encryption keys, or create a key", Args: cobra.NoArgs,
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
		Use: "new", Short: "Create a key for BATON_ENCRYPTION_KEYS and print it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := codec.FreshKey(id)
			if err != nil {
				return cli.WrongUsage("--id: %w", err)
			}
			c.Security().Write(c.WithOrigin(cmd.Context()), seclog.Entry{Event: seclog.SecretShown, Subject: "encryption_key"})
			return c.Print(map[string]string{"key": key}, func(w io.Writer) { fmt.Fprintln(w, key) })
		},
	}
	fresh.Flags().StringVar(&id, "id", time.Now().UTC().Format("2006-01-02"), "ID of the key, which is stored with encrypted data")
	cmd.AddCommand(fresh)
	return cmd
}

// sealDesk returns the command `baton desk seal`.
func sealDesk(c *cli.Env) *cobra.Command {
	return &cobra.Command{
		Use: "seal", Short: "Encrypt the texts of the desk that are clear or encrypted with an older key", Args: cobra.NoArgs,
		Long: "Encrypts messages, notes, names and secrets that are clear, or encrypted with another key, with the first of the\n" +
			"configured keys. It may run while everything is running, and as often as you like.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("timeout") {
				c.Timeout = 24 * time.Hour // a desk may be large
			}
			return c.OnDesk(func(ctx context.Context, d *desk.Desk, _ []string) error {
				sealed, left, err := desk.Reseal(ctx, d)
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
	cmd := &cobra.Command{Use: "desk", Short: "Manage the desk's database"}
	cmd.AddCommand(migrateDesk(c), grantDesk(c), copyDesk(c), sealDesk(c), reconcileDesk(c), restoredDesk(c))
	return cmd
}
