package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Events of the desk itself, under TaskRouter's names. They are not in any conversation's history:
// [ConversationEvents] omits them; [EventsAfter] and the webhooks include them.
const (
	EventAgentCreated    conversation.EventName = "worker.created"
	EventAgentDeleted    conversation.EventName = "worker.deleted"
	EventAgentActivity   conversation.EventName = "worker.activity.update"
	EventAgentAttributes conversation.EventName = "worker.attributes.update"
	EventAgentCapacity   conversation.EventName = "worker.capacity.update"
	EventQueueCreated    conversation.EventName = "task-queue.created"
	EventQueueDeleted    conversation.EventName = "task-queue.deleted"
)

// eventReservationFailed is TaskRouter's event for a call that could not be made. A filter may name it, but it
// never happens here.
const eventReservationFailed conversation.EventName = "reservation.failed"

// EventNames returns the names of all events.
func EventNames() []conversation.EventName {
	return []conversation.EventName{
		conversation.EventTaskCreated, conversation.EventTaskUpdated, conversation.EventTaskWrapup, conversation.EventTaskCompleted,
		conversation.EventTaskCanceled, conversation.EventTaskQueueEntered, conversation.EventTransferInitiated,
		conversation.EventTransferAttemptFailed, conversation.EventTransferFailed, conversation.EventTransferCanceled,
		conversation.EventTransferCompleted, conversation.EventReservationCreated, conversation.EventReservationAccepted,
		conversation.EventReservationRejected, conversation.EventReservationTimeout, conversation.EventReservationCanceled,
		conversation.EventReservationRescinded, conversation.EventReservationWrapup, conversation.EventReservationCompleted,
		EventAgentCreated, EventAgentDeleted, EventAgentActivity, EventAgentAttributes, EventAgentCapacity, EventQueueCreated, EventQueueDeleted,
	}
}

// newEvent is an event that a transaction is to append to the event log. It belongs to a conversation, or to the
// desk itself: an agent or a queue.
type newEvent struct {
	conversation string
	event        conversation.Event
}

// happen records an event of the desk itself, about an agent or a queue, to be appended to the event log.
func (tx *Tx) happen(name conversation.EventName, agent, queue string, now int64) {
	tx.happens(conversation.Event{Name: name, Agent: agent, Queue: queue}, now)
}

// happens records an event of the desk itself, with the time now, to be appended to the event log.
func (tx *Tx) happens(e conversation.Event, now int64) {
	e.At = time.UnixMicro(now).UTC()
	tx.appended = append(tx.appended, newEvent{event: e})
}

// DecodeEvent decodes an event of the event log. The words in its reason stay encrypted.
func DecodeEvent(encoded string) (e conversation.Event, err error) {
	if err := json.Unmarshal([]byte(encoded), &e); err != nil {
		return e, wrap("decode an event", err)
	}
	fillTypedFields(&e)
	return e, nil
}

// fillTypedFields fills in the typed fields of an event that was recorded before these fields existed, or that is
// stored without them. Only this function reads them from the reason.
func fillTypedFields(e *conversation.Event) {
	switch e.Name { //nolint:exhaustive // the other events have no typed fields
	case conversation.EventTaskUpdated:
		if queue, moved := strings.CutPrefix(e.Reason, "moved to queue "); moved && e.To == (conversation.Target{}) {
			e.To.Queue = queue
		} else if agent, moved := strings.CutPrefix(e.Reason, "moved to agent "); moved && e.To == (conversation.Target{}) {
			e.To.Agent = agent
		}
	case conversation.EventTaskCompleted:
		e.Disposition = e.Reason
	case conversation.EventReservationRejected:
		e.Cause = causeOf(*e)
	case EventAgentActivity:
		e.Activity = cmp.Or(e.Activity, e.Reason)
	case EventAgentCapacity:
		if e.Capacity != nil {
			return
		}
		channel, written, _ := strings.Cut(e.Reason, " ")
		if capacity, err := strconv.Atoi(written); err == nil {
			e.Channel, e.Capacity = conversation.Channel(channel), &capacity
		}
	}
}

