// Package rest has what every resource of the HTTP API uses: a server that turns requests into calls of routes, and
// the call with its parameters, its caller, its commands and its answer.
//
// Where to look:
//   - route.go: what a route says of a call. The router, the permissions, /openapi.json and the table in docs/http.md
//     are made from the routes.
//   - serve.go: one request from credentials to answer. auth.go: who calls. once.go: repeated requests.
//   - input.go, paging.go: parameters and bodies. problem.go: which refusal becomes which HTTP error.
//   - view.go: the present state of one conversation. settle.go: callers read their own writes.
//   - render.go: answers in the form of Twilio's models.
//
// Must not contain: rules, SQL, Temporal, pages, resources. Must not import: other packages of the HTTP API.
package rest
