package people

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/expression"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// DefaultCapacity is how many tasks of each channel an agent may have at a time, unless another number is set.
const DefaultCapacity = 3

// maxCapacity limits an agent's capacity, against typing errors.
const maxCapacity = 1000

// NewAgent is an agent to be added.
type NewAgent struct {
	// Name is unique and lower-case, as in "alice". If empty, it is derived from FriendlyName.
	Name string
	// Role defaults to RoleAgent.
	Role desk.Role
	// Capacity applies to each channel; zero means DefaultCapacity.
	Capacity int
	// Presence defaults to PresenceOffline.
	Presence desk.Presence
	// FriendlyName is the name for display; it defaults to the name.
	FriendlyName string
	// Attributes are a JSON object, which the expressions of queues evaluate; empty means none.
	Attributes string
	// Activity is the SID of an activity, which then determines the presence.
	Activity string
	// Queues are the names of queues to add the agent to. Only queues without an expression are allowed.
	Queues []string
}

// Agent is an agent of the desk.
type Agent struct {
	Name string `json:"name"`
	SID  string `json:"sid"`
	// FriendlyName is the name for display.
	FriendlyName string `json:"friendly_name"`
	// Attributes are the JSON object as it was given.
	Attributes json.RawMessage  `json:"attributes"`
	Role       desk.Role        `json:"role"`
	Presence   desk.Presence    `json:"presence"`
	Activity   routing.Activity `json:"activity"`
	// PresenceSince is when the presence last changed.
	PresenceSince time.Time `json:"presence_since"`
	// IdleSince is when the agent last became available, was matched with a task or had a task change. Of the
	// agents who could take a task, the one with the earliest IdleSince gets it.
	IdleSince time.Time      `json:"idle_since"`
	Channels  []AgentChannel `json:"channels"`
	// Queues are the names of the queues that the agent is on.
	Queues    []string  `json:"queues"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Available reports whether the agent is offered tasks.
func (a Agent) Available() bool { return a.Presence == desk.PresenceAvailable }

// AgentChannel is an agent's capacity and load on a channel.
type AgentChannel struct {
	Channel  conversation.Channel `json:"channel"`
	Capacity int                  `json:"capacity"`
	// Load is the number of the agent's reserved, assigned and wrapping tasks, and of matches not offered yet. A
	// transfer to the agent may raise it above the capacity.
	Load int `json:"load"`
}

// AddAgent adds an agent as [RegisterAgent] does.
func AddAgent(ctx context.Context, d *desk.Desk, a NewAgent) error {
	_, err := RegisterAgent(ctx, d, a)
	return err
}

// RegisterAgent adds an agent and returns the name, which the desk may choose, see [NewAgent]. Refused with
// invalid_payload: a name that is not lower-case, is taken or is reserved; a role, presence or capacity that is not
// valid. Refused with unknown_queue: a queue that does not exist. A refused agent is not added.
func RegisterAgent(ctx context.Context, d *desk.Desk, a NewAgent) (name string, err error) {
	if a.Role == "" {
		a.Role = desk.RoleAgent
	}
	if a.Presence == "" {
		a.Presence = desk.PresenceOffline
	}
	if a.Capacity == 0 {
		a.Capacity = DefaultCapacity
	}
	if a.Attributes == "" {
		a.Attributes = "{}"
	}
	if refusal := desk.CleanOptional(desk.KindAgent, &a.FriendlyName); refusal != nil {
		return "", refusal
	}
	if refusal := validAgent(a); refusal != nil {
		return "", refusal
	}
	err = d.ExclusiveTx(ctx, "add agent "+a.Name, func(tx *desk.Tx) error {
		added := a
		if added.Name == "" {
			if added.Name, err = desk.NameFor(ctx, tx, desk.KindAgent, "agents", a.FriendlyName); err != nil {
				return err
			}
			if refusal := notReserved(added.Name); refusal != nil {
				return refusal
			}
		}
		name = added.Name
		now := sqldb.Micros(d.Now())
		if err := insertAgent(ctx, tx, added, now); err != nil {
			return err
		}
		for _, queue := range desk.Distinct(a.Queues) {
			if err := insertMember(ctx, tx, queue, name, now); err != nil {
				return err
			}
		}
		return nil
	})
	return name, err
}

// notReserved refuses a name that messages use for authors other than agents.
func notReserved(name string) *conversation.Refusal {
	if name == records.FromCustomer || name == records.FromSystem {
		return desk.Invalid("name", "the name %q is reserved: choose another for the agent", name)
	}
	return nil
}

func validAgent(a NewAgent) *conversation.Refusal {
	if a.Name == "" && a.FriendlyName != "" {
		if refusal := desk.Nameable(desk.KindAgent, a.FriendlyName); refusal != nil {
			return refusal
		}
	} else if refusal := validName(desk.KindAgent, a.Name); refusal != nil {
		return refusal
	}
	if refusal := notReserved(a.Name); refusal != nil {
		return refusal
	}
	if refusal := validRole(a.Role); refusal != nil {
		return refusal
	}
	if refusal := desk.ValidPresence(a.Presence); refusal != nil {
		return refusal
	}
	if refusal := validAttributes(a.Attributes); refusal != nil {
		return refusal
	}
	return validCapacity(a.Capacity)
}

func insertAgent(ctx context.Context, tx *desk.Tx, a NewAgent, now int64) error {
	if a.Activity != "" {
		activity, err := routing.FindActivity(ctx, tx, a.Activity)
		if err != nil {
			return err
		}
		a.Presence = activity.Presence
		if a.Activity == routing.ActivityOf(a.Presence).SID {
			a.Activity = ""
		}
	}
	added, err := tx.Exec(ctx, `INSERT INTO agents (name, sid, role, presence, presence_at, idle_since, created_at, friendly_name, attributes, activity, updated_at, folded)
		VALUES ($1, $2, $3, $4, $5, $5, $5, $6, $7, $8, $5, $9) ON CONFLICT (name) DO NOTHING`,
		a.Name, conversation.AgentSID(a.Name), string(a.Role), string(a.Presence), now, a.FriendlyName, cmp.Or(a.Attributes, "{}"), a.Activity,
		desk.SearchKey(a.Name, a.FriendlyName))
	if err != nil {
		return err
	}
	if added == 0 {
		return desk.Taken("name", "there is an agent named %q already: choose another name", a.Name)
	}
	for _, channel := range conversation.Channels() {
		if _, err := tx.Exec(ctx, `INSERT INTO agent_channels (agent, channel, capacity, load) VALUES ($1, $2, $3, 0)`,
			a.Name, string(channel), a.Capacity); err != nil {
			return err
		}
		if err := routing.CountLoad(ctx, tx, a.Name, channel); err != nil {
			return err
		}
	}
	tx.WakeMatching()
	tx.Happen(desk.EventAgentCreated, a.Name, "", now)
	if err := tx.Audit(ctx, now, desk.Changed{What: "agent.added", Subject: a.Name, After: a.summary()}); err != nil {
		return err
	}
	return routing.JoinQueues(ctx, tx, a.Name)
}

// AgentChange is a change to an agent; nil fields stay unchanged.
type AgentChange struct {
	// FriendlyName, Attributes (a JSON object) and Activity (a SID) are described at [NewAgent].
	FriendlyName, Attributes, Activity *string
	// Rewrite, if not nil, returns new attributes, given those at the time of the change; Attributes is then
	// ignored. It may be called more than once.
	Rewrite func(attributes string) string
	// Role is the new role. The last administrator's role cannot be changed: no other agent could restore it.
	Role *desk.Role
	// Capacity is how many tasks of these channels the agent may have at a time, see [SetCapacity].
	Capacity map[conversation.Channel]int
	// Join and Leave are names of queues without an expression.
	Join, Leave []string
	// Presence is set as [routing.SetPresence] does.
	Presence *desk.Presence
	// Expected, if not nil, receives the agent at the time of the change, and may refuse the change.
	Expected func(Agent) error
}

// UpdateAgent makes all of the change, or none of it. With new attributes the agent joins and leaves queues
// according to their expressions. Refusals: unknown_agent, unknown_queue, invalid_payload.
func UpdateAgent(ctx context.Context, d *desk.Desk, name string, change AgentChange) error {
	if change.FriendlyName != nil {
		change.FriendlyName = new(*change.FriendlyName) // does not modify the caller's value
		if refusal := desk.CleanName(desk.KindAgent, change.FriendlyName); refusal != nil {
			return refusal
		}
	}
	if change.Attributes != nil {
		if refusal := validAttributes(*change.Attributes); refusal != nil {
			return refusal
		}
	}
	if change.Role != nil {
		if refusal := validRole(*change.Role); refusal != nil {
			return refusal
		}
	}
	if change.Presence != nil {
		if refusal := desk.ValidPresence(*change.Presence); refusal != nil {
			return refusal
		}
	}
	for channel, capacity := range change.Capacity {
		if refusal := validChannelCapacity(channel, capacity); refusal != nil {
			return refusal
		}
	}
	return d.ExclusiveTx(ctx, "change agent "+name, func(tx *desk.Tx) error { return changeAgent(ctx, tx, name, change, sqldb.Micros(d.Now())) })
}

func changeAgent(ctx context.Context, tx *desk.Tx, name string, change AgentChange, now int64) error {
	before, err := expectedAgent(ctx, tx, name, change.Expected)
	if err != nil {
		return err
	}
	if change.Rewrite != nil {
		rewritten := change.Rewrite(string(before.Attributes))
		if refusal := validAttributes(rewritten); refusal != nil {
			return refusal
		}
		change.Attributes = &rewritten
	}
	if change.Role != nil && *change.Role != before.Role {
		if err := giveRole(ctx, tx, before, *change.Role, now); err != nil {
			return err
		}
	}
	if change.FriendlyName != nil {
		if err := tx.Audit(ctx, now, desk.Changed{What: "agent.friendly_name", Subject: name, Before: before.FriendlyName, After: *change.FriendlyName}); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE agents SET friendly_name = $2, updated_at = $3, folded = $4 WHERE name = $1`, name, *change.FriendlyName, now,
			desk.SearchKey(name, *change.FriendlyName)); err != nil {
			return err
		}
	}
	if change.Attributes != nil {
		attributes := cmp.Or(*change.Attributes, "{}")
		others, err := tx.Exec(ctx, `UPDATE agents SET attributes = $2, updated_at = $3 WHERE name = $1 AND attributes <> $2`, name, attributes, now)
		if err != nil {
			return err
		}
		if others > 0 {
			if err := tx.Audit(ctx, now, desk.Changed{What: "agent.attributes", Subject: name, Before: string(before.Attributes), After: attributes}); err != nil {
				return err
			}
			tx.Happen(desk.EventAgentAttributes, name, "", now)
			if err := routing.JoinQueues(ctx, tx, name); err != nil {
				return err
			}
		}
	}
	for _, channel := range conversation.Channels() {
		if capacity, ok := change.Capacity[channel]; ok {
			if err := updateCapacity(ctx, tx, name, channel, capacity, now); err != nil {
				return err
			}
		}
	}
	for _, queue := range change.Join {
		if err := insertMember(ctx, tx, queue, name, now); err != nil {
			return err
		}
	}
	for _, queue := range change.Leave {
		if err := deleteMember(ctx, tx, queue, name, now); err != nil {
			return err
		}
	}
	if change.Presence != nil {
		if err := routing.ChoosePresence(ctx, tx, name, *change.Presence, now); err != nil {
			return err
		}
	}
	if change.Activity == nil {
		return nil
	}
	activity, err := routing.FindActivity(ctx, tx, *change.Activity)
	if err != nil {
		return err
	}
	return routing.SetActivity(ctx, tx, name, activity, now)
}