// causeOf returns why an offer was declined. Builds from before the field Cause recorded it only in the reason.
func causeOf(e conversation.Event) conversation.Cause {
	switch {
	case e.Name != conversation.EventReservationRejected || e.Cause != "":
		return e.Cause
	case e.Reason == ReasonAgentUnavailable:
		return conversation.CauseUnavailable
	}
	return conversation.CauseAgent
}

// appendEvents assigns positions in the event log to the transaction's events and inserts them. It is the
// transaction's last step. When it takes a position, all lower ones are committed, and higher ones wait for its
// commit.
func (tx *Tx) appendEvents(ctx context.Context) error {
	if len(tx.appended) == 0 {
		return nil
	}
	if err := tx.takePositions(ctx); err != nil {
		return wrap("take positions in the event log", err)
	}
	position := tx.logEnd.position - int64(len(tx.appended))
	for begin := 0; begin < len(tx.appended); {
		some := tx.appended[begin:]
		if end := slices.IndexFunc(some, func(h newEvent) bool { return h.conversation != some[0].conversation }); end > 0 {
			some = some[:end]
		}
		begin += len(some)
		insert := tx.insertEvents
		if some[0].conversation == "" {
			insert = tx.insertDeskEvents
		}
		if err := insert(ctx, some, position); err != nil {
			return err
		}
		position += int64(len(some))
	}
	return nil
}

// insertEvents inserts events of a conversation at the positions that follow.
func (tx *Tx) insertEvents(ctx context.Context, events []newEvent, position int64) error {
	for some := range slices.Chunk(events, len(insertEvents)) {
		var args []any
		for _, h := range some {
			position++
			event, err := tx.sealReason(position, h.event)
			if err != nil {
				return err
			}
			encoded, err := json.Marshal(event)
			if err != nil {
				return wrap(fmt.Sprintf("encode event %d", h.event.Number), err)
			}
			args = append(args, position, tx.logEnd.epoch, h.conversation, h.event.Number, string(h.event.Name), sqldb.Micros(h.event.At), string(encoded))
		}
		if _, err := tx.Exec(ctx, insertEvents[len(some)-1], args...); err != nil {
			return wrap(fmt.Sprintf("append events from %d on", some[0].event.Number), err)
		}
	}
	return nil
}

// insertEvents are the queries that insert one event, two, and so on: a transfer has up to eight.
var insertEvents = func() (queries [8]string) {
	var rows []string
	for i := range queries {
		rows = append(rows, fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d, $%d)", 7*i+1, 7*i+2, 7*i+3, 7*i+4, 7*i+5, 7*i+6, 7*i+7))
		queries[i] = `INSERT INTO events (position, epoch, conversation, number, name, at, event) VALUES ` + strings.Join(rows, ", ")
	}
	return queries
}()

