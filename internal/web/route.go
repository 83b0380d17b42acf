package web

import (
	"slices"

	"github.com/baton-transfers/baton/desk"
)

// access is the set of roles that may use a route. The desk decides which conversations an agent sees
// ([desk.AsAgent]).
type access int

const (
	// everybody includes visitors who are not signed in: the customer's pages, sign-in, and assets.
	everybody access = iota
	// agents also includes supervisors and administrators.
	agents
	// supervisors also includes administrators.
	supervisors
	administrators
)

// allows reports whether a person with the role may use the route. The role "" means not signed in.
func (a access) allows(role desk.Role) bool {
	switch a {
	case everybody:
		return true
	case agents:
		return role != ""
	case supervisors:
		return role == desk.RoleSupervisor || role == desk.RoleAdmin
	case administrators:
		return role == desk.RoleAdmin
	}
	return false
}

// route is one page or one form.
type route struct {
	method, path string
	access       access
	handle       func(*visit) error
	// stream is set for a response that lasts until the browser disconnects.
	stream bool
	// part is set for a fragment that an open page fetches. Sign-in does not return to it.
	part bool
}

// String returns the name of the route for logs.
func (r route) String() string { return r.method + " " + r.path }

func (s *Site) routes() []route {
	return slices.Concat(s.signInRoutes(), s.deskRoutes(), s.chatRoutes(), s.conversationRoutes(), s.adminRoutes(), s.insightRoutes(), s.noticeRoutes())
}

// Route describes a page or a form, for tests.
type Route struct {
	Method, Path string
	// Roles may use the route. The role "" means not signed in.
	Roles []desk.Role
}

// Routes returns every page and form, without the assets.
func (s *Site) Routes() []Route {
	var found []Route
	for _, r := range s.routes() {
		described := Route{Method: r.method, Path: r.path}
		for _, role := range []desk.Role{"", desk.RoleAgent, desk.RoleSupervisor, desk.RoleAdmin} {
			if r.access.allows(role) {
				described.Roles = append(described.Roles, role)
			}
		}
		found = append(found, described)
	}
	return found
}
