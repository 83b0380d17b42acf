package desk

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// What happens at the desk itself, under TaskRouter's names. Of these events a conversation's history
// knows nothing: [Desk.Feed] leaves them out, [Desk.Happenings] and the webhooks bring them.
const (
	EventAgentCreated    conversation.EventName = "worker.created"
	EventAgentDeleted    conversation.EventName = "worker.deleted"
	EventAgentActivity   conversation.EventName = "worker.activity.update"
	EventAgentAttributes conversation.EventName = "worker.attributes.update"
	EventAgentCapacity   conversation.EventName = "worker.capacity.update"
	EventQueueCreated    conversation.EventName = "task-queue.created"
	EventQueueDeleted    conversation.EventName = "task-queue.deleted"
)

// eventReservationFailed is TaskRouter's for a call that could not be made. A filter may name it; it never happens here.
const eventReservationFailed conversation.EventName = "reservation.failed"

// EventNames returns the names of all events that there are.
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

// happen appends an event of the desk itself: of an agent, or of a queue. The reason says what was
// changed to: the name of an activity, a channel's capacity.
func (t *transaction) happen(ctx context.Context, name conversation.EventName, agent, queue, reason string, now int64) error {
	position, _, err := first(ctx, t, value[int64], `UPDATE feed SET position = position + 1 WHERE id = 1 RETURNING position`)
	if err != nil {
		return wrap("take a position in the feed", err)
	}
	encoded, err := json.Marshal(conversation.Event{Name: name, At: time.UnixMicro(now).UTC(), Agent: agent, Queue: queue, Reason: reason})
	if err != nil {
		return wrap("encode "+string(name), err)
	}
	_, err = t.exec(ctx, `INSERT INTO desk_events (position, name, at, agent, queue, event) VALUES ($1, $2, $3, $4, $5, $6)`,
		position, string(name), now, agent, queue, string(encoded))
	return err
}

// EventFilter chooses events. Empty fields choose all.
type EventFilter struct {
	// Position chooses the one event at that position.
	Position int64
	// From is the first moment, To the first one after the last.
	From, To time.Time
	Name     conversation.EventName
	// Agent and Queue are names, Task and Reservation SIDs.
	Agent, Queue, Task, Reservation string
}

func (f EventFilter) chooses(e FeedEvent) bool {
	return (f.Name == "" || f.Name == e.Name) && (f.Agent == "" || f.Agent == e.Agent) && (f.Queue == "" || f.Queue == e.Queue) &&
		(f.Task == "" || f.Task == e.Task) && (f.Reservation == "" || f.Reservation == e.Reservation)
}

// Happenings returns a page of all events, of conversations and of the desk itself, newest first.
func (d *Desk) Happenings(ctx context.Context, f EventFilter, p Page) (found Found[FeedEvent], err error) {
	if f.To.IsZero() {
		f.To = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	list := listing[FeedEvent]{
		columns: `position, conversation, event`,
		from: `(SELECT position, conversation, at, event FROM events
			UNION ALL SELECT position, '' AS conversation, at, event FROM desk_events) AS happened`,
		scan: scanFeedEvent, chooses: f.chooses, key: "position", keyOf: func(e FeedEvent) (int64, string) { return e.Position, "" }, descending: true,
	}
	if f.Position != 0 {
		list.where(`position = $%d`, f.Position)
	}
	list.where(`at >= $%d`, micros(f.From))
	list.where(`at < $%d`, micros(f.To))
	if f.Name != "" {
		list.from = `(SELECT position, conversation, at, name, event FROM events
			UNION ALL SELECT position, '' AS conversation, at, name, event FROM desk_events) AS happened`
		list.where(`name = $%d`, string(f.Name))
	}
	err = d.read(ctx, "read events", func(t *transaction) error {
		found, err = list.page(ctx, t, p)
		return err
	})
	return found, err
}

// after returns at most limit events of every kind that came after the position.
func (t *transaction) after(ctx context.Context, position int64, limit int) ([]FeedEvent, error) {
	return all(ctx, t, scanFeedEvent, `SELECT position, conversation, event FROM (
			SELECT position, conversation, event FROM (
				SELECT position, conversation, event FROM events WHERE position > $1 ORDER BY position LIMIT $2) AS told
			UNION ALL
			SELECT position, '', event FROM (
				SELECT position, event FROM desk_events WHERE position > $1 ORDER BY position LIMIT $2) AS own
		) AS happened ORDER BY position LIMIT $2`, position, limit)
}

// isEvent tells whether a filter may name such events.
func isEvent(name string) bool {
	return name == string(eventReservationFailed) || slices.Contains(EventNames(), conversation.EventName(name))
}
