package routing

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// ReadFacts answers the query of a conversation before a start, a transfer or a move. It returns the settings, and
// facts about the target, all from one moment. It changes nothing.
func ReadFacts(ctx context.Context, d *desk.Desk, q conversation.FactsQuery) (conversation.Facts, error) {
	var v conversation.Facts
	err := d.QueryOne(ctx, "answer "+string(q.Command)+" of "+q.Conversation, func(tx *desk.Tx) (err error) {
		v, err = readFacts(ctx, tx, q)
		return err
	})
	return v, err
}

// readFacts uses one query, because a caller waits for it.
func readFacts(ctx context.Context, tx *desk.Tx, q conversation.FactsQuery) (conversation.Facts, error) {
	started := ""
	if q.Command == conversation.CommandStart {
		started = q.Conversation
	}
	v, _, err := sqldb.First(ctx, tx, func(r sqldb.Row) (v conversation.Facts, err error) {
		var presence desk.Presence
		var set bool
		facts := []any{&v.Plugin, &v.ConversationKnown, &presence, &v.QueueMembers, &v.NoteKnown, &set}
		err = r.Scan(append(facts, desk.SettingsInto(&v.Settings)...)...)
		if !set {
			v.Settings = conversation.DefaultSettings()
		}
		v.AgentKnown, v.AgentAvailable = presence != "", presence == desk.PresenceAvailable
		v.QueueKnown, v.QueueMembers = v.QueueMembers >= 0, max(v.QueueMembers, 0)
		return v, err
	}, `SELECT coalesce((`+desk.SelectTransferPlugin+`), ''),
			EXISTS (SELECT 1 FROM conversations WHERE sid = $1
				AND ($6 = '' AND revision > 0 OR status = 'closed' AND ($6 = '' OR chain <> $6))),
			coalesce((SELECT presence FROM agents WHERE name = $2), ''),
			coalesce((SELECT (SELECT count(agent) FROM queue_agents WHERE queue = q.name) FROM queues q WHERE q.name = $3), -1),
			EXISTS (SELECT 1 FROM notes WHERE sid = $4 AND conversation = $5), s.id IS NOT NULL,
			coalesce(s.messaging_transfers, 0), coalesce(s.transfer_notes, 0), coalesce(s.reservation_timeout, 0), coalesce(s.task_timeout, 0),
			coalesce(s.wrapup_timeout, 0), coalesce(s.agent_unavailable, ''), coalesce(s.unanswered, ''), coalesce(s.reoffer_after, 0),
			coalesce(s.timeout_activity, 0)
		FROM (SELECT 1 AS id) AS w LEFT JOIN settings s ON s.id = w.id`, started, q.Agent, q.Queue, q.Note, q.Conversation, q.Chain)
	return v, err
}
