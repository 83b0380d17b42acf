package routes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/jsonkeys"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Workflow is a TaskRouter workflow: it chooses the queue of a new task. It is not the Temporal workflow of a
// conversation.
type Workflow struct {
	SID          string
	FriendlyName string
	// Configuration is TaskRouter's JSON, unchanged.
	Configuration string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// routing is the part of a workflow's TaskRouter configuration that decides where a new task goes.
type routing struct {
	TaskRouting struct {
		Filters       []routingFilter `json:"filters"`
		DefaultFilter *routingTarget  `json:"default_filter"`
	} `json:"task_routing"`
}

type routingFilter struct {
	// Name is the filter's label, in either of TaskRouter's spellings. It has no effect.
	Name       json.RawMessage `json:"filter_friendly_name"`
	OldName    json.RawMessage `json:"friendly_name"`
	Expression string          `json:"expression"`
	// Targets are tried in order. Only the first has an effect: a task leaves a target only by timeout or skip_if,
	// and no target has those.
	Targets []routingTarget `json:"targets"`

	wanted *expression.Expression
}

// name returns the filter's name, or "" if it has none.
func (f routingFilter) name() (name string) {
	for _, given := range []json.RawMessage{f.Name, f.OldName} {
		if name == "" && json.Unmarshal(given, &name) != nil {
			name = ""
		}
	}
	return name
}

type routingTarget struct {
	// Queue is the SID of a queue.
	Queue    string      `json:"queue"`
	Priority json.Number `json:"priority"`
}

// Route is the queue and priority of a new task.
type Route struct {
	Queue    string
	Priority int
}

// ListWorkflows returns the workflows, the default workflow first.
func ListWorkflows(ctx context.Context, d *desk.Desk) (found []Workflow, err error) {
	err = d.ReadTx(ctx, "read workflows", func(tx *desk.Tx) error {
		found, err = readWorkflows(ctx, tx)
		return err
	})
	return found, err
}

func readWorkflows(ctx context.Context, tx *desk.Tx) ([]Workflow, error) {
	stored, err := sqldb.All(ctx, tx, func(r sqldb.Row) (w Workflow, err error) {
		err = r.Scan(&w.SID, &w.FriendlyName, &w.Configuration, sqldb.Instant(&w.CreatedAt), sqldb.Instant(&w.UpdatedAt))
		return w, err
	}, `SELECT sid, friendly_name, configuration, created_at, updated_at FROM workflows ORDER BY created_at, sid`)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(stored, func(w Workflow) bool { return w.SID == desk.DefaultWorkflow() })
	if at >= 0 {
		own := stored[at]
		return append([]Workflow{own}, slices.Delete(stored, at, at+1)...), nil
	}
	queue, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT sid FROM queues ORDER BY created_at, name LIMIT 1`)
	if err != nil {
		return nil, err
	}
	account, _, err := access.ReadAccountTx(ctx, tx)
	if err != nil {
		return nil, err
	}
	own := Workflow{
		SID: desk.DefaultWorkflow(), FriendlyName: "Default", CreatedAt: account.CreatedAt, UpdatedAt: account.CreatedAt,
		Configuration: `{"task_routing":{"filters":[],"default_filter":{"queue":"` + queue + `"}}}`,
	}
	return append([]Workflow{own}, stored...), nil
}

func findWorkflow(ctx context.Context, tx *desk.Tx, sid string) (Workflow, error) {
	workflows, err := readWorkflows(ctx, tx)
	if err != nil {
		return Workflow{}, err
	}
	at := slices.IndexFunc(workflows, func(w Workflow) bool { return w.SID == sid })
	if at < 0 {
		return Workflow{}, desk.Invalid("workflow", "there is no workflow %q: see the list of workflows", sid)
	}
	return workflows[at], nil
}

// SaveWorkflow adds a workflow, or changes the one whose SID is given. It is refused with invalid_payload for a
// name that is taken, and for a configuration that is not TaskRouter's, names an unknown queue, or has a key that
// routing does not read.
func SaveWorkflow(ctx context.Context, d *desk.Desk, w Workflow) (saved Workflow, err error) {
	if refusal := desk.CleanName("workflow", &w.FriendlyName); refusal != nil {
		return Workflow{}, refusal
	}
	configured, refusal := readRouting(w.Configuration, d.Expressions)
	if refusal != nil {
		return Workflow{}, refusal
	}
	unsupported := unreadRouting(w.Configuration)
	added := w.SID == ""
	if added {
		w.SID = conversation.SIDOf(desk.PrefixWorkflow, uuid.New())
	}
	err = d.ExclusiveTx(ctx, "save workflow "+w.SID, func(tx *desk.Tx) error {
		workflows, err := readWorkflows(ctx, tx)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(workflows, func(other Workflow) bool { return other.FriendlyName == w.FriendlyName && other.SID != w.SID }) {
			return desk.Taken("friendly_name", "there is a workflow named %q already: choose another name", w.FriendlyName)
		}
		if !added && !slices.ContainsFunc(workflows, func(other Workflow) bool { return other.SID == w.SID }) {
			return desk.Invalid("workflow", "there is no workflow %q: see the list of workflows", w.SID)
		}
		// A configuration that a version stored that ignored such keys stays valid until it is changed.
		if unsupported != nil && !slices.ContainsFunc(workflows, func(other Workflow) bool { return other.SID == w.SID && other.Configuration == w.Configuration }) {
			return unsupported
		}
		for _, target := range configured.targets() {
			if _, err := queueOf(ctx, tx, target.Queue); err != nil {
				return err
			}
		}
		now := sqldb.Micros(d.Now())
		values := []desk.Changed{{What: "workflow.added", Subject: w.FriendlyName, After: w.Configuration}}
		for _, before := range workflows {
			if before.SID == w.SID {
				values = []desk.Changed{
					{What: "workflow.friendly_name", Subject: before.FriendlyName, Before: before.FriendlyName, After: w.FriendlyName},
					{What: "workflow.configuration", Subject: w.FriendlyName, Before: before.Configuration, After: w.Configuration},
				}
			}
		}
		if err := tx.Audit(ctx, now, values...); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `INSERT INTO workflows (sid, friendly_name, configuration, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)
			ON CONFLICT (sid) DO UPDATE SET friendly_name = excluded.friendly_name, configuration = excluded.configuration,
				updated_at = excluded.updated_at`, w.SID, w.FriendlyName, w.Configuration, now); err != nil {
			return err
		}
		saved, err = findWorkflow(ctx, tx, w.SID)
		return err
	})
	return saved, err
}

// RemoveWorkflow removes a workflow. Conversations that it has routed are not affected. It is refused with
// invalid_payload for the default workflow and for an unknown one.
func RemoveWorkflow(ctx context.Context, d *desk.Desk, sid string) error {
	if sid == desk.DefaultWorkflow() {
		return desk.Invalid("workflow", "every desk has the default workflow: change it instead")
	}
	return d.ExclusiveTx(ctx, "remove workflow "+sid, func(tx *desk.Tx) error {
		before, err := findWorkflow(ctx, tx, sid)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM workflows WHERE sid = $1`, sid); err != nil {
			return err
		}
		return tx.Audit(ctx, sqldb.Micros(d.Now()), desk.Changed{What: "workflow.removed", Subject: before.FriendlyName, Before: before.Configuration})
	})
}

