package routing

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// matchedBySync is the maximum number of matches that one snapshot makes. The dispatcher makes the others.
const matchedBySync = 8

// Sync makes the desk's rows equal to the snapshot, in one transaction. It appends the events that the desk does
// not have yet, and matches the tasks that wait because of the snapshot: the conversation's own, and others that an
// agent who has become free can take. A snapshot that is older than what the desk shows changes nothing. Sending
// the same snapshot again is safe. The answer names the revision that the desk shows, and every match of this
// conversation that is not confirmed yet, again each time.
func Sync(ctx context.Context, d *desk.Desk, p conversation.Snapshot) (conversation.Acknowledgement, error) {
	var answer conversation.Acknowledgement
	var lost int
	var foreign []string
	sync := func(alone bool) error {
		write := d.SharedTx
		if alone {
			write = d.ExclusiveTx
		}
		return write(ctx, "sync conversation "+p.Conversation, func(tx *desk.Tx) error {
			s := &syncing{Tx: tx, snapshot: p, now: d.Now(), alone: alone, touched: map[string]desk.Presence{}, freed: map[string]bool{}}
			var err error
			answer, err = s.run(ctx)
			lost, foreign = s.lost, s.foreign
			return err
		})
	}
	err := sync(false)
	if errors.Is(err, errNotBeside) {
		err = sync(true)
	}
	if err != nil {
		return conversation.Acknowledgement{}, err
	}
	if len(foreign) > 0 {
		d.Log().ErrorContext(ctx, "SIDs of other conversations refused", "conversation", p.Conversation, "sids", foreign)
	}
	if lost > 0 {
		d.Log().ErrorContext(ctx, "desk has lost events, routing continues",
			"conversation", p.Conversation, "lost", lost)
	}
	d.Changed(p.Conversation)
	return answer, nil
}

// errNotBeside ends a snapshot in a shared transaction: it must be applied in an exclusive one.
var errNotBeside = errors.New("others may be at what it changes")

// syncing is a snapshot that is being applied.
type syncing struct {
	*desk.Tx
	snapshot conversation.Snapshot
	now      time.Time
	// alone is set in an exclusive transaction.
	alone bool
	// news are the events that the desk does not have yet. before is the number of the last event that it has, and
	// lost the number of events missing between them.
	news         []conversation.Event
	before, lost int
	// last is the number of the last event that the desk has when the snapshot is applied.
	last int
	// open are the conversation's matches that are not confirmed yet. confirmed are the reservations of the matches
	// that this snapshot confirms.
	open      []match
	confirmed []string
	// touched are the agents whose tasks have changed, with their presence. freed are the agents who may have room
	// now.
	touched map[string]desk.Presence
	freed   map[string]bool
	// foreign are SIDs in the snapshot that already belong to rows of another conversation, or of another task.
	foreign []string
	// stored is what the desk has of the conversation before the snapshot.
	stored struct{ revision, events, matches, declines int }
	// declining is set when the desk had declines of the conversation's offers to deliver before the snapshot.
	declining bool
}

