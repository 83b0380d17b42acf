package routing_test

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/silence"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// TestADeskOutlivesSilentConnections: the desk's connections stay open, but nothing arrives. Its dispatcher works
// again within 15 seconds, and reports until then that it does not.
func TestADeskOutlivesSilentConnections(t *testing.T) {
	t.Parallel()
	server := desktest.StartPostgres(t, postgres.Options{Careless: true})
	for name, direction := range map[string]silence.Direction{"both": silence.Both, "to the server": silence.ToServer, "to the client": silence.ToClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := desktest.New(t, server.Database(t))
			at, err := url.Parse(h.Database)
			require.NoError(t, err)
			proxy, err := silence.Listen(t.Context(), at.Host)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, proxy.Close()) })
			at.Host = proxy.Address()
			behind, err := desk.Open(t.Context(), at.String(), desk.Options{Now: h.Clock.Now, Tick: 100 * time.Millisecond})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, behind.Close()) })
			runDispatcher(h, behind, &letterbox{})
			h.Staff("support", "alice")
			require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceOffline))
			th := h.Start("support").Follow()
			end := useConnections(t, behind, 6)
			require.Greater(t, proxy.Silence(direction), 6)
			began := time.Now()
			end()
			require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceAvailable))

			var said atomic.Int64
			eventually15(t, func() bool {
				if behind.Dispatches(8*time.Second) != nil {
					said.CompareAndSwap(0, int64(time.Since(began)))
				}
				rows := 0
				require.NoError(t, h.QueryOne(t.Context(), "count matches", func(tx *desk.Tx) (err error) {
					rows, _, err = sqldb.First(t.Context(), tx, sqldb.Value[int], `SELECT count(*) FROM placements WHERE conversation = $1`, th.SID)
					return err
				}))
				return rows == 1
			}, "the dispatcher continues")
			if time.Since(began) > 10*time.Second { // sooner if it had an idle connection that was opened later
				require.NotZero(t, said.Load(), "it said that the dispatcher made no round")
				require.Less(t, time.Duration(said.Load()), 10*time.Second)
			}
			eventually15(t, func() bool { return behind.Dispatches(8*time.Second) == nil && behind.Listens(8*time.Second) == nil }, "everything continues")
			t.Logf("went on after %s, said so after %s", time.Since(began).Round(time.Millisecond), time.Duration(said.Load()).Round(time.Millisecond))
		})
	}
}

func eventually15(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 15*time.Second, 20*time.Millisecond, what)
}

// useConnections uses that many connections at the same time, until end is called.
func useConnections(t *testing.T, d *desk.Desk, connections int) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var used, done sync.WaitGroup
	used.Add(connections)
	for range connections {
		done.Go(func() {
			_ = d.ReadTx(ctx, "use a connection", func(tx *desk.Tx) error { // fails with its connection
				_, err := sqldb.All(ctx, tx, sqldb.Value[int], `SELECT 1`)
				used.Done()
				<-ctx.Done()
				return err
			})
		})
	}
	used.Wait()
	return func() { cancel(); done.Wait() }
}
