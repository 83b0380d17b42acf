package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// house is the test environment: a desk, its database and its clock.
type house struct {
	t        testing.TB
	database string
	clock    *clock
	// cipher is the desk's cipher; it may be nil.
	cipher Cipher
	*Desk
}

func newHouse(t testing.TB, database string) *house {
	t.Helper()
	h := &house{t: t, database: database, clock: newClock()}
	h.Desk = h.open()
	return h
}

// open opens the database once more, as another process would.
func (h *house) open() *Desk {
	h.t.Helper()
	d, err := Open(context.WithoutCancel(h.t.Context()), h.database, Options{Now: h.clock.now, Tick: 5 * time.Millisecond, Cipher: h.cipher})
	require.NoError(h.t, err)
	h.t.Cleanup(func() { require.NoError(h.t, d.Close()) })
	return d
}

func (h *house) onPostgres() bool { return sqldb.IsPostgres(h.database) }

// contents returns all rows of all tables except the version table, sorted within each table.
func (h *house) contents() map[string][]string {
	h.t.Helper()
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> $1 AND name <> 'sqlite_sequence'`
	columns := `SELECT name FROM pragma_table_info($1) ORDER BY name`
	if h.onPostgres() {
		columns = `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name`
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> $1`
	}
	contents := map[string][]string{}
	require.NoError(h.t, h.readTx(h.t.Context(), "read everything", func(t *transaction) error {
		tables, err := sqldb.All(h.t.Context(), t, sqldb.Value[string], list, schema().VersionTable)
		require.NoError(h.t, err)
		for _, table := range tables {
			columns, err := sqldb.All(h.t.Context(), t, sqldb.Value[string], columns, table)
			require.NoError(h.t, err)
			contents[table], err = sqldb.All(h.t.Context(), t, func(r sqldb.Row) (string, error) {
				values := make([]any, len(columns))
				places := make([]any, len(columns))
				for i := range values {
					places[i] = &values[i]
				}
				err := r.Scan(places...)
				return fmt.Sprint(values...), err
			}, `SELECT `+strings.Join(columns, ", ")+` FROM `+table)
			require.NoError(h.t, err)
			slices.Sort(contents[table])
		}
		return nil
	}))
	return contents
}

// staff adds available agents to a queue, and adds the queue if it does not exist.
func (h *house) staff(queue string, agents ...string) {
	h.t.Helper()
	queues, err := h.Queues(h.t.Context())
	require.NoError(h.t, err)
	known := false
	for _, q := range queues {
		known = known || q.Name == queue
	}
	if !known {
		require.NoError(h.t, h.AddQueue(h.t.Context(), queue))
	}
	for _, agent := range agents {
		if _, err := h.Agent(h.t.Context(), agent); err != nil {
			require.NoError(h.t, h.AddAgent(h.t.Context(), NewAgent{Name: agent, Presence: PresenceAvailable}))
			h.clock.advance(time.Second) // so that the first agent has been idle longest
		}
		require.NoError(h.t, h.AddMember(h.t.Context(), queue, agent))
	}
}

func (h *house) set(change func(*conversation.Settings)) {
	h.t.Helper()
	_, err := h.SetSettings(h.t.Context(), "carol", change)
	require.NoError(h.t, err)
}