func (s *syncing) run(ctx context.Context) (conversation.Acknowledgement, error) {
	if err := s.take(ctx); err != nil {
		return conversation.Acknowledgement{}, err
	}
	found := false
	err := sqldb.Each(ctx, s.Tx, func(r sqldb.Row) error {
		found = true
		return r.Scan(&s.stored.revision, &s.stored.events, &s.stored.matches, &s.stored.declines)
	}, `SELECT revision, events, (SELECT count(*) FROM placements WHERE conversation = $1),
			(SELECT count(*) FROM declines WHERE conversation = $1)
		FROM conversations WHERE sid = $1`, s.snapshot.Conversation)
	if err != nil {
		return conversation.Acknowledgement{}, err
	}
	s.declining = s.stored.declines > 0
	if s.stored.matches > 0 {
		if s.open, err = sqldb.All(ctx, s.Tx, scanMatch, selectMatches+` WHERE conversation = $1`, s.snapshot.Conversation); err != nil {
			return conversation.Acknowledgement{}, err
		}
	}
	if found {
		known, overlap, err := s.known(ctx)
		if err != nil {
			return conversation.Acknowledgement{}, err
		}
		switch {
		case known < overlap: // the desk has other events under these numbers
			return s.behind(max(s.stored.revision, s.snapshot.Revision+1), known), nil
		case s.snapshot.Revision < s.stored.revision:
			return s.behind(s.stored.revision, known), nil
		}
	}
	s.before, s.news = s.stored.events, eventsAfter(s.stored.events, s.snapshot.Events)
	if len(s.news) > 0 {
		s.lost = s.news[0].Number - s.before - 1
	} else if s.snapshot.Whole {
		s.lost = max(0, s.snapshot.LastEvent-s.before)
	}
	for _, step := range []func(context.Context) error{
		s.saveConversation, s.releaseStale, s.saveTasks, s.saveTransfers, s.saveNotes, s.noteEvents, s.saveReservations,
		s.endOthers, s.countLoads, s.applyTimeouts, s.place,
	} {
		if err := step(ctx); err != nil {
			return conversation.Acknowledgement{}, err
		}
	}
	return s.acknowledge(s.snapshot.Revision, s.last), nil
}

// behind is the answer to a snapshot of which the desk applies nothing.
func (s *syncing) behind(revision, known int) conversation.Acknowledgement {
	answer := s.acknowledge(revision, s.stored.events)
	answer.Known = known
	return answer
}

// known returns how many of the snapshot's events have numbers under which the desk has events (overlap), and how
// many of the first of those are equal (known). A snapshot that arrives twice has equal events. Events that differ
// are from different histories: the conversation went back in time and has reached the same numbers again.
func (s *syncing) known(ctx context.Context) (known, overlap int, err error) {
	told := s.snapshot.Events
	for overlap < len(told) && told[overlap].Number <= s.stored.events {
		overlap++
	}
	if overlap == 0 {
		return 0, 0, nil
	}
	type event struct {
		number int
		name   conversation.EventName
		at     int64
	}
	stored, err := sqldb.All(ctx, s.Tx, func(r sqldb.Row) (e event, err error) {
		err = r.Scan(&e.number, &e.name, &e.at)
		return e, err
	}, `SELECT number, name, at FROM events WHERE conversation = $1 AND number >= $2 AND number <= $3 ORDER BY number`,
		s.snapshot.Conversation, told[0].Number, told[overlap-1].Number)
	if err != nil {
		return 0, 0, desk.Wrap("read the events it has", err)
	}
	if len(stored) == 0 { // the desk has lost the events and knows only their numbers
		return overlap, overlap, nil
	}
	for known < overlap && known < len(stored) && stored[known] == (event{told[known].Number, told[known].Name, sqldb.Micros(told[known].At)}) {
		known++
	}
	return known, overlap, nil
}

