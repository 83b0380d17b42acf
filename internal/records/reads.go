package records

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Conversation is a conversation as the desk shows it.
type Conversation struct {
	SID      string                          `json:"conversation"`
	Status   conversation.ConversationStatus `json:"status"`
	Channel  conversation.Channel            `json:"channel"`
	Customer conversation.Customer           `json:"customer"`
	Revision int                             `json:"revision"`
	// Messages is the number of messages in its transcript.
	Messages int `json:"messages"`
	// Gone is set when the dispatcher found that the conversation's workflow no longer runs, though it is not
	// closed.
	Gone bool `json:"gone,omitempty"`
	// Live are its tasks that have not ended, oldest first.
	Live []conversation.Task `json:"live"`
	// LastAgent is the last agent who had the conversation, and LastQueue the queue of its last task. Both are
	// empty until it is closed.
	LastAgent string    `json:"last_agent,omitempty"`
	LastQueue string    `json:"last_queue,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ClosedAt  time.Time `json:"closed_at,omitzero"`
	// Turn is how much of the conversation the agent may read whose conversations were listed
	// ([ConversationListPage]). The other fields contain no more than that.
	Turn conversation.Turn `json:"-"`
}

// Filter selects conversations. Empty fields select all.
type Filter struct {
	Status conversation.ConversationStatus
	// Agent and Queue select conversations with a live task of that agent, and in that queue. With the status
	// closed they select conversations that the agent had, and that had a task in the queue.
	Agent, Queue string
	// WaitingLongest selects conversations with a task that no agent has accepted yet, oldest task first.
	WaitingLongest bool
}

// Task is a task and its conversation.
type Task struct {
	Conversation string               `json:"conversation"`
	Channel      conversation.Channel `json:"channel"`
	conversation.Task
}

// Reservation is a reservation and its task and conversation.
type Reservation struct {
	Conversation string `json:"conversation"`
	Task         string `json:"task"`
	conversation.Reservation
	// Reason is why it was declined or canceled. Excused is described at [conversation.Event]. It is set when the
	// desk declined for an agent who was not available.
	Reason    string    `json:"reason,omitempty"`
	Excused   bool      `json:"excused,omitempty"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Transfer is a transfer and its conversation.
type Transfer struct {
	Conversation string `json:"conversation"`
	conversation.Transfer
}

// FindConversation returns the conversation with that SID, or [ErrUnknownConversation].
func FindConversation(ctx context.Context, d *desk.Desk, sid string) (c Conversation, err error) {
	err = d.ReadTx(ctx, "read conversation "+sid, func(tx *desk.Tx) error {
		c, err = ReadConversation(ctx, tx, sid)
		return err
	})
	return c, err
}

// ListTasks returns the conversation's tasks, oldest first.
func ListTasks(ctx context.Context, d *desk.Desk, sid string) (tasks []Task, err error) {
	err = d.ReadTx(ctx, "read the tasks of conversation "+sid, func(tx *desk.Tx) error {
		tasks, err = sqldb.All(ctx, tx, ScanTask, SelectTasks+` WHERE t.conversation = $1 ORDER BY t.placement`, sid)
		return err
	})
	return tasks, err
}

// FindTask returns the task with that SID. It is refused with no_such_task when there is none.
func FindTask(ctx context.Context, d *desk.Desk, sid string) (task Task, err error) {
	err = d.QueryOne(ctx, "read task "+sid, func(tx *desk.Tx) error {
		task, err = desk.FindBySID(ctx, tx, conversation.CodeNoSuchTask, ScanTask, SelectTasks+` WHERE t.sid = $1`, sid)
		return err
	})
	return task, err
}

// ListReservations returns the conversation's reservations, oldest first.
func ListReservations(ctx context.Context, d *desk.Desk, sid string) (reservations []Reservation, err error) {
	err = d.ReadTx(ctx, "read the reservations of conversation "+sid, func(tx *desk.Tx) error {
		reservations, err = sqldb.All(ctx, tx, ScanReservation, SelectReservations+` WHERE conversation = $1 ORDER BY number`, sid)
		return err
	})
	return reservations, err
}

// FindReservation returns the reservation with that SID. It is refused with no_reservation when there is none.
func FindReservation(ctx context.Context, d *desk.Desk, sid string) (reservation Reservation, err error) {
	err = d.QueryOne(ctx, "read reservation "+sid, func(tx *desk.Tx) error {
		reservation, err = desk.FindBySID(ctx, tx, conversation.CodeNoReservation, ScanReservation, SelectReservations+` WHERE sid = $1`, sid)
		return err
	})
	return reservation, err
}

// ListTransfers returns the conversation's transfers with their last attempts, oldest first.
func ListTransfers(ctx context.Context, d *desk.Desk, sid string) (transfers []Transfer, err error) {
	err = d.ReadTx(ctx, "read the transfers of conversation "+sid, func(tx *desk.Tx) error {
		// Each transfer made a task, and the tasks are ordered by placement.
		if transfers, err = sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.conversation = $1 ORDER BY t.placement`, sid); err != nil {
			return err
		}
		attempts, err := lastAttempts(ctx, tx, sid, transfers...)
		for i, x := range transfers {
			last := attempts[x.SID]
			transfers[i].Attempt = conversation.Attempt{Agent: last.Agent, Reason: last.Reason, Words: last.Words, At: last.At}
		}
		return err
	})
	return transfers, err
}

// FindTransfer returns the transfer with that SID. It is refused with no_active_transfer when there is none.
func FindTransfer(ctx context.Context, d *desk.Desk, sid string) (transfer Transfer, err error) {
	err = d.ReadTx(ctx, "read transfer "+sid, func(tx *desk.Tx) error {
		transfer, err = desk.FindBySID(ctx, tx, conversation.CodeNoActiveTransfer, ScanTransfer, SelectTransfers+` WHERE x.sid = $1`, sid)
		return err
	})
	return transfer, err
}

// ListEvents returns the conversation's events in order.
func ListEvents(ctx context.Context, d *desk.Desk, sid string) (events []conversation.Event, err error) {
	err = d.ReadTx(ctx, "read the events of conversation "+sid, func(tx *desk.Tx) error {
		events, err = sqldb.All(ctx, tx, func(r sqldb.Row) (conversation.Event, error) {
			e, err := desk.ScanEvent(r)
			return e.Event, err
		}, `SELECT position, epoch, conversation, event FROM events WHERE conversation = $1 ORDER BY number`, sid)
		return err
	})
	return events, err
}

const selectConversations = `SELECT sid, status, channel, customer_name, customer_address, revision, messages, gone, created_at, closed_at
	FROM conversations`

func scanConversation(r sqldb.Row) (c Conversation, err error) {
	err = r.Scan(&c.SID, &c.Status, &c.Channel, sqldb.Opened(desk.CustomerName, &c.SID, &c.Customer.Name), sqldb.Opened(desk.CustomerAddress, &c.SID, &c.Customer.Address), &c.Revision, &c.Messages, &c.Gone,
		sqldb.Instant(&c.CreatedAt), sqldb.Instant(&c.ClosedAt))
	c.Live = []conversation.Task{}
	c.Customer = c.Customer.Clean() // a program that signals the workflow directly may send any name
	return c, err
}

// ReadConversation returns the conversation with its live tasks. Error: [ErrUnknownConversation].
func ReadConversation(ctx context.Context, tx *desk.Tx, sid string) (Conversation, error) {
	found, err := withLiveTasks(ctx, tx, selectConversations+` WHERE sid = $1`, sid)
	if err == nil && len(found) == 0 {
		return Conversation{}, ErrUnknownConversation
	}
	if err != nil {
		return Conversation{}, err
	}
	return found[0], nil
}

// withLiveTasks reads the conversations of the query with their live tasks.
func withLiveTasks(ctx context.Context, tx *desk.Tx, query string, args ...any) ([]Conversation, error) {
	found, err := sqldb.All(ctx, tx, scanConversation, query, args...)
	if err != nil {
		return nil, err
	}
	bySID := map[string]*Conversation{}
	for i := range found {
		bySID[found[i].SID] = &found[i]
	}
	err = sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		task, err := ScanTask(r)
		if c := bySID[task.Conversation]; c != nil {
			c.Live = append(c.Live, task.Task)
		}
		return err
	}, SelectTasks+` WHERE t.conversation IN (SELECT sid FROM (`+query+`) chosen)
		AND t.completed_at = 0 AND t.canceled_at = 0`, args...)
	if err != nil {
		return nil, err
	}
	return found, finishConversations(ctx, tx, slices.Collect(maps.Values(bySID))...)
}

// finishConversations orders the live tasks of the conversations, and sets LastAgent and LastQueue of closed ones.
func finishConversations(ctx context.Context, tx *desk.Tx, conversations ...*Conversation) error {
	closed := map[string]*Conversation{}
	for _, c := range conversations {
		slices.SortFunc(c.Live, func(a, b conversation.Task) int { return cmp.Compare(a.PendingSeq, b.PendingSeq) })
		if c.Status == conversation.ConversationClosed {
			closed[c.SID] = c
		}
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(closed)), sqldb.Batch) {
		places, args := sqldb.BatchArguments(some)
		// Ordered by placement: the agent of a later task replaces the agent of an earlier one.
		if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			var sid, agent, queue string
			var assigned int64
			if err := r.Scan(&sid, &agent, &queue, &assigned); err != nil {
				return err
			}
			c := closed[sid]
			c.LastQueue = queue
			if assigned > 0 {
				c.LastAgent = agent
			}
			return nil
		}, `SELECT conversation, agent, queue, assigned_at FROM tasks WHERE conversation IN (`+places+`) ORDER BY placement`, args...); err != nil {
			return err
		}
	}
	return nil
}

// SelectTasks reads the columns of [ScanTask].
const SelectTasks = `SELECT t.sid, t.conversation, t.channel, t.status, t.queue, t.agent, t.direct, t.previous, t.transfer, t.priority, t.head,
		t.placement, t.attributes, t.disposition, t.wrapup_note, t.canceled_reason, t.created_at, t.queued_at, t.timeout_at,
		t.assigned_at, t.wrapping_at, t.completed_at, t.canceled_at, t.wrapup_timeout_at,
		coalesce(r.sid, ''), coalesce(r.agent, ''), coalesce(r.status, ''), coalesce(r.created_at, 0), coalesce(r.expires_at, 0)
	FROM tasks t LEFT JOIN reservations r ON r.sid = t.reservation AND r.conversation = t.conversation`

// ScanTask reads a row of [SelectTasks].
func ScanTask(r sqldb.Row) (task Task, err error) {
	var attributes string
	var offer conversation.Reservation
	err = r.Scan(&task.SID, &task.Conversation, &task.Channel, &task.Status, &task.Queue, &task.Agent, &task.Direct, &task.Previous,
		&task.Transfer, &task.Priority, &task.Head, &task.PendingSeq, sqldb.Opened(desk.TaskAttributes, &task.SID, &attributes),
		sqldb.Opened(desk.TaskDisposition, &task.SID, &task.Disposition), sqldb.Opened(desk.TaskWrapupNote, &task.SID, &task.WrapupNote),
		&task.CanceledReason, sqldb.Instant(&task.CreatedAt), sqldb.Instant(&task.QueuedAt), sqldb.Instant(&task.TimeoutAt), sqldb.Instant(&task.AssignedAt),
		sqldb.Instant(&task.WrappingAt), sqldb.Instant(&task.CompletedAt), sqldb.Instant(&task.CanceledAt), sqldb.Instant(&task.WrapupTimeoutAt),
		&offer.SID, &offer.Agent, &offer.Status, sqldb.Instant(&offer.CreatedAt), sqldb.Instant(&offer.ExpiresAt))
	if err != nil {
		return task, err
	}
	if offer.SID != "" {
		task.Reservation = &offer
	}
	if attributes != "" {
		if err := json.Unmarshal([]byte(attributes), &task.Attributes); err != nil {
			return task, desk.Wrap("decode the attributes of task "+task.SID, err)
		}
	}
	return task, nil
}

// SelectReservations is the SELECT of reservations, for [ScanReservation].
const SelectReservations = `SELECT sid, conversation, task, agent, status, reason, excused, created_at, expires_at, updated_at FROM reservations`

// ScanReservation reads a row of [SelectReservations].
func ScanReservation(r sqldb.Row) (v Reservation, err error) {
	err = r.Scan(&v.SID, &v.Conversation, &v.Task, &v.Agent, &v.Status, sqldb.Opened(desk.ReservationReason, &v.SID, &v.Reason), &v.Excused,
		sqldb.Instant(&v.CreatedAt), sqldb.Instant(&v.ExpiresAt), sqldb.Instant(&v.UpdatedAt))
	return v, err
}

// SelectTransfers is the SELECT of transfers, for [ScanTransfer].
const SelectTransfers = `SELECT x.sid, x.conversation, x.mode, x.status, x.from_agent, x.from_task, x.to_agent, x.to_queue, x.task, x.note,
		x.accepted_by, x.failure_reason, x.created_at, x.ended_at
	FROM transfers x JOIN tasks t ON t.sid = x.task`

// ScanTransfer reads a row of [SelectTransfers].
func ScanTransfer(r sqldb.Row) (x Transfer, err error) {
	err = r.Scan(&x.SID, &x.Conversation, &x.Mode, &x.Status, &x.From, &x.FromTask, &x.To.Agent, &x.To.Queue, &x.Task, &x.Note,
		&x.AcceptedBy, &x.FailureReason, sqldb.Instant(&x.CreatedAt), sqldb.Instant(&x.EndedAt))
	return x, err
}

// ConversationsPerQuery is how many conversations one query reads.
const ConversationsPerQuery = 200

// ReadSpoken returns for each of the conversations a number that rises with every message that is written, changed or
// removed.
func ReadSpoken(ctx context.Context, d *desk.Desk, sids []string) (spoken map[string]int, err error) {
	spoken = make(map[string]int, len(sids))
	err = d.ReadTx(ctx, "read who has written", func(tx *desk.Tx) error {
		for len(sids) > 0 {
			part := sids[:min(len(sids), ConversationsPerQuery)]
			sids = sids[len(part):]
			places, args := make([]string, len(part)), make([]any, len(part))
			for i, sid := range part {
				places[i], args[i] = fmt.Sprintf("$%d", i+1), sid
			}
			if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
				var sid string
				var count int
				err := r.Scan(&sid, &count)
				spoken[sid] = count
				return err
			}, `SELECT sid, messages + edits FROM conversations WHERE sid IN (`+strings.Join(places, ", ")+`)`, args...); err != nil {
				return err
			}
		}
		return nil
	})
	return spoken, err
}
