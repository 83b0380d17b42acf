package routing_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/postgres"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// busyHouse is a desk that many processes and people use at the same time.
type busyHouse struct {
	*desktest.Environment

	desks []*desk.Desk
	// conversations are the desks as conversations use them: they apply snapshots together.
	conversations map[*desk.Desk]*routing.ConversationDesk
	// agents and roamers are on the queues. Roamers change their presence: one who is available again may be
	// offered a task that was about to be offered before, beyond their capacity. Claimers are on no queue, and
	// claim any task.
	agents, roamers, claimers []string
	threads                   []*desktest.Conversation
	// locks let one goroutine at a time drive a conversation, as its workflow does.
	locks []sync.Mutex
	stop  chan struct{}
	works sync.WaitGroup
	steps atomic.Int64

	mutex    sync.Mutex
	failures []error
}

// newBusyHouse opens several desks on one database, like several processes, and adds agents who are on two queues.
func newBusyHouse(h *desktest.Environment, desks, agents, conversations int) *busyHouse {
	h.T.Helper()
	b := &busyHouse{
		Environment: h, agents: desktest.Names("agent", agents), roamers: desktest.Names("roamer", 2), claimers: desktest.Names("claimer", 2), stop: make(chan struct{}), locks: make([]sync.Mutex, conversations),
		conversations: map[*desk.Desk]*routing.ConversationDesk{},
	}
	h.TransfersOn()
	h.Staff("support", b.agents...)
	h.Staff("billing", b.agents[agents/2:]...)
	h.Staff("billing", b.roamers...)
	for _, name := range slices.Concat(b.agents, b.roamers) {
		require.NoError(h.T, people.SetCapacity(h.T.Context(), h.Desk, name, conversation.ChannelWeb, 2))
	}
	for _, name := range b.claimers {
		require.NoError(h.T, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: name, Presence: desk.PresenceAvailable}))
	}
	for range desks {
		d := h.Reopen()
		b.desks = append(b.desks, d)
		b.conversations[d] = routing.NewConversationDesk(d)
	}
	for i := range conversations {
		b.threads = append(b.threads, h.Start([]string{"support", "billing"}[i%2]))
	}
	return b
}

// work runs a function repeatedly until the end, each time with one of the desks.
func (b *busyHouse) work(times int, do func(ctx context.Context, random *rand.Rand, d *desk.Desk) error) {
	for range times {
		b.works.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for {
				select {
				case <-b.stop:
					return
				default:
				}
				if err := do(b.T.Context(), random, desktest.One(random, b.desks)); err != nil && conversation.CodeOf(err) == "" {
					b.mutex.Lock()
					b.failures = append(b.failures, err)
					b.mutex.Unlock()
				}
				b.steps.Add(1)
			}
		})
	}
}

// end lets all functions finish.
func (b *busyHouse) end() []error {
	close(b.stop)
	b.works.Wait()
	return b.failures
}

// drive takes one conversation a step further, by the rules, and syncs it. It applies the desk's answer. A failed
// sync is repeated the next time.
func (b *busyHouse) drive(ctx context.Context, random *rand.Rand, d *desk.Desk) error {
	at := random.IntN(len(b.threads))
	b.locks[at].Lock()
	defer b.locks[at].Unlock()
	th := b.threads[at]
	if th.State.Status == conversation.ConversationClosed && len(th.Pending) == 0 {
		th = b.Start(desktest.One(random, []string{"support", "billing"})) //nolint:contextcheck // it makes no call
		b.threads[at] = th
	}
	b.step(random, th)
	return b.tell(ctx, d, th)
}

