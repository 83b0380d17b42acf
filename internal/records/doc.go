// Package records keeps what happened in conversations: the conversations themselves, tasks, reservations, transfers,
// transcripts, notes, participants and their addresses, refusals, and notices to agents.
//
// Rows of conversations, tasks, reservations and transfers are written by package routing from snapshots. This package
// reads them, and writes what is not decided by a conversation: messages, notes, details and participants.
//
// Must not import: routes, routing, people, outbox, Temporal, HTTP.
//
// Where to look:
//   - reader.go: who may read and write what.
//   - transcript.go: messages; thread.go: a page of messages, tasks and events for the desk's pages.
//   - search.go: the list of conversations with its filters and its search; lists.go: lists of tasks and transfers.
//   - details.go, participants.go, addresses.go: what the HTTP API adds to a conversation.
//   - erase.go: removes what a customer has written.
package records
