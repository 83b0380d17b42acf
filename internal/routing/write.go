package routing

import (
	"context"
	"encoding/json"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// write makes the desk's rows equal to the snapshots, all rows of a table at once. The rows of snapshots are in order
// of SID, and one snapshot names each row once, so that no statement changes a row twice.
func (b *batch) write(ctx context.Context) error {
	if len(b.news) == 0 {
		return nil
	}
	p := b.Pipeline()
	for _, queue := range []func(*sqldb.Pipeline) error{
		b.queueConversations, b.queueReleased, b.queueTasks, b.queueTransfers, b.queueNotes, b.queueReservations, b.queueOldDeclines,
	} {
		if err := queue(p); err != nil {
			return err
		}
	}
	for _, s := range b.news {
		for _, e := range s.news {
			b.Append(s.snapshot.Conversation, e)
		}
	}
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("write snapshots", err)
	}
	for _, s := range b.news {
		s.refuseForeign()
	}
	return nil
}

func (b *batch) queueConversations(p *sqldb.Pipeline) error {
	rows := sqldb.NewRows(sqldb.Texts("of_sid", "of_status", "of_channel", "of_name", "of_address"), sqldb.Numbers("of_revision", "of_events",
		"of_created_at", "of_closed_at"), sqldb.Texts("of_chain"))
	for _, s := range b.news {
		c := s.snapshot
		if err := rows.Add(c.Conversation, string(c.Status), string(c.Channel), b.Sealed(desk.CustomerName, c.Conversation, c.Customer.Name),
			b.Sealed(desk.CustomerAddress, c.Conversation, c.Customer.Address), c.Revision, s.last,
			sqldb.Micros(c.CreatedAt), sqldb.Micros(c.ClosedAt), c.Chain); err != nil {
			return desk.Wrap("save conversation "+c.Conversation, err)
		}
	}
	table, args := b.Table(1, rows)
	p.Exec(`INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events,
			messages, gone, created_at, closed_at, chain)
		SELECT of_sid, of_status, of_channel, of_name, of_address, of_revision, of_events, 0, 0, of_created_at, of_closed_at, of_chain
		FROM `+table+` WHERE true
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, channel = excluded.channel,
			customer_name = excluded.customer_name, customer_address = excluded.customer_address,
			revision = excluded.revision, events = excluded.events, gone = 0, closed_at = excluded.closed_at,
			created_at = excluded.created_at, chain = excluded.chain`, args...)
	return nil
}

func (b *batch) queueReleased(p *sqldb.Pipeline) error {
	var released []string
	for _, s := range b.news {
		released = append(released, s.released...)
	}
	if len(released) > 0 {
		among, arg := b.Among("task", 1, released)
		p.Exec(`DELETE FROM placements WHERE `+among, arg)
	}
	return nil
}

