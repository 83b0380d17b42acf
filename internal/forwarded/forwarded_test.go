package forwarded_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/forwarded"
)

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                              nil,
		" ":                             nil,
		"10.1.0.0/16, 192.168.7.9":      {"10.1.0.0/16", "192.168.7.9/32"},
		"::1,2001:db8::/32":             {"::1/128", "2001:db8::/32"},
		"::ffff:10.0.0.1":               {"10.0.0.1/32"},
		"::ffff:10.0.0.0/104,127.0.0.1": {"10.0.0.0/8", "127.0.0.1/32"},
	} {
		var found []string
		proxies, err := forwarded.ParseProxies(text)
		require.NoError(t, err, text)
		for _, proxy := range proxies {
			found = append(found, proxy.String())
		}
		require.Equal(t, want, found, text)
	}
	for text, sentence := range map[string]string{
		"10.0.0.0/33":          "not an address",
		"10.0.0.1,,10.0.0.2":   "not an address",
		"10.0.0.1,":            "not an address",
		"ingress":              "not an address",
		"unix:":                "not an address",
		"fe80::1%eth0":         "not an address",
		"10.0.0.1 192.168.7.9": "not an address",
		"::ffff:0.0.0.0/90":    "not an address",
		"10.0.0.1:80":          "not an address",
		"0.0.0.0/0":            "holds every address",
		"::/0":                 "holds every address",
		"::ffff:0.0.0.0/96":    "holds every address",
		"10.1.2.3/8":           "write 10.0.0.0/8 for the network, or 10.1.2.3 for the one address",
	} {
		_, err := forwarded.ParseProxies(text)
		require.ErrorContains(t, err, sentence, text)
	}
}

func trusted(t *testing.T, text string) []netip.Prefix {
	t.Helper()
	proxies, err := forwarded.ParseProxies(text)
	require.NoError(t, err)
	return proxies
}

// seen returns the origin of a request as a handler behind the middleware sees it.
func seen(t *testing.T, o forwarded.Options, peer string, header http.Header) (c forwarded.Client) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.RemoteAddr, r.Header = peer, header
	o.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { c = forwarded.Of(r) })).ServeHTTP(httptest.NewRecorder(), r)
	return c
}

