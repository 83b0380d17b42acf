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
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/codecserver"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/webhook"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/internal/web"
	"github.com/baton-transfers/baton/internal/web/identity"
	"github.com/baton-transfers/baton/internal/web/site"
)

// GatewayOptions configure [StartGateway].
type GatewayOptions struct {
	// Address is where the gateway listens; port 0 takes a free port. AddressSetting is the name of the setting
	// that errors about Address mention; empty means BATON_HTTP.
	Address, AddressSetting string
	// WebhookAllow lists non-public addresses that webhooks may be sent to, such as 10.1.0.0/16,192.168.7.9.
	// WebhookRedirects makes webhooks follow redirects.
	WebhookAllow     string
	WebhookRedirects bool
	// URL is the public address of the pages and the API; required if other machines can reach Address. Identity is
	// the provider that people sign in with; see [site.Options].
	URL      string
	Identity identity.Options
	// TrustedProxies are the proxies whose X-Forwarded-For and X-Forwarded-Proto headers are used.
	TrustedProxies []netip.Prefix
	// Limits bound the requests of people and programs that are not authenticated.
	Limits config.Limits
	// Demo lets users of this machine sign in as any agent, if the gateway can be reached from this machine only.
	Demo bool
	// SessionIdle is described at [site.Options], as Idle.
	SessionIdle time.Duration
	// TemporalUI is described at [site.Options].
	TemporalUI string
	// Keys encrypt payloads and the desk's texts. With at least one key, the gateway also serves a codec server,
	// which pages of the CodecOrigins may call.
	Keys         *codec.KeyRing
	CodecOrigins []string
	Logger       *slog.Logger
	// Telemetry receives the gateway's metrics, spans and health; it may be nil.
	Telemetry *telemetry.Telemetry
}

// Gateway is a running gateway: an HTTP server for the API, the pages, /healthz and /readyz, and the webhook
// sender.
type Gateway struct {
	// URL is the address that the gateway listens on, with the scheme.
	URL string

	server  *http.Server
	stop    context.CancelFunc
	running sync.WaitGroup
	health  *telemetry.Health
}

// Timeouts and limits against clients that hold connections open.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 64 << 10
	// drain is how long requests in progress may take to finish when the gateway stops.
	drain = 10 * time.Second
)

// StartGateway serves the API and the pages with a connected client and an open desk. The caller closes both after
// [Gateway.Stop].
func StartGateway(ctx context.Context, c client.Client, d *desk.Desk, o GatewayOptions) (*Gateway, error) {
	setting := cmp.Or(o.AddressSetting, "BATON_HTTP")
	if err := config.CheckReach(setting, o.Address, o.URL); err != nil {
		return nil, err
	}
	allowed, err := webhook.ParseAllow(o.WebhookAllow)
	if err != nil {
		return nil, fmt.Errorf("BATON_WEBHOOK_ALLOW: %w", err)
	}
	if _, err := access.ReadAccount(ctx, d); err != nil { // creates the account, so that credentials exist before the first request
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("serve HTTP on %s: choose another address with %s: %w", o.Address, setting, err)
	}
	if o.Telemetry == nil {
		o.Telemetry = telemetry.Quiet(o.Logger)
	}
	client := baton.NewClient(c)
	commanding := commands.New(conversations{client, d, reconcile.New(client, d, reconcile.Options{Logger: o.Logger, Observe: repaired(o.Telemetry)}), o.Logger}, d, o.Logger)
	pages := web.New(d, commanding, o.pages(listener.Addr()))
	site := pages.Handler()
	api := httpapi.New(d, commanding, rest.Options{
		Logger: o.Logger, AllowCallback: func(callback string) error { return allowCallback(callback, allowed) },
		Authenticated: telemetry.Key, URL: o.URL, Elsewhere: site,
		WrongCredentials: o.Limits.Credentials, WrongCredentialsTotal: o.Limits.CredentialsTotal,
	})
	mux := http.NewServeMux()
	o.Telemetry.Health.Register(mux)
	mux.Handle("/", api.Handler())
	for _, path := range pages.Paths() {
		mux.Handle(path, site)
	}
	if !o.Keys.Empty() {
		mux.Handle(codecserver.Path, codecServer(o, api, pages))
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
			o.Logger.Error("HTTP server ended", "error", err)
		}
	})
	g.running.Go(func() {
		if err := pages.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("page updates ended", "error", err)
		}
	})
	sender := webhook.New(d, webhook.Options{Allow: allowed, AllowRedirects: o.WebhookRedirects, Logger: o.Logger, Observe: o.Telemetry.Webhook})
	g.running.Go(func() {
		if err := sender.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("webhook sender ended", "error", err)
		}
	})
	needBoth(g.health, c, d)
	g.health.Needs("webhooks", func(context.Context) error { return sender.Moves(silentAfter) })
	g.health.Ready()
	return g, nil
}

// strict adds the Strict-Transport-Security header, valid for one year, to every response if the public address
// uses https.
func (o GatewayOptions) strict(next http.Handler) http.Handler {
	if !strings.HasPrefix(o.URL, "https://") {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// pages returns the options of the pages.
func (o GatewayOptions) pages(address net.Addr) site.Options {
	options := site.Options{
		Logger: o.Logger, URL: o.URL, Demo: o.Demo, Idle: o.SessionIdle, TemporalUI: o.TemporalUI,
		Limits: site.Limits{
			Chats: o.Limits.Chats, ChatsTotal: o.Limits.ChatsTotal, SignIns: o.Limits.SignIns, SignInsTotal: o.Limits.SignInsTotal,
			Messages: o.Limits.Messages, MessagesTotal: o.Limits.MessagesTotal,
		},
	}
	options.DemoOff = o.Demo && !o.private(address)
	options.Demo = o.Demo && !options.DemoOff
	if o.Identity.Issuer != "" {
		o.Identity.RedirectURL, o.Identity.SignedOutURL = o.URL+site.CallbackPath, o.URL+site.SignInPath
		options.Provider = identity.New(o.Identity)
	}
	return options
}

// private reports whether only this machine can reach the gateway. It is false if the gateway listens on another
// address than loopback, or if there may be a proxy on this machine that passes on requests from other machines.
func (o GatewayOptions) private(address net.Addr) bool {
	listens, ok := address.(*net.TCPAddr)
	public, err := url.Parse(o.URL)
	return ok && listens.IP.IsLoopback() && len(o.TrustedProxies) == 0 && err == nil && (o.URL == "" || config.IsLoopback(public.Hostname()))
}

// allowCallback refuses a callback URL with an IP address that webhooks may not be sent to. It does not resolve
// names: the sender checks the address of a name at each delivery.
func allowCallback(callback string, allowed []netip.Prefix) error {
	to, err := url.Parse(callback)
	if err != nil {
		return nil //nolint:nilerr // the desk refuses an invalid URL with its own error
	}
	ip, err := netip.ParseAddr(to.Hostname())
	if err != nil || webhook.Allowed(allowed, ip) {
		return nil //nolint:nilerr // a host name
	}
	return fmt.Errorf("%s is not a public address: allow it with BATON_WEBHOOK_ALLOW", ip)
}

// Stop waits up to ten seconds for requests in progress, and stops the gateway.
func (g *Gateway) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	g.health.Drain()
	g.stop() // streams end; the remaining webhooks are sent after the next start
	err := g.server.Shutdown(ctx)
	g.running.Wait()
	if err != nil {
		return fmt.Errorf("stop serving HTTP: %w", err)
	}
	return nil
}
