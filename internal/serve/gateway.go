package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/httpapi"
	"github.com/baton-transfers/baton/httpapi/webhook"
)

// GatewayOptions say where a gateway listens, and what its webhooks may do.
type GatewayOptions struct {
	// Address is where it listens; port 0 takes a free one.
	Address string
	// WebhookAllow are addresses, as 10.1.0.0/16,192.168.7.9, that webhooks may go to though they are no
	// public ones; WebhookRedirects has them follow redirects.
	WebhookAllow     string
	WebhookRedirects bool
	Logger           *slog.Logger
}

// Gateway is a running HTTP server: the API, /healthz, and the sender of webhooks.
type Gateway struct {
	// URL is where it is reached.
	URL string

	server  *http.Server
	stop    context.CancelFunc
	running sync.WaitGroup
}

// The times that a client may take, against those that hold connections.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
	// drain is how long requests under way may take to end when the gateway stops.
	drain = 10 * time.Second
)

// StartGateway serves the API over a connected client and an open desk, which stay the caller's to
// close after [Gateway.Stop].
func StartGateway(ctx context.Context, c client.Client, d *desk.Desk, o GatewayOptions) (*Gateway, error) {
	allowed, err := webhook.ParseAllow(o.WebhookAllow)
	if err != nil {
		return nil, fmt.Errorf("BATON_WEBHOOK_ALLOW: %w", err)
	}
	if _, err := d.Account(ctx); err != nil { // there are credentials from the first request on
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP on %s: choose another address with --http or BATON_HTTP: %w", o.Address, err)
	}
	api := httpapi.New(d, baton.NewClient(c), httpapi.Options{
		Logger: o.Logger, AllowCallback: func(callback string) error { return allowCallback(callback, allowed) },
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { answerHealth(w, r, c, d) })
	mux.Handle("/", api.Handler()) //nolint:contextcheck // each request has its own
	g := &Gateway{
		URL: "http://" + listener.Addr().String(),
		server: &http.Server{
			Handler: mux, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		},
	}
	ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	g.running.Go(func() {
		if err := g.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("HTTP is no longer served", "error", err)
		}
	})
	sender := webhook.New(d, webhook.Options{Allow: allowed, AllowRedirects: o.WebhookRedirects, Logger: o.Logger})
	g.running.Go(func() {
		if err := sender.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("Webhooks are no longer sent", "error", err)
		}
	})
	return g, nil
}

// allowCallback says at once, where it can be said without asking a name server, that no webhook would
// be sent to an address; what a name stands for is looked at with every delivery.
func allowCallback(callback string, allowed []netip.Prefix) error {
	to, err := url.Parse(callback)
	if err != nil {
		return nil //nolint:nilerr // the desk refuses what is no URL, in its own words
	}
	ip, err := netip.ParseAddr(to.Hostname())
	if err != nil || webhook.Allowed(allowed, ip) {
		return nil //nolint:nilerr // a name
	}
	return fmt.Errorf("%s is no public address: allow it with BATON_WEBHOOK_ALLOW", ip)
}

// Stop lets requests under way finish, within ten seconds, and ends the gateway.
func (g *Gateway) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := g.server.Shutdown(ctx)
	g.stop()
	g.running.Wait()
	if err != nil {
		return fmt.Errorf("stop serving HTTP: %w", err)
	}
	return nil
}
