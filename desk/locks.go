package desk

import (
	"context"
)

// How transactions that write keep out of each other's way.
//
// SQLite lets one write at a time, and everything here does nothing. Elsewhere a transaction has the desk to
// itself ([Desk.write]): right by construction, and what administration, presence and everything rare does. What
// happens often runs beside others ([Desk.writeBeside]), and takes what it decides on, in this order, so that
// nobody waits in a circle:
//
//  1. The conversation, with its live tasks (holdConversation), or its transcript alone (holdTranscript). A
//     snapshot changes only what belongs to its conversation until then, and reads it only since.
//  2. The routing (holdRouting): loads, idle times and matches of all agents. One transaction at a time counts
//     and matches, so that it sees every match and every load there is: no capacity is overbooked, and nobody
//     free is missed. It comes last but one and is short. Who has it takes waiting tasks of other conversations only
//     where nobody holds them (skipLocked): whoever does hold them is a snapshot that places them itself, when the
//     routing is its own. So nobody who has the routing waits for a conversation.
//  3. The event log's position (appendEvents), just before the commit: positions are in the order of commits, without holes.
//
// Each statement sees what was committed before it began: what was read before something was held is read again.
type locks struct {
	// alone and beside enter the desk; conversation, tasks and routing take these, stream a stream of webhooks.
	alone, beside, conversation, tasks, routing, stream string
	// rowsOf, followed by the name of a table, ends a query that takes the rows it reads; after that, skip has it pass
	// over those that somebody holds.
	rowsOf, skip string
}

// enter waits until the transaction may write: until all others have ended, or only those that are alone.
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

// holdConversation takes the conversation and its live tasks: nobody else changes or matches them until the
// transaction ends. It does nothing for a conversation that isn't there.
func (t *transaction) holdConversation(ctx context.Context, sid string) error {
	if err := t.hold(ctx, t.locks.conversation, sid); err != nil {
		return err
	}
	return t.hold(ctx, t.locks.tasks, sid)
}

// holdTranscript takes the conversation without its tasks, which may be matched meanwhile.
func (t *transaction) holdTranscript(ctx context.Context, sid string) error {
	return t.hold(ctx, t.locks.conversation, sid)
}

// holdRouting takes the routing, where the transaction doesn't have it yet.
func (t *transaction) holdRouting(ctx context.Context) error {
	if t.routing {
		return nil
	}
	t.routing = true
	return t.hold(ctx, t.locks.routing)
}

// holdStream takes a stream of webhooks: which of them is its head. It also takes what else has a name and no row.
func (t *transaction) holdStream(ctx context.Context, stream string) error {
	return t.hold(ctx, t.locks.stream, stream)
}

// rowsOf ends a query that takes the rows it reads of the table. A transaction that only reads takes nothing.
func (t *transaction) rowsOf(table string) string {
	if t.locks.rowsOf == "" {
		return ""
	}
	return t.locks.rowsOf + table
}

// skipLocked ends a query that takes the rows it reads of the table, and passes over those that somebody holds.
func (t *transaction) skipLocked(table string) string {
	if t.locks.rowsOf == "" {
		return ""
	}
	return t.locks.rowsOf + table + t.locks.skip
}
