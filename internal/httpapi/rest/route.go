package rest

import (
	"net/http"
	"slices"

	"github.com/baton-transfers/baton/internal/access"
)

// Product names the Twilio API that a route belongs to. The products have different error codes.
type Product string

// The products of which Baton serves a part.
const (
	ProductTaskRouter    Product = "TaskRouter"
	ProductFlex          Product = "Flex"
	ProductConversations Product = "Conversations"
)

// Route describes one call of the API.
type Route struct {
	Product Product
	Method  string
	Path    string
	// Status is the HTTP status of a successful call.
	Status int
	// Does states in a sentence what the call does; Differs states how that differs from Twilio's API.
	Does, Differs string
	// Takes lists the parameters that the call reads from its query or its body. A required one ends in *.
	Takes []string
	// JSON is set if the body is JSON instead of a form.
	JSON bool
	// List is the key of the list that the call answers with; "" for a single resource.
	List string
	// Reply is a zero value of the answer, or of the list's entries; nil for an empty answer.
	Reply any

	access Access
	// refused lists the other parameters that Twilio documents for the call.
	refused []unsupported
	handle  Handler
}

// Handler carries out a call. It returns the answer, or an error: a [Problem], a refusal of the rules or of the desk,
// or any other, which becomes an internal error.
type Handler = func(*Call) (any, error)

// String returns the method and the path, for logs.
func (r Route) String() string { return r.Method + " " + r.Path }

// Roles returns the roles of the keys that may call the route. An agent's key acts for its own agent only.
func (r Route) Roles() (allowed []access.KeyRole) {
	for _, role := range access.KeyRoles() {
		if r.access.allows(role) {
			allowed = append(allowed, role)
		}
	}
	return allowed
}

// Refuses returns the other parameters that Twilio documents for the call. A request that gives one a value is
// refused, unless the value describes what Baton does in any case.
func (r Route) Refuses() (names []string) {
	for _, refused := range r.refused {
		names = append(names, refused.name)
	}
	return names
}

// paging lists the parameters that every list takes.
var paging = []string{"PageSize", "Page", "PageToken"}

// Of returns the routes of all resources of a product.
func Of(product Product, resources ...[]Route) []Route {
	routes := slices.Concat(resources...)
	for i := range routes {
		routes[i].Product = product
	}
	return routes
}

// Get returns the route of a call that reads.
func Get(path string, access Access) Route {
	return Route{Method: http.MethodGet, Path: path, access: access, Status: http.StatusOK}
}

// Post returns the route of a call that creates or changes. The status is that of a successful call.
func Post(path string, access Access, status int) Route {
	return Route{Method: http.MethodPost, Path: path, access: access, Status: status}
}

// Delete returns the route of a call that removes. Its answer is empty.
func Delete(path string, access Access) Route {
	return Route{Method: http.MethodDelete, Path: path, access: access, Status: http.StatusNoContent}
}

// The methods below add the other properties of a route. Each returns the changed route, so that calls can be
// chained.

// Says sets what the call does.
func (r Route) Says(does string) Route { r.Does = does; return r }

// But sets how the call differs from Twilio's.
func (r Route) But(differs string) Route { r.Differs = differs; return r }

// With adds parameters that the call reads.
func (r Route) With(takes ...string) Route { r.Takes = append(r.Takes, takes...); return r }

// Only adds a parameter that is refused, except with that value.
func (r Route) Only(name, value string) Route {
	r.refused = append(r.refused, unsupported{name, value})
	return r
}

// Without adds parameters that are refused with any value.
func (r Route) Without(names ...string) Route {
	for _, name := range names {
		r = r.Only(name, "")
	}
	return r
}

// AsJSON makes the call read a body in JSON.
func (r Route) AsJSON() Route { r.JSON = true; return r }

// Answers sets the answer, by a zero value of it.
func (r Route) Answers(reply any) Route { r.Reply = reply; return r }

// Lists makes the call answer with pages of a list under that key, of which each entry is like the value.
func (r Route) Lists(key string, of any) Route { r.List, r.Reply = key, of; return r.With(paging...) }

// By sets the handler.
func (r Route) By(handle Handler) Route { r.handle = handle; return r }
