// Package desk is the contact center's database as its other packages share it: opening and migrating it, transactions,
// locks between them, wake-ups, sealed columns, the event log, the audit list and the settings.
//
// The packages above it keep its records, each with its own functions over a [Desk] or a transaction ([Tx]):
//   - access: the account, API keys, sign-in sessions and identities.
//   - records: conversations, tasks, transfers, transcripts, notes, participants; who may read them.
//   - routing: snapshots of conversations, matching, offers, presence, activities.
//   - routes: TaskRouter workflows, which choose the queue of a new task.
//   - people: agents, queues and the directory.
//   - outbox: webhooks, and pages of the event log.
//   - insights: figures.
//
// The conversation's workflow decides and the desk follows. The desk's rows come from the snapshots that
// conversations send (routing.Sync), so it never shows anything that a conversation's history does not contain.
//
// Must not import: the packages above it, Temporal, HTTP. The rules of a conversation belong in package conversation,
// and SQL for one database only in package sqldb.
//
// Where to look:
//   - transaction.go: what a transaction may do, and what happens after its commit.
//   - locks.go: locks between concurrent write transactions; notifier.go: wake-ups between processes.
//   - events.go: the event log and the desk's own events; audit.go: who changed what.
//   - cipher.go: the sealed columns; sealall.go: sealing with a new key.
//   - migrations/: the tables, and the index for every frequent query.
package desk
