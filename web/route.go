package web

import (
	"slices"

	"github.com/baton-transfers/baton/desk"
)

// access is who may use a route. Which conversations an agent sees is the desk's to say ([desk.AsAgent]).
type access int

const (
	// everybody, signed in or not: the customer's pages, signing in, and assets.
	everybody access = iota
	// agents, and with them supervisors and administrators.
	agents
	// supervisors and administrators.
	supervisors
	administrators
)

// allows tells whether people of the role may use the route; "" is somebody who isn't signed in.
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

// route is one page, or one form.
type route struct {
	method, path string
	access       access
	handle       func(*visit) error
	// stream is set for what goes on until the browser leaves.
	stream bool
	// part is set for what a page that is open fetches of itself: nothing to come back to after signing in.
	part bool
}

// String names the route in logs.
func (r route) String() string { return r.method + " " + r.path }

func (s *Site) routes() []route {
	return slices.Concat(s.signInRoutes(), s.deskRoutes(), s.chatRoutes(), s.conversationRoutes(), s.adminRoutes(), s.insightRoutes(), s.noticeRoutes())
}

// Route describes a page or a form, for tests.
type Route struct {
	Method, Path string
	// Roles may use it; "" among them is somebody who isn't signed in.
	Roles []desk.Role
}

// Routes returns every page and form, assets apart.
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
