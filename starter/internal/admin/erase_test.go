package admin

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/starter/internal/cli"
	"github.com/baton-transfers/baton/workflows"
)

// histories is a fake server's workflow histories. It deletes those that are neither refused nor slow.
type histories struct {
	client.Client

	kept          map[string]bool
	refused, slow string
}

func (h *histories) WorkflowService() workflowservice.WorkflowServiceClient {
	return deleting{histories: h}
}

// deleting is the part of the fake server that deletes.
type deleting struct {
	workflowservice.WorkflowServiceClient

	histories *histories
}

func (d deleting) DeleteWorkflowExecution(_ context.Context, in *workflowservice.DeleteWorkflowExecutionRequest, _ ...grpc.CallOption) (*workflowservice.DeleteWorkflowExecutionResponse, error) {
	h, run := d.histories, in.GetWorkflowExecution().GetRunId()
	switch {
	case run == h.refused:
		return nil, serviceerror.NewPermissionDenied("no right to delete", "")
	case !h.kept[run]:
		return nil, serviceerror.NewNotFound("gone")
	case run != h.slow:
		delete(h.kept, run)
	}
	return &workflowservice.DeleteWorkflowExecutionResponse{}, nil
}

func (h *histories) DescribeWorkflowExecution(_ context.Context, _, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if !h.kept[run] {
		return nil, serviceerror.NewNotFound("gone")
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{}, nil
}

// TestHistoriesThatAreLeftAreNamed: a history that the server still has is not reported as deleted, and a second
// call succeeds.
func TestHistoriesThatAreLeftAreNamed(t *testing.T) {
	t.Parallel()
	const first, second = "CH00000000000000000000000000000001", "CH00000000000000000000000000000002"
	runs := []historyRun{
		{execution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(first), RunId: "one"}},
		{execution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(second), RunId: "two"}},
	}
	server := &histories{kept: map[string]bool{"one": true, "two": true}, refused: "two"}
	var stderr bytes.Buffer
	c := &cli.Env{Stderr: &stderr}
	err := deleteHistories(t.Context(), c, server, runs)
	require.ErrorContains(t, err, "1 of 2 workflow histories are not deleted, those of "+second+", and nothing is erased at the desk yet: run this again")
	require.ErrorContains(t, err, "no right to delete")
	require.Empty(t, conversation.CodeOf(err))

	server.refused, server.slow = "", "two"
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, deleteHistories(ctx, c, server, runs), "those of "+second, "it still has one")
	require.Contains(t, stderr.String(), "waiting for the server")

	server.slow = ""
	require.NoError(t, deleteHistories(t.Context(), c, server, runs), "those that are gone already are no failure")
	require.Empty(t, server.kept)
}
