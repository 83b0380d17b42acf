package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/config"
)

func TestLoadWorker(t *testing.T) {
	t.Parallel()
	load := func(environment map[string]string) (config.Worker, error) {
		return config.LoadWorker(func(name string) string { return environment[name] })
	}
	loaded, err := load(nil)
	require.NoError(t, err)
	require.Equal(t, config.Worker{}, loaded)
	loaded, err = load(map[string]string{"BATON_DEPLOYMENT": "baton", "BATON_BUILD_ID": "v1.2.0+a", "BATON_VERSIONING": "pinned"})
	require.NoError(t, err)
	require.Equal(t, config.Worker{Deployment: "baton", BuildID: "v1.2.0+a", Pinned: true}, loaded)
	loaded, err = load(map[string]string{"BATON_DEPLOYMENT": "baton", "BATON_VERSIONING": "auto-upgrade"})
	require.NoError(t, err)
	require.Equal(t, config.Worker{Deployment: "baton"}, loaded)
	loaded, err = load(map[string]string{"BATON_CACHED_CONVERSATIONS": "5000"})
	require.NoError(t, err)
	require.Equal(t, config.Worker{Cached: 5000}, loaded)

	for variable, values := range map[string][]string{
		"BATON_DEPLOYMENT":           {"a.b", "a:b", "-", "two words", strings.Repeat("a", 65)},
		"BATON_BUILD_ID":             {"a:b", "two words", strings.Repeat("a", 129)},
		"BATON_CACHED_CONVERSATIONS": {"many", "99", "-1"},
		"BATON_VERSIONING":           {"perhaps", "pinned"}, // pinned needs a deployment
	} {
		for _, value := range values {
			_, err := load(map[string]string{variable: value})
			require.ErrorContains(t, err, variable+" is ", "%s=%s", variable, value)
		}
	}
}
