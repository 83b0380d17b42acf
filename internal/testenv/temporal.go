package testenv

import (
	"context"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// History reads the history of a workflow's run, or of the latest run if run is empty.
func History(ctx context.Context, temporal client.Client, workflowID, run string) (*historypb.History, error) {
	history := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, workflowID, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, fmt.Errorf("read the history of %s: %w", workflowID, err)
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
}

// AtRest reports whether the workflow has neither a pending activity nor a pending workflow task, and what the server
// shows of its latest run.
func AtRest(ctx context.Context, temporal client.Client, workflowID string) (*workflowpb.WorkflowExecutionInfo, bool, error) {
	described, err := temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if err != nil {
		return nil, false, fmt.Errorf("look at workflow %s: %w", workflowID, err)
	}
	resting := len(described.GetPendingActivities()) == 0 && described.GetPendingWorkflowTask() == nil
	return described.GetWorkflowExecutionInfo(), resting, nil
}

// Reset resets the workflow to the end of a workflow task, as the button of the Web UI does. The event is the one that
// completed the task. Later signals and updates are not reapplied. A request that is repeated has one effect.
func Reset(ctx context.Context, temporal client.Client, workflowID string, event int64, request string) error {
	_, err := temporal.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID}, Reason: "test",
		WorkflowTaskFinishEventId: event, RequestId: request,
		ResetReapplyExcludeTypes: []enumspb.ResetReapplyExcludeType{enumspb.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL, enumspb.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE},
	})
	if err != nil {
		return fmt.Errorf("reset %s to event %d: %w", workflowID, event, err)
	}
	return nil
}
