package routing_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/routing"
)

// TestSnapshotsTogetherAreAsOneByOne applies the same snapshots one by one at one desk, and in random batches at
// another. In the end both have equal rows.
func TestSnapshotsTogetherAreAsOneByOne(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		compareBatches(t, func() string { return desktest.SQLite(t) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		server := desktest.StartPostgres(t, postgres.Options{Careless: true})
		compareBatches(t, func() string { return server.Database(t) })
	})
}

func compareBatches(t *testing.T, database func() string) {
	t.Helper()
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 13))
		lives := make([][]conversation.Snapshot, 24)
		for i := range lives {
			lives[i] = live(t, random)
		}
		single, together := crew(t, database()), crew(t, database())
		for _, snapshots := range lives {
			for _, p := range snapshots {
				_, err := routing.Sync(t.Context(), single.Desk, p)
				require.NoError(t, err)
			}
		}
		syncInBatches(t, random, together, lives)
		require.Equal(t, rowsOf(single), rowsOf(together), "seed %d", seed)
		require.Equal(t, eventsOf(t, single, lives), eventsOf(t, together, lives), "seed %d", seed)
	}
}

// crew returns a desk with agents who are on no queue: only the snapshots decide who has what.
func crew(t *testing.T, database string) *desktest.Environment {
	t.Helper()
	h := desktest.New(t, database)
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "billing"))
	for _, name := range crewNames() {
		require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: name, Presence: desk.PresenceAvailable}))
		require.NoError(t, people.SetCapacity(t.Context(), h.Desk, name, conversation.ChannelWeb, 90))
	}
	return h
}

func crewNames() []string { return []string{"ann", "ben", "cat", "dan"} }

// live plays a conversation by the rules and returns the snapshots that it sends, some of them repeated or late.
func live(t *testing.T, random *rand.Rand) []conversation.Snapshot {
	t.Helper()
	state := conversation.State{}
	var events []conversation.Event
	var notes []conversation.Note
	now := time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	facts := conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true, QueueMembers: 1, AgentKnown: true, AgentAvailable: true}
	facts.Settings.MessagingTransfers, facts.Settings.TransferNotes = true, true
	apply := func(c conversation.Command) {
		now = now.Add(time.Duration(random.IntN(1000)) * time.Millisecond)
		if result, err := state.Apply(c, &facts, now); err == nil { // many are refused
			events, notes = append(events, result.Events...), append(notes, result.Notes...)
		}
	}
	apply(conversation.StartCommand{
		Conversation: desktest.NewSID(), Channel: conversation.ChannelWeb, Queue: "support",
		Customer: conversation.Customer{Name: "Crystal Minh"}, Attributes: conversation.Attributes{"order": json.RawMessage(strconv.Itoa(random.IntN(1000)))},
	})
	var sent []conversation.Snapshot
	for range 20 + random.IntN(30) {
		task := desktest.One(random, state.Tasks)
		other := desktest.One(random, crewNames())
		apply(desktest.One(random, []conversation.Command{
			conversation.ReserveCommand{
				Task: task.SID, Agent: other, PendingSeq: task.PendingSeq, Reservation: conversation.SIDOf(conversation.PrefixReservation, uuid.New()),
			},
			conversation.AcceptCommand{Agent: task.Agent},
			conversation.AcceptCommand{Agent: task.Agent},
			conversation.DeclineCommand{Agent: task.Agent},
			conversation.TransferCommand{From: task.Agent, To: desktest.ToQueue("billing"), Note: "a note"},
			conversation.TransferCommand{From: task.Agent, To: desktest.ToAgent(other)},
			conversation.MoveCommand{To: desktest.ToQueue("support")},
			conversation.CancelCommand{Agent: task.Agent},
			conversation.WrapupCommand{Agent: task.Agent, Disposition: "solved"},
			conversation.WrapupCommand{Agent: task.Agent},
		}))
		switch random.IntN(4) {
		case 0: // waits for the next
		case 1:
			if len(sent) > 0 {
				sent = append(sent, desktest.One(random, sent)) // late, or again
			}
		default:
			sent = append(sent, state.Snapshot(events, notes))
			if random.IntN(3) > 0 {
				events, notes = nil, nil // acknowledged
			}
		}
	}
	return append(sent, state.Snapshot(events, notes))
}

