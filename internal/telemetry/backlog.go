package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
)

const (
	// readEvery is the minimum time between two readings of the desk, however often metrics are collected.
	readEvery = 5 * time.Second
	// readWithin bounds a reading: the client that collects metrics waits for it.
	readWithin = 3 * time.Second
)

// Metrics that are read from the desk. All watched processes report the same values: use the maximum, not the sum.
var (
	deskUp = prometheus.NewDesc("baton_desk_up",
		"1 while the desk answers; while it is 0, there are no other metrics of the desk.", nil, nil)
	tasksWaiting = prometheus.NewDesc("baton_tasks_waiting",
		"Tasks that wait in a queue and are not offered to an agent.", []string{"queue", "channel"}, nil)
	tasksOldest = prometheus.NewDesc("baton_tasks_waiting_oldest_seconds",
		"For how long the task has waited that entered the queue first.", []string{"queue", "channel"}, nil)
	directWaiting = prometheus.NewDesc("baton_tasks_waiting_for_agent",
		"Tasks that wait for the one agent whom they were passed to.", nil, nil)
	directOldest = prometheus.NewDesc("baton_tasks_waiting_for_agent_oldest_seconds",
		"For how long the task has waited for its agent that has waited longest.", nil, nil)
	matchesUndelivered = prometheus.NewDesc("baton_matches_undelivered",
		"Matches, and declines for agents who have gone, that their conversations have not confirmed.", nil, nil)
	matchesOldest = prometheus.NewDesc("baton_matches_undelivered_oldest_seconds",
		"How long ago the oldest of them was made.", nil, nil)
	webhooksPending = prometheus.NewDesc("baton_webhooks_pending",
		"Events that are still to be delivered to the event callback URL.", nil, nil)
	webhooksOldest = prometheus.NewDesc("baton_webhooks_pending_oldest_seconds",
		"How long ago the oldest of them happened.", nil, nil)
	webhooksUnqueued = prometheus.NewDesc("baton_webhooks_unqueued",
		"Positions of the feed that no gateway has looked at yet for webhooks.", nil, nil)
	webhooksDead = prometheus.NewDesc("baton_webhooks_dead",
		"Webhooks that were given up after a day and not delivered again yet.", nil, nil)
	conversationsOpen = prometheus.NewDesc("baton_conversations_open",
		"Conversations that aren't closed, by status.", []string{"status"}, nil)
)

// backlog collects the metrics of the desk's backlog.
type backlog struct {
	desk *desk.Desk
	log  *slog.Logger

	mutex  sync.Mutex
	last   routing.Backlog
	lastAt time.Time
	up     bool
}

func newBacklog(d *desk.Desk, log *slog.Logger) *backlog {
	return &backlog{desk: d, log: log, up: true}
}

// Describe implements [prometheus.Collector].
func (b *backlog) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		deskUp, tasksWaiting, tasksOldest, directWaiting, directOldest, matchesUndelivered, matchesOldest,
		webhooksPending, webhooksOldest, webhooksUnqueued, webhooksDead, conversationsOpen,
	} {
		descriptions <- d
	}
}

// Collect implements [prometheus.Collector].
func (b *backlog) Collect(values chan<- prometheus.Metric) {
	now, up := b.read()
	tell := func(d *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if !up {
		tell(deskUp, 0)
		return
	}
	tell(deskUp, 1)
	for _, l := range now.Lines {
		tell(tasksWaiting, float64(l.Waiting), l.Queue, string(l.Channel))
		tell(tasksOldest, since(now.At, l.Oldest), l.Queue, string(l.Channel))
	}
	tell(directWaiting, float64(now.Direct.Count))
	tell(directOldest, since(now.At, now.Direct.Oldest))
	tell(matchesUndelivered, float64(now.Matches.Count))
	tell(matchesOldest, since(now.At, now.Matches.Oldest))
	tell(webhooksPending, float64(now.Webhooks.Count))
	tell(webhooksOldest, since(now.At, now.Webhooks.Oldest))
	tell(webhooksUnqueued, float64(now.Unqueued))
	tell(webhooksDead, float64(now.Dead))
	for _, status := range []conversation.ConversationStatus{conversation.ConversationActive, conversation.ConversationWrapping} {
		tell(conversationsOpen, float64(now.Conversations[status]), string(status))
	}
}

// read returns the desk's backlog, at most readEvery old, and whether the desk answers. While the desk does not
// answer, older values are not reported.
func (b *backlog) read() (routing.Backlog, bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if time.Since(b.lastAt) < readEvery {
		return b.last, b.up
	}
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	now, err := routing.ReadBacklog(ctx, b.desk)
	if err != nil && b.up {
		b.log.WarnContext(ctx, "backlog not read, its metrics are missing", "error", err)
	}
	b.last, b.lastAt, b.up = now, time.Now(), err == nil
	return b.last, b.up
}

func since(now, then time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(0, now.Sub(then).Seconds())
}
