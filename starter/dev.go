package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/serve"
)

func (c *cli) dev() *cobra.Command {
	var temporal, ui, health string
	cmd := &cobra.Command{
		Use: "dev", Short: "Run everything on this machine until Ctrl-C: Temporal server, Web UI, desk, worker",
		Long: "Runs the pinned Temporal dev server with its Web UI, the desk and a worker, with everything kept in the\n" +
			"data folder: stopped and started again, every conversation goes on. On an empty desk it creates the demo\n" +
			"people: alice (queue support) and bob (queue billing), both available, and the supervisor carol.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runDev(cmd.Context(), temporal, ui, health) },
	}
	cmd.Flags().StringVar(&temporal, "temporal", config.DefaultTemporal, "where the Temporal server listens")
	cmd.Flags().StringVar(&ui, "ui", config.DefaultUI, "where the Temporal Web UI listens")
	cmd.Flags().StringVar(&health, "http", "", "where /healthz is served (default: nowhere)")
	return cmd
}

func (c *cli) runDev(ctx context.Context, temporal, ui, health string) (err error) {
	logger := slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	data := config.Data(c.getenv, c.data)
	database := cmp.Or(c.getenv("BATON_DATABASE"), config.Database(data))
	h, err := runHere(ctx, place{
		data: data, database: database, temporal: temporal, ui: ui, progress: c.stderr, logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	if err := config.NoteAddress(data, h.server.Address); err != nil {
		return err
	}
	running := map[string]string{"temporal": h.server.Address, "ui": h.server.UIURL, "database": database}
	if health != "" {
		address, err := serve.ServeHealth(ctx, health, h.temporal, h.desk, logger)
		if err != nil {
			return err
		}
		running["health"] = "http://" + address.String() + "/healthz"
	}
	err = c.print(running, func(w io.Writer) {
		fmt.Fprintf(w, "Temporal server  %s\nTemporal Web UI  %s\nDesk             %s\n", h.server.Address, h.server.UIURL, database)
		if running["health"] != "" {
			fmt.Fprintf(w, "Health           %s\n", running["health"])
		}
		fmt.Fprintln(w, "Everything runs. Ctrl-C stops it; started again, every conversation goes on.")
	})
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.stderr, "stopping")
		return nil
	case <-h.server.Done():
		return fmt.Errorf("the Temporal server has ended: start `starter dev` again, every conversation goes on: %w", h.server.Err())
	}
}