// endOthers handles a whole snapshot. It ends what the desk shows as live and the snapshot does not have, and
// brings reservations to the state that the snapshot's tasks name.
func (s *syncing) endOthers(ctx context.Context) error {
	s.last = s.before + s.lost + len(s.news)
	if !s.snapshot.Whole {
		return nil
	}
	for _, task := range s.snapshot.Tasks {
		v := task.Reservation
		if v == nil {
			continue
		}
		changed, err := s.Exec(ctx, `INSERT INTO reservations (sid, task, conversation, agent, status, number, excused, reason,
				created_at, expires_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, 0, '', $7, $8, $9)
			ON CONFLICT (sid) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at,
				updated_at = CASE WHEN reservations.status = excluded.status THEN reservations.updated_at ELSE excluded.updated_at END
				WHERE reservations.conversation = excluded.conversation AND reservations.task = excluded.task`,
			v.SID, task.SID, s.snapshot.Conversation, v.Agent, string(v.Status), s.last, sqldb.Micros(v.CreatedAt), sqldb.Micros(v.ExpiresAt), sqldb.Micros(s.now))
		if err != nil {
			return desk.Wrap("save reservation "+v.SID, err)
		}
		s.owned(changed, v.SID)
		s.touched[v.Agent], s.freed[v.Agent] = "", true
	}
	e := ending{Tx: s.Tx, conversation: s.snapshot.Conversation, reason: conversation.ReasonReset, now: s.now, number: s.last}
	if err := e.end(ctx, s.snapshot); err != nil {
		return err
	}
	s.last = e.number
	if _, err := s.Exec(ctx, `DELETE FROM declines WHERE conversation = $1
		AND reservation NOT IN (SELECT sid FROM reservations WHERE conversation = $1 AND status = 'pending')`, s.snapshot.Conversation); err != nil {
		return desk.Wrap("drop declines", err)
	}
	for _, agent := range e.agents {
		s.touched[agent], s.freed[agent] = "", true
	}
	return nil
}

// take locks the conversation, so that snapshots are applied one after the other and no other transaction matches
// its tasks meanwhile. A row that does not exist cannot be locked: the first snapshot inserts the conversation's
// row first.
func (s *syncing) take(ctx context.Context) error {
	if !s.LocksRows() {
		return nil
	}
	_, found, err := sqldb.First(ctx, s, sqldb.Value[string], desk.SelectConversationRow+s.RowsOf("conversations"), s.snapshot.Conversation)
	if err != nil {
		return desk.Wrap("wait for others", err)
	}
	if !found {
		if _, err := s.Exec(ctx, `INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events,
				messages, gone, created_at, closed_at)
			VALUES ($1, $2, $3, '', '', 0, 0, 0, 0, $4, 0) ON CONFLICT (sid) DO NOTHING`,
			s.snapshot.Conversation, string(s.snapshot.Status), string(s.snapshot.Channel), sqldb.Micros(s.snapshot.CreatedAt)); err != nil {
			return desk.Wrap("make its row", err)
		}
		return desk.LockConversation(ctx, s.Tx, s.snapshot.Conversation)
	}
	return desk.LockLiveTasks(ctx, s.Tx, s.snapshot.Conversation)
}

func (s *syncing) acknowledge(revision, events int) conversation.Acknowledgement {
	answer := conversation.Acknowledgement{Revision: revision, Events: events}
	for _, p := range s.open {
		answer.Matches = append(answer.Matches, p.command())
	}
	return answer
}

// eventsAfter returns the events with a number above last.
func eventsAfter(last int, events []conversation.Event) []conversation.Event {
	first := slices.IndexFunc(events, func(e conversation.Event) bool { return e.Number > last })
	if first < 0 {
		return nil
	}
	return events[first:]
}

func (s *syncing) saveConversation(ctx context.Context) error {
	p := s.snapshot
	_, err := s.Exec(ctx, `INSERT INTO conversations (sid, status, channel, customer_name, customer_address, revision, events,
			messages, gone, created_at, closed_at, chain)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $8, $9, $10)
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, channel = excluded.channel,
			customer_name = excluded.customer_name, customer_address = excluded.customer_address,
			revision = excluded.revision, events = excluded.events, gone = 0, closed_at = excluded.closed_at,
			created_at = excluded.created_at, chain = excluded.chain`,
		p.Conversation, string(p.Status), string(p.Channel), s.Sealed(desk.CustomerName, p.Conversation, p.Customer.Name),
		s.Sealed(desk.CustomerAddress, p.Conversation, p.Customer.Address), p.Revision, s.before+s.lost+len(s.news),
		sqldb.Micros(p.CreatedAt), sqldb.Micros(p.ClosedAt), p.Chain)
	return err
}

