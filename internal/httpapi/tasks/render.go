package tasks

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
)

// Model returns a task in the form of TaskRouter.
func Model(c *rest.Call, task records.Task) (taskmodel.TaskrouterV1Task, error) {
	labels, err := routes.LabelsFor(c.Ctx, c.Desk, task.Queue, task.Conversation)
	if err != nil {
		return taskmodel.TaskrouterV1Task{}, err
	}
	return Labeled(c, task, labels)
}

// Labeled returns a task in the form of TaskRouter, with labels that are known already.
func Labeled(c *rest.Call, task records.Task, labels routes.Labels) (taskmodel.TaskrouterV1Task, error) {
	attributes := []byte("{}")
	if len(task.Attributes) > 0 {
		var err error
		if attributes, err = json.Marshal(task.Attributes); err != nil {
			return taskmodel.TaskrouterV1Task{}, fmt.Errorf("encode the attributes of task %s: %w", task.SID, err)
		}
	}
	target := ""
	if task.Direct {
		target = conversation.AgentSID(task.Agent)
	}
	reason := cmp.Or(task.Disposition, string(task.CanceledReason))
	base := c.WorkspaceURL("Tasks", task.SID)
	return taskmodel.TaskrouterV1Task{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(task.SID), Url: new(base),
		Age: rest.Seconds(task.CreatedAt, c.Now), AssignmentStatus: new(string(task.Status)), Attributes: new(string(attributes)), Addons: new("{}"),
		DateCreated: rest.Date(task.CreatedAt), DateUpdated: rest.Date(UpdatedAt(task)), TaskQueueEnteredDate: rest.Date(task.CreatedAt), VirtualStartTime: rest.Date(task.QueuedAt),
		Priority: task.Priority, Reason: rest.Text(reason), TaskQueueSid: new(conversation.QueueSID(task.Queue)), TaskQueueFriendlyName: new(labels.Queue),
		TaskChannelSid: new(rest.ChannelSID(task.Channel)), TaskChannelUniqueName: new(string(task.Channel)), Timeout: rest.Seconds(task.CreatedAt, task.TimeoutAt),
		WorkflowSid: new(labels.Workflow), WorkflowFriendlyName: new(labels.WorkflowName), IgnoreCapacity: new(task.Direct), RoutingTarget: rest.Text(target),
		Links: &map[string]any{
			"task_queue": c.WorkspaceURL("TaskQueues", conversation.QueueSID(task.Queue)), "workflow": c.WorkspaceURL("Workflows", labels.Workflow),
			"workspace": c.WorkspaceURL(), "reservations": base + "/Reservations",
		},
	}, nil
}

// UpdatedAt returns the time of the task's last change.
func UpdatedAt(task records.Task) time.Time {
	latest := task.CreatedAt
	times := []time.Time{task.AssignedAt, task.WrappingAt, task.CompletedAt, task.CanceledAt}
	if task.Reservation != nil {
		times = append(times, task.Reservation.CreatedAt)
	}
	for _, at := range times {
		if at.After(latest) {
			latest = at
		}
	}
	return latest
}
