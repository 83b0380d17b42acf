package desk

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

const testLease = 30 * time.Second

// callback sets the workspace's URL, which receives the events from now on, or only the named ones.
func (h *house) callback(url string, only ...conversation.EventName) {
	h.t.Helper()
	h.queueWebhooks()
	filter := []string{}
	for _, name := range only {
		filter = append(filter, string(name))
	}
	_, err := h.SetWorkspace(h.t.Context(), func(w *Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
	require.NoError(h.t, err)
}

func (h *house) queueWebhooks() {
	h.t.Helper()
	require.NoError(h.t, h.QueueWebhooks(h.t.Context()))
}

// take queues new events and takes the webhooks that are due.
func (h *house) take() []Webhook {
	h.t.Helper()
	h.queueWebhooks()
	taken, err := h.TakeWebhooks(h.t.Context(), 100, testLease)
	require.NoError(h.t, err)
	return taken
}

func (h *house) delivered(w Webhook) {
	h.t.Helper()
	require.NoError(h.t, h.WebhookDelivered(h.t.Context(), w.Position))
}

func (h *house) failed(w Webhook) (dead bool) {
	h.t.Helper()
	dead, err := h.WebhookFailed(h.t.Context(), w.Position, "the receiver answered 503 Service Unavailable")
	require.NoError(h.t, err)
	return dead
}

func (h *house) pending() int {
	h.t.Helper()
	count, _, err := h.PendingWebhooks(h.t.Context())
	require.NoError(h.t, err)
	return count
}

func (h *house) dead() []Webhook {
	h.t.Helper()
	found, err := h.DeadWebhooks(h.t.Context(), Page{})
	require.NoError(h.t, err)
	return found.Entries
}

// told returns the stream and event of each webhook.
func told(webhooks []Webhook) []string {
	lines := []string{}
	for _, w := range webhooks {
		lines = append(lines, w.Stream+" "+string(w.Event.Name))
	}
	return lines
}

func testWebhooksInOrder(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	one, other := h.start("support").follow(), h.start("support").follow()
	require.NoError(t, h.AddQueue(h.t.Context(), "billing"))
	require.NoError(t, h.AddAgent(h.t.Context(), NewAgent{Name: "alice"}))
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))

	for _, expected := range [][]string{
		{"agent/alice worker.created", "queue/billing task-queue.created", one.sid + " task.created", other.sid + " task.created"},
		{"agent/alice worker.activity.update", one.sid + " task-queue.entered", other.sid + " task-queue.entered"},
		{},
	} {
		taken := h.take()
		require.ElementsMatch(t, expected, told(taken))
		require.Empty(t, h.take(), "what is under way is taken by nobody else, and the next of its stream waits for it")
		for _, w := range taken {
			require.Equal(t, 1, w.Attempts)
			require.Equal(t, h.clock.now(), w.FirstAt)
			require.Equal(t, w.Position, w.Event.Position)
			h.delivered(w)
			h.delivered(w) // the report came twice
		}
	}
	require.Zero(t, h.pending())

	one.do(conversation.CloseCommand{})
	one.follow()
	h.queueWebhooks()
	h.clock.advance(time.Hour)
	count, oldest, err := h.PendingWebhooks(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, count)
	require.Equal(t, h.clock.now().Add(-time.Hour), oldest)
	require.ElementsMatch(t, []string{one.sid + " task.canceled"}, told(h.take()), "a stream that was empty is due at once")
}

func testFailingStream(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	failing, healthy := h.start("support").follow(), h.start("support").follow()
	for _, w := range h.take() {
		if w.Stream == failing.sid {
			require.False(t, h.failed(w))
		} else {
			h.delivered(w)
		}
	}
	taken := h.take()
	require.ElementsMatch(t, []string{healthy.sid + " task-queue.entered"}, told(taken))
	h.delivered(taken[0])

	h.clock.advance(firstWebhookRetry)
	taken = h.take()
	require.ElementsMatch(t, []string{failing.sid + " task.created"}, told(taken))
	require.Equal(t, 2, taken[0].Attempts)
	require.Equal(t, "the receiver answered 503 Service Unavailable", taken[0].Failure)
	h.delivered(taken[0])
	require.ElementsMatch(t, []string{failing.sid + " task-queue.entered"}, told(h.take()))
}

