package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// NoteRefused records that a conversation has refused an accept because its agent still wraps the conversation up.
// It ignores every other outcome. The command's ID makes it safe to repeat: the worker that decides a command and
// the gateway that answers it both record it, and it counts once. A command without an ID counts each time.
// Insights count it as wrapup_refusals. It returns [ErrUnknownConversation] if the desk does not know the
// conversation.
func NoteRefused(ctx context.Context, d *desk.Desk, sid string, command conversation.Command, outcome error) error {
	accept, ok := command.(conversation.AcceptCommand)
	if !ok || conversation.CodeOf(outcome) != conversation.CodeWrapupPending {
		return nil
	}
	id := conversation.IDOf(accept)
	if id != "" {
		sum := sha256.Sum256([]byte(id)) // an ID may be any text of any length
		id = hex.EncodeToString(sum[:16])
	}
	return d.SharedTx(ctx, "note a refusal in conversation "+sid, func(tx *desk.Tx) error {
		noted, err := tx.Exec(ctx, `INSERT INTO refusals (conversation, agent, code, channel, queue, at, command)
			SELECT c.sid, $2, $3, c.channel, coalesce((SELECT t.queue FROM tasks t WHERE t.conversation = c.sid ORDER BY t.placement DESC LIMIT 1), ''), $4, $5
			FROM conversations c WHERE c.sid = $1
			ON CONFLICT (conversation, command) WHERE command <> '' DO NOTHING`, sid, accept.Agent, string(conversation.CodeWrapupPending), sqldb.Micros(d.Now()), id)
		if err != nil || noted > 0 {
			return err
		}
		_, known, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT 1 FROM conversations WHERE sid = $1`, sid)
		if err == nil && !known {
			return ErrUnknownConversation
		}
		return err
	})
}
