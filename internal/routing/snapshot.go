package routing

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// syncing is a snapshot that is being applied.
type syncing struct {
	snapshot conversation.Snapshot
	now      time.Time
	// held is set when the transaction has locked the conversation. Without it the snapshot is not applied.
	held   bool
	answer conversation.Acknowledgement
	// news are the events that the desk does not have yet. before is the number of the last event that it has, and
	// lost the number of events missing between them.
	news         []conversation.Event
	before, lost int
	// last is the number of the last event that the desk has when the snapshot is applied.
	last int
	// open are the conversation's matches that are not confirmed yet. released are the tasks of those that the
	// snapshot no longer waits for, and confirmed the reservations of those that it confirms.
	open                []match
	released, confirmed []string
	// touched are the agents whose tasks have changed. freed are the agents who may have room now.
	touched, freed map[string]bool
	// decline are events of offers that their agents cannot take.
	decline []conversation.Event
	// foreign are SIDs in the snapshot that already belong to rows of another conversation, or of another task.
	foreign []string
	// unwritten are the SIDs of rows that are to be written.
	unwritten map[string]bool
	// stored is what the desk has of the conversation before the snapshot.
	stored stored
	// declines are the reservations that the desk had declined and not delivered before the snapshot.
	declines []string
}

// stored is what the desk has of a conversation.
type stored struct {
	found                      bool
	revision, events, messages int
	// sent are the events that the desk has under the numbers of the snapshot's events.
	sent []storedEvent
}

type storedEvent struct {
	number int
	name   conversation.EventName
	at     int64
}

// origin is the queue of the task that a transfer came from, and the agent who had transferred that task.
type origin struct{ queue, agent string }

// begin compares the snapshot with what the desk has, and reports whether it is to be applied. If not, it sets the
// answer.
func (s *syncing) begin() bool {
	if s.stored.found {
		known, overlap := s.known()
		switch {
		case known < overlap: // the desk has other events under these numbers
			s.behind(max(s.stored.revision, s.snapshot.Revision+1), known)
			return false
		case s.snapshot.Revision < s.stored.revision:
			s.behind(s.stored.revision, known)
			return false
		}
	}
	s.before, s.news = s.stored.events, eventsAfter(s.stored.events, s.snapshot.Events)
	if len(s.news) > 0 {
		s.lost = s.news[0].Number - s.before - 1
	} else if s.snapshot.Whole {
		s.lost = max(0, s.snapshot.LastEvent-s.before)
	}
	s.last = s.before + s.lost + len(s.news)
	s.releaseStale()
	return true
}

// behind sets the answer to a snapshot of which the desk applies nothing.
func (s *syncing) behind(revision, known int) {
	s.answer = s.acknowledge(revision, s.stored.events)
	s.answer.Known = known
}

func (s *syncing) acknowledge(revision, events int) conversation.Acknowledgement {
	answer := conversation.Acknowledgement{Revision: revision, Events: events}
	for _, p := range s.open {
		answer.Matches = append(answer.Matches, p.command())
	}
	return answer
}

// known returns how many of the snapshot's events have numbers under which the desk has events (overlap), and how
// many of the first of those are equal (known). A snapshot that arrives twice has equal events. Events that differ
// are from different histories: the conversation went back in time and has reached the same numbers again.
func (s *syncing) known() (known, overlap int) {
	sent, stored := s.snapshot.Events, s.stored.sent
	slices.SortFunc(stored, func(a, b storedEvent) int { return cmp.Compare(a.number, b.number) })
	for overlap < len(sent) && sent[overlap].Number <= s.stored.events {
		overlap++
	}
	if len(stored) == 0 { // the desk has lost the events and knows only their numbers
		return overlap, overlap
	}
	for known < overlap && known < len(stored) && stored[known] == (storedEvent{sent[known].Number, sent[known].Name, sqldb.Micros(sent[known].At)}) {
		known++
	}
	return known, overlap
}

// eventsAfter returns the events with a number above last.
func eventsAfter(last int, events []conversation.Event) []conversation.Event {
	first := slices.IndexFunc(events, func(e conversation.Event) bool { return e.Number > last })
	if first < 0 {
		return nil
	}
	return events[first:]
}

// releaseStale releases the matches that the snapshot no longer waits for: they were confirmed, or the task has
// become pending anew, was given to another agent or has ended.
func (s *syncing) releaseStale() {
	var still []match
	for _, p := range s.open {
		task := s.taskInSnapshot(p.task)
		if task != nil && task.Status == conversation.TaskPending && task.PendingSeq == p.number {
			still = append(still, p)
			continue
		}
		s.released = append(s.released, p.task)
		if task == nil || task.Reservation == nil || task.Reservation.SID != p.reservation {
			s.freed[p.agent] = true
		} else {
			s.confirmed = append(s.confirmed, p.reservation)
		}
		s.touched[p.agent] = true
	}
	s.open = still
}

