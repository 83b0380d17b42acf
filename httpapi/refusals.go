package httpapi

import "github.com/baton-transfers/baton/conversation"

// noteRefused has the desk note a command that was refused, if insights count it. The answer is the refusal, whether
// it could be noted or not.
func (c *call) noteRefused(sid string, command conversation.Command, refused error) {
	if err := c.desk.NoteRefused(c.ctx, sid, command, refused); err != nil {
		c.log.ErrorContext(c.ctx, "refused accept not counted", "conversation", sid, "error", err)
	}
}
