package desk

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// This file gives the tests of the package desk_test what the desk does not export.

const (
	ConfirmedWithin       = confirmedWithin
	FirstRetry            = firstRetry
	LastRetry             = lastRetry
	FirstWebhookRetry     = firstWebhookRetry
	GivenUpAfter          = givenUpAfter
	MaxCallbackURL        = maxCallbackURL
	MaxConfiguration      = maxConfiguration
	SessionsDropped       = sessionsDropped
	AcceptedShown         = acceptedShown
	FailedShown           = failedShown
	SelectConversationRow = selectConversationRow
	SelectLiveTasksOf     = selectLiveTasksOf
	SelectTasks           = selectTasks
	WaitingTaskColumns    = waitingTaskColumns
)

var (
	Migrations     = migrations
	Schema         = schema
	SealedColumns  = sealedColumns
	ReadRouting    = readRouting
	ValidName      = validName
	ValidWorkspace = validWorkspace
)

// Delivery is a command that is due.
type Delivery struct {
	Conversation string
	Command      conversation.Command
}

func (d *Desk) TakeDue(ctx context.Context, limit int) (due []Delivery, err error) {
	taken, err := d.takeDue(ctx, limit)
	for _, item := range taken {
		due = append(due, Delivery{Conversation: item.conversation, Command: item.command})
	}
	return due, err
}

// WriteTx runs an exclusive transaction without what follows its commit.
func (d *Desk) WriteTx(ctx context.Context, do func(*Tx) error) error {
	return d.writeTx(ctx, true, do)
}

func (d *Desk) SetClock(now func() time.Time) { d.now = now }
func (d *Desk) SetSecurity(log *seclog.Log)   { d.security = log }
func (d *Desk) BoundSearch(conversations, messages int) {
	d.searchBounds = searchBounds{conversations, messages}
}
func (d *Desk) Dispatchers() int { return int(d.dispatchers.Load()) }

// Waiters returns how many conversations are waited for.
func (d *Desk) Waiters() int { return len(d.shown.waiters) }

func (d *Desk) WaitShown(sid string) (shown <-chan struct{}, leave func()) { return d.shown.wait(sid) }

// SyncIn applies a snapshot in the transaction.
func (t *Tx) SyncIn(ctx context.Context, p conversation.Snapshot, now time.Time) error {
	_, err := (&syncing{Tx: t, snapshot: p, now: now}).run(ctx)
	return err
}

// ReleaseMatches undoes all matches, and returns how many there were.
func (t *Tx) ReleaseMatches(ctx context.Context) (int, error) {
	matches, err := sqldb.All(ctx, t, scanMatch, selectMatches)
	if err != nil {
		return 0, err
	}
	for _, m := range matches {
		if err := t.release(ctx, m); err != nil {
			return 0, err
		}
	}
	return len(matches), nil
}

// Population is the result of a queue's expression for each agent.
type Population struct{ *population }

func (d *Desk) Populate(ctx context.Context, target string) (Population, error) {
	p, err := d.populate(ctx, target)
	return Population{p}, err
}

// Find replaces the result for an agent with these attributes.
func (p Population) Find(agent, attributes string, member bool) {
	p.found[agent] = populated{attributes, member}
}

func (t *Tx) FillQueue(ctx context.Context, queue string, p Population) error {
	return t.fillQueue(ctx, queue, p.population)
}

func (t *Tx) AddAgent(ctx context.Context, a NewAgent, now int64) error {
	return t.addAgent(ctx, a, now)
}

func (t *Tx) AddQueue(ctx context.Context, q NewQueue, now int64) error {
	return t.addQueue(ctx, q, now)
}

func (t *Tx) After(ctx context.Context, position int64, limit int) ([]LoggedEvent, error) {
	return t.after(ctx, position, limit)
}

func (t *Tx) Say(ctx context.Context, m NewMessage, now time.Time) (Message, error) {
	return t.say(ctx, m, now)
}

func (t *Tx) NoteEdit(ctx context.Context, sid string) error { return t.noteEdit(ctx, sid) }

// RemoveMember removes the agent from the queue.
func (d *Desk) RemoveMember(ctx context.Context, queue, agent string) error {
	return d.ExclusiveTx(ctx, "remove "+agent+" from queue "+queue, func(t *Tx) error { return t.removeMember(ctx, queue, agent, sqldb.Micros(d.now())) })
}
