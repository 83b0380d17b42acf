// Package httpapi serves the part of Twilio's Flex, TaskRouter and Conversations APIs that messaging transfers use.
// Twilio's own helper libraries can use Baton with another base URL.
//
// The API translates and decides nothing. It sends commands to conversations through baton.Client and reads records
// from the desk. Every refusal comes from the rules or from the desk. Must not contain: rules, SQL, Temporal, pages.
//
// Where to look:
//   - rest/: the server, the table of routes and what every resource uses.
//   - flex/, taskrouter*.go, conversations/: the resources. tasks/: what they share.
//   - webhook/: delivers events to the workspace's EventCallbackURL.
package httpapi
