// Command gateway serves Baton over HTTP: the Twilio-compatible API, its webhooks and the pages, until SIGINT or
// SIGTERM. Any number of gateways can run. BATON_HTTP is the address that it listens on, BATON_DATABASE names the
// desk's database, and Temporal's environment configuration (TEMPORAL_*) the server. A proxy in front of it
// terminates TLS.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/baton-transfers/baton/internal/build"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/web/identity"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) (err error) {
	built, err := build.Read()
	if err != nil {
		return err
	}
	if slices.Equal(args, []string{"--version"}) {
		fmt.Fprintln(stdout, "gateway", built)
		return nil
	}
	if len(args) > 0 {
		return errors.New("gateway takes no argument but --version: BATON_HTTP says where it listens, BATON_DATABASE names the desk, TEMPORAL_ADDRESS the server")
	}
	gateway, err := config.LoadGateway(getenv)
	if err != nil {
		return err
	}
	if err := config.CheckReach("BATON_HTTP", gateway.Address, gateway.URL); err != nil {
		return err
	}
	p, err := serve.Open(ctx, getenv, stderr, "gateway", built.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	g, err := serve.StartGateway(ctx, p.Temporal, p.Desk, serve.GatewayOptions{
		Address: gateway.Address, WebhookAllow: gateway.WebhookAllow, WebhookRedirects: gateway.WebhookRedirects,
		URL: gateway.URL, Identity: identity.Options{
			Issuer: gateway.OIDC.Issuer, ClientID: gateway.OIDC.ClientID, ClientSecret: gateway.OIDC.ClientSecret,
			Claim: gateway.OIDC.Claim, Domain: gateway.OIDC.Domain,
		},
		TrustedProxies: gateway.TrustedProxies, Limits: gateway.Limits,
		SessionIdle: gateway.SessionIdle, TemporalUI: gateway.TemporalUI, Keys: p.Keys, CodecOrigins: gateway.CodecOrigins, Logger: p.Logger, Telemetry: p.Telemetry,
	})
	if err != nil {
		return err
	}
	p.Logger.Info("gateway started", "url", g.URL, "database", p.Database, "metrics", p.Telemetry.URL)
	<-ctx.Done()
	return g.Stop(ctx)
}
