package people

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Queue is a queue of waiting tasks and the agents who take them.
type Queue struct {
	Name string `json:"name"`
	SID  string `json:"sid"`
	// FriendlyName is the name that people see.
	FriendlyName string `json:"friendly_name"`
	// TargetWorkers is the expression that selects the queue's members. It is empty when members are added one by
	// one.
	TargetWorkers string `json:"target_workers,omitempty"`
	// Members are the names of the agents on the queue.
	Members []string `json:"members"`
	// Waiting is the number of tasks that no agent has accepted yet. WaitingSince is when the one arrived that has
	// waited for longest.
	Waiting      int       `json:"waiting"`
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	CreatedAt    time.Time `json:"created_at"`
	UpdatedAt    time.Time `json:"updated_at"`
}

// NewQueue is a queue to be added.
type NewQueue struct {
	// Name is unique and lower-case, such as "billing". If it is empty, it is made from FriendlyName.
	Name string
	// FriendlyName is the name that people see. It defaults to Name.
	FriendlyName string
	// TargetWorkers is an expression in TaskRouter's language (see package expression) over the agents' attributes,
	// extended with `name`. The queue's members are the agents for whom it is true, also in the future. Without an
	// expression, members are added manually.
	TargetWorkers string
	// Members are the agents on a queue without an expression.
	Members []string
}

// QueueChange is a change to a queue. Fields that are nil are not changed.
type QueueChange struct {
	FriendlyName, TargetWorkers *string
	// Join and Leave name agents. The queue must then have no expression.
	Join, Leave []string
	// Members are all agents on the queue, as in [SetMembers].
	Members *[]string
}

// AddQueue adds a queue without members. It is refused with invalid_payload for a name that is not lower-case or is
// taken.
func AddQueue(ctx context.Context, d *desk.Desk, name string) error {
	return CreateQueue(ctx, d, NewQueue{Name: name})
}

// CreateQueue adds a queue as [RegisterQueue] does.
func CreateQueue(ctx context.Context, d *desk.Desk, q NewQueue) error {
	_, err := RegisterQueue(ctx, d, q)
	return err
}

// RegisterQueue adds a queue and returns its name, which the desk may choose: see [NewQueue]. It is refused with
// invalid_payload for a name that is not lower-case or is taken, and for a wrong expression, and with unknown_agent
// for a member that does not exist. Then no queue is added.
func RegisterQueue(ctx context.Context, d *desk.Desk, q NewQueue) (name string, err error) {
	if refusal := desk.CleanOptional(desk.KindQueue, &q.FriendlyName); refusal != nil {
		return "", refusal
	}
	if q.Name == "" && q.FriendlyName != "" {
		if refusal := desk.Nameable(desk.KindQueue, q.FriendlyName); refusal != nil {
			return "", refusal
		}
	} else if refusal := validName(desk.KindQueue, q.Name); refusal != nil {
		return "", refusal
	}
	if refusal := validQueue(QueueChange{TargetWorkers: &q.TargetWorkers}); refusal != nil {
		return "", refusal
	}
	members, err := routing.SelectMembers(ctx, d, q.TargetWorkers)
	if err != nil {
		return "", err
	}
	err = d.ExclusiveTx(ctx, "add queue "+q.Name, func(tx *desk.Tx) error {
		added := q
		if added.Name == "" {
			if added.Name, err = desk.NameFor(ctx, tx, desk.KindQueue, "queues", q.FriendlyName); err != nil {
				return err
			}
		}
		name = added.Name
		now := sqldb.Micros(d.Now())
		if err := insertQueue(ctx, tx, added, now); err != nil {
			return err
		}
		if len(q.Members) > 0 {
			return changeMembers(ctx, tx, name, q.Members, nil, now)
		}
		return routing.FillQueue(ctx, tx, name, members)
	})
	return name, err
}

