package webhook

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// A person who may set the workspace's URL could otherwise make this process connect to any address that it can
// reach: itself, its neighbors, the metadata service of its cloud. The address is therefore checked after the name
// is resolved and before the connection is made, when it can no longer change.

// special lists the blocks that look public but that IANA reserves for other purposes
// (https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-), and multicast.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	azure,
)

// azure is the address at which a machine in Azure reaches services of its host. They can reveal secrets of its
// setup.
const azure = "168.63.129.16/32"

var (
	// unicast contains the public addresses of IPv6.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 contains, in the last four bytes, the IPv4 addresses that an IPv6 network reaches through a translator.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) (parsed []netip.Prefix) {
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

// Allowed reports whether webhooks may go to the address: it must be public, or within the prefixes. An IPv4
// address in the form of an IPv6 one, mapped or for NAT64, counts as the IPv4 address.
func Allowed(prefixes []netip.Prefix, ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if nat64.Contains(ip) {
		bytes := ip.As16()
		ip = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	return within(prefixes, ip) || ((ip.Is4() || unicast.Contains(ip)) && !within(special, ip))
}

func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// ParseAllow reads addresses and networks, separated by commas, as in "127.0.0.0/8,::1". An empty text gives none.
// It refuses IPv4 addresses in the form of IPv6 ones.
func ParseAllow(text string) ([]netip.Prefix, error) {
	var allowed []netip.Prefix
	if strings.TrimSpace(text) == "" {
		return allowed, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(part)
		if ip, wrong := netip.ParseAddr(part); wrong == nil {
			prefix, err = ip.WithZone("").Prefix(ip.BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is no address and no network: list them with commas between, as in 127.0.0.0/8,::1", part)
		}
		allowed = append(allowed, prefix.Masked())
	}
	return allowed, nil
}

// guard returns a control function for [net.Dialer] that checks each address before the connection is made.
func guard(allow []netip.Prefix) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read the address that is connected to: %w", err)
		}
		if !Allowed(allow, to.Addr()) {
			return &addressError{to.Addr()}
		}
		return nil
	}
}

// addressError is the refusal of an address.
type addressError struct{ ip netip.Addr }

// Error implements error.
func (e *addressError) Error() string {
	return fmt.Sprintf("%s is a private address: allow it with BATON_WEBHOOK_ALLOW", e.ip)
}
