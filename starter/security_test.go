package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
)

// starting returns a function that runs baton on its own desk.
func starting(t *testing.T, prepare func(*desk.Desk)) func(args ...string) (code int, stdout, stderr string) {
	t.Helper()
	data := t.TempDir()
	made, err := desk.Open(t.Context(), filepath.Join(data, "desk.db"), desk.Options{})
	require.NoError(t, err)
	prepare(made)
	require.NoError(t, made.Close())
	return func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(args, "--data", data), func(string) string { return "" }, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
}

func TestAgentsAreReleasedFromTheirAccounts(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(d *desk.Desk) {
		for _, agent := range []string{"alice", "bob", "erin"} {
			require.NoError(t, people.AddAgent(t.Context(), d, people.NewAgent{Name: agent}))
			require.NoError(t, access.BindIdentity(t.Context(), d, agent, "https://id.example.com", "subject-of-"+agent))
		}
	})
	code, out, _ := baton("agents", "identities")
	require.Equal(t, exitDone, code)
	for _, text := range []string{"alice", "https://id.example.com", "subject-of-bob"} {
		require.Contains(t, out, text)
	}
	code, out, said := baton("agents", "unbind", "bob")
	require.Equal(t, exitDone, code)
	require.NotContains(t, out, "subject-of-bob")
	require.Contains(t, out, "subject-of-alice")
	require.Contains(t, said, "identity_released")

	for _, wrong := range [][]string{{"agents", "unbind"}, {"agents", "unbind", "alice", "--all"}, {"agents", "unbind", "alice", "erin"}} {
		code, _, said = baton(wrong...)
		require.Equal(t, exitUsage, code, wrong)
		require.Contains(t, said, "name one agent, or give --all")
	}
	code, _, said = baton("agents", "unbind", "zoe")
	require.Equal(t, exitRefused, code)
	require.Contains(t, said, "zoe")
	code, out, _ = baton("agents", "unbind", "--all")
	require.Equal(t, exitDone, code)
	require.NotContains(t, out, "subject-of")
}

func TestTheWebhooksSecretIsShownOnce(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(*desk.Desk) {})
	code, before, _ := baton("webhooks", "secret")
	require.Equal(t, exitDone, code)
	code, shown, said := baton("webhooks", "secret", "renew", "--overlap", "24h", "--json")
	require.Equal(t, exitDone, code, said)
	require.Contains(t, said, "webhook_secret_renewed")
	secret := longest(shown)
	require.GreaterOrEqual(t, len(secret), 32, shown)
	require.NotContains(t, said, secret, "in the log")
	code, after, _ := baton("webhooks", "secret")
	require.Equal(t, exitDone, code)
	require.NotEqual(t, before, after)
	require.NotContains(t, after, secret, "it is shown once")
	code, _, said = baton("webhooks", "secret", "renew")
	require.Equal(t, exitRefused, code, "a renewal is under way")
	require.Contains(t, said, "overlap")
	code, _, _ = baton("webhooks", "secret", "renew", "--overlap", "0")
	require.Equal(t, exitDone, code)
	code, _, said = baton("webhooks", "secret", "renew", "--overlap", "721h")
	require.NotEqual(t, exitDone, code)
	require.Contains(t, said, "720h")
}

// longest returns the longest word of letters and digits.
func longest(text string) (word string) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/=", r)
	}) {
		if len(part) > len(word) {
			word = part
		}
	}
	return word
}

func TestGrantsAreForPostgreSQL(t *testing.T) {
	t.Parallel()
	baton := starting(t, func(*desk.Desk) {})
	code, _, said := baton("desk", "grants", "--role", "baton_run")
	require.NotEqual(t, exitDone, code)
	require.Contains(t, said, "PostgreSQL")
	code, _, _ = baton("desk", "grants")
	require.NotEqual(t, exitDone, code)
}
