package taskrouter

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/webhook"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

func eventRoutes() []rest.Route {
	return []rest.Route{
		rest.Get(workspacePath+"/Events", rest.Staff).Says("Lists events, newest first.").
			With("EventType", "Minutes", "StartDate", "EndDate", "TaskSid", "WorkerSid", "ReservationSid", "TaskQueueSid", "TaskChannel", "WorkflowSid", "Sid").
			Lists("events", taskmodel.TaskrouterV1Event{}).By(listEvents),
		rest.Get(workspacePath+"/Events/{event}", rest.Staff).Says("Fetches an event.").Answers(taskmodel.TaskrouterV1Event{}).By(fetchEvent),
	}
}

func listEvents(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	filter, none, err := eventFilter(c)
	if err != nil {
		return nil, err
	}
	channel, err := channelAsked(c)
	if err != nil {
		return nil, err
	}
	workflow, err := c.SID("WorkflowSid", desk.PrefixWorkflow)
	if err != nil {
		return nil, err
	}
	c.Settle()
	var found desk.Found[desk.LoggedEvent]
	switch {
	case none:
	case channel != "" || workflow != "":
		found, err = outbox.EventPageOn(c.Ctx, c.Desk, channel, workflow, filter, page)
	default:
		found, err = outbox.EventPage(c.Ctx, c.Desk, filter, page)
	}
	if err != nil {
		return nil, err
	}
	events, err := renderEvents(c, found.Entries)
	if err != nil {
		return nil, err
	}
	answer := rest.List(c, page, found, func(desk.LoggedEvent) any { return nil })
	answer.Entries = events
	return answer, nil
}

// eventFilter reads which events are requested. none is set if no event can match. The period is ignored if the SID
// of an event is given.
func eventFilter(c *rest.Call) (filter outbox.EventFilter, none bool, err error) {
	filter.Name = conversation.EventName(c.Form.Get("EventType"))
	if filter.From, filter.To, err = readPeriod(c); err != nil {
		return filter, false, err
	}
	if c.Form.Get("EndDate") == "" {
		filter.To = time.Time{} // the clocks of other machines may be ahead
	}
	sid, err := c.SID("Sid", desk.PrefixEvent)
	if err != nil {
		return filter, false, err
	}
	if sid != "" {
		epoch, position, known := desk.EventPosition(sid)
		if !known {
			return filter, true, nil
		}
		filter = outbox.EventFilter{Epoch: epoch, Position: position, Name: filter.Name}
	}
	if filter.Task, err = c.SID("TaskSid", conversation.PrefixTask); err != nil {
		return filter, false, err
	}
	if filter.Reservation, err = c.SID("ReservationSid", conversation.PrefixReservation); err != nil {
		return filter, false, err
	}
	if filter.Queue, none, err = queueAsked(c); err != nil || none {
		return filter, none, err
	}
	worker, err := c.SID("WorkerSid", conversation.PrefixAgent)
	if err != nil || worker == "" {
		return filter, false, err
	}
	filter.Agent, err = people.AgentNameOf(c.Ctx, c.Desk, worker)
	return filter, err != nil, rest.IgnoreRefusal(err)
}