// releaseStale deletes the matches that the snapshot no longer waits for: they were confirmed, or the task has
// become pending anew, was given to another agent or has ended.
func (s *syncing) releaseStale(ctx context.Context) error {
	var still []match
	for _, p := range s.open {
		task := s.taskInSnapshot(p.task)
		if task != nil && task.Status == conversation.TaskPending && task.PendingSeq == p.number {
			still = append(still, p)
			continue
		}
		if _, err := s.Exec(ctx, `DELETE FROM placements WHERE task = $1`, p.task); err != nil {
			return err
		}
		if task == nil || task.Reservation == nil || task.Reservation.SID != p.reservation {
			s.freed[p.agent] = true
		} else {
			s.confirmed = append(s.confirmed, p.reservation)
		}
		s.touched[p.agent] = ""
	}
	s.open = still
	return nil
}

func (s *syncing) taskInSnapshot(sid string) *conversation.Task {
	for _, task := range s.snapshot.Tasks {
		if task.SID == sid {
			return task
		}
	}
	return nil
}

func (s *syncing) saveTasks(ctx context.Context) error {
	for _, task := range s.snapshot.Tasks {
		if err := s.saveTask(ctx, task); err != nil {
			return desk.Wrap("save task "+task.SID, err)
		}
	}
	return nil
}

func (s *syncing) saveTask(ctx context.Context, task *conversation.Task) error {
	attributes := ""
	if len(task.Attributes) > 0 {
		encoded, err := json.Marshal(task.Attributes)
		if err != nil {
			return desk.Wrap("encode its attributes", err)
		}
		attributes = string(encoded)
	}
	matched := slices.ContainsFunc(s.open, func(p match) bool { return p.task == task.SID })
	reservation := ""
	if task.Reservation != nil {
		reservation = task.Reservation.SID
	}
	made := s.transferOf(task)
	// The row keeps its attributes when the conversation has dropped them from an old task. What comes from the
	// transfer that made the task is set on insert only.
	changed, err := s.Exec(ctx, `INSERT INTO tasks (sid, conversation, channel, status, queue, agent, direct, waiting, previous, transfer,
			priority, head, placement, attributes, reservation, disposition, wrapup_note, canceled_reason, created_at, queued_at,
			timeout_at, assigned_at, wrapping_at, completed_at, canceled_at, wrapup_timeout_at, from_agent, to_agent, to_queue, from_queue, given_by, turn_messages)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26,
			$27, $28, $29, coalesce((SELECT queue FROM tasks WHERE sid = $30), ''), coalesce((SELECT from_agent FROM tasks WHERE sid = $30), ''),
			CASE WHEN CAST($23 AS BIGINT) = 0 THEN -1 ELSE coalesce((SELECT messages FROM conversations WHERE sid = $2), 0) END)
		ON CONFLICT (sid) DO UPDATE SET status = excluded.status, queue = excluded.queue, agent = excluded.agent,
			direct = excluded.direct, waiting = excluded.waiting, transfer = excluded.transfer, priority = excluded.priority,
			head = excluded.head, placement = excluded.placement,
			attributes = CASE WHEN excluded.attributes = '' THEN tasks.attributes ELSE excluded.attributes END,
			reservation = excluded.reservation, disposition = excluded.disposition, wrapup_note = excluded.wrapup_note,
			canceled_reason = excluded.canceled_reason, queued_at = excluded.queued_at, timeout_at = excluded.timeout_at,
			assigned_at = excluded.assigned_at, wrapping_at = excluded.wrapping_at, completed_at = excluded.completed_at,
			canceled_at = excluded.canceled_at, wrapup_timeout_at = excluded.wrapup_timeout_at,
			turn_messages = CASE WHEN excluded.wrapping_at = tasks.wrapping_at THEN tasks.turn_messages ELSE excluded.turn_messages END
			WHERE tasks.conversation = excluded.conversation`,
		task.SID, s.snapshot.Conversation, string(s.snapshot.Channel), string(task.Status), task.Queue, task.Agent, sqldb.Flag(task.Direct),
		sqldb.Flag(task.Status == conversation.TaskPending && !matched), task.Previous, task.Transfer, min(task.Priority, conversation.MaxPriority), sqldb.Flag(task.Head),
		task.PendingSeq, s.Sealed(desk.TaskAttributes, task.SID, attributes), reservation, s.Sealed(desk.TaskDisposition, task.SID, task.Disposition),
		s.Sealed(desk.TaskWrapupNote, task.SID, task.WrapupNote), string(task.CanceledReason),
		sqldb.Micros(task.CreatedAt), sqldb.Micros(task.QueuedAt), sqldb.Micros(task.TimeoutAt), sqldb.Micros(task.AssignedAt), sqldb.Micros(task.WrappingAt),
		sqldb.Micros(task.CompletedAt), sqldb.Micros(task.CanceledAt), sqldb.Micros(task.WrapupTimeoutAt), made.From, made.To.Agent, made.To.Queue, made.FromTask)
	s.owned(changed, task.SID)
	return err
}

