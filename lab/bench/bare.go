package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	bareTaskQueue = "bench-bare"
	bareUpdate    = "update"
	bareEnd       = "end"
)

// barelyNoted is the search attribute that notedWorkflow changes.
var barelyNoted = temporal.NewSearchAttributeKeyKeyword("BenchNoted")

// bareWorkflow takes updates that do nothing.
func bareWorkflow(ctx workflow.Context) error {
	count := 0
	return takeUpdates(ctx, func(workflow.Context) (int, error) {
		count++
		return count, nil
	})
}

// notedWorkflow takes updates that change a search attribute, each to a new value.
func notedWorkflow(ctx workflow.Context) error {
	count := 0
	return takeUpdates(ctx, func(ctx workflow.Context) (int, error) {
		count++
		return count, workflow.UpsertTypedSearchAttributes(ctx, barelyNoted.ValueSet(strconv.Itoa(count)))
	})
}

func takeUpdates(ctx workflow.Context, handler func(workflow.Context) (int, error)) error {
	if err := workflow.SetUpdateHandler(ctx, bareUpdate, handler); err != nil {
		return fmt.Errorf("take updates: %w", err)
	}
	workflow.GetSignalChannel(ctx, bareEnd).Receive(ctx, nil)
	return nil
}

// bare is a bare workflow.
type bare struct {
	temporal         client.Client
	kind, workflowID string
}

func openBare(ctx context.Context, s *environment, kind string) (*bare, error) {
	run := bareWorkflow
	if kind == kindNoted {
		run = notedWorkflow
	}
	b := &bare{temporal: s.Temporal, kind: kind, workflowID: "bench/" + uuid.NewString()}
	options := client.StartWorkflowOptions{ID: b.workflowID, TaskQueue: bareTaskQueue}
	if _, err := s.Temporal.ExecuteWorkflow(ctx, options, run); err != nil {
		return nil, fmt.Errorf("start a bare workflow: %w", err)
	}
	_, err := b.step(ctx) // the first update waits for the workflow to start
	return b, err
}

func (b *bare) id() string { return b.workflowID }

func (b *bare) steps() []string { return []string{b.kind} }

func (b *bare) step(ctx context.Context) (string, error) {
	handle, err := b.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: b.workflowID, UpdateName: bareUpdate, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return b.kind, fmt.Errorf("update workflow %s: %w", b.workflowID, err)
	}
	var count int
	if err := handle.Get(ctx, &count); err != nil {
		return b.kind, fmt.Errorf("update workflow %s: %w", b.workflowID, err)
	}
	return b.kind, nil
}

func (b *bare) end(ctx context.Context) error {
	if err := b.temporal.SignalWorkflow(ctx, b.workflowID, "", bareEnd, nil); err != nil {
		return fmt.Errorf("end workflow %s: %w", b.workflowID, err)
	}
	return nil
}
