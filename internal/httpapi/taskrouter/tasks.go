package taskrouter

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
)

const (
	workspacePath = "/v1/Workspaces/{workspace}"
	taskPath      = workspacePath + "/Tasks/{task}"
)

func taskRoutes() []rest.Route {
	return []rest.Route{
		rest.Get(workspacePath+"/Tasks", rest.Everyone).Says("Lists tasks, oldest first. An agent's key lists those of its agent.").
			With("AssignmentStatus", "TaskQueueSid", "TaskQueueName", "WorkflowSid", "WorkflowName", "Priority", "EvaluateTaskAttributes",
				"RoutingTarget", "Ordering", "HasAddons").
			Lists("tasks", taskmodel.TaskrouterV1Task{}).By(listTasks),
		rest.Post(workspacePath+"/Tasks", rest.Services, http.StatusCreated).Says("Starts a conversation, and returns its first task.").
			But("Every task belongs to a conversation. Timeout can only have the settings' value. IgnoreCapacity is true for tasks for one worker, and only for those.").
			With("Attributes", "TaskChannel", "WorkflowSid", "TaskQueueSid", "Priority", "RoutingTarget", "IgnoreCapacity", "Timeout").Without("VirtualStartTime").
			Answers(taskmodel.TaskrouterV1Task{}).By(createTask),
		rest.Get(taskPath, rest.Everyone).Says("Fetches a task.").Answers(taskmodel.TaskrouterV1Task{}).By(fetchTask),
		rest.Post(taskPath, rest.Everyone, http.StatusOK).
			Says("`wrapping` ends the agent's turn, `completed` completes it, `canceled` closes a conversation whose task waits.").
			But("Reason is kept as the disposition, with `completed` and `canceled` only. Attributes, Priority and TaskChannel can only have their present values.").
			With("AssignmentStatus", "Reason", "Attributes", "Priority", "TaskChannel").Without("VirtualStartTime").Answers(taskmodel.TaskrouterV1Task{}).By(updateTask),
		rest.Delete(taskPath, rest.Staff).Says("Cancels a waiting task.").
			But("The task stays on record: nothing is deleted.").By(removeTask),
	}
}

// checkWorkspace refuses any workspace in the path except the only one.
func checkWorkspace(c *rest.Call) error {
	if given := c.Request.PathValue("workspace"); !strings.EqualFold(given, c.WorkspaceSID()) {
		return c.Lost("workspace", given)
	}
	return nil
}

// tag returns the ETag of a task or a reservation. It changes with every change of the conversation.
func tag(sid string, revision int) string { return rest.Hashed(sid, strconv.Itoa(revision)) }

// taskTag returns the ETag of a task. For an agent's key, the ETag of another agent's task, or of a task after the
// agent's turn, depends only on the task: the conversation's revision would reveal that something happened in a
// later turn.
func taskTag(c *rest.Call, task records.Task, revision int) string {
	own := c.Caller.Agent()
	if own != "" && (task.Agent != own || (!task.Status.Waiting() && task.Status != conversation.TaskAssigned)) {
		return rest.Hashed(task.SID, string(task.Status))
	}
	return tag(task.SID, revision)
}

// reservationTag returns the ETag of a reservation, with the same restriction as taskTag.
func reservationTag(c *rest.Call, r records.Reservation, revision int) string {
	if c.Caller.Agent() != "" && r.Status != conversation.ReservationPending && r.Status != conversation.ReservationAccepted {
		return rest.Hashed(r.SID, string(r.Status))
	}
	return tag(r.SID, revision)
}

// checkIfMatch refuses a request whose If-Match names another state of the resource than the present one.
func checkIfMatch(c *rest.Call, now string) error {
	wanted := c.Request.Header.Get("If-Match")
	if wanted == "" || wanted == "*" || slices.ContainsFunc(strings.Split(wanted, ","), func(tag string) bool {
		return strings.Trim(strings.TrimSpace(tag), `"`) == strings.Trim(now, `"`)
	}) {
		return nil
	}
	return overtaken()
}