// owned reports whether a row was changed. If not, it records the SID as foreign: the row is another
// conversation's.
func (s *syncing) owned(changed int64, sid string) bool {
	if changed == 0 {
		s.foreign = append(s.foreign, sid)
	}
	return changed > 0
}

// transferOf returns the transfer that made the task. It returns an empty one when no transfer did, or the snapshot
// no longer contains it.
func (s *syncing) transferOf(task *conversation.Task) conversation.Transfer {
	for _, tr := range s.snapshot.Transfers {
		if task.Transfer == tr.SID && task.SID == tr.Task {
			return *tr
		}
	}
	return conversation.Transfer{}
}

func (s *syncing) saveTransfers(ctx context.Context) error {
	for _, tr := range s.snapshot.Transfers {
		changed, err := s.Exec(ctx, `INSERT INTO transfers (sid, conversation, mode, status, from_agent, from_task, to_agent, to_queue, task,
				note, accepted_by, failure_reason, created_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			ON CONFLICT (sid) DO UPDATE SET status = excluded.status, accepted_by = excluded.accepted_by,
				failure_reason = excluded.failure_reason, ended_at = excluded.ended_at
				WHERE transfers.conversation = excluded.conversation`,
			tr.SID, s.snapshot.Conversation, string(tr.Mode), string(tr.Status), tr.From, tr.FromTask, tr.To.Agent, tr.To.Queue, tr.Task,
			tr.Note, tr.AcceptedBy, string(tr.FailureReason), sqldb.Micros(tr.CreatedAt), sqldb.Micros(tr.EndedAt))
		if err != nil {
			return desk.Wrap("save transfer "+tr.SID, err)
		}
		s.owned(changed, tr.SID)
		// A note may have been stored before the transfer that names it.
		if tr.Note != "" {
			if _, err := s.Exec(ctx, `UPDATE notes SET transfer = $2, task = $3 WHERE sid = $1 AND conversation = $4 AND transfer = ''`,
				tr.Note, tr.SID, tr.FromTask, s.snapshot.Conversation); err != nil {
				return desk.Wrap("name the transfer of note "+tr.Note, err)
			}
		}
	}
	return nil
}

func (s *syncing) saveNotes(ctx context.Context) error {
	for _, note := range s.snapshot.Notes {
		if err := records.InsertNote(ctx, s.Tx, s.snapshot.Conversation, note); err != nil {
			return desk.Wrap("save note "+note.SID, err)
		}
	}
	return nil
}

// noteEvents queues the new events to be appended to the event log.
func (s *syncing) noteEvents(context.Context) error {
	for _, e := range s.news {
		s.Append(s.snapshot.Conversation, e)
	}
	return nil
}