// insertQueue adds a queue that has no members yet.
func insertQueue(ctx context.Context, tx *desk.Tx, q NewQueue, now int64) error {
	added, err := tx.Exec(ctx, `INSERT INTO queues (name, sid, friendly_name, target_workers, created_at, updated_at, folded)
		VALUES ($1, $2, $3, $4, $5, $5, $6) ON CONFLICT (name) DO NOTHING`,
		q.Name, conversation.QueueSID(q.Name), q.FriendlyName, q.TargetWorkers, now, desk.SearchKey(q.Name, q.FriendlyName))
	switch {
	case err != nil:
		return err
	case added == 0:
		return desk.Taken("name", "there is a queue named %q already: choose another name", q.Name)
	}
	tx.Happen(desk.EventQueueCreated, "", q.Name, now)
	return tx.Audit(ctx, now, desk.Changed{What: "queue.added", Subject: q.Name, After: membersSummary(q.TargetWorkers)})
}

// UpdateQueue changes the queue. A new expression changes the members at once. Refusals: unknown_queue,
// unknown_agent and invalid_payload. Then nothing is changed.
func UpdateQueue(ctx context.Context, d *desk.Desk, name string, change QueueChange) error {
	if change.FriendlyName != nil {
		change.FriendlyName = new(*change.FriendlyName) // the caller's value is not changed
		if refusal := desk.CleanName(desk.KindQueue, change.FriendlyName); refusal != nil {
			return refusal
		}
	}
	if refusal := validQueue(change); refusal != nil {
		return refusal
	}
	var members *routing.Selection
	if change.TargetWorkers != nil {
		var err error
		if members, err = routing.SelectMembers(ctx, d, *change.TargetWorkers); err != nil {
			return err
		}
	}
	return d.ExclusiveTx(ctx, "change queue "+name, func(tx *desk.Tx) error {
		before, err := findQueue(ctx, tx, name)
		if err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if change.FriendlyName != nil {
			if err := tx.Audit(ctx, now, desk.Changed{What: "queue.friendly_name", Subject: name, Before: before.FriendlyName, After: *change.FriendlyName}); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `UPDATE queues SET friendly_name = $2, updated_at = $3, folded = $4 WHERE name = $1`, name, *change.FriendlyName, now,
				desk.SearchKey(name, *change.FriendlyName)); err != nil {
				return err
			}
		}
		if change.TargetWorkers != nil {
			if err := retarget(ctx, tx, before, *change.TargetWorkers, members, now); err != nil {
				return err
			}
		}
		if change.Members != nil {
			if err := replaceMembers(ctx, tx, name, *change.Members, now); err != nil {
				return err
			}
		}
		if len(change.Join)+len(change.Leave) == 0 {
			return nil
		}
		return changeMembers(ctx, tx, name, change.Join, change.Leave, now)
	})
}

