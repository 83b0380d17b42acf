package desk

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Role is what an agent may do.
type Role string

// Agents take conversations, supervisors read and move all of them as well, administrators also
// decide the settings.
const (
	RoleAgent      Role = "agent"
	RoleSupervisor Role = "supervisor"
	RoleAdmin      Role = "admin"
)

// mayReadAll tells whether people of the role read conversations that they don't have.
func (r Role) mayReadAll() bool { return r == RoleSupervisor || r == RoleAdmin }

// Presence is whether an agent takes conversations now.
type Presence string

// Only available agents are offered tasks.
const (
	PresenceAvailable Presence = "available"
	PresenceBreak     Presence = "break"
	PresenceOffline   Presence = "offline"
)

// DefaultCapacity is how many tasks of each channel an agent may have at a time, unless another number is set.
const DefaultCapacity = 3

// maxCapacity bounds what one agent can be given, against slips of the finger.
const maxCapacity = 1000

// NewAgent is an agent to be added.
type NewAgent struct {
	// Name is unique and lower-case, as in "alice".
	Name string
	// Role is RoleAgent where it is left out.
	Role Role
	// Capacity is for each channel; DefaultCapacity where it is left out.
	Capacity int
	// Presence is PresenceOffline where it is left out.
	Presence Presence
}

// Agent is somebody who works at the desk.
type Agent struct {
	Name     string   `json:"name"`
	SID      string   `json:"sid"`
	Role     Role     `json:"role"`
	Presence Presence `json:"presence"`
	// PresenceSince is when the presence last changed.
	PresenceSince time.Time `json:"presence_since"`
	// IdleSince is when they last became available, were matched with a task or had one change. Of
	// those who could take a task, the one with the earliest gets it.
	IdleSince time.Time      `json:"idle_since"`
	Channels  []AgentChannel `json:"channels"`
	// Queues are the names of the queues they are on.
	Queues    []string  `json:"queues"`
	CreatedAt time.Time `json:"created_at"`
}

// Available tells whether the agent is offered tasks.
func (a Agent) Available() bool { return a.Presence == PresenceAvailable }

// AgentChannel is how much of a channel an agent takes and has.
type AgentChannel struct {
	Channel  conversation.Channel `json:"channel"`
	Capacity int                  `json:"capacity"`
	// Load is the number of their reserved, assigned and wrapping tasks, and of matches not offered yet.
	// A transfer to the agent may take it above the capacity.
	Load int `json:"load"`
}

// AddAgent adds an agent. Refused with invalid_payload: a name that isn't lower-case, is taken or
// reserved, a role, presence or capacity that doesn't exist.
func (d *Desk) AddAgent(ctx context.Context, a NewAgent) error {
	if a.Role == "" {
		a.Role = RoleAgent
	}
	if a.Presence == "" {
		a.Presence = PresenceOffline
	}
	if a.Capacity == 0 {
		a.Capacity = DefaultCapacity
	}
	if refusal := validAgent(a); refusal != nil {
		return refusal
	}
	return d.write(ctx, "add agent "+a.Name, func(t *transaction) error { return t.addAgent(ctx, a, micros(d.now())) })
}

func validAgent(a NewAgent) *conversation.Refusal {
	if refusal := validName("agent", a.Name); refusal != nil {
		return refusal
	}
	switch {
	case a.Name == FromCustomer || a.Name == FromSystem:
		return invalid("name", "the name %q is reserved: choose another for the agent", a.Name)
	case !slices.Contains([]Role{RoleAgent, RoleSupervisor, RoleAdmin}, a.Role):
		return invalid("role", "there is no role %q: choose %s, %s or %s", a.Role, RoleAgent, RoleSupervisor, RoleAdmin)
	}
	if refusal := validPresence(a.Presence); refusal != nil {
		return refusal
	}
	return validCapacity(a.Capacity)
}

func (t *transaction) addAgent(ctx context.Context, a NewAgent, now int64) error {
	added, err := t.exec(ctx, `INSERT INTO agents (name, sid, role, presence, presence_at, idle_since, created_at)
		VALUES ($1, $2, $3, $4, $5, $5, $5) ON CONFLICT (name) DO NOTHING`,
		a.Name, conversation.AgentSID(a.Name), string(a.Role), string(a.Presence), now)
	if err != nil {
		return err
	}
	if added == 0 {
		return invalid("name", "there is an agent named %q already: choose another name", a.Name)
	}
	for _, channel := range conversation.Channels() {
		if _, err := t.exec(ctx, `INSERT INTO agent_channels (agent, channel, capacity, load) VALUES ($1, $2, $3, 0)`,
			a.Name, string(channel), a.Capacity); err != nil {
			return err
		}
		if err := t.countLoad(ctx, a.Name, channel); err != nil {
			return err
		}
	}
	t.leaves.place = true
	return nil
}

// RemoveAgent removes an agent who has nothing any more: with live tasks or offers they are refused
// with invalid_payload. What they did stays on record.
func (d *Desk) RemoveAgent(ctx context.Context, name string) error {
	return d.write(ctx, "remove agent "+name, func(t *transaction) error {
		if err := t.knowAgent(ctx, name); err != nil {
			return err
		}
		live, _, err := first(ctx, t, value[int], `SELECT
			(SELECT count(*) FROM tasks WHERE agent = $1 AND completed_at = 0 AND canceled_at = 0)
			+ (SELECT count(*) FROM placements WHERE agent = $1)`, name)
		if err != nil {
			return err
		}
		if live > 0 {
			return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Agent: name},
				"%s still has %d live tasks: let them be completed or moved, then remove the agent", name, live)
		}
		_, err = t.exec(ctx, `DELETE FROM agents WHERE name = $1`, name)
		return err
	})
}

