// Package desk keeps the contact centre's records and does its routing: agents and their presence,
// queues, tasks and reservations, transcripts, notes, settings, and the figures about transfers.
//
// A conversation decides, the desk follows: its rows are made from the snapshots that
// conversations send ([Desk.Sync]), so it never shows what a conversation's history doesn't have.
// What it decides itself is whom a waiting task is matched with ([Desk.Dispatch]); a match becomes
// an offer only when the conversation has taken it.
//
// What may not come in: Temporal (a [Courier] carries what the desk has to say), the rules of a
// conversation (they are the package conversation's), HTTP, and SQL that only one database takes
// (that stands in sqlite.go and postgres.go).
//
// Where to look:
//   - sync.go: a snapshot becomes rows.
//   - locks.go: how transactions that write at the same time keep out of each other's way; notifier.go: how
//     desks in other processes are woken.
//   - matching.go: which task goes to which agent; dispatch.go: how the conversation learns of it.
//   - presence.go: what follows when an agent comes or goes; membership.go: who is on which queue.
//   - events.go: the event log, and what happens at the desk itself; webhooks.go: what is told of it outside.
//   - account.go, keys.go: who may use the HTTP API.
//   - reader.go: who may read and write what.
//   - migrations/: the tables and the index behind every hot query.
package desk
