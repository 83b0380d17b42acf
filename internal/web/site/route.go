package site

import (
	"github.com/baton-transfers/baton/internal/desk"
)

// Access is the set of roles that may use a route. The desk decides which conversations an agent sees
// ([records.AsAgent]).
type Access int

const (
	// Everybody includes visitors who are not signed in: the customer's pages, sign-in, and assets.
	Everybody Access = iota
	// Agents also includes supervisors and administrators.
	Agents
	// Supervisors also includes administrators.
	Supervisors
	// Administrators are those who may change the settings.
	Administrators
)

// allows reports whether a person with the role may use the route. The role "" means not signed in.
func (a Access) allows(role desk.Role) bool {
	switch a {
	case Everybody:
		return true
	case Agents:
		return role != ""
	case Supervisors:
		return role == desk.RoleSupervisor || role == desk.RoleAdmin
	case Administrators:
		return role == desk.RoleAdmin
	}
	return false
}

// Route is one page or one form.
type Route struct {
	Method, Path string
	Access       Access
	Handle       func(*Visit) error
	// Stream is set for a response that lasts until the browser disconnects.
	Stream bool
	// Part is set for a fragment that an open page fetches. Sign-in does not return to it.
	Part bool
}

// String returns the name of the route for logs.
func (r Route) String() string { return r.Method + " " + r.Path }

// Roles returns the roles that may use the route. The role "" means not signed in.
func (r Route) Roles() (roles []desk.Role) {
	for _, role := range append([]desk.Role{""}, desk.Roles()...) {
		if r.Access.allows(role) {
			roles = append(roles, role)
		}
	}
	return roles
}
