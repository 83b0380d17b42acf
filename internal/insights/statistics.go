package insights

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// StatisticsFilter selects what statistics count. Empty fields select all.
type StatisticsFilter struct {
	// Queue is a queue's name. It selects tasks in the queue, and agents on it. An event counts for the queue that
	// its task was in at that time.
	Queue string
	// Agents are names of agents. nil selects all agents, an empty list none.
	Agents []string
	// Workflow is the SID of the TaskRouter workflow that routed the conversation. It does not restrict agents.
	Workflow string
	// Channel selects the channel's tasks, and agents with capacity for it.
	Channel conversation.Channel
	// Thresholds split the accepted and canceled tasks by how long they had waited.
	Thresholds []time.Duration
	// Activities adds how long agents had each activity.
	Activities bool
}

func (f StatisticsFilter) choosesTask(queue, agent, workflow string, channel conversation.Channel) bool {
	return (f.Queue == "" || f.Queue == queue) && (f.Agents == nil || slices.Contains(f.Agents, agent)) &&
		(f.Workflow == "" || f.Workflow == workflow) && (f.Channel == "" || f.Channel == channel)
}

func (f StatisticsFilter) choosesAgent(a people.Agent) bool {
	return (f.Queue == "" || slices.Contains(a.Queues, f.Queue)) && (f.Agents == nil || slices.Contains(f.Agents, a.Name)) &&
		(f.Channel == "" || slices.ContainsFunc(a.Channels, func(c people.AgentChannel) bool { return c.Channel == f.Channel && c.Capacity > 0 }))
}

// RealTime are the figures of this moment.
type RealTime struct {
	// Tasks is the number of tasks that have not ended. ByStatus and ByPriority split it.
	Tasks      int
	ByStatus   map[conversation.TaskStatus]int
	ByPriority map[int]int
	// Longest is the oldest task that no agent has accepted yet. LongestInQueue is the task that has been in the
	// queue for longest. It is set only for a single filter with a queue.
	Longest, LongestInQueue Waiting
	// Agents is the number of agents in any activity, and Available how many of them are available, with or without
	// tasks.
	Agents, Available int
	// Activities has every activity of the desk.
	Activities []ActivityCount
}

// Waiting is a waiting task. Its SID is empty when there is none.
type Waiting struct {
	Task  string
	Since time.Time
}

func (w *Waiting) consider(task string, since time.Time) {
	if w.Task == "" || since.Before(w.Since) || (since.Equal(w.Since) && task < w.Task) {
		*w = Waiting{Task: task, Since: since}
	}
}

// ActivityCount is the number of agents with an activity.
type ActivityCount struct {
	Activity routing.Activity
	Agents   int
}

// ReadRealTime returns the current figures for each of the filters, all of the same moment.
func ReadRealTime(ctx context.Context, d *desk.Desk, filters ...StatisticsFilter) (figures []RealTime, err error) {
	err = d.ReadTx(ctx, "count what is at the desk now", func(tx *desk.Tx) error {
		figures = make([]RealTime, len(filters))
		return errors.Join(countAgents(ctx, tx, filters, figures), countLive(ctx, tx, filters, figures), countInQueue(ctx, tx, filters, figures))
	})
	return figures, err
}

func countAgents(ctx context.Context, tx *desk.Tx, filters []StatisticsFilter, figures []RealTime) error {
	agents, err := people.ReadAgents(ctx, tx)
	if err != nil {
		return err
	}
	activities, err := routing.ReadActivities(ctx, tx)
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
			if a.Available() {
				count.Available++
			}
			at := slices.IndexFunc(activities, func(other routing.Activity) bool { return other.SID == a.Activity.SID })
			if at >= 0 {
				count.Activities[at].Agents++
			}
		}
	}
	return nil
}

