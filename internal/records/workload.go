package records

import (
	"cmp"
	"context"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Work is one of an agent's tasks, with a summary of its conversation.
type Work struct {
	Conversation Conversation
	Task         conversation.Task
	// Queue is the friendly name of the task's queue.
	Queue string
	// Transfer is the transfer by which the agent has passed the conversation on and that no agent has accepted
	// yet, or nil.
	Transfer *conversation.Transfer
	// Unread is how many messages of others arrived since the agent last looked ([MarkRead]).
	Unread int
	// Last is the newest message, or nil.
	Last *Message
}

// ReadWorkload returns the agent's offers, assigned tasks and wrapping tasks: first the offers, the first to expire
// first, then the assigned tasks, then the wrapping ones, oldest first. It is refused with unknown_agent.
func ReadWorkload(ctx context.Context, d *desk.Desk, agent string) (found []Work, err error) {
	err = d.ReadTx(ctx, "read the workload of "+agent, func(tx *desk.Tx) error {
		found, err = readWorkload(ctx, tx, agent)
		return err
	})
	return found, err
}

func readWorkload(ctx context.Context, tx *desk.Tx, agent string) ([]Work, error) {
	if err := desk.RequireAgent(ctx, tx, agent); err != nil {
		return nil, err
	}
	tasks, err := sqldb.All(ctx, tx, ScanTask, SelectTasks+`
		WHERE t.agent = $1 AND t.completed_at = 0 AND t.canceled_at = 0 AND t.status IN ('reserved', 'assigned', 'wrapping')`, agent)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(tasks, inTurn)
	found := make([]Work, len(tasks))
	for i, task := range tasks {
		w := &found[i]
		w.Task = task.Task
		queue, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT friendly_name FROM queues WHERE name = $1`, task.Queue)
		if err != nil {
			return nil, err
		}
		w.Queue = cmp.Or(queue, task.Queue)
		if w.Conversation, err = ReadConversation(ctx, tx, task.Conversation); err != nil {
			return nil, err
		}
		may := Extent{}
		// This turn has ended. Supervisors, too, are alerted to messages of their own turns only.
		if task.Status == conversation.TaskWrapping {
			if may, err = turnExtent(ctx, tx, agent, task.Conversation); err != nil {
				return nil, err
			}
			if err := boundConversation(ctx, tx, &w.Conversation, may); err != nil {
				return nil, err
			}
		}
		if w.Unread, err = countUnread(ctx, tx, task.Conversation, agent, may); err != nil {
			return nil, err
		}
		condition, args := may.chooses(2)
		last, some, err := sqldb.First(ctx, tx, scanMessage, selectMessages+` WHERE conversation = $1 AND `+condition+` ORDER BY number DESC LIMIT 1`,
			append([]any{task.Conversation}, args...)...)
		if err != nil {
			return nil, err
		}
		if some {
			w.Last = &last
		}
		transfer, active, err := sqldb.First(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.conversation = $1 AND x.status = 'active' AND x.from_task = $2`,
			task.Conversation, task.SID)
		if err != nil {
			return nil, err
		}
		if active {
			w.Transfer = &transfer.Transfer
		}
	}
	return found, nil
}

// inTurn orders tasks by what their agent has to do first.
func inTurn(a, b Task) int {
	rank := map[conversation.TaskStatus]int{conversation.TaskReserved: 0, conversation.TaskAssigned: 1, conversation.TaskWrapping: 2}
	if byStatus := cmp.Compare(rank[a.Status], rank[b.Status]); byStatus != 0 {
		return byStatus
	}
	if a.Status == conversation.TaskReserved && a.Reservation != nil && b.Reservation != nil {
		return cmp.Or(a.Reservation.ExpiresAt.Compare(b.Reservation.ExpiresAt), cmp.Compare(a.SID, b.SID))
	}
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.SID, b.SID))
}

func countUnread(ctx context.Context, tx *desk.Tx, sid, agent string, may Extent) (int, error) {
	condition, args := may.chooses(3)
	count, _, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT count(*) FROM messages WHERE conversation = $1 AND author <> $2 AND number >
		coalesce((SELECT messages FROM read_marks WHERE conversation = $1 AND agent = $2), 0) AND `+condition, append([]any{sid, agent}, args...)...)
	return count, err
}

// MarkRead records that the agent has seen the first messages of the conversation, up to that number. The number
// never falls.
func MarkRead(ctx context.Context, d *desk.Desk, sid, agent string, messages int) error {
	return d.SharedTx(ctx, "note what "+agent+" has read", func(tx *desk.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO read_marks (conversation, agent, messages) VALUES ($1, $2, $3)
			ON CONFLICT (conversation, agent) DO UPDATE SET messages = excluded.messages WHERE excluded.messages > read_marks.messages`,
			sid, agent, messages)
		return err
	})
}

// PassedOn is a conversation that an agent has transferred and wrapped up, and that no agent has accepted yet. It
// contains the conversation as it was at the end of their turn.
type PassedOn struct {
	Conversation Conversation
	Transfer     conversation.Transfer
}

// ListPassedOn returns the conversations that the agent has passed on, has wrapped up, and can still take back. Those
// that they still wrap up are in their workload.
func ListPassedOn(ctx context.Context, d *desk.Desk, agent string) (found []PassedOn, err error) {
	err = d.ReadTx(ctx, "read what "+agent+" has passed on", func(tx *desk.Tx) error {
		transfers, err := sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.from_agent = $1 AND x.status = 'active'
			AND EXISTS (SELECT 1 FROM tasks f WHERE f.sid = x.from_task AND f.completed_at > 0)`, agent)
		if err != nil {
			return err
		}
		found = make([]PassedOn, len(transfers))
		for i, x := range transfers {
			found[i].Transfer = x.Transfer
			if found[i].Conversation, err = ReadConversation(ctx, tx, x.Conversation); err != nil {
				return err
			}
			if err := boundSent(ctx, tx, &found[i].Conversation, x.Transfer); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}
