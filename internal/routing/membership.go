package routing

import (
	"context"
	"encoding/json"
	"errors"
	"math/bits"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// The members of a queue with an expression follow from the agents' attributes. The transaction that changes the
// expression or the attributes updates them.

// FilledManually refuses to add members to, or remove them from, a queue with an expression.
func FilledManually(ctx context.Context, tx *desk.Tx, queue string) error {
	target, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT target_workers FROM queues WHERE name = $1`, queue)
	if err == nil && target != "" {
		return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Queue: queue},
			"who is on the queue %s follows from its expression: change that, or the agents' attributes", queue)
	}
	return err
}

// Selection holds the agents for which a queue's expression is true. It is computed before the exclusive
// transaction that changes the queue. That transaction evaluates only what has changed since.
type Selection struct {
	wanted *expression.Expression
	budget *expression.Budget
	found  map[string]populated
}

// populated is the result of the expression for an agent with these attributes.
type populated struct {
	attributes string
	member     bool
}

// SelectMembers evaluates the expression for all agents. It returns nil for a queue without one.
func SelectMembers(ctx context.Context, d *desk.Desk, target string) (*Selection, error) {
	if target == "" {
		return nil, nil //nolint:nilnil // such a queue lists its members
	}
	wanted, err := ParseExpression(d, target)
	if err != nil {
		return nil, desk.Invalid("target_workers", "target_workers: %s", err)
	}
	type traits struct{ agent, attributes string }
	var agents []traits
	if err := d.ReadTx(ctx, "read the agents' attributes", func(tx *desk.Tx) error {
		agents, err = sqldb.All(ctx, tx, func(r sqldb.Row) (found traits, err error) {
			err = r.Scan(&found.agent, &found.attributes)
			return found, err
		}, `SELECT name, attributes FROM agents`)
		return err
	}); err != nil {
		return nil, err
	}
	p := &Selection{wanted: wanted, budget: expression.NewBudget(ctx), found: make(map[string]populated, len(agents))}
	for _, agent := range agents {
		if _, err := p.has(agent.agent, agent.attributes); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// has reports whether the expression is true for the agent; refused with invalid_payload if that takes too long.
func (p *Selection) has(agent, attributes string) (bool, error) {
	if known, ok := p.found[agent]; ok && known.attributes == attributes {
		return known.member, nil
	}
	of, err := TraitsOf(agent, attributes)
	if err != nil {
		return false, err
	}
	member, err := p.wanted.Evaluate(p.budget, of)
	switch {
	case errors.Is(err, expression.ErrBudget):
		return false, desk.Invalid("target_workers", "target_workers: %s", err)
	case err != nil:
		return false, desk.Wrap("evaluate target_workers on the attributes of "+agent, err)
	}
	p.found[agent] = populated{attributes, member}
	return member, nil
}

// FillQueue adds the agents for which the expression is true to the queue, and removes the others.
func FillQueue(ctx context.Context, tx *desk.Tx, queue string, p *Selection) error {
	if p == nil {
		return nil
	}
	var joining, leaving []string
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var agent, attributes string
		var is bool
		if err := r.Scan(&agent, &attributes, &is); err != nil {
			return err
		}
		member, err := p.has(agent, attributes)
		switch {
		case err != nil:
			return err
		case member && !is:
			joining = append(joining, agent)
		case !member && is:
			leaving = append(leaving, agent)
		}
		return nil
	}, `SELECT a.name, a.attributes, q.agent IS NOT NULL FROM agents a LEFT JOIN queue_agents q ON q.queue = $1 AND q.agent = a.name`, queue); err != nil {
		return err
	}
	if len(joining) > 0 {
		tx.WakeMatching()
	}
	if err := SettleMembers(ctx, tx, queue, joining, InsertMember); err != nil {
		return err
	}
	return SettleMembers(ctx, tx, queue, leaving, DeleteMember)
}

// The statements that add agents to a queue and remove them, see [SettleMembers].
const (
	InsertMember = `INSERT INTO queue_agents (queue, agent, available, idle_since)
		SELECT CAST($1 AS TEXT), name, CASE WHEN presence = 'available' THEN 1 ELSE 0 END, idle_since FROM agents WHERE name`
	DeleteMember = `DELETE FROM queue_agents WHERE queue = $1 AND agent`
)

// maxSettled is how many agents one statement adds or removes.
const maxSettled = 512

// SettleMembers runs a statement whose condition ends with a column of agents' names.
func SettleMembers(ctx context.Context, tx *desk.Tx, queue string, agents []string, statement string) error {
	for some := range slices.Chunk(agents, maxSettled) {
		// The first name is repeated up to a power of two names, so that there are few different queries.
		padded := slices.Clone(some)
		for bits.OnesCount(uint(len(padded))) != 1 {
			padded = append(padded, padded[0])
		}
		args := []any{queue}
		if _, err := tx.Exec(ctx, statement+` IN (`+sqldb.Arguments(&args, padded)+`)`, args...); err != nil {
			return err
		}
	}
	return nil
}

// JoinQueues adds the agent to the queues whose expressions are true for it, and removes it from other queues with
// an expression. Refused with invalid_payload if an expression takes too long.
func JoinQueues(ctx context.Context, tx *desk.Tx, agent string) error {
	type targeted struct{ queue, target string }
	queues, err := sqldb.All(ctx, tx, func(r sqldb.Row) (q targeted, err error) {
		err = r.Scan(&q.queue, &q.target)
		return q, err
	}, `SELECT name, target_workers FROM queues WHERE target_workers <> ''`)
	if err != nil || len(queues) == 0 {
		return err
	}
	encoded, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT attributes FROM agents WHERE name = $1`, agent)
	if err != nil {
		return desk.Wrap("read the attributes of "+agent, err)
	}
	of, err := TraitsOf(agent, encoded)
	if err != nil {
		return err
	}
	budget := expression.NewBudget(ctx)
	for _, q := range queues {
		wanted, err := tx.Expressions.Parse(q.target)
		if err != nil {
			return desk.Wrap("read the expression of queue "+q.queue, err) // it was valid when it was stored
		}
		member, err := wanted.Evaluate(budget, of)
		switch {
		case errors.Is(err, expression.ErrBudget):
			return desk.Invalid("attributes", "attributes: target_workers of queue %s: %s", q.queue, err)
		case err != nil:
			return desk.Wrap("evaluate target_workers of queue "+q.queue, err)
		}
		change := LeaveQueue
		if member {
			change = JoinQueue
		}
		if _, err := change(ctx, tx, q.queue, agent); err != nil {
			return err
		}
	}
	return nil
}

