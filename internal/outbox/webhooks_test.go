package outbox_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

func webhookFailed(h *desktest.Environment, w outbox.Webhook) (dead bool) {
	h.T.Helper()
	dead, err := outbox.WebhookFailed(h.T.Context(), h.Desk, w.Position, "the receiver answered 503 Service Unavailable")
	require.NoError(h.T, err)
	return dead
}

func deadWebhooks(h *desktest.Environment) []outbox.Webhook {
	h.T.Helper()
	found, err := outbox.DeadWebhooks(h.T.Context(), h.Desk, desk.Page{})
	require.NoError(h.T, err)
	return found.Entries
}

// namesOf returns the stream and event of each webhook.
func namesOf(webhooks []outbox.Webhook) []string {
	lines := []string{}
	for _, w := range webhooks {
		lines = append(lines, w.Stream+" "+string(w.Event.Name))
	}
	return lines
}

func testWebhooksInOrder(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	one, other := h.Start("support").Follow(), h.Start("support").Follow()
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "billing"))
	require.NoError(t, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: "alice"}))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))

	for _, expected := range [][]string{
		{"agent/alice worker.created", "queue/billing task-queue.created", one.SID + " task.created", other.SID + " task.created"},
		{"agent/alice worker.activity.update", one.SID + " task-queue.entered", other.SID + " task-queue.entered"},
		{},
	} {
		taken := desktest.TakeWebhooks(h)
		require.ElementsMatch(t, expected, namesOf(taken))
		require.Empty(t, desktest.TakeWebhooks(h), "a webhook in delivery is not taken again, and the next of its stream waits for it")
		for _, w := range taken {
			require.Equal(t, 1, w.Attempts)
			require.Equal(t, h.Clock.Now(), w.FirstAt)
			require.Equal(t, w.Position, w.Event.Position)
			desktest.ConfirmWebhook(h, w)
			desktest.ConfirmWebhook(h, w) // the report came twice
		}
	}
	require.Zero(t, desktest.PendingWebhooks(h))

	one.Do(conversation.CloseCommand{})
	one.Follow()
	desktest.QueueWebhooks(h)
	h.Clock.Advance(time.Hour)
	count, oldest, err := outbox.PendingWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Equal(t, h.Clock.Now().Add(-time.Hour), oldest)
	require.ElementsMatch(t, []string{one.SID + " task.canceled"}, namesOf(desktest.TakeWebhooks(h)), "a stream that was empty is due at once")
}

func testFailingStream(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	failing, healthy := h.Start("support").Follow(), h.Start("support").Follow()
	for _, w := range desktest.TakeWebhooks(h) {
		if w.Stream == failing.SID {
			require.False(t, webhookFailed(h, w))
		} else {
			desktest.ConfirmWebhook(h, w)
		}
	}
	taken := desktest.TakeWebhooks(h)
	require.ElementsMatch(t, []string{healthy.SID + " task-queue.entered"}, namesOf(taken))
	desktest.ConfirmWebhook(h, taken[0])

	h.Clock.Advance(outbox.FirstWebhookRetry)
	taken = desktest.TakeWebhooks(h)
	require.ElementsMatch(t, []string{failing.SID + " task.created"}, namesOf(taken))
	require.Equal(t, 2, taken[0].Attempts)
	require.Equal(t, "the receiver answered 503 Service Unavailable", taken[0].Failure)
	desktest.ConfirmWebhook(h, taken[0])
	require.ElementsMatch(t, []string{failing.SID + " task-queue.entered"}, namesOf(desktest.TakeWebhooks(h)))
}

func testWebhookLease(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	h.Start("support").Follow()
	taken := desktest.TakeWebhooks(h) // then the process dies
	require.Len(t, taken, 1)
	h.Clock.Advance(desktest.WebhookLease - time.Second)
	require.Empty(t, desktest.TakeWebhooks(h))
	h.Clock.Advance(time.Second)
	again := desktest.TakeWebhooks(h)
	require.Len(t, again, 1)
	require.Equal(t, taken[0].Position, again[0].Position)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, taken[0].FirstAt, again[0].FirstAt)
	require.Equal(t, h.Clock.Now().Add(desktest.WebhookLease), again[0].DeliverAt)
}