func (b *busyHouse) step(random *rand.Rand, th *desktest.Conversation) {
	task := desktest.One(random, th.State.Tasks)
	commands := []conversation.Command{
		conversation.AcceptCommand{Agent: task.Agent},
		conversation.AcceptCommand{Agent: task.Agent},
		conversation.TransferCommand{From: task.Agent, To: desktest.ToQueue("billing"), Note: "passed on"},
		conversation.WrapupCommand{Agent: task.Agent},
		conversation.EndCommand{Agent: task.Agent},
		conversation.DeclineCommand{Agent: task.Agent},
		conversation.WrapupCommand{Agent: task.Agent},
	}
	if len(th.State.Tasks) > 6 {
		commands = append(commands, conversation.CloseCommand{})
	}
	facts := conversation.Facts{Settings: conversation.DefaultSettings(), QueueKnown: true, QueueMembers: 1}
	facts.Settings.MessagingTransfers, facts.Settings.TransferNotes = true, true
	result, err := th.State.Apply(desktest.One(random, commands), &facts, b.Clock.Now())
	if err == nil {
		th.Pending, th.Notes = append(th.Pending, result.Events...), append(th.Notes, result.Notes...)
	}
}

func (b *busyHouse) tell(ctx context.Context, d *desk.Desk, th *desktest.Conversation) error {
	answer, err := b.conversations[d].Sync(ctx, th.Snapshot())
	if err != nil {
		return err
	}
	th.Pending, th.Notes = nil, nil
	for _, reserve := range answer.Matches {
		result, err := th.State.Apply(reserve, nil, b.Clock.Now())
		if err == nil {
			th.Pending, th.Notes = append(th.Pending, result.Events...), append(th.Notes, result.Notes...)
		}
	}
	return nil
}

// deliver takes the commands that are due, as a dispatcher does, and delivers them to the conversations.
func (b *busyHouse) deliver(ctx context.Context, _ *rand.Rand, d *desk.Desk) error {
	b.Clock.Advance(100 * time.Millisecond)
	due, err := routing.TakeDue(ctx, d, 4)
	if err != nil {
		return err
	}
	for _, item := range due {
		for at := range b.threads {
			b.locks[at].Lock()
			if th := b.threads[at]; th.SID == item.Conversation {
				result, err := th.State.Apply(item.Command, nil, b.Clock.Now())
				if err == nil {
					th.Pending = append(th.Pending, result.Events...)
				}
			}
			b.locks[at].Unlock()
		}
	}
	return nil
}

