package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
	"github.com/baton-transfers/baton/internal/sqldb"
)

func webhookFailed(h *desktest.Environment, w desk.Webhook) (dead bool) {
	h.T.Helper()
	dead, err := desk.WebhookFailed(h.T.Context(), h.Desk, w.Position, "the receiver answered 503 Service Unavailable")
	require.NoError(h.T, err)
	return dead
}

func deadWebhooks(h *desktest.Environment) []desk.Webhook {
	h.T.Helper()
	found, err := desk.DeadWebhooks(h.T.Context(), h.Desk, desk.Page{})
	require.NoError(h.T, err)
	return found.Entries
}

// namesOf returns the stream and event of each webhook.
func namesOf(webhooks []desk.Webhook) []string {
	lines := []string{}
	for _, w := range webhooks {
		lines = append(lines, w.Stream+" "+string(w.Event.Name))
	}
	return lines
}

func testWebhooksInOrder(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	one, other := h.Start("support").Follow(), h.Start("support").Follow()
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "billing"))
	require.NoError(t, desk.AddAgent(h.T.Context(), h.Desk, desk.NewAgent{Name: "alice"}))
	require.NoError(t, desk.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))

	for _, expected := range [][]string{
		{"agent/alice worker.created", "queue/billing task-queue.created", one.SID + " task.created", other.SID + " task.created"},
		{"agent/alice worker.activity.update", one.SID + " task-queue.entered", other.SID + " task-queue.entered"},
		{},
	} {
		taken := takeWebhooks(h)
		require.ElementsMatch(t, expected, namesOf(taken))
		require.Empty(t, takeWebhooks(h), "a webhook in delivery is not taken again, and the next of its stream waits for it")
		for _, w := range taken {
			require.Equal(t, 1, w.Attempts)
			require.Equal(t, h.Clock.Now(), w.FirstAt)
			require.Equal(t, w.Position, w.Event.Position)
			webhookDelivered(h, w)
			webhookDelivered(h, w) // the report came twice
		}
	}
	require.Zero(t, pendingWebhooks(h))

	one.Do(conversation.CloseCommand{})
	one.Follow()
	queueWebhooks(h)
	h.Clock.Advance(time.Hour)
	count, oldest, err := desk.PendingWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Equal(t, h.Clock.Now().Add(-time.Hour), oldest)
	require.ElementsMatch(t, []string{one.SID + " task.canceled"}, namesOf(takeWebhooks(h)), "a stream that was empty is due at once")
}

func testFailingStream(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	failing, healthy := h.Start("support").Follow(), h.Start("support").Follow()
	for _, w := range takeWebhooks(h) {
		if w.Stream == failing.SID {
			require.False(t, webhookFailed(h, w))
		} else {
			webhookDelivered(h, w)
		}
	}
	taken := takeWebhooks(h)
	require.ElementsMatch(t, []string{healthy.SID + " task-queue.entered"}, namesOf(taken))
	webhookDelivered(h, taken[0])

	h.Clock.Advance(desk.FirstWebhookRetry)
	taken = takeWebhooks(h)
	require.ElementsMatch(t, []string{failing.SID + " task.created"}, namesOf(taken))
	require.Equal(t, 2, taken[0].Attempts)
	require.Equal(t, "the receiver answered 503 Service Unavailable", taken[0].Failure)
	webhookDelivered(h, taken[0])
	require.ElementsMatch(t, []string{failing.SID + " task-queue.entered"}, namesOf(takeWebhooks(h)))
}

func testWebhookLease(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	h.Start("support").Follow()
	taken := takeWebhooks(h) // then the process dies
	require.Len(t, taken, 1)
	h.Clock.Advance(testLease - time.Second)
	require.Empty(t, takeWebhooks(h))
	h.Clock.Advance(time.Second)
	again := takeWebhooks(h)
	require.Len(t, again, 1)
	require.Equal(t, taken[0].Position, again[0].Position)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, taken[0].FirstAt, again[0].FirstAt)
	require.Equal(t, h.Clock.Now().Add(testLease), again[0].DeliverAt)
}

