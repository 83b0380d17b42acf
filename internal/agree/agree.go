// Package agree compares a desk with the conversations themselves: every task with its offer, every transfer, every
// reservation, and all events, once each and in order. The tests with real servers and the faults of `make chaos`
// end with this comparison.
//
// It reads through the desk's exported functions and the conversation's query, like any other client. It must not
// use SQL, and must not change anything.
package agree

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

// Quiet returns the conversation's state when the desk has it and nothing has changed in the meantime.
func Quiet(ctx context.Context, b *baton.Client, d *desk.Desk, sid string) (conversation.Record, error) {
	for {
		record, err := b.State(ctx, sid)
		if err != nil {
			return record, err
		}
		if err := routing.AwaitRevision(ctx, d, sid, record.Revision); err != nil {
			return record, fmt.Errorf("the desk doesn't catch up with revision %d of %s: %w", record.Revision, sid, err)
		}
		again, err := b.State(ctx, sid)
		if err != nil || again.Revision == record.Revision {
			return again, err
		}
	}
}

// eventPage is how many events are read at a time.
const eventPage = 1000

// Events reads the event log and returns the events of each conversation, in the order of the log.
func Events(ctx context.Context, d *desk.Desk) (map[string][]desk.LoggedEvent, error) {
	events := map[string][]desk.LoggedEvent{}
	for position := int64(0); ; {
		page, err := outbox.ConversationEvents(ctx, d, position, eventPage)
		if err != nil {
			return nil, err
		}
		for _, event := range page {
			if event.Position <= position {
				return nil, fmt.Errorf("position %d of the event log comes after %d: they have to rise", event.Position, position)
			}
			position = event.Position
			events[event.Conversation] = append(events[event.Conversation], event)
		}
		if len(page) < eventPage {
			return events, nil
		}
	}
}

// Conversation returns an error with all differences between the desk and the conversation, or nil. The caller
// passes the conversation's state and its events in the event log (see [Events]). Both must be quiet (see [Quiet]).
func Conversation(ctx context.Context, d *desk.Desk, record conversation.Record, fed []desk.LoggedEvent) error {
	return errors.Join(
		headsDiffer(ctx, d, record), tasksDiffer(ctx, d, record), transfersDiffer(ctx, d, record), eventsDiffer(ctx, d, record, fed),
	)
}

func headsDiffer(ctx context.Context, d *desk.Desk, record conversation.Record) error {
	shown, err := records.FindConversation(ctx, d, record.Conversation)
	if err != nil {
		return err
	}
	type head struct {
		Status   conversation.ConversationStatus
		Channel  conversation.Channel
		Customer conversation.Customer
		Revision int
		Gone     bool
		ClosedAt time.Time
	}
	return differ("conversation "+record.Conversation,
		head{record.Status, record.Channel, record.Customer, record.Revision, false, stored(record.ClosedAt)},
		head{shown.Status, shown.Channel, shown.Customer, shown.Revision, shown.Gone, shown.ClosedAt})
}

func tasksDiffer(ctx context.Context, d *desk.Desk, record conversation.Record) error {
	tasks, err := records.ListTasks(ctx, d, record.Conversation)
	if err != nil {
		return err
	}
	rows := map[string]records.Task{}
	for _, row := range tasks {
		rows[row.SID] = row
	}
	var wrong []error
	if had := record.HadTasks(); len(tasks) != had {
		wrong = append(wrong, fmt.Errorf("%s has had %d tasks, at the desk %d", record.Conversation, had, len(tasks)))
	}
	for _, task := range record.Tasks {
		row, shown := rows[task.SID]
		if !shown {
			wrong = append(wrong, fmt.Errorf("task %s of %s isn't at the desk", task.SID, record.Conversation))
			continue
		}
		wanted := records.Task{Conversation: record.Conversation, Channel: record.Channel, Task: storedTask(*task)}
		if wanted.Attributes == nil {
			row.Attributes = nil // the conversation drops them from old tasks, the desk keeps them
		}
		wrong = append(wrong, differ("task "+task.SID+" of "+record.Conversation, wanted, row))
	}
	return errors.Join(wrong...)
}

func transfersDiffer(ctx context.Context, d *desk.Desk, record conversation.Record) error {
	shown, err := records.ListTransfers(ctx, d, record.Conversation)
	if err != nil {
		return err
	}
	if had := record.HadTransfers(); len(shown) != had {
		return fmt.Errorf("%s has had %d transfers, at the desk %d", record.Conversation, had, len(shown))
	}
	rows := []conversation.Transfer{}
	for _, row := range shown {
		if kept := record.Transfer(row.SID); kept != nil {
			if kept.Attempt.Words == "" {
				row.Attempt.Words = "" // the conversation drops them from old transfers, the desk keeps them
			}
			rows = append(rows, row.Transfer)
		}
	}
	wanted := []conversation.Transfer{}
	for _, transfer := range record.Transfers {
		row := *transfer
		row.CreatedAt, row.EndedAt, row.Attempt.At = stored(row.CreatedAt), stored(row.EndedAt), stored(row.Attempt.At)
		wanted = append(wanted, row)
	}
	return differ("transfers of "+record.Conversation, wanted, rows)
}

