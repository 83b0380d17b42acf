// Package routing gives tasks to agents. It writes the snapshots that conversations send ([Sync]) to the desk's rows,
// and decides which agent a waiting task is matched with. A match becomes an offer only when the conversation has
// accepted it, see [Dispatch].
//
// Must not import: people, outbox, Temporal (a [Courier] delivers the desk's commands), HTTP.
//
// Where to look:
//   - sync.go: applies snapshots in one transaction; snapshot.go: what one of them changes; write.go: their rows;
//     together.go: which snapshots share a transaction. compare.go: compares the rows with a conversation.
//   - matching.go: which task goes to which agent; dispatch.go: delivery of matches to conversations.
//   - claim.go: an agent takes a waiting task; ended.go: conversations that ended without a snapshot.
//   - presence.go, activities.go: effects of an agent's change of presence.
//   - membership.go: which agents are on which queue.
//   - facts.go: what the conversations' activities ask; conversations.go: the desk as they use it.
package routing