func countLive(ctx context.Context, tx *desk.Tx, filters []StatisticsFilter, figures []RealTime) error {
	for i := range figures {
		figures[i].ByPriority = map[int]int{}
		figures[i].ByStatus = map[conversation.TaskStatus]int{
			conversation.TaskPending: 0, conversation.TaskReserved: 0, conversation.TaskAssigned: 0, conversation.TaskWrapping: 0,
		}
	}
	query := `SELECT t.sid, t.queue, t.agent, t.channel, t.status, t.priority, t.created_at, ` + desk.WorkflowOfTask + `
		FROM tasks t LEFT JOIN conversation_details d ON d.conversation = t.conversation
		WHERE t.completed_at = 0 AND t.canceled_at = 0`
	var args []any
	if len(filters) == 1 && filters[0].Queue != "" {
		query, args = query+` AND t.queue = $1`, []any{filters[0].Queue}
	}
	return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var task records.Task
		var workflow string
		err := r.Scan(&task.SID, &task.Queue, &task.Agent, &task.Channel, &task.Status, &task.Priority, sqldb.Instant(&task.CreatedAt), &workflow)
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

// countInQueue finds the task that has been in the queue for longest. Only the events show when a task entered its
// queue. A task that waits for a single agent is not in the queue.
func countInQueue(ctx context.Context, tx *desk.Tx, filters []StatisticsFilter, figures []RealTime) error {
	if len(filters) != 1 || filters[0].Queue == "" {
		return nil
	}
	entered := map[string]time.Time{}
	err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var task records.Task
		var workflow, encoded string
		if err := r.Scan(&task.SID, &task.Agent, &task.Channel, &workflow, &encoded); err != nil {
			return err
		}
		var e conversation.Event
		if err := json.Unmarshal([]byte(encoded), &e); err != nil {
			return fmt.Errorf("decode when task %s entered its queue: %w", task.SID, err)
		}
		if e.Task == task.SID && e.At.After(entered[e.Task]) && filters[0].choosesTask(e.Queue, task.Agent, workflow, task.Channel) {
			entered[e.Task] = e.At
		}
		return nil
	}, `SELECT t.sid, t.agent, t.channel, `+desk.WorkflowOfTask+`, e.event
		FROM tasks t JOIN events e ON e.conversation = t.conversation LEFT JOIN conversation_details d ON d.conversation = t.conversation
		WHERE t.queue = $1 AND t.completed_at = 0 AND t.canceled_at = 0 AND t.status IN ('pending', 'reserved') AND t.direct = 0
			AND e.name = 'task-queue.entered'`, filters[0].Queue)
	for task, since := range entered {
		figures[0].LongestInQueue.consider(task, since)
	}
	return err
}

// Cumulative are the figures of a period.
type Cumulative struct {
	Reservations struct{ Created, Accepted, Rejected, TimedOut, Canceled, Rescinded int }
	// Created, Completed and Canceled count tasks, and TimedOut those canceled because they had waited for too
	// long. Entered counts entries into a queue: the creation of a task, whether for the queue or for one agent,
	// and a move from another queue. Moved counts moves to another queue. A task that becomes pending in its own
	// queue again does not enter it again. So, from the beginning of the desk, the tasks that have entered a queue
	// are those that are in it, completed, canceled or moved away.
	Tasks struct{ Created, Entered, Completed, Canceled, TimedOut, Moved int }
	// UntilAccepted and UntilCanceled are measured from a task's creation. InQueue is measured from the time that
	// the task last entered a queue, or else from its creation, to the accept.
	UntilAccepted, UntilCanceled, InQueue Spans
	// Splits has one element for each threshold of the filter.
	Splits []Split
	// Activities are how long present agents had each activity, if the filter asks for them: first the existing
	// activities, then the removed ones by name. The activity before an agent's first change is known only if the
	// agent still has it.
	Activities []ActivitySpans
}

// Spans summarize the durations of something that happened Count times.
type Spans struct {
	Count           int
	Min, Max, Total time.Duration
}

