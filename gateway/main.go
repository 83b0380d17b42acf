// Command gateway serves Baton over HTTP: the Twilio-compatible API and its webhooks, until SIGINT or
// SIGTERM. Any number of them may run; BATON_HTTP says where it listens, BATON_DATABASE names the desk,
// Temporal's own environment configuration (TEMPORAL_*) the server. TLS is the proxy's in front of it.
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

	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stderr io.Writer) (err error) {
	if len(args) > 0 {
		return errors.New("gateway takes no arguments: BATON_HTTP says where it listens, BATON_DATABASE names the desk, TEMPORAL_ADDRESS the server")
	}
	logger := slog.New(slog.NewJSONHandler(stderr, nil))
	settings, err := config.Load(getenv, "")
	if err != nil {
		return err
	}
	gateway, err := config.LoadGateway(getenv)
	if err != nil {
		return err
	}
	d, err := desk.Open(ctx, settings.Database, desk.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	c, err := temporalenv.Dial(ctx, temporalenv.Options{Address: settings.Temporal, Namespace: settings.Namespace, Logger: logger})
	if err != nil {
		return err
	}
	defer c.Close()
	g, err := serve.StartGateway(ctx, c, d, serve.GatewayOptions{
		Address: gateway.Address, WebhookAllow: gateway.WebhookAllow, WebhookRedirects: gateway.WebhookRedirects, Logger: logger,
	})
	if err != nil {
		return err
	}
	logger.Info("The gateway runs", "url", g.URL, "database", settings.Database)
	<-ctx.Done()
	return g.Stop(ctx)
}
