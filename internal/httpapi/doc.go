// Package httpapi serves the part of Twilio's Flex, TaskRouter and Conversations APIs that messaging transfers use.
// Twilio's own helper libraries can use Baton with another base URL.
//
// The API translates and decides nothing. It sends commands to conversations through internal/commands and reads
// records from the desk. Every refusal comes from the rules or from the desk. Must not contain: rules, SQL, Temporal,
// pages.
//
// Where to look:
//   - flex/, taskrouter/, conversations/: the resources of each product. tasks/: what they share.
//   - rest/: the server, and what every resource uses.
//   - webhook/: delivers events to the workspace's EventCallbackURL.
package httpapi
