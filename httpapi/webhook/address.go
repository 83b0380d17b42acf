package webhook

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// Whoever may set the workspace's URL would otherwise have this process speak to whatever it can reach:
// itself, its neighbors, the metadata service of its cloud. So the address is looked at once it is
// resolved and about to be connected to, where no name can stand for another address any more.

// special are the blocks of public-looking addresses that IANA keeps for something else
// (https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-), and multicast.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	azure,
)

// azure is the address under which a machine in Azure finds services of its host, among them secrets of the machine's setup.
const azure = "168.63.129.16/32"

var (
	// unicast is what is public of IPv6; everything else is somebody's own, or nobody's.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 holds the IPv4 addresses, in their last four bytes, that an IPv6 network reaches through a translator.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(texts ...string) (parsed []netip.Prefix) {
	for _, text := range texts {
		parsed = append(parsed, netip.MustParsePrefix(text))
	}
	return parsed
}

// Allowed tells whether webhooks may go to the address: a public one, or one within the prefixes. An IPv4
// address written as an IPv6 one, mapped or for NAT64, is taken for what it stands for.
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

// ParseAllow reads addresses and networks, separated by commas, as in "127.0.0.0/8,::1"; an empty text
// is none. IPv4 addresses are written as such.
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

// guard looks at each address before it is connected to.
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

// addressError is why no connection was made.
type addressError struct{ ip netip.Addr }

// Error implements error.
func (e *addressError) Error() string {
	return fmt.Sprintf("%s is a private address: allow it with BATON_WEBHOOK_ALLOW", e.ip)
}