// everybody starts all the work: conversations proceed, dispatchers match, agents claim and change their presence,
// people write and read, webhooks are queued and sent.
func (b *busyHouse) everybody() {
	desktest.SetCallback(b.Environment, "https://example.com/events")
	b.work(8, b.drive)
	b.work(1, func(ctx context.Context, _ *rand.Rand, d *desk.Desk) error { return routing.Dispatch(ctx, d) })
	b.work(1, b.deliver)
	b.work(1, func(ctx context.Context, random *rand.Rand, d *desk.Desk) error {
		_, err := routing.Claim(ctx, d, b.anyConversation(random), desktest.One(random, b.claimers))
		if errors.Is(err, records.ErrUnknownConversation) {
			return nil
		}
		return err
	})
	b.work(1, func(ctx context.Context, random *rand.Rand, d *desk.Desk) error {
		return routing.SetPresence(ctx, d, desktest.One(random, b.roamers), desktest.One(random, []desk.Presence{desk.PresenceAvailable, desk.PresenceAvailable, desk.PresenceAvailable, desk.PresenceBreak}))
	})
	b.work(1, func(ctx context.Context, random *rand.Rand, d *desk.Desk) error {
		_, err := records.Say(ctx, d, records.NewMessage{Conversation: b.anyConversation(random), From: records.FromCustomer, Text: "hello", ProviderSID: fmt.Sprintf("SM%d", random.IntN(1000))})
		if errors.Is(err, records.ErrUnknownConversation) {
			return nil
		}
		return err
	})
	b.work(2, func(ctx context.Context, _ *rand.Rand, d *desk.Desk) error {
		if err := outbox.QueueWebhooks(ctx, d, func() {}); err != nil {
			return err
		}
		taken, err := outbox.TakeWebhooks(ctx, d, 5, desktest.WebhookLease)
		if err != nil {
			return err
		}
		for _, w := range taken {
			if err := outbox.WebhookDelivered(ctx, d, w.Position); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *busyHouse) anyConversation(random *rand.Rand) string {
	at := random.IntN(len(b.threads))
	b.locks[at].Lock()
	defer b.locks[at].Unlock()
	return b.threads[at].SID
}

// settle syncs all conversations, as workflows do in the end, and requires that the desk shows them completely.
func (b *busyHouse) settle() {
	b.T.Helper()
	for _, th := range b.threads {
		th.Follow()
		desktest.RequireShownWhole(b.T, b.Environment, th)
	}
	requireConsistent(b.T, b.Environment)
	requireWithinCapacity(b.T, b.Environment)
	requireWholeFeed(b.T, b.Environment)
	requireWholeTranscripts(b.T, b.Environment)
	desktest.QueueWebhooks(b.Environment)
	b.Clock.Advance(desktest.WebhookLease) // the lease of webhooks whose delivery could not be reported
	for taken := desktest.TakeWebhooks(b.Environment); len(taken) > 0; taken = desktest.TakeWebhooks(b.Environment) {
		for _, w := range taken {
			desktest.ConfirmWebhook(b.Environment, w)
		}
	}
	require.Zero(b.T, desktest.PendingWebhooks(b.Environment), "each stream had a head that was due")
}

// requireWithinCapacity requires that no agent has more tasks than their capacity.
func requireWithinCapacity(t require.TestingT, h *desktest.Environment) {
	var over int
	require.NoError(t, h.DB().Reader().QueryRowContext(h.T.Context(), `SELECT count(*) FROM agent_channels WHERE load > capacity AND agent LIKE 'agent%'`).Scan(&over))
	require.Zero(t, over)
}

// requireWholeFeed requires that no position is missing, and that each conversation has all its events in order.
func requireWholeFeed(t require.TestingT, h *desktest.Environment) {
	last, err := desk.LastPosition(h.T.Context(), h.Desk)
	require.NoError(t, err)
	numbers := map[string]int{}
	position := int64(0)
	for position < last {
		events, err := outbox.EventsAfter(h.T.Context(), h.Desk, position, 500)
		require.NoError(t, err)
		require.NotEmpty(t, events, "after %d of %d", position, last)
		for _, e := range events {
			position++
			require.Equal(t, position, e.Position, "no hole in the feed")
			if e.Conversation != "" {
				numbers[e.Conversation]++
				require.Equal(t, numbers[e.Conversation], e.Number)
			}
		}
	}
}

// requireWholeTranscripts requires that messages are numbered without gaps.
func requireWholeTranscripts(t require.TestingT, h *desktest.Environment) {
	var wrong int
	require.NoError(t, h.DB().Reader().QueryRowContext(h.T.Context(), `SELECT count(*) FROM conversations c
		WHERE messages <> (SELECT count(*) FROM messages m WHERE m.conversation = c.sid)
			OR messages <> (SELECT coalesce(max(number), 0) FROM messages m WHERE m.conversation = c.sid)`).Scan(&wrong))
	require.Zero(t, wrong)
}

// lasts is how long the concurrent work runs.
const lasts = 1500 * time.Millisecond

// testEverybodyAtOnce runs all the work concurrently while a reader follows the event log. It requires that nothing
// was lost, duplicated, overbooked or skipped.
func testEverybodyAtOnce(t *testing.T, h *desktest.Environment) {
	b := newBusyHouse(h, 3, 8, 24)
	b.everybody()
	follower := h.Reopen()
	followed := int64(0)
	for enough := time.Now().Add(lasts); time.Now().Before(enough) || followed < 100; {
		events, err := outbox.EventsAfter(t.Context(), follower, followed, 50)
		require.NoError(t, err)
		for _, e := range events { // committed in order: a reader misses none
			require.Equal(t, followed+1, e.Position)
			followed = e.Position
		}
	}
	require.Empty(t, b.end())
	b.settle()
	t.Logf("%d steps, %d events", b.steps.Load(), followed)
}

// testWakesOthers: a change by one process wakes waiters in another before they poll.
func testWakesOthers(t *testing.T, h *desktest.Environment) {
	others, err := desk.Open(t.Context(), h.Database, desk.Options{Now: h.Clock.Now, Tick: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, others.Close()) })
	h.Staff("support", "alice")
	delivered := make(chan conversation.Command, 10)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- routing.RunDispatcher(ctx, others, courierFunc(func(_ context.Context, _ string, c conversation.Command) error {
			delivered <- c
			return nil
		}))
	}()
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceBreak))
	th := h.Start("support")
	th.Sync() // no agent is free
	// The dispatcher's first poll, and its listener's, may still be to come: it would see alice without being
	// woken.
	require.Eventually(t, func() bool { return others.Dispatchers() == 1 && countListeners(h) >= 2 }, 10*time.Second, time.Millisecond)
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceAvailable))
	select {
	case c := <-delivered:
		require.Equal(t, "alice", c.(conversation.ReserveCommand).Agent)
	case <-time.After(10 * time.Second):
		require.Fail(t, "the dispatcher of the other process was not woken")
	}
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)

	shown, leave := others.Wait(th.SID)
	defer leave()
	th.Do(conversation.CloseCommand{})
	th.Sync()
	select {
	case <-shown:
	case <-time.After(10 * time.Second):
		require.Fail(t, "who waits in the other process was not woken")
	}
}

