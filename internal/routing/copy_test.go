package routing_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

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
	desktest.SetCallback(from, "https://example.com/events")
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
	desktest.RequireShownWhole(t, h, moved)

	_, err = desk.Copy(t.Context(), path, h.Database)
	require.ErrorContains(t, err, "already has a desk with data (table agents)")
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
	must(routing.AddActivity(ctx, h.Desk, "Lunch", false))
	must(routes.SaveWorkflow(ctx, h.Desk, routes.Workflow{FriendlyName: "Gold", Configuration: `{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`}))
	must(records.AddParticipant(ctx, h.Desk, records.Participant{Conversation: th.SID, Identity: "friend"}))
	must(records.OpenDraft(ctx, h.Desk, records.Draft{Channel: conversation.ChannelWeb, Details: records.Details{UniqueName: "order-7"}}))
	_, _, err := access.AddKey(ctx, h.Desk, access.Key{Name: "shop", Role: access.KeyService})
	must(nil, err)
	must(nil, desk.SetPlugin(ctx, h.Desk, desk.Plugin{Name: "dialpad"}))
	must(nil, access.BindIdentity(ctx, h.Desk, th.Task().Agent, "https://login.example.com", "1"))
	must(nil, records.NoteRefused(ctx, h.Desk, th.SID, conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending))
	must(routing.Lease(ctx, h.Desk, "list conversations", time.Minute))
	must(nil, records.MarkRead(ctx, h.Desk, th.SID, "alice", 1))
	must(nil, desk.KeepAnswer(ctx, h.Desk, "token", desk.Answer{Request: "request", Status: 201, Body: "{}"}))
	h.Staff("sales", "sam", "sue")
	h.Start("sales").Sync() // matched, and not confirmed
	h.Start("sales").Follow()
	h.Start("sales").Sync()
	must(nil, routing.SetPresence(ctx, h.Desk, "sue", desk.PresenceBreak)) // an offer is to be declined
	desktest.QueueWebhooks(h)
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
	read(records.ReadThread(ctx, h.Desk, th.SID, records.AsSystem(), records.Window{Limit: 100}))
	read(people.ListAgents(ctx, h.Desk))
	read(people.ListQueues(ctx, h.Desk))
	read(records.TaskPage(ctx, h.Desk, records.TaskFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(records.ConversationListPage(ctx, h.Desk, records.ConversationFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(desk.AuditPage(ctx, h.Desk, desk.AuditFilter{}, desk.Page{Limit: desk.MaxPage}))
	read(outbox.EventsAfter(ctx, h.Desk, 0, desk.MaxPage))
	read(insights.Read(ctx, h.Desk, insights.Filter{From: now.Add(-24 * time.Hour), To: now.Add(time.Hour)}))
	read(desk.ReadSettings(ctx, h.Desk))
	read(access.ReadAccount(ctx, h.Desk))
	return answers
}
