package people

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/naming"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Directory lists the queues and agents that an agent may transfer a conversation to.
type Directory struct {
	Queues []QueueEntry
	Agents []AgentEntry
	// More is set if the search has more results.
	More bool
	// Settings determine what happens to a transfer to an agent who is not available.
	Settings conversation.Settings
}

// QueueEntry is a queue in the directory.
type QueueEntry struct {
	Name, FriendlyName string
	// Choice is the queue's label in the panel, see [Choices].
	Choice string
	// Members counts the queue's agents, Available those of them that are offered tasks now, Waiting the queue's
	// tasks that no agent has accepted yet.
	Members, Available, Waiting int
}

// AgentEntry is an agent in the directory.
type AgentEntry struct {
	Name, FriendlyName string
	// Choice is the agent's label in the panel, see [Choices].
	Choice   string
	Presence desk.Presence
	// Load is how many tasks the agent has on the conversation's channel, Capacity how many it may have at a time.
	Load, Capacity int
}

// DirectoryQuery selects the entries of a directory.
type DirectoryQuery struct {
	// Conversation is the one to be transferred, Agent the one that would transfer it. The directory lists neither
	// that agent nor others that have the conversation.
	Conversation, Agent string
	// Search is part of a name, in any case and with or without diacritics; empty means all.
	Search string
	// Limit is the maximum number of queues, and of agents.
	Limit int
}

// SearchDirectory returns the queues and agents to which the agent may transfer the conversation, available agents
// first. Refusals: as [records.ReadThread].
func SearchDirectory(ctx context.Context, d *desk.Desk, q DirectoryQuery) (found Directory, err error) {
	err = d.ReadTx(ctx, "read the directory", func(tx *desk.Tx) error {
		if _, err := records.ReaderExtent(ctx, tx, records.AsAgent(q.Agent), q.Conversation); err != nil {
			return err
		}
		found, err = searchDirectory(ctx, tx, q)
		return err
	})
	return found, err
}

func searchDirectory(ctx context.Context, tx *desk.Tx, q DirectoryQuery) (found Directory, err error) {
	if found.Settings, err = desk.ReadSettingsTx(ctx, tx); err != nil {
		return found, err
	}
	choices, err := readChoices(ctx, tx)
	if err != nil {
		return found, err
	}
	like := naming.Containing(q.Search)
	found.Queues, err = sqldb.All(ctx, tx, func(r sqldb.Row) (e QueueEntry, err error) {
		err = r.Scan(&e.Name, &e.FriendlyName, &e.Members, &e.Available, &e.Waiting)
		e.Choice = choices.Queue(e.Name)
		return e, err
	}, `SELECT q.name, coalesce(nullif(q.friendly_name, ''), q.name),
			(SELECT count(*) FROM queue_agents m WHERE m.queue = q.name),
			(SELECT count(*) FROM queue_agents m WHERE m.queue = q.name AND m.available = 1),
			(SELECT count(*) FROM tasks t WHERE t.queue = q.name AND t.completed_at = 0 AND t.canceled_at = 0 AND t.status IN ('pending', 'reserved'))
		FROM queues q WHERE q.folded LIKE $1 ESCAPE '\' ORDER BY q.name LIMIT $2`, like, q.Limit+1)
	if err != nil {
		return found, err
	}
	found.Agents, err = sqldb.All(ctx, tx, func(r sqldb.Row) (e AgentEntry, err error) {
		err = r.Scan(&e.Name, &e.FriendlyName, &e.Presence, &e.Load, &e.Capacity)
		e.Choice = choices.Agent(e.Name)
		return e, err
	}, `SELECT a.name, coalesce(nullif(a.friendly_name, ''), a.name), a.presence, coalesce(c.load, 0), coalesce(c.capacity, 0)
		FROM agents a LEFT JOIN agent_channels c ON c.agent = a.name AND c.channel = (SELECT channel FROM conversations WHERE sid = $1)
		WHERE a.name <> $2 AND a.folded LIKE $3 ESCAPE '\'
			AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.conversation = $1 AND t.agent = a.name AND t.status = 'assigned')
		ORDER BY CASE a.presence WHEN 'available' THEN 0 WHEN 'break' THEN 1 ELSE 2 END, a.name LIMIT $4`, q.Conversation, q.Agent, like, q.Limit+1)
	if err != nil {
		return found, err
	}
	found.More = len(found.Queues) > q.Limit || len(found.Agents) > q.Limit
	found.Queues, found.Agents = found.Queues[:min(len(found.Queues), q.Limit)], found.Agents[:min(len(found.Agents), q.Limit)]
	return found, nil
}
