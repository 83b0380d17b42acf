package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// The queues of conversations. Every agent works on both.
const (
	queueSupport = "support"
	queueBilling = "billing"
)

// agentCount is two agents for each conversation of the closed loop.
const agentCount = 2 * clients

// stopGrace is how long the dev server may take to stop.
const stopGrace = 10 * time.Second

// environment is what conversations and bare workflows run on: one dev server with its database in a file, one
// desk, and a worker for each kind, with the same options.
type environment struct {
	server   *devserver.Server
	temporal client.Client
	baton    *baton.Client
	desk     *desk.Desk
	worker   *serve.Worker
	bare     worker.Worker
	agents   []string
	log      *slog.Logger
}

func openStage(ctx context.Context, folder, database string, progress io.Writer) (_ *environment, err error) {
	s, err := openWithoutWorkers(ctx, folder, database, progress)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if s.worker, err = serve.StartWorker(ctx, s.temporal, s.desk, serve.WorkerOptions{Logger: s.log}); err != nil {
		return nil, err
	}
	bare := worker.New(s.temporal, bareTaskQueue, codec.WorkerOptions(nil))
	bare.RegisterWorkflow(bareWorkflow)
	bare.RegisterWorkflow(notedWorkflow)
	if err := bare.Start(); err != nil {
		return nil, fmt.Errorf("start the worker of the bare workflows: %w", err)
	}
	s.bare = bare
	return s, nil
}

// openWithoutWorkers opens the desk and starts the dev server.
func openWithoutWorkers(ctx context.Context, folder, database string, progress io.Writer) (_ *environment, err error) {
	logger := slog.New(slog.NewTextHandler(progress, &slog.HandlerOptions{Level: slog.LevelError}))
	binary, err := devserver.Binary(ctx, progress)
	if err != nil {
		return nil, err
	}
	s := &environment{log: logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if s.desk, err = desk.Open(ctx, database, desk.Options{Logger: logger}); err != nil {
		return nil, err
	}
	if s.agents, err = staff(ctx, s.desk); err != nil {
		return nil, err
	}
	attributes := workflows.SearchAttributes()
	attributes[barelyNoted.GetName()] = barelyNoted.GetValueType()
	s.server, err = devserver.Start(ctx, devserver.Options{
		Binary: binary, DatabaseFile: config.TemporalFile(folder), SearchAttributes: attributes,
	})
	if err != nil {
		return nil, err
	}
	if s.temporal, err = temporalenv.Dial(ctx, temporalenv.Options{Address: s.server.Address, Own: true, Logger: logger}); err != nil {
		return nil, err
	}
	s.baton = baton.NewClient(s.temporal)
	return s, nil
}

// staff enables transfers and adds the agents, all available and on both queues.
func staff(ctx context.Context, d *desk.Desk) ([]string, error) {
	if _, err := desk.SetSettings(ctx, d, "bench", func(settings *conversation.Settings) { settings.MessagingTransfers = true }); err != nil {
		return nil, err
	}
	agents := make([]string, agentCount)
	for i := range agents {
		agents[i] = fmt.Sprintf("agent-%02d", i)
		if err := desk.AddAgent(ctx, d, desk.NewAgent{Name: agents[i], Presence: desk.PresenceAvailable}); err != nil {
			return nil, err
		}
	}
	for _, queue := range []string{queueSupport, queueBilling} {
		if err := desk.AddQueue(ctx, d, queue); err != nil {
			return nil, err
		}
		if err := desk.SetMembers(ctx, d, queue, agents...); err != nil {
			return nil, err
		}
	}
	return agents, nil
}

// close stops what was started, the workers first, also if ctx has ended.
func (s *environment) close(ctx context.Context) error {
	var errs []error
	if s.bare != nil {
		s.bare.Stop()
	}
	if s.worker != nil {
		s.worker.Stop()
	}
	if s.temporal != nil {
		s.temporal.Close()
	}
	if s.desk != nil {
		errs = append(errs, s.desk.Close())
	}
	if s.server != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		errs = append(errs, s.server.Stop(ctx))
	}
	return errors.Join(errs...)
}

// historySize is the length of a workflow's history in events and in bytes.
type historySize struct{ events, bytes int64 }

// quietPoll is how often a workflow is polled until it is quiet.
const quietPoll = 5 * time.Millisecond

// quiet waits until the workflow has neither a pending activity nor a pending workflow task, and returns the size
// of its history.
func (s *environment) quiet(ctx context.Context, workflowID string) (historySize, error) {
	for {
		described, err := s.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
		if err != nil {
			return historySize{}, fmt.Errorf("look at workflow %s: %w", workflowID, err)
		}
		if len(described.GetPendingActivities()) == 0 && described.GetPendingWorkflowTask() == nil {
			info := described.GetWorkflowExecutionInfo()
			return historySize{events: info.GetHistoryLength(), bytes: info.GetHistorySizeBytes()}, nil
		}
		if err := pause(ctx, quietPoll); err != nil {
			return historySize{}, fmt.Errorf("wait until workflow %s is quiet: %w", workflowID, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
