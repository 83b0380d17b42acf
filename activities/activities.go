// Package activities defines the calls from a conversation to the desk, and the interface that they use.
//
// There are three activities, each of one call: Facts (read-only, local, named Verdict in histories) returns the facts
// before a decision; CreateTask and SyncTasks send a snapshot after it. These two do the same under two names, which
// makes histories easier to read.
//
// Must not import: the desk, SQL. Rules are in package conversation.
package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sleep"
)

// Desk keeps the records of the contact center and does the routing. The interface has what a conversation needs.
// Package batonworker opens Baton's own desk.
type Desk interface {
	// Facts answers a query with facts. It changes nothing.
	Facts(ctx context.Context, query conversation.FactsQuery) (conversation.Facts, error)
	// Sync makes the desk's records equal to the snapshot. A repeated call with the same snapshot changes nothing
	// more and returns the same.
	Sync(ctx context.Context, snapshot conversation.Snapshot) (conversation.Acknowledgement, error)
}

// Activities implements the activities of a worker that has a desk.
type Activities struct{ Desk Desk }

// Registry registers activities. It is implemented by a worker and the test suite.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// The names of the activities. Histories contain them: a workflow cannot be replayed after a rename.
const (
	NameFacts      = "Verdict"
	NameCreateTask = "CreateTask"
	NameSyncTasks  = "SyncTasks"
)

// Register registers the activities with that desk, under their contract names.
func Register(r Registry, desk Desk) {
	a := &Activities{Desk: desk}
	r.RegisterActivityWithOptions(a.Facts, activity.RegisterOptions{Name: NameFacts})
	r.RegisterActivityWithOptions(a.CreateTask, activity.RegisterOptions{Name: NameCreateTask})
	r.RegisterActivityWithOptions(a.SyncTasks, activity.RegisterOptions{Name: NameSyncTasks})
}

// Facts asks the desk before a start, a transfer or a move is decided.
func (a *Activities) Facts(ctx context.Context, query conversation.FactsQuery) (conversation.Facts, error) {
	facts, err := a.Desk.Facts(ctx, query)
	if err != nil {
		return facts, fmt.Errorf("ask the desk about the %s of conversation %s: %w", query.Command, query.Conversation, err)
	}
	return facts, nil
}

// SyncRequest is a snapshot for the desk, and how long the answer may be delayed.
type SyncRequest struct {
	conversation.Snapshot

	// Rest is the delay of the first attempt's answer in seconds, if the answer has no matches. Changes during the
	// delay are then sent together with the next call.
	Rest float64 `json:"rest,omitempty"`
}

// CreateTask sends a snapshot with a task that is new to the desk.
func (a *Activities) CreateTask(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	return a.sync(ctx, request)
}

// SyncTasks sends a snapshot of a conversation that has changed.
func (a *Activities) SyncTasks(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	return a.sync(ctx, request)
}

func (a *Activities) sync(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	ack, err := a.Desk.Sync(ctx, request.Snapshot)
	if err != nil {
		return ack, fmt.Errorf("show the desk revision %d of conversation %s: %w", request.Revision, request.Conversation, err)
	}
	if len(ack.Matches) == 0 && activity.GetInfo(ctx).Attempt == 1 {
		_ = sleep.Until(ctx, activity.GetWorkerStopChannel(ctx), time.Duration(request.Rest*float64(time.Second)))
	}
	return ack, nil
}
