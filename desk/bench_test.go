package desk

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

func benchmarkHouse(b *testing.B) *house {
	b.Helper()
	return newHouse(b, "sqlite:"+filepath.Join(b.TempDir(), "desk.db"))
}

// fill adds the given number of waiting tasks to the queue.
func (h *house) fill(queue string, waiting int) {
	h.t.Helper()
	for batch := range slices.Chunk(make([]struct{}, waiting), 1000) {
		require.NoError(h.t, h.exclusiveTx(h.t.Context(), "fill the queue", func(t *transaction) error {
			for range batch {
				h.clock.advance(time.Millisecond)
				s := &syncing{transaction: t, snapshot: h.startUnasked(queue), now: h.clock.now()}
				if _, err := s.run(h.t.Context()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// startUnasked returns the first snapshot of a conversation that starts with the default settings.
func (h *house) startUnasked(queue string) conversation.Snapshot {
	h.t.Helper()
	var state conversation.State
	result, err := state.Apply(conversation.StartCommand{Conversation: newSID(), Channel: conversation.ChannelWeb, Queue: queue},
		&conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true}, h.clock.now())
	require.NoError(h.t, err)
	return state.Snapshot(result.Events, result.Notes)
}

// BenchmarkPlaceAmong measures matching one task and releasing it again, while others wait.
func BenchmarkPlaceAmong(b *testing.B) {
	for _, waiting := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			h := benchmarkHouse(b)
			require.NoError(b, h.AddQueue(h.t.Context(), "support"))
			h.fill("support", waiting)
			h.staff("support", "alice")
			require.NoError(b, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 1))
			b.ResetTimer()
			for range b.N {
				h.dispatch()
				b.StopTimer()
				require.NoError(b, h.exclusiveTx(h.t.Context(), "release", func(t *transaction) error {
					matches, err := sqldb.All(h.t.Context(), t, scanMatch, selectMatches)
					if err != nil {
						return err
					}
					require.Len(b, matches, 1)
					return t.release(h.t.Context(), matches[0])
				}))
				b.StartTimer()
			}
		})
	}
}

// BenchmarkSync measures the life of a conversation with one transfer, per snapshot.
func BenchmarkSync(b *testing.B) {
	for _, members := range []int{2, 100} {
		b.Run(fmt.Sprintf("%d members", members), func(b *testing.B) {
			h := benchmarkHouse(b)
			h.transfersOn()
			h.staff("support", names("s", members)...)
			h.staff("billing", names("b", members)...)
			pictures := 0
			var spent time.Duration
			tell := func(th *thread) {
				for {
					snapshot, before := th.picture(), th.state.Revision
					began := time.Now()
					answer, err := h.Sync(h.t.Context(), snapshot)
					spent += time.Since(began)
					pictures++
					require.NoError(b, err)
					th.events, th.notes = nil, nil
					for _, reserve := range answer.Matches {
						th.do(reserve)
					}
					if th.state.Revision == before {
						return
					}
				}
			}
			b.ResetTimer()
			for range b.N {
				th := h.start("support")
				tell(th)
				first := th.task().Agent
				for _, c := range []func() conversation.Command{
					func() conversation.Command { return conversation.AcceptCommand{Agent: first} },
					func() conversation.Command {
						return conversation.TransferCommand{From: first, To: toQueue("billing"), Note: strings.Repeat("n", 200)}
					},
					func() conversation.Command { return conversation.AcceptCommand{Agent: th.task().Agent} },
					func() conversation.Command { return conversation.WrapupCommand{Agent: first} },
					func() conversation.Command { return conversation.EndCommand{Agent: th.task().Agent} },
					func() conversation.Command { return conversation.WrapupCommand{Agent: th.task().Agent} },
				} {
					th.do(c())
					tell(th)
				}
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(pictures), "µs/picture")
			b.ReportMetric(float64(pictures)/float64(b.N), "pictures/conversation")
		})
	}
}

// BenchmarkSyncOverloaded measures a new conversation in a queue whose members are all busy.
func BenchmarkSyncOverloaded(b *testing.B) {
	for _, members := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("%d members", members), func(b *testing.B) {
			h := benchmarkHouse(b)
			h.staff("support", names("s", members)...)
			for _, name := range names("s", members) {
				require.NoError(b, h.SetCapacity(h.t.Context(), name, conversation.ChannelWeb, 0))
			}
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				th := h.start("support")
				b.StartTimer()
				th.sync()
			}
		})
	}
}

// BenchmarkDispatchIdle measures a tick without work, while many tasks wait and no agent is free.
func BenchmarkDispatchIdle(b *testing.B) {
	h := benchmarkHouse(b)
	for i := range 50 {
		h.staff(fmt.Sprintf("queue-%d", i), fmt.Sprintf("agent-%d", i), fmt.Sprintf("agent-%d", (i+1)%50))
	}
	for i := range 50 {
		require.NoError(b, h.SetCapacity(h.t.Context(), fmt.Sprintf("agent-%d", i), conversation.ChannelWeb, 0))
		h.fill(fmt.Sprintf("queue-%d", i), 100)
	}
	b.ResetTimer()
	for range b.N {
		h.dispatch()
	}
}

func names(prefix string, count int) []string {
	var made []string
	for i := range count {
		made = append(made, fmt.Sprintf("%s-%04d", prefix, i))
	}
	return made
}

// BenchmarkInsights measures the figures of ten thousand conversations with some fifteen thousand transfers.
func BenchmarkInsights(b *testing.B) {
	h := benchmarkHouse(b)
	walk := newInsightWalk(h)
	walk.steps = 60
	for range 10_000 {
		walk.run()
	}
	f := InsightFilter{From: walk.began, To: walk.began.Add(200 * time.Hour)}
	b.Run("all", func(b *testing.B) {
		for range b.N {
			insights, err := h.Insights(h.t.Context(), f)
			require.NoError(b, err)
			b.ReportMetric(float64(insights.Total.Sent.Initiated), "transfers")
		}
	})
	b.Run("of a queue", func(b *testing.B) {
		f := f
		f.Queue = walk.queues[0]
		for range b.N {
			_, err := h.Insights(h.t.Context(), f)
			require.NoError(b, err)
		}
	})
	b.Run("conversations", func(b *testing.B) {
		for range b.N {
			_, err := h.InsightConversations(h.t.Context(), f, "transferred", Page{})
			require.NoError(b, err)
		}
	})
}
