package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk/expression"
)

// TaskFilter chooses tasks. Empty fields choose all.
type TaskFilter struct {
	Statuses []conversation.TaskStatus
	Queue    string
	// Agent chooses the tasks that are the agent's; Direct those of them that were meant for nobody else.
	Agent  string
	Direct bool
	// Workflow is the SID of the TaskRouter workflow that the conversation was routed by.
	Workflow string
	Priority *int
	// Attributes chooses the tasks of whose attributes it is true; it may be nil. Its errors are those of [expression.Expression.Evaluate].
	Attributes *expression.Expression
	// Chooses looks at what no other field can tell, and may be nil.
	Chooses func(Task) bool
	// Order is by time of creation where it is left out; NewestFirst turns it around.
	Order       TaskOrder
	NewestFirst bool
}

// TaskOrder is what a list of tasks is ordered by, and after that by SID.
type TaskOrder int

// By creation, by priority, or by when the conversation's first task came.
const (
	TasksByCreation TaskOrder = iota
	TasksByPriority
	TasksByQueueTime
)

// TaskList returns a page of the tasks that the filter chooses, oldest first where it doesn't say otherwise.
func (d *Desk) TaskList(ctx context.Context, f TaskFilter, p Page) (found Found[Task], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectTasks, "SELECT "), "FROM ")
	list := listing[Task]{
		columns: columns, from: from, scan: scanTask, chooses: f.chosen(ctx), key: "t.created_at", sid: "t.sid",
		keyOf: func(t Task) (int64, string) { return micros(t.CreatedAt), t.SID }, descending: f.NewestFirst,
	}
	switch f.Order {
	case TasksByCreation:
	case TasksByPriority:
		list.key, list.keyOf = "t.priority", func(t Task) (int64, string) { return int64(t.Priority), t.SID }
	case TasksByQueueTime:
		list.key, list.keyOf = "t.queued_at", func(t Task) (int64, string) { return micros(t.QueuedAt), t.SID }
	}
	f.Statuses = distinct(f.Statuses)
	if len(f.Statuses) > 0 && !slices.ContainsFunc(f.Statuses, func(s conversation.TaskStatus) bool { return !s.Live() }) {
		list.conditions = append(list.conditions, `t.completed_at = 0 AND t.canceled_at = 0`) // which are few, and indexed
	}
	if len(f.Statuses) > 0 {
		list.conditions = append(list.conditions, `t.status IN (`+arguments(&list.args, f.Statuses)+`)`)
	}
	if f.Queue != "" {
		list.where(`t.queue = $%d`, f.Queue)
	}
	if f.Agent != "" {
		list.where(`t.agent = $%d`, f.Agent)
	}
	if f.Direct {
		list.conditions = append(list.conditions, `t.direct = 1`)
	}
	if f.Priority != nil {
		list.where(`t.priority = $%d`, *f.Priority)
	}
	if f.Workflow != "" {
		list.where(`coalesce(nullif((SELECT d.workflow FROM conversation_details d WHERE d.conversation = t.conversation), ''), '`+
			defaultWorkflow+`') = $%d`, f.Workflow)
	}
	err = d.readTx(ctx, "read tasks", func(t *transaction) error {
		found, err = list.page(ctx, t, p)
		return err
	})
	return found, err
}

// chosen tells of a task whether the filter chooses it, as far as no query can.
func (f TaskFilter) chosen(ctx context.Context) func(Task) (bool, error) {
	if f.Attributes == nil && f.Chooses == nil {
		return nil
	}
	budget := expression.NewBudget(ctx)
	return func(task Task) (bool, error) {
		if f.Chooses != nil && !f.Chooses(task) {
			return false, nil
		}
		if f.Attributes == nil {
			return true, nil
		}
		chosen, err := f.Attributes.Evaluate(budget, DecodeAttributes(task.Attributes))
		if err != nil {
			return false, wrap("evaluate an expression on the attributes of "+task.SID, err)
		}
		return chosen, nil
	}
}

// DecodeAttributes returns a task's attributes as expressions look at them.
func DecodeAttributes(attributes conversation.Attributes) map[string]any {
	decoded := make(map[string]any, len(attributes))
	for name, encoded := range attributes {
		var value any
		if json.Unmarshal(encoded, &value) == nil {
			decoded[name] = value
		}
	}
	return decoded
}

// ReservationFilter chooses reservations. Empty fields choose all.
type ReservationFilter struct {
	Agent, Task string
	Status      conversation.ReservationStatus
}

// ReservationList returns a page of the reservations that the filter chooses, oldest first.
func (d *Desk) ReservationList(ctx context.Context, f ReservationFilter, p Page) (found Found[Reservation], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectReservations, "SELECT "), "FROM ")
	list := listing[Reservation]{
		columns: columns, from: from, scan: scanReservation, key: "created_at", sid: "sid",
		keyOf: func(r Reservation) (int64, string) { return micros(r.CreatedAt), r.SID },
	}
	if f.Agent != "" {
		list.where(`agent = $%d`, f.Agent)
	}
	if f.Task != "" {
		list.where(`task = $%d`, f.Task)
	}
	switch f.Status {
	case "":
	case conversation.ReservationPending: // written out, for an index has just these
		list.conditions = append(list.conditions, `status = 'pending'`)
	case conversation.ReservationAccepted, conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationCanceled,
		conversation.ReservationRescinded, conversation.ReservationWrapping, conversation.ReservationCompleted:
		list.where(`status = $%d`, string(f.Status))
	}
	err = d.readTx(ctx, "read reservations", func(t *transaction) error {
		found, err = list.page(ctx, t, p)
		return err
	})
	return found, err
}

