package desk

import (
	"context"
	"encoding/json"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk/expression"
)

// Who is on a queue that has an expression follows from the agents' attributes, and is brought up to
// date in the transaction that changes either.

func validQueue(change QueueChange) *conversation.Refusal {
	if change.TargetWorkers != nil && *change.TargetWorkers != "" {
		if _, err := expression.Parse(*change.TargetWorkers); err != nil {
			return invalid("target_workers", "target_workers: %s", err)
		}
	}
	return nil
}

// filledByHand refuses to add to or take from a queue that has an expression.
func (t *transaction) filledByHand(ctx context.Context, queue string) error {
	target, _, err := first(ctx, t, value[string], `SELECT target_workers FROM queues WHERE name = $1`, queue)
	if err == nil && target != "" {
		return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Queue: queue},
			"who is on the queue %s follows from its expression: change that, or the agents' attributes", queue)
	}
	return err
}

// fillQueue puts those on the queue of whom its expression is true, and takes the others off it.
func (t *transaction) fillQueue(ctx context.Context, queue string) error {
	target, _, err := first(ctx, t, value[string], `SELECT target_workers FROM queues WHERE name = $1`, queue)
	if err != nil || target == "" {
		return err
	}
	agents, err := all(ctx, t, scanTraits, selectTraits)
	if err != nil {
		return wrap("read the agents' attributes", err)
	}
	wanted, err := expression.Parse(target)
	if err != nil {
		return wrap("read the expression of queue "+queue, err) // it was right when it was stored
	}
	for _, agent := range agents {
		if err := t.settleMember(ctx, queue, wanted, agent); err != nil {
			return err
		}
	}
	return nil
}

// joinQueues puts the agent on the queues whose expressions are true of them, and takes them off the others.
func (t *transaction) joinQueues(ctx context.Context, agent string) error {
	type targeted struct{ queue, target string }
	queues, err := all(ctx, t, func(r row) (q targeted, err error) {
		err = r.Scan(&q.queue, &q.target)
		return q, err
	}, `SELECT name, target_workers FROM queues WHERE target_workers <> ''`)
	if err != nil || len(queues) == 0 {
		return err
	}
	found, _, err := first(ctx, t, scanTraits, selectTraits+` WHERE name = $1`, agent)
	if err != nil {
		return wrap("read the attributes of "+agent, err)
	}
	for _, q := range queues {
		wanted, err := expression.Parse(q.target)
		if err != nil {
			return wrap("read the expression of queue "+q.queue, err)
		}
		if err := t.settleMember(ctx, q.queue, wanted, found); err != nil {
			return err
		}
	}
	return nil
}

// traits are what an expression may ask of an agent.
type traits struct {
	agent      string
	attributes map[string]any
}

const selectTraits = `SELECT name, attributes FROM agents`

func scanTraits(r row) (found traits, err error) {
	var encoded string
	if err := r.Scan(&found.agent, &encoded); err != nil {
		return found, err
	}
	found.attributes, err = traitsOf(found.agent, encoded)
	return found, err
}

// traitsOf are the agent's attributes with their name, which attributes of their own may hide.
func traitsOf(agent, attributes string) (map[string]any, error) {
	of := map[string]any{"name": agent}
	if err := json.Unmarshal([]byte(attributes), &of); err != nil {
		return nil, wrap("decode the attributes of "+agent, err)
	}
	return of, nil
}

func (t *transaction) settleMember(ctx context.Context, queue string, wanted *expression.Expression, agent traits) error {
	change := t.quit
	if wanted.Holds(agent.attributes) {
		change = t.join
	}
	_, err := change(ctx, queue, agent.agent)
	return err
}

// quit takes an agent off a queue, and tells whether they were on it. What they have of it stays theirs.
func (t *transaction) quit(ctx context.Context, queue, agent string) (bool, error) {
	left, err := t.exec(ctx, `DELETE FROM queue_agents WHERE queue = $1 AND agent = $2`, queue, agent)
	return left > 0, err
}

// Matches tells whether the expression is true of the agent, as it is asked for a queue.
func (a Agent) Matches(e *expression.Expression) bool {
	of, err := traitsOf(a.Name, string(a.Attributes))
	return err == nil && e.Holds(of)
}