// syncInBatches applies the snapshots of each conversation in order, those of different conversations together.
func syncInBatches(t *testing.T, random *rand.Rand, h *desktest.Environment, lives [][]conversation.Snapshot) {
	t.Helper()
	next := make([]int, len(lives))
	for {
		var batch []conversation.Snapshot
		left := false
		for _, i := range random.Perm(len(lives)) {
			if next[i] == len(lives[i]) {
				continue
			}
			left = true
			p := lives[i][next[i]]
			alone := routing.AppliedAlone(p)
			if alone && len(batch) > 0 || random.IntN(4) == 0 {
				continue
			}
			batch = append(batch, p)
			next[i]++
			if alone {
				break
			}
		}
		if !left {
			return
		}
		if len(batch) > 0 {
			answers, err := routing.SyncTogether(t.Context(), h.Desk, batch)
			require.NoError(t, err)
			require.Len(t, answers, len(batch))
		}
	}
}

// rowsOf returns the rows that do not depend on the order of snapshots of different conversations.
func rowsOf(h *desktest.Environment) map[string][]string {
	contents := h.Contents()
	rows := map[string][]string{}
	for _, table := range []string{"conversations", "tasks", "transfers", "reservations", "notes", "placements", "declines", "agent_channels"} {
		rows[table] = contents[table]
	}
	return rows
}

// eventsOf returns the events of each conversation at the desk.
func eventsOf(t *testing.T, h *desktest.Environment, lives [][]conversation.Snapshot) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, snapshots := range lives {
		sid := snapshots[0].Conversation
		require.NoError(t, h.ReadTx(t.Context(), "read events", func(tx *desk.Tx) error {
			events, err := desk.ReadEventsAfter(t.Context(), tx, 0, 1_000_000)
			for _, e := range events {
				if e.Conversation == sid {
					all[sid] = append(all[sid], fmt.Sprintf("%+v", e.Event))
				}
			}
			return err
		}))
	}
	return all
}

// testBadSnapshotAlone: a snapshot that the database refuses does not keep those that arrive with it from being
// applied.
func testBadSnapshotAlone(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	conversations := routing.NewConversationDesk(h.Desk)
	good := []*desktest.Conversation{h.Start("support"), h.Start("support"), h.Start("support")}
	bad := h.Start("support").Snapshot()
	bad.Events = append(bad.Events, bad.Events[0]) // the same number twice
	var calls sync.WaitGroup
	failures := make([]error, len(good)+1)
	release := holdWrites(t, h)
	for i, p := range []conversation.Snapshot{good[0].Snapshot(), bad, good[1].Snapshot(), good[2].Snapshot()} {
		calls.Go(func() { _, failures[i] = conversations.Sync(t.Context(), p) })
	}
	release()
	calls.Wait()
	require.Error(t, failures[1])
	for i, th := range good {
		require.NoError(t, failures[[]int{0, 2, 3}[i]])
		th.Pending, th.Notes = nil, nil
		desktest.RequireShownWhole(t, h, th)
	}
}

// testHeldConversation: a conversation that another transaction holds does not hold up the others.
func testHeldConversation(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	held, free := h.Start("support"), h.Start("support")
	held.Sync()
	free.Sync()
	held.Do(conversation.CloseCommand{})
	free.Do(conversation.CloseCommand{})
	other := h.Reopen()
	locked, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- other.SharedTx(context.WithoutCancel(t.Context()), "hold a conversation", func(tx *desk.Tx) error {
			err := desk.LockConversation(t.Context(), tx, held.SID)
			close(locked)
			<-release
			return err
		})
	}()
	<-locked
	answers, err := routing.SyncTogether(t.Context(), h.Desk, []conversation.Snapshot{held.Snapshot(), free.Snapshot()})
	close(release)
	require.NoError(t, err)
	require.NoError(t, <-ended)
	require.Contains(t, answers, free.SID)
	require.NotContains(t, answers, held.SID)
	_, err = routing.Sync(t.Context(), h.Desk, held.Snapshot())
	require.NoError(t, err)
	held.Pending = nil
	desktest.RequireShownWhole(t, h, held)
}

// holdWrites makes transactions wait until release is called, so that calls that follow arrive together.
func holdWrites(t *testing.T, h *desktest.Environment) (release func()) {
	t.Helper()
	locked, end := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- h.ExclusiveTx(context.WithoutCancel(t.Context()), "hold", func(*desk.Tx) error {
			close(locked)
			<-end
			return nil
		})
	}()
	<-locked
	return func() {
		close(end)
		require.NoError(t, <-ended)
	}
}