func testWebhookBackoff(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	th := h.Start("support").Follow()
	began := h.Clock.Now()
	expected := time.Second
	for {
		taken := desktest.TakeWebhooks(h)
		require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(taken))
		if webhookFailed(h, taken[0]) {
			break
		}
		require.Less(t, h.Clock.Now().Sub(began), outbox.GivenUpAfter)
		h.Clock.Advance(expected - time.Microsecond)
		require.Empty(t, desktest.TakeWebhooks(h))
		h.Clock.Advance(time.Microsecond)
		expected = min(2*expected, 15*time.Minute)
	}
	require.Equal(t, 15*time.Minute, expected)
	require.InDelta(t, outbox.GivenUpAfter, h.Clock.Now().Sub(began), float64(15*time.Minute))

	dead := deadWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(dead))
	require.True(t, dead[0].Dead)
	require.Zero(t, dead[0].DeliverAt)
	require.Equal(t, "the receiver answered 503 Service Unavailable", dead[0].Failure)
	require.Equal(t, 1, desktest.PendingWebhooks(h), "it isn't waited for any more")
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, namesOf(desktest.TakeWebhooks(h)), "its stream continues")
	require.False(t, webhookFailed(h, dead[0]), "what is dead fails no more")
}

// failForGood makes the stream's first webhook fail for a day.
func failForGood(h *desktest.Environment, stream string) {
	h.T.Helper()
	for {
		for _, w := range desktest.TakeWebhooks(h) {
			if w.Stream == stream && webhookFailed(h, w) {
				return
			}
		}
		h.Clock.Advance(time.Hour)
	}
}

func testRedelivery(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	th, other := h.Start("support").Follow(), h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	failForGood(h, th.SID)
	failForGood(h, th.SID)
	dead := deadWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered", th.SID + " task.created"}, namesOf(dead))
	require.Greater(t, dead[0].Position, dead[1].Position, "newest first")

	h.Clock.Advance(time.Hour)
	underWay := desktest.TakeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.canceled", other.SID + " task.created"}, namesOf(underWay))
	revived, err := outbox.RedeliverWebhooks(h.T.Context(), h.Desk, dead[0].Position, dead[0].Position, underWay[0].Position, 12345)
	require.NoError(t, err)
	require.Equal(t, 1, revived, "only what is dead can be revived, and once")
	revived, err = outbox.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.Empty(t, deadWebhooks(h))
	require.False(t, webhookFailed(h, dead[1]), "what a try from before came to says nothing any more")

	taken := desktest.TakeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(taken), "at once, before the later ones of its stream")
	require.Equal(t, 1, taken[0].Attempts)
	require.Equal(t, h.Clock.Now(), taken[0].FirstAt)
	require.Empty(t, taken[0].Failure)
	require.False(t, webhookFailed(h, taken[0]), "its day has begun anew")
	h.Clock.Advance(outbox.FirstWebhookRetry)
	desktest.ConfirmWebhook(h, desktest.TakeWebhooks(h)[0])
	taken = desktest.TakeWebhooks(h)
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, namesOf(taken))
	desktest.ConfirmWebhook(h, taken[0])
	require.Empty(t, desktest.TakeWebhooks(h), "what was under way all the time is not sent beside itself")
	for _, w := range underWay {
		desktest.ConfirmWebhook(h, w)
	}
	require.ElementsMatch(t, []string{other.SID + " task-queue.entered"}, namesOf(desktest.TakeWebhooks(h)))
}

func testWebhookFilter(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events", conversation.EventTaskCanceled, desk.EventAgentCreated)
	th := h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	require.NoError(t, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: "alice"}))
	require.ElementsMatch(t, []string{th.SID + " task.canceled", "agent/alice worker.created"}, namesOf(desktest.TakeWebhooks(h)))
	require.Equal(t, 2, desktest.PendingWebhooks(h))
}

