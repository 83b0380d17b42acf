package desk_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func testKeys(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	account, err := desk.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	again, err := desk.ReadAccount(ctx, h.Reopen())
	require.NoError(t, err)
	require.Equal(t, account, again, "there is one account, no matter which process opens the desk first")
	require.Len(t, account.AuthToken, 32)
	renewed, err := desk.RenewAuthToken(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, account.SID, renewed.SID)
	require.NotEqual(t, account.AuthToken, renewed.AuthToken)

	h.Staff("support", "alice")
	key, secret, err := desk.AddKey(ctx, h.Desk, desk.Key{Name: "alice's desk", Role: desk.KeyAgent, Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, desk.DefaultRateLimit, key.RateLimit)
	found, err := desk.NewAuthenticator(h.Desk).Authenticate(ctx, key.SID, secret)
	require.NoError(t, err)
	require.Equal(t, key.SID, found.SID)
	require.Equal(t, "alice", found.Agent)
	for name, credentials := range map[string][2]string{
		"another secret": {key.SID, renewed.AuthToken}, "no secret": {key.SID, ""}, "another key": {desk.PrefixKey + strings.Repeat("0", 32), secret},
		"nothing": {"", ""}, "no such key and no secret": {desk.PrefixKey + strings.Repeat("0", 32), ""},
	} {
		_, err := desk.NewAuthenticator(h.Desk).Authenticate(ctx, credentials[0], credentials[1])
		require.ErrorIs(t, err, desk.ErrCredentials, name)
	}

	require.NoError(t, desk.RevokeKey(ctx, h.Desk, key.SID))
	require.NoError(t, desk.RevokeKey(ctx, h.Desk, key.SID), "again, it does no harm")
	_, err = desk.NewAuthenticator(h.Reopen()).Authenticate(ctx, key.SID, secret)
	require.ErrorIs(t, err, desk.ErrCredentials)
	keys, err := desk.ListKeys(ctx, h.Desk)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.False(t, keys[0].RevokedAt.IsZero())

	for _, wrong := range []struct {
		key  desk.Key
		code conversation.Code
		says string
	}{
		{desk.Key{Name: "x", Role: "root"}, conversation.CodeInvalidPayload, "no role"},
		{desk.Key{Name: "x", Role: desk.KeyAgent}, conversation.CodeInvalidPayload, "bound to one agent"},
		{desk.Key{Name: "x", Role: desk.KeyService, Agent: "alice"}, conversation.CodeInvalidPayload, "only a key of the role agent"},
		{desk.Key{Name: "x", Role: desk.KeyAgent, Agent: "missing"}, conversation.CodeUnknownAgent, "no agent named"},
		{desk.Key{Name: " ", Role: desk.KeyService}, conversation.CodeInvalidPayload, "key's name"},
		{desk.Key{Name: "x", Role: desk.KeyService, RateLimit: -1}, conversation.CodeInvalidPayload, "requests a second"},
	} {
		_, _, err := desk.AddKey(ctx, h.Desk, wrong.key)
		refusedWith(t, wrong.code, err, wrong.says)
	}
	refusedWith(t, conversation.CodeInvalidPayload, desk.RevokeKey(ctx, h.Desk, "SK1"), "no key")
}

// testSecretsAreHashed looks at all stored data: they contain nothing of a key's secret.
func testSecretsAreHashed(t *testing.T, h *desktest.Environment) {
	_, secret, err := desk.AddKey(t.Context(), h.Desk, desk.Key{Name: "shop", Role: desk.KeyService})
	require.NoError(t, err)
	kept := fmt.Sprint(h.Contents())
	require.Contains(t, kept, "shop")
	require.NotContains(t, kept, secret)
}

func testWorkspace(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	set := func(url string, filter ...string) error {
		_, err := desk.SetWorkspace(ctx, h.Desk, func(w *desk.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
		return err
	}
	require.NoError(t, set("https://example.com/events", "task.created", "reservation.accepted"))
	account, err := desk.ReadAccount(ctx, h.Desk)
	require.NoError(t, err)
	require.Equal(t, desk.Workspace{desk.DefaultWorkspaceName, "https://example.com/events", []string{"task.created", "reservation.accepted"}}, account.Workspace)
	refusedWith(t, conversation.CodeInvalidPayload, set("ftp://example.com"), "http or https")
	refusedWith(t, conversation.CodeInvalidPayload, set("/events"), "http or https")
	refusedWith(t, conversation.CodeInvalidPayload, set("", "task.eaten"), "no event")
	require.NoError(t, set(""))
}

// testCallbackLength counts the characters of a callback URL, not its bytes.
func testCallbackLength(t *testing.T, _ *desktest.Environment) {
	for _, character := range []string{"a", "é", "😀"} {
		url := "https://example.com/"
		url += strings.Repeat(character, desk.MaxCallbackURL-len(url))
		require.Nil(t, desk.ValidWorkspace(&desk.Workspace{FriendlyName: "Demo", EventCallbackURL: url}))
		refusal := desk.ValidWorkspace(&desk.Workspace{FriendlyName: "Demo", EventCallbackURL: url + character})
		require.Contains(t, refusal.Message, "has 2049 characters: shorten it to at most 2048")
	}
}