// countListeners returns how many desks listen on this database.
func countListeners(h *desktest.Environment) (count int) {
	h.T.Helper()
	require.NoError(h.T, h.DB().Reader().QueryRowContext(h.T.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN baton'`).Scan(&count))
	return count
}

type courierFunc func(ctx context.Context, conversation string, c conversation.Command) error

func (f courierFunc) Deliver(ctx context.Context, sid string, c conversation.Command) error {
	return f(ctx, sid, c)
}

// testUndoneIsTriedAgain: a transaction that the server rolls back in a deadlock is retried, and takes effect once.
func testUndoneIsTriedAgain(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	first, second := h.Start("support"), h.Start("support")
	first.Sync()
	second.Sync()
	var met sync.WaitGroup
	met.Add(2)
	tries := atomic.Int32{}
	const edit = `UPDATE conversations SET edits = edits + 1 WHERE sid = $1`
	crossing := func(one, other string) func(*desk.Tx) error {
		waited := false
		return func(tx *desk.Tx) error {
			tries.Add(1)
			if _, err := tx.Exec(t.Context(), edit, one); err != nil {
				return err
			}
			if !waited { // each holds one row and waits for the other's
				waited = true
				met.Done()
				met.Wait()
			}
			_, err := tx.Exec(t.Context(), edit, other)
			return err
		}
	}
	failures := make(chan error, 2)
	go func() { failures <- h.SharedTx(t.Context(), "cross", crossing(first.SID, second.SID)) }()
	go func() { failures <- h.SharedTx(t.Context(), "cross", crossing(second.SID, first.SID)) }()
	require.NoError(t, <-failures)
	require.NoError(t, <-failures)
	require.Equal(t, int32(3), tries.Load(), "one was undone, and tried again")
	spoken, err := records.ReadSpoken(t.Context(), h.Desk, []string{first.SID, second.SID})
	require.NoError(t, err)
	require.Equal(t, map[string]int{first.SID: 2, second.SID: 2}, spoken)
}

// TestKilledPostgres kills the server under a busy desk: calls are retried or fail, nothing is half done, and the
// desk recovers by itself.
func TestKilledPostgres(t *testing.T) {
	t.Parallel()
	server := desktest.StartPostgres(t, postgres.Options{})
	h := desktest.New(t, server.Database(t))
	b := newBusyHouse(h, 2, 6, 12)
	b.everybody()
	goesOn := func() {
		t.Helper()
		before := b.steps.Load()
		require.Eventually(t, func() bool { return b.steps.Load() > before+40 }, 30*time.Second, 5*time.Millisecond, "work continues")
	}
	goesOn()
	server.Kill()
	require.NoError(t, server.Restart(t.Context()))
	goesOn()
	failures := b.end()
	require.Less(t, len(failures), int(b.steps.Load())/2)
	for _, err := range failures {
		var ended *pgconn.PgError
		away := errors.As(err, &ended) && strings.HasPrefix(ended.Code, "57P")
		require.True(t, away || sqldb.Unavailable(err), "%v", err)
	}
	b.settle()
	require.Eventually(t, func() bool { return countListeners(h) >= 3 }, 20*time.Second, 10*time.Millisecond, "the desks listen again")
}
