package httpapi

import (
	"net/http"
	"slices"

	"github.com/baton-transfers/baton/desk"
)

// product is which of Twilio's APIs a route is of.
type product string

const (
	taskrouter    product = "TaskRouter"
	flex          product = "Flex"
	conversations product = "Conversations"
)

// route is one call of the API.
type route struct {
	product product
	method  string
	path    string
	access  access
	// status is that of a call that has done what it should.
	status int
	// does says what the call does, in a sentence; differs, how that is otherwise than Twilio's.
	does, differs string
	// takes are the parameters that the call reads, of its query or its body; a required one ends in *.
	takes []string
	// refused are the other parameters that Twilio documents for the call.
	refused []unsupported
	// json is set where the body is JSON instead of a form.
	json bool
	// list is the key of the list that the call answers with, "" for a single resource.
	list string
	// reply is a zero value of what is answered, nil for nothing.
	reply  any
	handle func(*call) (any, error)
}

// String names the route in logs.
func (r route) String() string { return r.method + " " + r.path }

// paging are the parameters of every list.
var paging = []string{"PageSize", "Page", "PageToken"}

// routes are all calls that there are.
func routes() []route {
	return slices.Concat(
		interactionRoutes(), participantRoutes(), transferRoutes(), noteRoutes(), insightRoutes(),
		workspaceRoutes(), workerRoutes(), queueRoutes(), taskRoutes(), reservationRoutes(), eventRoutes(), statisticsRoutes(),
		conversationRoutes(), messageRoutes(), memberRoutes(),
	)
}

func get(p product, path string, access access) route {
	return route{product: p, method: http.MethodGet, path: path, access: access, status: http.StatusOK}
}

func post(p product, path string, access access, status int) route {
	return route{product: p, method: http.MethodPost, path: path, access: access, status: status}
}

func remove(p product, path string, access access) route {
	return route{product: p, method: http.MethodDelete, path: path, access: access, status: http.StatusNoContent}
}

// The rest of a route is told one after the other.

func (r route) says(does string) route     { r.does = does; return r }
func (r route) but(differs string) route   { r.differs = differs; return r }
func (r route) with(takes ...string) route { r.takes = append(r.takes, takes...); return r }
func (r route) only(name, value string) route {
	r.refused = append(r.refused, unsupported{name, value})
	return r
}

func (r route) without(names ...string) route {
	for _, name := range names {
		r = r.only(name, "")
	}
	return r
}
func (r route) asJSON() route                  { r.json = true; return r }
func (r route) answers(reply any) route        { r.reply = reply; return r }
func (r route) lists(key string, of any) route { r.list, r.reply = key, of; return r.with(paging...) }
func (r route) by(handle handler) route        { r.handle = handle; return r }

type handler = func(*call) (any, error)

// Route describes a call of the API, for documents and tests.
type Route struct {
	Product, Method, Path string
	// Roles are the roles of the keys that may call it; of agents' keys each for its own agent only.
	Roles []desk.KeyRole
	// Status is that of a call that has done what it should.
	Status int
	// Does says what the call does, Differs how that is otherwise than Twilio's.
	Does, Differs string
	// Takes are the parameters, of the query or of the form or JSON in the body; a required one ends in *.
	Takes []string
	// Refuses are the other parameters that Twilio documents for the call: with a value they are refused, except one that
	// says what Baton does in any case.
	Refuses []string
	JSON    bool
	// List is the key of the list that is answered, "" for a single resource; Reply a zero value of what
	// is answered, or of what the list holds, nil for nothing.
	List  string
	Reply any
}

// Routes returns every call of the API.
func Routes() []Route {
	var found []Route
	for _, r := range routes() {
		described := Route{
			Product: string(r.product), Method: r.method, Path: r.path, Status: r.status, Does: r.does, Differs: r.differs,
			Takes: r.takes, JSON: r.json, List: r.list, Reply: r.reply,
		}
		for _, refused := range r.refused {
			described.Refuses = append(described.Refuses, refused.name)
		}
		for _, role := range desk.KeyRoles() {
			if r.access.allows(role) {
				described.Roles = append(described.Roles, role)
			}
		}
		found = append(found, described)
	}
	return found
}
