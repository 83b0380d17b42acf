package webhook

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllowed(t *testing.T) {
	t.Parallel()
	for _, public := range []string{
		"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.1", "223.255.255.255",
		"2606:4700:4700::1111", "2a00:1450:4001:800::200e", "::ffff:8.8.8.8", "64:ff9b::808:808",
	} {
		require.True(t, Allowed(nil, netip.MustParseAddr(public)), public)
	}
	for _, private := range []string{
		"127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "168.63.129.16", "100.64.0.1", "100.127.255.255",
		"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.9",
		"192.88.99.1",
		"::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "100::1", "2001:db8::1", "2001::1", "2001:10::1",
		"2002:7f00:1::", "3fff::1", "5f00::1", "4000::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1",
	} {
		require.False(t, Allowed(nil, netip.MustParseAddr(private)), private)
	}
	require.False(t, Allowed(nil, netip.Addr{}))

	allow, err := ParseAllow("10.1.2.3/8, 127.0.0.1,::1/128,fe80::/10")
	require.NoError(t, err)
	for _, allowed := range []string{"10.9.9.9", "127.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "64:ff9b::a00:1"} {
		require.True(t, Allowed(allow, netip.MustParseAddr(allowed)), allowed)
	}
	for _, refused := range []string{"127.0.0.2", "192.168.0.1", "::", "64:ff9b::7f00:2"} {
		require.False(t, Allowed(allow, netip.MustParseAddr(refused)), refused)
	}
}

func TestParseAllow(t *testing.T) {
	t.Parallel()
	for _, none := range []string{"", " "} {
		allow, err := ParseAllow(none)
		require.NoError(t, err)
		require.Empty(t, allow)
	}
	allow, err := ParseAllow("127.0.0.0/8,::1/128, 10.0.0.7")
	require.NoError(t, err)
	require.Equal(t, prefixes("127.0.0.0/8", "::1/128", "10.0.0.7/32"), allow)
	for _, wrong := range []string{"localhost", "10.0.0.0/33", "10.0.0.0/8,", "10.0.0.0/8;::1", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1"} {
		_, err := ParseAllow(wrong)
		require.ErrorContains(t, err, "list them with commas between, as in 127.0.0.0/8,::1", wrong)
	}
}
