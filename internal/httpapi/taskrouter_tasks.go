package httpapi

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/expression"
)

const (
	workspacePath = "/v1/Workspaces/{workspace}"
	taskPath      = workspacePath + "/Tasks/{task}"
)

func taskRoutes() []route {
	return []route{
		get(taskrouter, workspacePath+"/Tasks", everyone).says("Lists tasks, oldest first. An agent's key lists those of its agent.").
			with("AssignmentStatus", "TaskQueueSid", "TaskQueueName", "WorkflowSid", "WorkflowName", "Priority", "EvaluateTaskAttributes",
				"RoutingTarget", "Ordering", "HasAddons").
			lists("tasks", taskmodel.TaskrouterV1Task{}).by((*call).listTasks),
		post(taskrouter, workspacePath+"/Tasks", services, http.StatusCreated).says("Starts a conversation, and returns its first task.").
			but("Every task belongs to a conversation. Timeout can only have the settings' value. IgnoreCapacity is true for tasks for one worker, and only for those.").
			with("Attributes", "TaskChannel", "WorkflowSid", "TaskQueueSid", "Priority", "RoutingTarget", "IgnoreCapacity", "Timeout").without("VirtualStartTime").
			answers(taskmodel.TaskrouterV1Task{}).by((*call).createTask),
		get(taskrouter, taskPath, everyone).says("Fetches a task.").answers(taskmodel.TaskrouterV1Task{}).by((*call).fetchTask),
		post(taskrouter, taskPath, everyone, http.StatusOK).
			says("`wrapping` ends the agent's turn, `completed` completes it, `canceled` closes a conversation whose task waits.").
			but("Reason is kept as the disposition, with `completed` and `canceled` only. Attributes, Priority and TaskChannel can only have their present values.").
			with("AssignmentStatus", "Reason", "Attributes", "Priority", "TaskChannel").without("VirtualStartTime").answers(taskmodel.TaskrouterV1Task{}).by((*call).updateTask),
		remove(taskrouter, taskPath, staff).says("Cancels a waiting task.").
			but("The task stays on record: nothing is deleted.").by((*call).removeTask),
	}
}

// workspace refuses any workspace in the path except the only one.
func (c *call) workspace() error {
	if given := c.r.PathValue("workspace"); !strings.EqualFold(given, c.workspaceSID()) {
		return c.lost("workspace", given)
	}
	return nil
}

// taskModel returns a task in the form of TaskRouter.
func (c *call) taskModel(task desk.Task) (taskmodel.TaskrouterV1Task, error) {
	labels, err := c.desk.Labels(c.ctx, task.Queue, task.Conversation)
	if err != nil {
		return taskmodel.TaskrouterV1Task{}, err
	}
	return c.labelled(task, labels)
}

func (c *call) labelled(task desk.Task, labels desk.Labels) (taskmodel.TaskrouterV1Task, error) {
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
	base := c.workspaceURL("Tasks", task.SID)
	return taskmodel.TaskrouterV1Task{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(task.SID), Url: new(base),
		Age: seconds(task.CreatedAt, c.now), AssignmentStatus: new(string(task.Status)), Attributes: new(string(attributes)), Addons: new("{}"),
		DateCreated: date(task.CreatedAt), DateUpdated: date(updatedAt(task)), TaskQueueEnteredDate: date(task.CreatedAt), VirtualStartTime: date(task.QueuedAt),
		Priority: task.Priority, Reason: text(reason), TaskQueueSid: new(conversation.QueueSID(task.Queue)), TaskQueueFriendlyName: new(labels.Queue),
		TaskChannelSid: new(channelSID(task.Channel)), TaskChannelUniqueName: new(string(task.Channel)), Timeout: seconds(task.CreatedAt, task.TimeoutAt),
		WorkflowSid: new(labels.Workflow), WorkflowFriendlyName: new(labels.WorkflowName), IgnoreCapacity: new(task.Direct), RoutingTarget: text(target),
		Links: &map[string]any{
			"task_queue": c.workspaceURL("TaskQueues", conversation.QueueSID(task.Queue)), "workflow": c.workspaceURL("Workflows", labels.Workflow),
			"workspace": c.workspaceURL(), "reservations": base + "/Reservations",
		},
	}, nil
}

// tag returns the ETag of a task or a reservation. It changes with every change of the conversation.
func tag(sid string, revision int) string { return hashed(sid, strconv.Itoa(revision)) }

