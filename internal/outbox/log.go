package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

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

func (f EventFilter) chooses(e desk.LoggedEvent) bool {
	return (f.Name == "" || f.Name == e.Name) && (f.Agent == "" || f.Agent == e.Agent) && (f.Queue == "" || f.Queue == e.Queue) &&
		(f.Task == "" || f.Task == e.Task) && (f.Reservation == "" || f.Reservation == e.Reservation)
}

// EventPage returns a page of all events, of conversations and of the desk itself, newest first.
func EventPage(ctx context.Context, d *desk.Desk, f EventFilter, p desk.Page) (found desk.Found[desk.LoggedEvent], err error) {
	if f.To.IsZero() {
		f.To = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	list := sqldb.Listing[desk.LoggedEvent]{
		Columns: `position, epoch, conversation, event`,
		From: `(SELECT position, epoch, conversation, at, event FROM events
			UNION ALL SELECT position, epoch, '' AS conversation, at, event FROM desk_events) AS happened`,
		Scan: desk.ScanEvent, Chooses: sqldb.Sure(f.chooses), Key: "position", KeyOf: func(e desk.LoggedEvent) (int64, string) { return e.Position, "" }, Descending: true,
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
	err = d.ReadTx(ctx, "read events", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// EventPageOn returns a page of the events, newest first, of conversations on the channel that were routed by the
// TaskRouter workflow with that SID. Either may be empty.
func EventPageOn(ctx context.Context, d *desk.Desk, channel conversation.Channel, workflow string, f EventFilter, p desk.Page) (found desk.Found[desk.LoggedEvent], err error) {
	list := sqldb.Listing[desk.LoggedEvent]{
		Columns: `e.position, e.epoch, e.conversation, e.event`, Scan: desk.ScanEvent, Chooses: sqldb.Sure(f.chooses), Key: "e.position",
		From:  `events e JOIN conversations c ON c.sid = e.conversation LEFT JOIN conversation_details d ON d.conversation = e.conversation`,
		KeyOf: func(e desk.LoggedEvent) (int64, string) { return e.Position, "" }, Descending: true,
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
		list.Where(desk.WorkflowOfTask+` = $%d`, workflow)
	}
	err = d.ReadTx(ctx, "read events", func(tx *desk.Tx) error {
		found, err = list.Page(ctx, tx, p)
		return err
	})
	return found, err
}

// ConversationEvents returns at most limit events of all conversations with a position above after, in order of
// position. An after of 0 is before the first event. An event never appears later at a position below one that was
// read. The limit is at most 1,000; 0 means 100.
func ConversationEvents(ctx context.Context, d *desk.Desk, after int64, limit int) (events []desk.LoggedEvent, err error) {
	if limit <= 0 {
		limit = 100
	}
	err = d.ReadTx(ctx, fmt.Sprintf("read the event log after %d", after), func(tx *desk.Tx) error {
		events, err = sqldb.All(ctx, tx, desk.ScanEvent,
			`SELECT position, epoch, conversation, event FROM events WHERE position > $1 ORDER BY position LIMIT $2`, after, min(limit, 1000))
		return err
	})
	return events, err
}

// EventsAfter returns at most limit events of every kind after the position, in order: those of conversations, and
// those of the desk itself, which have no conversation.
func EventsAfter(ctx context.Context, d *desk.Desk, after int64, limit int) (events []desk.LoggedEvent, err error) {
	err = d.ReadTx(ctx, fmt.Sprintf("read what happened after %d", after), func(tx *desk.Tx) error {
		events, err = desk.ReadEventsAfter(ctx, tx, after, limit)
		return err
	})
	return events, err
}
