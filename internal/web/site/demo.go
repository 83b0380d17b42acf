package site

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/forwarded"
	"github.com/baton-transfers/baton/internal/people"
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
func (v *Visit) demoPerson() (Person, bool, error) {
	name, ok := strings.CutSuffix(strings.ToLower(hostOf(v.R.Host)), demoSuffix)
	if !ok || !v.Options.Demo || !OnThisMachine(v.R) {
		return Person{}, false, nil
	}
	name, asAdministrator := strings.CutSuffix(name, demoAdministrator)
	agent, err := people.FindAgent(v.Ctx, v.Desk, name)
	switch {
	case conversation.CodeOf(err) == conversation.CodeUnknownAgent:
		return Person{}, false, nil
	case err != nil:
		return Person{}, false, err
	}
	p := Person{Agent: agent, Role: agent.Role, Leave: demoAddress(v.R, "", SignInPath)}
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

// DemoChoice is a person to choose in the demo, with their addresses.
type DemoChoice struct {
	people.Agent
	// Choice is the agent's name in the list, see [people.Choices].
	Choice string
	// Address is the person's own address. Administrator is a supervisor's address as administrator, "" for others.
	Address, Administrator string
}

// DemoChoices returns the choices for all agents. next is the path that their addresses open.
func DemoChoices(r *http.Request, everybody []people.Agent, known people.Choices, next string) []DemoChoice {
	choices := make([]DemoChoice, len(everybody))
	for i, agent := range everybody {
		choices[i] = DemoChoice{Agent: agent, Choice: known.Agent(agent.Name), Address: demoAddress(r, agent.Name, next)}
		if agent.Role == desk.RoleSupervisor {
			choices[i].Administrator = demoAddress(r, agent.Name+demoAdministrator, next)
		}
	}
	return choices
}

// OnThisMachine reports whether a request comes directly from this machine and is addressed to it. It checks the
// Host, because a page of another site whose name resolves to this machine sends that name.
func OnThisMachine(r *http.Request) bool {
	client := forwarded.Of(r)
	return client.Direct() && client.Address.IsLoopback() && isLoopback(r.Host)
}

// isLoopback reports whether an address, with or without a port, belongs to this machine.
func isLoopback(address string) bool {
	host := hostOf(address)
	ip, err := netip.ParseAddr(host)
	named := strings.ToLower(host)
	return named == "localhost" || strings.HasSuffix(named, demoSuffix) || (err == nil && ip.Unmap().IsLoopback())
}

// hostOf returns an address without its port.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return strings.Trim(address, "[]")
	}
	return host
}