func fetchEvent(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	given := c.Request.PathValue("event")
	digits, err := c.Path("event", desk.PrefixEvent, "event")
	if err != nil {
		return nil, err
	}
	epoch, position, known := desk.EventPosition(desk.PrefixEvent + digits)
	if !known {
		return nil, c.Lost("event", given)
	}
	found, err := outbox.EventPage(c.Ctx, c.Desk, outbox.EventFilter{Epoch: epoch, Position: position}, desk.Page{Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(found.Entries) == 0 {
		return nil, c.Lost("event", given)
	}
	events, err := renderEvents(c, found.Entries)
	if err != nil {
		return nil, err
	}
	return events[0], nil
}

// renderEvents returns events in the form of TaskRouter. Statuses, queues and priorities are those at the time of
// the event; attributes and names are the present ones.
func renderEvents(c *rest.Call, events []desk.LoggedEvent) ([]rest.Whole[taskmodel.TaskrouterV1Event], error) {
	known, err := newKnown(c)
	if err != nil {
		return nil, err
	}
	shown := make([]rest.Whole[taskmodel.TaskrouterV1Event], len(events))
	for i, e := range events {
		data, err := known.data(e)
		if err != nil {
			return nil, err
		}
		resource, sid, address := resourceOf(c, e)
		actor, actorSID, actorURL := actorOf(c, e)
		own := e.SID()
		shown[i] = rest.All(taskmodel.TaskrouterV1Event{
			AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(own), Url: new(c.WorkspaceURL("Events", own)),
			EventType: new(string(e.Name)), EventDate: rest.Date(e.At), EventDateMs: new(e.At.UnixMilli()), EventData: rest.Object(data),
			Description: new(known.describe(e)), ResourceType: new(resource), ResourceSid: new(sid), ResourceUrl: new(address),
			ActorType: new(actor), ActorSid: new(actorSID), ActorUrl: rest.Text(actorURL), Source: new("taskrouter"),
		})
	}
	return shown, nil
}

// resourceOf returns the subject of the event, its SID and its URL. The subject of a task's entry into a queue is
// the task.
func resourceOf(c *rest.Call, e desk.LoggedEvent) (resource, sid, address string) {
	kind, _, _ := strings.Cut(string(e.Name), ".")
	switch {
	case kind == "worker":
		sid = conversation.AgentSID(e.Agent)
		return "worker", sid, c.WorkspaceURL("Workers", sid)
	case kind == "reservation":
		return "reservation", e.Reservation, c.WorkspaceURL("Tasks", e.Task, "Reservations", e.Reservation)
	case e.Task != "":
		return "task", e.Task, c.WorkspaceURL("Tasks", e.Task)
	}
	sid = conversation.QueueSID(e.Queue)
	return "task-queue", sid, c.WorkspaceURL("TaskQueues", sid)
}

// actorOf returns who caused the event, as far as the event shows it. The actor is the account if a key acted for
// an agent, and the worker for actions that only agents can take. Otherwise it is the workspace.
func actorOf(c *rest.Call, e desk.LoggedEvent) (actor, sid, address string) {
	byThemselves := e.Name == conversation.EventReservationAccepted || e.Name == conversation.EventTransferInitiated ||
		(e.Name == conversation.EventReservationRejected && e.Cause != conversation.CauseUnavailable)
	switch {
	case e.By != "":
		return "account", c.Account.SID, "" // the account has no URL here
	case byThemselves:
		sid = conversation.AgentSID(e.Agent)
		return "worker", sid, c.WorkspaceURL("Workers", sid)
	}
	return "workspace", c.WorkspaceSID(), c.WorkspaceURL()
}

// known holds the desk's present records of the subjects of events.
type known struct {
	*rest.Call

	agents     map[string]people.Agent
	queues     map[string]people.Queue
	activities []routing.Activity
	tasks      map[string]records.Task
	labels     map[string]routes.Labels
}

func newKnown(c *rest.Call) (*known, error) {
	k := &known{
		Call: c, agents: map[string]people.Agent{}, queues: map[string]people.Queue{}, tasks: map[string]records.Task{}, labels: map[string]routes.Labels{},
	}
	agents, err := people.ListAgents(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	for _, a := range agents {
		k.agents[a.Name] = a
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		k.queues[q.Name] = q
	}
	k.activities, err = routing.ListActivities(c.Ctx, c.Desk)
	return k, err
}

// task returns the task that an event is about; false if the desk no longer has it.
func (k *known) task(sid string) (records.Task, bool, error) {
	if task, ok := k.tasks[sid]; ok {
		return task, task.SID != "", nil
	}
	task, err := records.FindTask(k.Ctx, k.Desk, sid)
	if err := rest.IgnoreRefusal(err); err != nil {
		return task, false, err
	}
	k.tasks[sid] = task
	return task, task.SID != "", nil
}

// data returns the event data of TaskRouter under its names: the parameters of its webhooks in snake case. All
// values are strings. Notes and transcripts are never included.
func (k *known) data(e desk.LoggedEvent) (map[string]any, error) {
	data := map[string]any{"workspace_sid": k.WorkspaceSID(), "workspace_name": k.Account.Workspace.FriendlyName}
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
		data["task_channel_sid"], data["task_channel_unique_name"] = rest.ChannelSID(e.Channel), string(e.Channel)
		data["worker_channel_capacity"] = strconv.Itoa(*e.Capacity)
	}
	if e.Name != desk.EventAgentActivity {
		data["worker_activity_sid"], data["worker_activity_name"] = agent.Activity.SID, agent.Activity.Name
		return
	}
	data["worker_activity_name"] = e.Activity // the activity at the time of the event
	if at := slices.IndexFunc(k.activities, func(a routing.Activity) bool { return a.Name == e.Activity }); at >= 0 {
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
		if labels, err = routes.LabelsFor(k.Ctx, k.Desk, task.Queue, e.Conversation); err != nil {
			return err
		}
		k.labels[e.Conversation] = labels
	}
	data["task_attributes"], data["task_age"] = string(attributes), strconv.Itoa(rest.Seconds(task.CreatedAt, e.At))
	data["task_channel_sid"], data["task_channel_unique_name"] = rest.ChannelSID(task.Channel), string(task.Channel)
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
	transfer, err := records.FindTransfer(k.Ctx, k.Desk, e.Transfer)
	if err != nil {
		return rest.IgnoreRefusal(err)
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
