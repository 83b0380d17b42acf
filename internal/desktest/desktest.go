// Package desktest has what tests of the desk and of the packages above it need: a desk with a clock that the test
// advances, and conversations under the real rules.
package desktest

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
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Environment is a desk, its database and its clock.
type Environment struct {
	T        testing.TB
	Database string
	Clock    *Clock
	// Cipher is the desk's cipher; it may be nil.
	Cipher desk.Cipher
	// Security is the desk's security log; it may be nil.
	Security *seclog.Log
	*desk.Desk
}

// New opens the desk in the database. It is closed when the test ends.
func New(t testing.TB, database string) *Environment {
	t.Helper()
	h := &Environment{T: t, Database: database, Clock: NewClock()}
	h.Desk = h.Reopen()
	return h
}

// ErrWrapupPending is the refusal of an accept before the agent has completed their wrap-up.
var ErrWrapupPending error = conversation.Refuse(conversation.CodeWrapupPending, conversation.Details{}, "complete the wrapup first")

// Reopen opens the database once more, as another process would.
func (h *Environment) Reopen() *desk.Desk {
	h.T.Helper()
	d, err := desk.Open(context.WithoutCancel(h.T.Context()), h.Database, desk.Options{Now: h.Clock.Now, Tick: 5 * time.Millisecond, Cipher: h.Cipher, Security: h.Security})
	require.NoError(h.T, err)
	h.T.Cleanup(func() { require.NoError(h.T, d.Close()) })
	return d
}

// OnPostgres reports whether the desk is in PostgreSQL.
func (h *Environment) OnPostgres() bool { return sqldb.IsPostgres(h.Database) }

