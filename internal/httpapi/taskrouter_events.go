package httpapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/httpapi/webhook"
)

func eventRoutes() []route {
	return []route{
		get(taskrouter, workspacePath+"/Events", staff).says("Lists events, newest first.").
			with("EventType", "Minutes", "StartDate", "EndDate", "TaskSid", "WorkerSid", "ReservationSid", "TaskQueueSid", "TaskChannel", "WorkflowSid", "Sid").
			lists("events", taskmodel.TaskrouterV1Event{}).by((*call).listEvents),
		get(taskrouter, workspacePath+"/Events/{event}", staff).says("Fetches an event.").answers(taskmodel.TaskrouterV1Event{}).by((*call).fetchEvent),
	}
}

func (c *call) listEvents() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	filter, none, err := c.eventFilter()
	if err != nil {
		return nil, err
	}
	channel, err := c.channelAsked()
	if err != nil {
		return nil, err
	}
	workflow, err := c.sid("WorkflowSid", desk.PrefixWorkflow)
	if err != nil {
		return nil, err
	}
	c.settle()
	var found desk.Found[desk.LoggedEvent]
	switch {
	case none:
	case channel != "" || workflow != "":
		found, err = c.desk.EventPageOn(c.ctx, channel, workflow, filter, page)
	default:
		found, err = c.desk.EventPage(c.ctx, filter, page)
	}
	if err != nil {
		return nil, err
	}
	events, err := c.renderEvents(found.Entries)
	if err != nil {
		return nil, err
	}
	answer := list(c, page, found, func(desk.LoggedEvent) any { return nil })
	answer.entries = events
	return answer, nil
}

// eventFilter reads which events are requested. none is set if no event can match. The period is ignored if the SID
// of an event is given.
func (c *call) eventFilter() (filter desk.EventFilter, none bool, err error) {
	filter.Name = conversation.EventName(c.form.Get("EventType"))
	if filter.From, filter.To, err = c.period(); err != nil {
		return filter, false, err
	}
	if c.form.Get("EndDate") == "" {
		filter.To = time.Time{} // the clocks of other machines may be ahead
	}
	sid, err := c.sid("Sid", desk.PrefixEvent)
	if err != nil {
		return filter, false, err
	}
	if sid != "" {
		epoch, position, known := desk.EventPosition(sid)
		if !known {
			return filter, true, nil
		}
		filter = desk.EventFilter{Epoch: epoch, Position: position, Name: filter.Name}
	}
	if filter.Task, err = c.sid("TaskSid", conversation.PrefixTask); err != nil {
		return filter, false, err
	}
	if filter.Reservation, err = c.sid("ReservationSid", conversation.PrefixReservation); err != nil {
		return filter, false, err
	}
	if filter.Queue, none, err = c.queueAsked(); err != nil || none {
		return filter, none, err
	}
	worker, err := c.sid("WorkerSid", conversation.PrefixAgent)
	if err != nil || worker == "" {
		return filter, false, err
	}
	filter.Agent, err = c.desk.AgentName(c.ctx, worker)
	return filter, err != nil, c.ignoreRefusal(err)
}

func (c *call) fetchEvent() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	given := c.r.PathValue("event")
	digits, err := c.path("event", desk.PrefixEvent, "event")
	if err != nil {
		return nil, err
	}
	epoch, position, known := desk.EventPosition(desk.PrefixEvent + digits)
	if !known {
		return nil, c.lost("event", given)
	}
	found, err := c.desk.EventPage(c.ctx, desk.EventFilter{Epoch: epoch, Position: position}, desk.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found.Entries) == 0 {
		return nil, c.lost("event", given)
	}
	events, err := c.renderEvents(found.Entries)
	if err != nil {
		return nil, err
	}
	return events[0], nil
}

// renderEvents returns events in the form of TaskRouter. Statuses, queues and priorities are those at the time of
// the event; attributes and names are the present ones.
func (c *call) renderEvents(events []desk.LoggedEvent) ([]whole[taskmodel.TaskrouterV1Event], error) {
	known, err := c.known()
	if err != nil {
		return nil, err
	}
	shown := make([]whole[taskmodel.TaskrouterV1Event], len(events))
	for i, e := range events {
		data, err := known.data(e)
		if err != nil {
			return nil, err
		}
		resource, sid, address := c.resourceOf(e)
		actor, actorSID, actorURL := c.actorOf(e)
		own := e.SID()
		shown[i] = all(taskmodel.TaskrouterV1Event{
			AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(own), Url: new(c.workspaceURL("Events", own)),
			EventType: new(string(e.Name)), EventDate: date(e.At), EventDateMs: new(e.At.UnixMilli()), EventData: object(data),
			Description: new(known.describe(e)), ResourceType: new(resource), ResourceSid: new(sid), ResourceUrl: new(address),
			ActorType: new(actor), ActorSid: new(actorSID), ActorUrl: text(actorURL), Source: new("taskrouter"),
		})
	}
	return shown, nil
}