// maxConfiguration is the maximum number of characters in a workflow's configuration.
const maxConfiguration = 64 * 1024

func readRouting(configuration string, parsed *expression.Cache) (routing, *conversation.Refusal) {
	var r routing
	const shape = `the configuration is TaskRouter's JSON, as in {"task_routing":{"filters":[],"default_filter":{"queue":"WQ…"}}}`
	if length := utf8.RuneCountInString(configuration); length > maxConfiguration {
		return r, desk.Invalid("configuration", "the configuration has %d characters: shorten it to at most %d", length, maxConfiguration)
	}
	if !sqldb.Storable(configuration) || json.Unmarshal([]byte(configuration), &r) != nil {
		return r, desk.Invalid("configuration", shape)
	}
	if len(r.targets()) == 0 {
		return r, desk.Invalid("configuration", "the configuration names no queue: "+shape)
	}
	for _, target := range r.targets() {
		if _, err := target.priority(); err != nil {
			return r, desk.Invalid("configuration", "the priority %q is no whole number from 0 on", target.Priority.String())
		}
	}
	for i := range r.TaskRouting.Filters {
		filter := &r.TaskRouting.Filters[i]
		var err error
		if filter.wanted, err = parsed.Parse(filter.Expression); err != nil {
			return r, desk.Invalid("configuration", "the expression of a filter is wrong: %s", err)
		}
	}
	return r, nil
}

