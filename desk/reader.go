package desk

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
)

// ErrUnknownConversation is returned for a conversation that the desk has no record of: it was never
// started, or its first picture has not arrived yet (see [Desk.AwaitRevision]).
var ErrUnknownConversation error = conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
	"the desk has no record of this conversation: check its SID, or try again in a moment if it has just been started")

// Reader is who wants to read. The zero Reader may read nothing.
type Reader struct {
	kind  readerKind
	agent string
}

type readerKind int

const (
	readerAgent readerKind = iota + 1
	readerCustomer
	readerSystem
)

// AsAgent reads for an agent: what they have, wrap up or are offered; for a supervisor or an
// administrator everything.
func AsAgent(name string) Reader { return Reader{kind: readerAgent, agent: name} }

// AsCustomer reads for the customer of the conversation, who never sees a note.
func AsCustomer() Reader { return Reader{kind: readerCustomer} }

// AsSystem reads for a program of the house.
func AsSystem() Reader { return Reader{kind: readerSystem} }

// allow refuses a reader who may not read the conversation: not_your_task, or unknown_agent.
func (t *transaction) allow(ctx context.Context, reader Reader, sid string) error {
	if _, err := t.conversationStatus(ctx, sid); err != nil {
		return err
	}
	switch reader.kind {
	case readerCustomer, readerSystem:
		return nil
	case readerAgent:
		return t.allowAgent(ctx, reader.agent, sid)
	}
	return conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "nobody was named to read the conversation for: name an agent")
}

func (t *transaction) allowAgent(ctx context.Context, name, sid string) error {
	role, found, err := first(ctx, t, value[Role], `SELECT role FROM agents WHERE name = $1`, name)
	switch {
	case err != nil:
		return err
	case !found:
		return unknownAgent(name)
	case role.mayReadAll():
		return nil
	}
	_, found, err = first(ctx, t, value[string], `SELECT sid FROM tasks
		WHERE conversation = $1 AND agent = $2 AND status IN ('reserved', 'assigned', 'wrapping') LIMIT 1`, sid, name)
	if err == nil && !found {
		return conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Agent: name},
			"%s doesn't have this conversation, wrap it up or have an offer of it: only then can they read it", name)
	}
	return err
}

// allowNotes refuses whom allow refuses, and every customer.
func (t *transaction) allowNotes(ctx context.Context, reader Reader, sid string) error {
	if reader.kind == readerCustomer {
		return conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{}, "notes are for agents and supervisors only")
	}
	return t.allow(ctx, reader, sid)
}

func (t *transaction) conversationStatus(ctx context.Context, sid string) (conversation.ConversationStatus, error) {
	status, found, err := first(ctx, t, value[conversation.ConversationStatus], `SELECT status FROM conversations WHERE sid = $1`, sid)
	if err == nil && !found {
		return "", ErrUnknownConversation
	}
	return status, err
}