// overtaken is the answer if the resource has changed since the client fetched it.
func overtaken() *rest.Problem {
	return &rest.Problem{
		Status: http.StatusPreconditionFailed, Code: 20412,
		Message: "The resource has changed since it was fetched: fetch it again, then decide again",
	}
}

// refuseUnchanged refuses a request whose command changed nothing, because an earlier request of any client had the
// same effect.
func refuseUnchanged(c *rest.Call, outcome conversation.Outcome, what, sid, expected, now string) error {
	switch {
	case !outcome.Unchanged:
		return nil
	case c.Request.Header.Get("If-Match") != "":
		return overtaken()
	}
	return c.Unexpected("%s %s not in expected state [%s]: it is already %s", what, sid, expected, now)
}

func renderTask(c *rest.Call, task records.Task, revision int) (any, error) {
	model, err := tasks.Model(c, task)
	if err != nil {
		return nil, err
	}
	if revision > 0 {
		c.SetETag(taskTag(c, task, revision))
	}
	return rest.All(model), nil
}

// taskAsked returns the present state of the task that the path names, and its conversation's revision.
func taskAsked(c *rest.Call) (records.Task, int, error) {
	if err := checkWorkspace(c); err != nil {
		return records.Task{}, 0, err
	}
	digits, err := c.Path("task", conversation.PrefixTask, "task")
	if err != nil {
		return records.Task{}, 0, err
	}
	task, v, err := taskNow(c, conversation.PrefixTask+digits)
	if err != nil {
		return task, 0, c.NotThere(err, "task", c.Request.PathValue("task"))
	}
	return task, v.Revision, nil
}

func fetchTask(c *rest.Call) (any, error) {
	task, revision, err := taskAsked(c)
	if err != nil {
		return nil, err
	}
	return renderTask(c, task, revision)
}

func listTasks(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	page, err := c.Page()
	if err != nil {
		return nil, err
	}
	filter, none, err := taskFilter(c)
	if err != nil {
		return nil, err
	}
	c.Settle()
	var found desk.Found[records.Task]
	if !none {
		if found, err = records.TaskPage(c.Ctx, c.Desk, filter, page); err != nil {
			return nil, tooExpensive(c, "EvaluateTaskAttributes", err)
		}
	}
	labels, failed := routes.LabelsOf(c.Ctx, c.Desk, found.Entries)
	answer := rest.List(c, page, found, func(task records.Task) rest.Whole[taskmodel.TaskrouterV1Task] {
		model, err := tasks.Labeled(c, task, labels[task.SID])
		if err != nil {
			failed = err
		}
		return rest.All(model)
	})
	return answer, failed
}

// taskFilter reads which tasks are requested. none is set if no task can match.
func taskFilter(c *rest.Call) (filter records.TaskFilter, none bool, err error) {
	filter.Agent = c.Caller.Agent()
	for _, given := range c.Form["AssignmentStatus"] {
		for status := range strings.SplitSeq(given, ",") {
			if !slices.Contains(taskStatuses, conversation.TaskStatus(status)) {
				return filter, false, c.Wrong("AssignmentStatus", "AssignmentStatus has to be one of pending, reserved, assigned, wrapping, completed, canceled")
			}
			filter.Statuses = append(filter.Statuses, conversation.TaskStatus(status))
		}
	}
	if filter.Agent != "" { // an agent's key must learn nothing of ended tasks, not even by guessing
		if len(filter.Statuses) == 0 {
			filter.Statuses = slices.Clone(ownStatuses)
		}
		filter.Statuses = slices.DeleteFunc(filter.Statuses, func(s conversation.TaskStatus) bool { return !slices.Contains(ownStatuses, s) })
		none = len(filter.Statuses) == 0
	}
	var unknown bool
	if filter.Queue, unknown, err = queueAsked(c); err != nil || unknown {
		return filter, true, err
	}
	if filter.Workflow, unknown, err = workflowAsked(c); err != nil || unknown {
		return filter, true, err
	}
	if c.Form.Get("Priority") != "" {
		priority, err := c.Number("Priority", 0, 0, 1<<30)
		if err != nil {
			return filter, false, err
		}
		filter.Priority = &priority
	}
	if target := c.Form.Get("RoutingTarget"); target != "" {
		agent, err := tasks.AgentOf(c, "RoutingTarget", target)
		if err != nil || (filter.Agent != "" && filter.Agent != agent) {
			return filter, true, rest.IgnoreRefusal(err)
		}
		filter.Agent, filter.Direct = agent, true
	}
	if addons, err := c.Flag("HasAddons", false); err != nil || addons {
		return filter, addons, err
	}
	if filter.Attributes, err = readExpression(c, "EvaluateTaskAttributes"); err != nil {
		return filter, false, err
	}
	name, descending, err := readOrdering(c, "DateCreated", "Priority", "VirtualStartTime")
	filter.Order = map[string]records.TaskOrder{"Priority": records.TasksByPriority, "VirtualStartTime": records.TasksByQueueTime}[name]
	filter.NewestFirst = descending
	return filter, none, err
}

