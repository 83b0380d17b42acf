package routing_test

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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

func benchmarkHouse(b *testing.B) *desktest.Environment {
	b.Helper()
	return desktest.New(b, "sqlite:"+filepath.Join(b.TempDir(), "desk.db"))
}

// fillQueue adds the given number of waiting tasks to the queue.
func fillQueue(h *desktest.Environment, queue string, waiting int) {
	h.T.Helper()
	for batch := range slices.Chunk(make([]struct{}, waiting), 1000) {
		require.NoError(h.T, h.ExclusiveTx(h.T.Context(), "fill the queue", func(tx *desk.Tx) error {
			for range batch {
				h.Clock.Advance(time.Millisecond)
				if err := routing.SyncIn(h.T.Context(), tx, startUnasked(h, queue), h.Clock.Now()); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// startUnasked returns the first snapshot of a conversation that starts with the default settings.
func startUnasked(h *desktest.Environment, queue string) conversation.Snapshot {
	h.T.Helper()
	var state conversation.State
	result, err := state.Apply(conversation.StartCommand{Conversation: desktest.NewSID(), Channel: conversation.ChannelWeb, Queue: queue},
		&conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true}, h.Clock.Now())
	require.NoError(h.T, err)
	return state.Snapshot(result.Events, result.Notes)
}

// BenchmarkPlaceAmong measures matching one task and releasing it again, while others wait.
func BenchmarkPlaceAmong(b *testing.B) {
	for _, waiting := range []int{100, 10_000, 100_000} {
		b.Run(strconv.Itoa(waiting), func(b *testing.B) {
			h := benchmarkHouse(b)
			require.NoError(b, people.AddQueue(h.T.Context(), h.Desk, "support"))
			fillQueue(h, "support", waiting)
			h.Staff("support", "alice")
			require.NoError(b, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
			b.ResetTimer()
			for range b.N {
				h.DispatchNow()
				b.StopTimer()
				require.NoError(b, h.ExclusiveTx(h.T.Context(), "release", func(tx *desk.Tx) error {
					matches, err := routing.ReleaseMatches(h.T.Context(), tx)
					require.Equal(b, 1, matches)
					return err
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
			h.TransfersOn()
			h.Staff("support", desktest.Names("s", members)...)
			h.Staff("billing", desktest.Names("b", members)...)
			pictures := 0
			var spent time.Duration
			tell := func(th *desktest.Conversation) {
				for {
					snapshot, before := th.Snapshot(), th.State.Revision
					began := time.Now()
					answer, err := routing.Sync(h.T.Context(), h.Desk, snapshot)
					spent += time.Since(began)
					pictures++
					require.NoError(b, err)
					th.Pending, th.Notes = nil, nil
					for _, reserve := range answer.Matches {
						th.Do(reserve)
					}
					if th.State.Revision == before {
						return
					}
				}
			}
			b.ResetTimer()
			for range b.N {
				th := h.Start("support")
				tell(th)
				first := th.Task().Agent
				for _, c := range []func() conversation.Command{
					func() conversation.Command { return conversation.AcceptCommand{Agent: first} },
					func() conversation.Command {
						return conversation.TransferCommand{From: first, To: desktest.ToQueue("billing"), Note: strings.Repeat("n", 200)}
					},
					func() conversation.Command { return conversation.AcceptCommand{Agent: th.Task().Agent} },
					func() conversation.Command { return conversation.WrapupCommand{Agent: first} },
					func() conversation.Command { return conversation.EndCommand{Agent: th.Task().Agent} },
					func() conversation.Command { return conversation.WrapupCommand{Agent: th.Task().Agent} },
				} {
					th.Do(c())
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
			h.Staff("support", desktest.Names("s", members)...)
			for _, name := range desktest.Names("s", members) {
				require.NoError(b, people.SetCapacity(h.T.Context(), h.Desk, name, conversation.ChannelWeb, 0))
			}
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				th := h.Start("support")
				b.StartTimer()
				th.Sync()
			}
		})
	}
}

// BenchmarkDispatchIdle measures a tick without work, while many tasks wait and no agent is free.
func BenchmarkDispatchIdle(b *testing.B) {
	h := benchmarkHouse(b)
	for i := range 50 {
		h.Staff(fmt.Sprintf("queue-%d", i), fmt.Sprintf("agent-%d", i), fmt.Sprintf("agent-%d", (i+1)%50))
	}
	for i := range 50 {
		require.NoError(b, people.SetCapacity(h.T.Context(), h.Desk, fmt.Sprintf("agent-%d", i), conversation.ChannelWeb, 0))
		fillQueue(h, fmt.Sprintf("queue-%d", i), 100)
	}
	b.ResetTimer()
	for range b.N {
		h.DispatchNow()
	}
}
