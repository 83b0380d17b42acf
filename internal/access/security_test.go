package access_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/seclog"
)

// testKeyUse checks when a key was last used: to the minute, with at most one write a minute.
func testKeyUse(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	key, secret, err := access.AddKey(ctx, h.Desk, access.Key{Name: "shop", Role: access.KeyService, LastUsedAt: h.Clock.Now()})
	require.NoError(t, err)
	require.Zero(t, key.LastUsedAt)
	another := h.Reopen()
	used := func() time.Time {
		keys, err := access.ListKeys(ctx, another)
		require.NoError(t, err)
		return keys[0].LastUsedAt
	}
	authenticate := func(d *desk.Desk) {
		_, err := access.NewAuthenticator(d).Authenticate(ctx, key.SID, secret)
		require.NoError(t, err)
	}
	require.Zero(t, used(), "never yet")
	_, err = access.NewAuthenticator(h.Desk).Authenticate(ctx, key.SID, "another")
	require.ErrorIs(t, err, access.ErrCredentials)
	require.Zero(t, used(), "the key is unused")

	first := h.Clock.Now()
	authenticate(h.Desk)
	require.Equal(t, first, used())
	h.Clock.Advance(59 * time.Second)
	authenticate(h.Desk)
	authenticate(another)
	require.Equal(t, first, used())
	h.Clock.Advance(time.Second)
	authenticate(another)
	require.Equal(t, first.Add(time.Minute), used())
	authenticate(h.Desk)
	require.Equal(t, first.Add(time.Minute), used(), "another process has recorded that minute")
}

func testIdentities(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	const issuer, other = "https://login.example.com", "https://login.example.org"
	h.Staff("support", "alice", "bob")
	bind := func(agent, issuer, subject string) error {
		return access.BindIdentity(ctx, h.Desk, agent, issuer, subject)
	}
	require.NoError(t, bind("alice", issuer, "1"))
	require.NoError(t, bind("alice", issuer, "1"), "at every further sign-in")
	for _, refused := range [][3]string{
		{"alice", issuer, "2"}, {"alice", other, "1"}, {"bob", issuer, "1"}, // another person, another provider, alice under another name
	} {
		err := bind(refused[0], refused[1], refused[2])
		desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "an administrator can release that binding")
		require.True(t, access.IsTaken(err, "identity"))
		require.NotContains(t, err.Error(), issuer)
	}
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, bind("bob", issuer, ""), "no subject")
	desktest.RequireRefused(t, conversation.CodeUnknownAgent, bind("zoe", issuer, "3"), "")
	require.NoError(t, bind("bob", other, "1"), "the same subject of another issuer is another account")
	bound, err := access.ListIdentities(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, []access.Identity{{"alice", issuer, "1", bound[0].BoundAt}, {"bob", other, "1", bound[1].BoundAt}}, bound)

	require.NoError(t, access.ReleaseIdentity(desk.WithActor(ctx, "carol"), h.Desk, "alice"))
	require.NoError(t, access.ReleaseIdentity(ctx, h.Desk, "alice"), "again, it does no harm")
	desktest.RequireRefused(t, conversation.CodeUnknownAgent, access.ReleaseIdentity(ctx, h.Desk, "zoe"), "")
	_, found, err := access.IdentityOf(ctx, h.Desk, "alice")
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, bind("alice", issuer, "2"))

	audit, err := desk.AuditPage(ctx, h.Desk, desk.AuditFilter{Subject: "alice", By: "carol"}, desk.Page{})
	require.NoError(t, err)
	require.Equal(t, "agent.identity", audit.Entries[0].What)
	require.Equal(t, "1 at "+issuer, audit.Entries[0].Before)

	require.NoError(t, people.RemoveAgent(ctx, h.Desk, "bob"))
	require.NoError(t, people.AddAgent(ctx, h.Desk, people.NewAgent{Name: "bob"}))
	require.NoError(t, bind("bob", other, "9"), "a new agent of that name is another person")
}