// Mean returns the mean duration.
func (s Spans) Mean() time.Duration {
	if s.Count == 0 {
		return 0
	}
	return s.Total / time.Duration(s.Count)
}

func addSpan(s *Spans, took time.Duration) {
	if s.Count == 0 || took < s.Min {
		s.Min = took
	}
	s.Count++
	s.Max, s.Total = max(s.Max, took), s.Total+took
}

// Split counts the tasks that waited for longer than the threshold, and the others.
type Split struct {
	Threshold    time.Duration
	Above, Below struct{ Accepted, Canceled int }
}

// ActivitySpans are the times that agents had an activity, clipped to the period.
type ActivitySpans struct {
	Activity routing.Activity
	Spans    Spans
}

// ReadCumulative returns the figures of the period from (included) to (excluded) for each of the filters, all of the
// same moment.
func ReadCumulative(ctx context.Context, d *desk.Desk, from, to time.Time, filters ...StatisticsFilter) (figures []Cumulative, err error) {
	err = d.ReadTx(ctx, "count what has happened", func(tx *desk.Tx) error {
		figures = make([]Cumulative, len(filters))
		for i, f := range filters {
			for _, threshold := range f.Thresholds {
				figures[i].Splits = append(figures[i].Splits, Split{Threshold: threshold})
			}
		}
		return errors.Join(countEvents(ctx, tx, from, to, filters, figures), countActivities(ctx, tx, from, to, d.Now(), filters, figures))
	})
	return figures, err
}

// countEvents reads the events of the period once, and adds each to the figures of the filters that choose it.
func countEvents(ctx context.Context, tx *desk.Tx, from, to time.Time, filters []StatisticsFilter, figures []Cumulative) error {
	arrived, err := readArrivals(ctx, tx, sqldb.Micros(from), sqldb.Micros(to))
	if err != nil {
		return err
	}
	return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var channel conversation.Channel
		var encoded, workflow string
		if err := r.Scan(&encoded, &channel, &workflow); err != nil {
			return err
		}
		e, err := desk.DecodeEvent(encoded)
		if err != nil {
			return err
		}
		if e.Name == conversation.EventTaskQueueEntered {
			arrived.entered[e.Task] = e.At
		}
		for i, f := range filters {
			if f.choosesTask(e.Queue, e.Agent, workflow, channel) {
				figures[i].add(e, arrived)
			}
			if to := movedTo(e); to != "" && f.choosesTask(to, "", workflow, channel) {
				figures[i].Tasks.Entered++
			}
		}
		return nil
	}, `SELECT e.event, c.channel, `+desk.WorkflowOfTask+`
		FROM events e JOIN conversations c ON c.sid = e.conversation LEFT JOIN conversation_details d ON d.conversation = e.conversation
		WHERE e.at >= $1 AND e.at < $2 AND e.name IN ('reservation.created', 'reservation.accepted', 'reservation.rejected', 'reservation.timeout',
			'reservation.canceled', 'reservation.rescinded', 'task.created', 'task.updated', 'task.completed', 'task.canceled', 'task-queue.entered')
		ORDER BY e.at, e.position`, sqldb.Micros(from), sqldb.Micros(to))
}

// arrivals are the times since which the tasks accepted or canceled in a period had waited, by task SID: when they
// were created, and when they last entered a queue.
type arrivals struct{ created, entered map[string]time.Time }

