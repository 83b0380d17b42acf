// Package serve assembles a worker and a gateway.
//
// A worker runs conversations and matches waiting tasks; see internal/runner. A gateway serves the HTTP API and the
// pages, and sends webhooks.
//
// [Open] opens what both programs need, as configured in the environment. The programs worker, gateway and baton
// (`dev`, `demo`) run these parts. This package decides nothing about conversations.
package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/runner"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

// Worker is a running worker with its telemetry.
type Worker struct {
	runner *runner.Runner
	health *telemetry.Health
}

// cachedConversations is how many open conversations a worker keeps in memory, about 40 kB each. A conversation
// that is not cached is rebuilt from its history at its next command, which is more expensive for the server and
// slower for the caller.
const cachedConversations = 20_000

// WorkerOptions configure [StartWorker].
type WorkerOptions struct {
	// Deployment is the worker's deployment version. The zero value makes an unversioned worker, which takes every
	// task.
	Deployment temporalenv.Deployment
	// Cached is how many open conversations all workers of the process together keep in memory; zero means 20,000.
	Cached int
	// Keys are the encryption keys of the client.
	Keys   *codec.KeyRing
	Logger *slog.Logger
	// Telemetry receives the worker's metrics, spans and health; it may be nil.
	Telemetry *telemetry.Telemetry
}

// StartWorker starts a worker on a connected client and an open desk. The caller closes both after [Worker.Stop].
func StartWorker(ctx context.Context, c client.Client, d *desk.Desk, o WorkerOptions) (*Worker, error) {
	worker.SetStickyWorkflowCacheSize(cmp.Or(o.Cached, cachedConversations))
	if o.Telemetry == nil {
		o.Telemetry = telemetry.Quiet(o.Logger)
	}
	health := o.Telemetry.Health
	running, err := runner.Start(ctx, c, d, runner.Options{
		Keys: o.Keys, Logger: o.Logger, Deployment: o.Deployment.Options(),
		Repaired: repaired(o.Telemetry), Failed: func(error) { health.End("worker") },
	})
	if err != nil {
		return nil, err
	}
	needBoth(health, c, d)
	health.Needs("dispatcher", func(context.Context) error { return d.Dispatches(silentAfter) })
	health.Ready()
	return &Worker{running, health}, nil
}

// Stop waits for the work in progress, and stops the worker.
func (w *Worker) Stop() {
	w.health.Drain()
	w.runner.Stop()
}

// repaired counts the repairs of a reconciler.
func repaired(t *telemetry.Telemetry) func(reconcile.Outcome) {
	return func(o reconcile.Outcome) { t.Repaired(string(o)) }
}

// conversations sends the commands of a gateway's callers. When a conversation's workflow does not run, it compares
// the conversation with the desk immediately: this frees its agents, and the caller gets "closed" instead of
// "unknown" if the desk knows the conversation.
type conversations struct {
	*baton.Client

	desk     *desk.Desk
	compared *reconcile.Reconciler
	log      *slog.Logger
}

// Send implements [commands.Conversations].
func (c conversations) Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := c.Client.Send(ctx, sid, command)
	return outcome, c.settled(ctx, sid, err)
}

// SendAsync implements [commands.Conversations].
func (c conversations) SendAsync(ctx context.Context, sid string, command conversation.Command) error {
	return c.settled(ctx, sid, c.Client.SendAsync(ctx, sid, command))
}

func (c conversations) settled(ctx context.Context, sid string, refused error) error {
	if !errors.Is(refused, baton.ErrNotRunning) {
		return refused
	}
	shown, err := routing.ReadShown(ctx, c.desk, sid)
	if err == nil && shown.Open {
		_, err = c.compared.One(ctx, sid)
	}
	if err != nil {
		c.log.WarnContext(ctx, "conversation without workflow not closed at the desk, retrying", "conversation", sid, "error", err)
	}
	if shown.Known && conversation.CodeOf(refused) == conversation.CodeUnknownConversation {
		return conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "the conversation %s is closed: start another", sid)
	}
	return refused
}