// insertDeskEvents inserts events of the desk itself at the positions that follow.
func (tx *Tx) insertDeskEvents(ctx context.Context, events []newEvent, position int64) error {
	for _, h := range events {
		encoded, err := json.Marshal(h.event)
		if err != nil {
			return wrap("encode "+string(h.event.Name), err)
		}
		position++
		if _, err := tx.Exec(ctx, `INSERT INTO desk_events (position, epoch, name, at, agent, queue, event) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			position, tx.logEnd.epoch, string(h.event.Name), sqldb.Micros(h.event.At), h.event.Agent, h.event.Queue, string(encoded)); err != nil {
			return wrap("append "+string(h.event.Name), err)
		}
	}
	return nil
}

// EventFilter selects events. An empty field selects all.
type EventFilter struct {
	// Position and Epoch select the one event at that position.
	Position, Epoch int64
	// From is inclusive, To is exclusive.
	From, To time.Time
	Name     conversation.EventName
	// Agent and Queue are names; Task and Reservation are SIDs.
	Agent, Queue, Task, Reservation string
}

func (f EventFilter) chooses(e LoggedEvent) bool {
	return (f.Name == "" || f.Name == e.Name) && (f.Agent == "" || f.Agent == e.Agent) && (f.Queue == "" || f.Queue == e.Queue) &&
		(f.Task == "" || f.Task == e.Task) && (f.Reservation == "" || f.Reservation == e.Reservation)
}

// EventPage returns a page of all events, of conversations and of the desk itself, newest first.
func EventPage(ctx context.Context, d *Desk, f EventFilter, p Page) (found Found[LoggedEvent], err error) {
	if f.To.IsZero() {
		f.To = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	list := sqldb.Listing[LoggedEvent]{
		Columns: `position, epoch, conversation, event`,
		From: `(SELECT position, epoch, conversation, at, event FROM events
			UNION ALL SELECT position, epoch, '' AS conversation, at, event FROM desk_events) AS happened`,
		Scan: ScanEvent, Chooses: sqldb.Sure(f.chooses), Key: "position", KeyOf: func(e LoggedEvent) (int64, string) { return e.Position, "" }, Descending: true,
	}
	if f.Position != 0 {
		list.Where(`position = $%d`, f.Position)
		list.Where(`epoch = $%d`, f.Epoch)
	}
	list.Where(`at >= $%d`, sqldb.Micros(f.From))
	list.Where(`at < $%d`, sqldb.Micros(f.To))
	if f.Name != "" {
		list.From = `(SELECT position, epoch, conversation, at, name, event FROM events
			UNION ALL SELECT position, epoch, '' AS conversation, at, name, event FROM desk_events) AS happened`
		list.Where(`name = $%d`, string(f.Name))
	}
	err = d.ReadTx(ctx, "read events", func(tx *Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// WorkflowOfTask is an SQL expression for the SID of a task's workflow. It needs conversation_details as d.
var WorkflowOfTask = `coalesce(nullif(d.workflow, ''), '` + defaultWorkflow + `')`

// EventPageOn returns a page of the events, newest first, of conversations on the channel that were routed by the
// TaskRouter workflow with that SID. Either may be empty.
func EventPageOn(ctx context.Context, d *Desk, channel conversation.Channel, workflow string, f EventFilter, p Page) (found Found[LoggedEvent], err error) {
	list := sqldb.Listing[LoggedEvent]{
		Columns: `e.position, e.epoch, e.conversation, e.event`, Scan: ScanEvent, Chooses: sqldb.Sure(f.chooses), Key: "e.position",
		From:  `events e JOIN conversations c ON c.sid = e.conversation LEFT JOIN conversation_details d ON d.conversation = e.conversation`,
		KeyOf: func(e LoggedEvent) (int64, string) { return e.Position, "" }, Descending: true,
	}
	list.Where(`e.at >= $%d`, sqldb.Micros(f.From))
	if !f.To.IsZero() {
		list.Where(`e.at < $%d`, sqldb.Micros(f.To))
	}
	if f.Position != 0 {
		list.Where(`e.position = $%d`, f.Position)
	}
	if channel != "" {
		list.Where(`c.channel = $%d`, string(channel))
	}
	if workflow != "" {
		list.Where(WorkflowOfTask+` = $%d`, workflow)
	}
	err = d.ReadTx(ctx, "read events", func(tx *Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// readEventsAfter returns at most limit events of every kind after the position. It is one query, so that it sees one
// snapshot of the database. A second query would see later commits, and the reader would miss an event.
func readEventsAfter(ctx context.Context, tx *Tx, position int64, limit int) ([]LoggedEvent, error) {
	happened, err := sqldb.All(ctx, tx, ScanEvent, `SELECT position, epoch, conversation, event
			FROM (SELECT position, epoch, conversation, event FROM events WHERE position > $1 ORDER BY position LIMIT $2) told
		UNION ALL SELECT position, epoch, '', event
			FROM (SELECT position, epoch, event FROM desk_events WHERE position > $1 ORDER BY position LIMIT $2) own`, position, limit)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(happened, func(a, b LoggedEvent) int { return cmp.Compare(a.Position, b.Position) })
	return happened[:min(len(happened), limit)], nil
}

// isEvent reports whether a filter may name such events.
func isEvent(name string) bool {
	return name == string(eventReservationFailed) || slices.Contains(EventNames(), conversation.EventName(name))
}
