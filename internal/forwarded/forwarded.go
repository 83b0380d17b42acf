// Package forwarded determines the origin of a request, also behind proxies: the client's address, and whether it
// used TLS. It reads X-Forwarded-For and X-Forwarded-Proto from trusted proxies only. It never reads
// X-Forwarded-Host, X-Real-Ip or Forwarded: a proxy that sets one header may pass on the others as the client sent
// them.
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

// ParseProxies parses a list of addresses and networks, such as 10.1.0.0/16,192.168.7.9. It refuses a network that
// contains every address, because each client could then choose its own address.
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

// Client is the origin of a request.
type Client struct {
	// Address is the client's address; invalid if the connection has no IP address.
	Address netip.Addr
	// HTTPS reports whether the client used TLS, to Baton or to a trusted proxy.
	HTTPS bool

	peer   string
	direct bool
}

// Of returns the origin of the request. Without [Options.Handler] around the handler, that is the peer.
func Of(r *http.Request) Client {
	if c, ok := r.Context().Value(clientKey{}).(Client); ok {
		return c
	}
	return peerOf(r)
}

// Handled returns the origin of the context's request. It returns false if there is no [Options.Handler] around the
// handler.
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

// plain returns the address without a zone, and an IPv4-mapped IPv6 address as IPv4.
func plain(address netip.Addr) netip.Addr { return address.Unmap().WithZone("") }

// String returns the address for logs.
func (c Client) String() string {
	if !c.Address.IsValid() {
		return c.peer
	}
	return c.Address.String()
}

// Network returns the key for rate limits: the IPv4 address, or the /64 of an IPv6 address, because one line
// usually has a whole /64.
func (c Client) Network() string {
	if !c.Address.IsValid() || c.Address.Is4() {
		return c.String()
	}
	return netip.PrefixFrom(c.Address, 64).Masked().String()
}

// Direct reports whether the client is the peer of the connection: the peer is not a trusted proxy, and no header
// shows that a proxy forwarded the request.
func (c Client) Direct() bool { return c.direct }

// passedOn reports whether a header shows that a proxy forwarded the request.
func passedOn(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "X-Forwarded") || slices.Contains(proxyHeaders, name) {
			return true
		}
	}
	return false
}

// proxyHeaders are the headers that proxies and content delivery networks add, in canonical form.
var proxyHeaders = []string{
	"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For", "X-Envoy-External-Address",
	"True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "Fly-Client-Ip",
}

// Options say which proxies are trusted. The zero Options trust none.
type Options struct {
	Trusted []netip.Prefix
	// Ignored is called for each request with a forwarded header that is ignored; it may be nil.
	Ignored func()
	// Logger receives one warning when the first such request arrives; it may be nil.
	Logger *slog.Logger
}

// Handler determines the origin of each request, for [Of].
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

// client returns the origin of the request, and whether it has a forwarded header that is ignored.
func (o Options) client(r *http.Request) (c Client, ignored bool) {
	c = peerOf(r)
	chain := values(r.Header, headerFor)
	if !o.trusts(c.Address) {
		return c, len(chain) > 0 || slices.ContainsFunc([]string{headerProto, "X-Forwarded-Host", "X-Real-Ip", "Forwarded"}, func(name string) bool {
			return r.Header.Get(name) != ""
		})
	}
	c.direct = false
	hops := 1 // the number of entries from the client's to the right end of the chain
	for i, entry := range slices.Backward(chain) {
		address, ok := parseHop(entry)
		if !ok {
			break // the entries to the left came through an unknown hop
		}
		c.Address, hops = address, len(chain)-i
		if !o.trusts(address) {
			break
		}
	}
	if protos := values(r.Header, headerProto); len(protos) > 0 {
		// Most proxies replace the header, others append to it as they do to X-Forwarded-For.
		c.HTTPS = strings.EqualFold(protos[max(len(protos)-hops, 0)], "https")
	}
	return c, len(chain) == 0 && r.Header.Get("Forwarded") != ""
}

func (o Options) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(o.Trusted, func(network netip.Prefix) bool { return network.Contains(address) })
}

// values returns the entries of a list header, from all its lines in order.
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

// parseHop parses an entry of X-Forwarded-For: an address with or without a port; IPv6 with or without brackets.
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
