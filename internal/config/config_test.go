package config_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/config"
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
		{"BATON_URL", "baton.example.com", "BATON_URL is no address"},
		{"BATON_URL", "https://baton.example.com/desk", "has the path /desk"},
		{"BATON_URL", "https://baton.example.com?x", "BATON_URL is no address"},
		{"BATON_URL", "http://baton.example.com", "use https://"},
		{"BATON_OIDC_ISSUER", "", "BATON_OIDC_ISSUER is missing"},
		{"BATON_OIDC_ISSUER", "http://login.example.com", "use https://"},
		{"BATON_OIDC_ISSUER", "https://me:hidden@login.example.com", "BATON_OIDC_ISSUER is no address"},
		{"BATON_OIDC_CLIENT_ID", "", "BATON_OIDC_CLIENT_ID is missing"},
		{"BATON_OIDC_DOMAIN", "@example.com", "a domain alone"},
	} {
		_, err := load(map[string]string{test.variable: test.value})
		require.ErrorContains(t, err, test.sentence, "%s=%s", test.variable, test.value)
		require.NotContains(t, err.Error(), "hidden")
	}
}
