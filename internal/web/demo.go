package web

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// In the demo, each person has a host name, for example alice.localhost, which browsers resolve to this machine.
// The tabs of one browser share the cookies of one host, but can be several people this way. The suffix .localhost
// is reserved, so no other machine has such a name.
const (
	demoSuffix = ".localhost"
	// demoAdministrator comes before the suffix if a supervisor acts as the demo's administrator.
	demoAdministrator = ".administrator"
)

// demoPerson returns the person whose demo host the request names; false if it names none.
func (v *visit) demoPerson() (person, bool, error) {
	name, ok := strings.CutSuffix(strings.ToLower(hostOf(v.r.Host)), demoSuffix)
	if !ok || !v.options.Demo || !onThisMachine(v.r) {
		return person{}, false, nil
	}
	name, asAdministrator := strings.CutSuffix(name, demoAdministrator)
	agent, err := v.desk.Agent(v.ctx, name)
	switch {
	case conversation.CodeOf(err) == conversation.CodeUnknownAgent:
		return person{}, false, nil
	case err != nil:
		return person{}, false, err
	}
	p := person{Agent: agent, Role: agent.Role, Leave: demoAddress(v.r, "", SignInPath)}
	if asAdministrator && p.Role == desk.RoleSupervisor {
		p.Role = desk.RoleAdmin
	}
	return p, true, nil
}

// demoAddress returns the address of a path at the person's host, or at plain localhost if name is "".
func demoAddress(r *http.Request, name, path string) string {
	host := strings.TrimPrefix(name+demoSuffix, ".")
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		host = net.JoinHostPort(host, port)
	}
	return (&url.URL{Scheme: "http", Host: host}).String() + path
}

// demoChoice is a person to choose in the demo, with their addresses.
type demoChoice struct {
	desk.Agent
	// Choice is the agent's name in the list, see [desk.Choices].
	Choice string
	// Address is the person's own address. Administrator is a supervisor's address as administrator, "" for others.
	Address, Administrator string
}

func demoChoices(r *http.Request, everybody []desk.Agent, known desk.Choices, next string) []demoChoice {
	choices := make([]demoChoice, len(everybody))
	for i, agent := range everybody {
		choices[i] = demoChoice{Agent: agent, Choice: known.Agent(agent.Name), Address: demoAddress(r, agent.Name, next)}
		if agent.Role == desk.RoleSupervisor {
			choices[i].Administrator = demoAddress(r, agent.Name+demoAdministrator, next)
		}
	}
	return choices
}

// hostOf returns an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]")
	}
	return host
}
