package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to see a process's transactions in the database
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/silence"
	"github.com/baton-transfers/baton/internal/testenv"
)

// behind returns the database's URL with another host and a name for the connections. An empty argument changes
// nothing.
func behind(t *testing.T, database, host, name string) string {
	t.Helper()
	at, err := url.Parse(database)
	require.NoError(t, err)
	if host != "" {
		at.Host = host
	}
	if name != "" {
		query := at.Query()
		query.Set("application_name", name)
		at.RawQuery = query.Encode()
	}
	return at.String()
}

// needDatabase are the parts of /readyz that need the database.
var needDatabase = []string{"desk", "dispatcher", "listener", "webhooks"}

// notReady polls /readyz until it answers 503 and names such a part. It returns all parts that are not ok.
func notReady(ctx context.Context, address string) (parts map[string]string, err error) {
	err = testenv.Await(ctx, testenv.Patience, address+" is not ready", func() (bool, error) {
		status, found, err := readiness(ctx, address)
		parts = found
		named := slices.ContainsFunc(needDatabase, func(part string) bool { return parts[part] != "" })
		return status == http.StatusServiceUnavailable && named, err
	})
	return parts, err
}

// readiness returns the answer of /readyz: its status, and the parts that are not ok.
func readiness(ctx context.Context, address string) (status int, parts map[string]string, err error) {
	answer, err := testenv.Call(ctx, http.DefaultClient, testenv.Request{Method: http.MethodGet, URL: address + "/readyz"})
	if err != nil {
		return 0, nil, err
	}
	if err := answer.Decode(&parts); err != nil {
		return 0, nil, err
	}
	maps.DeleteFunc(parts, func(_, how string) bool { return how == "ok" })
	return answer.Status, parts, nil
}

