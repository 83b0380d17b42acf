package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
)

// The queues of conversations. Every agent works on both.
const (
	queueSupport = "support"
	queueBilling = "billing"
)

// agentCount is two agents for each conversation of the closed loop.
const agentCount = 2 * clients

// stopGrace is how long a server may take to stop.
const stopGrace = 10 * time.Second

// environment is what conversations and bare workflows run on: one dev server with its database in a file, one
// desk, and a worker for each kind, with the same options.
type environment struct {
	*testenv.Environment

	worker *serve.Worker
	bare   worker.Worker
	agents []string
	log    *slog.Logger
}

func openEnvironment(ctx context.Context, folder, database string, progress io.Writer) (_ *environment, err error) {
	s, err := openWithoutWorkers(ctx, folder, database, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if s.worker, err = serve.StartWorker(ctx, s.Temporal, s.Desk, serve.WorkerOptions{Logger: s.log}); err != nil {
		return nil, err
	}
	bare := worker.New(s.Temporal, bareTaskQueue, codec.WorkerOptions(nil))
	bare.RegisterWorkflow(bareWorkflow)
	bare.RegisterWorkflow(notedWorkflow)
	if err := bare.Start(); err != nil {
		return nil, fmt.Errorf("start the worker of the bare workflows: %w", err)
	}
	s.bare = bare
	return s, nil
}

// openWithoutWorkers opens the desk and starts the dev server. Transfers are enabled; all agents are available and on
// both queues.
func openWithoutWorkers(ctx context.Context, folder, database string, progress io.Writer) (_ *environment, err error) {
	s := &environment{log: slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: slog.LevelError}))}
	s.Environment, err = testenv.Open(ctx, testenv.Options{
		Folder: folder, Database: database, Progress: progress, Logger: s.log,
		SearchAttributes: map[string]enumspb.IndexedValueType{barelyNoted.GetName(): barelyNoted.GetValueType()},
	})
	if err != nil {
		return nil, err
	}
	var agents []testenv.Agent
	for i := range agentCount {
		s.agents = append(s.agents, fmt.Sprintf("agent-%02d", i))
		agents = append(agents, testenv.Agent{Name: s.agents[i], Queues: []string{queueSupport, queueBilling}})
	}
	_, set := desk.SetSettings(ctx, s.Desk, "bench", func(settings *conversation.Settings) { settings.MessagingTransfers = true })
	for _, err := range []error{set, testenv.AddQueues(ctx, s.Desk, queueSupport, queueBilling), testenv.AddAgents(ctx, s.Desk, agents...)} {
		if err != nil {
			return nil, errors.Join(err, s.close(ctx))
		}
	}
	return s, nil
}

// close stops what was started, the workers first, also if ctx has ended.
func (s *environment) close(ctx context.Context) error {
	if s.bare != nil {
		s.bare.Stop()
	}
	if s.worker != nil {
		s.worker.Stop()
	}
	return s.Close(ctx)
}

// historySize is the length of a workflow's history in events and in bytes.
type historySize struct{ events, bytes int64 }

// quietPoll is how often a workflow is polled until it is quiet.
const quietPoll = 5 * time.Millisecond

// quiet waits until the workflow has neither a pending activity nor a pending workflow task, and returns the size
// of its history.
func (s *environment) quiet(ctx context.Context, workflowID string) (historySize, error) {
	for {
		info, resting, err := testenv.AtRest(ctx, s.Temporal, workflowID)
		if err != nil {
			return historySize{}, err
		}
		if resting {
			return historySize{events: info.GetHistoryLength(), bytes: info.GetHistorySizeBytes()}, nil
		}
		if err := sleep.For(ctx, quietPoll); err != nil {
			return historySize{}, fmt.Errorf("wait until workflow %s is quiet: %w", workflowID, err)
		}
	}
}
