// Package serve puts a worker and a gateway together: the workflow, its activities with a desk behind
// them, and the desk's dispatcher with a courier that carries its matches to the conversations; the HTTP
// API, and the sender of its webhooks; and what the programs worker and gateway stand on, as the environment
// names it. They and starter (`dev`, `demo`) run what it makes. Nothing is decided here.
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

// Worker is a running worker: it carries conversations and places waiting tasks.
type Worker struct {
	temporal   worker.Worker
	stop       context.CancelFunc
	dispatcher sync.WaitGroup
	// stopNoting ends noting once no command is decided any more.
	stopNoting context.CancelFunc
	noting     sync.WaitGroup
	health     *telemetry.Health
}

// activitiesAtOnce is how many activities a worker runs at a time: while conversations keep changing, most
// of them rest (see [activities.SyncRequest]) and need nothing but a place.
const activitiesAtOnce = 10_000

// cachedConversations is how many open conversations a worker keeps in memory, of some 40 kB each. One that isn't
// kept is read from its history with its next command, which costs the server and the caller more.
const cachedConversations = 20_000

// WorkerOptions say how a worker runs.
type WorkerOptions struct {
	// Deployment is the version that it is of; zero: it takes whatever comes.
	Deployment temporalenv.Deployment
	// Cached is how many open conversations are kept in memory; zero for 20,000. It holds for all workers of a process.
	Cached int
	// Keys are those of the client.
	Keys   *codec.KeyRing
	Logger *slog.Logger
	// Telemetry takes what the worker tells of itself; nil where nobody asks.
	Telemetry *telemetry.Telemetry
}

// StartWorker starts a worker on a connected client and an open desk, which stay the caller's to
// close after [Worker.Stop].
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
		o.Logger.Error("The worker has ended, and carries no conversation any more: start it again", "error", err)
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
			o.Logger.Error("Conversations are no longer compared with the desk", "error", err)
		}
	})
	w.dispatcher.Go(func() {
		if err := d.RunDispatcher(ctx, courier{conversations, compared}); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("The dispatcher has ended: waiting tasks are not placed", "error", err)
		}
	})
	needBoth(health, c, d)
	health.Needs("dispatcher", func(context.Context) error { return d.Dispatches(silentAfter) })
	health.Ready()
	return w, nil
}

// Stop lets what is under way finish, and ends the worker.
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

// courier carries what the desk has to say to a conversation, as a signal.
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
		return errors.New("another workflow of it runs") // it is told again
	}
	return desk.ErrConversationGone
}

// conversations are those that a gateway's callers reach. One that turns out not to run is compared with the desk at once, so that
// its agents are free and the answer is the desk's: what it knows is closed, not unknown.
type conversations struct {
	*baton.Client

	desk     *desk.Desk
	compared *reconcile.Reconciler
	log      *slog.Logger
}

// Send implements [httpapi.Conversations] and [web.Conversations].
func (c conversations) Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	outcome, err := c.Client.Send(ctx, sid, command)
	return outcome, c.settled(ctx, sid, err)
}

// SendAsync implements [httpapi.Conversations].
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
		c.log.WarnContext(ctx, "A conversation that does not run could not be closed at the desk, and will be", "conversation", sid, "error", err)
	}
	if shown.Known && conversation.CodeOf(refused) == conversation.CodeUnknownConversation {
		return conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{}, "the conversation %s is closed: start another", sid)
	}
	return refused
}
