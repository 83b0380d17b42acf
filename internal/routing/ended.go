package routing

import (
	"context"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// ending ends the tasks, offers and transfers that are live at the desk but not in the conversation. Its
// transaction holds the conversation.
type ending struct {
	*desk.Tx
	conversation string
	reason       conversation.Reason
	now          time.Time
	// number is the number of the conversation's last event at the desk.
	number int
	// agents are those that had an offer, a task or a match.
	agents []string
}

// end ends everything that is not in the snapshot.
func (e *ending) end(ctx context.Context, p conversation.Snapshot) error {
	tasks, err := sqldb.All(ctx, e.Tx, records.ScanTask, records.SelectTasks+`
		WHERE t.conversation = $1 AND t.completed_at = 0 AND t.canceled_at = 0 ORDER BY t.placement`, e.conversation)
	if err != nil {
		return desk.Wrap("read its live tasks", err)
	}
	statuses := map[string]conversation.TaskStatus{}
	for _, t := range p.Tasks {
		statuses[t.SID] = t.Status
	}
	tasks = slices.DeleteFunc(tasks, func(t records.Task) bool { return statuses[t.SID] != "" })
	for i := range tasks {
		tasks[i].Status = conversation.TaskCanceled
		statuses[tasks[i].SID] = conversation.TaskCanceled
	}
	if err := e.endReservations(ctx, p, statuses); err != nil {
		return err
	}
	for _, task := range tasks {
		if err := e.endTask(ctx, task); err != nil {
			return desk.Wrap("end task "+task.SID, err)
		}
	}
	if err := e.endTransfers(ctx, p, statuses); err != nil {
		return err
	}
	_, err = e.Exec(ctx, `UPDATE conversations SET events = $2 WHERE sid = $1`, e.conversation, e.number)
	return err
}

// tell appends an event of the conversation to the event log.
func (e *ending) tell(event conversation.Event) {
	e.number++
	event.Number, event.At, event.Reason = e.number, e.now, string(e.reason)
	e.Append(e.conversation, event)
}

func (e *ending) endReservations(ctx context.Context, p conversation.Snapshot, statuses map[string]conversation.TaskStatus) error {
	live, err := sqldb.All(ctx, e.Tx, records.ScanReservation, records.SelectReservations+`
		WHERE conversation = $1 AND status IN ('pending', 'accepted', 'wrapping') ORDER BY number`, e.conversation)
	if err != nil {
		return desk.Wrap("read its reservations", err)
	}
	kept := func(v records.Reservation) bool {
		return slices.ContainsFunc(p.Tasks, func(t *conversation.Task) bool { return t.Reservation != nil && t.Reservation.SID == v.SID })
	}
	for _, v := range live {
		if kept(v) {
			continue
		}
		if _, err := e.Exec(ctx, `UPDATE reservations SET status = $2, reason = $3, updated_at = $4 WHERE sid = $1`, v.SID,
			string(conversation.ReservationCanceled), e.Sealed(desk.ReservationReason, v.SID, string(e.reason)), sqldb.Micros(e.now)); err != nil {
			return desk.Wrap("end reservation "+v.SID, err)
		}
		if _, err := e.Exec(ctx, `DELETE FROM declines WHERE reservation = $1`, v.SID); err != nil {
			return err
		}
		e.agents = append(e.agents, v.Agent)
		e.tell(conversation.Event{
			Name: conversation.EventReservationCanceled, Task: v.Task, TaskStatus: statuses[v.Task], Agent: v.Agent,
			Reservation: v.SID, ReservationStatus: conversation.ReservationCanceled, ExpiresAt: v.ExpiresAt,
		})
	}
	return nil
}

func (e *ending) endTask(ctx context.Context, task records.Task) error {
	if _, err := e.Exec(ctx, `UPDATE tasks SET status = $2, canceled_reason = $3, canceled_at = $4, waiting = 0 WHERE sid = $1`,
		task.SID, string(task.Status), string(e.reason), sqldb.Micros(e.now)); err != nil {
		return err
	}
	matched, err := sqldb.All(ctx, e.Tx, sqldb.Value[string], `DELETE FROM placements WHERE task = $1 RETURNING agent`, task.SID)
	if err != nil {
		return err
	}
	e.agents = append(e.agents, matched...)
	if task.Agent != "" {
		e.agents = append(e.agents, task.Agent)
	}
	e.tell(conversation.Event{
		Name: conversation.EventTaskCanceled, Task: task.SID, TaskStatus: task.Status, Queue: task.Queue, Priority: task.Priority,
		Agent: task.Agent, Transfer: task.Transfer,
	})
	return nil
}

func (e *ending) endTransfers(ctx context.Context, p conversation.Snapshot, statuses map[string]conversation.TaskStatus) error {
	active, err := sqldb.All(ctx, e.Tx, records.ScanTransfer, records.SelectTransfers+` WHERE x.conversation = $1 AND x.status = 'active'`, e.conversation)
	if err != nil {
		return desk.Wrap("read its transfers", err)
	}
	for _, x := range active {
		if slices.ContainsFunc(p.Transfers, func(own *conversation.Transfer) bool { return own.SID == x.SID }) {
			continue
		}
		if _, err := e.Exec(ctx, `UPDATE transfers SET status = $2, failure_reason = $3, ended_at = $4 WHERE sid = $1`, x.SID,
			string(conversation.TransferFailed), string(e.reason), sqldb.Micros(e.now)); err != nil {
			return desk.Wrap("end transfer "+x.SID, err)
		}
		e.tell(conversation.Event{
			Name: conversation.EventTransferFailed, Task: x.Task, TaskStatus: statuses[x.Task], Transfer: x.SID, To: x.To,
		})
	}
	return nil
}

// Release ends a conversation whose workflow no longer runs but has not reported its end: it was terminated, it
// failed, or Temporal's database was restored to a time before it. Release cancels its tasks, frees their agents
// and appends the events. It returns false if the conversation is closed or unknown, or if its revision or chain
// differs from seen, because another workflow has begun. A snapshot from a workflow that does run reopens the
// conversation.
func Release(ctx context.Context, d *desk.Desk, sid string, seen Shown) (released bool, err error) {
	err = d.SharedTx(ctx, "release conversation "+sid, func(tx *desk.Tx) error {
		released = false
		if err := desk.LockConversation(ctx, tx, sid); err != nil {
			return err
		}
		type found struct {
			channel          conversation.Channel
			status           conversation.ConversationStatus
			events, revision int
			chain            string
		}
		c, known, err := sqldb.First(ctx, tx, func(r sqldb.Row) (c found, err error) {
			err = r.Scan(&c.channel, &c.status, &c.events, &c.revision, &c.chain)
			return c, err
		}, `SELECT channel, status, events, revision, chain FROM conversations WHERE sid = $1 AND revision > 0`, sid) // a draft has no workflow
		if err != nil || !known || c.revision != seen.Revision || c.chain != seen.Chain {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM declines WHERE conversation = $1`, sid); err != nil {
			return err
		}
		if c.status == conversation.ConversationClosed {
			return nil
		}
		released = true
		if err := desk.LockRouting(ctx, tx); err != nil {
			return err
		}
		e := ending{Tx: tx, conversation: sid, reason: conversation.ReasonWorkflowEnded, now: d.Now(), number: c.events}
		if err := e.end(ctx, conversation.Snapshot{}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE conversations SET status = 'closed', closed_at = $2, gone = 1, revision = revision + 1 WHERE sid = $1`,
			sid, sqldb.Micros(e.now)); err != nil {
			return err
		}
		slices.Sort(e.agents)
		for _, agent := range slices.Compact(e.agents) {
			if err := CountLoad(ctx, tx, agent, c.channel); err != nil {
				return err
			}
			if err := startIdle(ctx, tx, agent, sqldb.Micros(e.now)); err != nil {
				return err
			}
		}
		tx.WakeMatching()
		return nil
	})
	if err != nil || !released {
		return false, err
	}
	d.Log().ErrorContext(ctx, "workflow ended without closing the conversation, closed at the desk",
		"conversation", sid)
	d.Changed(sid)
	return true, nil
}

// lose releases a conversation for which the courier has found no workflow.
func lose(ctx context.Context, d *desk.Desk, sid string) error {
	seen, err := ReadShown(ctx, d, sid)
	if err == nil {
		_, err = Release(ctx, d, sid, seen)
	}
	return err
}
