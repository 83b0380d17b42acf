package httpapi

import "github.com/baton-transfers/baton/conversation"

// noteRefused records a refused command in the desk, if insights count it. An error is logged only: the answer is
// the refusal in any case.
func (c *call) noteRefused(sid string, command conversation.Command, refused error) {
	if err := c.desk.NoteRefused(c.ctx, sid, command, refused); err != nil {
		c.log.ErrorContext(c.ctx, "refused accept not counted", "conversation", sid, "error", err)
	}
}
