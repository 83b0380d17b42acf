package httpapi

import (
	"net/http"
	"slices"

	"github.com/baton-transfers/baton/desk"
)

// product names the Twilio API that a route belongs to.
type product string

const (
	taskrouter    product = "TaskRouter"
	flex          product = "Flex"
	conversations product = "Conversations"
)

// route describes one call of the API.
type route struct {
	product product
	method  string
	path    string
	access  access
	// status is the HTTP status of a successful call.
	status int
	// does states in a sentence what the call does; differs states how that differs from Twilio's API.
	does, differs string
	// takes lists the parameters that the call reads from its query or its body. A required one ends in *.
	takes []string
	// refused lists the other parameters that Twilio documents for the call.
	refused []unsupported
	// json is set if the body is JSON instead of a form.
	json bool
	// list is the key of the list that the call answers with; "" for a single resource.
	list string
	// reply is a zero value of the answer; nil for an empty answer.
	reply  any
	handle func(*call) (any, error)
}

// String returns the method and the path, for logs.
func (r route) String() string { return r.method + " " + r.path }

// paging lists the parameters that every list takes.
var paging = []string{"PageSize", "Page", "PageToken"}

// routes returns all routes of the API.
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

// The methods below add the other properties of a route. Each returns the changed route, so that calls can be
// chained.

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
	// Roles are the roles of the keys that may call it. An agent's key acts for its own agent only.
	Roles []desk.KeyRole
	// Status is the HTTP status of a successful call.
	Status int
	// Does states what the call does; Differs states how that differs from Twilio's API.
	Does, Differs string
	// Takes lists the parameters of the query, or of the form or JSON in the body. A required one ends in *.
	Takes []string
	// Refuses lists the other parameters that Twilio documents for the call. A request that gives one a value is
	// refused, unless the value describes what Baton does in any case.
	Refuses []string
	JSON    bool
	// List is the key of the list in the answer; "" for a single resource. Reply is a zero value of the answer, or
	// of the list's entries; nil for an empty answer.
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