// giveRole gives the agent another role.
func giveRole(ctx context.Context, tx *desk.Tx, a Agent, role desk.Role, now int64) error {
	if err := keepAdministrator(ctx, tx, a); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE agents SET role = $2, updated_at = $3 WHERE name = $1`, a.Name, string(role), now); err != nil {
		return err
	}
	tx.Secure(ctx, seclog.Entry{Event: seclog.RoleChanged, Subject: a.Name, Reason: string(role)})
	return tx.Audit(ctx, now, desk.Changed{What: "agent.role", Subject: a.Name, Before: string(a.Role), After: string(role)})
}

// keepAdministrator refuses to remove the last administrator.
func keepAdministrator(ctx context.Context, tx *desk.Tx, a Agent) error {
	if a.Role != desk.RoleAdmin {
		return nil
	}
	_, another, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM agents WHERE role = 'admin' AND name <> $1 LIMIT 1`, a.Name)
	if err == nil && !another {
		return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Agent: a.Name, Field: "role"},
			"%s is the only administrator: make another agent one first", a.Name)
	}
	return err
}

// expectedAgent returns the agent's current state, or the error that one of the functions returns for it. Refused with
// unknown_agent.
func expectedAgent(ctx context.Context, tx *desk.Tx, name string, looks ...func(Agent) error) (Agent, error) {
	agents, err := ReadAgents(ctx, tx, name)
	switch {
	case err != nil:
		return Agent{}, err
	case len(agents) == 0:
		return Agent{}, desk.UnknownAgent(name)
	}
	for _, look := range looks {
		if look == nil {
			continue
		}
		if err := look(agents[0]); err != nil {
			return Agent{}, err
		}
	}
	return agents[0], nil
}

