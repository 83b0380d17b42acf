package serve

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/limit"
)

// TestDemoIsForThisMachine: a proxy in front may pass on requests from anywhere.
func TestDemoIsForThisMachine(t *testing.T) {
	t.Parallel()
	loopback, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv6zero}
	for _, test := range []struct {
		name    string
		o       GatewayOptions
		address net.Addr
		want    bool
	}{
		{"this machine", GatewayOptions{Demo: true}, loopback, true},
		{"this machine by its address", GatewayOptions{Demo: true, URL: "http://127.0.0.1:8080"}, loopback, true},
		{"every address", GatewayOptions{Demo: true, URL: "http://127.0.0.1:8080"}, everywhere, false},
		{"a public address", GatewayOptions{Demo: true, URL: "https://baton.example.com"}, loopback, false},
		{"a proxy", GatewayOptions{Demo: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, loopback, false},
		{"a socket", GatewayOptions{Demo: true}, &net.UnixAddr{Name: "@"}, false},
		{"no demo", GatewayOptions{}, loopback, false},
	} {
		require.Equal(t, test.want, test.o.pages(test.address).Demo, test.name)
	}
}

func TestLimitsReachThePages(t *testing.T) {
	t.Parallel()
	minute := func(count int) limit.Pace { return limit.Pace{Count: count, Per: time.Minute} }
	o := GatewayOptions{Limits: config.Limits{
		Chats: minute(1), ChatsTotal: minute(2), SignIns: minute(3), SignInsTotal: minute(4), Messages: minute(5), MessagesTotal: minute(6),
	}}
	limits := o.pages(&net.TCPAddr{}).Limits
	require.Equal(t, []limit.Pace{minute(1), minute(2), minute(3), minute(4), minute(5), minute(6)}, []limit.Pace{
		limits.Chats, limits.ChatsTotal, limits.SignIns, limits.SignInsTotal, limits.Messages, limits.MessagesTotal,
	})
}