func readArrivals(ctx context.Context, tx *desk.Tx, from, to int64) (arrivals, error) {
	arrived := arrivals{created: map[string]time.Time{}, entered: map[string]time.Time{}}
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var sid string
		var created time.Time
		err := r.Scan(&sid, sqldb.Instant(&created))
		arrived.created[sid] = created
		return err
	}, `SELECT sid, created_at FROM tasks WHERE conversation IN (
			SELECT conversation FROM events WHERE at >= $1 AND at < $2 AND name IN ('reservation.accepted', 'task.canceled'))`, from, to); err != nil {
		return arrived, err
	}
	return arrived, sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		e, err := desk.ScanEvent(r)
		if e.At.After(arrived.entered[e.Task]) {
			arrived.entered[e.Task] = e.At
		}
		return err
	}, `SELECT position, epoch, conversation, event FROM events WHERE name = 'task-queue.entered' AND at < $1 AND conversation IN (
			SELECT conversation FROM events WHERE at >= $1 AND at < $2 AND name = 'reservation.accepted')`, from, to)
}

// add counts an event.
func (c *Cumulative) add(e conversation.Event, arrived arrivals) {
	switch e.Name { //nolint:exhaustive // the others are not counted
	case conversation.EventReservationCreated:
		c.Reservations.Created++
	case conversation.EventReservationAccepted:
		c.Reservations.Accepted++
		c.waited(e, arrived)
	case conversation.EventReservationRejected:
		c.Reservations.Rejected++
	case conversation.EventReservationTimeout:
		c.Reservations.TimedOut++
	case conversation.EventReservationCanceled:
		c.Reservations.Canceled++
	case conversation.EventReservationRescinded:
		c.Reservations.Rescinded++
	case conversation.EventTaskCreated:
		c.Tasks.Created++
		c.Tasks.Entered++
	case conversation.EventTaskCompleted:
		c.Tasks.Completed++
	case conversation.EventTaskCanceled:
		c.Tasks.Canceled++
		if e.Reason == string(conversation.ReasonTaskTimeout) {
			c.Tasks.TimedOut++
		}
		c.waited(e, arrived)
	case conversation.EventTaskUpdated:
		if movedTo(e) != "" {
			c.Tasks.Moved++
		}
	}
}

// movedTo returns the queue that the event moves its task to from another one, or "" for every other event.
func movedTo(e conversation.Event) string {
	if e.Name != conversation.EventTaskUpdated || e.To.Queue == e.Queue {
		return ""
	}
	return e.To.Queue
}

// waited counts how long an accepted or canceled task had waited.
func (c *Cumulative) waited(e conversation.Event, arrived arrivals) {
	created, known := arrived.created[e.Task]
	if !known {
		return // the desk has lost the task
	}
	accepted := e.Name == conversation.EventReservationAccepted
	wait := e.At.Sub(created)
	if accepted {
		addSpan(&c.UntilAccepted, wait)
		since := created
		if entered, ok := arrived.entered[e.Task]; ok {
			since = entered
		}
		addSpan(&c.InQueue, e.At.Sub(since))
	} else {
		addSpan(&c.UntilCanceled, wait)
	}
	for i := range c.Splits {
		side := &c.Splits[i].Below
		if wait > c.Splits[i].Threshold {
			side = &c.Splits[i].Above
		}
		if accepted {
			side.Accepted++
		} else {
			side.Canceled++
		}
	}
}

// stay is a period for which an agent had an activity.
type stay struct {
	agent    people.Agent
	activity routing.Activity
	from, to time.Time
}

// countActivities counts how long agents had each activity in the period.
func countActivities(ctx context.Context, tx *desk.Tx, from, to, now time.Time, filters []StatisticsFilter, figures []Cumulative) error {
	if !slices.ContainsFunc(filters, func(f StatisticsFilter) bool { return f.Activities }) {
		return nil
	}
	activities, err := routing.ReadActivities(ctx, tx)
	if err != nil {
		return err
	}
	stays, err := stays(ctx, tx, activities, from, now)
	if err != nil {
		return err
	}
	for i, f := range filters {
		if !f.Activities {
			continue
		}
		spans := []ActivitySpans{}
		for _, activity := range activities {
			spans = append(spans, ActivitySpans{Activity: activity})
		}
		for _, s := range stays {
			begun, ended := latest(s.from, from), earliest(s.to, to)
			if !f.choosesAgent(s.agent) || !begun.Before(ended) {
				continue
			}
			at := slices.IndexFunc(spans, func(other ActivitySpans) bool { return other.Activity.Name == s.activity.Name })
			if at < 0 {
				at = len(spans)
				spans = append(spans, ActivitySpans{Activity: s.activity})
			}
			addSpan(&spans[at].Spans, ended.Sub(begun))
		}
		slices.SortFunc(spans[len(activities):], func(a, b ActivitySpans) int { return strings.Compare(a.Activity.Name, b.Activity.Name) })
		figures[i].Activities = spans
	}
	return nil
}

