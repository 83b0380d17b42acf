package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/sqldb"
)

func testSessions(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	sessions, another := access.NewSessions(h.Desk), access.NewSessions(h.Reopen())
	find := func(token string) (string, bool) {
		data, found, err := another.FindCtx(ctx, token)
		require.NoError(t, err)
		return string(data), found
	}

	_, found := find("unknown")
	require.False(t, found)
	require.NoError(t, sessions.DeleteCtx(ctx, "unknown"))

	expiry := h.Clock.Now().Add(time.Hour)
	require.NoError(t, sessions.CommitCtx(ctx, "alice's", []byte("\x00\xff first"), expiry))
	require.NoError(t, sessions.Commit("bob's", nil, expiry.Add(time.Hour)))
	data, found := find("alice's")
	require.True(t, found)
	require.Equal(t, "\x00\xff first", data)
	data, found = find("bob's")
	require.True(t, found)
	require.Empty(t, data)

	require.NoError(t, sessions.CommitCtx(ctx, "alice's", []byte("second"), expiry))
	kept, found, err := sessions.Find("alice's")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "second", string(kept))

	h.Clock.Advance(time.Hour)
	_, found = find("alice's")
	require.False(t, found, "it has expired")
	_, found = find("bob's")
	require.True(t, found)

	require.NoError(t, sessions.Delete("bob's"))
	_, found = find("bob's")
	require.False(t, found)
	require.NoError(t, another.CommitCtx(ctx, "bob's", []byte("bob"), h.Clock.Now().Add(time.Hour)), "a request that was under way")
	_, found = find("bob's")
	require.False(t, found, "it stays ended")
}

func testExpiredSessions(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	sessions := access.NewSessions(h.Desk)
	expired := 2*access.SessionsDropped + 1
	for i := range expired {
		require.NoError(t, sessions.CommitCtx(ctx, fmt.Sprint("old ", i), nil, h.Clock.Now().Add(time.Minute)))
	}
	h.Clock.Advance(time.Hour)
	for range 3 {
		require.NoError(t, sessions.CommitCtx(ctx, "new", nil, h.Clock.Now().Add(time.Minute)))
	}
	var left []string
	require.NoError(t, h.ReadTx(ctx, "read the tokens", func(tx *desk.Tx) (err error) {
		left, err = sqldb.All(ctx, tx, sqldb.Value[string], `SELECT token FROM sessions`)
		return err
	}))
	require.Equal(t, []string{"new"}, left)
}
