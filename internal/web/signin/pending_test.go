package signin

import (
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/web/identity"
	"github.com/baton-transfers/baton/internal/web/site"
)

// pass advances the fake clock of a synctest bubble.
func pass(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the clock is fake

// TestSignInsAreForgotten: begun sign-ins expire, even in the long session of a signed-in person.
func TestSignInsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		people := &scs.SessionManager{Store: memstore.NewWithCleanupInterval(0), Codec: scs.GobCodec{}, Lifetime: 12 * time.Hour}
		ctx, err := people.Load(t.Context(), "")
		require.NoError(t, err)
		v := &site.Visit{Site: &site.Site{People: people}, R: httptest.NewRequestWithContext(ctx, "GET", "/", nil), Ctx: ctx}
		begin := func(state string) {
			others, err := begunSignIns(v)
			require.NoError(t, err)
			require.NoError(t, keepSignIns(v, append(others, pendingSignIn{identity.Pending{State: state}, "/" + state, time.Now().Add(signInWithin)})))
		}
		next := func(state string) string {
			found, err := takeBegun(v, state)
			require.NoError(t, err)
			return found.Next
		}
		begin("a")
		pass(signInWithin - time.Second)
		begin("b")
		begin("c")
		require.Equal(t, "/a", next("a"))
		require.Empty(t, next("a"), "it is good once")
		pass(time.Minute)
		require.Equal(t, "/b", next("b"))
		pass(signInWithin)
		require.Empty(t, next("c"), "it has taken too long")
	})
}