// ConversationFilter chooses conversations. Empty fields choose all.
type ConversationFilter struct {
	// Statuses are of conversations; From and To bound when they began.
	Statuses []conversation.ConversationStatus
	From, To time.Time
	// Agent chooses those that the agent has, wraps up or is offered, as they were at the end of the agent's turn.
	Agent string
}

// ConversationList returns a page of the conversations that the filter chooses, drafts among them, newest first.
func (d *Desk) ConversationList(ctx context.Context, f ConversationFilter, p Page) (found Found[Conversation], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectConversations, "SELECT "), "FROM ")
	list := listing[Conversation]{
		columns: columns, from: from, scan: scanConversation, key: "created_at", sid: "sid", descending: true,
		keyOf: func(c Conversation) (int64, string) { return micros(c.CreatedAt), c.SID },
	}
	if len(f.Statuses) > 0 && f.Agent == "" {
		list.conditions = append(list.conditions, `status IN (`+arguments(&list.args, distinct(f.Statuses))+`)`)
	}
	if !f.From.IsZero() {
		list.where(`created_at >= $%d`, micros(f.From))
	}
	if !f.To.IsZero() {
		list.where(`created_at < $%d`, micros(f.To))
	}
	err = d.readTx(ctx, "read conversations", func(t *transaction) error {
		if f.Agent == "" {
			found, err = list.page(ctx, t, p)
			return err
		}
		own, err := t.ownConversations(ctx, f.Agent, f.Statuses)
		if err != nil || len(own) == 0 {
			found = Found[Conversation]{Entries: []Conversation{}}
			return err
		}
		read := list // the transaction may be tried again
		read.args = slices.Clone(list.args)
		read.conditions = append(slices.Clone(list.conditions), `sid IN (`+arguments(&read.args, slices.Sorted(maps.Keys(own)))+`)`)
		if found, err = read.page(ctx, t, p); err != nil {
			return err
		}
		for i, c := range found.Entries {
			found.Entries[i] = own[c.SID]
		}
		return nil
	})
	return found, err
}

// ownConversations are those that the agent has, wraps up or is offered and whose status is one of those, all where none is
// given, as they were at the end of the agent's turn.
func (t *transaction) ownConversations(ctx context.Context, agent string, statuses []conversation.ConversationStatus) (map[string]Conversation, error) {
	sids, err := all(ctx, t, value[string], `SELECT DISTINCT conversation FROM tasks WHERE agent = $1 AND status IN ('reserved', 'assigned', 'wrapping')
		AND completed_at = 0 AND canceled_at = 0`, agent)
	if err != nil {
		return nil, err
	}
	own := make(map[string]Conversation, len(sids))
	for _, sid := range sids {
		c, err := t.conversation(ctx, sid)
		if err != nil {
			return nil, err
		}
		may, err := t.turnExtent(ctx, agent, sid)
		if err != nil {
			return nil, err
		}
		if err := t.bound(ctx, &c, may); err != nil {
			return nil, err
		}
		c.Turn = may.Turn
		if len(statuses) == 0 || slices.Contains(statuses, c.Status) {
			own[sid] = c
		}
	}
	return own, nil
}

// MessageList returns a page of the conversation's transcript, its newest messages first where that is
// wanted. Refusals: not_your_task, unknown_agent.
func (d *Desk) MessageList(ctx context.Context, sid string, reader Reader, newestFirst bool, p Page) (found Found[Message], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectMessages, "SELECT "), "FROM ")
	list := listing[Message]{
		columns: columns, from: from, scan: scanMessage, key: "number", descending: newestFirst,
		keyOf: func(m Message) (int64, string) { return int64(m.Number), "" },
	}
	list.where(`conversation = $%d`, sid)
	err = d.readTx(ctx, "read the transcript of conversation "+sid, func(t *transaction) error {
		may, err := t.allow(ctx, reader, sid)
		if err != nil {
			return err
		}
		read := list // the transaction may be tried again
		condition, args := may.chooses(len(list.args) + 1)
		read.conditions, read.args = slices.Concat(list.conditions, []string{condition}), slices.Concat(list.args, args)
		found, err = read.page(ctx, t, p)
		return err
	})
	return found, err
}

// arguments adds the values to the arguments, and returns their places.
func arguments[T ~string](args *[]any, values []T) string {
	places := make([]string, len(values))
	for i, value := range values {
		*args = append(*args, string(value))
		places[i] = fmt.Sprintf("$%d", len(*args))
	}
	return strings.Join(places, ", ")
}

// distinct are the values without repetitions, in order, so that there are few different queries.
func distinct[T ~string](values []T) []T {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