func testNoCallback(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	h.Start("support").Follow()
	require.Empty(t, desktest.TakeWebhooks(h), "there is no account yet")
	desktest.SetCallback(h, "https://example.com/events")
	require.Empty(t, desktest.TakeWebhooks(h), "a URL set later isn't sent what was before")

	th := h.Start("support").Follow()
	failForGood(h, th.SID)
	require.NotZero(t, desktest.PendingWebhooks(h))
	desktest.SetCallback(h, "")
	h.Start("support").Follow()
	require.Empty(t, desktest.TakeWebhooks(h))
	require.Zero(t, desktest.PendingWebhooks(h), "what is queued is dropped")
	require.Len(t, deadWebhooks(h), 1, "what was given up stays on record")
	_, err := outbox.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "set one")

	desktest.SetCallback(h, "https://example.com/elsewhere")
	require.Empty(t, desktest.TakeWebhooks(h))
	revived, err := outbox.RedeliverWebhooks(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, namesOf(desktest.TakeWebhooks(h)))
}

func testIdleWebhooks(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	desktest.SetCallback(h, "https://example.com/events")
	require.Empty(t, desktest.TakeWebhooks(h))
	other := h.Reopen()
	require.NoError(t, other.ExclusiveTx(h.T.Context(), "keep everybody else from writing", func(tx *desk.Tx) error {
		tx.Happen(desk.EventQueueCreated, "", "billing", 0)
		require.Empty(t, desktest.TakeWebhooks(h), "nothing to do is found out by reading")
		return nil
	}))
	require.Len(t, desktest.TakeWebhooks(h), 1)
}

func testTwoSenders(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	const conversations = 60
	for range conversations {
		h.Start("support").Sync()
	}
	type turn struct {
		taken []outbox.Webhook
		err   error
	}
	turns := make(chan turn)
	send := func(d *desk.Desk) {
		var all turn
		for len(all.taken) < conversations {
			if all.err = outbox.QueueWebhooks(h.T.Context(), d, func() {}); all.err != nil {
				break
			}
			taken, err := outbox.TakeWebhooks(h.T.Context(), d, 3, desktest.WebhookLease)
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
	require.Equal(t, 2*conversations, desktest.PendingWebhooks(h))
}

// A webhook that waits behind another of its stream is not read, however long the queue is.
func testOnlyHeadsAreDue(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	for range 3 {
		th := h.Start("support").Follow()
		th.Do(conversation.CloseCommand{})
		th.Follow()
	}
	desktest.QueueWebhooks(h)
	due := func() (count int) {
		require.NoError(t, h.ReadTx(h.T.Context(), "count what is looked at", func(tx *desk.Tx) (err error) {
			count, _, err = sqldb.First(h.T.Context(), tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 0 AND deliver_at <= $1`, sqldb.Micros(h.Clock.Now()))
			return err
		}))
		return count
	}
	require.Equal(t, 9, desktest.PendingWebhooks(h))
	require.Equal(t, 3, due())
	taken := desktest.TakeWebhooks(h)
	require.Zero(t, due())
	desktest.ConfirmWebhook(h, taken[0])
	require.Equal(t, 1, due())
	failForGood(h, taken[1].Stream)
	h.Clock.Advance(desktest.WebhookLease)
	require.Equal(t, 3, due())
}

// TestWebhooksWalkIndexes checks the query plans of SQLite for every statement between an event and its delivery:
// none scans the queue.
func TestWebhooksWalkIndexes(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	desktest.SetCallback(h, "https://example.com/events")
	th := h.Start("support").Follow()
	h.Desk = h.Reopen() // it has prepared no statement yet
	desktest.ConfirmWebhook(h, desktest.TakeWebhooks(h)[0])
	failForGood(h, th.SID)
	desktest.SetCallback(h, "")
	desktest.QueueWebhooks(h)

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