// maxAttributes limits the length of an agent's attributes to that of a task's.
const maxAttributes = conversation.MaxAttributes

func validAttributes(text string) *conversation.Refusal { return desk.ValidObject(text, maxAttributes) }

// RemoveAgent removes an agent. Refused with invalid_payload: an agent with live tasks or matches, the last
// administrator. The functions receive the agent's current state and may also refuse. Records of the agent's work
// stay; the agent's API keys are revoked.
func RemoveAgent(ctx context.Context, d *desk.Desk, name string, expected ...func(Agent) error) error {
	return d.ExclusiveTx(ctx, "remove agent "+name, func(tx *desk.Tx) error {
		before, err := expectedAgent(ctx, tx, name, expected...)
		if err != nil {
			return err
		}
		if err := keepAdministrator(ctx, tx, before); err != nil {
			return err
		}
		live, _, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT
			(SELECT count(*) FROM tasks WHERE agent = $1 AND completed_at = 0 AND canceled_at = 0)
			+ (SELECT count(*) FROM placements WHERE agent = $1)`, name)
		if err != nil {
			return err
		}
		if live > 0 {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Agent: name},
				"%s still has %s: let them be completed or moved, then remove the agent", name, records.Plural(live, "live task"))
		}
		now := sqldb.Micros(d.Now())
		if err := auditLeaving(ctx, tx, before, now); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `DELETE FROM identities WHERE agent = $1`, name); err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `DELETE FROM agents WHERE name = $1`, name); err != nil {
			return err
		}
		if err := records.DismissAllNotices(ctx, tx, name, now); err != nil {
			return err
		}
		// A later agent with the same name may be another person.
		if err := access.RevokeKeysOf(ctx, tx, name, now); err != nil {
			return err
		}
		tx.Happen(desk.EventAgentDeleted, name, "", now)
		return nil
	})
}

// auditLeaving records that the agent is removed, and that it leaves the queues without an expression.
func auditLeaving(ctx context.Context, tx *desk.Tx, a Agent, now int64) error {
	values := []desk.Changed{{What: "agent.removed", Subject: a.Name, Before: string(a.Role)}}
	for _, name := range a.Queues {
		queue, err := findQueue(ctx, tx, name)
		if err != nil {
			return err
		}
		if queue.TargetWorkers == "" {
			values = append(values, desk.Changed{What: "queue.members", Subject: name, Before: a.Name})
		}
	}
	return tx.Audit(ctx, now, values...)
}

// SetCapacity sets how many tasks of the channel the agent may have at a time; 0 means none. Tasks that the agent
// already has stay with the agent.
func SetCapacity(ctx context.Context, d *desk.Desk, name string, channel conversation.Channel, capacity int) error {
	if refusal := validChannelCapacity(channel, capacity); refusal != nil {
		return refusal
	}
	return d.ExclusiveTx(ctx, "set capacity of "+name, func(tx *desk.Tx) error {
		if err := desk.RequireAgent(ctx, tx, name); err != nil {
			return err
		}
		return updateCapacity(ctx, tx, name, channel, capacity, sqldb.Micros(d.Now()))
	})
}

func updateCapacity(ctx context.Context, tx *desk.Tx, name string, channel conversation.Channel, capacity int, now int64) error {
	tx.WakeMatching()
	before, _, err := sqldb.First(ctx, tx, sqldb.Value[int], `SELECT capacity FROM agent_channels WHERE agent = $1 AND channel = $2`, name, string(channel))
	if err != nil || before == capacity {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE agent_channels SET capacity = $3 WHERE agent = $1 AND channel = $2`, name, string(channel), capacity); err != nil {
		return err
	}
	is := fmt.Sprintf("%s %d", channel, capacity)
	if err := tx.Audit(ctx, now, desk.Changed{What: "agent.capacity", Subject: name, Before: fmt.Sprintf("%s %d", channel, before), After: is}); err != nil {
		return err
	}
	tx.HappenWith(conversation.Event{Name: desk.EventAgentCapacity, Agent: name, Reason: is, Channel: channel, Capacity: &capacity}, now)
	return nil
}

// channelList lists every channel, as in "web, sms or email".
func channelList() string {
	names := make([]string, 0, len(conversation.Channels()))
	for _, channel := range conversation.Channels() {
		names = append(names, string(channel))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func validChannelCapacity(channel conversation.Channel, capacity int) *conversation.Refusal {
	if !slices.Contains(conversation.Channels(), channel) {
		return desk.Invalid("channel", "there is no channel %q: use %s", channel, channelList())
	}
	return validCapacity(capacity)
}

// ListAgents returns all agents, by name.
func ListAgents(ctx context.Context, d *desk.Desk) (agents []Agent, err error) {
	err = d.ReadTx(ctx, "read agents", func(tx *desk.Tx) error {
		agents, err = ReadAgents(ctx, tx)
		return err
	})
	return agents, err
}

// FindAgent returns the agent with that name; refused with unknown_agent.
func FindAgent(ctx context.Context, d *desk.Desk, name string) (Agent, error) {
	var agent Agent
	err := d.ReadTx(ctx, "read agent "+name, func(tx *desk.Tx) error {
		agents, err := ReadAgents(ctx, tx, name)
		if err == nil && len(agents) == 0 {
			return desk.UnknownAgent(name)
		}
		if err == nil {
			agent = agents[0]
		}
		return err
	})
	return agent, err
}

// AgentNameOf returns the name of the agent with that SID (WK…); refused with unknown_agent.
func AgentNameOf(ctx context.Context, d *desk.Desk, sid string) (name string, err error) {
	err = d.QueryOne(ctx, "read agent "+sid, func(tx *desk.Tx) error {
		var found bool
		name, found, err = sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM agents WHERE sid = $1`, sid)
		if err == nil && !found {
			return desk.UnknownAgent(sid)
		}
		return err
	})
	return name, err
}

// ReadAgents returns all agents, or only the named one, with channels and queues.
func ReadAgents(ctx context.Context, tx *desk.Tx, only ...any) ([]Agent, error) {
	where := func(column string) string {
		if len(only) == 0 {
			return ""
		}
		return ` WHERE ` + column + ` = $1`
	}
	activities, err := routing.ReadActivities(ctx, tx)
	if err != nil {
		return nil, err
	}
	agents, err := sqldb.All(ctx, tx, func(r sqldb.Row) (a Agent, err error) {
		var activity, attributes string
		err = r.Scan(&a.Name, &a.SID, &a.FriendlyName, &attributes, &a.Role, &a.Presence, &activity, sqldb.Instant(&a.PresenceSince), sqldb.Instant(&a.IdleSince),
			sqldb.Instant(&a.CreatedAt), sqldb.Instant(&a.UpdatedAt))
		a.FriendlyName, a.Attributes = cmp.Or(a.FriendlyName, a.Name), json.RawMessage(attributes)
		a.Channels, a.Queues, a.Activity = []AgentChannel{}, []string{}, routing.ActivityOf(a.Presence)
		for _, other := range activities {
			if other.SID == activity {
				a.Activity = other
			}
		}
		if a.UpdatedAt.IsZero() {
			a.UpdatedAt = a.CreatedAt
		}
		return a, err
	}, `SELECT name, sid, friendly_name, attributes, role, presence, activity, presence_at, idle_since, created_at, updated_at
		FROM agents`+where("name")+` ORDER BY name`, only...)
	if err != nil {
		return nil, err
	}
	byName := map[string]*Agent{}
	for i := range agents {
		byName[agents[i].Name] = &agents[i]
	}
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var agent string
		var c AgentChannel
		err := r.Scan(&agent, &c.Channel, &c.Capacity, &c.Load)
		if a := byName[agent]; a != nil {
			a.Channels = append(a.Channels, c)
		}
		return err
	}, `SELECT agent, channel, capacity, load FROM agent_channels`+where("agent"), only...); err != nil {
		return nil, err
	}
	for i := range agents {
		slices.SortFunc(agents[i].Channels, func(a, b AgentChannel) int {
			return slices.Index(conversation.Channels(), a.Channel) - slices.Index(conversation.Channels(), b.Channel)
		})
	}
	return agents, sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var agent, queue string
		err := r.Scan(&agent, &queue)
		if a := byName[agent]; a != nil {
			a.Queues = append(a.Queues, queue)
		}
		return err
	}, `SELECT agent, queue FROM queue_agents`+where("agent")+` ORDER BY agent, queue`, only...)
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func validName(of, name string) *conversation.Refusal {
	if !namePattern.MatchString(name) {
		return desk.Invalid("name", "%q can't be the %s's name: use 1 to 64 lower-case letters, digits, '.', '_' or '-', "+
			"beginning with a letter or digit", name, of)
	}
	return nil
}

func validRole(r desk.Role) *conversation.Refusal {
	if !slices.Contains(desk.Roles(), r) {
		return desk.Invalid("role", "there is no role %q: choose %s, %s or %s", r, desk.RoleAgent, desk.RoleSupervisor, desk.RoleAdmin)
	}
	return nil
}

func validCapacity(capacity int) *conversation.Refusal {
	if capacity < 0 || capacity > maxCapacity {
		return desk.Invalid("capacity", "a capacity of %d is not possible: choose 0 to %d", capacity, maxCapacity)
	}
	return nil
}

func (a NewAgent) summary() string {
	words := []string{string(a.Role), fmt.Sprintf("capacity %d", a.Capacity)}
	if a.Attributes != "" && a.Attributes != "{}" {
		words = append(words, "attributes "+a.Attributes)
	}
	return strings.Join(words, ", ")
}

// Matches reports whether the expression is true for the agent, evaluated as for a queue. Its errors are those of
// [expression.Expression.Evaluate].
func (a Agent) Matches(b *expression.Budget, e *expression.Expression) (bool, error) {
	of, err := routing.TraitsOf(a.Name, string(a.Attributes))
	if err != nil {
		return false, err
	}
	holds, err := e.Evaluate(b, of)
	if err != nil {
		return false, desk.Wrap("evaluate an expression on the attributes of "+a.Name, err)
	}
	return holds, nil
}