// All connections between the processes and the database stay open, but no data arrives. The worker and the gateway
// report the part that hangs, and recover without a restart: a customer who arrives meanwhile is offered to an
// agent, and the webhook of the offer arrives.
func TestSilentConnectionsHoldNothingUp(t *testing.T) {
	t.Parallel()
	database := emptyPostgres(t)
	at, err := url.Parse(database)
	require.NoError(t, err)
	proxy, err := silence.Listen(t.Context(), at.Host)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	f := &httpEnvironment{environment: openEnvironmentOn(t, testenv.Options{Database: database})}
	through := []string{
		"BATON_DATABASE=" + behind(t, database, proxy.Address(), ""), "BATON_HTTP=127.0.0.1:0", "BATON_METRICS=127.0.0.1:0", "BATON_WEBHOOK_ALLOW=127.0.0.0/8",
	}
	worker := f.startWorker(t, through...)
	f.gateway = f.startGateway(t, through...)
	f.account, err = access.ReadAccount(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	r := f.newReceiver(t)

	// Several customers at once make the pools open connections.
	var before []string
	for range 8 {
		before = append(before, f.begin(t, "support"))
	}
	for _, sid := range before {
		f.offered(t, sid, "alice")
		f.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	}
	// At rest, most connections of the pools are idle, so that the next statement takes a silent one.
	requireAgreement(t, f.environment, before...)
	waitFor(t, testenv.Patience, "the webhooks of before", func() bool { return r.wasToldAll(f.environment, before...) })
	probes := map[string]string{"worker": worker.logged(t, "worker started", "metrics"), "gateway": f.gateway.URL}
	bothReady := func() bool {
		for _, address := range probes {
			if status, _ := answers(t, address+"/readyz"); status != http.StatusOK {
				return false
			}
		}
		return true
	}
	waitFor(t, testenv.Patience, "both are ready", bothReady)

	const (
		tries  = 4
		within = 15 * time.Second // a round that hangs is reported after 7 s, and ends after 10 s
	)
	silent, began := proxy.Silence(silence.Both), time.Now()
	require.Positive(t, silent)
	t.Logf("%d connections are silent.", silent)
	var probing sync.WaitGroup
	errs := make(chan error, len(probes))
	for name, address := range probes {
		probing.Go(func() {
			var parts map[string]string
			var err error
			// Other statements may have taken all silent connections before the dispatcher's: then it hangs the next time.
			for range tries {
				if parts, err = notReady(in(t, within), address); err == nil {
					t.Logf("/readyz of the %s: 503 after %s: %v", name, time.Since(began).Round(time.Millisecond), parts)
					return
				}
				proxy.Silence(silence.Both)
			}
			errs <- fmt.Errorf("%s did not say that it is not ready: %w", name, err)
		})
	}
	waiting := f.begin(t, "support")
	waitFor(t, testenv.Patience, "the customer is offered at the desk", func() bool {
		offers, err := routing.ListOffers(in(t, testenv.Patience), f.Desk, "alice")
		require.NoError(t, err)
		return slices.ContainsFunc(offers, func(o routing.Offer) bool { return o.Conversation.SID == waiting })
	})
	t.Logf("The customer was offered after %s.", time.Since(began).Round(time.Millisecond))
	event := f.happened(t, waiting, conversation.EventReservationCreated)
	waitFor(t, testenv.Patience, "the webhook of the offer", func() bool { return slices.Contains(r.positions(), event) })
	t.Logf("The webhook of the offer came after %s.", time.Since(began).Round(time.Millisecond))
	probing.Wait()
	close(errs)
	require.NoError(t, <-errs)

	// Everything continues in the same processes.
	waitFor(t, testenv.Patience, "both are ready again", bothReady)
	t.Logf("Both were ready again after %s.", time.Since(began).Round(time.Millisecond))
	require.True(t, worker.Runs() && f.gateway.Runs())
	f.do(t, waiting, conversation.AcceptCommand{Agent: "alice"})
	f.do(t, waiting, conversation.TransferCommand{From: "alice", To: toQueue("billing")})
	f.offered(t, waiting, "bob")
	requireAgreement(t, f.environment, append(before, waiting)...)
	waitFor(t, testenv.Patience, "all webhooks", func() bool { return r.wasToldAll(f.environment) })
	r.requireSigned()
}

// happened returns the event log position of the conversation's first event of that name.
func (c *environment) happened(t *testing.T, sid string, name conversation.EventName) (position int64) {
	t.Helper()
	waitFor(t, testenv.Patience, fmt.Sprintf("%s of %s", name, sid), func() bool {
		events, err := outbox.ConversationEvents(in(t, testenv.Patience), c.Desk, 0, 1000)
		require.NoError(t, err)
		at := slices.IndexFunc(events, func(e desk.LoggedEvent) bool { return e.Conversation == sid && e.Name == name })
		if at >= 0 {
			position = events[at].Position
		}
		return at >= 0
	})
	return position
}

// locksOf returns how many transactions of that application have written and are idle, and how many wait for a
// lock.
func locksOf(t *testing.T, database *sql.DB, name string) (held, awaited int) {
	t.Helper()
	require.NoError(t, database.QueryRowContext(in(t, testenv.Patience), `SELECT
			count(*) FILTER (WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL),
			count(*) FILTER (WHERE wait_event_type = 'Lock')
		FROM pg_stat_activity WHERE application_name = $1`, name).Scan(&held, &awaited))
	return held, awaited
}

// freezeWithLocks freezes the process while it is in a transaction that has written.
func freezeWithLocks(t *testing.T, database *sql.DB, p *process, name string) {
	t.Helper()
	random, began := moments(t), time.Now()
	for tries := 1; time.Since(began) < testenv.Patience; tries++ {
		p.freeze(t)
		// It asks twice, because the database may be about to read what the process has sent.
		if held, _ := locksOf(t, database, name); held > 0 {
			if held, awaited := locksOf(t, database, name); held > 0 {
				t.Logf("Frozen at try %d, after %s: %d transactions hold locks, %d wait for one.",
					tries, time.Since(began).Round(time.Millisecond), held, awaited)
				return
			}
		}
		p.thaw(t)
		within(random, 20*time.Millisecond)
	}
	require.Fail(t, "the process was never met with locks")
}

// A worker is frozen while it holds database locks. Commands that need these locks, through the other worker and a
// gateway, wait until PostgreSQL ends the transaction, and no longer. When the worker resumes, nothing is lost or
// doubled.
func TestAFrozenProcessLosesItsLocks(t *testing.T) {
	t.Parallel()
	const name = "frozen"
	f := &httpEnvironment{environment: openEnvironmentOn(t, testenv.Options{Database: emptyPostgres(t)})}
	f.startWorker(t)
	var err error
	f.account, err = access.ReadAccount(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	f.gateway = f.startGateway(t)
	admin := f.admin(t)
	f.hire(t, "carol", 1)
	mine := f.beginWithAlice(t) // the other worker runs it
	database, err := sql.Open("pgx", f.Database)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, database.Close()) })
	frozen := f.startWorker(t, "BATON_DATABASE="+behind(t, f.Database, "", name))
	passed := startRelays(t, f.environment, 8, 20)
	passed.after(10)

	measure := func(when, from, to string, presence desk.Presence) {
		t.Helper()
		var passing sync.WaitGroup
		var failed error
		passing.Go(func() {
			for _, command := range []conversation.Command{
				conversation.TransferCommand{From: from, To: conversation.Target{Agent: to}},
				conversation.AcceptCommand{Agent: to},
				conversation.WrapupCommand{Agent: from},
			} {
				began := time.Now()
				if _, failed = f.Baton.Send(in(t, testenv.Patience), mine, command); failed != nil {
					return
				}
				t.Logf("%s, the command %s took %s.", when, command.Name(), time.Since(began).Round(time.Millisecond))
			}
		})
		// Presence needs only the desk: every writing transaction blocks it.
		began := time.Now()
		admin.does(http.StatusOK, http.MethodPost, admin.inWorkspace("/Workers/"+conversation.AgentSID("carol")),
			form("ActivitySid", routing.ActivityOf(presence).SID))
		t.Logf("%s, presence over HTTP took %s.", when, time.Since(began).Round(time.Millisecond))
		passing.Wait()
		require.NoError(t, failed)
	}
	measure("Before", "alice", "bob", desk.PresenceBreak)
	freezeWithLocks(t, database, frozen, name)
	measure("Meanwhile", "bob", "alice", desk.PresenceAvailable)
	waitFor(t, testenv.Patience, "PostgreSQL ends the transactions", func() bool {
		held, _ := locksOf(t, database, name)
		return held == 0
	})
	frozen.thaw(t)
	passed.requireNothingLostOrDoubled()
	record := requireAgreement(t, f.environment, mine)[mine]
	require.Equal(t, commandsToBegin+6, record.Revision)
	require.True(t, frozen.Runs())
}