func (h *house) transfersOn() {
	h.t.Helper()
	h.set(func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
}

func (h *house) dispatch() {
	h.t.Helper()
	require.NoError(h.t, h.Dispatch(h.t.Context()))
}

func (h *house) agent(name string) Agent {
	h.t.Helper()
	a, err := h.Agent(h.t.Context(), name)
	require.NoError(h.t, err)
	return a
}

func (h *house) load(name string, channel conversation.Channel) int {
	h.t.Helper()
	for _, c := range h.agent(name).Channels {
		if c.Channel == channel {
			return c.Load
		}
	}
	return -1
}

// matches returns the agents of the open matches, by task.
func (h *house) matches() map[string]string {
	h.t.Helper()
	matches := map[string]string{}
	require.NoError(h.t, h.readTx(h.t.Context(), "read matches", func(t *transaction) error {
		found, err := sqldb.All(h.t.Context(), t, scanMatch, selectMatches)
		for _, p := range found {
			matches[p.task] = p.agent
		}
		return err
	}))
	return matches
}

// clock is a clock that a test advances.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// thread is a conversation under the real rules, as its workflow runs it, with what is not synced to the desk yet.
type thread struct {
	h      *house
	sid    string
	state  conversation.State
	events []conversation.Event
	notes  []conversation.Note
	// whole is set while the desk may show things that the conversation does not have.
	whole bool
}

func newSID() string { return conversation.SIDOf(conversation.PrefixConversation, uuid.New()) }

// start starts a conversation, without syncing it to the desk.
func (h *house) start(queue string, with ...func(*conversation.StartCommand)) *thread {
	h.t.Helper()
	c := conversation.StartCommand{
		Conversation: newSID(), Channel: conversation.ChannelWeb, Queue: queue,
		Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
	}
	for _, change := range with {
		change(&c)
	}
	th := &thread{h: h, sid: c.Conversation}
	th.do(c)
	return th
}

func onChannel(channel conversation.Channel) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Channel = channel }
}

func withPriority(priority int) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Priority = priority }
}

// try applies a command, with the facts from the desk if it needs any.
func (th *thread) try(c conversation.Command) (conversation.Result, error) {
	query, err := th.state.Ask(c, th.h.clock.now())
	if err != nil {
		return conversation.Result{}, err
	}
	var facts *conversation.Facts
	if query != nil {
		v, err := th.h.Facts(th.h.t.Context(), *query)
		if err != nil {
			return conversation.Result{}, err
		}
		facts = &v
	}
	result, err := th.state.Apply(c, facts, th.h.clock.now())
	th.events = append(th.events, result.Events...)
	th.notes = append(th.notes, result.Notes...)
	return result, err
}

func (th *thread) do(c conversation.Command) conversation.Result {
	th.h.t.Helper()
	result, err := th.try(c)
	require.NoError(th.h.t, err)
	return result
}

func (th *thread) picture() conversation.Snapshot {
	if th.whole {
		return th.state.WholeSnapshot(th.events, th.notes)
	}
	return th.state.Snapshot(th.events, th.notes)
}

// sync sends a snapshot to the desk, and then a whole one if the desk was ahead.
func (th *thread) sync() conversation.Acknowledgement {
	th.h.t.Helper()
	p := th.picture()
	answer, err := th.h.Sync(th.h.t.Context(), p)
	require.NoError(th.h.t, err)
	if answer.Revision > p.Revision {
		th.events = th.events[min(answer.Known, len(th.events)):]
		th.state.StepBeyond(answer, th.events)
		require.Greater(th.h.t, th.state.Revision, answer.Revision)
		th.whole = true
		return th.sync()
	}
	th.events, th.notes, th.whole = nil, nil, false
	th.state.CountFrom(answer.Events, nil)
	return answer
}

// remember returns a function that sets the conversation back to its current state, as a reset of its workflow
// does.
func (th *thread) remember() (reset func()) {
	th.h.t.Helper()
	before, err := json.Marshal(th.state)
	require.NoError(th.h.t, err)
	events, notes := slices.Clone(th.events), slices.Clone(th.notes)
	return func() {
		th.h.t.Helper()
		th.state = conversation.State{}
		require.NoError(th.h.t, json.Unmarshal(before, &th.state))
		th.events, th.notes = events, notes
	}
}