// resourceOf returns the subject of the event, its SID and its URL. The subject of a task's entry into a queue is
// the task.
func (c *call) resourceOf(e desk.LoggedEvent) (resource, sid, address string) {
	kind, _, _ := strings.Cut(string(e.Name), ".")
	switch {
	case kind == "worker":
		sid = conversation.AgentSID(e.Agent)
		return "worker", sid, c.workspaceURL("Workers", sid)
	case kind == "reservation":
		return "reservation", e.Reservation, c.workspaceURL("Tasks", e.Task, "Reservations", e.Reservation)
	case e.Task != "":
		return "task", e.Task, c.workspaceURL("Tasks", e.Task)
	}
	sid = conversation.QueueSID(e.Queue)
	return "task-queue", sid, c.workspaceURL("TaskQueues", sid)
}

// actorOf returns who caused the event, as far as the event shows it. The actor is the account if a key acted for
// an agent, and the worker for actions that only agents can take. Otherwise it is the workspace.
func (c *call) actorOf(e desk.LoggedEvent) (actor, sid, address string) {
	byThemselves := e.Name == conversation.EventReservationAccepted || e.Name == conversation.EventTransferInitiated ||
		(e.Name == conversation.EventReservationRejected && e.Cause != conversation.CauseUnavailable)
	switch {
	case e.By != "":
		return "account", c.account.SID, "" // the account has no URL here
	case byThemselves:
		sid = conversation.AgentSID(e.Agent)
		return "worker", sid, c.workspaceURL("Workers", sid)
	}
	return "workspace", c.workspaceSID(), c.workspaceURL()
}

// known holds the desk's present records of the subjects of events.
type known struct {
	*call

	agents     map[string]desk.Agent
	queues     map[string]desk.Queue
	activities []desk.Activity
	tasks      map[string]desk.Task
	labels     map[string]desk.Labels
}

