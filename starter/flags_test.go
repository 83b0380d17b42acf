package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/desk"
)

// TestARefusalNamesTheFlag holds that a value the desk refuses is called by the flag that it was given with.
func TestARefusalNamesTheFlag(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	made, err := desk.Open(t.Context(), filepath.Join(data, "desk.db"), desk.Options{})
	require.NoError(t, err)
	require.NoError(t, made.Close())
	for _, test := range []struct {
		says string
		args []string
	}{
		{"invalid_payload: --reservation-timeout is 0 seconds: choose 1 second to 1 day", []string{"settings", "--reservation-timeout", "0s"}},
		{"invalid_payload: --reoffer-after is 9999999", []string{"settings", "--reoffer-after", "9999999s"}},
		{"invalid_payload: --agent-unavailable is \"shrug\"", []string{"settings", "--agent-unavailable", "shrug"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(test.args, "--data", data), func(string) string { return "" }, &stdout, &stderr)
		require.Equal(t, exitRefused, code, "%v: %s", test.args, stderr.String())
		require.Contains(t, stderr.String(), test.says)
	}
}
