// Package forwarded finds out where a request comes from: the client's address and whether it used TLS, also behind
// proxies. It reads X-Forwarded-For and X-Forwarded-Proto from trusted proxies only. It never reads X-Forwarded-Host,
// X-Real-Ip or Forwarded: a proxy that sets one header may pass on the others as the client sent them.
//
// Must not import: other packages of Baton.
package forwarded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// The headers that are read.
const (
	headerFor   = "X-Forwarded-For"
	headerProto = "X-Forwarded-Proto"
)

// ParseProxies reads a list of addresses and networks, as 10.1.0.0/16,192.168.7.9. It refuses a network that holds
// every address, because each client could then choose the address it is taken for.
func ParseProxies(text string) ([]netip.Prefix, error) {
	var proxies []netip.Prefix
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		proxy, err := parseProxy(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		proxies = append(proxies, proxy)
	}
	return proxies, nil
}

func parseProxy(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	const mapped = 96 // bits before the IPv4 address in an IPv4-mapped IPv6 address
	network, err := netip.ParsePrefix(text)
	if err == nil && network.Addr().Is4In6() && network.Bits() >= mapped {
		network = netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-mapped)
	}
	switch {
	case err != nil || network.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is not an address or a network: list the proxies with commas between, as in 10.1.0.0/16,192.168.7.9", text)
	case network.Bits() == 0:
		return netip.Prefix{}, errors.New(text + " holds every address, so that each client could choose its own: name the proxies' networks only")
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has bits set after its prefix: write %s for the network, or %s for the one address", text, network.Masked(), network.Addr())
	}
	return network, nil
}

// Client is where a request comes from.
type Client struct {
	// Address is the client's; invalid where the connection has no IP address.
	Address netip.Addr
	// HTTPS is whether the client used TLS, to Baton or to a trusted proxy.
	HTTPS bool

	peer   string
	direct bool
}

// Of returns where the request comes from. Without [Options.Handler] around, that is the peer.
func Of(r *http.Request) Client {
	if c, ok := r.Context().Value(clientKey{}).(Client); ok {
		return c
	}
	return peerOf(r)
}

// Handled returns where the request of the context comes from, and false where no [Options.Handler] is around.
func Handled(ctx context.Context) (Client, bool) {
	c, ok := ctx.Value(clientKey{}).(Client)
	return c, ok
}

type clientKey struct{}

func peerOf(r *http.Request) Client {
	c := Client{HTTPS: r.TLS != nil, peer: r.RemoteAddr, direct: !passedOn(r.Header)}
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Address = plain(peer.Addr())
	}
	return c
}

// plain is the address without a zone, and IPv4 where it is IPv4-mapped IPv6.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// String returns the address for logs.
func (c Client) String() string {
	if !c.Address.IsValid() {
		return c.peer
	}
	return c.Address.String()
}

// Network is the key of limits: the address of IPv4, the /64 of IPv6, because one line usually has a whole /64.
func (c Client) Network() string {
	if !c.Address.IsValid() || c.Address.Is4() {
		return c.String()
	}
	return netip.PrefixFrom(c.Address, 64).Masked().String()
}

// Direct tells whether the client is the peer of the connection: the peer is not a trusted proxy, and no header says
// that a proxy passed the request on.
func (c Client) Direct() bool { return c.direct }

// passedOn tells whether a header says that a proxy passed the request on.
func passedOn(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded") || slices.Contains(proxyHeaders, name) {
			return true
		}
	}
	return false
}

// proxyHeaders are what proxies and content delivery networks add, in canonical form.
var proxyHeaders = []string{
	"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For", "X-Envoy-External-Address",
	"True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip",
}

// Options say which proxies are trusted. The zero Options trust none.
type Options struct {
	Trusted []netip.Prefix
	// Ignored is called for each request with a forwarded header that is not read; nil for no call.
	Ignored func()
	// Logger takes one warning when the first such request arrives; nil for none.
	Logger *slog.Logger
}

// Handler finds out where each request comes from, for [Of].
func (o Options) Handler(next http.Handler) http.Handler {
	warn := sync.OnceFunc(func() {})
	if o.Logger != nil {
		warn = sync.OnceFunc(func() {
			o.Logger.Warn("forwarded header ignored", "setting", "BATON_TRUSTED_PROXIES", "trusted", len(o.Trusted))
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ignored := o.client(r)
		if ignored {
			warn()
			if o.Ignored != nil {
				o.Ignored()
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, c)))
	})
}

// client is where the request comes from, and whether it has a forwarded header that is not read.
func (o Options) client(r *http.Request) (c Client, ignored bool) {
	c = peerOf(r)
	chain := values(r.Header, headerFor)
	if !o.trusts(c.Address) {
		return c, len(chain) > 0 || slices.ContainsFunc([]string{headerProto, "X-Forwarded-Host", "X-Real-Ip", "Forwarded"}, func(name string) bool {
			return r.Header.Get(name) != ""
		})
	}
	c.direct = false
	hops := 1 // from the right of the chain to the client's entry, with it
	for i, entry := range slices.Backward(chain) {
		address, ok := parseHop(entry)
		if !ok {
			break // what stands to the left of it came through a hop that is unknown
		}
		c.Address, hops = address, len(chain)-i
		if !o.trusts(address) {
			break
		}
	}
	if protos := values(r.Header, headerProto); len(protos) > 0 {
		// Most proxies replace the header, others add to it as they do to X-Forwarded-For.
		c.HTTPS = strings.EqualFold(protos[max(len(protos)-hops, 0)], "https")
	}
	return c, len(chain) == 0 && r.Header.Get("Forwarded") != ""
}

func (o Options) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(o.Trusted, func(network netip.Prefix) bool { return network.Contains(address) })
}

// values are the entries of a list header, of all its lines in their order.
func values(h http.Header, name string) []string {
	lines := h.Values(name)
	if len(lines) == 0 {
		return nil
	}
	entries := strings.Split(strings.Join(lines, ","), ",")
	for i := range entries {
		entries[i] = strings.TrimSpace(entries[i])
	}
	return entries
}

// parseHop reads an entry of X-Forwarded-For: an address, with or without a port, of IPv6 with or without brackets.
func parseHop(entry string) (netip.Addr, bool) {
	if hop, err := netip.ParseAddrPort(entry); err == nil {
		return plain(hop.Addr()), true
	}
	if inner, ok := strings.CutPrefix(entry, "["); ok {
		if entry, ok = strings.CutSuffix(inner, "]"); !ok || !strings.Contains(entry, ":") {
			return netip.Addr{}, false
		}
	}
	address, err := netip.ParseAddr(entry)
	return plain(address), err == nil
}
