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
	"github.com/baton-transfers/baton/internal/sqldb"
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
func testCopy(t *testing.T, h *environment) {
	path := filepath.Join(t.TempDir(), "desk.db")
	from := &environment{&desktest.Environment{T: t, Database: path, Clock: desktest.NewClock()}}
	d, err := desk.Open(t.Context(), path, desk.Options{Now: from.Clock.Now})
	require.NoError(t, err)
	from.Desk = d
	from.callback("https://example.com/events")
	from.liveADay()
	th := from.Start("support", func(c *conversation.StartCommand) {
		c.Customer.Name, c.Attributes = "Çrystal \\ 'Minh' 💬", conversation.Attributes{"lines": json.RawMessage(`"one\n\\ 'two'"`)}
	}).Follow()
	from.keepOneOfEach(th)
	before, reads := from.Contents(), from.readsOfCopy(th)
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
	h.Clock = from.Clock
	h.SetClock(from.Clock.Now)
	require.Equal(t, before, h.Contents())
	require.Equal(t, reads, h.readsOfCopy(&desktest.Conversation{H: h.Environment, SID: th.SID}))
	moved := &desktest.Conversation{H: h.Environment, SID: th.SID, State: th.State} // the conversation continues on the copy
	moved.Accept(moved.Task().Agent)
	requireShown(t, h, moved)

	_, err = desk.Copy(t.Context(), path, h.Database)
	require.ErrorContains(t, err, "already has a desk with data (table agents)")
	for _, wrong := range [][2]string{{h.Database, h.Database}, {path, path}} {
		_, err = desk.Copy(t.Context(), wrong[0], wrong[1])
		require.ErrorContains(t, err, "name it as")
	}
}

// keepOneOfEach adds rows to the tables that liveADay leaves empty.
func (h *environment) keepOneOfEach(th *desktest.Conversation) {
	h.T.Helper()
	ctx := h.T.Context()
	must := func(_ any, err error) {
		h.T.Helper()
		require.NoError(h.T, err)
	}
	must(h.AddActivity(ctx, "Lunch", false))
	must(h.SaveWorkflow(ctx, desk.Workflow{FriendlyName: "Gold", Configuration: `{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`}))
	must(h.AddParticipant(ctx, desk.Participant{Conversation: th.SID, Identity: "friend"}))
	must(h.OpenDraft(ctx, desk.Draft{Channel: conversation.ChannelWeb, Details: desk.Details{UniqueName: "order-7"}}))
	_, _, err := h.AddKey(ctx, desk.Key{Name: "shop", Role: desk.KeyService})
	must(nil, err)
	must(nil, h.SetPlugin(ctx, desk.Plugin{Name: "dialpad"}))
	must(nil, h.BindIdentity(ctx, th.Task().Agent, "https://login.example.com", "1"))
	must(nil, h.NoteRefusal(ctx, th.SID, "alice", conversation.CodeWrapupPending))
	must(h.Lease(ctx, "list conversations", time.Minute))
	must(nil, h.MarkRead(ctx, th.SID, "alice", 1))
	must(nil, h.KeepAnswer(ctx, "token", desk.Answer{Request: "request", Status: 201, Body: "{}"}))
	h.Staff("sales", "sam", "sue")
	h.Start("sales").Sync() // matched, and not confirmed
	h.Start("sales").Follow()
	h.Start("sales").Sync()
	must(nil, h.SetPresence(ctx, "sue", desk.PresenceBreak)) // an offer is to be declined
	h.queueWebhooks()
}

