// Package desk keeps the contact center's records and routes its tasks. The records are agents and their presence,
// queues, tasks and reservations, transcripts, notes, settings, and the figures about transfers.
//
// The conversation's workflow decides and the desk follows. The desk builds its rows from the snapshots that
// conversations send ([routing.Sync]), so it never shows anything that a conversation's history does not contain. The
// desk itself decides only which agent a waiting task is matched with ([routing.Dispatch]). A match becomes an offer
// only when the conversation has accepted it.
//
// Must not import: Temporal (a [routing.Courier] delivers the desk's commands), HTTP. The rules of a conversation belong in
// package conversation. SQL for one database only belongs in sqlite.go and postgres.go.
//
// Where to look:
//   - sync.go: applies a snapshot to the rows.
//   - locks.go: locks between concurrent write transactions; notifier.go: wake-ups between processes.
//   - matching.go: which task goes to which agent; dispatch.go: delivery of matches to conversations.
//   - presence.go: effects of an agent's change of presence; membership.go: which agents are on which queue.
//   - events.go: the event log and the desk's own events; webhooks.go: delivery of events to receivers outside.
//   - account.go, keys.go: credentials of the HTTP API.
//   - reader.go: who may read and write what.
//   - migrations/: the tables, and the index for every frequent query.
package desk
