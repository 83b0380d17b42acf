package config_test

import (
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