func (c *call) known() (*known, error) {
	k := &known{
		call: c, agents: map[string]desk.Agent{}, queues: map[string]desk.Queue{}, tasks: map[string]desk.Task{}, labels: map[string]desk.Labels{},
	}
	agents, err := c.desk.Agents(c.ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range agents {
		k.agents[a.Name] = a
	}
	queues, err := c.desk.Queues(c.ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		k.queues[q.Name] = q
	}
	k.activities, err = c.desk.Activities(c.ctx)
	return k, err
}

// task returns the task that an event is about; false if the desk no longer has it.
func (k *known) task(sid string) (desk.Task, bool, error) {
	if task, ok := k.tasks[sid]; ok {
		return task, task.SID != "", nil
	}
	task, err := k.desk.Task(k.ctx, sid)
	if err := k.ignoreRefusal(err); err != nil {
		return task, false, err
	}
	k.tasks[sid] = task
	return task, task.SID != "", nil
}

// data returns the event data of TaskRouter under its names: the parameters of its webhooks in snake case. All
// values are strings. Notes and transcripts are never included.
func (k *known) data(e desk.LoggedEvent) (map[string]any, error) {
	data := map[string]any{"workspace_sid": k.workspaceSID(), "workspace_name": k.account.Workspace.FriendlyName}
	for name, value := range map[string]string{"reservation_sid": e.Reservation, "transfer_sid": e.Transfer, "reason": e.Reason} {
		if value != "" {
			data[name] = value
		}
	}
	if e.Queue != "" {
		data["task_queue_sid"], data["task_queue_name"] = conversation.QueueSID(e.Queue), k.queueName(e.Queue)
	}
	if e.Agent != "" {
		k.addWorker(data, e)
	}
	if e.Task != "" {
		if err := k.addTask(data, e); err != nil {
			return nil, err
		}
	}
	if e.Transfer != "" {
		return data, k.addTransfer(data, e)
	}
	return data, nil
}

func (k *known) queueName(name string) string {
	if queue, ok := k.queues[name]; ok {
		return queue.FriendlyName
	}
	return name
}

func (k *known) agentName(name string) string {
	if agent, ok := k.agents[name]; ok {
		return agent.FriendlyName
	}
	return name
}

func (k *known) addWorker(data map[string]any, e desk.LoggedEvent) {
	data["worker_sid"], data["worker_name"] = conversation.AgentSID(e.Agent), k.agentName(e.Agent)
	agent, ok := k.agents[e.Agent]
	if !ok {
		return // removed
	}
	data["worker_attributes"] = string(agent.Attributes)
	if e.Capacity != nil {
		data["task_channel_sid"], data["task_channel_unique_name"] = channelSID(e.Channel), string(e.Channel)
		data["worker_channel_capacity"] = strconv.Itoa(*e.Capacity)
	}
	if e.Name != desk.EventAgentActivity {
		data["worker_activity_sid"], data["worker_activity_name"] = agent.Activity.SID, agent.Activity.Name
		return
	}
	data["worker_activity_name"] = e.Activity // the activity at the time of the event
	if at := slices.IndexFunc(k.activities, func(a desk.Activity) bool { return a.Name == e.Activity }); at >= 0 {
		data["worker_activity_sid"] = k.activities[at].SID
	}
}

func (k *known) addTask(data map[string]any, e desk.LoggedEvent) error {
	data["task_sid"], data["task_assignment_status"], data["task_priority"] = e.Task, string(e.TaskStatus), strconv.Itoa(e.Priority)
	task, ok, err := k.task(e.Task)
	if err != nil || !ok {
		return err
	}
	attributes := []byte("{}")
	if len(task.Attributes) > 0 {
		if attributes, err = json.Marshal(task.Attributes); err != nil {
			return fmt.Errorf("encode the attributes of task %s: %w", e.Task, err)
		}
	}
	labels, ok := k.labels[e.Conversation]
	if !ok {
		if labels, err = k.desk.Labels(k.ctx, task.Queue, e.Conversation); err != nil {
			return err
		}
		k.labels[e.Conversation] = labels
	}
	data["task_attributes"], data["task_age"] = string(attributes), strconv.Itoa(seconds(task.CreatedAt, e.At))
	data["task_channel_sid"], data["task_channel_unique_name"] = channelSID(task.Channel), string(task.Channel)
	data["workflow_sid"], data["workflow_name"] = labels.Workflow, labels.WorkflowName
	canceled, completed := webhook.EndReasons(e, task)
	for name, reason := range map[string]string{"task_canceled_reason": canceled, "task_completed_reason": completed} {
		if reason != "" {
			data[name] = reason
		}
	}
	return nil
}

// addTransfer adds the transfer in TaskRouter's terms, with its status at the time of the event.
func (k *known) addTransfer(data map[string]any, e desk.LoggedEvent) error {
	if !strings.HasPrefix(string(e.Name), "task.transfer-") {
		return nil
	}
	transfer, err := k.desk.Transfer(k.ctx, e.Transfer)
	if err != nil {
		return k.ignoreRefusal(err)
	}
	data["transfer_mode"], data["transfer_initiating_worker_sid"] = strings.ToUpper(string(transfer.Mode)), conversation.AgentSID(transfer.From)
	data["transfer_type"], data["transfer_to"] = "WORKER", conversation.AgentSID(transfer.To.Agent)
	if transfer.To.Queue != "" {
		data["transfer_type"], data["transfer_to"] = "QUEUE", conversation.QueueSID(transfer.To.Queue)
	}
	data["transfer_status"], data["transfer_failed_reason"] = webhook.TransferStatus(e.Name), e.Reason
	return nil
}

// descriptions maps each event to a sentence that describes it.
var descriptions = map[conversation.EventName]string{
	conversation.EventTaskCreated:           "Task {task} was created",
	conversation.EventTaskUpdated:           "Task {task} was updated: {reason}",
	conversation.EventTaskWrapup:            "Task {task} went to wrapup",
	conversation.EventTaskCompleted:         "Task {task} was completed",
	conversation.EventTaskCanceled:          "Task {task} was canceled: {reason}",
	conversation.EventTaskQueueEntered:      "Task {task} entered TaskQueue {queue}",
	conversation.EventTransferInitiated:     "Worker {agent} initiated transfer {transfer} of the conversation, with task {task}",
	conversation.EventTransferAttemptFailed: "Task {task} of transfer {transfer} was not accepted: {reason}",
	conversation.EventTransferFailed:        "Transfer {transfer} failed: {reason}",
	conversation.EventTransferCanceled:      "Transfer {transfer} was canceled",
	conversation.EventTransferCompleted:     "Transfer {transfer} was completed",
	conversation.EventReservationCreated:    "Reservation {reservation} was created for Worker {agent}",
	conversation.EventReservationAccepted:   "Worker {agent} accepted reservation {reservation}",
	conversation.EventReservationRejected:   "Reservation {reservation} of Worker {agent} was rejected",
	conversation.EventReservationTimeout:    "Reservation {reservation} of Worker {agent} timed out",
	conversation.EventReservationCanceled:   "Reservation {reservation} of Worker {agent} was canceled",
	conversation.EventReservationRescinded:  "Reservation {reservation} of Worker {agent} was rescinded",
	conversation.EventReservationWrapup:     "Reservation {reservation} of Worker {agent} went to wrapup",
	conversation.EventReservationCompleted:  "Reservation {reservation} of Worker {agent} was completed",
	desk.EventAgentCreated:                  "Worker {agent} was created",
	desk.EventAgentDeleted:                  "Worker {agent} was deleted",
	desk.EventAgentActivity:                 "Worker {agent} updated to {reason} Activity",
	desk.EventAgentAttributes:               "The attributes of Worker {agent} were updated",
	desk.EventAgentCapacity:                 "The capacity of Worker {agent} was updated: {reason}",
	desk.EventQueueCreated:                  "TaskQueue {queue} was created",
	desk.EventQueueDeleted:                  "TaskQueue {queue} was deleted",
}

func (k *known) describe(e desk.LoggedEvent) string {
	return strings.NewReplacer("{task}", e.Task, "{reservation}", e.Reservation, "{transfer}", e.Transfer, "{reason}", e.Reason,
		"{agent}", k.agentName(e.Agent), "{queue}", k.queueName(e.Queue)).Replace(descriptions[e.Name])
}
