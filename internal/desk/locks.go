package desk

import "context"

// On SQLite one transaction writes at a time, and the locks of this file do nothing. On PostgreSQL an exclusive
// transaction ([Desk.ExclusiveTx]) runs alone. That is correct by construction, and serves administration, presence
// and all rare changes. Frequent changes run in shared transactions ([Desk.SharedTx]). These lock what they base their
// decisions on, in this order, so that they cannot deadlock:
//
//  1. Conversations, in order of SID, with their live tasks ([LockConversation]), or the transcript of one alone
//     ([LockTranscript]). A transaction that applies snapshots reads the rows of their conversations only after it has
//     locked them. It changes no other rows until it locks the routing.
//  2. The routing ([LockRouting]): loads, idle times and matches of all agents. Only one transaction at a time counts
//     and matches, so it sees every match and every load: it overbooks no capacity, misses no free agent, and passes
//     over no better task. This lock comes last but one and is held briefly. A transaction that applies many snapshots
//     takes it once. Its holder takes waiting tasks of other conversations only if they are not locked (SkipLocked).
//     If they are, a snapshot's transaction holds them, and matches them itself once it has the routing. So the holder
//     of the routing never waits for a conversation.
//  3. The event log's position (appendEvents), just before the commit: positions are in commit order, without gaps.
//
// Each statement sees what was committed before it began. So a transaction reads again, after it has locked a row,
// what it had read before.

// routingLock is the number of the routing's lock ([sqldb.Tx.LockNumber]).
const routingLock = 2

// Queries that lock the rows they read.
const (
	SelectConversationRow = `SELECT sid FROM conversations WHERE sid = $1`
	SelectLiveTasksOf     = `SELECT sid FROM tasks WHERE conversation = $1 AND completed_at = 0 AND canceled_at = 0 ORDER BY sid`
)

// LockConversation locks the conversation and its live tasks: no other transaction changes or matches them until
// this one ends. It does nothing for a conversation that does not exist.
func LockConversation(ctx context.Context, tx *Tx, sid string) error {
	if err := LockTranscript(ctx, tx, sid); err != nil {
		return err
	}
	return LockLiveTasks(ctx, tx, sid)
}

// LockTranscript locks the conversation without its tasks, which other transactions may still match.
func LockTranscript(ctx context.Context, tx *Tx, sid string) error {
	return tx.LockRows(ctx, "conversations", SelectConversationRow, sid)
}

// LockLiveTasks locks the conversation's live tasks.
func LockLiveTasks(ctx context.Context, tx *Tx, sid string) error {
	return tx.LockRows(ctx, "tasks", SelectLiveTasksOf, sid)
}

// LockRouting locks the routing, unless the transaction holds it already.
func LockRouting(ctx context.Context, tx *Tx) error {
	if tx.routing {
		return nil
	}
	tx.routing = true
	return tx.LockNumber(ctx, routingLock)
}

// LockStream locks a stream of webhooks, that is, which event is its head. It also locks other things that have a
// name but no row.
func LockStream(ctx context.Context, tx *Tx, stream string) error {
	return tx.LockText(ctx, stream)
}
