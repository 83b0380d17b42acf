package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
)

// TestARefusalNamesTheFlag checks that a refusal names the flag of the refused value.
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
		{"invalid_payload: --reservation-timeout is 25 hours: choose 1 second to 1 day", []string{"settings", "--reservation-timeout", "25h"}},
		{"invalid_payload: --task-timeout is 15 days: choose 1 second to 14 days", []string{"settings", "--task-timeout", "15d"}},
		{"invalid_payload: --reoffer-after is 9999999 seconds: choose", []string{"settings", "--reoffer-after", "9999999s"}},
		{"invalid_payload: --agent-unavailable is \"shrug\"", []string{"settings", "--agent-unavailable", "shrug"}},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(test.args, "--data", data), func(string) string { return "" }, &stdout, &stderr)
		require.Equal(t, exitRefused, code, "%v: %s", test.args, stderr.String())
		require.Contains(t, stderr.String(), test.says)
	}
}

// TestDurationsMayBeInDays covers every kind of flag with a duration.
func TestDurationsMayBeInDays(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(*desk.Desk) {})
	code, out, said := baton("settings", "--task-timeout", "13d")
	require.Equal(t, exitDone, code, said)
	require.Contains(t, out, "312h")
	for _, wrong := range [][]string{{"insights", "--since", "90"}, {"webhooks", "secret", "renew", "--overlap", "soon"}, {"agents", "--timeout", "7x"}} {
		code, _, said = baton(wrong...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, said, "as in 90s, 30m, 24h or 14d", "%v", wrong)
	}
	code, _, said = baton("insights", "--since", "7d")
	require.Equal(t, exitDone, code, said)
}

// TestTimesOfOtherDaysHaveTheirDate checks that a list of keys, which may be old, has dates.
func TestTimesOfOtherDaysHaveTheirDate(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(d *desk.Desk) {
		_, _, err := access.AddKey(t.Context(), d, access.Key{Name: "crm", Role: access.KeyService})
		require.NoError(t, err)
	})
	_, out, _ := baton("keys", "list")
	require.Regexp(t, `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`, out)
}

// TestTheDatabaseIsWrittenInOneOfTwoForms checks that a mistyped database does not create a new, empty desk.
func TestTheDatabaseIsWrittenInOneOfTwoForms(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for database, says := range map[string]string{
		filepath.Join(folder, "foo.db"):  "BATON_DATABASE is not the address of a database: use sqlite:PATH",
		"sqlite:":                        "BATON_DATABASE is not the address of a database: use sqlite:PATH",
		"mysql://user:secret@db/baton":   "BATON_DATABASE begins with mysql://: use sqlite:PATH",
		"sqlite://" + folder + "/foo.db": "BATON_DATABASE begins with sqlite://: use sqlite:PATH",
		"postgres:db.example.com/baton":  "BATON_DATABASE is not the address of a database",
		"postgres://":                    "BATON_DATABASE begins with postgres://",
	} {
		for _, args := range [][]string{{"agents"}, {"setup", "--temporal", "127.0.0.1:1"}, {"desk", "migrate"}, {"dev"}} {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), append(args, "--data", folder), func(name string) string {
				return map[string]string{"BATON_DATABASE": database}[name]
			}, &stdout, &stderr)
			require.Equal(t, exitRefused, code, "%s %v", database, args)
			require.Contains(t, stderr.String(), says, "%s %v", database, args)
			require.NotContains(t, stderr.String(), "secret")
		}
	}
	made, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, made)
}
