package records

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// TaskFilter selects tasks. An empty field selects all.
type TaskFilter struct {
	Statuses []conversation.TaskStatus
	Queue    string
	// Agent selects the agent's tasks; Direct selects direct tasks, which are meant for one agent only.
	Agent  string
	Direct bool
	// Workflow is the SID of the TaskRouter workflow that routed the conversation.
	Workflow string
	Priority *int
	// Attributes, if not nil, selects the tasks for whose attributes the expression is true. Its errors are those
	// of [expression.Expression.Evaluate].
	Attributes *expression.Expression
	// Chooses, if not nil, selects tasks by criteria that no other field expresses.
	Chooses func(Task) bool
	// Order defaults to the time of creation; NewestFirst reverses the order.
	Order       TaskOrder
	NewestFirst bool
}

// TaskOrder is the order of a list of tasks. Equal tasks are in the order of their SIDs.
type TaskOrder int

// By creation, by priority, or by when the conversation's first task was queued.
const (
	TasksByCreation TaskOrder = iota
	TasksByPriority
	TasksByQueueTime
)

// TaskPage returns a page of the selected tasks, by default oldest first.
func TaskPage(ctx context.Context, d *desk.Desk, f TaskFilter, p desk.Page) (found desk.Found[Task], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(SelectTasks, "SELECT "), "FROM ")
	list := sqldb.Listing[Task]{
		Columns: columns, From: from, Scan: ScanTask, Chooses: f.chosen(ctx), Key: "t.created_at", SID: "t.sid",
		KeyOf: func(t Task) (int64, string) { return sqldb.Micros(t.CreatedAt), t.SID }, Descending: f.NewestFirst,
	}
	switch f.Order {
	case TasksByCreation:
	case TasksByPriority:
		list.Key, list.KeyOf = "t.priority", func(t Task) (int64, string) { return int64(t.Priority), t.SID }
	case TasksByQueueTime:
		list.Key, list.KeyOf = "t.queued_at", func(t Task) (int64, string) { return sqldb.Micros(t.QueuedAt), t.SID }
	}
	f.Statuses = desk.Distinct(f.Statuses)
	if len(f.Statuses) > 0 && !slices.ContainsFunc(f.Statuses, func(s conversation.TaskStatus) bool { return !s.Live() }) {
		list.Conditions = append(list.Conditions, `t.completed_at = 0 AND t.canceled_at = 0`) // these are few, and indexed
	}
	if len(f.Statuses) > 0 {
		list.Conditions = append(list.Conditions, `t.status IN (`+sqldb.Arguments(&list.Args, f.Statuses)+`)`)
	}
	if f.Queue != "" {
		list.Where(`t.queue = $%d`, f.Queue)
	}
	if f.Agent != "" {
		list.Where(`t.agent = $%d`, f.Agent)
	}
	if f.Direct {
		list.Conditions = append(list.Conditions, `t.direct = 1`)
	}
	if f.Priority != nil {
		list.Where(`t.priority = $%d`, *f.Priority)
	}
	if f.Workflow != "" {
		list.Where(`coalesce(nullif((SELECT d.workflow FROM conversation_details d WHERE d.conversation = t.conversation), ''), '`+
			desk.DefaultWorkflow()+`') = $%d`, f.Workflow)
	}
	err = d.ReadTx(ctx, "read tasks", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// chosen returns a function that applies the criteria that a query cannot express, or nil if there are none.
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
			return false, desk.Wrap("evaluate an expression on the attributes of "+task.SID, err)
		}
		return chosen, nil
	}
}

// DecodeAttributes returns a task's attributes in the form that expressions evaluate.
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

// ReservationFilter selects reservations. An empty field selects all.
type ReservationFilter struct {
	Agent, Task string
	Status      conversation.ReservationStatus
}