// unreadRouting refuses a configuration with a key that routing does not read: it would be stored and have no
// effect.
func unreadRouting(configuration string) *conversation.Refusal {
	var parts struct {
		TaskRouting struct {
			Filters       []json.RawMessage `json:"filters"`
			DefaultFilter json.RawMessage   `json:"default_filter"`
		} `json:"task_routing"`
	}
	if json.Unmarshal([]byte(configuration), &parts) != nil {
		return nil //nolint:nilerr // readRouting refuses it
	}
	if unread := jsonkeys.Unread([]byte(configuration), parts); len(unread) > 0 {
		return unsupportedKey(unread[0], "the configuration")
	}
	for i, filter := range parts.TaskRouting.Filters {
		var labeled routingFilter
		if json.Unmarshal(filter, &labeled) != nil {
			return nil //nolint:nilerr // as above
		}
		if unread := jsonkeys.Unread(filter, labeled); len(unread) > 0 {
			return unsupportedKey(unread[0], fmt.Sprintf("filter %d %q of the configuration", i+1, labeled.name()))
		}
	}
	if unread := jsonkeys.Unread(parts.TaskRouting.DefaultFilter, routingTarget{}); len(unread) > 0 {
		return unsupportedKey(unread[0], "default_filter of the configuration")
	}
	return nil
}

func unsupportedKey(key, of string) *conversation.Refusal {
	return desk.Invalid("configuration", "%q in %s is not supported: leave it out", key, of)
}

func (r routing) targets() []routingTarget {
	var targets []routingTarget
	for _, filter := range r.TaskRouting.Filters {
		targets = append(targets, filter.Targets...)
	}
	if r.TaskRouting.DefaultFilter != nil {
		targets = append(targets, *r.TaskRouting.DefaultFilter)
	}
	return targets
}

func (t routingTarget) priority() (int, error) {
	if t.Priority == "" {
		return 0, nil
	}
	priority, err := t.Priority.Int64()
	if err == nil && (priority < 0 || priority > maxPriority) {
		return 0, desk.Invalid("priority", "choose 0 to %d", maxPriority)
	}
	return int(priority), err
}

// maxPriority is the highest priority of a task.
const maxPriority = 1_000_000

// choose returns where a task with those attributes goes: the first target of the first filter whose expression is
// true, else the default. It is refused with invalid_payload when the filters take too many steps.
func (r routing) choose(ctx context.Context, attributes map[string]any) (*routingTarget, error) {
	budget := expression.NewBudget(ctx)
	for i, filter := range r.TaskRouting.Filters {
		if len(filter.Targets) == 0 {
			continue
		}
		holds, err := filter.wanted.Evaluate(budget, attributes)
		switch {
		case errors.Is(err, expression.ErrBudget):
			return nil, desk.Invalid("attributes", "attributes: the expression of filter %d of the workflow: %s", i+1, err)
		case err != nil:
			return nil, desk.Wrap("evaluate a filter of the workflow", err)
		case holds:
			return &filter.Targets[0], nil
		}
	}
	return r.TaskRouting.DefaultFilter, nil
}