func testWebhookLease(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	h.start("support").follow()
	taken := h.take() // then the process dies
	require.Len(t, taken, 1)
	h.clock.advance(testLease - time.Second)
	require.Empty(t, h.take())
	h.clock.advance(time.Second)
	again := h.take()
	require.Len(t, again, 1)
	require.Equal(t, taken[0].Position, again[0].Position)
	require.Equal(t, 2, again[0].Attempts)
	require.Equal(t, taken[0].FirstAt, again[0].FirstAt)
	require.Equal(t, h.clock.now().Add(testLease), again[0].DeliverAt)
}

func testWebhookBackoff(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	th := h.start("support").follow()
	began := h.clock.now()
	expected := time.Second
	for {
		taken := h.take()
		require.ElementsMatch(t, []string{th.sid + " task.created"}, told(taken))
		if h.failed(taken[0]) {
			break
		}
		require.Less(t, h.clock.now().Sub(began), givenUpAfter)
		h.clock.advance(expected - time.Microsecond)
		require.Empty(t, h.take())
		h.clock.advance(time.Microsecond)
		expected = min(2*expected, 15*time.Minute)
	}
	require.Equal(t, 15*time.Minute, expected)
	require.InDelta(t, givenUpAfter, h.clock.now().Sub(began), float64(15*time.Minute))

	dead := h.dead()
	require.ElementsMatch(t, []string{th.sid + " task.created"}, told(dead))
	require.True(t, dead[0].Dead)
	require.Zero(t, dead[0].DeliverAt)
	require.Equal(t, "the receiver answered 503 Service Unavailable", dead[0].Failure)
	require.Equal(t, 1, h.pending(), "it isn't waited for any more")
	require.ElementsMatch(t, []string{th.sid + " task-queue.entered"}, told(h.take()), "and its stream goes on")
	require.False(t, h.failed(dead[0]), "what is dead fails no more")
}

// die makes the stream's first webhook fail for a day.
func (h *house) die(stream string) {
	h.t.Helper()
	for {
		for _, w := range h.take() {
			if w.Stream == stream && h.failed(w) {
				return
			}
		}
		h.clock.advance(time.Hour)
	}
}

