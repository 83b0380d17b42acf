// Package serve puts a worker and a gateway together: the workflow, its activities with a desk behind
// them, and the desk's dispatcher with a courier that carries its matches to the conversations; the HTTP
// API, and the sender of its webhooks. The programs worker, gateway and starter (`dev`, `demo`) run what
// it makes. Nothing is decided here.
package serve

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
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// Worker is a running worker: it carries conversations and places waiting tasks.
type Worker struct {
	temporal   worker.Worker
	stop       context.CancelFunc
	dispatcher sync.WaitGroup
}

// activitiesAtOnce is how many activities a worker runs at a time: while conversations keep changing, most
// of them rest (see [activities.Showing]) and need nothing but a place.
const activitiesAtOnce = 10_000

// StartWorker starts a worker on a connected client and an open desk, which stay the caller's to
// close after [Worker.Stop].
func StartWorker(ctx context.Context, c client.Client, d *desk.Desk, logger *slog.Logger) (*Worker, error) {
	options := temporalenv.WorkerOptions()
	options.MaxConcurrentActivityExecutionSize = activitiesAtOnce
	w := &Worker{temporal: worker.New(c, workflows.TaskQueue, options)}
	workflows.Register(w.temporal)
	activities.Register(w.temporal, d)
	if err := w.temporal.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.dispatcher.Go(func() {
		if err := d.RunDispatcher(ctx, courier{baton.NewClient(c)}); err != nil && !errors.Is(err, context.Canceled) {
			logger.Error("The dispatcher has ended: waiting tasks are not placed", "error", err)
		}
	})
	return w, nil
}

// Stop lets what is under way finish, and ends the worker.
func (w *Worker) Stop() {
	w.stop()
	w.dispatcher.Wait()
	w.temporal.Stop()
}

// courier carries what the desk has to say to a conversation, as a signal.
type courier struct{ client *baton.Client }

// Deliver implements [desk.Courier].
func (c courier) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := c.client.SendAsync(ctx, sid, command)
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return desk.ErrConversationGone
	}
	return err
}
