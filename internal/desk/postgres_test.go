package desk_test

import (
	"crypto/rand"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/records"
)

// TestPostgresServer runs the tests of a server of one's own.
func TestPostgresServer(t *testing.T) {
	t.Parallel()
	server := desktest.StartPostgres(t, postgres.Options{Careless: true})
	t.Run("open refuses", func(t *testing.T) {
		t.Parallel()
		testPostgresRefuses(t, server)
	})
	t.Run("many open a new desk together", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, server.CreateDatabase(t.Context(), "new", ""))
		openTogether(t, server.URL("new"))
	})
}

func testPostgresRefuses(t *testing.T, server *desktest.Databases) {
	at := func(database string, change func(*url.URL)) string {
		address, err := url.Parse(server.URL(database))
		require.NoError(t, err)
		change(address)
		return address.String()
	}
	same := func(*url.URL) {}
	create := func(name, template, statement string) string {
		require.NoError(t, server.CreateDatabase(t.Context(), name, template))
		connection, err := pgx.Connect(t.Context(), server.URL(name))
		require.NoError(t, err)
		_, err = connection.Exec(t.Context(), statement)
		require.NoError(t, err)
		require.NoError(t, connection.Close(t.Context()))
		return server.URL(name)
	}
	const secret = "not-to-be-told"
	for _, test := range []struct{ name, database, sentence string }{
		{"another password", at(desktest.EmptyDesk, func(u *url.URL) { u.User = url.UserPassword("baton", secret) }), "refuses this user and password"},
		{"no such database", at("missing", same), "doesn't exist: create it first"},
		{"no server there", at(desktest.EmptyDesk, func(u *url.URL) { u.Host = "127.0.0.1:1" }), "can't be reached: is the server running there"},
		{"TLS that isn't there", at(desktest.EmptyDesk, func(u *url.URL) { u.RawQuery = "sslmode=require" }), "does sslmode fit it?"},
		{"no database", "postgres://baton:" + secret + "@127.0.0.1", "names no database"},
		{"no URL", "postgres://baton:" + secret + "@127.0.0.1:port/desk", "is not a PostgreSQL URL"},
		{"a wrong parameter", "postgres://baton:" + secret + "@127.0.0.1/desk?sslmode=perhaps", "is not a PostgreSQL URL"},
		{"no connections", "postgres://baton:" + secret + "@127.0.0.1/desk?pool_max_conns=1", "set it to a number from 2 on"},
		{"something else's database", create("foreign", "", `CREATE TABLE recipes (name TEXT)`), "is a database of something else, and was left as it is"},
		{"a newer desk", create("newer", desktest.EmptyDesk, `INSERT INTO schema_versions (version_id, is_applied) VALUES (999, true)`), "was written by a newer build (its tables are version 999"},
		{"who may make no tables", create("guarded", "", `REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE guest LOGIN PASSWORD 'guest'`), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			database := test.database
			if test.sentence == "" {
				database, test.sentence = at("guarded", func(u *url.URL) { u.User = url.UserPassword("guest", "guest") }), "doesn't let this user make tables"
			}
			_, err := desk.Open(t.Context(), database, desk.Options{})
			require.ErrorContains(t, err, test.sentence)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, desk.Named(database), secret)
		})
	}
	require.Equal(t, "postgres://baton@db.example.com/desk", desk.Named("postgres://baton:"+secret+"@db.example.com/desk?password="+secret))
	require.Equal(t, "postgres://…", desk.Named("postgres://baton:"+secret+"@db.example.com:port/desk"))
}

// testRoleWithoutDDL runs a desk as a role that changes no tables.
func testRoleWithoutDDL(t *testing.T, h *desktest.Environment) {
	ctx := t.Context()
	admin, err := pgx.Connect(ctx, h.Database)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(ctx)) }()
	role := "run_" + strings.ToLower(rand.Text()[:8])
	_, err = admin.Exec(ctx, `REVOKE CREATE ON SCHEMA public FROM PUBLIC; CREATE ROLE `+role+` LOGIN PASSWORD 'run'`)
	require.NoError(t, err)
	address, err := url.Parse(h.Database)
	require.NoError(t, err)
	address.User = url.UserPassword(role, "run")
	_, err = desk.Open(ctx, address.String(), desk.Options{})
	require.ErrorContains(t, err, "run `baton desk migrate` as the tables' owner, then `baton desk grants")
	_, err = desk.Grant(ctx, h.Database, "no_such_role")
	require.ErrorContains(t, err, "there is no role no_such_role: create it first")
	_, err = desk.Grant(ctx, h.Database, `run"; DROP TABLE agents; --`)
	require.ErrorContains(t, err, "is not the name of a role")
	var owner string
	require.NoError(t, admin.QueryRow(ctx, `SELECT current_user`).Scan(&owner))
	_, err = desk.Grant(ctx, h.Database, owner)
	require.ErrorContains(t, err, "connects as "+owner+" itself", "the owner would lose the right to record migrations")
	granted, err := desk.Grant(ctx, h.Database, role)
	require.NoError(t, err)
	require.False(t, granted.MayCreate)

	running := &desktest.Environment{T: t, Database: address.String(), Clock: h.Clock}
	running.Desk = running.Reopen()
	running.TransfersOn()
	running.Staff("support", "alice")
	th := running.Start("support").Follow()
	th.Accept("alice")
	_, err = records.Say(ctx, running.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello"})
	require.NoError(t, err)
	require.NoError(t, access.NewSessions(running.Desk).Commit("session", []byte("x"), h.Clock.Now().Add(time.Hour)))
	_, _, err = access.AddKey(ctx, running.Desk, access.Key{Name: "shop", Role: access.KeyService})
	require.NoError(t, err)
	th.End("alice")
	th.Sync()

	as, err := pgx.Connect(ctx, address.String())
	require.NoError(t, err)
	defer func() { require.NoError(t, as.Close(ctx)) }()
	for _, forbidden := range []string{`CREATE TABLE mine (x int)`, `ALTER TABLE agents ADD COLUMN x int`, `DROP TABLE agents`, `TRUNCATE agents`, `DELETE FROM ` + desk.Schema().VersionTable} {
		_, err = as.Exec(ctx, forbidden)
		require.Error(t, err, forbidden)
	}
	_, err = admin.Exec(ctx, `CREATE TABLE later (x int)`)
	require.NoError(t, err)
	_, err = as.Exec(ctx, `INSERT INTO later VALUES (1)`)
	require.NoError(t, err, "the tables of later versions too")
	_, err = admin.Exec(ctx, `DROP TABLE later; DELETE FROM `+desk.Schema().VersionTable+` WHERE version_id >= 8; DROP TABLE identities`)
	require.NoError(t, err)
	_, err = desk.Open(ctx, address.String(), desk.Options{})
	require.ErrorContains(t, err, "run `baton desk migrate` as the tables' owner")
}