// retarget sets the queue's expression, and the members that it selects.
func retarget(ctx context.Context, tx *desk.Tx, queue Queue, target string, members *routing.Selection, now int64) error {
	if err := tx.Audit(ctx, now, desk.Changed{What: "queue.target_workers", Subject: queue.Name, Before: queue.TargetWorkers, After: target}); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE queues SET target_workers = $2, updated_at = $3 WHERE name = $1`, queue.Name, target, now); err != nil {
		return err
	}
	return routing.FillQueue(ctx, tx, queue.Name, members)
}

// RemoveQueue removes a queue that no live task belongs to. Otherwise it is refused with invalid_payload, because a
// task that no agent accepts returns to its queue.
func RemoveQueue(ctx context.Context, d *desk.Desk, name string) error {
	return d.ExclusiveTx(ctx, "remove queue "+name, func(tx *desk.Tx) error {
		before, err := findQueue(ctx, tx, name)
		if err != nil {
			return err
		}
		live, _, err := sqldb.First(ctx, tx, sqldb.Value[int],
			`SELECT count(*) FROM tasks WHERE queue = $1 AND completed_at = 0 AND canceled_at = 0`, name)
		if err != nil {
			return err
		}
		if live > 0 {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Queue: name},
				"the queue %s still has %s: let them be completed or moved, then remove the queue", name, records.Plural(live, "live task"))
		}
		if _, err = tx.Exec(ctx, `DELETE FROM queues WHERE name = $1`, name); err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if err := tx.Audit(ctx, now, desk.Changed{What: "queue.removed", Subject: name, Before: membersSummary(before.TargetWorkers)}); err != nil {
			return err
		}
		tx.Happen(desk.EventQueueDeleted, "", name, now)
		return nil
	})
}

// AddMember adds the agent to the queue. It does nothing if the agent is a member already.
func AddMember(ctx context.Context, d *desk.Desk, queue, agent string) error {
	return d.ExclusiveTx(ctx, "add "+agent+" to queue "+queue, func(tx *desk.Tx) error { return insertMember(ctx, tx, queue, agent, sqldb.Micros(d.Now())) })
}

// mayChangeMember refuses an unknown queue or agent, and a queue whose members follow an expression.
func mayChangeMember(ctx context.Context, tx *desk.Tx, queue, agent string) error {
	if err := knowQueue(ctx, tx, queue); err != nil {
		return err
	}
	if err := desk.RequireAgent(ctx, tx, agent); err != nil {
		return err
	}
	return routing.FilledManually(ctx, tx, queue)
}

func insertMember(ctx context.Context, tx *desk.Tx, queue, agent string, now int64) error {
	if err := mayChangeMember(ctx, tx, queue, agent); err != nil {
		return err
	}
	joined, err := routing.JoinQueue(ctx, tx, queue, agent)
	if err != nil || !joined {
		return err
	}
	return tx.Audit(ctx, now, desk.Changed{What: "queue.members", Subject: queue, After: agent})
}

// deleteMember removes the agent from the queue, if they are on it. They keep the queue's tasks that they have.
func deleteMember(ctx context.Context, tx *desk.Tx, queue, agent string, now int64) error {
	if err := mayChangeMember(ctx, tx, queue, agent); err != nil {
		return err
	}
	left, err := routing.LeaveQueue(ctx, tx, queue, agent)
	if err != nil || !left {
		return err
	}
	return tx.Audit(ctx, now, desk.Changed{What: "queue.members", Subject: queue, Before: agent})
}

// SetMembers makes exactly these agents the members of the queue.
func SetMembers(ctx context.Context, d *desk.Desk, queue string, agents ...string) error {
	return d.ExclusiveTx(ctx, "set the members of queue "+queue, func(tx *desk.Tx) error {
		return replaceMembers(ctx, tx, queue, agents, sqldb.Micros(d.Now()))
	})
}

func replaceMembers(ctx context.Context, tx *desk.Tx, queue string, agents []string, now int64) error {
	if err := knowQueue(ctx, tx, queue); err != nil {
		return err
	}
	before, err := sqldb.All(ctx, tx, sqldb.Value[string], `SELECT agent FROM queue_agents WHERE queue = $1 ORDER BY agent`, queue)
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(before, func(agent string) bool { return slices.Contains(agents, agent) })
	return changeMembers(ctx, tx, queue, agents, gone, now)
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// changeMembers removes and adds members of a queue, as one change in the audit list.
func changeMembers(ctx context.Context, tx *desk.Tx, queue string, join, leave []string, now int64) error {
	if err := routing.FilledManually(ctx, tx, queue); err != nil {
		return err
	}
	known, err := sqldb.All(ctx, tx, sqldb.Value[string], `SELECT name FROM agents`)
	if err != nil {
		return err
	}
	before, err := sqldb.All(ctx, tx, sqldb.Value[string], `SELECT agent FROM queue_agents WHERE queue = $1`, queue)
	if err != nil {
		return err
	}
	isAgent, isMember := setOf(known), setOf(before)
	for _, agent := range slices.Concat(leave, join) {
		if !isAgent[agent] {
			return desk.UnknownAgent(agent)
		}
	}
	leaving := slices.DeleteFunc(desk.Distinct(leave), func(agent string) bool { return !isMember[agent] })
	for _, agent := range leaving {
		delete(isMember, agent)
	}
	joining := slices.DeleteFunc(desk.Distinct(join), func(agent string) bool { return isMember[agent] })
	if err := routing.SettleMembers(ctx, tx, queue, leaving, routing.DeleteMember); err != nil {
		return err
	}
	if len(joining) > 0 {
		tx.WakeMatching()
	}
	if err := routing.SettleMembers(ctx, tx, queue, joining, routing.InsertMember); err != nil {
		return err
	}
	return tx.Audit(ctx, now, desk.Changed{What: "queue.members", Subject: queue, Before: strings.Join(leaving, ", "), After: strings.Join(joining, ", ")})
}

// ListQueues returns the queues by name.
func ListQueues(ctx context.Context, d *desk.Desk) (queues []Queue, err error) {
	err = d.ReadTx(ctx, "read queues", func(tx *desk.Tx) error {
		queues, err = readQueues(ctx, tx)
		return err
	})
	return queues, err
}

func readQueues(ctx context.Context, tx *desk.Tx) ([]Queue, error) {
	queues, err := sqldb.All(ctx, tx, func(r sqldb.Row) (q Queue, err error) {
		err = r.Scan(&q.Name, &q.SID, &q.FriendlyName, &q.TargetWorkers, sqldb.Instant(&q.CreatedAt), sqldb.Instant(&q.UpdatedAt), &q.Waiting, sqldb.Instant(&q.WaitingSince))
		q.FriendlyName, q.Members = cmp.Or(q.FriendlyName, q.Name), []string{}
		if q.UpdatedAt.IsZero() {
			q.UpdatedAt = q.CreatedAt
		}
		return q, err
	}, `SELECT queues.name, queues.sid, queues.friendly_name, queues.target_workers, queues.created_at, queues.updated_at, count(t.sid), coalesce(min(t.created_at), 0)
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
	return queues, sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var queue, agent string
		err := r.Scan(&queue, &agent)
		if q := byName[queue]; q != nil {
			q.Members = append(q.Members, agent)
		}
		return err
	}, `SELECT queue, agent FROM queue_agents ORDER BY queue, agent`)
}

