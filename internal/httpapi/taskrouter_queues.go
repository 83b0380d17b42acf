package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/expression"
	"github.com/baton-transfers/baton/desk/naming"
)

const queuePath = workspacePath + "/TaskQueues/{queue}"

func queueRoutes() []route {
	const order = "Tasks are always offered FIFO, to one agent at a time (MaxReservedWorkers 1). Queues have no activities."
	return []route{
		get(taskrouter, workspacePath+"/TaskQueues", everyone).says("Lists the queues.").with("FriendlyName", "WorkerSid", "EvaluateWorkerAttributes", "Ordering").
			lists("task_queues", taskmodel.TaskrouterV1TaskQueue{}).by((*call).listQueues),
		post(taskrouter, workspacePath+"/TaskQueues", services, http.StatusCreated).says("Adds a queue. Its members are the agents for whose attributes TargetWorkers is true.").
			but(order+" Without TargetWorkers every agent is a member (`1==1`).").with("FriendlyName*", "TargetWorkers", "MaxReservedWorkers", "TaskOrder").
			without("ReservationActivitySid", "AssignmentActivitySid").
			answers(taskmodel.TaskrouterV1TaskQueue{}).by((*call).createQueue),
		get(taskrouter, queuePath, everyone).says("Fetches a queue.").answers(taskmodel.TaskrouterV1TaskQueue{}).by((*call).fetchQueue),
		post(taskrouter, queuePath, services, http.StatusOK).says("Changes a queue.").but(order).
			with("FriendlyName", "TargetWorkers", "MaxReservedWorkers", "TaskOrder").
			without("ReservationActivitySid", "AssignmentActivitySid").answers(taskmodel.TaskrouterV1TaskQueue{}).by((*call).updateQueue),
		remove(taskrouter, queuePath, services).says("Removes a queue in which no task waits.").by((*call).removeQueue),
	}
}

func (c *call) renderQueue(q desk.Queue) whole[taskmodel.TaskrouterV1TaskQueue] {
	base := c.workspaceURL("TaskQueues", q.SID)
	found := links(base, "statistics", "real_time_statistics", "cumulative_statistics")
	(*found)["workspace"] = c.workspaceURL()
	return all(taskmodel.TaskrouterV1TaskQueue{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Sid: new(q.SID), FriendlyName: new(q.FriendlyName),
		TargetWorkers: new(targetOf(q)), MaxReservedWorkers: 1, TaskOrder: new("FIFO"), DateCreated: date(q.CreatedAt), DateUpdated: date(q.UpdatedAt),
		Url: new(base), Links: found,
	})
}

// targetOf returns the queue's expression. If the queue has explicit members instead, the expression lists their
// names.
func targetOf(q desk.Queue) string {
	if q.TargetWorkers != "" {
		return q.TargetWorkers
	}
	names, err := json.Marshal(q.Members)
	if err != nil {
		return "1==0" // names can always be encoded
	}
	return "name IN " + string(names)
}

func (c *call) listQueues() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	order, descending, err := c.ordering("DateUpdated", "FriendlyName", "MaxReservedWorkers", "TargetWorkers")
	if err != nil {
		return nil, err
	}
	queues, err := c.desk.Queues(c.ctx)
	if err != nil {
		return nil, err
	}
	orderQueues(queues, order, descending)
	if named := c.form.Get("FriendlyName"); named != "" {
		queues = slices.DeleteFunc(queues, func(q desk.Queue) bool { return q.FriendlyName != named })
	}
	if worker := c.form.Get("WorkerSid"); worker != "" {
		agent, err := c.agentOf("WorkerSid", worker)
		if err := c.ignoreRefusal(err); err != nil {
			return nil, err
		}
		queues = slices.DeleteFunc(queues, func(q desk.Queue) bool { return !slices.Contains(q.Members, agent) })
	}
	if given := c.form.Get("EvaluateWorkerAttributes"); given != "" {
		if queues, err = c.queuesFor(queues, given); err != nil {
			return nil, err
		}
	}
	return some(c, queues, c.renderQueue)
}

// orderQueues sorts queues, which are in the order of their names, by the requested order.
func orderQueues(queues []desk.Queue, order string, descending bool) {
	slices.SortStableFunc(queues, func(a, b desk.Queue) int {
		if descending {
			a, b = b, a
		}
		switch order {
		case "DateUpdated":
			return a.UpdatedAt.Compare(b.UpdatedAt)
		case "FriendlyName":
			return strings.Compare(a.FriendlyName, b.FriendlyName)
		case "TargetWorkers":
			return strings.Compare(targetOf(a), targetOf(b))
		}
		return 0 // every queue reserves one worker at a time
	})
}

