package routing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// TestHotQueriesWalkIndexes checks SQLite's query plans of every statement in a conversation's life, in the
// dispatcher and in an offer: none scans a table that grows, and none sorts.
func TestHotQueriesWalkIndexes(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	liveADay(h)

	looked := 0
	for _, queries := range h.Prepared() {
		for _, query := range queries {
			looked++
			for _, step := range h.ExplainOnSQLite(query) {
				require.NotContains(t, step, "TEMP B-TREE", query)
				if table, scans := strings.CutPrefix(step, "SCAN "); scans {
					// Waiting tasks and webhooks are counted in an index of waiting rows only.
					if strings.Contains(query, "count(*)") {
						require.Regexp(t, `^(tasks USING COVERING INDEX tasks_(in_line|waiting_for_agent)|webhooks USING COVERING INDEX webhooks_.*|undelivered|pending|given|CONSTANT ROW|json_each.*)$`, table, query)
						continue
					}
					// Few rows: the agents and queues. (VALUES, given and json_each are rows that a program gives, w is a
					// single row that a query makes.)
					require.Regexp(t, `^(json_each|given$|queues|queue_agents|agents|plugins|CONSTANT ROW|w$|w USING INDEX tasks_live_by_time$|chosen$|told$|own$|\d+-ROW VALUES)`, table, query)
				}
			}
		}
	}
	require.Greater(t, looked, 40)
}

// readLists reads what clients of the HTTP API poll.
func readLists(h *desktest.Environment) {
	h.T.Helper()
	ctx := h.T.Context()
	live := []conversation.TaskStatus{conversation.TaskPending, conversation.TaskReserved}
	for _, f := range []records.TaskFilter{{}, {Statuses: live}, {Agent: "alice"}, {Queue: "support"}, {NewestFirst: true}} {
		_, err := records.TaskPage(ctx, h.Desk, f, desk.Page{After: &desk.Cursor{Key: 1, SID: "WT"}})
		require.NoError(h.T, err)
	}
	for _, f := range []records.ReservationFilter{{Agent: "alice"}, {Agent: "alice", Status: conversation.ReservationPending}, {Task: "WT1"}} {
		_, err := records.ReservationPage(ctx, h.Desk, f, desk.Page{After: &desk.Cursor{Key: 1, SID: "WR"}})
		require.NoError(h.T, err)
	}
	_, err := records.ConversationListPage(ctx, h.Desk, records.ConversationFilter{}, desk.Page{After: &desk.Cursor{Key: 1, SID: "CH"}})
	require.NoError(h.T, err)
	_, err = desk.BeginAnswer(ctx, h.Desk, "token", "request")
	require.NoError(h.T, err)
	require.NoError(h.T, access.NewSessions(h.Desk).CommitCtx(ctx, "token", nil, h.Clock.Now().Add(time.Hour)))
	_, _, err = access.NewSessions(h.Desk).FindCtx(ctx, "token")
	require.NoError(h.T, err)
	require.NoError(h.T, access.NewSessions(h.Desk).DeleteCtx(ctx, "token"))
	_, err = access.NewAuthenticator(h.Desk).Authenticate(ctx, "SK1", "")
	require.ErrorIs(h.T, err, access.ErrCredentials)
	for _, f := range []desk.AuditFilter{{}, {Subject: "alice"}, {Kind: desk.AuditAgent}, {By: "carol"}} {
		_, err = desk.AuditPage(ctx, h.Desk, f, desk.Page{After: &desk.Cursor{Key: 1}})
		require.NoError(h.T, err)
	}
	_, err = routes.LabelsFor(ctx, h.Desk, "support", "CH1")
	require.NoError(h.T, err)
	_, err = routes.LabelsOf(ctx, h.Desk, []records.Task{{}})
	require.NoError(h.T, err)
	_, err = routing.ReadBacklog(ctx, h.Desk)
	require.NoError(h.T, err)
	require.ErrorIs(h.T, records.NoteRefused(ctx, h.Desk, desktest.NewSID(), conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending), records.ErrUnknownConversation)
}

// liveADay lets everything happen that happens often: in a conversation's life, in the dispatcher, on the pages.
func liveADay(h *desktest.Environment) {
	h.T.Helper()
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToQueue("billing"), "wants a refund")
	require.NoError(h.T, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceBreak))
	_, err := routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(h.T, err)
	require.NoError(h.T, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable))
	th.Decline("bob")
	h.Clock.Advance(time.Duration(conversation.DefaultSettings().ReofferAfter) * time.Second)
	h.DispatchNow()
	th.Follow().Accept("bob").WrapUp("alice").Transfer("bob", desktest.ToAgent("alice"), "").Expire()
	require.NoError(h.T, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	_, err = routing.Claim(h.T.Context(), h.Desk, th.SID, "alice")
	require.NoError(h.T, err)
	h.DispatchNow()
	_, err = records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: "hello", ProviderSID: "SM1"})
	require.NoError(h.T, err)
	_, err = routing.ListOffers(h.T.Context(), h.Desk, "alice")
	require.NoError(h.T, err)
	readLists(h)
	readPages(h, th, "alice")
}

// readPages reads what pages read whenever something has changed.
func readPages(h *desktest.Environment, th *desktest.Conversation, agent string) {
	h.T.Helper()
	ctx := h.T.Context()
	_, err := records.ReadWorkload(ctx, h.Desk, agent)
	require.NoError(h.T, err)
	_, err = records.ListPassedOn(ctx, h.Desk, agent)
	require.NoError(h.T, err)
	_, err = records.ReadThread(ctx, h.Desk, th.SID, records.AsSystem(), records.Window{Limit: 10})
	require.NoError(h.T, err)
	_, err = desk.LastPosition(ctx, h.Desk)
	require.NoError(h.T, err)
	_, err = outbox.EventsAfter(ctx, h.Desk, 1, 10)
	require.NoError(h.T, err)
	_, err = records.ReadSpoken(ctx, h.Desk, []string{th.SID})
	require.NoError(h.T, err)
	require.NoError(h.T, records.MarkRead(ctx, h.Desk, th.SID, agent, 1))
	_, err = records.ReadNotices(ctx, h.Desk, agent)
	require.NoError(h.T, err)
	_, err = routing.ReadWaits(ctx, h.Desk, []string{th.SID})
	require.NoError(h.T, err)
	require.NoError(h.T, records.DismissNotices(ctx, h.Desk, agent, conversation.SIDOf(conversation.PrefixTransfer, uuid.New())))
	require.NoError(h.T, records.DismissMissedOffer(ctx, h.Desk, agent))
	for _, f := range []records.Filter{{Status: conversation.ConversationActive}, {WaitingLongest: true}, {WaitingLongest: true, Queue: "support"}} {
		for _, search := range []string{"", "crystal", "nothing", th.SID} {
			if f.WaitingLongest && search == th.SID {
				continue // one conversation, sorted
			}
			for _, p := range []desk.Page{{}, {After: &desk.Cursor{Key: 1, SID: "CH"}}, {Before: &desk.Cursor{Key: 1, SID: "CH"}}} {
				_, err = records.ConversationPage(ctx, h.Desk, f, search, p)
				require.NoError(h.T, err)
			}
		}
	}
}
