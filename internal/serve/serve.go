// Package serve assembles a worker and a gateway.
//
// A worker runs the conversation workflow, its activities on top of a desk, and the desk's dispatcher with a
// courier that delivers matches to conversations. A gateway serves the HTTP API and the pages, and sends webhooks.
// [Open] opens what both programs need, as configured in the environment. The programs worker, gateway and baton
// (`dev`, `demo`) run these parts. This package decides nothing about conversations.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// Worker is a running worker: it executes conversations and matches waiting tasks with agents.
type Worker struct {
	temporal   worker.Worker
	stop       context.CancelFunc
	dispatcher sync.WaitGroup
	// stopNoting ends noting after the worker has decided its last command.
	stopNoting context.CancelFunc
	noting     sync.WaitGroup
	health     *telemetry.Health
}

// activitiesAtOnce is how many activities a worker runs at a time. While conversations keep changing, most
// activities only wait (see [activities.SyncRequest]) and need nothing but a slot.
const activitiesAtOnce = 10_000

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
	refusals := newRefusals(d, o.Logger)
	options := temporalenv.WorkerOptions(o.Keys, workflows.WithRefused(refusals.take))
	options.MaxConcurrentActivityExecutionSize = activitiesAtOnce
	options.DeploymentOptions = o.Deployment.Options()
	worker.SetStickyWorkflowCacheSize(cmp.Or(o.Cached, cachedConversations))
	if o.Telemetry == nil {
		o.Telemetry = telemetry.Quiet(o.Logger)
	}
	health := o.Telemetry.Health
	options.OnFatalError = func(err error) {
		o.Logger.Error("worker ended", "error", err)
		health.End("worker")
	}
	w := &Worker{temporal: worker.New(c, workflows.TaskQueue, options), health: health}
	workflows.Register(w.temporal)
	activities.Register(w.temporal, d)
	if err := w.temporal.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	noting, stopNoting := context.WithCancel(context.WithoutCancel(ctx))
	w.stopNoting = stopNoting
	w.noting.Go(func() { refusals.run(noting) })
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	conversations := baton.NewClient(c)
	compared := newReconciler(conversations, d, o.Logger, o.Telemetry)
	w.dispatcher.Go(func() {
		if err := compared.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("comparison with the desk ended", "error", err)
		}
	})
	w.dispatcher.Go(func() {
		if err := d.RunDispatcher(ctx, courier{conversations, compared}); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("dispatcher ended", "error", err)
		}
	})
	needBoth(health, c, d)
	health.Needs("dispatcher", func(context.Context) error { return d.Dispatches(silentAfter) })
	health.Ready()
	return w, nil
}

// Stop waits for the work in progress, and stops the worker.
func (w *Worker) Stop() {
	w.health.Drain()
	w.stop()
	w.dispatcher.Wait()
	w.temporal.Stop()
	w.stopNoting()
	w.noting.Wait()
}

// newReconciler returns a reconciler whose repairs are logged and counted.
func newReconciler(c *baton.Client, d *desk.Desk, log *slog.Logger, t *telemetry.Telemetry) *reconcile.Reconciler {
	count := func(o reconcile.Outcome) { t.Repaired(string(o)) }
	return reconcile.New(c, d, reconcile.Options{Logger: log, Observe: count})
}

// courier delivers the desk's commands to conversations as signals.
type courier struct {
	client   *baton.Client
	compared *reconcile.Reconciler
}

// Deliver implements [desk.Courier].
func (c courier) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := c.client.SendAsync(ctx, sid, command)
	if !errors.Is(err, baton.ErrNotRunning) {
		return err
	}
	outcome, err := c.compared.One(ctx, sid)
	switch {
	case err != nil:
		return err
	case outcome == reconcile.Resynced || outcome == reconcile.Differs:
		return errors.New("another workflow of the conversation runs") // the dispatcher delivers again
	}
	return desk.ErrConversationGone
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

// Send implements [rest.Conversations] and [site.Conversations].
func (c conversations) Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := c.Client.Send(ctx, sid, command)
	return outcome, c.settled(ctx, sid, err)
}

// SendAsync implements [rest.Conversations].
func (c conversations) SendAsync(ctx context.Context, sid string, command conversation.Command) error {
	return c.settled(ctx, sid, c.Client.SendAsync(ctx, sid, command))
}

func (c conversations) settled(ctx context.Context, sid string, refused error) error {
	if !errors.Is(refused, baton.ErrNotRunning) {
		return refused
	}
	shown, err := c.desk.Shown(ctx, sid)
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