func TestClientBehindProxies(t *testing.T) {
	t.Parallel()
	o := forwarded.Options{Trusted: trusted(t, "10.0.0.0/8,2001:db8:ffff::/48")}
	const proxy = "10.0.0.1:4000"
	for _, test := range []struct {
		name, peer string
		chain      []string
		want       string
	}{
		{"no proxy is between", "192.0.2.7:4000", nil, "192.0.2.7"},
		{"the peer is not trusted", "192.0.2.7:4000", []string{"198.51.100.1"}, "192.0.2.7"},
		{"one proxy", proxy, []string{"198.51.100.1"}, "198.51.100.1"},
		{"entries that the client made up", proxy, []string{"203.0.113.9, 10.0.0.7, 198.51.100.1"}, "198.51.100.1"},
		{"a chain of proxies", proxy, []string{"203.0.113.9, 198.51.100.1, 10.0.0.2,10.9.9.9"}, "198.51.100.1"},
		{"several headers", proxy, []string{"203.0.113.9", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"spaces and tabs", proxy, []string{" 198.51.100.1 ,\t10.0.0.2 "}, "198.51.100.1"},
		{"a port", proxy, []string{"198.51.100.1:55555"}, "198.51.100.1"},
		{"IPv6", proxy, []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", proxy, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", proxy, []string{"[2001:db8::1]:443"}, "2001:db8::1"},
		{"IPv6 with a zone", proxy, []string{"fe80::1%eth0"}, "fe80::1"},
		{"IPv4-mapped IPv6", proxy, []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a trusted hop as IPv4-mapped IPv6", proxy, []string{"198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"the peer as IPv4-mapped IPv6", "[::ffff:10.0.0.1]:4000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy of IPv6", "[2001:db8:ffff::1]:4000", []string{"198.51.100.1"}, "198.51.100.1"},
		{"trusted hops alone", proxy, []string{"10.3.3.3, 10.2.2.2"}, "10.3.3.3"},
		{"no header from a proxy", proxy, nil, "10.0.0.1"},
		{"an empty header", proxy, []string{""}, "10.0.0.1"},
		{"garbage", proxy, []string{"unknown"}, "10.0.0.1"},
		{"garbage behind a trusted hop", proxy, []string{"198.51.100.1, _hidden, 10.0.0.2"}, "10.0.0.2"},
		{"garbage that the client made up", proxy, []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
		{"an empty entry", proxy, []string{"198.51.100.1, , 10.0.0.2"}, "10.0.0.2"},
		{"IPv4 in brackets", proxy, []string{"[198.51.100.1]"}, "10.0.0.1"},
		{"half a bracket", proxy, []string{"[2001:db8::1"}, "10.0.0.1"},
		{"a name", proxy, []string{"198.51.100.1, client.example.com"}, "10.0.0.1"},
		{"a Unix socket", "@", []string{"198.51.100.1"}, "@"},
		{"no address at all", "", []string{"198.51.100.1"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			for _, line := range test.chain {
				header.Add("X-Forwarded-For", line)
			}
			require.Equal(t, test.want, seen(t, o, test.peer, header).String())
		})
	}
}

func TestOtherHeadersAreNotRead(t *testing.T) {
	t.Parallel()
	o := forwarded.Options{Trusted: trusted(t, "10.0.0.0/8")}
	c := seen(t, o, "10.0.0.1:4000", http.Header{
		"Forwarded": {"for=198.51.100.1;proto=https"}, "X-Real-Ip": {"198.51.100.1"}, "X-Forwarded-Ssl": {"on"}, "True-Client-Ip": {"198.51.100.1"},
	})
	require.Equal(t, "10.0.0.1", c.String())
	require.False(t, c.HTTPS)
}

func TestHTTPSBehindProxies(t *testing.T) {
	t.Parallel()
	o := forwarded.Options{Trusted: trusted(t, "10.0.0.0/8")}
	for _, test := range []struct {
		name, peer, chain string
		protos            []string
		want              bool
	}{
		{"a trusted proxy", "10.0.0.1:1", "198.51.100.1", []string{"https"}, true},
		{"in other case", "10.0.0.1:1", "198.51.100.1", []string{" HTTPS "}, true},
		{"plain HTTP", "10.0.0.1:1", "198.51.100.1", []string{"http"}, false},
		{"a peer that is not trusted", "192.0.2.7:1", "198.51.100.1", []string{"https"}, false},
		{"TLS ends at the first of two proxies", "10.0.0.1:1", "198.51.100.1, 10.0.0.2", []string{"https", "http"}, true},
		{"the inner proxy replaces the header", "10.0.0.1:1", "198.51.100.1, 10.0.0.2", []string{"https"}, true},
		{"the client made one up", "10.0.0.1:1", "203.0.113.9, 198.51.100.1", []string{"https, http"}, false},
		{"no address beside it", "10.0.0.1:1", "", []string{"https, http"}, false},
		{"no header", "10.0.0.1:1", "198.51.100.1", nil, false},
	} {
		header := http.Header{"X-Forwarded-Proto": test.protos}
		if test.chain != "" {
			header.Set("X-Forwarded-For", test.chain)
		}
		require.Equal(t, test.want, seen(t, o, test.peer, header).HTTPS, test.name)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for peer, want := range map[string]string{
		"192.0.2.7:4000":              "192.0.2.7",
		"[::ffff:192.0.2.7]:4000":     "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:4000": "2001:db8:1:2::/64",
		"[2001:db8:1:2::9]:1":         "2001:db8:1:2::/64",
		"[2001:db8:1:3::9]:1":         "2001:db8:1:3::/64",
		"[fe80::1%eth0]:4000":         "fe80::/64",
		"a socket":                    "a socket",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		require.Equal(t, want, forwarded.Of(r).Network(), peer)
	}
}

// TestDirect: a request from a proxy on this machine does not count as one from this machine.
func TestDirect(t *testing.T) {
	t.Parallel()
	none, loopback := forwarded.Options{}, forwarded.Options{Trusted: trusted(t, "127.0.0.0/8")}
	require.True(t, seen(t, none, "127.0.0.1:4000", http.Header{}).Direct())
	require.False(t, seen(t, loopback, "127.0.0.1:4000", http.Header{}).Direct(), "a trusted proxy that adds no header")
	for _, name := range []string{
		"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Real-IP", "Via", "X-Client-IP", "CF-Connecting-IP",
	} {
		header := http.Header{}
		header.Set(name, "127.0.0.1")
		require.False(t, seen(t, none, "127.0.0.1:4000", header).Direct(), name)
		require.False(t, seen(t, loopback, "127.0.0.1:4000", header).Direct(), name)
	}
}

func TestIgnoredHeadersAreReported(t *testing.T) {
	t.Parallel()
	ask := func(o forwarded.Options, peer string, header http.Header) (warnings, count int) {
		var log bytes.Buffer
		o.Logger, o.Ignored = slog.New(slog.NewTextHandler(&log, nil)), func() { count++ }
		handler := o.Handler(http.NotFoundHandler())
		for range 3 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr, r.Header = peer, header
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
		require.NotContains(t, log.String(), "198.51.100.1")
		return strings.Count(log.String(), "level=WARN"), count
	}
	o := forwarded.Options{Trusted: trusted(t, "10.0.0.0/8")}
	for _, test := range []struct {
		name   string
		o      forwarded.Options
		peer   string
		header http.Header
		want   bool
	}{
		{"no proxy is set", forwarded.Options{}, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, true},
		{"another header", forwarded.Options{}, "10.0.0.1:1", http.Header{"Forwarded": {"for=198.51.100.1"}}, true},
		{"the scheme alone", forwarded.Options{}, "10.0.0.1:1", http.Header{"X-Forwarded-Proto": {"https"}}, true},
		{"no header", forwarded.Options{}, "10.0.0.1:1", http.Header{}, false},
		{"the peer is another", o, "192.0.2.7:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}}, true},
		{"a trusted proxy", o, "10.0.0.1:1", http.Header{"X-Forwarded-For": {"198.51.100.1"}, "Forwarded": {"for=x"}}, false},
		{"a trusted proxy with the wrong header", o, "10.0.0.1:1", http.Header{"Forwarded": {"for=198.51.100.1"}}, true},
		{"a probe of a trusted proxy", o, "10.0.0.1:1", http.Header{}, false},
	} {
		warnings, count := ask(test.o, test.peer, test.header)
		if test.want {
			require.Equal(t, 1, warnings, test.name)
			require.Equal(t, 3, count, test.name)
		} else {
			require.Zero(t, warnings+count, test.name)
		}
	}
}
