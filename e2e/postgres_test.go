package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/postgres/postgrestest"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// emptyPostgres returns the URL of an empty database on a server that stops with the test. Without PostgreSQL it
// skips the test, and fails it in CI.
func emptyPostgres(t *testing.T) string {
	t.Helper()
	server := postgrestest.Start(t, postgres.Options{})
	require.NoError(t, server.CreateDatabase(t.Context(), "desk", ""))
	return server.URL("desk")
}

// openShared opens an environment whose desk is in PostgreSQL, with two workers and two gateways. The first gateway is
// the environment's own.
func openShared(t *testing.T) (f *httpEnvironment, workers []*process, other *gateway) {
	t.Helper()
	f = &httpEnvironment{environment: openEnvironmentOn(t, testenv.Options{Database: emptyPostgres(t)})}
	workers = []*process{f.startWorker(t), f.startWorker(t)}
	var err error
	f.account, err = access.ReadAccount(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	f.gateway, other = f.startGateway(t), f.startGateway(t, "BATON_HTTP=127.0.0.1:0")
	return f, workers, other
}

// Conversations continue with any gateway and any remaining worker, because all share one desk.
func TestSeveralWorkersAndGatewaysShareADesk(t *testing.T) {
	t.Parallel()
	f, workers, other := openShared(t)
	one, two := f.admin(t), f.at(t, other, f.account.SID, f.account.AuthToken)
	passes := func(i interaction) string {
		t.Helper()
		_, err := one.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.QueueSID("billing"), "type": "cold"})
		require.NoError(t, err)
		var task string
		waitFor(t, testenv.Patience, "bob's offer, at the other gateway's desk", func() bool {
			offers, err := routing.ListOffers(in(t, testenv.Patience), f.Desk, "bob")
			require.NoError(t, err)
			for _, o := range offers {
				if o.Conversation.SID == i.conversation {
					task = o.Task.SID
				}
			}
			return task != ""
		})
		two.accepts("bob", task)
		return task
	}

	first := one.starts("support")
	two.accepts("alice", first.task)
	passes(first)

	// The other worker delivers what the killed worker has matched or was about to match.
	second := two.starts("support")
	workers[0].Kill()
	one.accepts("alice", second.task)
	passes(second)

	for _, record := range requireAgreement(t, f.environment, first.conversation, second.conversation) {
		require.Equal(t, "bob", record.Transfers[0].AcceptedBy)
	}
	require.NotContains(t, workers[1].Stderr.String()+f.gateway.Stderr.String(), "sslmode", "the database is named without what is secret")

	// The tables have this build's version. The output names the database without secrets.
	migrated := execute(t, have(t, batonProgram), f.Variables(), "desk", "migrate")
	require.Zero(t, migrated.code, migrated.stderr)
	require.Regexp(t, `^postgres://baton@127\.0\.0\.1:\d+/desk: the tables are version \d+ already\n$`, migrated.stdout)
	for role, sentence := range map[string]string{"baton_run": "there is no role baton_run: create it first", "baton": "connects as baton itself: name another role"} {
		granted := execute(t, have(t, batonProgram), f.Variables(), "setup", "--grant", role)
		require.Equal(t, 1, granted.code, granted.stdout)
		require.Contains(t, granted.stderr, sentence)
	}
}

// A desk that started in a file moves to PostgreSQL with its conversations, in any state.
func TestAnEmbeddedDeskMovesToPostgres(t *testing.T) {
	t.Parallel()
	to := emptyPostgres(t)
	c := openEnvironment(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)
	moves := func() result {
		return execute(t, have(t, batonProgram), c.Variables(), "desk", "copy", "--to", to)
	}
	require.NoError(t, c.Desk.Close())
	refused := moves()
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.stderr, "is open in another program: stop every worker")
	require.Zero(t, worker.interrupt(t))
	moved := moves()
	require.Zero(t, moved.code, moved.stderr)
	require.Regexp(t, `(?m)^conversations +1 +[0-9a-f]{16}$`, moved.stdout)
	require.Contains(t, moved.stdout, "were read back the same")
	require.NotContains(t, moved.stdout, "sslmode")

	c.Database = to
	var err error
	c.Desk, err = desk.Open(t.Context(), c.Database, desk.Options{})
	require.NoError(t, err)
	c.startWorker(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}, Note: "Moved meanwhile."})
	c.offered(t, sid, "bob")
	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	requireAgreement(t, c, sid)
}