func testRedelivery(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	th, other := h.start("support").follow(), h.start("support").follow()
	th.do(conversation.CloseCommand{})
	th.follow()
	h.die(th.sid)
	h.die(th.sid)
	dead := h.dead()
	require.ElementsMatch(t, []string{th.sid + " task-queue.entered", th.sid + " task.created"}, told(dead))
	require.Greater(t, dead[0].Position, dead[1].Position, "newest first")

	h.clock.advance(time.Hour)
	underWay := h.take()
	require.ElementsMatch(t, []string{th.sid + " task.canceled", other.sid + " task.created"}, told(underWay))
	revived, err := h.RedeliverWebhooks(h.t.Context(), dead[0].Position, dead[0].Position, underWay[0].Position, 12345)
	require.NoError(t, err)
	require.Equal(t, 1, revived, "only what is dead can be revived, and once")
	revived, err = h.RedeliverWebhooks(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.Empty(t, h.dead())
	require.False(t, h.failed(dead[1]), "what a try from before came to says nothing any more")

	taken := h.take()
	require.ElementsMatch(t, []string{th.sid + " task.created"}, told(taken), "at once, before the later ones of its stream")
	require.Equal(t, 1, taken[0].Attempts)
	require.Equal(t, h.clock.now(), taken[0].FirstAt)
	require.Empty(t, taken[0].Failure)
	require.False(t, h.failed(taken[0]), "its day has begun anew")
	h.clock.advance(firstWebhookRetry)
	h.delivered(h.take()[0])
	taken = h.take()
	require.ElementsMatch(t, []string{th.sid + " task-queue.entered"}, told(taken))
	h.delivered(taken[0])
	require.Empty(t, h.take(), "what was under way all the time is not sent beside itself")
	for _, w := range underWay {
		h.delivered(w)
	}
	require.ElementsMatch(t, []string{other.sid + " task-queue.entered"}, told(h.take()))
}

func testWebhookFilter(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events", conversation.EventTaskCanceled, EventAgentCreated)
	th := h.start("support").follow()
	th.do(conversation.CloseCommand{})
	th.follow()
	require.NoError(t, h.AddAgent(h.t.Context(), NewAgent{Name: "alice"}))
	require.ElementsMatch(t, []string{th.sid + " task.canceled", "agent/alice worker.created"}, told(h.take()))
	require.Equal(t, 2, h.pending())
}

func testNoCallback(t *testing.T, h *house) {
	h.staff("support", "alice")
	h.start("support").follow()
	require.Empty(t, h.take(), "there is no account yet")
	h.callback("https://example.com/events")
	require.Empty(t, h.take(), "a URL set later isn't sent what was before")

	th := h.start("support").follow()
	h.die(th.sid)
	require.NotZero(t, h.pending())
	h.callback("")
	h.start("support").follow()
	require.Empty(t, h.take())
	require.Zero(t, h.pending(), "what is queued is dropped")
	require.Len(t, h.dead(), 1, "what was given up stays on record")
	_, err := h.RedeliverWebhooks(h.t.Context())
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorContains(t, err, "set one")

	h.callback("https://example.com/elsewhere")
	require.Empty(t, h.take())
	revived, err := h.RedeliverWebhooks(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, revived)
	require.ElementsMatch(t, []string{th.sid + " task.created"}, told(h.take()))
}

func testIdleWebhooks(t *testing.T, h *house) {
	h.staff("support", "alice")
	h.callback("https://example.com/events")
	require.Empty(t, h.take())
	other := h.open()
	require.NoError(t, other.exclusiveTx(h.t.Context(), "keep everybody else from writing", func(tx *transaction) error {
		if err := tx.addQueue(h.t.Context(), NewQueue{Name: "billing"}, 0); err != nil {
			return err
		}
		require.Empty(t, h.take(), "nothing to do is found out by reading")
		return nil
	}))
	require.Len(t, h.take(), 1)
}

func testTwoSenders(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	const conversations = 60
	for range conversations {
		h.start("support").sync()
	}
	type turn struct {
		taken []Webhook
		err   error
	}
	turns := make(chan turn)
	send := func(d *Desk) {
		var all turn
		for len(all.taken) < conversations {
			if all.err = d.QueueWebhooks(h.t.Context()); all.err != nil {
				break
			}
			taken, err := d.TakeWebhooks(h.t.Context(), 3, testLease)
			all.taken, all.err = append(all.taken, taken...), err
			if err != nil || len(taken) == 0 {
				break
			}
		}
		turns <- all
	}
	for range 3 {
		go send(h.open())
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
func testOnlyHeadsAreDue(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	for range 3 {
		th := h.start("support").follow()
		th.do(conversation.CloseCommand{})
		th.follow()
	}
	h.queueWebhooks()
	due := func() (count int) {
		require.NoError(t, h.readTx(h.t.Context(), "count what is looked at", func(tx *transaction) (err error) {
			count, _, err = sqldb.First(h.t.Context(), tx, sqldb.Value[int], `SELECT count(*) FROM webhooks WHERE dead = 0 AND deliver_at <= $1`, sqldb.Micros(h.clock.now()))
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
	h.clock.advance(testLease)
	require.Equal(t, 3, due())
}

// TestWebhooksWalkIndexes checks the query plans of SQLite for every statement between an event and its delivery:
// none scans the queue.
func TestWebhooksWalkIndexes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, filepath.Join(t.TempDir(), "desk.db"))
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	h.callback("https://example.com/events")
	th := h.start("support").follow()
	h.Desk = h.open() // it has prepared no statement yet
	h.delivered(h.take()[0])
	h.die(th.sid)
	h.callback("")
	h.queueWebhooks()

	looked := 0
	for _, queries := range h.prepared() {
		for _, query := range queries {
			if strings.Contains(query, "account") {
				continue // it has one row
			}
			looked++
			for _, step := range h.explainOnSQLite(query) {
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
