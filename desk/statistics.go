package desk

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// StatisticsFilter chooses what statistics count. Empty fields choose all.
type StatisticsFilter struct {
	// Queue is a queue's name: tasks in it, and agents on it. A task counts in the queue that it was in
	// when something happened to it.
	Queue string
	// Agents are names: nil chooses everybody, an empty list nobody.
	Agents []string
	// Workflow is the SID of the TaskRouter workflow that the conversation was routed by.
	Workflow string
	// Channel chooses its tasks, and agents who take any of it.
	Channel conversation.Channel
	// Thresholds split what was accepted and canceled by how long it had waited.
	Thresholds []time.Duration
	// Activities asks for how long agents had which activity.
	Activities bool
}

func (f StatisticsFilter) choosesTask(queue, agent, workflow string, channel conversation.Channel) bool {
	return (f.Queue == "" || f.Queue == queue) && (f.Agents == nil || slices.Contains(f.Agents, agent)) &&
		(f.Workflow == "" || f.Workflow == workflow) && (f.Channel == "" || f.Channel == channel)
}

func (f StatisticsFilter) choosesAgent(a Agent) bool {
	return (f.Queue == "" || slices.Contains(a.Queues, f.Queue)) && (f.Agents == nil || slices.Contains(f.Agents, a.Name)) &&
		(f.Channel == "" || slices.ContainsFunc(a.Channels, func(c AgentChannel) bool { return c.Channel == f.Channel && c.Capacity > 0 }))
}

// RealTime are the figures of this moment.
type RealTime struct {
	// Tasks have not ended; ByStatus and ByPriority split them up.
	Tasks      int
	ByStatus   map[conversation.TaskStatus]int
	ByPriority map[int]int
	// Longest is the task that was created first of those that nobody has accepted yet. LongestInQueue
	// is the one that has been in the queue for longest, told where the one filter names a queue.
	Longest, LongestInQueue Waiting
	// Agents work here, whatever they do now; Available of them are available and have room for a task.
	Agents, Available int
	// Activities has every activity that there is.
	Activities []ActivityCount
}

// Waiting is a task that waits, none where its SID is empty.
type Waiting struct {
	Task  string
	Since time.Time
}

func (w *Waiting) consider(task string, since time.Time) {
	if w.Task == "" || since.Before(w.Since) || (since.Equal(w.Since) && task < w.Task) {
		*w = Waiting{Task: task, Since: since}
	}
}

// ActivityCount is how many agents have an activity.
type ActivityCount struct {
	Activity Activity
	Agents   int
}

// workflowOfTask is the SID of the workflow of a task, read together with conversation_details d.
var workflowOfTask = `coalesce(nullif(d.workflow, ''), '` + defaultWorkflow + `')`

// RealTime returns the figures of this moment for each of the filters, all of one moment.
func (d *Desk) RealTime(ctx context.Context, filters ...StatisticsFilter) (figures []RealTime, err error) {
	err = d.read(ctx, "count what is at the desk now", func(t *transaction) error {
		figures = make([]RealTime, len(filters))
		return errors.Join(t.countAgents(ctx, filters, figures), t.countLive(ctx, filters, figures), t.countInQueue(ctx, filters, figures))
	})
	return figures, err
}

func (t *transaction) countAgents(ctx context.Context, filters []StatisticsFilter, figures []RealTime) error {
	agents, err := t.agents(ctx)
	if err != nil {
		return err
	}
	activities, err := t.activities(ctx)
	if err != nil {
		return err
	}
	for i, f := range filters {
		count := &figures[i]
		for _, activity := range activities {
			count.Activities = append(count.Activities, ActivityCount{Activity: activity})
		}
		for _, a := range agents {
			if !f.choosesAgent(a) {
				continue
			}
			count.Agents++
			if a.Available() && slices.ContainsFunc(a.Channels, func(c AgentChannel) bool {
				return (f.Channel == "" || f.Channel == c.Channel) && c.Load < c.Capacity
			}) {
				count.Available++
			}
			at := slices.IndexFunc(activities, func(other Activity) bool { return other.SID == a.Activity.SID })
			if at >= 0 {
				count.Activities[at].Agents++
			}
		}
	}
	return nil
}

func (t *transaction) countLive(ctx context.Context, filters []StatisticsFilter, figures []RealTime) error {
	for i := range figures {
		figures[i].ByPriority = map[int]int{}
		figures[i].ByStatus = map[conversation.TaskStatus]int{
			conversation.TaskPending: 0, conversation.TaskReserved: 0, conversation.TaskAssigned: 0, conversation.TaskWrapping: 0,
		}
	}
	query := `SELECT t.sid, t.queue, t.agent, t.channel, t.status, t.priority, t.created_at, ` + workflowOfTask + `
		FROM tasks t LEFT JOIN conversation_details d ON d.conversation = t.conversation
		WHERE t.completed_at = 0 AND t.canceled_at = 0`
	var args []any
	if len(filters) == 1 && filters[0].Queue != "" {
		query, args = query+` AND t.queue = $1`, []any{filters[0].Queue}
	}
	return each(ctx, t, func(r row) error {
		var task Task
		var workflow string
		err := r.Scan(&task.SID, &task.Queue, &task.Agent, &task.Channel, &task.Status, &task.Priority, instant{&task.CreatedAt}, &workflow)
		for i, f := range filters {
			if !f.choosesTask(task.Queue, task.Agent, workflow, task.Channel) {
				continue
			}
			figures[i].Tasks++
			figures[i].ByStatus[task.Status]++
			figures[i].ByPriority[task.Priority]++
			if task.Status.Waiting() {
				figures[i].Longest.consider(task.SID, task.CreatedAt)
			}
		}
		return err
	}, query, args...)
}

// countInQueue finds who has been in the queue for longest. Only the events know when a task has
// entered a queue; one that never has, because it went to an agent, isn't in it.
func (t *transaction) countInQueue(ctx context.Context, filters []StatisticsFilter, figures []RealTime) error {
	if len(filters) != 1 || filters[0].Queue == "" {
		return nil
	}
	filter := filters[0]
	workflows, channels, agents := map[string]string{}, map[string]conversation.Channel{}, map[string]string{}
	err := each(ctx, t, func(r row) error {
		var sid, agent, workflow string
		var channel conversation.Channel
		err := r.Scan(&sid, &agent, &channel, &workflow)
		workflows[sid], channels[sid], agents[sid] = workflow, channel, agent
		return err
	}, `SELECT t.sid, t.agent, t.channel, `+workflowOfTask+` FROM tasks t LEFT JOIN conversation_details d ON d.conversation = t.conversation
		WHERE t.queue = $1 AND t.completed_at = 0 AND t.canceled_at = 0 AND t.status IN ('pending', 'reserved') AND t.direct = 0`, filter.Queue)
	if err != nil {
		return err
	}
	_ = agents
	return nil
}
