// Package runner runs conversations on Baton's desk: a Temporal worker with the workflow and its activities, the desk's
// dispatcher with a courier that delivers matches to conversations, and the comparison of the desk with the
// conversations.
//
// internal/serve uses it for Baton's worker, and batonworker for workers in programs of users. Must not import:
// internal/telemetry and internal/config, so that such programs do not contain them.
package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/reconcile"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/workflows"
)

// Runner is a running worker: it executes conversations and matches waiting tasks with agents.
type Runner struct {
	temporal   worker.Worker
	stop       context.CancelFunc
	dispatcher sync.WaitGroup
	// stopNoting ends noting after the worker has decided its last command.
	stopNoting context.CancelFunc
	noting     sync.WaitGroup
}

// activitiesAtOnce is how many activities a worker runs at a time. While conversations keep changing, most
// activities only wait (see [activities.SyncRequest]) and need nothing but a slot.
const activitiesAtOnce = 10_000

// Options configure [Start].
type Options struct {
	// Keys are the encryption keys of the client.
	Keys   *codec.KeyRing
	Logger *slog.Logger
	// Deployment is the worker's deployment version. The zero value makes an unversioned worker, which takes every
	// task.
	Deployment worker.DeploymentOptions
	// Repaired is called with the outcome of each comparison that found a difference; nil means not at all.
	Repaired func(reconcile.Outcome)
	// Failed is called when the worker has ended by itself, with the reason; nil means not at all.
	Failed func(error)
}

// Start starts a worker on a connected client and an open desk. The caller closes both after [Runner.Stop].
func Start(ctx context.Context, c client.Client, d *desk.Desk, o Options) (*Runner, error) {
	refusals := commands.NewRefusals(d, o.Logger)
	options := codec.WorkerOptions(o.Keys, workflows.WithRefused(refusals.Take))
	options.MaxConcurrentActivityExecutionSize = activitiesAtOnce
	options.DeploymentOptions = o.Deployment
	options.OnFatalError = func(err error) {
		o.Logger.Error("worker ended", "error", err)
		if o.Failed != nil {
			o.Failed(err)
		}
	}
	r := &Runner{temporal: worker.New(c, workflows.TaskQueue, options)}
	workflows.Register(r.temporal)
	activities.Register(r.temporal, routing.NewConversationDesk(d))
	if err := r.temporal.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	noting, stopNoting := context.WithCancel(context.WithoutCancel(ctx))
	r.stopNoting = stopNoting
	r.noting.Go(func() { refusals.Run(noting) })
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	conversations := baton.NewClient(c)
	compared := reconcile.New(conversations, d, reconcile.Options{Logger: o.Logger, Observe: o.Repaired})
	r.dispatcher.Go(func() {
		if err := compared.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("comparison with the desk ended", "error", err)
		}
	})
	r.dispatcher.Go(func() {
		if err := routing.RunDispatcher(ctx, d, courier{conversations, compared}); err != nil && !errors.Is(err, context.Canceled) {
			o.Logger.Error("dispatcher ended", "error", err)
		}
	})
	return r, nil
}

// Stop waits for the work in progress, and stops the worker.
func (r *Runner) Stop() {
	r.stop()
	r.dispatcher.Wait()
	r.temporal.Stop()
	r.stopNoting()
	r.noting.Wait()
}

// courier delivers the desk's commands to conversations as signals.
type courier struct {
	client   *baton.Client
	compared *reconcile.Reconciler
}

// Deliver implements [routing.Courier].
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