// FindRoute returns where the workflow sends a new task with those attributes. An empty SID means the default workflow.
// It is refused with invalid_payload for an unknown workflow or one that has no queue for the task, and with
// unknown_queue.
func FindRoute(ctx context.Context, d *desk.Desk, workflow string, attributes map[string]any) (route Route, err error) {
	if workflow == "" {
		workflow = desk.DefaultWorkflow()
	}
	err = d.ReadTx(ctx, "route a task by workflow "+workflow, func(tx *desk.Tx) error {
		w, err := findWorkflow(ctx, tx, workflow)
		if err != nil {
			return err
		}
		configured, refusal := readRouting(w.Configuration, d.Expressions)
		if refusal != nil {
			return refusal
		}
		target, err := configured.choose(ctx, attributes)
		if err != nil {
			return err
		}
		if target == nil {
			return desk.Invalid("workflow", "the workflow %s has no queue for this task: give it a default_filter, or name a queue", w.FriendlyName)
		}
		if route.Priority, err = target.priority(); err != nil {
			return desk.Wrap("read the priority of workflow "+workflow, err) // it was valid when it was stored
		}
		route.Queue, err = queueOf(ctx, tx, target.Queue)
		return err
	})
	return route, err
}

// queueOf returns the name of the queue with that SID.
func queueOf(ctx context.Context, tx *desk.Tx, sid string) (string, error) {
	name, found, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM queues WHERE sid = $1`, sid)
	if err == nil && !found {
		return "", conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: sid},
			"there is no queue with the SID %q: see the list of queues", sid)
	}
	return name, err
}

// QueueNameOf returns the name of the queue with that SID (WQ…). It is refused with unknown_queue when there is none.
func QueueNameOf(ctx context.Context, d *desk.Desk, sid string) (name string, err error) {
	err = d.QueryOne(ctx, "read queue "+sid, func(tx *desk.Tx) error {
		name, err = queueOf(ctx, tx, sid)
		return err
	})
	return name, err
}

// Labels are the friendly names of a task's queue and workflow.
type Labels struct {
	// Queue is the friendly name of the queue. Workflow is the SID and WorkflowName the friendly name of the
	// workflow that routed the conversation.
	Queue, Workflow, WorkflowName string
}

// LabelsFor returns the labels of a task in that queue and conversation.
func LabelsFor(ctx context.Context, d *desk.Desk, queue, sid string) (labels Labels, err error) {
	err = d.QueryOne(ctx, "read labels", func(tx *desk.Tx) error {
		labels, _, err = sqldb.First(ctx, tx, func(r sqldb.Row) (l Labels, err error) {
			err = r.Scan(&l.Queue, &l.Workflow, &l.WorkflowName)
			return l, err
		}, `SELECT coalesce((SELECT nullif(friendly_name, '') FROM queues WHERE name = $1), $1), w.sid,
				coalesce((SELECT friendly_name FROM workflows WHERE sid = w.sid), 'Default')
			FROM (SELECT coalesce((SELECT nullif(workflow, '') FROM conversation_details WHERE conversation = $2), '`+desk.DefaultWorkflow()+`') AS sid) w`, queue, sid)
		return err
	})
	return labels, err
}

// LabelsOf returns the labels of the tasks by task SID, as [LabelsFor] does for one. It runs few queries for any
// number of tasks.
func LabelsOf(ctx context.Context, d *desk.Desk, tasks []records.Task) (labels map[string]Labels, err error) {
	labels = make(map[string]Labels, len(tasks))
	err = d.ReadTx(ctx, "read the labels of tasks", func(tx *desk.Tx) error {
		for part := range slices.Chunk(tasks, sqldb.Batch) {
			sids := make([]string, len(part))
			for i, task := range part {
				sids[i] = task.SID
			}
			places, args := sqldb.BatchArguments(sids)
			if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
				var task string
				var l Labels
				err := r.Scan(&task, &l.Queue, &l.Workflow, &l.WorkflowName)
				labels[task] = l
				return err
			}, `SELECT r.sid, r.queue, r.workflow, coalesce(w.friendly_name, 'Default')
				FROM (SELECT t.sid, coalesce(nullif(q.friendly_name, ''), t.queue) AS queue, coalesce(nullif(d.workflow, ''), '`+desk.DefaultWorkflow()+`') AS workflow
					FROM tasks t LEFT JOIN queues q ON q.name = t.queue LEFT JOIN conversation_details d ON d.conversation = t.conversation
					WHERE t.sid IN (`+places+`)) r
				LEFT JOIN workflows w ON w.sid = r.workflow`, args...); err != nil {
				return err
			}
		}
		return nil
	})
	return labels, err
}