// queuesFor returns the queues that an agent with the given attributes would be a member of.
func (c *call) queuesFor(queues []desk.Queue, given string) ([]desk.Queue, error) {
	attributes := map[string]any{}
	if json.Unmarshal([]byte(given), &attributes) != nil {
		return nil, c.wrong("EvaluateWorkerAttributes", "EvaluateWorkerAttributes has to be a JSON object of a worker's attributes")
	}
	budget, chosen := expression.NewBudget(c.ctx), []desk.Queue{}
	name, _ := attributes["name"].(string)
	for _, q := range queues {
		if q.TargetWorkers == "" { // explicit members may be too many for an expression
			if slices.Contains(q.Members, name) {
				chosen = append(chosen, q)
			}
			continue
		}
		wanted, err := c.desk.Expression(q.TargetWorkers)
		if err != nil {
			return nil, fmt.Errorf("read the expression of queue %s: %w", q.Name, err) // it was valid when it was stored
		}
		is, err := wanted.Evaluate(budget, attributes)
		switch {
		case errors.Is(err, expression.ErrBudget):
			return nil, c.wrong("EvaluateWorkerAttributes", "EvaluateWorkerAttributes: TargetWorkers of the queues take too many steps on these attributes: shorten them")
		case err != nil:
			return nil, fmt.Errorf("evaluate the expression of queue %s: %w", q.Name, err)
		case is:
			chosen = append(chosen, q)
		}
	}
	return chosen, nil
}

// queueOrder refuses an order or a number of reserved workers that queues cannot have.
func (c *call) queueOrder() error {
	if order := c.form.Get("TaskOrder"); order != "" && order != "FIFO" {
		return c.wrong("TaskOrder", "Queues are always first in, first out: leave TaskOrder FIFO")
	}
	_, err := c.number("MaxReservedWorkers", 1, 1, 1)
	return err
}

func (c *call) createQueue() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	friendly, err := c.required("FriendlyName")
	if err != nil {
		return nil, err
	}
	if err := c.queueOrder(); err != nil {
		return nil, err
	}
	added := desk.NewQueue{FriendlyName: friendly, TargetWorkers: c.form.Get("TargetWorkers")}
	if added.TargetWorkers == "" {
		added.TargetWorkers = "1==1"
	}
	name, refused := c.desk.RegisterQueue(c.changing, added)
	if refused != nil && !c.repeated(refused) {
		return nil, refused
	}
	queues, err := c.desk.Queues(c.ctx)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		before := naming.Same(q.FriendlyName, conversation.CleanName(friendly)) && q.TargetWorkers == added.TargetWorkers
		if q.Name == name || (refused != nil && before) {
			return c.renderQueue(q), nil
		}
	}
	if refused == nil {
		return nil, c.lost("task queue", name) // removed in the meantime
	}
	return nil, refused
}

// queueFound returns the queue that the path names.
func (c *call) queueFound() (desk.Queue, error) {
	if err := c.workspace(); err != nil {
		return desk.Queue{}, err
	}
	given := c.r.PathValue("queue")
	queues, err := c.desk.Queues(c.ctx)
	for _, q := range queues {
		if sameDigits(given, q.SID) {
			return q, err
		}
	}
	if err != nil {
		return desk.Queue{}, err
	}
	return desk.Queue{}, c.lost("task queue", given)
}

func (c *call) fetchQueue() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	return c.renderQueue(queue), nil
}

func (c *call) updateQueue() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	if err := c.queueOrder(); err != nil {
		return nil, err
	}
	change := desk.QueueChange{FriendlyName: c.optional("FriendlyName"), TargetWorkers: c.optional("TargetWorkers")}
	if change.TargetWorkers != nil && *change.TargetWorkers == targetOf(queue) {
		change.TargetWorkers = nil // unchanged since it was fetched: explicit members stay explicit
	}
	if err := c.desk.UpdateQueue(c.changing, queue.Name, change); err != nil {
		return nil, err
	}
	return c.fetchQueue()
}

func (c *call) removeQueue() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	return nil, c.inUse(c.desk.RemoveQueue(c.changing, queue.Name))
}
