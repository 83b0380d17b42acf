// Package httpapi serves the part of Twilio's Flex, TaskRouter and Conversations APIs that messaging
// transfers touch, so that Twilio's own helper libraries drive Baton against another base URL.
//
// It translates and decides nothing: commands go to the conversation through baton.Client, records come
// from the desk, and every refusal is the rules' or the desk's own. What may not come in: rules, SQL,
// Temporal, pages.
//
// Where to look:
//   - route.go: the table of all routes: who may call them, what they take and answer. The router, the
//     permissions, /openapi.json and the table in docs/http.md are made from it.
//   - call.go: one request from credentials to answer. problem.go: which refusal is which HTTP error.
//   - flex*.go, taskrouter*.go, conversations*.go: the resources.
//   - view.go: one conversation as it is now; settle.go: whoever has written reads what they wrote.
//   - webhook/: the events, delivered to whoever listens.
package httpapi