// stays returns how long the agents had each activity, at least as far back as the given time. It reads the changes
// from the newest on, until it knows what each agent did at that time.
func stays(ctx context.Context, tx *desk.Tx, activities []routing.Activity, back, now time.Time) (stays []stay, err error) {
	agents, err := people.ReadAgents(ctx, tx)
	if err != nil || len(agents) == 0 {
		return nil, err
	}
	oldest := now
	open := map[string]*stay{} // each agent's activity before the changes that were read so far
	for _, a := range agents {
		open[a.Name] = &stay{agent: a, activity: a.Activity, from: a.PresenceSince, to: now}
		oldest = earliest(oldest, a.CreatedAt)
	}
	seen := map[string]bool{}
	err = sqldb.While(ctx, tx, func(r sqldb.Row) (more bool, err error) {
		e, err := desk.ScanEvent(r)
		if err != nil {
			return false, err
		}
		s := open[e.Agent]
		if s == nil || e.At.Before(s.agent.CreatedAt) { // of an earlier agent of that name
			return true, nil
		}
		done := stay{agent: s.agent, activity: s.activity, from: e.At, to: s.to}
		if seen[e.Agent] {
			done.activity = activityNamed(activities, e.Activity)
		}
		stays = append(stays, done)
		s.to, seen[e.Agent] = e.At, true
		if !e.At.After(back) {
			delete(open, e.Agent)
		}
		return len(open) > 0, nil
	}, `SELECT position, epoch, '', event FROM desk_events WHERE at >= $1 AND name = 'worker.activity.update'
		ORDER BY at DESC, position DESC`, sqldb.Micros(oldest))
	if err != nil {
		return nil, err
	}
	for name, s := range open {
		if !seen[name] {
			stays = append(stays, *s)
		}
	}
	return stays, nil
}

