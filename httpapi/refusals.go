package httpapi

import "github.com/baton-transfers/baton/conversation"

// noteRefusal has the desk note an accept that was refused for a wrapup: insights count them, and no
// history has them. The answer is the refusal, whether it could be noted or not.
func (c *call) noteRefusal(sid, agent string, refused error) {
	if conversation.CodeOf(refused) != conversation.CodeWrapupPending {
		return
	}
	if err := c.desk.NoteRefusal(c.ctx, sid, agent, conversation.CodeWrapupPending); err != nil {
		c.log.ErrorContext(c.ctx, "An accept that was refused for a wrapup is missing in the insights", "conversation", sid, "error", err)
	}
}
