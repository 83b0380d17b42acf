package taskrouter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/httpapi/tasks"
	"github.com/baton-transfers/baton/internal/naming"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

const queuePath = workspacePath + "/TaskQueues/{queue}"

func queueRoutes() []rest.Route {
	const order = "Tasks are always offered FIFO, to one agent at a time (MaxReservedWorkers 1). Queues have no activities."
	return []rest.Route{
		rest.Get(workspacePath+"/TaskQueues", rest.Everyone).Says("Lists the queues.").With("FriendlyName", "WorkerSid", "EvaluateWorkerAttributes", "Ordering").
			Lists("task_queues", taskmodel.TaskrouterV1TaskQueue{}).By(listQueues),
		rest.Post(workspacePath+"/TaskQueues", rest.Services, http.StatusCreated).Says("Adds a queue. Its members are the agents for whose attributes TargetWorkers is true.").
			But(order+" Without TargetWorkers every agent is a member (`1==1`).").With("FriendlyName*", "TargetWorkers", "MaxReservedWorkers", "TaskOrder").
			Without("ReservationActivitySid", "AssignmentActivitySid").
			Answers(taskmodel.TaskrouterV1TaskQueue{}).By(createQueue),
		rest.Get(queuePath, rest.Everyone).Says("Fetches a queue.").Answers(taskmodel.TaskrouterV1TaskQueue{}).By(fetchQueue),
		rest.Post(queuePath, rest.Services, http.StatusOK).Says("Changes a queue.").But(order).
			With("FriendlyName", "TargetWorkers", "MaxReservedWorkers", "TaskOrder").
			Without("ReservationActivitySid", "AssignmentActivitySid").Answers(taskmodel.TaskrouterV1TaskQueue{}).By(updateQueue),
		rest.Delete(queuePath, rest.Services).Says("Removes a queue in which no task waits.").By(removeQueue),
	}
}

func renderQueue(c *rest.Call, q people.Queue) rest.Whole[taskmodel.TaskrouterV1TaskQueue] {
	base := c.WorkspaceURL("TaskQueues", q.SID)
	found := rest.Links(base, "statistics", "real_time_statistics", "cumulative_statistics")
	(*found)["workspace"] = c.WorkspaceURL()
	return rest.All(taskmodel.TaskrouterV1TaskQueue{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Sid: new(q.SID), FriendlyName: new(q.FriendlyName),
		TargetWorkers: new(targetOf(q)), MaxReservedWorkers: 1, TaskOrder: new("FIFO"), DateCreated: rest.Date(q.CreatedAt), DateUpdated: rest.Date(q.UpdatedAt),
		Url: new(base), Links: found,
	})
}

// targetOf returns the queue's expression. If the queue has explicit members instead, the expression lists their
// names.
func targetOf(q people.Queue) string {
	if q.TargetWorkers != "" {
		return q.TargetWorkers
	}
	names, err := json.Marshal(q.Members)
	if err != nil {
		return "1==0" // names can always be encoded
	}
	return "name IN " + string(names)
}

