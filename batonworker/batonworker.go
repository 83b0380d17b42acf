// Package batonworker runs conversations in a Go program of your own, on Baton's desk. It does what Baton's program
// worker does, without its configuration by environment variables, its metrics and its probes:
//
//	desk, err := batonworker.OpenDesk(ctx, "postgres://baton@localhost/baton", batonworker.DeskOptions{Keys: keys})
//	…
//	worker, err := batonworker.Start(ctx, temporal, desk, batonworker.Options{Keys: keys})
//	…
//	defer worker.Stop()
//
// The command baton administers the desk's agents, queues and settings. Programs of this kind, Baton's workers and its
// gateways can share one desk and one Temporal namespace, if all have the same keys.
//
// A program with a desk of its own needs only the options of package codec. It implements
// [github.com/baton-transfers/baton/activities.Desk], and finds agents for waiting tasks itself: see the example.
//
// Must not be imported by Baton's other packages, which use internal/runner.
package batonworker

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/runner"
)

// Desk is Baton's desk, open on a database. It keeps agents, queues, settings, transcripts and a copy of every
// conversation, and matches waiting tasks with agents. It is safe for concurrent use.
type Desk struct{ desk *desk.Desk }

// DeskOptions configure [OpenDesk]. The zero value is usable.
type DeskOptions struct {
	// Keys encrypt what customers and agents write; nil encrypts nothing.
	Keys *codec.KeyRing
	// Logger receives errors that no call returns; nil logs nothing.
	Logger *slog.Logger
}

// OpenDesk opens the desk in a database: the path of a SQLite file, or the address of a PostgreSQL database, such as
// postgres://user@host/name. The first program that opens a database creates the tables.
func OpenDesk(ctx context.Context, database string, o DeskOptions) (*Desk, error) {
	opened, err := desk.Open(ctx, database, desk.Options{Logger: o.Logger, Cipher: o.Keys})
	if err != nil {
		return nil, err
	}
	return &Desk{opened}, nil
}

// Close closes the database. Stop the workers first.
func (d *Desk) Close() error { return d.desk.Close() }

// Worker is a running worker: it executes conversations, and matches waiting tasks with agents.
type Worker struct {
	runner *runner.Runner
	desk   *desk.Desk
}

// Options configure [Start]. The zero value is usable.
type Options struct {
	// Keys are the encryption keys of the client, which [codec.ClientOptions] has given it; nil encrypts nothing.
	Keys *codec.KeyRing
	// Logger receives errors and repairs; nil logs nothing.
	Logger *slog.Logger
	// Deployment is the worker's version in a Temporal worker deployment. The zero value makes an unversioned worker,
	// which takes every task.
	Deployment worker.DeploymentOptions
	// Failed is called when the worker has ended by itself, for example because its namespace was deleted; nil means not
	// at all.
	Failed func(error)
}

// Start starts a worker on a connected client and an open desk. The namespace must have the search attributes of
// [github.com/baton-transfers/baton/workflows.SearchAttributes], which `baton setup` registers. The worker runs until
// [Worker.Stop], also if ctx ends. How many conversations stay in memory is a setting of the process: see
// [worker.SetStickyWorkflowCacheSize].
func Start(ctx context.Context, c client.Client, d *Desk, o Options) (*Worker, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	running, err := runner.Start(ctx, c, d.desk, runner.Options{
		Keys: o.Keys, Logger: o.Logger, Deployment: o.Deployment, Failed: o.Failed,
	})
	if err != nil {
		return nil, err
	}
	return &Worker{running, d.desk}, nil
}

// Dispatches returns an error if the worker has matched no waiting tasks for longer than within, and nil if it has, for
// a readiness probe. A worker in good order does it at least once a second.
func (w *Worker) Dispatches(within time.Duration) error { return w.desk.Dispatches(within) }

// Stop waits for the work in progress, and stops the worker.
func (w *Worker) Stop() { w.runner.Stop() }