// ownStatuses lists the statuses of the tasks that an agent's key may read.
var ownStatuses = []conversation.TaskStatus{conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping}

var taskStatuses = []conversation.TaskStatus{
	conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping,
	conversation.TaskCompleted, conversation.TaskCanceled,
}

// readExpression reads an expression over attributes; nil if the parameter is empty.
func readExpression(c *rest.Call, parameter string) (*expression.Expression, error) {
	given := c.Form.Get(parameter)
	if given == "" {
		return nil, nil //nolint:nilnil // no expression selects all
	}
	wanted, err := expression.Parse(given)
	if err != nil {
		return nil, c.Wrong(parameter, "%s: %s", parameter, err)
	}
	return wanted, nil
}

// tooExpensive refuses the parameter if its evaluation took too many steps. It returns other errors unchanged.
func tooExpensive(c *rest.Call, parameter string, err error) error {
	if errors.Is(err, expression.ErrBudget) {
		return c.Wrong(parameter, "%s: the expression takes too many steps: shorten it, or narrow the list down with other filters", parameter)
	}
	return err
}

// readOrdering reads an order, as DateCreated:desc; "" if none is given.
func readOrdering(c *rest.Call, names ...string) (name string, descending bool, err error) {
	given := c.Form.Get("Ordering")
	if given == "" {
		return "", false, nil
	}
	name, direction, _ := strings.Cut(given, ":")
	if !slices.Contains(names, name) || (direction != "" && direction != "asc" && direction != "desc") {
		return "", false, c.Wrong("Ordering", "Ordering has to be one of %s, with :asc or :desc, and not several", strings.Join(names, ", "))
	}
	return name, direction == "desc", nil
}

