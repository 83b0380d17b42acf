package desk

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Queue is a line of waiting tasks and the agents who take them.
type Queue struct {
	Name string `json:"name"`
	SID  string `json:"sid"`
	// Members are the names of the agents on the queue.
	Members []string `json:"members"`
	// Waiting is how many tasks nobody has accepted yet, WaitingSince when the one came that has
	// waited longest.
	Waiting      int       `json:"waiting"`
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
}

// AddQueue adds a queue without members. Refused with invalid_payload: a name that isn't lower-case, or is taken.
func (d *Desk) AddQueue(ctx context.Context, name string) error {
	if refusal := validName("queue", name); refusal != nil {
		return refusal
	}
	return d.write(ctx, "add queue "+name, func(t *transaction) error { return t.addQueue(ctx, name, micros(d.now())) })
}

func (t *transaction) addQueue(ctx context.Context, name string, now int64) error {
	added, err := t.exec(ctx, `INSERT INTO queues (name, sid, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`,
		name, conversation.QueueSID(name), now)
	if err == nil && added == 0 {
		return invalid("name", "there is a queue named %q already: choose another name", name)
	}
	return err
}

// RemoveQueue removes a queue that no live task belongs to any more; else it is refused with
// invalid_payload, for a task that nobody takes goes back to its queue.
func (d *Desk) RemoveQueue(ctx context.Context, name string) error {
	return d.write(ctx, "remove queue "+name, func(t *transaction) error {
		if err := t.knowQueue(ctx, name); err != nil {
			return err
		}
		live, _, err := first(ctx, t, value[int],
			`SELECT count(*) FROM tasks WHERE queue = $1 AND completed_at = 0 AND canceled_at = 0`, name)
		if err != nil {
			return err
		}
		if live > 0 {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Queue: name},
				"%d live tasks belong to the queue %s: let them be completed or moved, then remove the queue", live, name)
		}
		_, err = t.exec(ctx, `DELETE FROM queues WHERE name = $1`, name)
		return err
	})
}

// AddMember puts the agent on the queue, where they aren't on it already.
func (d *Desk) AddMember(ctx context.Context, queue, agent string) error {
	return d.write(ctx, "add "+agent+" to queue "+queue, func(t *transaction) error { return t.addMember(ctx, queue, agent) })
}

func (t *transaction) addMember(ctx context.Context, queue, agent string) error {
	if err := t.knowQueue(ctx, queue); err != nil {
		return err
	}
	if err := t.knowAgent(ctx, agent); err != nil {
		return err
	}
	t.leaves.place = true
	_, err := t.exec(ctx, `INSERT INTO queue_agents (queue, agent, available, idle_since)
		SELECT CAST($1 AS TEXT), name, CASE WHEN presence = 'available' THEN 1 ELSE 0 END, idle_since FROM agents WHERE name = $2
		ON CONFLICT (queue, agent) DO NOTHING`, queue, agent)
	return err
}

// RemoveMember takes the agent off the queue, if they are on it. What they have of it stays theirs.
func (d *Desk) RemoveMember(ctx context.Context, queue, agent string) error {
	return d.write(ctx, "remove "+agent+" from queue "+queue, func(t *transaction) error {
		if err := t.knowQueue(ctx, queue); err != nil {
			return err
		}
		if err := t.knowAgent(ctx, agent); err != nil {
			return err
		}
		_, err := t.exec(ctx, `DELETE FROM queue_agents WHERE queue = $1 AND agent = $2`, queue, agent)
		return err
	})
}

// SetMembers puts exactly these agents on the queue.
func (d *Desk) SetMembers(ctx context.Context, queue string, agents ...string) error {
	return d.write(ctx, "set the members of queue "+queue, func(t *transaction) error {
		if err := t.knowQueue(ctx, queue); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM queue_agents WHERE queue = $1`, queue); err != nil {
			return err
		}
		for _, agent := range agents {
			if err := t.addMember(ctx, queue, agent); err != nil {
				return err
			}
		}
		return nil
	})
}

// Queues returns the queues by name.
func (d *Desk) Queues(ctx context.Context) (queues []Queue, err error) {
	err = d.read(ctx, "read queues", func(t *transaction) error {
		queues, err = t.queues(ctx)
		return err
	})
	return queues, err
}

func (t *transaction) queues(ctx context.Context) ([]Queue, error) {
	queues, err := all(ctx, t, func(r row) (q Queue, err error) {
		err = r.Scan(&q.Name, &q.SID, instant{&q.CreatedAt}, &q.Waiting, instant{&q.WaitingSince})
		q.Members = []string{}
		return q, err
	}, `SELECT queues.name, queues.sid, queues.created_at, count(t.sid), coalesce(min(t.created_at), 0)
		FROM queues LEFT JOIN tasks t ON t.queue = queues.name AND t.completed_at = 0 AND t.canceled_at = 0
			AND (t.waiting = 1 OR t.status = 'reserved' OR EXISTS (SELECT 1 FROM placements p WHERE p.task = t.sid))
		GROUP BY queues.name ORDER BY queues.name`)
	if err != nil {
		return nil, err
	}
	byName := map[string]*Queue{}
	for i := range queues {
		byName[queues[i].Name] = &queues[i]
	}
	return queues, each(ctx, t, func(r row) error {
		var queue, agent string
		err := r.Scan(&queue, &agent)
		if q := byName[queue]; q != nil {
			q.Members = append(q.Members, agent)
		}
		return err
	}, `SELECT queue, agent FROM queue_agents ORDER BY queue, agent`)
}

// knowQueue refuses a name that is no queue's.
func (t *transaction) knowQueue(ctx context.Context, name string) error {
	_, found, err := first(ctx, t, value[string], `SELECT name FROM queues WHERE name = $1`, name)
	if err == nil && !found {
		return conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: name},
			"there is no queue named %q: check the spelling, or add the queue at the desk", name)
	}
	return err
}