// activityNamed returns the activity that has the name now. If there is none, it returns one that has only the
// name.
func activityNamed(activities []routing.Activity, name string) routing.Activity {
	if at := slices.IndexFunc(activities, func(a routing.Activity) bool { return a.Name == name }); at >= 0 {
		return activities[at]
	}
	return routing.Activity{Name: name}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Segment is one agent's turn with a conversation, as in Flex Insights: an accepted reservation.
type Segment struct {
	Reservation, Task, Conversation string
	Customer                        conversation.Customer
	// Queue and Agent are names. QueueName and AgentName are friendly names.
	Queue, QueueName, Agent, AgentName string
	// BegunAt is when the conversation began. WrappingAt is when the agent's turn ended, zero until then.
	BegunAt, ReservedAt, AcceptedAt, WrappingAt time.Time
}

const (
	segmentColumns = `r.sid, r.task, r.conversation, c.customer_name, c.customer_address, t.queue, coalesce(nullif(q.friendly_name, ''), t.queue),
		r.agent, coalesce(nullif(a.friendly_name, ''), r.agent), c.created_at, r.created_at, t.assigned_at, t.wrapping_at`
	segmentTables = `reservations r JOIN tasks t ON t.sid = r.task JOIN conversations c ON c.sid = r.conversation
		LEFT JOIN queues q ON q.name = t.queue LEFT JOIN agents a ON a.name = r.agent`
	wereAccepted   = `r.status IN ('accepted', 'wrapping', 'completed')`
	selectSegments = `SELECT ` + segmentColumns + ` FROM ` + segmentTables + ` WHERE ` + wereAccepted
)

func scanSegment(r sqldb.Row) (s Segment, err error) {
	err = r.Scan(&s.Reservation, &s.Task, &s.Conversation, sqldb.Opened(desk.CustomerName, &s.Conversation, &s.Customer.Name),
		sqldb.Opened(desk.CustomerAddress, &s.Conversation, &s.Customer.Address), &s.Queue, &s.QueueName, &s.Agent, &s.AgentName,
		sqldb.Instant(&s.BegunAt), sqldb.Instant(&s.ReservedAt), sqldb.Instant(&s.AcceptedAt), sqldb.Instant(&s.WrappingAt))
	s.Customer = s.Customer.Clean()
	return s, err
}

// Segments returns the segments of those reservations that were accepted, in the given order.
func Segments(ctx context.Context, d *desk.Desk, reservations ...string) (segments []Segment, err error) {
	err = d.ReadTx(ctx, "read segments", func(tx *desk.Tx) error {
		segments = []Segment{}
		for _, sid := range reservations {
			segment, found, err := sqldb.First(ctx, tx, scanSegment, selectSegments+` AND r.sid = $1`, sid)
			if err != nil {
				return err
			}
			if found {
				segments = append(segments, segment)
			}
		}
		return nil
	})
	return segments, err
}

// SegmentsOf returns the conversation's segments, oldest first.
func SegmentsOf(ctx context.Context, d *desk.Desk, sid string) (segments []Segment, err error) {
	err = d.ReadTx(ctx, "read the segments of conversation "+sid, func(tx *desk.Tx) error {
		segments, err = segmentsOf(ctx, tx, sid)
		return err
	})
	return segments, err
}

func segmentsOf(ctx context.Context, tx *desk.Tx, sid string) ([]Segment, error) {
	return sqldb.All(ctx, tx, scanSegment, selectSegments+` AND r.conversation = $1 ORDER BY r.number`, sid)
}

// SegmentList returns a page of all segments, oldest reservation first.
func SegmentList(ctx context.Context, d *desk.Desk, p desk.Page) (found desk.Found[Segment], err error) {
	list := sqldb.Listing[Segment]{
		Columns: segmentColumns, From: segmentTables, Conditions: []string{wereAccepted}, Scan: scanSegment, Key: "r.created_at", SID: "r.sid",
		KeyOf: func(s Segment) (int64, string) { return sqldb.Micros(s.ReservedAt), s.Reservation },
	}
	err = d.ReadTx(ctx, "read segments", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// SegmentsByConversation returns a page of the conversations that an agent has accepted, oldest first, each as its
// segments.
func SegmentsByConversation(ctx context.Context, d *desk.Desk, p desk.Page) (found desk.Found[[]Segment], err error) {
	list := sqldb.Listing[[]Segment]{
		Columns: `c.sid, c.created_at`, From: `conversations c`, Key: "c.created_at", SID: "c.sid",
		Conditions: []string{`EXISTS (SELECT 1 FROM reservations r WHERE r.conversation = c.sid AND ` + wereAccepted + `)`},
		Scan: func(r sqldb.Row) ([]Segment, error) {
			var s Segment
			err := r.Scan(&s.Conversation, sqldb.Instant(&s.BegunAt))
			return []Segment{s}, err
		},
		KeyOf: func(s []Segment) (int64, string) { return sqldb.Micros(s[0].BegunAt), s[0].Conversation },
	}
	err = d.ReadTx(ctx, "read segments", func(tx *desk.Tx) error {
		if found, err = list.Page(ctx, tx, p); err != nil {
			return err
		}
		for i, of := range found.Entries {
			if found.Entries[i], err = segmentsOf(ctx, tx, of[0].Conversation); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}