// queueAsked reads a filter by queue. none is set if there is no such queue.
func queueAsked(c *rest.Call) (name string, none bool, err error) {
	sid, err := c.SID("TaskQueueSid", conversation.PrefixQueue)
	if err != nil {
		return "", false, err
	}
	named := c.Form.Get("TaskQueueName")
	if sid == "" && named == "" {
		return "", false, nil
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	for _, q := range queues {
		if (sid == "" || q.SID == sid) && (named == "" || q.FriendlyName == named) {
			return q.Name, false, err
		}
	}
	return "", true, err
}

// workflowAsked reads a filter by workflow. none is set if there is no such workflow.
func workflowAsked(c *rest.Call) (sid string, none bool, err error) {
	if sid, err = c.SID("WorkflowSid", desk.PrefixWorkflow); err != nil {
		return "", false, err
	}
	named := c.Form.Get("WorkflowName")
	if named == "" {
		return sid, false, nil
	}
	workflows, err := routes.ListWorkflows(c.Ctx, c.Desk)
	for _, w := range workflows {
		if w.FriendlyName == named && (sid == "" || w.SID == sid) {
			return w.SID, false, err
		}
	}
	return "", true, err
}

func createTask(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	channel, err := taskChannel(c)
	if err != nil {
		return nil, err
	}
	attributes, err := tasks.Attributes(c, json.RawMessage(c.Form.Get("Attributes")))
	if err != nil {
		return nil, err
	}
	o := tasks.Opening{Start: conversation.StartCommand{
		Conversation: c.NewSID(conversation.PrefixConversation), Channel: channel, Customer: tasks.CustomerOf(attributes), Attributes: attributes,
	}}
	if err := routeTask(c, &o); err != nil {
		return nil, err
	}
	if err := tasks.Start(c, o, records.Details{}); err != nil {
		return nil, err
	}
	v, err := c.ViewFor(o.Start.Conversation)
	if err != nil {
		return nil, err
	}
	return renderTask(c, v.Tasks[0], v.Revision)
}

// routeTask reads the routing of a new task.
func routeTask(c *rest.Call, o *tasks.Opening) error {
	queue, err := c.SID("TaskQueueSid", conversation.PrefixQueue)
	if err != nil {
		return err
	}
	if o.Workflow, err = c.SID("WorkflowSid", desk.PrefixWorkflow); err != nil {
		return err
	}
	switch target := c.Form.Get("RoutingTarget"); {
	case rest.IsSID(conversation.PrefixAgent, target):
		if o.Start.Agent, err = tasks.AgentOf(c, "RoutingTarget", target); err != nil {
			return err
		}
	case rest.IsSID(conversation.PrefixQueue, target):
		queue = target
	case rest.IsSID(desk.PrefixWorkflow, target):
		o.Workflow = target
	case target != "":
		return c.Wrong("RoutingTarget", "RoutingTarget has to be the SID of a worker, a queue or a workflow")
	}
	if o.Start.Queue, o.Start.Priority, err = tasks.Route(c, queue, o.Workflow, o.Start.Attributes); err != nil {
		return err
	}
	if o.Start.Priority, err = c.Number("Priority", o.Start.Priority, 0, conversation.MaxPriority); err != nil {
		return err
	}
	return taskDefaults(c, o.Start)
}

// taskDefaults refuses values that a new task cannot have.
func taskDefaults(c *rest.Call, start conversation.StartCommand) error {
	direct := start.Agent != ""
	ignores, err := c.Flag("IgnoreCapacity", direct)
	if err != nil {
		return err
	}
	if ignores != direct {
		return c.Wrong("IgnoreCapacity", "IgnoreCapacity can only be %t here, for a task for one worker ignores capacity and no other does: leave it out", direct)
	}
	settings, err := desk.ReadSettings(c.Ctx, c.Desk)
	if err != nil {
		return err
	}
	wanted, err := c.Number("Timeout", settings.TaskTimeout, 1, 1<<30)
	if err == nil && wanted != settings.TaskTimeout {
		return c.Wrong("Timeout", "every task has the timeout of the settings, %d seconds: leave Timeout out, or change the settings", settings.TaskTimeout)
	}
	return err
}

// taskChannel reads TaskChannel, a name or a SID; web if it is empty or default.
func taskChannel(c *rest.Call) (conversation.Channel, error) {
	given := c.Form.Get("TaskChannel")
	if given == "" || given == "default" {
		return conversation.ChannelWeb, nil
	}
	for _, channel := range conversation.Channels() {
		if given == string(channel) || given == rest.ChannelSID(channel) {
			return channel, nil
		}
	}
	return "", c.Wrong("TaskChannel", "There is no task channel %s: use web, sms, whatsapp, messenger, chat or email", rest.Quoted(given))
}

// taskToChange returns the task that the path names. The desk's record is enough to end or complete an agent's
// turn: the conversation itself checks later changes, and need not be queried first. The revision is 0 if it is
// unknown.
func taskToChange(c *rest.Call) (records.Task, int, error) {
	status := conversation.TaskStatus(c.Form.Get("AssignmentStatus"))
	ends := status == conversation.TaskWrapping || status == conversation.TaskCompleted
	if !ends || c.Request.Header.Get("If-Match") != "" || c.Form.Has("Attributes") || c.Form.Has("Priority") || c.Form.Has("TaskChannel") {
		return taskAsked(c)
	}
	if err := checkWorkspace(c); err != nil {
		return records.Task{}, 0, err
	}
	digits, err := c.Path("task", conversation.PrefixTask, "task")
	if err != nil {
		return records.Task{}, 0, err
	}
	task, err := tasks.OfAgent(c, conversation.PrefixTask+digits)
	if _, coded := rest.AsRefusal(err); coded {
		return taskAsked(c)
	}
	return task, 0, err
}

func updateTask(c *rest.Call) (any, error) {
	task, revision, err := taskToChange(c)
	if err != nil {
		return nil, err
	}
	status := conversation.TaskStatus(c.Form.Get("AssignmentStatus"))
	if c.Form.Get("Reason") != "" && (status == "" || status == conversation.TaskWrapping) {
		return nil, c.Wrong("Reason", "Reason is kept of a task that is completed or canceled: send it with that AssignmentStatus")
	}
	if c.Token() != "" && status != "" && task.Status == status { // a repeat whose first answer was lost
		if err := c.ActAs(task.Agent); err != nil {
			return nil, err
		}
		if c.Caller.Agent() != "" && !slices.Contains(ownStatuses, task.Status) {
			task.Attributes = nil // the agent may no longer read them
		}
		return renderTask(c, task, revision)
	}
	if err := checkIfMatch(c, taskTag(c, task, revision)); err != nil {
		return nil, err
	}
	if err := unchangeable(c, task); err != nil {
		return nil, err
	}
	var outcome conversation.Outcome
	switch status {
	case "":
		return renderTask(c, task, revision)
	case conversation.TaskWrapping, conversation.TaskCompleted:
		if task.Agent == "" {
			return nil, c.Unexpected("Task %s not in expected state [assigned, wrapping]: it is %s", task.SID, task.Status)
		}
		if outcome, err = tasks.Finish(c, task, status == conversation.TaskCompleted, c.Form.Get("Reason")); err != nil {
			return nil, taskOver(c, task, err)
		}
		if err := refuseUnchanged(c, outcome, "Task", task.SID, "assigned, wrapping", statusAfter(outcome, task)); err != nil {
			return nil, err
		}
	case conversation.TaskCanceled:
		return cancelTask(c, task)
	case conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned:
		fallthrough
	default:
		return nil, c.Wrong("AssignmentStatus", "AssignmentStatus can be set to wrapping, completed or canceled")
	}
	task.Task = merge(task.Task, outcome.Task)
	return renderTask(c, task, outcome.Revision)
}

// statusAfter returns the task's status after the command.
func statusAfter(outcome conversation.Outcome, before records.Task) string {
	if t := outcome.Task; t != nil && t.SID == before.SID {
		return string(t.Status)
	}
	return string(before.Status)
}

// taskOver replaces a refusal that the conversation is closed by one that the task has ended.
func taskOver(c *rest.Call, task records.Task, refused error) error {
	if conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	v, err := c.ViewFor(task.Conversation)
	if err != nil {
		return err
	}
	if now := v.Task(task.SID); now != nil && !now.Status.Live() {
		return c.Unexpected("Task %s not in expected state [assigned, wrapping]: it is already %s", task.SID, now.Status)
	}
	return refused
}

// merge returns the task after a command.
func merge(before conversation.Task, after *conversation.Task) conversation.Task {
	if after == nil {
		return before
	}
	if len(after.Attributes) == 0 {
		after.Attributes = before.Attributes
	}
	return *after
}

// cancelTask closes a conversation whose task waits.
func cancelTask(c *rest.Call, task records.Task) (any, error) {
	if own := c.Caller.Agent(); own != "" {
		return nil, rest.Forbid("An agent's key may not cancel tasks: decline the reservation instead")
	}
	outcome, err := c.Send(task.Conversation, conversation.CloseCommand{Task: task.SID, Reason: c.Form.Get("Reason"), Meta: c.Command("")})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return nil, c.Unexpected("Task %s not in expected state [pending, reserved]: it is %s", task.SID, task.Status)
	}
	if err != nil {
		return nil, err
	}
	if err := refuseUnchanged(c, outcome, "Task", task.SID, "pending, reserved", statusAfter(outcome, task)); err != nil {
		return nil, err
	}
	if outcome.Task != nil && outcome.Task.SID == task.SID {
		task.Task = merge(task.Task, outcome.Task)
	}
	return renderTask(c, task, outcome.Revision)
}

