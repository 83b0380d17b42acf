package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/desk"
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

// TestDurationsMayBeInDays covers every flag with a duration.
func TestDurationsMayBeInDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "14d": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "0d": 0, "-1h": -time.Hour, "-2d": -48 * time.Hour, "1500ms": 1500 * time.Millisecond,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "90", "d", "14 d", "1.5d", "1d-1h", "soon", "99999999d", "1d1d", "9999999h9999999h"} {
		_, err := parseDuration(text)
		require.ErrorContains(t, err, "use numbers with a unit, as in 90s, 30m, 24h or 14d", text)
	}
	for want, of := range map[string]time.Duration{
		"0s": 0, "1s": time.Second, "30s": 30 * time.Second, "10m": 10 * time.Minute, "24h": day, "14d": 14 * day, "1h0m30s": time.Hour + 30*time.Second,
	} {
		require.Equal(t, want, brief(of))
	}
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

// TestTimesOfOtherDaysHaveTheirDate checks that a time without a date is of today.
func TestTimesOfOtherDaysHaveTheirDate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 10, 24, 22, 0, time.Local)
	require.Equal(t, "09:00:01", clockAt(time.Date(2026, 11, 30, 9, 0, 1, 0, time.Local), now))
	require.Equal(t, "2026-12-01 10:24:22", clockAt(now.Add(24*time.Hour), now))
	require.Equal(t, "2026-11-29 10:24:22", clockAt(now.Add(-24*time.Hour), now))
	require.Equal(t, "-", clockAt(time.Time{}, now))
	baton := starting(t, func(d *desk.Desk) {
		_, _, err := d.AddKey(t.Context(), desk.Key{Name: "crm", Role: desk.KeyService})
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
