package config_test

import (
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/limit"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	served := t.TempDir()
	require.NoError(t, config.NoteAddress(served, "127.0.0.1:7999"))
	for _, test := range []struct {
		name, data         string
		environment        map[string]string
		database, temporal string
	}{
		{"nothing is said", "", nil, "sqlite:.baton/desk.db", ""},
		{"a folder is given", "elsewhere", nil, "sqlite:elsewhere/desk.db", ""},
		{"the environment names a folder", "", map[string]string{"BATON_DATA": "there"}, "sqlite:there/desk.db", ""},
		{"a folder given comes first", "here", map[string]string{"BATON_DATA": "there"}, "sqlite:here/desk.db", ""},
		{"the environment names the desk", "here", map[string]string{"BATON_DATABASE": "sqlite:x.db"}, "sqlite:x.db", ""},
		{"a dev server runs on the folder", served, nil, "sqlite:" + served + "/desk.db", "127.0.0.1:7999"},
		{"the environment names another server", served, map[string]string{"TEMPORAL_ADDRESS": "h:1"}, "sqlite:" + served + "/desk.db", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			loaded, err := config.Load(func(name string) string { return test.environment[name] }, test.data)
			require.NoError(t, err)
			require.Equal(t, config.Config{Database: test.database, Temporal: test.temporal}, loaded)
		})
	}
}

func TestLoadGateway(t *testing.T) {
	t.Parallel()
	load := func(environment map[string]string) (config.Gateway, error) {
		return config.LoadGateway(func(name string) string { return environment[name] })
	}
	loaded, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, config.Gateway{Address: config.DefaultHTTP}, loaded)
	loaded, err = load(map[string]string{"BATON_HTTP": ":80", "BATON_WEBHOOK_ALLOW": "10.0.0.0/8", "BATON_WEBHOOK_REDIRECTS": "on"})
	require.NoError(t, err)
	require.Equal(t, config.Gateway{Address: ":80", WebhookAllow: "10.0.0.0/8", WebhookRedirects: true}, loaded)
	loaded, err = load(map[string]string{"BATON_SESSION_IDLE": "30m"})
	require.NoError(t, err)
	require.Equal(t, 30*time.Minute, loaded.SessionIdle)
	for _, wrong := range []string{"4", "soon", "-1h", "4m59s", "13h"} {
		_, err = load(map[string]string{"BATON_SESSION_IDLE": wrong})
		require.ErrorContains(t, err, "set it to a time from 5m to 12h")
	}
	_, err = load(map[string]string{"BATON_WEBHOOK_REDIRECTS": "perhaps"})
	require.ErrorContains(t, err, "set it to on or off")
}

func TestLoadSignIn(t *testing.T) {
	t.Parallel()
	load := func(changes map[string]string) (config.Gateway, error) {
		environment := map[string]string{
			"BATON_URL": "https://baton.example.com/", "BATON_OIDC_ISSUER": "https://login.example.com/tenant/", "BATON_OIDC_CLIENT_ID": "baton",
			"BATON_OIDC_CLIENT_SECRET": "hidden",
		}
		maps.Copy(environment, changes)
		return config.LoadGateway(func(name string) string { return environment[name] })
	}
	loaded, err := load(map[string]string{"BATON_OIDC_CLAIM": "email", "BATON_OIDC_DOMAIN": "example.com"})
	require.NoError(t, err)
	require.Equal(t, "https://baton.example.com", loaded.URL)
	require.Equal(t, config.OIDC{
		Issuer: "https://login.example.com/tenant/", ClientID: "baton", ClientSecret: "hidden", Claim: "email", Domain: "example.com",
	}, loaded.OIDC)

	loaded, err = load(map[string]string{"BATON_URL": "http://127.0.0.1:8080", "BATON_OIDC_ISSUER": "http://localhost:5556", "BATON_OIDC_CLIENT_SECRET": ""})
	require.NoError(t, err, "on one machine, as a public client")
	require.Equal(t, "http://127.0.0.1:8080", loaded.URL)
	loaded, err = load(map[string]string{"BATON_OIDC_ISSUER": "", "BATON_OIDC_CLIENT_ID": "", "BATON_OIDC_CLIENT_SECRET": ""})
	require.NoError(t, err, "customers' pages alone")
	require.Equal(t, config.OIDC{}, loaded.OIDC)

	for _, test := range []struct{ variable, value, sentence string }{
		{"BATON_URL", "", "BATON_URL is missing"},
		{"BATON_URL", "baton.example.com", "BATON_URL is not an address"},
		{"BATON_URL", "https://baton.example.com/desk", "has the path /desk"},
		{"BATON_URL", "https://baton.example.com?x", "BATON_URL is not an address"},
		{"BATON_URL", "http://baton.example.com", "use https://"},
		{"BATON_OIDC_ISSUER", "", "BATON_OIDC_ISSUER is missing"},
		{"BATON_OIDC_ISSUER", "http://login.example.com", "use https://"},
		{"BATON_OIDC_ISSUER", "https://me:hidden@login.example.com", "BATON_OIDC_ISSUER is not an address"},
		{"BATON_OIDC_CLIENT_ID", "", "BATON_OIDC_CLIENT_ID is missing"},
		{"BATON_OIDC_DOMAIN", "@example.com", "a domain alone"},
	} {
		_, err := load(map[string]string{test.variable: test.value})
		require.ErrorContains(t, err, test.sentence, "%s=%s", test.variable, test.value)
		require.NotContains(t, err.Error(), "hidden")
	}
}