func removeTask(c *rest.Call) (any, error) {
	task, revision, err := taskAsked(c)
	if err != nil {
		return nil, err
	}
	if c.Token() != "" && task.Status == conversation.TaskCanceled {
		return nil, nil //nolint:nilnil // a repeat whose first answer was lost
	}
	if err := checkIfMatch(c, taskTag(c, task, revision)); err != nil {
		return nil, err
	}
	_, err = cancelTask(c, task)
	return nil, err
}

// unchangeable refuses changes to the attributes, the channel or the priority of a task. Their present values are
// allowed.
func unchangeable(c *rest.Call, task records.Task) error {
	if given := c.Optional("Attributes"); given != nil {
		attributes, err := tasks.Attributes(c, json.RawMessage(*given))
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(records.DecodeAttributes(attributes), records.DecodeAttributes(task.Attributes)) {
			return c.Wrong("Attributes", "The attributes of a task reach every task after it unchanged, and can't be changed: give them when the conversation starts")
		}
	}
	if c.Form.Get("TaskChannel") != "" {
		channel, err := taskChannel(c)
		if err == nil && channel != task.Channel {
			err = c.Wrong("TaskChannel", "TaskChannel can only be the channel of the conversation, %s: leave it out", task.Channel)
		}
		if err != nil {
			return err
		}
	}
	priority, err := c.Number("Priority", task.Priority, 0, conversation.MaxPriority)
	if err == nil && priority != task.Priority {
		return c.Wrong("Priority", "The priority of a task can't be changed: give it when the conversation starts")
	}
	return err
}