func (s *syncing) taskInSnapshot(sid string) *conversation.Task {
	for _, task := range s.snapshot.Tasks {
		if task.SID == sid {
			return task
		}
	}
	return nil
}

// matched reports whether the task is matched, and the match not confirmed yet.
func (s *syncing) matched(task *conversation.Task) bool {
	return slices.ContainsFunc(s.open, func(p match) bool { return p.task == task.SID })
}

// waits reports whether the task waits to be matched.
func (s *syncing) waits(task *conversation.Task) bool {
	return task.Status == conversation.TaskPending && !s.matched(task)
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

// endOthers is described at [batch.endOthers].
func (s *syncing) endOthers(ctx context.Context, tx *desk.Tx) error {
	for _, task := range s.snapshot.Tasks {
		v := task.Reservation
		if v == nil {
			continue
		}
		changed, err := tx.Exec(ctx, `INSERT INTO reservations (sid, task, conversation, agent, status, number, excused, reason,
				created_at, expires_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, 0, '', $7, $8, $9)
			ON CONFLICT (sid) DO UPDATE SET status = excluded.status, expires_at = excluded.expires_at,
				updated_at = CASE WHEN reservations.status = excluded.status THEN reservations.updated_at ELSE excluded.updated_at END
				WHERE reservations.conversation = excluded.conversation AND reservations.task = excluded.task`,
			v.SID, task.SID, s.snapshot.Conversation, v.Agent, string(v.Status), s.last, sqldb.Micros(v.CreatedAt), sqldb.Micros(v.ExpiresAt), sqldb.Micros(s.now))
		if err != nil {
			return desk.Wrap("save reservation "+v.SID, err)
		}
		if changed == 0 {
			s.foreign = append(s.foreign, v.SID)
		}
		s.touched[v.Agent], s.freed[v.Agent] = true, true
	}
	e := ending{Tx: tx, conversation: s.snapshot.Conversation, reason: conversation.ReasonReset, now: s.now, number: s.last}
	if err := e.end(ctx, s.snapshot); err != nil {
		return err
	}
	s.last = e.number
	if _, err := tx.Exec(ctx, `DELETE FROM declines WHERE conversation = $1
		AND reservation NOT IN (SELECT sid FROM reservations WHERE conversation = $1 AND status = 'pending')`, s.snapshot.Conversation); err != nil {
		return desk.Wrap("drop declines", err)
	}
	for _, agent := range e.agents {
		s.touched[agent], s.freed[agent] = true, true
	}
	return nil
}

// sent notes that a row is to be written. If no statement reports it, the row belongs to another conversation.
func (s *syncing) sent(sid string) {
	if s.unwritten == nil {
		s.unwritten = map[string]bool{}
	}
	s.unwritten[sid] = true
}

// refuseForeign records the SIDs of rows that belong to others. No page could show an offer among them: its task must
// be matched anew.
func (s *syncing) refuseForeign() {
	s.foreign = slices.Sorted(maps.Keys(s.unwritten))
	for _, e := range s.news {
		if e.Name == conversation.EventReservationCreated && s.unwritten[e.Reservation] {
			s.decline = append(s.decline, e)
		}
	}
}

// reservationChanges returns what the new events make of each reservation, in the order of their first events. It
// records the agents whose tasks change.
func (s *syncing) reservationChanges() []*reservationChange {
	var changes []*reservationChange
	of := map[string]*reservationChange{}
	for _, e := range s.news {
		if e.Reservation == "" {
			continue
		}
		c := of[e.Reservation]
		if c == nil {
			c = &reservationChange{first: e}
			of[e.Reservation] = c
			changes = append(changes, c)
		}
		c.last, c.reason = e, e.Reason
		if e.Name == conversation.EventTaskUpdated {
			c.reason = "" // this is why the task became pending again, not why the agent's offer ended
		}
		// A decline sent by an earlier version of the desk is recognized by its reason alone.
		byDesk := desk.CauseOf(e) == conversation.CauseUnavailable || e.Reason == desk.ReasonAgentUnavailable
		c.excused = e.Excused || byDesk && slices.Contains(s.declines, e.Reservation)
		s.touched[e.Agent] = true
		switch e.ReservationStatus {
		case conversation.ReservationPending, conversation.ReservationAccepted, conversation.ReservationWrapping:
		case conversation.ReservationRejected, conversation.ReservationTimeout, conversation.ReservationCanceled,
			conversation.ReservationRescinded, conversation.ReservationCompleted:
			s.freed[e.Agent] = true
		}
	}
	return changes
}

// offerEnded reports whether an offer has been answered or has ended with the new events.
func (s *syncing) offerEnded() bool {
	return slices.ContainsFunc(s.news, func(e conversation.Event) bool {
		return e.Reservation != "" && e.ReservationStatus != conversation.ReservationPending
	})
}