// SetCapacity sets how many tasks of the channel the agent may have at a time; 0 for none. Tasks
// they have already stay theirs.
func (d *Desk) SetCapacity(ctx context.Context, name string, channel conversation.Channel, capacity int) error {
	if !slices.Contains(conversation.Channels(), channel) {
		return invalid("channel", "there is no channel %q: see the list of channels", channel)
	}
	if refusal := validCapacity(capacity); refusal != nil {
		return refusal
	}
	return d.write(ctx, "set capacity of "+name, func(t *transaction) error {
		if err := t.knowAgent(ctx, name); err != nil {
			return err
		}
		t.leaves.place = true
		_, err := t.exec(ctx, `UPDATE agent_channels SET capacity = $3 WHERE agent = $1 AND channel = $2`, name, string(channel), capacity)
		return err
	})
}

// Agents returns everybody who works at the desk, by name.
func (d *Desk) Agents(ctx context.Context) (agents []Agent, err error) {
	err = d.read(ctx, "read agents", func(t *transaction) error {
		agents, err = t.agents(ctx)
		return err
	})
	return agents, err
}

// Agent returns the agent of that name; refused with unknown_agent where there is none.
func (d *Desk) Agent(ctx context.Context, name string) (Agent, error) {
	var agent Agent
	err := d.read(ctx, "read agent "+name, func(t *transaction) error {
		agents, err := t.agents(ctx, name)
		if err == nil && len(agents) == 0 {
			return unknownAgent(name)
		}
		if err == nil {
			agent = agents[0]
		}
		return err
	})
	return agent, err
}

// agents reads everybody, or only the one named, with channels and queues.
func (t *transaction) agents(ctx context.Context, only ...any) ([]Agent, error) {
	where := func(column string) string {
		if len(only) == 0 {
			return ""
		}
		return ` WHERE ` + column + ` = $1`
	}
	agents, err := all(ctx, t, func(r row) (a Agent, err error) {
		err = r.Scan(&a.Name, &a.SID, &a.Role, &a.Presence, instant{&a.PresenceSince}, instant{&a.IdleSince}, instant{&a.CreatedAt})
		a.Channels, a.Queues = []AgentChannel{}, []string{}
		return a, err
	}, `SELECT name, sid, role, presence, presence_at, idle_since, created_at FROM agents`+where("name")+` ORDER BY name`, only...)
	if err != nil {
		return nil, err
	}
	byName := map[string]*Agent{}
	for i := range agents {
		byName[agents[i].Name] = &agents[i]
	}
	if err := each(ctx, t, func(r row) error {
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
	return agents, each(ctx, t, func(r row) error {
		var agent, queue string
		err := r.Scan(&agent, &queue)
		if a := byName[agent]; a != nil {
			a.Queues = append(a.Queues, queue)
		}
		return err
	}, `SELECT agent, queue FROM queue_agents`+where("agent")+` ORDER BY agent, queue`, only...)
}

// knowAgent refuses a name that is no agent's.
func (t *transaction) knowAgent(ctx context.Context, name string) error {
	_, err := t.presenceOf(ctx, name)
	return err
}

// presenceOf returns the agent's presence; refused with unknown_agent where there is none of that name.
func (t *transaction) presenceOf(ctx context.Context, name string) (Presence, error) {
	presence, found, err := first(ctx, t, value[Presence], `SELECT presence FROM agents WHERE name = $1`, name)
	if err == nil && !found {
		return "", unknownAgent(name)
	}
	return presence, err
}

// countLoad counts anew how many tasks of the channel the agent has.
func (t *transaction) countLoad(ctx context.Context, agent string, channel conversation.Channel) error {
	_, err := t.exec(ctx, `UPDATE agent_channels SET load =
			(SELECT count(*) FROM tasks WHERE agent = $1 AND channel = $2 AND completed_at = 0 AND canceled_at = 0 AND status <> 'pending')
			+ (SELECT count(*) FROM placements WHERE agent = $1 AND channel = $2)
		WHERE agent = $1 AND channel = $2`, agent, string(channel))
	if err != nil {
		return wrap("count the load of "+agent, err)
	}
	return nil
}

func unknownAgent(name string) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeUnknownAgent, conversation.Details{Agent: name},
		"there is no agent named %q: check the spelling, or add the agent at the desk", name)
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func validName(of, name string) *conversation.Refusal {
	if !namePattern.MatchString(name) {
		return invalid("name", "%q can't be the name of an %s: use 1 to 64 lower-case letters, digits, '.', '_' or '-', "+
			"beginning with a letter or digit", name, of)
	}
	return nil
}

func validPresence(p Presence) *conversation.Refusal {
	if !slices.Contains([]Presence{PresenceAvailable, PresenceBreak, PresenceOffline}, p) {
		return invalid("presence", "there is no presence %q: choose %s, %s or %s", p, PresenceAvailable, PresenceBreak, PresenceOffline)
	}
	return nil
}

func validCapacity(capacity int) *conversation.Refusal {
	if capacity < 0 || capacity > maxCapacity {
		return invalid("capacity", "a capacity of %d is not possible: choose 0 to %d", capacity, maxCapacity)
	}
	return nil
}