// ReservationPage returns a page of the selected reservations, oldest first.
func ReservationPage(ctx context.Context, d *desk.Desk, f ReservationFilter, p desk.Page) (found desk.Found[Reservation], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(SelectReservations, "SELECT "), "FROM ")
	list := sqldb.Listing[Reservation]{
		Columns: columns, From: from, Scan: ScanReservation, Key: "created_at", SID: "sid",
		KeyOf: func(r Reservation) (int64, string) { return sqldb.Micros(r.CreatedAt), r.SID },
	}
	if f.Agent != "" {
		list.Where(`agent = $%d`, f.Agent)
	}
	if f.Task != "" {
		list.Where(`task = $%d`, f.Task)
	}
	switch f.Status {
	case "":
	case conversation.ReservationPending: // a literal, so that the query can use the index of pending reservations
		list.Conditions = append(list.Conditions, `status = 'pending'`)
	case conversation.ReservationAccepted, conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationCanceled,
		conversation.ReservationRescinded, conversation.ReservationWrapping, conversation.ReservationCompleted:
		list.Where(`status = $%d`, string(f.Status))
	}
	err = d.ReadTx(ctx, "read reservations", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// ConversationFilter selects conversations. An empty field selects all.
type ConversationFilter struct {
	// Statuses are statuses of conversations; From (inclusive) and To (exclusive) bound their start.
	Statuses []conversation.ConversationStatus
	From, To time.Time
	// Agent selects the conversations that the agent has, wraps up or is offered. They are as of the end of the
	// agent's turn.
	Agent string
}

// ConversationListPage returns a page of the selected conversations, including drafts, newest first.
func ConversationListPage(ctx context.Context, d *desk.Desk, f ConversationFilter, p desk.Page) (found desk.Found[Conversation], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectConversations, "SELECT "), "FROM ")
	list := sqldb.Listing[Conversation]{
		Columns: columns, From: from, Scan: scanConversation, Key: "created_at", SID: "sid", Descending: true,
		KeyOf: func(c Conversation) (int64, string) { return sqldb.Micros(c.CreatedAt), c.SID },
	}
	if len(f.Statuses) > 0 && f.Agent == "" {
		list.Conditions = append(list.Conditions, `status IN (`+sqldb.Arguments(&list.Args, desk.Distinct(f.Statuses))+`)`)
	}
	if !f.From.IsZero() {
		list.Where(`created_at >= $%d`, sqldb.Micros(f.From))
	}
	if !f.To.IsZero() {
		list.Where(`created_at < $%d`, sqldb.Micros(f.To))
	}
	err = d.ReadTx(ctx, "read conversations", func(tx *desk.Tx) error {
		if f.Agent == "" {
			found, err = list.Page(ctx, tx, p)
			return err
		}
		own, err := ownConversations(ctx, tx, f.Agent, f.Statuses)
		if err != nil || len(own) == 0 {
			found = desk.Found[Conversation]{Entries: []Conversation{}}
			return err
		}
		read := list // the transaction may be retried
		read.Args = slices.Clone(list.Args)
		read.Conditions = append(slices.Clone(list.Conditions), `sid IN (`+sqldb.Arguments(&read.Args, slices.Sorted(maps.Keys(own)))+`)`)
		if found, err = read.Page(ctx, tx, p); err != nil {
			return err
		}
		for i, c := range found.Entries {
			found.Entries[i] = own[c.SID]
		}
		return nil
	})
	return found, err
}

// ownConversations returns the conversations that the agent has, wraps up or is offered, as of the end of the
// agent's turn. It returns those with one of the statuses, or all if there are no statuses.
func ownConversations(ctx context.Context, tx *desk.Tx, agent string, statuses []conversation.ConversationStatus) (map[string]Conversation, error) {
	sids, err := sqldb.All(ctx, tx, sqldb.Value[string], `SELECT DISTINCT conversation FROM tasks WHERE agent = $1 AND status IN ('reserved', 'assigned', 'wrapping')
		AND completed_at = 0 AND canceled_at = 0`, agent)
	if err != nil {
		return nil, err
	}
	own := make(map[string]Conversation, len(sids))
	for _, sid := range sids {
		c, err := ReadConversation(ctx, tx, sid)
		if err != nil {
			return nil, err
		}
		may, err := turnExtent(ctx, tx, agent, sid)
		if err != nil {
			return nil, err
		}
		if err := boundConversation(ctx, tx, &c, may); err != nil {
			return nil, err
		}
		c.Turn = may.Turn
		if len(statuses) == 0 || slices.Contains(statuses, c.Status) {
			own[sid] = c
		}
	}
	return own, nil
}

// MessagePage returns a page of the conversation's transcript, oldest messages first unless newestFirst is set.
// Refusals: not_your_task, unknown_agent.
func MessagePage(ctx context.Context, d *desk.Desk, sid string, reader Reader, newestFirst bool, p desk.Page) (found desk.Found[Message], err error) {
	columns, from, _ := strings.Cut(strings.TrimPrefix(selectMessages, "SELECT "), "FROM ")
	list := sqldb.Listing[Message]{
		Columns: columns, From: from, Scan: scanMessage, Key: "number", Descending: newestFirst,
		KeyOf: func(m Message) (int64, string) { return int64(m.Number), "" },
	}
	list.Where(`conversation = $%d`, sid)
	err = d.ReadTx(ctx, "read the transcript of conversation "+sid, func(tx *desk.Tx) error {
		may, err := ReaderExtent(ctx, tx, reader, sid)
		if err != nil {
			return err
		}
		read := list // the transaction may be retried
		condition, args := may.chooses(len(list.Args) + 1)
		read.Conditions, read.Args = slices.Concat(list.Conditions, []string{condition}), slices.Concat(list.Args, args)
		found, err = read.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// searchChunk is about how many messages of the conversations of a batch are read at once.
const searchChunk = 2000
