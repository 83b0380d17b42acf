package desk_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
	"github.com/baton-transfers/baton/internal/seclog"
)

// testKeyUse checks when a key was last used: to the minute, with at most one write a minute.
func testKeyUse(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	key, secret, err := desk.AddKey(ctx, h.Desk, desk.Key{Name: "shop", Role: desk.KeyService, LastUsedAt: h.Clock.Now()})
	require.NoError(t, err)
	require.Zero(t, key.LastUsedAt)
	another := h.Reopen()
	used := func() time.Time {
		keys, err := desk.ListKeys(ctx, another)
		require.NoError(t, err)
		return keys[0].LastUsedAt
	}
	authenticate := func(d *desk.Desk) {
		_, err := desk.NewAuthenticator(d).Authenticate(ctx, key.SID, secret)
		require.NoError(t, err)
	}
	require.Zero(t, used(), "never yet")
	_, err = desk.NewAuthenticator(h.Desk).Authenticate(ctx, key.SID, "another")
	require.ErrorIs(t, err, desk.ErrCredentials)
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
		return desk.BindIdentity(ctx, h.Desk, agent, issuer, subject)
	}
	require.NoError(t, bind("alice", issuer, "1"))
	require.NoError(t, bind("alice", issuer, "1"), "at every further sign-in")
	for _, refused := range [][3]string{
		{"alice", issuer, "2"}, {"alice", other, "1"}, {"bob", issuer, "1"}, // another person, another provider, alice under another name
	} {
		err := bind(refused[0], refused[1], refused[2])
		refusedWith(t, conversation.CodeInvalidPayload, err, "an administrator can release that binding")
		require.True(t, desk.IsTaken(err, "identity"))
		require.NotContains(t, err.Error(), issuer)
	}
	refusedWith(t, conversation.CodeInvalidPayload, bind("bob", issuer, ""), "no subject")
	refusedWith(t, conversation.CodeUnknownAgent, bind("zoe", issuer, "3"), "")
	require.NoError(t, bind("bob", other, "1"), "the same subject of another issuer is another account")
	bound, err := desk.ListIdentities(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, []desk.Identity{{"alice", issuer, "1", bound[0].BoundAt}, {"bob", other, "1", bound[1].BoundAt}}, bound)

	require.NoError(t, desk.ReleaseIdentity(desk.WithActor(ctx, "carol"), h.Desk, "alice"))
	require.NoError(t, desk.ReleaseIdentity(ctx, h.Desk, "alice"), "again, it does no harm")
	refusedWith(t, conversation.CodeUnknownAgent, desk.ReleaseIdentity(ctx, h.Desk, "zoe"), "")
	_, found, err := desk.IdentityOf(ctx, h.Desk, "alice")
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, bind("alice", issuer, "2"))

	audit, err := desk.AuditPage(ctx, h.Desk, desk.AuditFilter{Subject: "alice", By: "carol"}, desk.Page{})
	require.NoError(t, err)
	require.Equal(t, "agent.identity", audit.Entries[0].What)
	require.Equal(t, "1 at "+issuer, audit.Entries[0].Before)

	require.NoError(t, desk.RemoveAgent(ctx, h.Desk, "bob"))
	require.NoError(t, desk.AddAgent(ctx, h.Desk, desk.NewAgent{Name: "bob"}))
	require.NoError(t, bind("bob", other, "9"), "a new agent of that name is another person")
}

func testWebhookSecret(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	account, err := desk.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	signing := func() [2]string {
		account, err := desk.ReadAccount(ctx, h.Desk)
		require.NoError(t, err)
		current, next := account.Signing(h.Clock.Now())
		return [2]string{current, next}
	}
	require.Equal(t, [2]string{account.AuthToken, ""}, signing(), "until there is a secret")
	_, first, err := desk.RenewWebhookSecret(ctx, h.Desk, time.Hour)
	require.NoError(t, err)
	require.Len(t, first, 32)
	require.Equal(t, [2]string{account.AuthToken, first}, signing())
	_, _, err = desk.RenewWebhookSecret(ctx, h.Desk, time.Hour)
	refusedWith(t, conversation.CodeInvalidPayload, err, "a renewal is under way until")
	h.Clock.Advance(time.Hour)
	require.Equal(t, [2]string{first, ""}, signing())
	_, err = desk.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, [2]string{first, ""}, signing(), "the auth token has nothing to do with it any more")

	_, second, err := desk.RenewWebhookSecret(ctx, h.Desk, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, [2]string{first, second}, signing())
	_, third, err := desk.RenewWebhookSecret(ctx, h.Desk, 0)
	require.NoError(t, err)
	require.Equal(t, [2]string{third, ""}, signing(), "a secret that leaked signs nothing any more")
	for _, wrong := range []time.Duration{-time.Second, 721 * time.Hour} {
		_, _, err = desk.RenewWebhookSecret(ctx, h.Desk, wrong)
		refusedWith(t, conversation.CodeInvalidPayload, err, "choose 0 to 720h")
	}
}

// testSecurityLog checks the log lines of changes of permissions, and of erasures.
func testSecurityLog(t *testing.T, h *desktest.Environment) {
	var log bytes.Buffer
	h.Security = seclog.New(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})))
	h.Desk = h.Reopen()
	ctx := seclog.WithOrigin(desk.WithActor(t.Context(), "carol"), seclog.Origin{Address: "192.0.2.7", Route: "baton"})
	h.Staff("support", "alice")
	key, secret, err := desk.AddKey(ctx, h.Desk, desk.Key{Name: "shop", Role: desk.KeyService})
	require.NoError(t, err)
	require.NoError(t, desk.RevokeKey(ctx, h.Desk, key.SID))
	require.NoError(t, desk.RevokeKey(ctx, h.Desk, key.SID), "again, which is no event")
	agents, agentSecret, err := desk.AddKey(ctx, h.Desk, desk.Key{Name: "alice", Role: desk.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	account, err := desk.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	_, webhook, err := desk.RenewWebhookSecret(ctx, h.Desk, 0)
	require.NoError(t, err)
	require.NoError(t, desk.NoteSecretShown(ctx, h.Desk, "auth_token"))
	require.NoError(t, desk.BindIdentity(ctx, h.Desk, "alice", "https://login.example.com", "1"))
	require.NoError(t, desk.ReleaseIdentity(ctx, h.Desk, "alice"))
	require.NoError(t, desk.UpdateAgent(ctx, h.Desk, "alice", desk.AgentChange{Role: new(desk.RoleSupervisor)}))
	require.NoError(t, desk.RemoveAgent(ctx, h.Desk, "alice"))
	require.Error(t, desk.RemoveAgent(ctx, h.Desk, "alice"), "what is refused changes nothing")
	th := h.Start("support", func(c *conversation.StartCommand) { c.Customer.Address = "crystal@example.com" }).Follow()
	th.Do(conversation.CloseCommand{})
	th.Sync()
	_, err = desk.Erase(ctx, h.Desk, []string{th.SID}, true)
	require.NoError(t, err)
	_, err = desk.Erase(ctx, h.Desk, []string{th.SID}, false)
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
