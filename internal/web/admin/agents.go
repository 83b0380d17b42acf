package admin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// agentsPage is the data of the page /admin/agents.
type agentsPage struct {
	Agents []people.Agent
	// Names are the display names of queues.
	Names desk.Names
	// Form adds an agent.
	Form edit
}

// Roles returns the choices of an agent's role.
func (agentsPage) Roles() []desk.Role { return desk.Roles() }

// Skills returns the agent's skills, separated by commas.
func (agentsPage) Skills(a people.Agent) string { return skillsOf(a.Attributes) }

func showAgents(v *site.Visit) error { return agentList(v, http.StatusOK, edit{}) }

func agentList(v *site.Visit, status int, e edit) error {
	if e.fields == nil {
		e.fields = url.Values{"role": {string(desk.RoleAgent)}, "capacity": {strconv.Itoa(people.DefaultCapacity)}}
	}
	agents, err := people.ListAgents(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	known, err := desk.ReadNames(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	return v.Render(status, "admin_agents", site.Page{Title: "Agents", Section: "admin", Body: agentsPage{agents, known, e}})
}

func addAgent(v *site.Visit) error {
	e := typed(v)
	added := people.NewAgent{
		Name: strings.TrimSpace(e.Value("name")), FriendlyName: strings.TrimSpace(e.Value("friendly_name")),
		Role: desk.Role(e.Value("role")), Attributes: withSkills("{}", e.Value("skills")),
	}
	var err error
	if added.Capacity, err = e.capacity("capacity"); err == nil && added.Capacity == 0 {
		err = wrong("capacity", "a new agent takes at least one conversation a channel: set channels to 0 afterwards")
	}
	if added.Name == "" && added.FriendlyName == "" {
		err = wrong("friendly_name", "type the name that people read")
	}
	if err == nil {
		added.Name, err = people.RegisterAgent(acting(v), v.Desk, added)
	}
	return changedOrNot(v, err, "/admin/agents/"+url.PathEscape(added.Name), "Added "+words.Isolated(cmp.Or(added.FriendlyName, added.Name))+".", func(status int, e edit) error {
		return agentList(v, status, e)
	})
}

// capacity parses how many conversations an agent takes at a time, 0 for none.
func (e edit) capacity(name string) (int, error) {
	capacity, err := strconv.Atoi(strings.TrimSpace(e.Value(name)))
	if err != nil {
		return 0, wrong("capacity", "a capacity is a whole number of conversations at a time, 0 for none")
	}
	return capacity, nil
}

// agentPage is the data of the page /admin/agents/{name}.
type agentPage struct {
	Agent people.Agent
	Form  edit
	// Queues are all queues, Choices their names.
	Queues  []people.Queue
	Choices people.Choices
	// Bound is the account at the OpenID Connect provider that the agent signs in with; nil for none yet.
	Bound *access.Identity
	// RemoveRefused is why the agent could not be removed.
	RemoveRefused string
}

// Roles returns the choices of an agent's role.
func (agentPage) Roles() []desk.Role { return desk.Roles() }

// On reports whether the agent is a member of the queue.
func (p agentPage) On(queue string) bool { return slices.Contains(p.Agent.Queues, queue) }

func showAgent(v *site.Visit) error { return respondAgent(v, http.StatusOK, agentPage{}) }

func respondAgent(v *site.Visit, status int, body agentPage) (err error) {
	if body.Agent, err = people.FindAgent(v.Ctx, v.Desk, v.R.PathValue("name")); err != nil {
		return missing(err)
	}
	if body.Queues, err = people.ListQueues(v.Ctx, v.Desk); err != nil {
		return err
	}
	if body.Choices, err = people.ReadChoices(v.Ctx, v.Desk); err != nil {
		return err
	}
	if bound, ok, err := access.IdentityOf(v.Ctx, v.Desk, body.Agent.Name); err != nil {
		return err
	} else if ok {
		body.Bound = &bound
	}
	if body.Form.fields == nil {
		body.Form = filled(agentFields(body.Agent, body.Queues))
	}
	return v.Render(status, "admin_agent", site.Page{Title: words.Isolated(body.Agent.FriendlyName), Section: "admin", Body: body})
}

// fieldAttributes is the field of all attributes. A field named "attributes" would hide the form's own property
// from scripts.
const fieldAttributes = "json"

// agentFields returns the agent's values. It leaves out queues with an expression, which decides their members.
func agentFields(a people.Agent, queues []people.Queue) url.Values {
	fields := url.Values{
		"friendly_name": {a.FriendlyName}, "role": {string(a.Role)}, "skills": {skillsOf(a.Attributes)}, fieldAttributes: {indented(a.Attributes)},
	}
	for _, c := range a.Channels {
		fields.Set("capacity."+string(c.Channel), strconv.Itoa(c.Capacity))
	}
	for _, q := range queues {
		if q.TargetWorkers == "" && slices.Contains(a.Queues, q.Name) {
			fields.Add("queue", q.Name)
		}
	}
	return fields
}

func saveAgent(v *site.Visit) error {
	name := v.R.PathValue("name")
	change, err := typed(v).agent()
	if err == nil {
		err = people.UpdateAgent(acting(v), v.Desk, name, change)
	}
	return changedOrNot(v, err, "/admin/agents/"+url.PathEscape(name), "Saved.", func(status int, e edit) error {
		return respondAgent(v, status, agentPage{Form: e})
	})
}

// agent returns the changes of the form. The field of skills overrides the skills in the field of attributes. Only
// the attributes that were changed on the page are changed.
func (e edit) agent() (people.AgentChange, error) {
	change := people.AgentChange{FriendlyName: e.text("friendly_name")}
	if role := e.text("role"); role != nil {
		change.Role = new(desk.Role(*role))
	}
	for _, channel := range conversation.Channels() {
		field := "capacity." + string(channel)
		if !e.changed(field) {
			continue
		}
		capacity, err := e.capacity(field)
		if err != nil {
			return change, err
		}
		if change.Capacity == nil {
			change.Capacity = map[conversation.Channel]int{}
		}
		change.Capacity[channel] = capacity
	}
	was, attributes := compact(e.was.Get(fieldAttributes)), compact(e.Value(fieldAttributes))
	if e.changed("skills") {
		attributes = withSkills(attributes, e.Value("skills"))
	}
	if e.changed("skills") || e.changed(fieldAttributes) {
		change.Rewrite = func(are string) string { return merged(compact(are), was, attributes) }
	}
	change.Join, change.Leave = e.chosen("queue")
	return change, nil
}

func removeAgent(v *site.Visit) error {
	name := v.R.PathValue("name")
	friendly, err := desk.AgentNames(v.Ctx, v.Desk, name)
	if err != nil {
		return err
	}
	return changedOrNot(v, people.RemoveAgent(acting(v), v.Desk, name), "/admin/agents", "Removed "+words.Isolated(friendly[name])+".", func(status int, e edit) error {
		return respondAgent(v, status, agentPage{RemoveRefused: e.refused})
	})
}

// unbindAgent releases the agent from their account at the OpenID Connect provider.
func unbindAgent(v *site.Visit) error {
	name := v.R.PathValue("name")
	return changedOrNot(v, access.ReleaseIdentity(acting(v), v.Desk, name), "/admin/agents/"+url.PathEscape(name), "Released.", func(status int, e edit) error {
		return respondAgent(v, status, agentPage{RemoveRefused: e.refused})
	})
}

// keySkills is the attribute in which the expressions of queues look for skills.
const keySkills = "skills"

// skillsOf returns the skills separated by commas, "" if the attributes have no list of skills.
func skillsOf(attributes json.RawMessage) string {
	var of struct {
		Skills []string `json:"skills"`
	}
	if json.Unmarshal(attributes, &of) != nil {
		return ""
	}
	return strings.Join(of.Skills, ", ")
}

// withSkills sets the skills, separated by commas, in the attributes. It returns attributes that are not a JSON
// object unchanged, so that the desk refuses them.
func withSkills(attributes, skills string) string {
	var of map[string]json.RawMessage
	if json.Unmarshal([]byte(attributes), &of) != nil || of == nil {
		return attributes
	}
	var named []string
	for skill := range strings.SplitSeq(skills, ",") {
		if skill = strings.TrimSpace(skill); skill != "" && !slices.Contains(named, skill) {
			named = append(named, skill)
		}
	}
	delete(of, keySkills)
	if named != nil {
		of[keySkills] = json.RawMessage(plainJSON(named))
	}
	return plainJSON(of)
}

// merged applies the changes of a page to the current attributes. are is the current value, were the value from
// when the page was made, made the value from the page. If another person has changed other attributes since, it
// merges attribute by attribute. If a value is not a JSON object, it returns made, which the desk checks.
func merged(are, were, made string) string {
	var now, before, after map[string]json.RawMessage
	if are == were || json.Unmarshal([]byte(made), &after) != nil || after == nil ||
		json.Unmarshal([]byte(are), &now) != nil || json.Unmarshal([]byte(were), &before) != nil {
		return made
	}
	for name := range before {
		if _, kept := after[name]; !kept {
			delete(now, name)
		}
	}
	for name, value := range after {
		if !bytes.Equal(value, before[name]) {
			now[name] = value
		}
	}
	return plainJSON(now)
}

// plainJSON encodes strings, lists and maps as JSON, without escaping < and >.
func plainJSON(value any) string {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) //nolint:errchkjson // these values always have a JSON form
	return strings.TrimSpace(encoded.String())
}

// compact removes the spaces between JSON values. It only trims text that is not JSON.
func compact(text string) string {
	var without bytes.Buffer
	if json.Compact(&without, []byte(text)) != nil {
		return strings.TrimSpace(text)
	}
	return without.String()
}

// indented formats JSON for people.
func indented(raw json.RawMessage) string {
	var lines bytes.Buffer
	if json.Indent(&lines, raw, "", "  ") != nil {
		return string(raw)
	}
	return lines.String()
}