func (b *batch) queueTasks(p *sqldb.Pipeline) error {
	rows := sqldb.NewRows(
		sqldb.Texts("of_sid", "of_conversation", "of_channel", "of_status", "of_queue", "of_agent"), sqldb.Numbers("of_direct", "of_waiting"),
		sqldb.Texts("of_previous", "of_transfer"), sqldb.Numbers("of_priority", "of_head", "of_placement"),
		sqldb.Texts("of_attributes", "of_reservation", "of_disposition", "of_wrapup_note", "of_canceled_reason"),
		sqldb.Numbers("of_created_at", "of_queued_at", "of_timeout_at", "of_assigned_at", "of_wrapping_at", "of_completed_at", "of_canceled_at",
			"of_wrapup_timeout_at"),
		sqldb.Texts("of_from_agent", "of_to_agent", "of_to_queue", "of_from_queue", "of_given_by"), sqldb.Numbers("of_turn_messages"))
	for _, s := range b.news {
		for _, task := range s.snapshot.Tasks {
			if err := b.addTask(rows, s, task); err != nil {
				return desk.Wrap("save task "+task.SID, err)
			}
			s.sent(task.SID)
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	table, args := b.Table(1, rows)
	// The row keeps its attributes when the conversation has dropped them from an old task. What comes from the
	// transfer that made the task is set on insert only.
	p.Each(b.owned, `INSERT INTO tasks (sid, conversation, channel, status, queue, agent, direct, waiting, previous, transfer,
			priority, head, placement, attributes, reservation, disposition, wrapup_note, canceled_reason, created_at, queued_at,
			timeout_at, assigned_at, wrapping_at, completed_at, canceled_at, wrapup_timeout_at, from_agent, to_agent, to_queue, from_queue, given_by, turn_messages)
		SELECT of_sid, of_conversation, of_channel, of_status, of_queue, of_agent, of_direct, of_waiting, of_previous, of_transfer,
			of_priority, of_head, of_placement, of_attributes, of_reservation, of_disposition, of_wrapup_note, of_canceled_reason, of_created_at, of_queued_at,
			of_timeout_at, of_assigned_at, of_wrapping_at, of_completed_at, of_canceled_at, of_wrapup_timeout_at, of_from_agent, of_to_agent, of_to_queue,
			of_from_queue, of_given_by, of_turn_messages
		FROM `+table+` WHERE true
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, queue = excluded.queue, agent = excluded.agent,
			direct = excluded.direct, waiting = excluded.waiting, transfer = excluded.transfer, priority = excluded.priority,
			head = excluded.head, placement = excluded.placement,
			attributes = CASE WHEN excluded.attributes = '' THEN tasks.attributes ELSE excluded.attributes END,
			reservation = excluded.reservation, disposition = excluded.disposition, wrapup_note = excluded.wrapup_note,
			canceled_reason = excluded.canceled_reason, queued_at = excluded.queued_at, timeout_at = excluded.timeout_at,
			assigned_at = excluded.assigned_at, wrapping_at = excluded.wrapping_at, completed_at = excluded.completed_at,
			canceled_at = excluded.canceled_at, wrapup_timeout_at = excluded.wrapup_timeout_at,
			turn_messages = CASE WHEN excluded.wrapping_at = tasks.wrapping_at THEN tasks.turn_messages ELSE excluded.turn_messages END
			WHERE tasks.conversation = excluded.conversation
		RETURNING conversation, sid`, args...)
	return nil
}

func (b *batch) addTask(rows *sqldb.Rows, s *syncing, task *conversation.Task) error {
	attributes := ""
	if len(task.Attributes) > 0 {
		encoded, err := json.Marshal(task.Attributes)
		if err != nil {
			return desk.Wrap("encode its attributes", err)
		}
		attributes = string(encoded)
	}
	reservation := ""
	if task.Reservation != nil {
		reservation = task.Reservation.SID
	}
	made := s.transferOf(task)
	from := b.originOf(s, made.FromTask)
	turn := s.stored.messages
	if task.WrappingAt.IsZero() {
		turn = -1
	}
	return rows.Add(task.SID, s.snapshot.Conversation, string(s.snapshot.Channel), string(task.Status), task.Queue, task.Agent,
		sqldb.Flag(task.Direct), sqldb.Flag(s.waits(task)), task.Previous, task.Transfer,
		min(task.Priority, conversation.MaxPriority), sqldb.Flag(task.Head), task.PendingSeq,
		b.Sealed(desk.TaskAttributes, task.SID, attributes), reservation, b.Sealed(desk.TaskDisposition, task.SID, task.Disposition),
		b.Sealed(desk.TaskWrapupNote, task.SID, task.WrapupNote), string(task.CanceledReason),
		sqldb.Micros(task.CreatedAt), sqldb.Micros(task.QueuedAt), sqldb.Micros(task.TimeoutAt), sqldb.Micros(task.AssignedAt),
		sqldb.Micros(task.WrappingAt), sqldb.Micros(task.CompletedAt), sqldb.Micros(task.CanceledAt), sqldb.Micros(task.WrapupTimeoutAt),
		made.From, made.To.Agent, made.To.Queue, from.queue, from.agent, turn)
}

// originOf returns where a transfer came from. The task that it came from may be in the same snapshot.
func (b *batch) originOf(s *syncing, task string) origin {
	from, known := b.previous[task]
	if previous := s.taskInSnapshot(task); previous != nil {
		from.queue = previous.Queue
		if !known {
			from.agent = s.transferOf(previous).From
		}
	}
	return from
}

func (b *batch) queueTransfers(p *sqldb.Pipeline) error {
	rows := sqldb.NewRows(sqldb.Texts("of_sid", "of_conversation", "of_mode", "of_status", "of_from_agent", "of_from_task", "of_to_agent", "of_to_queue",
		"of_task", "of_note", "of_accepted_by", "of_failure_reason"), sqldb.Numbers("of_created_at", "of_ended_at"))
	for _, s := range b.news {
		for _, tr := range s.snapshot.Transfers {
			if err := rows.Add(tr.SID, s.snapshot.Conversation, string(tr.Mode), string(tr.Status), tr.From, tr.FromTask, tr.To.Agent, tr.To.Queue,
				tr.Task, tr.Note, tr.AcceptedBy, string(tr.FailureReason), sqldb.Micros(tr.CreatedAt), sqldb.Micros(tr.EndedAt)); err != nil {
				return desk.Wrap("save transfer "+tr.SID, err)
			}
			s.sent(tr.SID)
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	table, args := b.Table(1, rows)
	p.Each(b.owned, `INSERT INTO transfers (sid, conversation, mode, status, from_agent, from_task, to_agent, to_queue, task,
			note, accepted_by, failure_reason, created_at, ended_at)
		SELECT of_sid, of_conversation, of_mode, of_status, of_from_agent, of_from_task, of_to_agent, of_to_queue, of_task,
			of_note, of_accepted_by, of_failure_reason, of_created_at, of_ended_at
		FROM `+table+` WHERE true
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, accepted_by = excluded.accepted_by,
			failure_reason = excluded.failure_reason, ended_at = excluded.ended_at
			WHERE transfers.conversation = excluded.conversation
		RETURNING conversation, sid`, args...)
	return nil
}

// queueNotes inserts the snapshots' notes. A note that was stored before the transfer that names it gets its transfer.
func (b *batch) queueNotes(p *sqldb.Pipeline) error {
	named := sqldb.NewRows(sqldb.Texts("of_note", "of_conversation", "of_transfer", "of_task"))
	var notes []records.NoteOf
	for _, s := range b.news {
		for _, tr := range s.snapshot.Transfers {
			if tr.Note == "" {
				continue
			}
			if err := named.Add(tr.Note, s.snapshot.Conversation, tr.SID, tr.FromTask); err != nil {
				return desk.Wrap("name the transfer of note "+tr.Note, err)
			}
		}
		for _, note := range s.snapshot.Notes {
			notes = append(notes, records.NoteOf{Conversation: s.snapshot.Conversation, Note: note})
		}
	}
	if named.Len() > 0 {
		table, args := b.Table(1, named)
		p.Exec(`UPDATE notes SET transfer = of_transfer, task = of_task FROM `+table+`
			WHERE sid = of_note AND conversation = of_conversation AND transfer = ''`, args...)
	}
	return records.QueueNotes(b.Tx, p, notes)
}

// reservationChange is what the events of a snapshot make of a reservation.
type reservationChange struct {
	first, last conversation.Event
	excused     bool
	reason      string
}

// queueReservations brings the reservations to the state that the new events leave them in.
func (b *batch) queueReservations(p *sqldb.Pipeline) error {
	rows := sqldb.NewRows(sqldb.Texts("of_sid", "of_task", "of_conversation", "of_agent", "of_status"), sqldb.Numbers("of_number", "of_excused"),
		sqldb.Texts("of_reason"), sqldb.Numbers("of_created_at", "of_expires_at", "of_updated_at"))
	for _, s := range b.news {
		for _, c := range s.reservationChanges() {
			sid := c.first.Reservation
			if err := rows.Add(sid, c.first.Task, s.snapshot.Conversation, c.first.Agent, string(c.last.ReservationStatus), c.first.Number,
				sqldb.Flag(c.excused), b.Sealed(desk.ReservationReason, sid, c.reason),
				sqldb.Micros(c.first.At), sqldb.Micros(c.first.ExpiresAt), sqldb.Micros(c.last.At)); err != nil {
				return desk.Wrap("save reservation "+sid, err)
			}
			s.sent(sid)
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	table, args := b.Table(1, rows)
	p.Each(b.owned, `INSERT INTO reservations (sid, task, conversation, agent, status, number, excused, reason, created_at, expires_at, updated_at)
		SELECT of_sid, of_task, of_conversation, of_agent, of_status, of_number, of_excused, of_reason, of_created_at, of_expires_at, of_updated_at
		FROM `+table+` WHERE true
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, excused = excluded.excused, reason = excluded.reason,
			updated_at = excluded.updated_at
			WHERE reservations.conversation = excluded.conversation AND reservations.task = excluded.task
		RETURNING conversation, sid`, args...)
	return nil
}

// queueOldDeclines drops the declines whose offers have ended.
func (b *batch) queueOldDeclines(p *sqldb.Pipeline) error {
	var ended []string
	for _, s := range b.news {
		if len(s.declines) > 0 && s.offerEnded() {
			ended = append(ended, s.snapshot.Conversation)
		}
	}
	if len(ended) > 0 {
		among, arg := b.Among("conversation", 1, ended)
		p.Exec(`DELETE FROM declines WHERE `+among+`
			AND NOT EXISTS (SELECT 1 FROM reservations r WHERE r.sid = declines.reservation AND r.conversation = declines.conversation AND r.status = 'pending')
			AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.conversation = declines.conversation AND t.reservation = declines.reservation AND t.status = 'reserved')`,
			arg)
	}
	return nil
}

// declineOffers declines the offers that their agents cannot take.
func (b *batch) declineOffers(ctx context.Context) error {
	rows := sqldb.NewRows(sqldb.Texts("of_reservation", "of_task", "of_conversation", "of_agent"))
	for _, s := range b.news {
		for _, e := range s.decline {
			if err := rows.Add(e.Reservation, e.Task, s.snapshot.Conversation, e.Agent); err != nil {
				return desk.Wrap("decline "+e.Reservation, err)
			}
		}
	}
	if rows.Len() == 0 {
		return nil
	}
	b.WakeDelivery()
	table, args := b.Table(2, rows)
	if _, err := b.Exec(ctx, `INSERT INTO declines (reservation, task, conversation, agent, created_at, deliver_at, attempts)
		SELECT of_reservation, of_task, of_conversation, of_agent, CAST($1 AS BIGINT), CAST($1 AS BIGINT), 0 FROM `+table+` WHERE true
		ON CONFLICT (reservation) DO NOTHING`, append([]any{sqldb.Micros(b.now)}, args...)...); err != nil {
		return desk.Wrap("decline offers", err)
	}
	return nil
}

// owned notes that a statement has written the row of a snapshot.
func (b *batch) owned(r sqldb.Row) error {
	var conversation, sid string
	err := r.Scan(&conversation, &sid)
	if s := b.of(conversation); s != nil {
		delete(s.unwritten, sid)
	}
	return err
}
