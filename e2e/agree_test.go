package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// requireAgreement requires that the desk shows each conversation exactly as it is: every task with
// its offer, every transfer, every reservation, and all of its events, once each and in order. It
// waits until the desk has been told everything, and returns the conversations' states.
func requireAgreement(t *testing.T, c *centre, sids ...string) map[string]conversation.Record {
	t.Helper()
	records := map[string]conversation.Record{}
	for _, sid := range sids {
		records[sid] = requireShownAsItIs(t, c, sid)
	}
	requireLoadsCounted(t, c)
	return records
}

func requireShownAsItIs(t *testing.T, c *centre, sid string) conversation.Record {
	t.Helper()
	record := quietRecord(t, c, sid)
	ctx := in(t, patience)

	shown, err := c.desk.Conversation(ctx, sid)
	require.NoError(t, err)
	require.Equal(t, record.Status, shown.Status, "status of %s", sid)
	require.Equal(t, record.Channel, shown.Channel, "channel of %s", sid)
	require.Equal(t, record.Customer, shown.Customer, "customer of %s", sid)
	require.False(t, shown.Gone, "the desk believes that %s is gone", sid)
	requireSame(t, stored(record.ClosedAt), shown.ClosedAt, "when %s was closed", sid)

	requireTasksAgree(t, c, record)

	transfers, err := c.desk.Transfers(ctx, sid)
	require.NoError(t, err)
	rows := []conversation.Transfer{}
	for _, row := range transfers {
		rows = append(rows, row.Transfer)
	}
	wanted := []conversation.Transfer{}
	for _, transfer := range record.Transfers {
		row := *transfer
		row.CreatedAt, row.EndedAt = stored(row.CreatedAt), stored(row.EndedAt)
		wanted = append(wanted, row)
	}
	requireSame(t, wanted, rows, "transfers of %s", sid)

	requireEventsAgree(t, c, record)
	return record
}

// quietRecord returns the conversation's state once the desk shows it and nothing more has happened meanwhile.
func quietRecord(t *testing.T, c *centre, sid string) conversation.Record {
	t.Helper()
	for {
		record, err := c.baton.State(in(t, patience), sid)
		require.NoError(t, err, "read %s", sid)
		require.NoError(t, c.desk.AwaitRevision(in(t, patience), sid, record.Revision), "the desk doesn't catch up with %s", sid)
		again, err := c.baton.State(in(t, patience), sid)
		require.NoError(t, err, "read %s", sid)
		if again.Revision == record.Revision {
			return again
		}
	}
}

func requireTasksAgree(t *testing.T, c *centre, record conversation.Record) {
	t.Helper()
	tasks, err := c.desk.Tasks(in(t, patience), record.Conversation)
	require.NoError(t, err)
	require.Len(t, tasks, len(record.Tasks), "tasks of %s", record.Conversation)
	rows := map[string]desk.Task{}
	for _, row := range tasks {
		rows[row.SID] = row
	}
	for _, task := range record.Tasks {
		row, shown := rows[task.SID]
		require.True(t, shown, "the desk lacks task %s", task.SID)
		require.Equal(t, record.Channel, row.Channel, "channel of task %s", task.SID)
		wanted := storedTask(*task)
		if wanted.Attributes == nil {
			row.Attributes = nil // the conversation has dropped them from an old task, the desk keeps them
		}
		requireSame(t, wanted, row.Task, "task %s of %s", task.SID, record.Conversation)
	}
}

// requireEventsAgree requires events without gaps, exactly as many as the conversation has counted,
// and reservations that are where their events have left them.
func requireEventsAgree(t *testing.T, c *centre, record conversation.Record) {
	t.Helper()
	events, err := c.desk.Events(in(t, patience), record.Conversation)
	require.NoError(t, err)
	require.Len(t, events, record.Events, "events of %s", record.Conversation)
	statuses := map[string]conversation.ReservationStatus{}
	for i, event := range events {
		require.Equal(t, i+1, event.Number, "events of %s are numbered without gaps", record.Conversation)
		require.NotNil(t, record.Task(event.Task), "event %d of %s is of a task it doesn't have", event.Number, record.Conversation)
		if event.Reservation != "" {
			statuses[event.Reservation] = event.ReservationStatus
		}
	}
	reservations, err := c.desk.Reservations(in(t, patience), record.Conversation)
	require.NoError(t, err)
	require.Len(t, reservations, len(statuses), "reservations of %s", record.Conversation)
	for _, reservation := range reservations {
		require.Equal(t, statuses[reservation.SID], reservation.Status, "reservation %s of %s", reservation.SID, record.Conversation)
	}
	for _, task := range record.Tasks {
		if task.Reservation != nil {
			require.Equal(t, task.Reservation.Status, statuses[task.Reservation.SID], "reservation of task %s", task.SID)
		}
	}
	requireEventsInFeed(t, c, record.Conversation, events)
}

// requireEventsInFeed requires that the feed of all conversations has the same events, in the same order.
func requireEventsInFeed(t *testing.T, c *centre, sid string, events []conversation.Event) {
	t.Helper()
	const page = 1000
	fed := []conversation.Event{}
	for position := int64(0); ; {
		feed, err := c.desk.Feed(in(t, patience), position, page)
		require.NoError(t, err)
		for _, event := range feed {
			require.Greater(t, event.Position, position, "positions in the feed rise")
			position = event.Position
			if event.Conversation == sid {
				fed = append(fed, event.Event)
			}
		}
		if len(feed) < page {
			break
		}
	}
	requireSame(t, events, fed, "events of %s in the feed", sid)
}

// requireLoadsCounted requires that what counts against each agent's capacity is what they have.
// Tasks that wait may have been matched just now, so that it waits until nothing is under way.
func requireLoadsCounted(t *testing.T, c *centre) {
	t.Helper()
	var has, counted map[string]int
	defer func() {
		if t.Failed() {
			t.Logf("The agents have %v tasks, and %v are counted.", has, counted)
		}
	}()
	waitFor(t, patience, "loads equal to what the agents have", func() bool {
		has, counted = loads(t, c)
		for agent, load := range counted {
			if has[agent] != load {
				return false
			}
		}
		return true
	})
}

func loads(t *testing.T, c *centre) (has, counted map[string]int) {
	t.Helper()
	has, counted = map[string]int{}, map[string]int{}
	const page = 1000
	for offset := 0; ; offset += page {
		conversations, err := c.desk.Conversations(in(t, patience), desk.Filter{Limit: page, Offset: offset})
		require.NoError(t, err)
		for _, one := range conversations {
			for _, task := range one.Live {
				if task.Status != conversation.TaskPending {
					has[task.Agent]++
				}
			}
		}
		if len(conversations) < page {
			break
		}
	}
	agents, err := c.desk.Agents(in(t, patience))
	require.NoError(t, err)
	for _, agent := range agents {
		for _, channel := range agent.Channels {
			counted[agent.Name] += channel.Load
		}
	}
	return has, counted
}

// stored is a time as the desk keeps it, to the microsecond.
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

// requireSame compares what two sides show as JSON, where a difference is easiest to read.
func requireSame(t *testing.T, wanted, got any, what string, args ...any) {
	t.Helper()
	require.Equal(t, pretty(wanted), pretty(got), append([]any{what}, args...)...)
}

func pretty(value any) string {
	encoded, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}
