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

func TakeDue(ctx context.Context, d *Desk, limit int) (due []Delivery, err error) {
	taken, err := takeDue(ctx, d, limit)
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

// ConversationPageWithin reads at most so many conversations, and messages of them.
func ConversationPageWithin(ctx context.Context, d *Desk, f Filter, search string, p Page, most [2]int) (Matches, error) {
	return conversationPage(ctx, d, f, search, p, searchBounds{most[0], most[1]})
}

func (d *Desk) Dispatchers() int { return int(d.dispatchers.Load()) }

// Waiters returns how many conversations are waited for.
func (d *Desk) Waiters() int { return len(d.shown.waiters) }

// SyncIn applies a snapshot in the transaction.
func SyncIn(ctx context.Context, tx *Tx, p conversation.Snapshot, now time.Time) error {
	_, err := (&syncing{Tx: tx, snapshot: p, now: now}).run(ctx)
	return err
}

// ReleaseMatches undoes all matches, and returns how many there were.
func ReleaseMatches(ctx context.Context, tx *Tx) (int, error) {
	matches, err := sqldb.All(ctx, tx, scanMatch, selectMatches)
	if err != nil {
		return 0, err
	}
	for _, m := range matches {
		if err := releaseMatch(ctx, tx, m); err != nil {
			return 0, err
		}
	}
	return len(matches), nil
}

// Population is the result of a queue's expression for each agent.
type Population struct{ *population }

func Populate(ctx context.Context, d *Desk, target string) (Population, error) {
	p, err := populate(ctx, d, target)
	return Population{p}, err
}

// Find replaces the result for an agent with these attributes.
func (p Population) Find(agent, attributes string, member bool) {
	p.found[agent] = populated{attributes, member}
}

func FillQueue(ctx context.Context, tx *Tx, queue string, p Population) error {
	return fillQueue(ctx, tx, queue, p.population)
}

func InsertAgent(ctx context.Context, tx *Tx, a NewAgent, now int64) error {
	return insertAgent(ctx, tx, a, now)
}

func InsertQueue(ctx context.Context, tx *Tx, q NewQueue, now int64) error {
	return insertQueue(ctx, tx, q, now)
}

func EventsAfterIn(ctx context.Context, tx *Tx, position int64, limit int) ([]LoggedEvent, error) {
	return readEventsAfter(ctx, tx, position, limit)
}

func InsertMessage(ctx context.Context, tx *Tx, m NewMessage, now time.Time) (Message, error) {
	return insertMessage(ctx, tx, m, now)
}

func NoteEdit(ctx context.Context, tx *Tx, sid string) error { return noteEdit(ctx, tx, sid) }