func testWebhookBackoff(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	th := h.Start("support").Follow()
	began := h.Clock.Now()
	expected := time.Second
	for {
		taken := takeWebhooks(h)
		require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(taken))
		if webhookFailed(h, taken[0]) {
			break
		}
		require.Less(t, h.Clock.Now().Sub(began), desk.GivenUpAfter)
		h.Clock.Advance(expected - time.Microsecond)
		require.Empty(t, takeWebhooks(h))
		h.Clock.Advance(time.Microsecond)
		expected = min(2*expected, 15*time.Minute)
	}
	require.Equal(t, 15*time.Minute, expected)
	require.InDelta(t, desk.GivenUpAfter, h.Clock.Now().Sub(began), float64(15*time.Minute))

	dead := deadWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(dead))
	require.True(t, dead[0].Dead)
	require.Zero(t, dead[0].DeliverAt)
	require.Equal(t, "the receiver answered 503 Service Unavailable", dead[0].Failure)
	require.Equal(t, 1, pendingWebhooks(h), "it isn't waited for any more")
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, namesOf(takeWebhooks(h)), "its stream continues")
	require.False(t, webhookFailed(h, dead[0]), "what is dead fails no more")
}

// failForGood makes the stream's first webhook fail for a day.
func failForGood(h *desktest.Environment, stream string) {
	h.T.Helper()
	for {
		for _, w := range takeWebhooks(h) {
			if w.Stream == stream && webhookFailed(h, w) {
				return
			}
		}
		h.Clock.Advance(time.Hour)
	}
}

func testRedelivery(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	th, other := h.Start("support").Follow(), h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	failForGood(h, th.SID)
	failForGood(h, th.SID)
	dead := deadWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered", th.SID + " task.created"}, namesOf(dead))
	require.Greater(t, dead[0].Position, dead[1].Position, "newest first")

	h.Clock.Advance(time.Hour)
	underWay := takeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.canceled", other.SID + " task.created"}, namesOf(underWay))
	revived, err := desk.RedeliverWebhooks(h.T.Context(), h.Desk, dead[0].Position, dead[0].Position, underWay[0].Position, 12345)
	require.NoError(t, err)
	require.Equal(t, 1, revived, "only what is dead can be revived, and once")
	revived, err = desk.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.Empty(t, deadWebhooks(h))
	require.False(t, webhookFailed(h, dead[1]), "what a try from before came to says nothing any more")

	taken := takeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(taken), "at once, before the later ones of its stream")
	require.Equal(t, 1, taken[0].Attempts)
	require.Equal(t, h.Clock.Now(), taken[0].FirstAt)
	require.Empty(t, taken[0].Failure)
	require.False(t, webhookFailed(h, taken[0]), "its day has begun anew")
	h.Clock.Advance(desk.FirstWebhookRetry)
	webhookDelivered(h, takeWebhooks(h)[0])
	taken = takeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, namesOf(taken))
	webhookDelivered(h, taken[0])
	require.Empty(t, takeWebhooks(h), "what was under way all the time is not sent beside itself")
	for _, w := range underWay {
		webhookDelivered(h, w)
	}
	require.ElementsMatch(t, []string{other.SID + " task-queue.entered"}, namesOf(takeWebhooks(h)))
}

func testWebhookFilter(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events", conversation.EventTaskCanceled, desk.EventAgentCreated)
	th := h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	require.NoError(t, desk.AddAgent(h.T.Context(), h.Desk, desk.NewAgent{Name: "alice"}))
	require.ElementsMatch(t, []string{th.SID + " task.canceled", "agent/alice worker.created"}, namesOf(takeWebhooks(h)))
	require.Equal(t, 2, pendingWebhooks(h))
}

func testNoCallback(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	h.Start("support").Follow()
	require.Empty(t, takeWebhooks(h), "there is no account yet")
	setCallback(h, "https://example.com/events")
	require.Empty(t, takeWebhooks(h), "a URL set later isn't sent what was before")

	th := h.Start("support").Follow()
	failForGood(h, th.SID)
	require.NotZero(t, pendingWebhooks(h))
	setCallback(h, "")
	h.Start("support").Follow()
	require.Empty(t, takeWebhooks(h))
	require.Zero(t, pendingWebhooks(h), "what is queued is dropped")
	require.Len(t, deadWebhooks(h), 1, "what was given up stays on record")
	_, err := desk.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "set one")

	setCallback(h, "https://example.com/elsewhere")
	require.Empty(t, takeWebhooks(h))
	revived, err := desk.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(takeWebhooks(h)))
}