func listQueues(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	order, descending, err := readOrdering(c, "DateUpdated", "FriendlyName", "MaxReservedWorkers", "TargetWorkers")
	if err != nil {
		return nil, err
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	orderQueues(queues, order, descending)
	if named := c.Form.Get("FriendlyName"); named != "" {
		queues = slices.DeleteFunc(queues, func(q people.Queue) bool { return q.FriendlyName != named })
	}
	if worker := c.Form.Get("WorkerSid"); worker != "" {
		agent, err := tasks.AgentOf(c, "WorkerSid", worker)
		if err := rest.IgnoreRefusal(err); err != nil {
			return nil, err
		}
		queues = slices.DeleteFunc(queues, func(q people.Queue) bool { return !slices.Contains(q.Members, agent) })
	}
	if given := c.Form.Get("EvaluateWorkerAttributes"); given != "" {
		if queues, err = queuesFor(c, queues, given); err != nil {
			return nil, err
		}
	}
	return rest.Some(c, queues, func(q people.Queue) any { return renderQueue(c, q) })
}

// orderQueues sorts queues, which are in the order of their names, by the requested order.
func orderQueues(queues []people.Queue, order string, descending bool) {
	slices.SortStableFunc(queues, func(a, b people.Queue) int {
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
func queuesFor(c *rest.Call, queues []people.Queue, given string) ([]people.Queue, error) {
	attributes := map[string]any{}
	if json.Unmarshal([]byte(given), &attributes) != nil {
		return nil, c.Wrong("EvaluateWorkerAttributes", "EvaluateWorkerAttributes has to be a JSON object of a worker's attributes")
	}
	budget, chosen := expression.NewBudget(c.Ctx), []people.Queue{}
	name, _ := attributes["name"].(string)
	for _, q := range queues {
		if q.TargetWorkers == "" { // explicit members may be too many for an expression
			if slices.Contains(q.Members, name) {
				chosen = append(chosen, q)
			}
			continue
		}
		wanted, err := routing.ParseExpression(c.Desk, q.TargetWorkers)
		if err != nil {
			return nil, fmt.Errorf("read the expression of queue %s: %w", q.Name, err) // it was valid when it was stored
		}
		is, err := wanted.Evaluate(budget, attributes)
		switch {
		case errors.Is(err, expression.ErrBudget):
			return nil, c.Wrong("EvaluateWorkerAttributes", "EvaluateWorkerAttributes: TargetWorkers of the queues take too many steps on these attributes: shorten them")
		case err != nil:
			return nil, fmt.Errorf("evaluate the expression of queue %s: %w", q.Name, err)
		case is:
			chosen = append(chosen, q)
		}
	}
	return chosen, nil
}

// queueOrder refuses an order or a number of reserved workers that queues cannot have.
func queueOrder(c *rest.Call) error {
	if order := c.Form.Get("TaskOrder"); order != "" && order != "FIFO" {
		return c.Wrong("TaskOrder", "Queues are always first in, first out: leave TaskOrder FIFO")
	}
	_, err := c.Number("MaxReservedWorkers", 1, 1, 1)
	return err
}

func createQueue(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	friendly, err := c.Required("FriendlyName")
	if err != nil {
		return nil, err
	}
	if err := queueOrder(c); err != nil {
		return nil, err
	}
	added := people.NewQueue{FriendlyName: friendly, TargetWorkers: c.Form.Get("TargetWorkers")}
	if added.TargetWorkers == "" {
		added.TargetWorkers = "1==1"
	}
	name, refused := people.RegisterQueue(c.Changing, c.Desk, added)
	if refused != nil && !isRepeat(c, refused) {
		return nil, refused
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		before := naming.Same(q.FriendlyName, conversation.CleanName(friendly)) && q.TargetWorkers == added.TargetWorkers
		if q.Name == name || (refused != nil && before) {
			return renderQueue(c, q), nil
		}
	}
	if refused == nil {
		return nil, c.Lost("task queue", name) // removed in the meantime
	}
	return nil, refused
}

// queueFound returns the queue that the path names.
func queueFound(c *rest.Call) (people.Queue, error) {
	if err := checkWorkspace(c); err != nil {
		return people.Queue{}, err
	}
	given := c.Request.PathValue("queue")
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	for _, q := range queues {
		if rest.SameDigits(given, q.SID) {
			return q, err
		}
	}
	if err != nil {
		return people.Queue{}, err
	}
	return people.Queue{}, c.Lost("task queue", given)
}

func fetchQueue(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	return renderQueue(c, queue), nil
}

func updateQueue(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	if err := queueOrder(c); err != nil {
		return nil, err
	}
	change := people.QueueChange{FriendlyName: c.Optional("FriendlyName"), TargetWorkers: c.Optional("TargetWorkers")}
	if change.TargetWorkers != nil && *change.TargetWorkers == targetOf(queue) {
		change.TargetWorkers = nil // unchanged since it was fetched: explicit members stay explicit
	}
	if err := people.UpdateQueue(c.Changing, c.Desk, queue.Name, change); err != nil {
		return nil, err
	}
	return fetchQueue(c)
}

func removeQueue(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	return nil, inUse(c, people.RemoveQueue(c.Changing, c.Desk, queue.Name))
}
