package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/codecserver"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/starter/internal/cli"
)

// Dev returns the command `baton dev`.
func Dev(c *cli.Env) *cobra.Command {
	var temporal, ui, address string
	cmd := &cobra.Command{
		Use: "dev", Short: "Run Temporal server, Web UI, desk, worker, pages and HTTP API on this machine until Ctrl-C",
		Long: "Runs the pinned Temporal dev server with its Web UI, the desk, a worker and the gateway. All data are in the data\n" +
			"folder, and the next start continues every conversation. An empty desk gets the people of the demo: alice (queue\n" +
			"support) and bob (queue billing), both available, and the supervisor carol. Webhooks may be sent to this machine.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDev(cmd.Context(), c, temporal, ui, address, cmd.Flags().Changed("http"))
		},
	}
	cmd.Flags().StringVar(&temporal, "temporal", config.DefaultTemporal, "address of the Temporal server")
	cmd.Flags().StringVar(&ui, "ui", config.DefaultUI, "address of the Temporal Web UI")
	cmd.Flags().StringVar(&address, "http", config.DefaultHTTP, "address of the pages and the HTTP API; if the default port is taken, a free one")
	return cmd
}

// loopback lists the addresses that webhooks of a dev machine may go to in addition to public ones.
const loopback = "127.0.0.0/8,::1/128"

func runDev(ctx context.Context, c *cli.Env, temporal, ui, address string, asked bool) (err error) {
	logger := slog.New(slog.NewTextHandler(c.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	settings, err := config.LoadGateway(c.Getenv)
	if err != nil {
		return err
	}
	if err := config.CheckReach("--http", address, settings.URL); err != nil {
		return err
	}
	keys, err := config.LoadKeys(c.Getenv)
	if err != nil {
		return err
	}
	endpoint := ""
	if !keys.Empty() { // the Web UI needs the address before the gateway starts
		if address, err = freeAddress(ctx, c, address, asked); err != nil {
			return err
		}
		endpoint = codecEndpoint(address)
	}
	data := config.Data(c.Getenv, c.Data)
	database := cmp.Or(c.Getenv("BATON_DATABASE"), config.Database(data))
	if err := config.CheckDatabase("BATON_DATABASE", database); err != nil {
		return err
	}
	h, err := runHere(ctx, place{
		data: data, database: database, temporal: temporal, ui: ui, progress: c.Stderr, keys: keys, endpoint: endpoint, logger: logger,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	if err := config.NoteAddress(data, h.server.Address); err != nil {
		return err
	}
	gateway := serve.GatewayOptions{
		Address: address, AddressSetting: "--http", WebhookAllow: cmp.Or(settings.WebhookAllow, loopback), WebhookRedirects: settings.WebhookRedirects,
		URL: settings.URL, TrustedProxies: settings.TrustedProxies, Limits: settings.Limits,
		Demo: true, TemporalUI: h.server.UIURL + "/namespaces/default/workflows/", Keys: keys, Logger: logger,
		CodecOrigins: []string{h.server.UIURL, strings.Replace(h.server.UIURL, "127.0.0.1", "localhost", 1)},
	}
	h.gateway, err = serve.StartGateway(ctx, h.temporal, h.desk, gateway)
	if err != nil && !asked && errors.Is(err, syscall.EADDRINUSE) {
		fmt.Fprintf(c.Stderr, "%s is taken: the HTTP API takes another port\n", address)
		gateway.Address = "127.0.0.1:0"
		h.gateway, err = serve.StartGateway(ctx, h.temporal, h.desk, gateway)
	}
	if err != nil {
		return err
	}
	if err := printDev(ctx, c, h, database); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(c.Stderr, "stopping")
		return nil
	case <-h.server.Done():
		return fmt.Errorf("the Temporal server has ended: start `baton dev` again, every conversation continues: %w", h.server.Err())
	}
}

// freeAddress returns the address that the gateway is going to listen on, with a port that is free now.
func freeAddress(ctx context.Context, c *cli.Env, address string, asked bool) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil && !asked && errors.Is(err, syscall.EADDRINUSE) {
		fmt.Fprintf(c.Stderr, "%s is taken: the HTTP API takes another port\n", address)
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("serve HTTP on %s: choose another address with --http: %w", address, err)
	}
	defer func() { _ = listener.Close() }() // no client has connected
	return listener.Addr().String(), nil
}

// codecEndpoint returns the codec server's URL at carol's own host name. She is the demo's supervisor, and any user
// of this machine may sign in as her.
func codecEndpoint(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return "http://" + net.JoinHostPort("carol.localhost", port) + strings.TrimSuffix(codecserver.Path, "/")
}

// printDev prints all addresses, and the credentials, which are unique to this desk.
func printDev(ctx context.Context, c *cli.Env, h *here, database string) error {
	account, err := access.ReadAccount(ctx, h.desk)
	if err != nil {
		return err
	}
	c.Security().Write(c.WithOrigin(ctx), seclog.Entry{Event: seclog.SecretShown, Subject: "auth_token"})
	running := map[string]string{
		"temporal": h.server.Address, "ui": h.server.UIURL, "database": desk.Named(database), "http": h.gateway.URL, "health": h.gateway.URL + "/healthz",
		"account_sid": account.SID, "auth_token": account.AuthToken,
		"workspace_sid": conversation.SameSID(desk.PrefixWorkspace, account.SID), "instance_sid": conversation.SameSID(desk.PrefixInstance, account.SID),
	}
	return c.Print(running, func(w io.Writer) {
		for _, line := range [][2]string{
			{"Temporal server", "temporal"},
			{"Temporal Web UI", "ui"},
			{"Desk", "database"},
			{"Pages and API", "http"},
			{"  account SID", "account_sid"},
			{"  auth token", "auth_token"},
			{"  workspace SID", "workspace_sid"},
			{"  instance SID", "instance_sid"},
		} {
			fmt.Fprintf(w, "%-16s %s\n", line[0], running[line[1]])
		}
		fmt.Fprintln(w, "Everything runs. Ctrl-C stops it; started again, every conversation continues.")
	})
}