// agrees requires that the desk shows the conversation's actual state.
func (th *thread) agrees() {
	th.h.t.Helper()
	ctx := th.h.t.Context()
	shown, err := th.h.Shown(ctx, th.sid)
	require.NoError(th.h.t, err)
	require.Equal(th.h.t, th.state.Events, shown.Events)
	require.Equal(th.h.t, th.state.Revision, shown.Revision)
	live := map[string]ShownTask{}
	for _, task := range th.state.LiveTasks() {
		live[task.SID] = ShownTask{task.Status, task.Agent}
	}
	require.Equal(th.h.t, live, shown.Live)
	reservations, err := th.h.Reservations(ctx, th.sid)
	require.NoError(th.h.t, err)
	for _, v := range reservations {
		task := th.state.Task(v.Task)
		ends := v.Status != conversation.ReservationPending && v.Status != conversation.ReservationAccepted && v.Status != conversation.ReservationWrapping
		require.True(th.h.t, ends || task != nil && task.Reservation != nil && task.Reservation.SID == v.SID && task.Reservation.Status == v.Status,
			"reservation %s of %s is %s", v.SID, v.Agent, v.Status)
	}
	transfers, err := th.h.Transfers(ctx, th.sid)
	require.NoError(th.h.t, err)
	for _, x := range transfers {
		own := th.state.Transfer(x.SID)
		require.True(th.h.t, x.Status != conversation.TransferActive || own != nil && own.Status == conversation.TransferActive, "transfer %s", x.SID)
	}
	held := map[string]int{}
	conversations, err := th.h.Conversations(ctx, Filter{})
	require.NoError(th.h.t, err)
	for _, c := range conversations {
		for _, task := range c.Live {
			if task.Status != conversation.TaskPending {
				held[task.Agent]++
			}
		}
	}
	agents, err := th.h.Agents(ctx)
	require.NoError(th.h.t, err)
	for _, a := range agents {
		require.Equal(th.h.t, held[a.Name], th.h.load(a.Name, th.state.Channel), "the load of %s", a.Name)
	}
	history, err := th.h.Events(ctx, th.sid)
	require.NoError(th.h.t, err)
	for i, e := range history {
		require.Equal(th.h.t, i+1, e.Number, "events are numbered without a gap, once each")
	}
	require.Len(th.h.t, history, th.state.Events)
}

// follow syncs the conversation and applies its matches, until nothing changes.
func (th *thread) follow() *thread {
	th.h.t.Helper()
	for {
		before := th.state.Revision
		for _, reserve := range th.sync().Matches {
			th.do(reserve)
		}
		if th.state.Revision == before {
			return th
		}
	}
}

// task returns the newest task.
func (th *thread) task() *conversation.Task { return th.state.Tasks[len(th.state.Tasks)-1] }

func (th *thread) accept(agent string) *thread {
	th.h.t.Helper()
	th.do(conversation.AcceptCommand{Agent: agent})
	return th.follow()
}

func (th *thread) decline(agent string) *thread {
	th.h.t.Helper()
	th.do(conversation.DeclineCommand{Agent: agent})
	return th.follow()
}

func (th *thread) wrapup(agent string) *thread {
	th.h.t.Helper()
	th.do(conversation.WrapupCommand{Agent: agent})
	return th.follow()
}

func (th *thread) end(agent string) *thread {
	th.h.t.Helper()
	th.do(conversation.EndCommand{Agent: agent})
	return th.follow()
}

func (th *thread) transfer(from string, to conversation.Target, note string) *thread {
	th.h.t.Helper()
	th.do(conversation.TransferCommand{From: from, To: to, Note: note})
	return th.follow()
}

// expire advances the clock to the next deadline.
func (th *thread) expire() *thread {
	th.h.t.Helper()
	deadline, ok := th.state.Deadline()
	require.True(th.h.t, ok, "there is no deadline")
	if wait := deadline.At.Sub(th.h.clock.now()); wait > 0 {
		th.h.clock.advance(wait)
	}
	th.do(conversation.ExpireCommand{})
	return th.follow()
}

func toAgent(name string) conversation.Target { return conversation.Target{Agent: name} }
func toQueue(name string) conversation.Target { return conversation.Target{Queue: name} }