func TestLoadTrustedProxies(t *testing.T) {
	t.Parallel()
	load := func(proxies string) (config.Gateway, error) {
		return config.LoadGateway(func(name string) string { return map[string]string{"BATON_TRUSTED_PROXIES": proxies}[name] })
	}
	g, err := load("10.1.0.0/16, 192.168.7.9,::1")
	require.NoError(t, err)
	require.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("192.168.7.9/32"), netip.MustParsePrefix("::1/128")}, g.TrustedProxies)
	for _, wrong := range []string{"ingress", "10.0.0.0/8;10.1.0.0/16", "*", "0.0.0.0/0", "::/0", "10.1.2.3/8", "unix:/run/proxy.sock"} {
		_, err := load(wrong)
		require.ErrorContains(t, err, "BATON_TRUSTED_PROXIES: ", wrong)
	}
}

func TestLoadLimits(t *testing.T) {
	t.Parallel()
	load := func(environment map[string]string) (config.Gateway, error) {
		return config.LoadGateway(func(name string) string { return environment[name] })
	}
	g, err := load(map[string]string{
		"BATON_LIMIT_CHATS": "1/1m", "BATON_LIMIT_CHATS_TOTAL": "2/1m", "BATON_LIMIT_SIGN_INS": "3/1m", "BATON_LIMIT_SIGN_INS_TOTAL": "4/1m",
		"BATON_LIMIT_MESSAGES": "5/1m", "BATON_LIMIT_MESSAGES_TOTAL": "6/1m", "BATON_LIMIT_CREDENTIALS": "7/1m", "BATON_LIMIT_CREDENTIALS_TOTAL": " 8/1m ",
	})
	require.NoError(t, err)
	minute := func(count int) limit.Pace { return limit.Pace{Count: count, Per: time.Minute} }
	require.Equal(t, config.Limits{
		Chats: minute(1), ChatsTotal: minute(2), SignIns: minute(3), SignInsTotal: minute(4),
		Messages: minute(5), MessagesTotal: minute(6), Credentials: minute(7), CredentialsTotal: minute(8),
	}, g.Limits)
	for _, variable := range []string{"CHATS", "CHATS_TOTAL", "SIGN_INS", "SIGN_INS_TOTAL", "MESSAGES", "MESSAGES_TOTAL", "CREDENTIALS", "CREDENTIALS_TOTAL"} {
		for _, wrong := range []string{"10", "0/1m", "10/0s", "off", "10/minute", "-1/1m"} {
			_, err := load(map[string]string{"BATON_LIMIT_" + variable: wrong})
			require.ErrorContains(t, err, "BATON_LIMIT_"+variable+": ")
			require.ErrorContains(t, err, "as 10/1m")
		}
	}
}

func TestCheckReach(t *testing.T) {
	t.Parallel()
	for address, beyond := range map[string]bool{
		"127.0.0.1:8080": false, "127.9.9.9:0": false, "[::1]:8080": false, "localhost:8080": false, "LOCALHOST:8080": false, "[::ffff:127.0.0.1]:80": false,
		":8080": true, "0.0.0.0:8080": true, "[::]:8080": true, "10.0.0.1:8080": true, "baton.internal:8080": true, "localhost.example.com:80": true,
	} {
		err := config.CheckReach("BATON_HTTP", address, "")
		if beyond {
			require.ErrorContains(t, err, "BATON_URL is missing", address)
		} else {
			require.NoError(t, err, address)
		}
		require.NoError(t, config.CheckReach("BATON_HTTP", address, "https://baton.example.com"), address)
	}
	for _, wrong := range []string{"8080", "127.0.0.1", "", "::1:80"} {
		require.ErrorContains(t, config.CheckReach("BATON_HTTP", wrong, "https://baton.example.com"), "as 127.0.0.1:8080", wrong)
	}
}

// TestPublicAddressIsAnOrigin: browsers send an origin in lower case, without the scheme's default port.
func TestPublicAddressIsAnOrigin(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://Baton.Example.com/": "https://baton.example.com", "https://baton.example.com:443": "https://baton.example.com",
		"https://baton.example.com:8443": "https://baton.example.com:8443", "http://127.0.0.1:80": "http://127.0.0.1", "http://[::1]:8080": "http://[::1]:8080",
	} {
		g, err := config.LoadGateway(func(name string) string {
			return map[string]string{"BATON_URL": given, "BATON_CODEC_ORIGINS": given}[name]
		})
		require.NoError(t, err)
		require.Equal(t, want, g.URL)
		require.Equal(t, []string{want}, g.CodecOrigins)
	}
}
