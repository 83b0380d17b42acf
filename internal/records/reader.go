package records

import (
	"context"
	"fmt"
	"math"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// ErrUnknownConversation is returned for a conversation that the desk has no record of: it was never started, or
// its first snapshot has not arrived yet (see [routing.AwaitRevision]).
var ErrUnknownConversation error = conversation.Refuse(conversation.CodeUnknownConversation, conversation.Details{},
	"the desk has no record of this conversation: check its SID, or try again in a moment if it has just been started")

// Reader is the person or program for whom a conversation is read. The zero Reader may read nothing.
type Reader struct {
	kind  readerKind
	agent string
	turn  conversation.Turn
}

type readerKind int

const (
	readerAgent readerKind = iota + 1
	readerCustomer
	readerSystem
	readerTurn
)

// AsAgent reads for an agent: everything in conversations that they hold or are offered, and in those that they
// wrap up everything until the end of their turn ([conversation.TurnOf]). A supervisor or an administrator reads
// everything.
func AsAgent(name string) Reader { return Reader{kind: readerAgent, agent: name} }

// AsCustomer reads for the customer of the conversation, who never sees a note.
func AsCustomer() Reader { return Reader{kind: readerCustomer} }

// AsSystem reads for a program of the operator.
func AsSystem() Reader { return Reader{kind: readerSystem} }

// AsTurn reads for an agent whose turn the caller knows from the conversation itself. The desk may not have that
// state yet.
func AsTurn(turn conversation.Turn) Reader { return Reader{kind: readerTurn, turn: turn} }

// Extent is how much of a conversation a reader may read. The zero extent is all of it.
type Extent struct {
	conversation.Turn

	// messages is the maximum number of messages when the turn ended.
	messages int64
}

// chooses returns a condition on the rows of messages, and its arguments, the first of which is $n. It excludes a
// message that was changed after the turn, because the agent has never seen its new text.
func (e Extent) chooses(n int) (condition string, args []any) {
	if e.Whole() {
		return `1 = 1`, nil
	}
	return fmt.Sprintf(`updated_at <= $%d AND (author = $%d OR created_at <= $%d AND number <= $%d)`, n, n+1, n, n+2),
		[]any{sqldb.Micros(e.Until), e.Agent, e.messages}
}

// ReaderExtent returns how much of the conversation the reader may read. It refuses a reader who may not read it, with
// not_your_task or unknown_agent.
func ReaderExtent(ctx context.Context, tx *desk.Tx, reader Reader, sid string) (Extent, error) {
	if _, err := ConversationStatus(ctx, tx, sid); err != nil {
		return Extent{}, err
	}
	switch reader.kind {
	case readerCustomer, readerSystem:
		return Extent{}, nil
	case readerAgent:
		return agentExtent(ctx, tx, reader.agent, sid)
	case readerTurn:
		return extentOf(ctx, tx, reader.turn)
	}
	return Extent{}, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "no reader is named: name an agent")
}

func agentExtent(ctx context.Context, tx *desk.Tx, name, sid string) (Extent, error) {
	role, found, err := sqldb.First(ctx, tx, sqldb.Value[desk.Role], `SELECT role FROM agents WHERE name = $1`, name)
	switch {
	case err != nil:
		return Extent{}, err
	case !found:
		return Extent{}, desk.UnknownAgent(name)
	case role.MayReadAll():
		return Extent{}, nil
	}
	return turnExtent(ctx, tx, name, sid)
}

// turnExtent returns how much of the conversation the agent may read by their tasks in it, independent of their
// role.
func turnExtent(ctx context.Context, tx *desk.Tx, agent, sid string) (Extent, error) {
	tasks, err := sqldb.All(ctx, tx, ScanTask, SelectTasks+` WHERE t.conversation = $1 AND t.agent = $2
		AND t.status IN ('reserved', 'assigned', 'wrapping') ORDER BY t.placement`, sid, agent)
	if err != nil {
		return Extent{}, err
	}
	turn, may := conversation.TurnOf(agent, func(yield func(*conversation.Task) bool) {
		for task := range references(tasks) {
			if !yield(&task.Task) {
				return
			}
		}
	})
	if !may {
		return Extent{}, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Agent: agent},
			"agent %q neither holds this conversation, wraps it up nor has an offer of it: choose a conversation on their desk", agent)
	}
	return extentOf(ctx, tx, turn)
}

// extentOf also bounds a turn by the length of the transcript when the desk learned of its end, because the clocks
// of different hosts differ.
func extentOf(ctx context.Context, tx *desk.Tx, turn conversation.Turn) (Extent, error) {
	if turn.Whole() {
		return Extent{}, nil
	}
	messages, found, err := sqldb.First(ctx, tx, sqldb.Value[int64], `SELECT turn_messages FROM tasks WHERE sid = $1 AND wrapping_at > 0`, turn.Task)
	if !found || messages < 0 {
		messages = math.MaxInt64
	}
	return Extent{turn, messages}, err
}

// noteExtent refuses the readers that allow refuses, and every customer.
func noteExtent(ctx context.Context, tx *desk.Tx, reader Reader, sid string) (Extent, error) {
	if reader.kind == readerCustomer {
		return Extent{}, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "notes are for agents and supervisors only")
	}
	return ReaderExtent(ctx, tx, reader, sid)
}

// ConversationStatus returns the conversation's status; refused with unknown_conversation.
func ConversationStatus(ctx context.Context, tx *desk.Tx, sid string) (conversation.ConversationStatus, error) {
	status, found, err := sqldb.First(ctx, tx, sqldb.Value[conversation.ConversationStatus], `SELECT status FROM conversations WHERE sid = $1`, sid)
	if err == nil && !found {
		return "", ErrUnknownConversation
	}
	return status, err
}