// readsOfCopy are answers of the desk that combine many rows in order.
func (h *environment) readsOfCopy(th *desktest.Conversation) (answers []any) {
	h.T.Helper()
	read := func(answer any, err error) {
		h.T.Helper()
		require.NoError(h.T, err)
		answers = append(answers, answer)
	}
	ctx, now := h.T.Context(), h.Clock.Now()
	read(h.Thread(ctx, th.SID, desk.AsSystem(), 100))
	read(h.Agents(ctx))
	read(h.Queues(ctx))
	read(h.TaskList(ctx, desk.TaskFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(h.ConversationList(ctx, desk.ConversationFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(h.AuditList(ctx, desk.AuditFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(h.AllEvents(ctx, 0, desk.MaxPage))
	read(insights.Read(ctx, h.Desk, insights.Filter{From: now.Add(-24 * time.Hour), To: now.Add(time.Hour)}))
	read(h.Settings(ctx))
	read(h.Account(ctx))
	return answers
}

// testPostgresPlans checks the query plans of the most frequent queries at a very large desk.
func testPostgresPlans(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	for _, fill := range []string{
		`INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events, messages, gone, created_at, closed_at)
			SELECT 'CH' || i, 'closed', 'web', '', '', 1, 1, 1, 0, i, 0 FROM generate_series(1, 20000) i`,
		`INSERT INTO tasks (sid, conversation, channel, status, queue, agent, direct, waiting, previous, transfer, priority, head, placement, attributes, reservation,
				disposition, wrapup_note, canceled_reason, created_at, queued_at, timeout_at, assigned_at, wrapping_at, completed_at, canceled_at, wrapup_timeout_at)
			SELECT 'WT' || i, 'CH' || i, 'web', CASE WHEN i % 2 = 0 THEN 'pending' ELSE 'completed' END, 'support', '', 0, 1 - i % 2, '', '', 0, 0, 1, '', '',
				'', '', '', i, 0, 0, 0, 0, i % 2, 0, 0 FROM generate_series(1, 20000) i`,
		`INSERT INTO events (position, conversation, number, name, at, event) SELECT 1000 + i, 'CH' || i, 1, 'task.created', i, '{}' FROM generate_series(1, 20000) i`,
		`ANALYZE`,
	} {
		_, err := h.DB().Writer().ExecContext(t.Context(), fill)
		require.NoError(t, err)
	}
	var locksTasks, locksConversation, skips string
	require.NoError(t, h.WriteTx(t.Context(), func(tx *desk.Tx) error {
		locksTasks, locksConversation, skips = tx.RowsOf("tasks"), tx.RowsOf("conversations"), tx.SkipLocked("tasks")
		return nil
	}))
	require.NotEmpty(t, skips)
	for _, hot := range []struct {
		query, index string
		args         []any
	}{
		{`SELECT ` + desk.WaitingTaskColumns + ` FROM tasks WHERE waiting = 1 AND direct = 0 AND queue = $1 AND channel = $2
			ORDER BY priority DESC, head DESC, queued_at, created_at, sid LIMIT $3 OFFSET $4` + skips, "tasks_in_line", []any{"support", "web", 8, 0}},
		{desk.SelectLiveTasksOf + locksTasks, "tasks_by_conversation", []any{th.SID}},
		{desk.SelectConversationRow + locksConversation, "conversations_pkey", []any{th.SID}},
		{`SELECT count(*) FROM tasks WHERE agent = $1 AND channel = $2 AND completed_at = 0 AND canceled_at = 0 AND status <> 'pending'`, "tasks_live_by_agent", []any{"alice", "web"}},
		{`SELECT position, epoch, conversation, event FROM events WHERE position > $1 ORDER BY position LIMIT $2`, "events_pkey", []any{20900, 50}},
		{desk.SelectTasks + ` WHERE t.conversation = $1 ORDER BY t.placement`, "tasks_by_conversation", []any{th.SID}},
	} {
		plan := h.explain(hot.query, hot.args...)
		require.Contains(t, plan, hot.index, hot.query)
		require.NotContains(t, plan, "Seq Scan on tasks", hot.query)
		require.NotContains(t, plan, "Seq Scan on events", hot.query)
	}
}

func (h *environment) explain(query string, args ...any) string {
	h.T.Helper()
	var plan []string
	require.NoError(h.T, h.ExclusiveTx(h.T.Context(), "explain", func(t *desk.Tx) (err error) {
		plan, err = sqldb.All(h.T.Context(), t, sqldb.Value[string], `EXPLAIN `+query, args...)
		return err
	}))
	return strings.Join(plan, "\n")
}

// testRoleWithoutDDL runs a desk as a role that changes no tables.
func testRoleWithoutDDL(t *testing.T, h *environment) {
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

	running := &environment{&desktest.Environment{T: t, Database: address.String(), Clock: h.Clock}}
	running.Desk = running.Reopen()
	running.TransfersOn()
	running.Staff("support", "alice")
	th := running.Start("support").Follow()
	th.Accept("alice")
	_, err = running.Say(ctx, desk.NewMessage{Conversation: th.SID, From: desk.FromCustomer, Text: "hello"})
	require.NoError(t, err)
	require.NoError(t, running.Sessions().Commit("session", []byte("x"), h.Clock.Now().Add(time.Hour)))
	_, _, err = running.AddKey(ctx, desk.Key{Name: "shop", Role: desk.KeyService})
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