// Contents returns all rows of all tables except the version table, sorted within each table.
func (h *Environment) Contents() map[string][]string {
	h.T.Helper()
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> $1 AND name <> 'sqlite_sequence'`
	columns := `SELECT name FROM pragma_table_info($1) ORDER BY name`
	if h.OnPostgres() {
		columns = `SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1 ORDER BY column_name`
		list = `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> $1`
	}
	contents := map[string][]string{}
	require.NoError(h.T, h.ReadTx(h.T.Context(), "read everything", func(tx *desk.Tx) error {
		tables, err := sqldb.All(h.T.Context(), tx, sqldb.Value[string], list, `schema_versions`)
		require.NoError(h.T, err)
		for _, table := range tables {
			columns, err := sqldb.All(h.T.Context(), tx, sqldb.Value[string], columns, table)
			require.NoError(h.T, err)
			contents[table], err = sqldb.All(h.T.Context(), tx, func(r sqldb.Row) (string, error) {
				values := make([]any, len(columns))
				places := make([]any, len(columns))
				for i := range values {
					places[i] = &values[i]
				}
				err := r.Scan(places...)
				return fmt.Sprint(values...), err
			}, `SELECT `+strings.Join(columns, ", ")+` FROM `+table)
			require.NoError(h.T, err)
			slices.Sort(contents[table])
		}
		return nil
	}))
	return contents
}

// Staff adds available agents to a queue, and adds the queue if it does not exist.
func (h *Environment) Staff(queue string, agents ...string) {
	h.T.Helper()
	queues, err := people.ListQueues(h.T.Context(), h.Desk)
	require.NoError(h.T, err)
	known := false
	for _, q := range queues {
		known = known || q.Name == queue
	}
	if !known {
		require.NoError(h.T, people.AddQueue(h.T.Context(), h.Desk, queue))
	}
	for _, agent := range agents {
		if _, err := people.FindAgent(h.T.Context(), h.Desk, agent); err != nil {
			require.NoError(h.T, people.AddAgent(h.T.Context(), h.Desk, people.NewAgent{Name: agent, Presence: desk.PresenceAvailable}))
			h.Clock.Advance(time.Second) // so that the first agent has been idle longest
		}
		require.NoError(h.T, people.AddMember(h.T.Context(), h.Desk, queue, agent))
	}
}

// Set changes the settings.
func (h *Environment) Set(change func(*conversation.Settings)) {
	h.T.Helper()
	_, err := desk.SetSettings(h.T.Context(), h.Desk, "carol", change)
	require.NoError(h.T, err)
}

// TransfersOn turns on transfers and notes.
func (h *Environment) TransfersOn() {
	h.T.Helper()
	h.Set(func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
}

// DispatchNow matches waiting tasks once.
func (h *Environment) DispatchNow() {
	h.T.Helper()
	require.NoError(h.T, routing.Dispatch(h.T.Context(), h.Desk))
}

// AgentNamed returns the agent.
func (h *Environment) AgentNamed(name string) people.Agent {
	h.T.Helper()
	a, err := people.FindAgent(h.T.Context(), h.Desk, name)
	require.NoError(h.T, err)
	return a
}

// Few reports whether to use fewer conversations, because writing many of them is slow. On SQLite, without -short and
// without the race detector, tests use them all.
func (h *Environment) Few() bool { return testing.Short() || underRaceDetector || h.OnPostgres() }

// Load returns the load that the desk counts for the agent on the channel, or -1 for an unknown channel.
func (h *Environment) Load(name string, channel conversation.Channel) int {
	h.T.Helper()
	for _, c := range h.AgentNamed(name).Channels {
		if c.Channel == channel {
			return c.Load
		}
	}
	return -1
}

// Matches returns the agents of the open matches, by task.
func (h *Environment) Matches() map[string]string {
	h.T.Helper()
	ctx, matches := h.T.Context(), map[string]string{}
	require.NoError(h.T, h.ReadTx(ctx, "read matches", func(tx *desk.Tx) error {
		return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			var task, agent string
			err := r.Scan(&task, &agent)
			matches[task] = agent
			return err
		}, `SELECT task, agent FROM placements`)
	}))
	return matches
}

// Prepared returns the desk's prepared queries: first those of reading transactions, then those of writing ones.
func (h *Environment) Prepared() [2][]string {
	reading, writing := h.DB().Prepared()
	return [2][]string{reading, writing}
}

// ExplainOnSQLite returns the steps of SQLite's query plan. Plans of queries that write need the connection that
// writes.
func (h *Environment) ExplainOnSQLite(query string) (steps []string) {
	h.T.Helper()
	rows, err := h.DB().Writer().QueryContext(h.T.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, strings.Count(query, "$"))...)
	require.NoError(h.T, err)
	defer func() { require.NoError(h.T, rows.Close()) }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(h.T, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(h.T, rows.Err())
	return steps
}

// Clock is a clock that a test advances.
type Clock struct{ nanos atomic.Int64 }

// NewClock returns a clock at the beginning of a day.
func NewClock() *Clock {
	c := &Clock{}
	c.nanos.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	return c
}

// Now returns the time.
func (c *Clock) Now() time.Time { return time.Unix(0, c.nanos.Load()).UTC() }

// Set sets the clock.
func (c *Clock) Set(now time.Time) { c.nanos.Store(now.UnixNano()) }

// Advance advances the clock.
func (c *Clock) Advance(d time.Duration) { c.nanos.Add(int64(d)) }

// Conversation is a conversation under the real rules, as its workflow runs it, with what is not synced to the desk
// yet.
type Conversation struct {
	H       *Environment
	SID     string
	State   conversation.State
	Pending []conversation.Event
	Notes   []conversation.Note
	// Whole is set while the desk may show things that the conversation does not have.
	Whole bool
}

// NewSID returns the SID of a conversation.
func NewSID() string { return conversation.SIDOf(conversation.PrefixConversation, uuid.New()) }

// Start starts a conversation, without syncing it to the desk.
func (h *Environment) Start(queue string, with ...func(*conversation.StartCommand)) *Conversation {
	h.T.Helper()
	c := conversation.StartCommand{
		Conversation: NewSID(), Channel: conversation.ChannelWeb, Queue: queue,
		Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
	}
	for _, change := range with {
		change(&c)
	}
	th := &Conversation{H: h, SID: c.Conversation}
	th.Do(c)
	return th
}

// OnChannel starts a conversation on that channel.
func OnChannel(channel conversation.Channel) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Channel = channel }
}

// WithPriority starts a conversation with that priority.
func WithPriority(priority int) func(*conversation.StartCommand) {
	return func(c *conversation.StartCommand) { c.Priority = priority }
}

// Try applies a command, with the facts from the desk if it needs any.
func (th *Conversation) Try(c conversation.Command) (conversation.Result, error) {
	query, err := th.State.Ask(c, th.H.Clock.Now())
	if err != nil {
		return conversation.Result{}, err
	}
	var facts *conversation.Facts
	if query != nil {
		v, err := routing.ReadFacts(th.H.T.Context(), th.H.Desk, *query)
		if err != nil {
			return conversation.Result{}, err
		}
		facts = &v
	}
	result, err := th.State.Apply(c, facts, th.H.Clock.Now())
	th.Pending = append(th.Pending, result.Events...)
	th.Notes = append(th.Notes, result.Notes...)
	return result, err
}

// Do applies a command that must not be refused.
func (th *Conversation) Do(c conversation.Command) conversation.Result {
	th.H.T.Helper()
	result, err := th.Try(c)
	require.NoError(th.H.T, err)
	return result
}

// Snapshot returns the snapshot that the conversation sends next.
func (th *Conversation) Snapshot() conversation.Snapshot {
	if th.Whole {
		return th.State.WholeSnapshot(th.Pending, th.Notes)
	}
	return th.State.Snapshot(th.Pending, th.Notes)
}

// Sync sends a snapshot to the desk, and then a whole one if the desk was ahead.
func (th *Conversation) Sync() conversation.Acknowledgement {
	th.H.T.Helper()
	p := th.Snapshot()
	answer, err := routing.Sync(th.H.T.Context(), th.H.Desk, p)
	require.NoError(th.H.T, err)
	if answer.Revision > p.Revision {
		th.Pending = th.Pending[min(answer.Known, len(th.Pending)):]
		th.State.StepBeyond(answer, th.Pending)
		require.Greater(th.H.T, th.State.Revision, answer.Revision)
		th.Whole = true
		return th.Sync()
	}
	th.Pending, th.Notes, th.Whole = nil, nil, false
	th.State.CountFrom(answer.Events, nil)
	return answer
}

// Remember returns a function that sets the conversation back to its current state, as a reset of its workflow
// does.
func (th *Conversation) Remember() (reset func()) {
	th.H.T.Helper()
	before, err := json.Marshal(th.State)
	require.NoError(th.H.T, err)
	events, notes := slices.Clone(th.Pending), slices.Clone(th.Notes)
	return func() {
		th.H.T.Helper()
		th.State = conversation.State{}
		require.NoError(th.H.T, json.Unmarshal(before, &th.State))
		th.Pending, th.Notes = events, notes
	}
}

// RequireShown requires that the desk shows the conversation's actual state.
func (th *Conversation) RequireShown() {
	th.H.T.Helper()
	ctx := th.H.T.Context()
	shown, err := routing.ReadShown(ctx, th.H.Desk, th.SID)
	require.NoError(th.H.T, err)
	require.Equal(th.H.T, th.State.Events, shown.Events)
	require.Equal(th.H.T, th.State.Revision, shown.Revision)
	live := map[string]routing.ShownTask{}
	for _, task := range th.State.LiveTasks() {
		live[task.SID] = routing.ShownTask{Status: task.Status, Agent: task.Agent}
	}
	require.Equal(th.H.T, live, shown.Live)
	reservations, err := records.ListReservations(ctx, th.H.Desk, th.SID)
	require.NoError(th.H.T, err)
	for _, v := range reservations {
		task := th.State.Task(v.Task)
		ends := v.Status != conversation.ReservationPending && v.Status != conversation.ReservationAccepted && v.Status != conversation.ReservationWrapping
		require.True(th.H.T, ends || task != nil && task.Reservation != nil && task.Reservation.SID == v.SID && task.Reservation.Status == v.Status,
			"reservation %s of %s is %s", v.SID, v.Agent, v.Status)
	}
	transfers, err := records.ListTransfers(ctx, th.H.Desk, th.SID)
	require.NoError(th.H.T, err)
	for _, x := range transfers {
		own := th.State.Transfer(x.SID)
		require.True(th.H.T, x.Status != conversation.TransferActive || own != nil && own.Status == conversation.TransferActive, "transfer %s", x.SID)
	}
	held := map[string]int{}
	conversations, err := records.ConversationPage(ctx, th.H.Desk, records.Filter{}, "", desk.Page{Limit: 100})
	require.NoError(th.H.T, err)
	for _, c := range conversations.Entries {
		for _, task := range c.Live {
			if task.Status != conversation.TaskPending {
				held[task.Agent]++
			}
		}
	}
	agents, err := people.ListAgents(ctx, th.H.Desk)
	require.NoError(th.H.T, err)
	for _, a := range agents {
		require.Equal(th.H.T, held[a.Name], th.H.Load(a.Name, th.State.Channel), "the load of %s", a.Name)
	}
	history, err := records.ListEvents(ctx, th.H.Desk, th.SID)
	require.NoError(th.H.T, err)
	for i, e := range history {
		require.Equal(th.H.T, i+1, e.Number, "events are numbered without a gap, once each")
	}
	require.Len(th.H.T, history, th.State.Events)
}

// Follow syncs the conversation and applies its matches, until nothing changes.
func (th *Conversation) Follow() *Conversation {
	th.H.T.Helper()
	for {
		before := th.State.Revision
		for _, reserve := range th.Sync().Matches {
			th.Do(reserve)
		}
		if th.State.Revision == before {
			return th
		}
	}
}

// Task returns the newest task.
func (th *Conversation) Task() *conversation.Task { return th.State.Tasks[len(th.State.Tasks)-1] }

// Accept accepts the offered task, and follows.
func (th *Conversation) Accept(agent string) *Conversation {
	th.H.T.Helper()
	th.Do(conversation.AcceptCommand{Agent: agent})
	return th.Follow()
}

// Decline declines the offered task, and follows.
func (th *Conversation) Decline(agent string) *Conversation {
	th.H.T.Helper()
	th.Do(conversation.DeclineCommand{Agent: agent})
	return th.Follow()
}

// WrapUp completes the task that the agent wraps up, and follows.
func (th *Conversation) WrapUp(agent string) *Conversation {
	th.H.T.Helper()
	th.Do(conversation.WrapupCommand{Agent: agent})
	return th.Follow()
}

// End ends the task that the agent has, and follows.
func (th *Conversation) End(agent string) *Conversation {
	th.H.T.Helper()
	th.Do(conversation.EndCommand{Agent: agent})
	return th.Follow()
}

// Transfer transfers the conversation, and follows.
func (th *Conversation) Transfer(from string, to conversation.Target, note string) *Conversation {
	th.H.T.Helper()
	th.Do(conversation.TransferCommand{From: from, To: to, Note: note})
	return th.Follow()
}

// Expire advances the clock to the next deadline.
func (th *Conversation) Expire() *Conversation {
	th.H.T.Helper()
	deadline, ok := th.State.Deadline()
	require.True(th.H.T, ok, "there is no deadline")
	if wait := deadline.At.Sub(th.H.Clock.Now()); wait > 0 {
		th.H.Clock.Advance(wait)
	}
	th.Do(conversation.ExpireCommand{})
	return th.Follow()
}

// Say adds a message of the customer.
func (th *Conversation) Say(text string) records.Message {
	th.H.T.Helper()
	said, err := records.Say(th.H.T.Context(), th.H.Desk, records.NewMessage{Conversation: th.SID, From: records.FromCustomer, Text: text})
	require.NoError(th.H.T, err)
	return said
}

// PassAndWrapUp transfers the conversation, and completes the sender's wrapup at once.
func (th *Conversation) PassAndWrapUp(from string, to conversation.Target) *Conversation {
	th.H.T.Helper()
	return th.Transfer(from, to, "").WrapUp(from)
}

// Finish closes the conversation, and completes all tasks.
func (th *Conversation) Finish() {
	th.H.T.Helper()
	_, err := th.Try(conversation.CloseCommand{})
	require.True(th.H.T, err == nil || conversation.CodeOf(err) == conversation.CodeConversationClosed, "%v", err)
	for _, task := range th.State.LiveTasks() {
		th.Do(conversation.WrapupCommand{Agent: task.Agent, Task: task.SID})
	}
	th.Sync()
	require.Equal(th.H.T, conversation.ConversationClosed, th.State.Status)
}

// ToAgent is a transfer's target.
func ToAgent(name string) conversation.Target { return conversation.Target{Agent: name} }

// ToQueue is a transfer's target.
func ToQueue(name string) conversation.Target { return conversation.Target{Queue: name} }
