package desk

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
)

// NoteRefusal notes that the agent was refused something in the conversation: a refusal changes nothing,
// so it is in no history, and who answers the agent notes it, each time. Insights count wrapup_pending.
// [ErrUnknownConversation] where the desk doesn't know the conversation.
func (d *Desk) NoteRefusal(ctx context.Context, sid, agent string, code conversation.Code) error {
	return d.writeBeside(ctx, "note a refusal in conversation "+sid, func(t *transaction) error {
		noted, err := t.exec(ctx, `INSERT INTO refusals (conversation, agent, code, channel, queue, at)
			SELECT c.sid, $2, $3, c.channel, coalesce((SELECT t.queue FROM tasks t WHERE t.conversation = c.sid ORDER BY t.placement DESC LIMIT 1), ''), $4
			FROM conversations c WHERE c.sid = $1`, sid, agent, string(code), micros(d.now()))
		if err == nil && noted == 0 {
			return ErrUnknownConversation
		}
		return err
	})
}
