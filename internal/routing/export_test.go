package routing

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// This file gives the tests of this package what it does not export.

const (
	ConfirmedWithin    = confirmedWithin
	FirstRetry         = firstRetry
	LastRetry          = lastRetry
	WaitingTaskColumns = waitingTaskColumns
)

// Delivery is a command that is due.
type Delivery struct {
	Conversation string
	Command      conversation.Command
}

func TakeDue(ctx context.Context, d *desk.Desk, limit int) (due []Delivery, err error) {
	taken, err := takeDue(ctx, d, limit)
	for _, item := range taken {
		due = append(due, Delivery{Conversation: item.conversation, Command: item.command})
	}
	return due, err
}

// SyncIn applies a snapshot in the transaction.
func SyncIn(ctx context.Context, tx *desk.Tx, p conversation.Snapshot, now time.Time) error {
	return newBatch(tx, []conversation.Snapshot{p}, now).run(ctx)
}

// ReleaseMatches undoes all matches, and returns how many there were.
func ReleaseMatches(ctx context.Context, tx *desk.Tx) (int, error) {
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

// Find replaces the result for an agent with these attributes.
func (p *Selection) Find(agent, attributes string, member bool) {
	p.found[agent] = populated{attributes, member}
}

// SyncTogether applies snapshots of different conversations in one transaction, and returns the answers by
// conversation. Snapshots that need a transaction of their own have to be alone: see [AppliedAlone].
func SyncTogether(ctx context.Context, d *desk.Desk, snapshots []conversation.Snapshot) (map[string]conversation.Acknowledgement, error) {
	b, err := syncTogether(ctx, d, snapshots)
	if err != nil {
		return nil, err
	}
	answers := map[string]conversation.Acknowledgement{}
	for _, s := range b.snapshots {
		if s.held {
			answers[s.snapshot.Conversation] = s.answer
		}
	}
	return answers, nil
}

var AppliedAlone = appliedAlone
