package webhook

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// form returns what TaskRouter sends for the event (https://www.twilio.com/docs/taskrouter/api/event/reference).
// All events of a kind have the same parameters, which may be empty. The statuses, the queue and the priority are
// those at the time of the event; attributes, names and an agent's activity are the present ones.
func (s *Sender) form(ctx context.Context, account access.Account, e desk.LoggedEvent) (form, error) {
	resource, sid := resourceOf(e)
	_, what, _ := strings.Cut(string(e.Name), ".")
	f := form{
		"Sid":              e.SID(),
		"EventType":        string(e.Name),
		"EventDescription": fmt.Sprintf("%s %s: %s", resource, sid, strings.NewReplacer("-", " ", ".", " ").Replace(what)),
		"AccountSid":       account.SID,
		"WorkspaceSid":     conversation.SameSID(desk.PrefixWorkspace, account.SID),
		"WorkspaceName":    account.Workspace.FriendlyName,
		"ResourceType":     resource,
		"ResourceSid":      sid,
		"Timestamp":        strconv.FormatInt(e.At.Unix(), 10),
		"TimestampMs":      strconv.FormatInt(e.At.UnixMilli(), 10),
	}
	var parts []func(context.Context, form, desk.LoggedEvent) error
	switch resource {
	case resourceWorker:
		parts = append(parts, s.addWorker)
	case resourceQueue:
		parts = append(parts, s.addQueue)
	case resourceReservation:
		parts = append(parts, s.addTask, s.addWorker)
		f["ReservationSid"] = e.Reservation
	case resourceTask:
		parts = append(parts, s.addTask)
		if strings.HasPrefix(what, "transfer-") {
			parts = append(parts, s.addTransfer)
		}
	}
	for _, add := range parts {
		if err := add(ctx, f, e); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// The subjects of events, in TaskRouter's terms.
const (
	resourceTask        = "task"
	resourceReservation = "reservation"
	resourceWorker      = "worker"
	resourceQueue       = "task-queue"
)

// resourceOf returns the subject of the event, and its SID. The subject of a task's entry into a queue is the task.
func resourceOf(e desk.LoggedEvent) (resource, sid string) {
	resource, _, _ = strings.Cut(string(e.Name), ".")
	switch {
	case resource == resourceWorker:
		return resource, conversation.AgentSID(e.Agent)
	case resource == resourceReservation:
		return resource, e.Reservation
	case e.Task != "":
		return resourceTask, e.Task
	default:
		return resourceQueue, conversation.QueueSID(e.Queue)
	}
}

func (s *Sender) addTask(ctx context.Context, f form, e desk.LoggedEvent) error {
	task, err := records.FindTask(ctx, s.desk, e.Task)
	if conversation.CodeOf(err) == conversation.CodeNoSuchTask {
		task, err = records.Task{Task: conversation.Task{CreatedAt: e.At}}, nil // lost by the desk; the event has most of it
	}
	if err != nil {
		return err
	}
	attributes := []byte("{}")
	if len(task.Attributes) > 0 {
		if attributes, err = json.Marshal(task.Attributes); err != nil {
			return fmt.Errorf("encode the attributes of task %s: %w", e.Task, err)
		}
	}
	f["TaskSid"] = e.Task
	f["TaskAttributes"] = string(attributes)
	f["TaskAge"] = strconv.Itoa(int(e.At.Sub(task.CreatedAt).Seconds()))
	f["TaskPriority"] = strconv.Itoa(e.Priority)
	f["TaskAssignmentStatus"] = string(e.TaskStatus)
	f["TaskCanceledReason"], f["TaskCompletedReason"] = EndReasons(e, task)
	f["TaskChannelSid"] = desk.NamedSID(desk.PrefixTaskChannel, string(task.Channel))
	f["TaskChannelUniqueName"] = string(task.Channel)
	return s.addLabels(ctx, f, e)
}

// EndReasons returns why the task was canceled, and how it was completed, for an event at or after its end. Both
// are "" for earlier events.
func EndReasons(e desk.LoggedEvent, task records.Task) (canceled, completed string) {
	switch e.TaskStatus {
	case conversation.TaskCanceled:
		return cmp.Or(task.Disposition, string(task.CanceledReason)), ""
	case conversation.TaskCompleted:
		return "", task.Disposition
	case conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping:
	}
	return "", ""
}

// addLabels adds the queue that the task was in, and the workflow that routed it.
func (s *Sender) addLabels(ctx context.Context, f form, e desk.LoggedEvent) error {
	labels, err := routes.LabelsFor(ctx, s.desk, e.Queue, e.Conversation)
	f["TaskQueueSid"], f["TaskQueueName"] = conversation.QueueSID(e.Queue), labels.Queue
	f["WorkflowSid"], f["WorkflowName"] = labels.Workflow, labels.WorkflowName
	return err
}

func (s *Sender) addQueue(ctx context.Context, f form, e desk.LoggedEvent) error {
	labels, err := routes.LabelsFor(ctx, s.desk, e.Queue, "")
	f["TaskQueueSid"], f["TaskQueueName"] = conversation.QueueSID(e.Queue), labels.Queue
	return err
}

// addWorker adds the agent. For an agent who was removed it uses what the event contains.
func (s *Sender) addWorker(ctx context.Context, f form, e desk.LoggedEvent) error {
	agent, err := people.FindAgent(ctx, s.desk, e.Agent)
	if conversation.CodeOf(err) == conversation.CodeUnknownAgent {
		agent, err = people.Agent{FriendlyName: e.Agent, Attributes: json.RawMessage("{}")}, nil
	}
	if err != nil {
		return err
	}
	if e.Name == desk.EventAgentActivity && e.Activity != agent.Activity.Name {
		if agent.Activity, err = s.activity(ctx, e.Activity); err != nil {
			return err
		}
	}
	f["WorkerSid"] = conversation.AgentSID(e.Agent)
	f["WorkerName"] = agent.FriendlyName
	f["WorkerAttributes"] = string(agent.Attributes)
	f["WorkerActivitySid"] = agent.Activity.SID
	f["WorkerActivityName"] = agent.Activity.Name
	return nil
}

// activity returns the activity with that name. The SID is empty if the activity no longer exists.
func (s *Sender) activity(ctx context.Context, name string) (routing.Activity, error) {
	activities, err := routing.ListActivities(ctx, s.desk)
	if at := slices.IndexFunc(activities, func(a routing.Activity) bool { return a.Name == name }); at >= 0 {
		return activities[at], err
	}
	return routing.Activity{Name: name}, err
}

// addTransfer adds the transfer in TaskRouter's terms, with its status at the time of the event.
func (s *Sender) addTransfer(ctx context.Context, f form, e desk.LoggedEvent) error {
	transfer, err := records.FindTransfer(ctx, s.desk, e.Transfer)
	if conversation.CodeOf(err) != "" {
		transfer, err = records.Transfer{Transfer: conversation.Transfer{SID: e.Transfer, Mode: conversation.ModeCold, To: e.To}}, nil // lost by the desk
	}
	if err != nil {
		return err
	}
	f["TransferSid"] = transfer.SID
	f["TransferMode"] = strings.ToUpper(string(transfer.Mode))
	f["TransferStatus"] = TransferStatus(e.Name)
	f["TransferInitiatingWorkerSid"] = conversation.AgentSID(transfer.From)
	f["TransferType"], f["TransferTo"] = "WORKER", conversation.AgentSID(transfer.To.Agent)
	if transfer.To.Queue != "" {
		f["TransferType"], f["TransferTo"] = "QUEUE", conversation.QueueSID(transfer.To.Queue)
	}
	f["TransferFailedReason"] = e.Reason
	return nil
}

// TransferStatus returns TaskRouter's status of a transfer after an event with that name; "" for events of other
// kinds.
func TransferStatus(name conversation.EventName) string { return transferStatuses[name] }

// transferStatuses maps events to TaskRouter's statuses. Unlike Flex, TaskRouter distinguishes a canceled transfer
// from a failed one.
var transferStatuses = map[conversation.EventName]string{
	conversation.EventTransferInitiated:     "initiated",
	conversation.EventTransferAttemptFailed: "initiated",
	conversation.EventTransferFailed:        "failed",
	conversation.EventTransferCanceled:      "canceled",
	conversation.EventTransferCompleted:     "completed",
}
