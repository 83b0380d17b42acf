package web

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// In the demo everybody has a host of their own, as alice.localhost, which browsers take for this machine:
// the tabs of one browser share its cookies, and still can be several people. Nobody else can have a name
// that ends so.
const (
	demoSuffix = ".localhost"
	// demoAdministrator comes before the suffix where a supervisor acts as the demo's administrator.
	demoAdministrator = ".administrator"
)

// demoPerson is whom a request to the demo is from by its host, and false where that says nothing.
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

// demoAddress is a path at somebody's own host; at the one that is nobody's where there is no name.
func demoAddress(r *http.Request, name, path string) string {
	host := strings.TrimPrefix(name+demoSuffix, ".")
	if _, port, err := net.SplitHostPort(r.Host); err == nil {
		host = net.JoinHostPort(host, port)
	}
	return (&url.URL{Scheme: "http", Host: host}).String() + path
}

// demoChoice is somebody to be in the demo, and where.
type demoChoice struct {
	desk.Agent
	// Choice is how the agent is named, see [desk.Choices].
	Choice string
	// Address is their own, Administrator that of a supervisor as administrator, empty for others.
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

// hostOf is an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]")
	}
	return host
}