// taskTag returns the ETag of a task. For an agent's key, the ETag of another agent's task, or of a task after the
// agent's turn, depends only on the task: the conversation's revision would reveal that something happened in a
// later turn.
func (c *call) taskTag(task desk.Task, revision int) string {
	own := c.caller.agent()
	if own != "" && (task.Agent != own || (!task.Status.Waiting() && task.Status != conversation.TaskAssigned)) {
		return hashed(task.SID, string(task.Status))
	}
	return tag(task.SID, revision)
}

// reservationTag returns the ETag of a reservation, with the same restriction as taskTag.
func (c *call) reservationTag(r desk.Reservation, revision int) string {
	if c.caller.agent() != "" && r.Status != conversation.ReservationPending && r.Status != conversation.ReservationAccepted {
		return hashed(r.SID, string(r.Status))
	}
	return tag(r.SID, revision)
}

func hashed(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return `"` + hex.EncodeToString(sum[:8]) + `"`
}

// ifMatch refuses a request whose If-Match names another state of the resource than the present one.
func (c *call) ifMatch(now string) error {
	wanted := c.r.Header.Get("If-Match")
	if wanted == "" || wanted == "*" || slices.ContainsFunc(strings.Split(wanted, ","), func(tag string) bool {
		return strings.Trim(strings.TrimSpace(tag), `"`) == strings.Trim(now, `"`)
	}) {
		return nil
	}
	return c.overtaken()
}

// overtaken is the answer if the resource has changed since the client fetched it.
func (c *call) overtaken() *problem {
	return &problem{
		Status: http.StatusPreconditionFailed, Code: 20412,
		Message: "The resource has changed since it was fetched: fetch it again, then decide again",
	}
}

// only refuses a request whose command changed nothing, because an earlier request of any client had the same
// effect.
func (c *call) only(outcome conversation.Outcome, what, sid, expected, now string) error {
	switch {
	case !outcome.Unchanged:
		return nil
	case c.r.Header.Get("If-Match") != "":
		return c.overtaken()
	}
	return c.unexpected("%s %s not in expected state [%s]: it is already %s", what, sid, expected, now)
}

func (c *call) renderTask(task desk.Task, revision int) (any, error) {
	model, err := c.taskModel(task)
	if err != nil {
		return nil, err
	}
	if revision > 0 {
		c.w.Header().Set("ETag", c.taskTag(task, revision))
	}
	return all(model), nil
}

// taskAsked returns the present state of the task that the path names, and its conversation's revision.
func (c *call) taskAsked() (desk.Task, int, error) {
	if err := c.workspace(); err != nil {
		return desk.Task{}, 0, err
	}
	digits, err := c.path("task", conversation.PrefixTask, "task")
	if err != nil {
		return desk.Task{}, 0, err
	}
	task, v, err := c.taskNow(conversation.PrefixTask + digits)
	if err != nil {
		return task, 0, c.notThere(err, "task", c.r.PathValue("task"))
	}
	return task, v.revision, nil
}

func (c *call) fetchTask() (any, error) {
	task, revision, err := c.taskAsked()
	if err != nil {
		return nil, err
	}
	return c.renderTask(task, revision)
}

func (c *call) listTasks() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	page, err := c.page()
	if err != nil {
		return nil, err
	}
	filter, none, err := c.taskFilter()
	if err != nil {
		return nil, err
	}
	c.settle()
	var found desk.Found[desk.Task]
	if !none {
		if found, err = c.desk.TaskList(c.ctx, filter, page); err != nil {
			return nil, c.tooExpensive("EvaluateTaskAttributes", err)
		}
	}
	labels, failed := c.desk.LabelsOf(c.ctx, found.Entries)
	answer := list(c, page, found, func(task desk.Task) whole[taskmodel.TaskrouterV1Task] {
		model, err := c.labelled(task, labels[task.SID])
		if err != nil {
			failed = err
		}
		return all(model)
	})
	return answer, failed
}

