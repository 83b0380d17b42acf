// Command embed runs Baton's conversations in a Temporal worker of its own, until SIGINT or SIGTERM. TEMPORAL_ADDRESS
// names the Temporal server, BATON_DATABASE the desk's database, and BATON_ENCRYPTION_KEYS the keys, if there are any.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/batonworker"
	"github.com/baton-transfers/baton/codec"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	keys, err := codec.ParseKeyRing(getenv("BATON_ENCRYPTION_KEYS"))
	if err != nil {
		return fmt.Errorf("BATON_ENCRYPTION_KEYS: %w", err)
	}
	temporal, err := client.DialContext(ctx, codec.ClientOptions(keys, client.Options{HostPort: getenv("TEMPORAL_ADDRESS")}))
	if err != nil {
		return fmt.Errorf("connect to Temporal: %w", err)
	}
	defer temporal.Close()
	desk, err := batonworker.OpenDesk(ctx, getenv("BATON_DATABASE"), batonworker.DeskOptions{Keys: keys, Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	worker, err := batonworker.Start(ctx, temporal, desk, batonworker.Options{Keys: keys, Logger: logger})
	if err != nil {
		return err
	}
	defer worker.Stop()
	fmt.Fprintln(stdout, "Conversations run here. Ctrl-C stops the worker.")
	<-ctx.Done()
	return nil
}
