package desk

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
)

// Verdict answers what a conversation has to ask before a start, a transfer or a move: the settings,
// and facts about the target, all of one moment. It changes nothing.
func (d *Desk) Verdict(ctx context.Context, q conversation.Question) (conversation.Verdict, error) {
	var v conversation.Verdict
	err := d.read(ctx, "answer "+string(q.Command)+" of "+q.Conversation, func(t *transaction) (err error) {
		v, err = t.verdict(ctx, q)
		return err
	})
	return v, err
}

func (t *transaction) verdict(ctx context.Context, q conversation.Question) (v conversation.Verdict, err error) {
	if v.Settings, err = t.settings(ctx); err != nil {
		return v, err
	}
	if v.Plugin, err = t.transferPlugin(ctx); err != nil {
		return v, err
	}
	if q.Command == conversation.CommandStart {
		_, v.ConversationKnown, err = first(ctx, t, value[string], `SELECT sid FROM conversations WHERE sid = $1 AND (revision > 0 OR status = 'closed')`, q.Conversation)
		if err != nil {
			return v, err
		}
	}
	if q.Agent != "" {
		presence, found, err := first(ctx, t, value[Presence], `SELECT presence FROM agents WHERE name = $1`, q.Agent)
		if err != nil {
			return v, err
		}
		v.AgentKnown, v.AgentAvailable = found, presence == PresenceAvailable
	}
	if q.Queue != "" {
		members, found, err := first(ctx, t, value[int],
			`SELECT (SELECT count(*) FROM queue_agents WHERE queue = q.name) FROM queues q WHERE q.name = $1`, q.Queue)
		if err != nil {
			return v, err
		}
		v.QueueKnown, v.QueueMembers = found, members
	}
	if q.Note != "" {
		_, v.NoteKnown, err = first(ctx, t, value[string], `SELECT sid FROM notes WHERE sid = $1 AND conversation = $2`, q.Note, q.Conversation)
	}
	return v, err
}