// taskFilter reads which tasks are requested. none is set if no task can match.
func (c *call) taskFilter() (filter desk.TaskFilter, none bool, err error) {
	filter.Agent = c.caller.agent()
	for _, given := range c.form["AssignmentStatus"] {
		for status := range strings.SplitSeq(given, ",") {
			if !slices.Contains(taskStatuses, conversation.TaskStatus(status)) {
				return filter, false, c.wrong("AssignmentStatus", "AssignmentStatus has to be one of pending, reserved, assigned, wrapping, completed, canceled")
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
	if filter.Queue, unknown, err = c.queueAsked(); err != nil || unknown {
		return filter, true, err
	}
	if filter.Workflow, unknown, err = c.workflowAsked(); err != nil || unknown {
		return filter, true, err
	}
	if c.form.Get("Priority") != "" {
		priority, err := c.number("Priority", 0, 0, 1<<30)
		if err != nil {
			return filter, false, err
		}
		filter.Priority = &priority
	}
	if target := c.form.Get("RoutingTarget"); target != "" {
		agent, err := c.agentOf("RoutingTarget", target)
		if err != nil || (filter.Agent != "" && filter.Agent != agent) {
			return filter, true, c.ignoreRefusal(err)
		}
		filter.Agent, filter.Direct = agent, true
	}
	if addons, err := c.flag("HasAddons", false); err != nil || addons {
		return filter, addons, err
	}
	if filter.Attributes, err = c.evaluate("EvaluateTaskAttributes"); err != nil {
		return filter, false, err
	}
	name, descending, err := c.ordering("DateCreated", "Priority", "VirtualStartTime")
	filter.Order = map[string]desk.TaskOrder{"Priority": desk.TasksByPriority, "VirtualStartTime": desk.TasksByQueueTime}[name]
	filter.NewestFirst = descending
	return filter, none, err
}

// ownStatuses lists the statuses of the tasks that an agent's key may read.
var ownStatuses = []conversation.TaskStatus{conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping}

var taskStatuses = []conversation.TaskStatus{
	conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned, conversation.TaskWrapping,
	conversation.TaskCompleted, conversation.TaskCanceled,
}

// ignoreRefusal drops a refusal: a filter that names something unknown finds nothing.
func (c *call) ignoreRefusal(err error) error {
	if _, refused := asRefusal(err); refused {
		return nil
	}
	return err
}

// evaluate reads an expression over attributes; nil if the parameter is empty.
func (c *call) evaluate(parameter string) (*expression.Expression, error) {
	given := c.form.Get(parameter)
	if given == "" {
		return nil, nil //nolint:nilnil // no expression selects all
	}
	wanted, err := expression.Parse(given)
	if err != nil {
		return nil, c.wrong(parameter, "%s: %s", parameter, err)
	}
	return wanted, nil
}

// tooExpensive refuses the parameter if its evaluation took too many steps. It returns other errors unchanged.
func (c *call) tooExpensive(parameter string, err error) error {
	if errors.Is(err, expression.ErrBudget) {
		return c.wrong(parameter, "%s: the expression takes too many steps: shorten it, or narrow the list down with other filters", parameter)
	}
	return err
}

// ordering reads an order, as DateCreated:desc; "" if none is given.
func (c *call) ordering(names ...string) (name string, descending bool, err error) {
	given := c.form.Get("Ordering")
	if given == "" {
		return "", false, nil
	}
	name, direction, _ := strings.Cut(given, ":")
	if !slices.Contains(names, name) || (direction != "" && direction != "asc" && direction != "desc") {
		return "", false, c.wrong("Ordering", "Ordering has to be one of %s, with :asc or :desc, and not several", strings.Join(names, ", "))
	}
	return name, direction == "desc", nil
}

// queueAsked reads a filter by queue. none is set if there is no such queue.
func (c *call) queueAsked() (name string, none bool, err error) {
	sid, err := c.sid("TaskQueueSid", conversation.PrefixQueue)
	if err != nil {
		return "", false, err
	}
	named := c.form.Get("TaskQueueName")
	if sid == "" && named == "" {
		return "", false, nil
	}
	queues, err := c.desk.Queues(c.ctx)
	for _, q := range queues {
		if (sid == "" || q.SID == sid) && (named == "" || q.FriendlyName == named) {
			return q.Name, false, err
		}
	}
	return "", true, err
}

// workflowAsked reads a filter by workflow. none is set if there is no such workflow.
func (c *call) workflowAsked() (sid string, none bool, err error) {
	if sid, err = c.sid("WorkflowSid", desk.PrefixWorkflow); err != nil {
		return "", false, err
	}
	named := c.form.Get("WorkflowName")
	if named == "" {
		return sid, false, nil
	}
	workflows, err := c.desk.Workflows(c.ctx)
	for _, w := range workflows {
		if w.FriendlyName == named && (sid == "" || w.SID == sid) {
			return w.SID, false, err
		}
	}
	return "", true, err
}

func (c *call) createTask() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	channel, err := c.taskChannel()
	if err != nil {
		return nil, err
	}
	attributes, err := c.attributes(json.RawMessage(c.form.Get("Attributes")))
	if err != nil {
		return nil, err
	}
	o := opening{start: conversation.StartCommand{
		Conversation: c.newSID(conversation.PrefixConversation), Channel: channel, Customer: customerOf(attributes), Attributes: attributes,
	}}
	if err := c.routeTask(&o); err != nil {
		return nil, err
	}
	if err := c.start(o, desk.Details{}); err != nil {
		return nil, err
	}
	v, err := c.viewFor(o.start.Conversation)
	if err != nil {
		return nil, err
	}
	return c.renderTask(v.tasks[0], v.revision)
}

// routeTask reads the routing of a new task.
func (c *call) routeTask(o *opening) error {
	queue, err := c.sid("TaskQueueSid", conversation.PrefixQueue)
	if err != nil {
		return err
	}
	if o.workflow, err = c.sid("WorkflowSid", desk.PrefixWorkflow); err != nil {
		return err
	}
	switch target := c.form.Get("RoutingTarget"); {
	case isSID(conversation.PrefixAgent, target):
		if o.start.Agent, err = c.agentOf("RoutingTarget", target); err != nil {
			return err
		}
	case isSID(conversation.PrefixQueue, target):
		queue = target
	case isSID(desk.PrefixWorkflow, target):
		o.workflow = target
	case target != "":
		return c.wrong("RoutingTarget", "RoutingTarget has to be the SID of a worker, a queue or a workflow")
	}
	if o.start.Queue, o.start.Priority, err = c.routed(queue, o.workflow, o.start.Attributes); err != nil {
		return err
	}
	if o.start.Priority, err = c.number("Priority", o.start.Priority, 0, conversation.MaxPriority); err != nil {
		return err
	}
	return c.taskDefaults(o.start)
}

// taskDefaults refuses values that a new task cannot have.
func (c *call) taskDefaults(start conversation.StartCommand) error {
	direct := start.Agent != ""
	ignores, err := c.flag("IgnoreCapacity", direct)
	if err != nil {
		return err
	}
	if ignores != direct {
		return c.wrong("IgnoreCapacity", "IgnoreCapacity can only be %t here, for a task for one worker ignores capacity and no other does: leave it out", direct)
	}
	settings, err := c.desk.Settings(c.ctx)
	if err != nil {
		return err
	}
	wanted, err := c.number("Timeout", settings.TaskTimeout, 1, 1<<30)
	if err == nil && wanted != settings.TaskTimeout {
		return c.wrong("Timeout", "every task has the timeout of the settings, %d seconds: leave Timeout out, or change the settings", settings.TaskTimeout)
	}
	return err
}

// taskChannel reads TaskChannel, a name or a SID; web if it is empty or default.
func (c *call) taskChannel() (conversation.Channel, error) {
	given := c.form.Get("TaskChannel")
	if given == "" || given == "default" {
		return conversation.ChannelWeb, nil
	}
	for _, channel := range conversation.Channels() {
		if given == string(channel) || given == channelSID(channel) {
			return channel, nil
		}
	}
	return "", c.wrong("TaskChannel", "There is no task channel %s: use web, sms, whatsapp, messenger, chat or email", short(given))
}

// taskToChange returns the task that the path names. The desk's record is enough to end or complete an agent's
// turn: the conversation itself checks later changes, and need not be queried first. The revision is 0 if it is
// unknown.
func (c *call) taskToChange() (desk.Task, int, error) {
	status := conversation.TaskStatus(c.form.Get("AssignmentStatus"))
	ends := status == conversation.TaskWrapping || status == conversation.TaskCompleted
	if !ends || c.r.Header.Get("If-Match") != "" || c.form.Has("Attributes") || c.form.Has("Priority") || c.form.Has("TaskChannel") {
		return c.taskAsked()
	}
	if err := c.workspace(); err != nil {
		return desk.Task{}, 0, err
	}
	digits, err := c.path("task", conversation.PrefixTask, "task")
	if err != nil {
		return desk.Task{}, 0, err
	}
	task, err := c.agentTask(conversation.PrefixTask + digits)
	if _, coded := asRefusal(err); coded {
		return c.taskAsked()
	}
	return task, 0, err
}

func (c *call) updateTask() (any, error) {
	task, revision, err := c.taskToChange()
	if err != nil {
		return nil, err
	}
	status := conversation.TaskStatus(c.form.Get("AssignmentStatus"))
	if c.form.Get("Reason") != "" && (status == "" || status == conversation.TaskWrapping) {
		return nil, c.wrong("Reason", "Reason is kept of a task that is completed or canceled: send it with that AssignmentStatus")
	}
	if c.token() != "" && status != "" && task.Status == status { // a repeat whose first answer was lost
		if err := c.actAs(task.Agent); err != nil {
			return nil, err
		}
		if c.caller.agent() != "" && !slices.Contains(ownStatuses, task.Status) {
			task.Attributes = nil // the agent may no longer read them
		}
		return c.renderTask(task, revision)
	}
	if err := c.ifMatch(c.taskTag(task, revision)); err != nil {
		return nil, err
	}
	if err := c.unchangeable(task); err != nil {
		return nil, err
	}
	var outcome conversation.Outcome
	switch status {
	case "":
		return c.renderTask(task, revision)
	case conversation.TaskWrapping, conversation.TaskCompleted:
		if task.Agent == "" {
			return nil, c.unexpected("Task %s not in expected state [assigned, wrapping]: it is %s", task.SID, task.Status)
		}
		if outcome, err = c.finish(task, status == conversation.TaskCompleted, c.form.Get("Reason")); err != nil {
			return nil, c.taskOver(task, err)
		}
		if err := c.only(outcome, "Task", task.SID, "assigned, wrapping", statusAfter(outcome, task)); err != nil {
			return nil, err
		}
	case conversation.TaskCanceled:
		return c.cancelTask(task)
	case conversation.TaskPending, conversation.TaskReserved, conversation.TaskAssigned:
		fallthrough
	default:
		return nil, c.wrong("AssignmentStatus", "AssignmentStatus can be set to wrapping, completed or canceled")
	}
	task.Task = merge(task.Task, outcome.Task)
	return c.renderTask(task, outcome.Revision)
}

// statusAfter returns the task's status after the command.
func statusAfter(outcome conversation.Outcome, before desk.Task) string {
	if t := outcome.Task; t != nil && t.SID == before.SID {
		return string(t.Status)
	}
	return string(before.Status)
}

// taskOver replaces a refusal that the conversation is closed by one that the task has ended.
func (c *call) taskOver(task desk.Task, refused error) error {
	if conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	v, err := c.viewFor(task.Conversation)
	if err != nil {
		return err
	}
	if now := v.task(task.SID); now != nil && !now.Status.Live() {
		return c.unexpected("Task %s not in expected state [assigned, wrapping]: it is already %s", task.SID, now.Status)
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
func (c *call) cancelTask(task desk.Task) (any, error) {
	if own := c.caller.agent(); own != "" {
		return nil, c.forbid("An agent's key may not cancel tasks: decline the reservation instead")
	}
	outcome, err := c.send(task.Conversation, conversation.CloseCommand{Task: task.SID, Reason: c.form.Get("Reason"), Meta: c.command("")})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return nil, c.unexpected("Task %s not in expected state [pending, reserved]: it is %s", task.SID, task.Status)
	}
	if err != nil {
		return nil, err
	}
	if err := c.only(outcome, "Task", task.SID, "pending, reserved", statusAfter(outcome, task)); err != nil {
		return nil, err
	}
	if outcome.Task != nil && outcome.Task.SID == task.SID {
		task.Task = merge(task.Task, outcome.Task)
	}
	return c.renderTask(task, outcome.Revision)
}

func (c *call) removeTask() (any, error) {
	task, revision, err := c.taskAsked()
	if err != nil {
		return nil, err
	}
	if c.token() != "" && task.Status == conversation.TaskCanceled {
		return nil, nil //nolint:nilnil // a repeat whose first answer was lost
	}
	if err := c.ifMatch(c.taskTag(task, revision)); err != nil {
		return nil, err
	}
	_, err = c.cancelTask(task)
	return nil, err
}

// unchangeable refuses changes to the attributes, the channel or the priority of a task. Their present values are
// allowed.
func (c *call) unchangeable(task desk.Task) error {
	if given := c.optional("Attributes"); given != nil {
		attributes, err := c.attributes(json.RawMessage(*given))
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(desk.DecodeAttributes(attributes), desk.DecodeAttributes(task.Attributes)) {
			return c.wrong("Attributes", "The attributes of a task reach every task after it unchanged, and can't be changed: give them when the conversation starts")
		}
	}
	if c.form.Get("TaskChannel") != "" {
		channel, err := c.taskChannel()
		if err == nil && channel != task.Channel {
			err = c.wrong("TaskChannel", "TaskChannel can only be the channel of the conversation, %s: leave it out", task.Channel)
		}
		if err != nil {
			return err
		}
	}
	priority, err := c.number("Priority", task.Priority, 0, conversation.MaxPriority)
	if err == nil && priority != task.Priority {
		return c.wrong("Priority", "The priority of a task can't be changed: give it when the conversation starts")
	}
	return err
}
