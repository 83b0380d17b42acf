package desk_test

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/postgres"
)

// TestPostgres runs the tests of every database, and those of PostgreSQL only, on a private server.
func TestPostgres(t *testing.T) {
	t.Parallel()
	server := desktest.StartPostgres(t, postgres.Options{Careless: true, Settings: map[string]string{"deadlock_timeout": "50ms"}})
	testDesk(t, server.Database)
	testAt(t, "a change wakes who waits in another process", server.Database, testWakesOthers)
	testAt(t, "what is undone for another's sake is tried again", server.Database, testUndoneIsTriedAgain)
	testAt(t, "an embedded desk is copied", server.Database, testCopy)
	testAt(t, "a role that changes no tables runs a desk", server.Database, testRoleWithoutDDL)
	testAt(t, "hot queries walk indexes", server.Database, testPostgresPlans)
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
		{"no URL", "postgres://baton:" + secret + "@127.0.0.1:port/desk", "is no PostgreSQL URL"},
		{"a wrong parameter", "postgres://baton:" + secret + "@127.0.0.1/desk?sslmode=perhaps", "is no PostgreSQL URL"},
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

// A newer build that is to copy a desk in use must not leave tables that the running build cannot start on again.
func TestCopyOfADeskInUseTouchesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "desk.db")
	d, err := desk.Open(t.Context(), path, desk.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	_, err = desk.Copy(t.Context(), path, "postgres://baton@127.0.0.1:1/desk") // no server is there, which is found out later
	require.ErrorContains(t, err, "is open in another program")
}

// testCopy copies a desk with data in all tables, and reads both.
func testCopy(t *testing.T, h *desktest.Environment) {
	path := filepath.Join(t.TempDir(), "desk.db")
	from := &desktest.Environment{T: t, Database: path, Clock: desktest.NewClock()}
	d, err := desk.Open(t.Context(), path, desk.Options{Now: from.Clock.Now})
	require.NoError(t, err)
	from.Desk = d
	setCallback(from, "https://example.com/events")
	liveADay(from)
	th := from.Start("support", func(c *conversation.StartCommand) {
		c.Customer.Name, c.Attributes = "Çrystal \\ 'Minh' 💬", conversation.Attributes{"lines": json.RawMessage(`"one\n\\ 'two'"`)}
	}).Follow()
	keepOneOfEach(from, th)
	before, reads := from.Contents(), readsOfCopy(from, th)
	for table, rows := range before { // an empty table would hide a copy that copies nothing
		require.NotEmpty(t, rows, table)
	}

	_, err = desk.Copy(t.Context(), path, h.Database)
	require.ErrorContains(t, err, "is open in another program: stop every worker")
	require.NoError(t, d.Close())
	tables, err := desk.Copy(t.Context(), path, h.Database)
	require.NoError(t, err)
	require.Len(t, tables, len(before))
	for _, table := range tables {
		require.Equal(t, int64(len(before[table.Name])), table.Rows, table.Name)
		require.NotEqual(t, strings.Repeat("0", 16), table.Checksum)
	}
	h = &desktest.Environment{T: t, Database: h.Database, Clock: from.Clock}
	h.Desk = h.Reopen()
	require.Equal(t, before, h.Contents())
	require.Equal(t, reads, readsOfCopy(h, &desktest.Conversation{H: h, SID: th.SID}))
	moved := &desktest.Conversation{H: h, SID: th.SID, State: th.State} // the conversation continues on the copy
	moved.Accept(moved.Task().Agent)
	requireShown(t, h, moved)

	_, err = desk.Copy(t.Context(), path, h.Database)
	require.ErrorContains(t, err, "has a desk with something in it already (table agents)")
	for _, wrong := range [][2]string{{h.Database, h.Database}, {path, path}} {
		_, err = desk.Copy(t.Context(), wrong[0], wrong[1])
		require.ErrorContains(t, err, "name it as")
	}
}

// keepOneOfEach adds rows to the tables that liveADay leaves empty.
func keepOneOfEach(h *desktest.Environment, th *desktest.Conversation) {
	h.T.Helper()
	ctx := h.T.Context()
	must := func(_ any, err error) {
		h.T.Helper()
		require.NoError(h.T, err)
	}
	must(desk.AddActivity(ctx, h.Desk, "Lunch", false))
	must(desk.SaveWorkflow(ctx, h.Desk, desk.Workflow{FriendlyName: "Gold", Configuration: `{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`}))
	must(desk.AddParticipant(ctx, h.Desk, desk.Participant{Conversation: th.SID, Identity: "friend"}))
	must(desk.OpenDraft(ctx, h.Desk, desk.Draft{Channel: conversation.ChannelWeb, Details: desk.Details{UniqueName: "order-7"}}))
	_, _, err := desk.AddKey(ctx, h.Desk, desk.Key{Name: "shop", Role: desk.KeyService})
	must(nil, err)
	must(nil, desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "dialpad"}))
	must(nil, desk.BindIdentity(ctx, h.Desk, th.Task().Agent, "https://login.example.com", "1"))
	must(nil, desk.NoteRefusal(ctx, h.Desk, th.SID, "alice", conversation.CodeWrapupPending))
	must(desk.Lease(ctx, h.Desk, "list conversations", time.Minute))
	must(nil, desk.MarkRead(ctx, h.Desk, th.SID, "alice", 1))
	must(nil, desk.KeepAnswer(ctx, h.Desk, "token", desk.Answer{Request: "request", Status: 201, Body: "{}"}))
	h.Staff("sales", "sam", "sue")
	h.Start("sales").Sync() // matched, and not confirmed
	h.Start("sales").Follow()
	h.Start("sales").Sync()
	must(nil, desk.SetPresence(ctx, h.Desk, "sue", desk.PresenceBreak)) // an offer is to be declined
	queueWebhooks(h)
}

// readsOfCopy are answers of the desk that combine many rows in order.
func readsOfCopy(h *desktest.Environment, th *desktest.Conversation) (answers []any) {
	h.T.Helper()
	read := func(answer any, err error) {
		h.T.Helper()
		require.NoError(h.T, err)
		answers = append(answers, answer)
	}
	ctx, now := h.T.Context(), h.Clock.Now()
	read(desk.ReadThread(ctx, h.Desk, th.SID, desk.AsSystem(), 100))
	read(desk.ListAgents(ctx, h.Desk))
	read(desk.ListQueues(ctx, h.Desk))
	read(desk.TaskPage(ctx, h.Desk, desk.TaskFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(desk.ConversationListPage(ctx, h.Desk, desk.ConversationFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(desk.AuditPage(ctx, h.Desk, desk.AuditFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(desk.EventsAfter(ctx, h.Desk, 0, desk.MaxPage))
	read(insights.Read(ctx, h.Desk, insights.Filter{From: now.Add(-24 * time.Hour), To: now.Add(time.Hour)}))
	read(desk.ReadSettings(ctx, h.Desk))
	read(desk.ReadAccount(ctx, h.Desk))
	return answers
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
	_, err = desk.Say(ctx, running.Desk, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "hello"})
	require.NoError(t, err)
	require.NoError(t, desk.NewSessions(running.Desk).Commit("session", []byte("x"), h.Clock.Now().Add(time.Hour)))
	_, _, err = desk.AddKey(ctx, running.Desk, desk.Key{Name: "shop", Role: desk.KeyService})
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
