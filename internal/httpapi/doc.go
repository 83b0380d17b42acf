// Package httpapi serves the part of Twilio's Flex, TaskRouter and Conversations APIs that messaging transfers use.
// Twilio's own helper libraries can use Baton with another base URL.
//
// The package translates and decides nothing. It sends commands to conversations through baton.Client and reads
// records from the desk. Every refusal comes from the rules or from the desk. Must not contain: rules, SQL,
// Temporal, pages.
//
// Where to look:
//   - route.go: the table of all routes: who may call them, what they take and what they answer. The router, the
//     permissions, /openapi.json and the table in docs/http.md are made from it.
//   - call.go: one request from credentials to answer. problem.go: which refusal becomes which HTTP error.
//   - flex*.go, taskrouter*.go, conversations*.go: the resources.
//   - view.go: the present state of one conversation. settle.go: callers read their own writes.
//   - webhook/: delivers events to the workspace's EventCallbackURL.
package httpapi
