package desk

import (
	"context"
	"slices"

	"github.com/baton-transfers/baton/conversation"
)

// boundThread takes out of a thread what is beyond the extent.
func (t *transaction) boundThread(ctx context.Context, thread *Thread, may extent) error {
	if may.Whole() {
		return nil
	}
	transfers := thread.Transfers
	thread.Tasks = may.tasks(thread.Tasks, transfers)
	thread.Transfers = may.Transfers(transfers)
	thread.Events = slices.DeleteFunc(thread.Events, func(e conversation.Event) bool { return !may.Event(e, transfers) })
	thread.Refused = slices.DeleteFunc(thread.Refused, func(r Refused) bool { return !may.Includes(r.At) && r.Agent != may.Agent })
	return t.bound(ctx, &thread.Conversation, may)
}

// bound takes out of a conversation what is beyond the extent.
func (t *transaction) bound(ctx context.Context, c *Conversation, may extent) error {
	if may.Whole() {
		return nil
	}
	transfers, err := all(ctx, t, scanTransfer, selectTransfers+` WHERE x.conversation = $1 AND x.from_agent = $2`, c.SID, may.Agent)
	if err != nil {
		return err
	}
	own := make([]conversation.Transfer, len(transfers))
	for i, x := range transfers {
		own[i] = x.Transfer
	}
	c.Live = may.tasks(c.Live, own)
	condition, args := may.chooses(2)
	c.Messages, _, err = first(ctx, t, value[int], `SELECT count(*) FROM messages WHERE conversation = $1 AND `+condition, append([]any{c.SID}, args...)...)
	return err
}

// tasks are those within the extent.
func (e extent) tasks(tasks []conversation.Task, transfers []conversation.Transfer) []conversation.Task {
	kept := make([]conversation.Task, 0, len(tasks))
	for _, task := range tasks {
		if shown, may := e.TaskOf(task, transfers); may {
			kept = append(kept, shown)
		}
	}
	return kept
}
