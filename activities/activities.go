// Package activities is what a conversation asks of the desk, and the interface it asks through.
//
// Three activities, each one call: Verdict (read-only, local) for the facts before a decision, CreateTask and
// SyncTasks (both the same call under two names, for whoever reads a history) after it. Rules may
// not come in, they are in conversation/; nor SQL, which is in desk/.
package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/baton-transfers/baton/conversation"
)

// Desk is the contact centre's records and routing, as far as a conversation needs them. It is
// declared here, where it is used; desk.Desk satisfies it.
type Desk interface {
	// Facts answers a question with facts. It changes nothing.
	Facts(ctx context.Context, query conversation.FactsQuery) (conversation.Facts, error)
	// Sync makes the desk's records equal to the snapshot. Called again with the same snapshot, it
	// changes nothing more and answers the same.
	Sync(ctx context.Context, snapshot conversation.Snapshot) (conversation.Acknowledgement, error)
}

// Activities are the activities of a worker that has a desk.
type Activities struct{ Desk Desk }

// Registry takes activities: a worker, or the test suite.
type Registry interface {
	RegisterActivityWithOptions(a any, options activity.RegisterOptions)
}

// The names of the activities. Histories contain them: a workflow whose activity has another name cannot be replayed.
const (
	NameVerdict    = "Verdict"
	NameCreateTask = "CreateTask"
	NameSyncTasks  = "SyncTasks"
)

// Register registers the activities of a worker with that desk, under their names in the contract.
func Register(r Registry, desk Desk) {
	a := &Activities{Desk: desk}
	r.RegisterActivityWithOptions(a.Facts, activity.RegisterOptions{Name: NameVerdict})
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

// SyncRequest is a snapshot for the desk, and how soon the conversation wants the answer.
type SyncRequest struct {
	conversation.Snapshot

	// Rest is how many seconds the first attempt's answer is kept back where it brings nothing new, so
	// that what changes meanwhile goes with one call.
	Rest float64 `json:"rest,omitempty"`
}

// CreateTask tells the desk of a conversation that has a task the desk hasn't seen.
func (a *Activities) CreateTask(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	return a.sync(ctx, request)
}

// SyncTasks tells the desk of a conversation that has changed.
func (a *Activities) SyncTasks(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	return a.sync(ctx, request)
}

func (a *Activities) sync(ctx context.Context, request SyncRequest) (conversation.Acknowledgement, error) {
	ack, err := a.Desk.Sync(ctx, request.Snapshot)
	if err != nil {
		return ack, fmt.Errorf("show the desk revision %d of conversation %s: %w", request.Revision, request.Conversation, err)
	}
	if len(ack.Matches) == 0 && activity.GetInfo(ctx).Attempt == 1 {
		rest(ctx, time.Duration(request.Rest*float64(time.Second)))
	}
	return ack, nil
}

// rest waits that long, or until the worker stops.
func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-activity.GetWorkerStopChannel(ctx):
	case <-ctx.Done():
	}
}