// TraitsOf returns the agent's attributes, and the name unless an attribute hides it.
func TraitsOf(agent, attributes string) (map[string]any, error) {
	of := map[string]any{"name": agent}
	if err := json.Unmarshal([]byte(attributes), &of); err != nil {
		return nil, desk.Wrap("decode the attributes of "+agent, err)
	}
	return of, nil
}

// LeaveQueue removes an agent from a queue, and reports whether it was a member. The agent keeps its tasks from the
// queue.
func LeaveQueue(ctx context.Context, tx *desk.Tx, queue, agent string) (bool, error) {
	left, err := tx.Exec(ctx, `DELETE FROM queue_agents WHERE queue = $1 AND agent = $2`, queue, agent)
	return left > 0, err
}

// ParseExpression parses the text as [expression.Parse] does, and caches the result. It is for texts that the desk
// stores.
func ParseExpression(d *desk.Desk, text string) (*expression.Expression, error) {
	e, err := d.Expressions.Parse(text)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// JoinQueue adds an agent to a queue, which both exist, and reports whether the agent was not on it before.
func JoinQueue(ctx context.Context, tx *desk.Tx, queue, agent string) (bool, error) {
	tx.WakeMatching()
	joined, err := tx.Exec(ctx, `INSERT INTO queue_agents (queue, agent, available, idle_since)
		SELECT CAST($1 AS TEXT), name, CASE WHEN presence = 'available' THEN 1 ELSE 0 END, idle_since FROM agents WHERE name = $2
		ON CONFLICT (queue, agent) DO NOTHING`, queue, agent)
	return joined > 0, err
}