func testWebhookSecret(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	account, err := access.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	signing := func() [2]string {
		account, err := access.ReadAccount(ctx, h.Desk)
		require.NoError(t, err)
		current, next := account.Signing(h.Clock.Now())
		return [2]string{current, next}
	}
	require.Equal(t, [2]string{account.AuthToken, ""}, signing(), "until there is a secret")
	_, first, err := access.RenewWebhookSecret(ctx, h.Desk, time.Hour)
	require.NoError(t, err)
	require.Len(t, first, 32)
	require.Equal(t, [2]string{account.AuthToken, first}, signing())
	_, _, err = access.RenewWebhookSecret(ctx, h.Desk, time.Hour)
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "a renewal is under way until")
	h.Clock.Advance(time.Hour)
	require.Equal(t, [2]string{first, ""}, signing())
	_, err = access.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, [2]string{first, ""}, signing(), "the auth token has nothing to do with it any more")

	_, second, err := access.RenewWebhookSecret(ctx, h.Desk, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, [2]string{first, second}, signing())
	_, third, err := access.RenewWebhookSecret(ctx, h.Desk, 0)
	require.NoError(t, err)
	require.Equal(t, [2]string{third, ""}, signing(), "a secret that leaked signs nothing any more")
	for _, wrong := range []time.Duration{-time.Second, 721 * time.Hour} {
		_, _, err = access.RenewWebhookSecret(ctx, h.Desk, wrong)
		desktest.RequireRefused(t, conversation.CodeInvalidPayload, err, "choose 0 to 720h")
	}
}

// testSecurityLog checks the log lines of changes of permissions, and of erasures.
func testSecurityLog(t *testing.T, h *desktest.Environment) {
	var log bytes.Buffer
	h.Security = seclog.New(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
	h.Desk = h.Reopen()
	ctx := seclog.WithOrigin(desk.WithActor(t.Context(), "carol"), seclog.Origin{Address: "192.0.2.7", Route: "baton"})
	h.Staff("support", "alice")
	key, secret, err := access.AddKey(ctx, h.Desk, access.Key{Name: "shop", Role: access.KeyService})
	require.NoError(t, err)
	require.NoError(t, access.RevokeKey(ctx, h.Desk, key.SID))
	require.NoError(t, access.RevokeKey(ctx, h.Desk, key.SID), "again, which is no event")
	agents, agentSecret, err := access.AddKey(ctx, h.Desk, access.Key{Name: "alice", Role: access.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	account, err := access.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	_, webhook, err := access.RenewWebhookSecret(ctx, h.Desk, 0)
	require.NoError(t, err)
	require.NoError(t, access.NoteSecretShown(ctx, h.Desk, "auth_token"))
	require.NoError(t, access.BindIdentity(ctx, h.Desk, "alice", "https://login.example.com", "1"))
	require.NoError(t, access.ReleaseIdentity(ctx, h.Desk, "alice"))
	require.NoError(t, people.UpdateAgent(ctx, h.Desk, "alice", people.AgentChange{Role: new(desk.RoleSupervisor)}))
	require.NoError(t, people.RemoveAgent(ctx, h.Desk, "alice"))
	require.Error(t, people.RemoveAgent(ctx, h.Desk, "alice"), "what is refused changes nothing")
	th := h.Start("support", func(c *conversation.StartCommand) { c.Customer.Address = "crystal@example.com" }).Follow()
	th.Do(conversation.CloseCommand{})
	th.Sync()
	_, err = records.Erase(ctx, h.Desk, []string{th.SID}, true)
	require.NoError(t, err)
	_, err = records.Erase(ctx, h.Desk, []string{th.SID}, false)
	require.NoError(t, err)

	var events [][2]string
	for line := range strings.Lines(log.String()) {
		var entry map[string]string
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		require.Equal(t, "security event", entry["msg"])
		require.Equal(t, "carol", entry["who"])
		require.Equal(t, "192.0.2.7", entry["address"])
		require.Equal(t, "baton", entry["route"])
		require.Equal(t, "accepted", entry["outcome"])
		events = append(events, [2]string{entry["event"], entry["subject"]})
	}
	require.Equal(t, [][2]string{
		{"key_added", key.SID},
		{"key_revoked", key.SID},
		{"key_added", agents.SID},
		{"auth_token_renewed", ""},
		{"webhook_secret_renewed", ""},
		{"secret_shown", "auth_token"},
		{"identity_bound", "alice"},
		{"identity_released", "alice"},
		{"role_changed", "alice"},
		{"key_revoked", agents.SID},
		{"erasure", th.SID},
	}, events)
	for _, hidden := range []string{secret, agentSecret, account.AuthToken, webhook, "crystal"} {
		require.NotContains(t, log.String(), hidden)
	}
}
