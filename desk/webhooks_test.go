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

const testLease = 30 * time.Second

// callback sets the workspace's URL, which receives the events from now on, or only the named ones.
func (h *environment) callback(url string, only ...conversation.EventName) {
	h.T.Helper()
	h.queueWebhooks()
	filter := []string{}
	for _, name := range only {
		filter = append(filter, string(name))
	}
	_, err := h.SetWorkspace(h.T.Context(), func(w *desk.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
	require.NoError(h.T, err)
}

func (h *environment) queueWebhooks() {
	h.T.Helper()
	require.NoError(h.T, h.QueueWebhooks(h.T.Context()))
}

// take queues new events and takes the webhooks that are due.
func (h *environment) take() []desk.Webhook {
	h.T.Helper()
	h.queueWebhooks()
	taken, err := h.TakeWebhooks(h.T.Context(), 100, testLease)
	require.NoError(h.T, err)
	return taken
}

func (h *environment) delivered(w desk.Webhook) {
	h.T.Helper()
	require.NoError(h.T, h.WebhookDelivered(h.T.Context(), w.Position))
}

func (h *environment) failed(w desk.Webhook) (dead bool) {
	h.T.Helper()
	dead, err := h.WebhookFailed(h.T.Context(), w.Position, "the receiver answered 503 Service Unavailable")
	require.NoError(h.T, err)
	return dead
}

func (h *environment) pending() int {
	h.T.Helper()
	count, _, err := h.PendingWebhooks(h.T.Context())
	require.NoError(h.T, err)
	return count
}

func (h *environment) dead() []desk.Webhook {
	h.T.Helper()
	found, err := h.DeadWebhooks(h.T.Context(), desk.Page{})
	require.NoError(h.T, err)
	return found.Entries
}

// told returns the stream and event of each webhook.
func told(webhooks []desk.Webhook) []string {
	lines := []string{}
	for _, w := range webhooks {
		lines = append(lines, w.Stream+" "+string(w.Event.Name))
	}
	return lines
}

func testWebhooksInOrder(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	one, other := h.Start("support").Follow(), h.Start("support").Follow()
	require.NoError(t, h.AddQueue(h.T.Context(), "billing"))
	require.NoError(t, h.AddAgent(h.T.Context(), desk.NewAgent{Name: "alice"}))
	require.NoError(t, h.SetPresence(h.T.Context(), "alice", desk.PresenceAvailable))

	for _, expected := range [][]string{
		{"agent/alice worker.created", "queue/billing task-queue.created", one.SID + " task.created", other.SID + " task.created"},
		{"agent/alice worker.activity.update", one.SID + " task-queue.entered", other.SID + " task-queue.entered"},
		{},
	} {
		taken := h.take()
		require.ElementsMatch(t, expected, told(taken))
		require.Empty(t, h.take(), "a webhook in delivery is not taken again, and the next of its stream waits for it")
		for _, w := range taken {
			require.Equal(t, 1, w.Attempts)
			require.Equal(t, h.Clock.Now(), w.FirstAt)
			require.Equal(t, w.Position, w.Event.Position)
			h.delivered(w)
			h.delivered(w) // the report came twice
		}
	}
	require.Zero(t, h.pending())

	one.Do(conversation.CloseCommand{})
	one.Follow()
	h.queueWebhooks()
	h.Clock.Advance(time.Hour)
	count, oldest, err := h.PendingWebhooks(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Equal(t, h.Clock.Now().Add(-time.Hour), oldest)
	require.ElementsMatch(t, []string{one.SID + " task.canceled"}, told(h.take()), "a stream that was empty is due at once")
}

func testFailingStream(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	failing, healthy := h.Start("support").Follow(), h.Start("support").Follow()
	for _, w := range h.take() {
		if w.Stream == failing.SID {
			require.False(t, h.failed(w))
		} else {
			h.delivered(w)
		}
	}
	taken := h.take()
	require.ElementsMatch(t, []string{healthy.SID + " task-queue.entered"}, told(taken))
	h.delivered(taken[0])

	h.Clock.Advance(desk.FirstWebhookRetry)
	taken = h.take()
	require.ElementsMatch(t, []string{failing.SID + " task.created"}, told(taken))
	require.Equal(t, 2, taken[0].Attempts)
	require.Equal(t, "the receiver answered 503 Service Unavailable", taken[0].Failure)
	h.delivered(taken[0])
	require.ElementsMatch(t, []string{failing.SID + " task-queue.entered"}, told(h.take()))
}

func testWebhookLease(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	h.Start("support").Follow()
	taken := h.take() // then the process dies
	require.Len(t, taken, 1)
	h.Clock.Advance(testLease - time.Second)
	require.Empty(t, h.take())
	h.Clock.Advance(time.Second)
	again := h.take()
	require.Len(t, again, 1)
	require.Equal(t, taken[0].Position, again[0].Position)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, taken[0].FirstAt, again[0].FirstAt)
	require.Equal(t, h.Clock.Now().Add(testLease), again[0].DeliverAt)
}

func testWebhookBackoff(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	th := h.Start("support").Follow()
	began := h.Clock.Now()
	expected := time.Second
	for {
		taken := h.take()
		require.ElementsMatch(t, []string{th.SID + " task.created"}, told(taken))
		if h.failed(taken[0]) {
			break
		}
		require.Less(t, h.Clock.Now().Sub(began), desk.GivenUpAfter)
		h.Clock.Advance(expected - time.Microsecond)
		require.Empty(t, h.take())
		h.Clock.Advance(time.Microsecond)
		expected = min(2*expected, 15*time.Minute)
	}
	require.Equal(t, 15*time.Minute, expected)
	require.InDelta(t, desk.GivenUpAfter, h.Clock.Now().Sub(began), float64(15*time.Minute))

	dead := h.dead()
	require.ElementsMatch(t, []string{th.SID + " task.created"}, told(dead))
	require.True(t, dead[0].Dead)
	require.Zero(t, dead[0].DeliverAt)
	require.Equal(t, "the receiver answered 503 Service Unavailable", dead[0].Failure)
	require.Equal(t, 1, h.pending(), "it isn't waited for any more")
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, told(h.take()), "its stream continues")
	require.False(t, h.failed(dead[0]), "what is dead fails no more")
}

// die makes the stream's first webhook fail for a day.
func (h *environment) die(stream string) {
	h.T.Helper()
	for {
		for _, w := range h.take() {
			if w.Stream == stream && h.failed(w) {
				return
			}
		}
		h.Clock.Advance(time.Hour)
	}
}

func testRedelivery(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	th, other := h.Start("support").Follow(), h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	h.die(th.SID)
	h.die(th.SID)
	dead := h.dead()
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered", th.SID + " task.created"}, told(dead))
	require.Greater(t, dead[0].Position, dead[1].Position, "newest first")

	h.Clock.Advance(time.Hour)
	underWay := h.take()
	require.ElementsMatch(t, []string{th.SID + " task.canceled", other.SID + " task.created"}, told(underWay))
	revived, err := h.RedeliverWebhooks(h.T.Context(), dead[0].Position, dead[0].Position, underWay[0].Position, 12345)
	require.NoError(t, err)
	require.Equal(t, 1, revived, "only what is dead can be revived, and once")
	revived, err = h.RedeliverWebhooks(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.Empty(t, h.dead())
	require.False(t, h.failed(dead[1]), "what a try from before came to says nothing any more")

	taken := h.take()
	require.ElementsMatch(t, []string{th.SID + " task.created"}, told(taken), "at once, before the later ones of its stream")
	require.Equal(t, 1, taken[0].Attempts)
	require.Equal(t, h.Clock.Now(), taken[0].FirstAt)
	require.Empty(t, taken[0].Failure)
	require.False(t, h.failed(taken[0]), "its day has begun anew")
	h.Clock.Advance(desk.FirstWebhookRetry)
	h.delivered(h.take()[0])
	taken = h.take()
	require.ElementsMatch(t, []string{th.SID + " task-queue.entered"}, told(taken))
	h.delivered(taken[0])
	require.Empty(t, h.take(), "what was under way all the time is not sent beside itself")
	for _, w := range underWay {
		h.delivered(w)
	}
	require.ElementsMatch(t, []string{other.SID + " task-queue.entered"}, told(h.take()))
}

func testWebhookFilter(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events", conversation.EventTaskCanceled, desk.EventAgentCreated)
	th := h.Start("support").Follow()
	th.Do(conversation.CloseCommand{})
	th.Follow()
	require.NoError(t, h.AddAgent(h.T.Context(), desk.NewAgent{Name: "alice"}))
	require.ElementsMatch(t, []string{th.SID + " task.canceled", "agent/alice worker.created"}, told(h.take()))
	require.Equal(t, 2, h.pending())
}

func testNoCallback(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	h.Start("support").Follow()
	require.Empty(t, h.take(), "there is no account yet")
	h.callback("https://example.com/events")
	require.Empty(t, h.take(), "a URL set later isn't sent what was before")

	th := h.Start("support").Follow()
	h.die(th.SID)
	require.NotZero(t, h.pending())
	h.callback("")
	h.Start("support").Follow()
	require.Empty(t, h.take())
	require.Zero(t, h.pending(), "what is queued is dropped")
	require.Len(t, h.dead(), 1, "what was given up stays on record")
	_, err := h.RedeliverWebhooks(h.T.Context())
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "set one")

	h.callback("https://example.com/elsewhere")
	require.Empty(t, h.take())
	revived, err := h.RedeliverWebhooks(h.T.Context())
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.ElementsMatch(t, []string{th.SID + " task.created"}, told(h.take()))
}

func testIdleWebhooks(t *testing.T, h *environment) {
	h.Staff("support", "alice")
	h.callback("https://example.com/events")
	require.Empty(t, h.take())
	other := h.Reopen()
	require.NoError(t, other.ExclusiveTx(h.T.Context(), "keep everybody else from writing", func(tx *desk.Tx) error {
		if err := tx.AddQueue(h.T.Context(), desk.NewQueue{Name: "billing"}, 0); err != nil {
			return err
		}
		require.Empty(t, h.take(), "nothing to do is found out by reading")
		return nil
	}))
	require.Len(t, h.take(), 1)
}

func testTwoSenders(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
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
			if all.err = d.QueueWebhooks(h.T.Context()); all.err != nil {
				break
			}
			taken, err := d.TakeWebhooks(h.T.Context(), 3, testLease)
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
	require.Equal(t, 2*conversations, h.pending())
}

// A webhook that waits behind another of its stream is not read, however long the queue is.
func testOnlyHeadsAreDue(t *testing.T, h *environment) {
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	for range 3 {
		th := h.Start("support").Follow()
		th.Do(conversation.CloseCommand{})
		th.Follow()
	}
	h.queueWebhooks()
	due := func() (count int) {
		require.NoError(t, h.ReadTx(h.T.Context(), "count what is looked at", func(tx *desk.Tx) (err error) {
			count, _, err = sqldb.First(h.T.Context(), tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 0 AND deliver_at <= $1`, sqldb.Micros(h.Clock.Now()))
			return err
		}))
		return count
	}
	require.Equal(t, 9, h.pending())
	require.Equal(t, 3, due())
	taken := h.take()
	require.Zero(t, due())
	h.delivered(taken[0])
	require.Equal(t, 1, due())
	h.die(taken[1].Stream)
	h.Clock.Advance(testLease)
	require.Equal(t, 3, due())
}

// TestWebhooksWalkIndexes checks the query plans of SQLite for every statement between an event and its delivery:
// none scans the queue.
func TestWebhooksWalkIndexes(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t, desktest.SQLite(t))
	require.NoError(t, h.AddQueue(h.T.Context(), "support"))
	h.callback("https://example.com/events")
	th := h.Start("support").Follow()
	h.Desk = h.Reopen() // it has prepared no statement yet
	h.delivered(h.take()[0])
	h.die(th.SID)
	h.callback("")
	h.queueWebhooks()

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
