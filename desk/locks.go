package desk

import (
	"context"
)

// locks are the queries that separate concurrent write transactions.
//
// On SQLite they are empty and do nothing, because SQLite runs one write transaction at a time. On PostgreSQL an
// exclusive transaction ([Desk.exclusiveTx]) runs alone. That is correct by construction, and serves
// administration, presence and all rare changes. Frequent changes run in shared transactions ([Desk.sharedTx]).
// These lock what they base their decisions on, in this order, so that they cannot deadlock:
//
//  1. The conversation with its live tasks (holdConversation), or its transcript alone (holdTranscript). A snapshot
//     reads the rows of its conversation only after it has locked them. It changes no other rows until it locks the
//     routing.
//  2. The routing (holdRouting): loads, idle times and matches of all agents. Only one transaction at a time counts
//     and matches, so it sees every match and every load: it overbooks no capacity and misses no free agent. This
//     lock comes last but one and is held briefly. Its holder takes waiting tasks of other conversations only if
//     they are not locked (skipLocked). If they are, a snapshot holds them, and places them itself once it has the
//     routing. So the holder of the routing never waits for a conversation.
//  3. The event log's position (appendEvents), just before the commit: positions are in commit order, without gaps.
//
// Each statement sees what was committed before it began. So a transaction reads again, after it has locked a row,
// what it had read before.
type locks struct {
	// alone and beside begin an exclusive or a shared transaction. conversation, tasks and routing lock these;
	// stream locks a stream of webhooks.
	alone, beside, conversation, tasks, routing, stream string
	// rowsOf, followed by a table's name, ends a query that locks the rows it reads. With skip after that, the
	// query skips locked rows.
	rowsOf, skip string
}

// enter waits until the transaction may write: an exclusive one until all others have ended, a shared one until the
// exclusive ones have.
func (t *transaction) enter(ctx context.Context, alone bool) error {
	query := t.locks.beside
	if alone {
		query = t.locks.alone
	}
	return t.hold(ctx, query)
}

func (t *transaction) hold(ctx context.Context, query string, args ...any) error {
	if query == "" {
		return nil
	}
	err := eachRow(ctx, t, func(row) error { return nil }, query, args...)
	if err != nil {
		return wrap("wait for others", err)
	}
	return nil
}

// holdConversation locks the conversation and its live tasks: no other transaction changes or matches them until
// this one ends. It does nothing for a conversation that does not exist.
func (t *transaction) holdConversation(ctx context.Context, sid string) error {
	if err := t.hold(ctx, t.locks.conversation, sid); err != nil {
		return err
	}
	return t.hold(ctx, t.locks.tasks, sid)
}

// holdTranscript locks the conversation without its tasks, which other transactions may still match.
func (t *transaction) holdTranscript(ctx context.Context, sid string) error {
	return t.hold(ctx, t.locks.conversation, sid)
}

// holdRouting locks the routing, unless the transaction holds it already.
func (t *transaction) holdRouting(ctx context.Context) error {
	if t.routing {
		return nil
	}
	t.routing = true
	return t.hold(ctx, t.locks.routing)
}

// holdStream locks a stream of webhooks, that is, which event is its head. It also locks other things that have a
// name but no row.
func (t *transaction) holdStream(ctx context.Context, stream string) error {
	return t.hold(ctx, t.locks.stream, stream)
}

// rowsOf ends a query that locks the rows it reads of the table. It returns "" in a transaction that only reads.
func (t *transaction) rowsOf(table string) string {
	if t.locks.rowsOf == "" {
		return ""
	}
	return t.locks.rowsOf + table
}

// skipLocked ends a query that locks the rows it reads of the table and skips those that are locked already.
func (t *transaction) skipLocked(table string) string {
	if t.locks.rowsOf == "" {
		return ""
	}
	return t.locks.rowsOf + table + t.locks.skip
}
