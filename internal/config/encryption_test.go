package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/config"
)

func TestLoadKeys(t *testing.T) {
	t.Parallel()
	first, err := codec.FreshKey("first")
	require.NoError(t, err)
	second, err := codec.FreshKey("second")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte(second+"\n"+first+"\n"), 0o600))
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	for _, test := range []struct {
		name, keys, file string
		ids              []string
		refused          string
	}{
		{"nothing is said", "", "", []string{}, ""},
		{"the environment has them", first + "," + second, "", []string{"first", "second"}, ""},
		{"a file has them", "", file, []string{"second", "first"}, ""},
		{"both are set", first, file, nil, "unset one of them"},
		{"the file isn't there", "", file + "x", nil, "BATON_ENCRYPTION_KEYS_FILE"},
		{"the file is empty", "", empty, nil, "holds no key"},
		{"there is no key in what is set", " ", "", nil, "holds no key"},
		{"it is no key", "first", "", nil, "BATON_ENCRYPTION_KEYS: key 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			keys, err := config.LoadKeys(func(name string) string {
				return map[string]string{"BATON_ENCRYPTION_KEYS": test.keys, "BATON_ENCRYPTION_KEYS_FILE": test.file}[name]
			})
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.ids, keys.IDs())
		})
	}
}

func TestLoadCodecOrigins(t *testing.T) {
	t.Parallel()
	load := func(origins string) ([]string, error) {
		g, err := config.LoadGateway(func(name string) string { return map[string]string{"BATON_CODEC_ORIGINS": origins}[name] })
		return g.CodecOrigins, err
	}
	origins, err := load("https://Temporal.example.com/, http://127.0.0.1:8233")
	require.NoError(t, err)
	require.Equal(t, []string{"https://temporal.example.com", "http://127.0.0.1:8233"}, origins)
	for origin, refused := range map[string]string{
		"*": "is not an address", "http://temporal.example.com": "use https://", "https://temporal.example.com/namespaces": "alone",
	} {
		_, err := load(origin)
		require.ErrorContains(t, err, refused, origin)
	}
}

// TestLoadKeysThatAreRequired: a mistake in BATON_ENCRYPTION_REQUIRED never means off.
func TestLoadKeysThatAreRequired(t *testing.T) {
	t.Parallel()
	key, err := codec.FreshKey("k")
	require.NoError(t, err)
	for _, test := range []struct{ keys, required, refused string }{
		{key, "on", ""},
		{key, "off", ""},
		{"", "off", ""},
		{"", "on", "BATON_ENCRYPTION_REQUIRED is on and there are no keys: set BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE"},
		{key, "true", "BATON_ENCRYPTION_REQUIRED is neither on nor off"},
		{key, "ON", "BATON_ENCRYPTION_REQUIRED is neither on nor off"},
		{key, " ", "BATON_ENCRYPTION_REQUIRED is neither on nor off"},
	} {
		keys, err := config.LoadKeys(func(name string) string {
			return map[string]string{"BATON_ENCRYPTION_KEYS": test.keys, "BATON_ENCRYPTION_REQUIRED": test.required}[name]
		})
		if test.refused != "" {
			require.ErrorContains(t, err, test.refused)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.required == "on", keys.IsRequired(), "%+v", test)
	}
}
