package access_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
)

func testKeys(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	account, err := access.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	again, err := access.ReadAccount(ctx, h.Reopen())
	require.NoError(t, err)
	require.Equal(t, account, again, "there is one account, no matter which process opens the desk first")
	require.Len(t, account.AuthToken, 32)
	renewed, err := access.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, account.SID, renewed.SID)
	require.NotEqual(t, account.AuthToken, renewed.AuthToken)

	h.Staff("support", "alice")
	key, secret, err := access.AddKey(ctx, h.Desk, access.Key{Name: "alice's desk", Role: access.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, access.DefaultRateLimit, key.RateLimit)
	found, err := access.NewAuthenticator(h.Desk).Authenticate(ctx, key.SID, secret)
	require.NoError(t, err)
	require.Equal(t, key.SID, found.SID)
	require.Equal(t, "alice", found.Agent)
	for name, credentials := range map[string][2]string{
		"another secret": {key.SID, renewed.AuthToken}, "no secret": {key.SID, ""}, "another key": {desk.PrefixKey + strings.Repeat("0", 32), secret},
		"nothing": {"", ""}, "no such key and no secret": {desk.PrefixKey + strings.Repeat("0", 32), ""},
	} {
		_, err := access.NewAuthenticator(h.Desk).Authenticate(ctx, credentials[0], credentials[1])
		require.ErrorIs(t, err, access.ErrCredentials, name)
	}

	require.NoError(t, access.RevokeKey(ctx, h.Desk, key.SID))
	require.NoError(t, access.RevokeKey(ctx, h.Desk, key.SID), "again, it does no harm")
	_, err = access.NewAuthenticator(h.Reopen()).Authenticate(ctx, key.SID, secret)
	require.ErrorIs(t, err, access.ErrCredentials)
	keys, err := access.ListKeys(ctx, h.Desk)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.False(t, keys[0].RevokedAt.IsZero())

	for _, wrong := range []struct {
		key  access.Key
		code conversation.Code
		says string
	}{
		{access.Key{Name: "x", Role: "root"}, conversation.CodeInvalidPayload, "no role"},
		{access.Key{Name: "x", Role: access.KeyAgent}, conversation.CodeInvalidPayload, "bound to one agent"},
		{access.Key{Name: "x", Role: access.KeyService, Agent: "alice"}, conversation.CodeInvalidPayload, "only a key of the role agent"},
		{access.Key{Name: "x", Role: access.KeyAgent, Agent: "missing"}, conversation.CodeUnknownAgent, "no agent named"},
		{access.Key{Name: " ", Role: access.KeyService}, conversation.CodeInvalidPayload, "key's name"},
		{access.Key{Name: "x", Role: access.KeyService, RateLimit: -1}, conversation.CodeInvalidPayload, "requests a second"},
	} {
		_, _, err := access.AddKey(ctx, h.Desk, wrong.key)
		desktest.RequireRefused(t, wrong.code, err, wrong.says)
	}
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, access.RevokeKey(ctx, h.Desk, "SK1"), "no key")
}

// testSecretsAreHashed looks at all stored data: they contain nothing of a key's secret.
func testSecretsAreHashed(t *testing.T, h *desktest.Environment) {
	_, secret, err := access.AddKey(t.Context(), h.Desk, access.Key{Name: "shop", Role: access.KeyService})
	require.NoError(t, err)
	kept := fmt.Sprint(h.Contents())
	require.Contains(t, kept, "shop")
	require.NotContains(t, kept, secret)
}

func testWorkspace(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	set := func(url string, filter ...string) error {
		_, err := access.SetWorkspace(ctx, h.Desk, func(w *access.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
		return err
	}
	require.NoError(t, set("https://example.com/events", "task.created", "reservation.accepted"))
	account, err := access.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, access.Workspace{access.DefaultWorkspaceName, "https://example.com/events", []string{"task.created", "reservation.accepted"}}, account.Workspace)
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, set("ftp://example.com"), "http or https")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, set("/events"), "http or https")
	desktest.RequireRefused(t, conversation.CodeInvalidPayload, set("", "task.eaten"), "no event")
	require.NoError(t, set(""))
}

// testCallbackLength counts the characters of a callback URL, not its bytes.
func testCallbackLength(t *testing.T, _ *desktest.Environment) {
	for _, character := range []string{"a", "é", "😀"} {
		url := "https://example.com/"
		url += strings.Repeat(character, access.MaxCallbackURL-len(url))
		require.Nil(t, access.ValidWorkspace(&access.Workspace{FriendlyName: "Demo", EventCallbackURL: url}))
		refusal := access.ValidWorkspace(&access.Workspace{FriendlyName: "Demo", EventCallbackURL: url + character})
		require.Contains(t, refusal.Message, "has 2049 characters: shorten it to at most 2048")
	}
}