// saveReservations brings the reservations to the state that the new events leave them in.
func (s *syncing) saveReservations(ctx context.Context) error {
	ended := false
	for _, e := range s.news {
		if e.Reservation == "" {
			continue
		}
		reason := e.Reason
		if e.Name == conversation.EventTaskUpdated {
			reason = "" // this is why the task became pending again, not why the agent's offer ended
		}
		// A decline sent by an earlier version of the desk is recognized by its reason alone.
		changed, err := s.Exec(ctx, `INSERT INTO reservations (sid, task, conversation, agent, status, number, excused, reason,
				created_at, expires_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6,
				CASE WHEN $11 = 1 AND EXISTS (SELECT 1 FROM declines d WHERE d.reservation = $1) THEN 1 ELSE $7 END, $8, $9, $10, $9)
			ON CONFLICT (sid) DO UPDATE SET status = excluded.status, excused = excluded.excused, reason = excluded.reason,
				updated_at = excluded.updated_at
				WHERE reservations.conversation = excluded.conversation AND reservations.task = excluded.task`,
			e.Reservation, e.Task, s.snapshot.Conversation, e.Agent, string(e.ReservationStatus), e.Number, sqldb.Flag(e.Excused), s.Sealed(desk.ReservationReason, e.Reservation, reason),
			sqldb.Micros(e.At), sqldb.Micros(e.ExpiresAt), sqldb.Flag(desk.CauseOf(e) == conversation.CauseUnavailable || e.Reason == desk.ReasonAgentUnavailable))
		if err != nil {
			return desk.Wrap("save reservation "+e.Reservation, err)
		}
		if !s.owned(changed, e.Reservation) && e.Name == conversation.EventReservationCreated {
			// No page could show this offer: its task must be matched anew.
			if err := declineForAbsent(ctx, s.Tx, s.snapshot.Conversation, e, sqldb.Micros(s.now)); err != nil {
				return err
			}
		}
		s.touched[e.Agent] = ""
		switch e.ReservationStatus {
		case conversation.ReservationPending:
		case conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationCanceled,
			conversation.ReservationRescinded, conversation.ReservationCompleted:
			s.freed[e.Agent] = true
			ended = true
		case conversation.ReservationAccepted, conversation.ReservationWrapping:
			ended = true
		}
	}
	if !ended || !s.declining {
		return nil
	}
	_, err := s.Exec(ctx, `DELETE FROM declines WHERE conversation = $1
		AND reservation NOT IN (SELECT sid FROM reservations WHERE conversation = $1 AND status = 'pending')
		AND reservation NOT IN (SELECT reservation FROM tasks WHERE conversation = $1 AND status = 'reserved')`, s.snapshot.Conversation)
	return err
}

func (s *syncing) countLoads(ctx context.Context) error {
	if len(s.touched) == 0 {
		return nil
	}
	if err := desk.LockRouting(ctx, s.Tx); err != nil {
		return err
	}
	for _, agent := range slices.Sorted(maps.Keys(s.touched)) {
		if err := CountLoad(ctx, s.Tx, agent, s.snapshot.Channel); err != nil {
			return err
		}
		presence, err := startIdle(ctx, s.Tx, agent, sqldb.Micros(s.now))
		if err != nil {
			return err
		}
		s.touched[agent] = presence
	}
	return nil
}

// sendsAway reports whether the event may make an agent unavailable: see timeoutActivity.
func sendsAway(e conversation.Event) bool {
	return e.Name == conversation.EventReservationTimeout && !e.Excused
}