// findQueue returns the configuration of the queue of that name, without members and tasks. It is refused with
// unknown_queue.
func findQueue(ctx context.Context, tx *desk.Tx, name string) (Queue, error) {
	queue, found, err := sqldb.First(ctx, tx, func(r sqldb.Row) (q Queue, err error) {
		err = r.Scan(&q.Name, &q.FriendlyName, &q.TargetWorkers)
		q.FriendlyName = cmp.Or(q.FriendlyName, q.Name)
		return q, err
	}, `SELECT name, friendly_name, target_workers FROM queues WHERE name = $1`, name)
	if err == nil && !found {
		return Queue{}, unknownQueue(name)
	}
	return queue, err
}

// knowQueue refuses the name of a queue that does not exist.
func knowQueue(ctx context.Context, tx *desk.Tx, name string) error {
	_, found, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM queues WHERE name = $1`, name)
	if err == nil && !found {
		return unknownQueue(name)
	}
	return err
}

func unknownQueue(name string) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeUnknownQueue, conversation.Details{Queue: name},
		"there is no queue named %q: check the spelling, or have an administrator add the queue at the desk", name)
}

func membersSummary(target string) string {
	if target == "" {
		return "members set manually"
	}
	return "members by " + target
}

func validQueue(change QueueChange) *conversation.Refusal {
	if change.TargetWorkers != nil && *change.TargetWorkers != "" {
		if _, err := expression.Parse(*change.TargetWorkers); err != nil {
			return desk.Invalid("target_workers", "target_workers: %s", err)
		}
	}
	return nil
}