// eventsDiffer checks that the events have no gaps, that there are as many as the conversation has counted, that
// the event log has the same, and that each reservation has the status of its last event.
func eventsDiffer(ctx context.Context, d *desk.Desk, record conversation.Record, fed []desk.LoggedEvent) error {
	sid := record.Conversation
	events, err := records.ListEvents(ctx, d, sid)
	if err != nil {
		return err
	}
	var wrong []error
	if len(events) != record.Events {
		wrong = append(wrong, fmt.Errorf("%s has had %d events, at the desk %d", sid, record.Events, len(events)))
	}
	tasks, err := records.ListTasks(ctx, d, sid) // those of the conversation (see tasksDiffer), and older ones that it has dropped
	if err != nil {
		return err
	}
	statuses := map[string]conversation.ReservationStatus{}
	for i, event := range events {
		if event.Number != i+1 {
			wrong = append(wrong, fmt.Errorf("event %d of %s has the number %d", i+1, sid, event.Number))
		}
		if !slices.ContainsFunc(tasks, func(t records.Task) bool { return t.SID == event.Task }) {
			wrong = append(wrong, fmt.Errorf("event %d of %s is of a task that it doesn't have", event.Number, sid))
		}
		if event.Reservation != "" {
			statuses[event.Reservation] = event.ReservationStatus
		}
	}
	reservations, err := records.ListReservations(ctx, d, sid)
	if err != nil {
		return err
	}
	shown := map[string]conversation.ReservationStatus{}
	for _, reservation := range reservations {
		shown[reservation.SID] = reservation.Status
	}
	wrong = append(wrong, differ("reservations of "+sid, statuses, shown))
	for _, task := range record.Tasks {
		if r := task.Reservation; r != nil && r.Status != statuses[r.SID] {
			wrong = append(wrong, fmt.Errorf("reservation %s of %s is %s, and %q by its events", r.SID, sid, r.Status, statuses[r.SID]))
		}
	}
	logged := []conversation.Event{}
	for _, event := range fed {
		logged = append(logged, event.Event)
	}
	return errors.Join(append(wrong, differ("events of "+sid+" in the event log", events, logged))...)
}

// Loads returns for each agent how many tasks are reserved, assigned or wrapping, and how many count against their
// capacity. The two are equal if no match is in progress, neither on its way to its conversation nor back. A match
// that was neither delivered nor released shows as a difference.
func Loads(ctx context.Context, d *desk.Desk) (has, counted map[string]int, err error) {
	has, counted = map[string]int{}, map[string]int{}
	agents, err := people.ListAgents(ctx, d)
	if err != nil {
		return nil, nil, err
	}
	for _, agent := range agents {
		has[agent.Name] = 0
		for _, channel := range agent.Channels {
			counted[agent.Name] += channel.Load
		}
	}
	for page := (desk.Page{Limit: eventPage}); ; {
		conversations, err := records.ConversationPage(ctx, d, records.Filter{}, "", page)
		if err != nil {
			return nil, nil, err
		}
		for _, one := range conversations.Entries {
			for _, task := range one.Live {
				if task.Status != conversation.TaskPending {
					has[task.Agent]++
				}
			}
		}
		if !conversations.More {
			return has, counted, nil
		}
		page.After = &conversations.Last
	}
}

// stored returns a time as the desk stores it, in microseconds.
func stored(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return at.UTC().Truncate(time.Microsecond)
}

func storedTask(task conversation.Task) conversation.Task {
	for _, at := range []*time.Time{
		&task.CreatedAt, &task.QueuedAt, &task.TimeoutAt, &task.AssignedAt, &task.WrappingAt, &task.CompletedAt, &task.CanceledAt,
		&task.WrapupTimeoutAt,
	} {
		*at = stored(*at)
	}
	if task.Reservation != nil {
		offer := *task.Reservation
		offer.CreatedAt, offer.ExpiresAt = stored(offer.CreatedAt), stored(offer.ExpiresAt)
		task.Reservation = &offer
	}
	return task
}

// differ compares two values as JSON, which is the contract, and shows both if they differ.
func differ(what string, wanted, shown any) error {
	one, err := json.MarshalIndent(wanted, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", what, err)
	}
	other, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", what, err)
	}
	if string(one) == string(other) {
		return nil
	}
	return fmt.Errorf("%s differ: the conversation says\n%s\nand the desk\n%s", what, one, other)
}
