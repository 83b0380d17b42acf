package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/httpapi"
	"github.com/baton-transfers/baton/httpapi/webhook"
	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/web"
	"github.com/baton-transfers/baton/web/identity"
)

// GatewayOptions say where a gateway listens, and what its webhooks may do.
type GatewayOptions struct {
	// Address is where it listens; port 0 takes a free one. AddressSetting is what the caller's user sets it with, BATON_HTTP
	// where it is empty.
	Address, AddressSetting string
	// WebhookAllow are addresses, as 10.1.0.0/16,192.168.7.9, that webhooks may go to though they are no
	// public ones; WebhookRedirects has them follow redirects.
	WebhookAllow     string
	WebhookRedirects bool
	// URL is the public address of the pages and the API, required where others than this machine reach Address.
	// Identity is whom people sign in with; see [web.Options].
	URL      string
	Identity identity.Options
	// TrustedProxies are those whose X-Forwarded-For and X-Forwarded-Proto are read.
	TrustedProxies []netip.Prefix
	// Limits bound what people and programs may do of whom little is known.
	Limits config.Limits
	// Demo lets whoever is on this machine sign in as anybody, where only this machine is listened to.
	Demo bool
	// SessionIdle is described at [web.Options], as Idle.
	SessionIdle time.Duration
	// TemporalUI is described at [web.Options].
	TemporalUI string
	// Keys are those that payloads and the desk's texts are encrypted with; with some, there is a codec server, which pages of the
	// CodecOrigins may call.
	Keys         *codec.KeyRing
	CodecOrigins []string
	Logger       *slog.Logger
	// Telemetry takes what the gateway tells of itself; nil where nobody asks.
	Telemetry *telemetry.Telemetry
}

// Gateway is a running HTTP server: the API, the pages, /healthz and /readyz, and the sender of webhooks.
type Gateway struct {
	// URL is where it is reached.
	URL string

	server  *http.Server
	stop    context.CancelFunc
	running sync.WaitGroup
	health  *telemetry.Health
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

// StartGateway serves the API and the pages over a connected client and an open desk, which stay the caller's to
// close after [Gateway.Stop].
func StartGateway(ctx context.Context, c client.Client, d *desk.Desk, o GatewayOptions) (*Gateway, error) {
	setting := cmp.Or(o.AddressSetting, "BATON_HTTP")
	if err := config.CheckReach(setting, o.Address, o.URL); err != nil {
		return nil, err
	}
	allowed, err := webhook.ParseAllow(o.WebhookAllow)
	if err != nil {
		return nil, fmt.Errorf("BATON_WEBHOOK_ALLOW: %w", err)
	}
	if _, err := d.Account(ctx); err != nil { // there are credentials from the first request on
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP on %s: choose another address with %s: %w", o.Address, setting, err)
	}
	if o.Telemetry == nil {
		o.Telemetry = telemetry.Quiet(o.Logger)
	}
	commands := baton.NewClient(c)
	reached := conversations{commands, d, newReconciler(commands, d, o.Logger, o.Telemetry), o.Logger}
	pages := web.New(d, reached, o.pages(listener.Addr()))
	site := pages.Handler()
	api := httpapi.New(d, reached, httpapi.Options{
		Logger: o.Logger, AllowCallback: func(callback string) error { return allowCallback(callback, allowed) },
		Authenticated: telemetry.Key, URL: o.URL, Elsewhere: site,
		WrongCredentials: o.Limits.Credentials, WrongCredentialsTotal: o.Limits.CredentialsTotal,
	})
	mux := http.NewServeMux()
	o.Telemetry.Health.Register(mux)
	mux.Handle("/", api.Handler())
	for _, path := range web.Paths() {
		mux.Handle(path, site)
	}
	if !o.Keys.Empty() {
		mux.Handle(codec.Path, codecServer(o, api, pages))
	}
	o.Telemetry.Streams(pages.Streams)
	clients := forwarded.Options{Trusted: o.TrustedProxies, Ignored: o.Telemetry.ForwardedIgnored, Logger: o.Logger}
	g := &Gateway{
		URL: "http://" + listener.Addr().String(), health: o.Telemetry.Health,
		server: &http.Server{
			Handler: clients.Handler(o.Telemetry.HTTP(o.strict(mux))), ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
			MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		},
	}
	ctx, g.stop = context.WithCancel(context.WithoutCancel(ctx))
	g.running.Go(func() {
		if err := g.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("HTTP is no longer served", "error", err)
		}
	})
	g.running.Go(func() {
		if err := pages.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("Pages are no longer told of changes", "error", err)
		}
	})
	sender := webhook.New(d, webhook.Options{Allow: allowed, AllowRedirects: o.WebhookRedirects, Logger: o.Logger, Observe: o.Telemetry.Webhook})
	g.running.Go(func() {
		if err := sender.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("Webhooks are no longer sent", "error", err)
		}
	})
	needBoth(g.health, c, d)
	g.health.Needs("webhooks", func(context.Context) error { return sender.Moves(silentAfter) })
	g.health.Ready()
	return g, nil
}

// strict has browsers use https alone for this host, for a year, whichever path they asked for: where the public address is one
// of https.
func (o GatewayOptions) strict(next http.Handler) http.Handler {
	if !strings.HasPrefix(o.URL, "https://") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// pages are what the pages are served with.
func (o GatewayOptions) pages(address net.Addr) web.Options {
	options := web.Options{
		Logger: o.Logger, URL: o.URL, Demo: o.Demo, Idle: o.SessionIdle, TemporalUI: o.TemporalUI,
		Limits: web.Limits{
			Chats: o.Limits.Chats, ChatsTotal: o.Limits.ChatsTotal, SignIns: o.Limits.SignIns, SignInsTotal: o.Limits.SignInsTotal,
			Messages: o.Limits.Messages, MessagesTotal: o.Limits.MessagesTotal,
		},
	}
	options.DemoOff = o.Demo && !o.private(address)
	options.Demo = o.Demo && !options.DemoOff
	if o.Identity.Issuer != "" {
		o.Identity.RedirectURL, o.Identity.SignedOutURL = o.URL+web.CallbackPath, o.URL+web.SignInPath
		options.Provider = identity.New(o.Identity)
	}
	return options
}

// private reports whether this machine alone reaches the gateway: not where it listens beyond it, and not where a proxy
// on this machine may pass on requests from anywhere.
func (o GatewayOptions) private(address net.Addr) bool {
	listens, ok := address.(*net.TCPAddr)
	public, err := url.Parse(o.URL)
	return ok && listens.IP.IsLoopback() && len(o.TrustedProxies) == 0 && err == nil && (o.URL == "" || config.IsLoopback(public.Hostname()))
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
	g.health.Drain()
	g.stop() // streams end, webhooks go on after the next start
	err := g.server.Shutdown(ctx)
	g.running.Wait()
	if err != nil {
		return fmt.Errorf("stop serving HTTP: %w", err)
	}
	return nil
}