// taskNow returns the present state of the task, and its conversation.
func taskNow(c *rest.Call, sid string) (records.Task, *rest.View, error) {
	of, err := conversationOf(c, sid)
	if err != nil {
		return records.Task{}, nil, lostIfRefused(c, err, "task", sid)
	}
	v, err := c.View(of)
	if err != nil {
		return records.Task{}, nil, err
	}
	task := v.Task(sid)
	if task == nil {
		return records.Task{}, nil, c.Lost("task", sid)
	}
	if len(task.Attributes) == 0 { // an old task's state has no attributes; the desk keeps them
		if kept, err := records.FindTask(c.Ctx, c.Desk, sid); err == nil {
			task.Attributes = kept.Attributes
		}
	}
	return *task, v, nil
}

// conversationOf returns the conversation of a task, reservation or transfer, also if this process has answered
// with its SID before the desk shows it.
func conversationOf(c *rest.Call, sid string) (string, error) {
	if known, ok := c.SeenIn(sid); ok {
		return known, nil
	}
	switch sid[:2] {
	case conversation.PrefixTask:
		task, err := records.FindTask(c.Ctx, c.Desk, sid)
		return task.Conversation, err
	case conversation.PrefixReservation:
		reservation, err := records.FindReservation(c.Ctx, c.Desk, sid)
		return reservation.Conversation, err
	default:
		transfer, err := records.FindTransfer(c.Ctx, c.Desk, sid)
		return transfer.Conversation, err
	}
}

// lostIfRefused turns a refusal, which means that the desk has no such record, into a 404. It returns other errors
// unchanged.
func lostIfRefused(c *rest.Call, err error, what, sid string) error {
	if conversation.CodeOf(err) != "" {
		return c.Lost(what, sid)
	}
	return err
}
