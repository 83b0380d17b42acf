package records

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// boundThread removes from a thread what is outside the extent.
func boundThread(ctx context.Context, tx *desk.Tx, thread *Thread, may Extent) error {
	if may.Whole() {
		return nil
	}
	transfers := thread.Transfers
	thread.Tasks = may.tasks(thread.Tasks, transfers)
	thread.Transfers = may.Transfers(transfers)
	thread.Events = slices.DeleteFunc(thread.Events, func(e conversation.Event) bool { return !may.Event(e, transfers) })
	thread.Refused = slices.DeleteFunc(thread.Refused, func(r Refused) bool { return !may.Includes(r.At) && r.Agent != may.Agent })
	return boundConversation(ctx, tx, &thread.Conversation, may)
}

// boundConversation removes from a conversation what is outside the extent.
func boundConversation(ctx context.Context, tx *desk.Tx, c *Conversation, may Extent) error {
	if may.Whole() {
		return nil
	}
	transfers, err := sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.conversation = $1 AND x.from_agent = $2`, c.SID, may.Agent)
	if err != nil {
		return err
	}
	own := make([]conversation.Transfer, len(transfers))
	for i, x := range transfers {
		own[i] = x.Transfer
	}
	tasks, err := sqldb.All(ctx, tx, ScanTask, SelectTasks+` WHERE t.conversation = $1 ORDER BY t.placement`, c.SID)
	if err != nil {
		return err
	}
	every := make([]conversation.Task, len(tasks))
	for i, task := range tasks {
		every[i] = task.Task
	}
	shown := may.tasks(every, own)
	c.Status = may.Status(c.Status, references(shown))
	c.Live = slices.DeleteFunc(shown, func(task conversation.Task) bool { return !task.Status.Live() })
	if c.Status != conversation.ConversationClosed {
		c.ClosedAt, c.LastAgent, c.LastQueue = time.Time{}, "", ""
	}
	condition, args := may.chooses(2)
	c.Messages, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT count(*) FROM messages WHERE conversation = $1 AND `+condition, append([]any{c.SID}, args...)...)
	return err
}

// references yields pointers to the elements, in order.
func references[T any](elements []T) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for i := range elements {
			if !yield(&elements[i]) {
				return
			}
		}
	}
}

// turnAt returns the turn of an agent that ended at that time, with the task that they had.
func turnAt(ctx context.Context, tx *desk.Tx, agent, task string, until time.Time) (Extent, error) {
	return extentOf(ctx, tx, conversation.Turn{Agent: agent, Until: until, Task: task})
}

// boundSent removes from a conversation what an agent who transferred it may not read: what came after their turn,
// except the outcome of the transfer. The turn is that of the tasks that they have in it now, or else the one that
// ended with the transfer.
func boundSent(ctx context.Context, tx *desk.Tx, c *Conversation, x conversation.Transfer) error {
	may, err := turnExtent(ctx, tx, x.From, c.SID)
	if conversation.CodeOf(err) == conversation.CodeNotYourTask {
		may, err = turnAt(ctx, tx, x.From, x.FromTask, x.CreatedAt)
	}
	if err != nil {
		return err
	}
	return boundConversation(ctx, tx, c, may)
}

// tasks returns the tasks within the extent.
func (e Extent) tasks(tasks []conversation.Task, transfers []conversation.Transfer) []conversation.Task {
	kept := make([]conversation.Task, 0, len(tasks))
	for _, task := range tasks {
		if shown, may := e.TaskOf(task, transfers); may {
			kept = append(kept, shown)
		}
	}
	return kept
}

// WithinTurn returns the refusal of an agent's command, limited to what they may learn of it
// ([conversation.Turn.Refusal]).
func WithinTurn(ctx context.Context, d *desk.Desk, agent, sid string, command conversation.Command, refused error) error {
	if conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	told := refused
	err := d.ReadTx(ctx, "read what "+agent+" may learn of "+sid, func(tx *desk.Tx) error {
		role, _, err := sqldb.First(ctx, tx, sqldb.Value[desk.Role], `SELECT role FROM agents WHERE name = $1`, agent)
		if err != nil || role.MayReadAll() {
			return err
		}
		c, err := ReadConversation(ctx, tx, sid)
		if err != nil {
			return err
		}
		state := conversation.State{Conversation: sid, Status: c.Status, Channel: c.Channel}
		tasks, err := sqldb.All(ctx, tx, ScanTask, SelectTasks+` WHERE t.conversation = $1 ORDER BY t.placement`, sid)
		if err != nil {
			return err
		}
		for _, task := range tasks {
			state.Tasks = append(state.Tasks, &task.Task)
		}
		transfers, err := sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.conversation = $1 ORDER BY t.placement`, sid)
		if err != nil {
			return err
		}
		for _, x := range transfers {
			state.Transfers = append(state.Transfers, &x.Transfer)
		}
		told = conversation.LastTurn(agent, slices.Values(state.Tasks)).Refusal(command, state, refused)
		return nil
	})
	if errors.Is(err, ErrUnknownConversation) {
		return refused
	}
	if err != nil {
		return err
	}
	return told
}
