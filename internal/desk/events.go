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
// [outbox.ConversationEvents] omits them; [outbox.EventsAfter] and the webhooks include them.
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

// Append appends an event of the conversation to the event log, as the transaction's last step.
func (tx *Tx) Append(sid string, e conversation.Event) {
	tx.appended = append(tx.appended, newEvent{sid, e})
}

// Happen records an event of the desk itself, about an agent or a queue, to be appended to the event log.
func (tx *Tx) Happen(name conversation.EventName, agent, queue string, now int64) {
	tx.HappenWith(conversation.Event{Name: name, Agent: agent, Queue: queue}, now)
}

// HappenWith records an event of the desk itself, with the time now, to be appended to the event log.
func (tx *Tx) HappenWith(e conversation.Event, now int64) {
	e.At = time.UnixMicro(now).UTC()
	tx.appended = append(tx.appended, newEvent{event: e})
}

// DecodeEvent decodes an event of the event log. The words in its reason stay encrypted.
func DecodeEvent(encoded string) (e conversation.Event, err error) {
	if err := json.Unmarshal([]byte(encoded), &e); err != nil {
		return e, Wrap("decode an event", err)
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
		e.Cause = CauseOf(*e)
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

// CauseOf returns why an offer was declined. Builds from before the field Cause recorded it only in the reason.
func CauseOf(e conversation.Event) conversation.Cause {
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
		return Wrap("take positions in the event log", err)
	}
	position := tx.logEnd.position - int64(len(tx.appended))
	var ofConversations, ofDesk []positioned
	for _, h := range tx.appended {
		position++
		if h.conversation == "" {
			ofDesk = append(ofDesk, positioned{h, position})
		} else {
			ofConversations = append(ofConversations, positioned{h, position})
		}
	}
	if err := tx.insertEvents(ctx, ofConversations); err != nil {
		return err
	}
	return tx.insertDeskEvents(ctx, ofDesk)
}

// positioned is an event with its position in the event log.
type positioned struct {
	newEvent

	position int64
}

// insertEvents inserts events of conversations.
func (tx *Tx) insertEvents(ctx context.Context, events []positioned) error {
	if len(events) == 0 {
		return nil
	}
	rows := sqldb.NewRows(sqldb.Numbers("of_position"), sqldb.Texts("of_conversation"), sqldb.Numbers("of_number"), sqldb.Texts("of_name"),
		sqldb.Numbers("of_at"), sqldb.Texts("of_event"))
	for _, h := range events {
		event, err := tx.sealReason(h.position, h.event)
		if err != nil {
			return err
		}
		encoded, err := json.Marshal(event)
		if err != nil {
			return Wrap(fmt.Sprintf("encode event %d", h.event.Number), err)
		}
		if err := rows.Add(h.position, h.conversation, h.event.Number, string(h.event.Name), sqldb.Micros(h.event.At), string(encoded)); err != nil {
			return err
		}
	}
	table, args := tx.Table(2, rows) //nolint:mnd // after the epoch
	if _, err := tx.Exec(ctx, `INSERT INTO events (position, epoch, conversation, number, name, at, event)
		SELECT of_position, CAST($1 AS BIGINT), of_conversation, of_number, of_name, of_at, of_event FROM `+table,
		append([]any{tx.logEnd.epoch}, args...)...); err != nil {
		return Wrap(fmt.Sprintf("append events from position %d on", events[0].position), err)
	}
	return nil
}

// insertDeskEvents inserts events of the desk itself. They are rare.
func (tx *Tx) insertDeskEvents(ctx context.Context, events []positioned) error {
	for _, h := range events {
		encoded, err := json.Marshal(h.event)
		if err != nil {
			return Wrap("encode "+string(h.event.Name), err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO desk_events (position, epoch, name, at, agent, queue, event) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			h.position, tx.logEnd.epoch, string(h.event.Name), sqldb.Micros(h.event.At), h.event.Agent, h.event.Queue, string(encoded)); err != nil {
			return Wrap("append "+string(h.event.Name), err)
		}
	}
	return nil
}

// ReadEventsAfter returns at most limit events of every kind after the position. It is one query, so that it sees one
// snapshot of the database. A second query would see later commits, and the reader would miss an event.
func ReadEventsAfter(ctx context.Context, tx *Tx, position int64, limit int) ([]LoggedEvent, error) {
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

// IsEventName reports whether a filter may name such events.
func IsEventName(name string) bool {
	return name == string(eventReservationFailed) || slices.Contains(EventNames(), conversation.EventName(name))
}

// ReasonAgentUnavailable is the reason of the declines that the desk sends for agents who have become unavailable.
const ReasonAgentUnavailable = "agent_unavailable"

// LoggedEvent is an event in the event log of all conversations.
type LoggedEvent struct {
	// Position rises in the order in which the desk received the events.
	Position int64 `json:"position"`
	// Epoch distinguishes events with the same position before and after an older copy of the database was
	// restored.
	Epoch        int64  `json:"-"`
	Conversation string `json:"conversation"`
	conversation.Event
}

// SID returns the event's SID (EV…).
func (e LoggedEvent) SID() string { return EventSID(e.Epoch, e.Position) }

// ScanEvent reads an event from the columns position, epoch, conversation and event.
func ScanEvent(r sqldb.Row) (e LoggedEvent, err error) {
	err = r.Scan(&e.Position, &e.Epoch, &e.Conversation, ReadEvent(&e.Position, &e.Event))
	return e, err
}