// applyTimeouts makes agents unavailable who let an offer expire. It declines offers to agents who are no longer
// available or have no room any more.
func (s *syncing) applyTimeouts(ctx context.Context) error {
	for _, e := range s.news {
		switch {
		case e.Name == conversation.EventReservationCreated:
			task := s.taskInSnapshot(e.Task)
			if task == nil || !task.OfferedTo(e.Agent) || task.Reservation.SID != e.Reservation {
				continue
			}
			overdrawn, err := s.overdrawn(ctx, task)
			if err != nil {
				return err
			}
			if overdrawn || s.touched[e.Agent] != desk.PresenceAvailable {
				if err := declineForAbsent(ctx, s.Tx, s.snapshot.Conversation, e, sqldb.Micros(s.now)); err != nil {
					return err
				}
			}
		case sendsAway(e):
			settings, err := desk.ReadSettingsTx(ctx, s.Tx)
			if err != nil {
				return err
			}
			if settings.TimeoutActivity {
				if err := s.refuseBeside(ctx, e.Agent); err != nil {
					return err
				}
				if err := timeoutActivity(ctx, s.Tx, s.snapshot.Conversation, e, sqldb.Micros(s.now)); err != nil {
					return err
				}
				s.open = slices.DeleteFunc(s.open, func(p match) bool { return p.agent == e.Agent })
			}
		}
	}
	return nil
}

// refuseBeside returns errNotBeside when the agent, who is to become unavailable, has matches or offers in other
// conversations and the transaction is shared: other transactions may be changing those.
func (s *syncing) refuseBeside(ctx context.Context, agent string) error {
	if s.alone || !s.LocksRows() {
		return nil
	}
	_, elsewhere, err := sqldb.First(ctx, s.Tx, sqldb.Value[int],
		`SELECT 1 FROM placements WHERE agent = $1 AND conversation <> $2
			UNION ALL SELECT 1 FROM reservations WHERE agent = $1 AND status = 'pending' AND conversation <> $2 LIMIT 1`, agent, s.snapshot.Conversation)
	if err == nil && elsewhere {
		return errNotBeside
	}
	return err
}

// overdrawn reports whether an offer whose match the desk had released takes its agent above their capacity. The
// match was on its way when the agent became unavailable, and when the agent was available again, other tasks took
// its place.
func (s *syncing) overdrawn(ctx context.Context, task *conversation.Task) (bool, error) {
	if task.Direct || slices.Contains(s.confirmed, task.Reservation.SID) {
		return false, nil
	}
	_, overdrawn, err := sqldb.First(ctx, s.Tx, sqldb.Value[int],
		`SELECT 1 FROM agent_channels WHERE agent = $1 AND channel = $2 AND load > capacity`, task.Agent, string(s.snapshot.Channel))
	return overdrawn, err
}

// place matches the conversation's own waiting tasks, and other tasks for agents who have become free.
func (s *syncing) place(ctx context.Context) error {
	m := matching{Tx: s.Tx, now: s.now, own: s.snapshot.Conversation, room: matchedBySync}
	waits := func(task *conversation.Task) bool {
		return task.Status == conversation.TaskPending && !slices.ContainsFunc(s.open, func(p match) bool { return p.task == task.SID })
	}
	if len(s.freed) == 0 && !slices.ContainsFunc(s.snapshot.Tasks, waits) {
		return nil
	}
	if err := desk.LockRouting(ctx, s.Tx); err != nil {
		return err
	}
	for _, task := range s.snapshot.Tasks {
		switch {
		case !waits(task):
		case task.Direct:
			if err := m.matchDirect(ctx, task.Agent); err != nil {
				return err
			}
		default:
			m.addLine(task.Queue, s.snapshot.Channel)
		}
	}
	for _, agent := range slices.Sorted(maps.Keys(s.freed)) {
		queues, err := sqldb.All(ctx, s.Tx, sqldb.Value[string],
			`SELECT queue FROM queue_agents WHERE agent = $1 AND available = 1`, agent)
		if err != nil {
			return desk.Wrap("find the queues of "+agent, err)
		}
		for _, queue := range queues {
			m.addLine(queue, s.snapshot.Channel)
		}
	}
	if err := m.placeLines(ctx); err != nil {
		return err
	}
	for _, p := range m.made {
		if p.conversation == s.snapshot.Conversation {
			s.open = append(s.open, p)
		} else {
			s.WakeDelivery()
		}
	}
	if m.room == 0 {
		s.WakeMatching()
	}
	return nil
}