func testIdleWebhooks(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	setCallback(h, "https://example.com/events")
	require.Empty(t, takeWebhooks(h))
	other := h.Reopen()
	require.NoError(t, other.ExclusiveTx(h.T.Context(), "keep everybody else from writing", func(tx *desk.Tx) error {
		tx.Happen(desk.EventQueueCreated, "", "billing", 0)
		require.Empty(t, takeWebhooks(h), "nothing to do is found out by reading")
		return nil
	}))
	require.Len(t, takeWebhooks(h), 1)
}

func testTwoSenders(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	const conversations = 60
	for range conversations {
		h.Start("support").Sync()
	}
	type turn struct {
		taken []desk.Webhook
		err   error
	}
	turns := make(chan turn)
	send := func(d *desk.Desk) {
		var all turn
		for len(all.taken) < conversations {
			if all.err = desk.QueueWebhooks(h.T.Context(), d, func() {}); all.err != nil {
				break
			}
			taken, err := desk.TakeWebhooks(h.T.Context(), d, 3, testLease)
			all.taken, all.err = append(all.taken, taken...), err
			if err != nil || len(taken) == 0 {
				break
			}
		}
		turns <- all
	}
	for range 3 {
		go send(h.Reopen())
	}
	positions := map[int64]bool{}
	for range 3 {
		all := <-turns
		require.NoError(t, all.err)
		for _, w := range all.taken {
			require.False(t, positions[w.Position], "webhook %d was taken twice", w.Position)
			positions[w.Position] = true
		}
	}
	require.Len(t, positions, conversations)
	require.Equal(t, 2*conversations, pendingWebhooks(h))
}

// A webhook that waits behind another of its stream is not read, however long the queue is.
func testOnlyHeadsAreDue(t *testing.T, h *desktest.Environment) {
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	for range 3 {
		th := h.Start("support").Follow()
		th.Do(conversation.CloseCommand{})
		th.Follow()
	}
	queueWebhooks(h)
	due := func() (count int) {
		require.NoError(t, h.ReadTx(h.T.Context(), "count what is looked at", func(tx *desk.Tx) (err error) {
			count, _, err = sqldb.First(h.T.Context(), tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 0 AND deliver_at <= $1`, sqldb.Micros(h.Clock.Now()))
			return err
		}))
		return count
	}
	require.Equal(t, 9, pendingWebhooks(h))
	require.Equal(t, 3, due())
	taken := takeWebhooks(h)
	require.Zero(t, due())
	webhookDelivered(h, taken[0])
	require.Equal(t, 1, due())
	failForGood(h, taken[1].Stream)
	h.Clock.Advance(testLease)
	require.Equal(t, 3, due())
}

// TestWebhooksWalkIndexes checks the query plans of SQLite for every statement between an event and its delivery:
// none scans the queue.
func TestWebhooksWalkIndexes(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	require.NoError(t, desk.AddQueue(h.T.Context(), h.Desk, "support"))
	setCallback(h, "https://example.com/events")
	th := h.Start("support").Follow()
	h.Desk = h.Reopen() // it has prepared no statement yet
	webhookDelivered(h, takeWebhooks(h)[0])
	failForGood(h, th.SID)
	setCallback(h, "")
	queueWebhooks(h)

	looked := 0
	for _, queries := range h.Prepared() {
		for _, query := range queries {
			if strings.Contains(query, "account") {
				continue // it has one row
			}
			looked++
			for _, step := range h.ExplainOnSQLite(query) {
				if table, scans := strings.CutPrefix(step, "SCAN "); scans {
					// The next events of the event log, and the next rows to drop: both have a limit.
					require.Regexp(t, `^(told|own|happened|webhooks USING COVERING INDEX)`, table, query)
				}
				if strings.Contains(query, "webhooks") {
					require.NotContains(t, step, "TEMP B-TREE", query)
				}
			}
		}
	}
	require.Greater(t, looked, 10)
}
