package batontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
)

// Engine runs conversations in memory, as a worker does. It decodes every command, checks it by the rules, asks the
// desk for facts, applies the command, syncs the desk and applies the desk's matches. It has the methods of
// [baton.Client] for commands and states, with the same refusals. It is safe for concurrent use.
//
// Only durable execution is missing: the conversations end with the process, no deadline passes by itself, and a
// command returns after the desk is synced (see [Engine.DelaySync]).
type Engine struct {
	desk  activities.Desk
	delay atomic.Int64 // of the sync after an answer, in nanoseconds

	mutex   sync.Mutex
	carried map[string]*carried
}

// carried is a conversation, and the events and notes that the desk does not have yet.
type carried struct {
	mutex   sync.Mutex
	record  conversation.Record
	refusal error // why its start was refused
	events  []conversation.Event
	notes   []conversation.Note
	changed chan struct{} // closed at the next change
}

// NewEngine returns an engine without conversations that asks and syncs the desk. [Desk.Engine] returns one on Baton's
// own desk.
func NewEngine(d activities.Desk) *Engine { return &Engine{desk: d, carried: map[string]*carried{}} }

// DelaySync makes the engine sync the desk that long after it has answered a command, as a worker with a slow desk
// does. Zero, the default, syncs before the answer.
func (e *Engine) DelaySync(d time.Duration) { e.delay.Store(int64(d)) }

// Restore adds a conversation with that record, such as one that [Engine.State] returned, or replaces it. The desk is
// not synced.
func (e *Engine) Restore(record conversation.Record) error {
	restored := &carried{changed: make(chan struct{})}
	if err := deepCopy(record, &restored.record); err != nil {
		return err
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.carried[record.Conversation] = restored
	return nil
}

// SIDs returns the SIDs of all conversations, sorted.
func (e *Engine) SIDs() (sids []string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for sid := range e.carried {
		sids = append(sids, sid)
	}
	slices.Sort(sids)
	return sids
}

// Start starts a conversation like [baton.Client.Start]. If the rules refuse the start, [Engine.State] returns the
// refusal.
func (e *Engine) Start(ctx context.Context, start conversation.StartCommand) (string, error) {
	if start.Conversation == "" {
		start.Conversation = baton.NewConversation()
	}
	sid := start.Conversation
	begun := &carried{changed: make(chan struct{}), record: conversation.Record{Refusals: []conversation.RecordedRefusal{}}}
	begun.mutex.Lock()
	defer begun.mutex.Unlock()

	e.mutex.Lock()
	taken := e.carried[sid] != nil
	if !taken {
		e.carried[sid] = begun
	}
	e.mutex.Unlock()
	if taken {
		return "", conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"the conversation %s was started before: carry on with it, or start another", sid)
	}
	command, err := received(start)
	if err != nil {
		return "", err
	}
	_, err = e.carryOut(ctx, begun, command)
	if conversation.CodeOf(err) != "" {
		begun.refusal, err = err, nil
	}
	return sid, err
}

// received returns the command after encoding to JSON and decoding, as a workflow receives it.
func received(command conversation.Command) (conversation.Command, error) {
	payload, err := json.Marshal(command)
	if err != nil {
		return nil, fmt.Errorf("encode the %s: %w", command.Name(), err)
	}
	return conversation.Decode(command.Name(), payload, uuid.NewString())
}

// Send sends any command and returns its outcome, like [baton.Client.Send].
func (e *Engine) Send(ctx context.Context, sid string, command conversation.Command) (outcome conversation.Outcome, err error) {
	c, err := e.running(sid)
	if err != nil {
		return outcome, err
	}
	defer c.mutex.Unlock()
	if command, err = received(command); err != nil {
		return outcome, err
	}
	sent, err := e.carryOut(ctx, c, command)
	if err != nil {
		return outcome, err
	}
	return outcome, deepCopy(sent, &outcome)
}

// SendAsync sends any command, like [baton.Client.SendAsync]. A refusal is added to the Refusals of [Engine.State].
func (e *Engine) SendAsync(ctx context.Context, sid string, command conversation.Command) error {
	c, err := e.running(sid)
	if err != nil {
		return err
	}
	defer c.mutex.Unlock()
	if command, err = received(command); err != nil {
		return err
	}
	_, err = e.carryOut(ctx, c, command)
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	if !refused || errors.Is(err, baton.ErrNotRunning) {
		return err
	}
	c.record.Refusals = append(c.record.Refusals, conversation.RecordedRefusal{
		Command: string(command.Name()), Code: refusal.Code, Message: refusal.Message, At: time.Now(),
	})
	return nil
}

// Transfer transfers the conversation to another agent or to a queue.
func (e *Engine) Transfer(ctx context.Context, sid string, command conversation.TransferCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Accept accepts a task that is reserved for the agent.
func (e *Engine) Accept(ctx context.Context, sid string, command conversation.AcceptCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Decline declines a task that is reserved for the agent.
func (e *Engine) Decline(ctx context.Context, sid string, command conversation.DeclineCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Wrapup completes the agent's wrapup.
func (e *Engine) Wrapup(ctx context.Context, sid string, command conversation.WrapupCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// End ends the agent's turn: their task goes to wrapup.
func (e *Engine) End(ctx context.Context, sid string, command conversation.EndCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Cancel cancels a transfer that no agent has accepted yet.
func (e *Engine) Cancel(ctx context.Context, sid string, command conversation.CancelCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Move sends a waiting task to another queue or agent.
func (e *Engine) Move(ctx context.Context, sid string, command conversation.MoveCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// Close closes the customer's side of the conversation.
func (e *Engine) Close(ctx context.Context, sid string, command conversation.CloseCommand) (conversation.Outcome, error) {
	return e.Send(ctx, sid, command)
}

// State returns the current state of the conversation. If its start was refused, State returns that refusal.
func (e *Engine) State(_ context.Context, sid string) (conversation.Record, error) {
	record, _, err := e.read(sid)
	return record, err
}

// Await waits until wanted reports true for the conversation, and returns it. It returns an error when the context
// ends.
func (e *Engine) Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error) {
	for {
		record, changed, err := e.read(sid)
		if err != nil || wanted(record) {
			return record, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return record, fmt.Errorf("conversation %s did not become what was waited for: %w", sid, ctx.Err())
		}
	}
}

// notRunningError is the refusal of a conversation whose workflow would not run. It is [baton.ErrNotRunning] too.
type notRunningError struct{ *conversation.Refusal }

// Unwrap returns the refusal and [baton.ErrNotRunning].
func (e notRunningError) Unwrap() []error { return []error{e.Refusal, baton.ErrNotRunning} }

// find returns the conversation, locked.
func (e *Engine) find(sid string) (*carried, error) {
	e.mutex.Lock()
	c := e.carried[sid]
	e.mutex.Unlock()
	if c == nil {
		return nil, notRunningError{conversation.Refuse(conversation.CodeUnknownConversation, conversation.Details{},
			"there is no conversation %s: check its SID", sid)}
	}
	c.mutex.Lock()
	return c, nil
}

// running returns the conversation, locked. It refuses one whose start was refused. The rules decide about a closed
// one.
func (e *Engine) running(sid string) (*carried, error) {
	c, err := e.find(sid)
	if err != nil || c.refusal == nil {
		return c, err
	}
	c.mutex.Unlock()
	return nil, notRunningError{conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
		"the conversation %s is closed: start another", sid)}
}

// read returns the record as a query does, and a channel that is closed at the record's next change.
func (e *Engine) read(sid string) (record conversation.Record, changed <-chan struct{}, err error) {
	c, err := e.find(sid)
	if err != nil {
		return record, nil, err
	}
	defer c.mutex.Unlock()
	if c.refusal != nil {
		return record, nil, c.refusal
	}
	return record, c.changed, deepCopy(c.record, &record)
}

// deepCopy copies through JSON.
func deepCopy(from, into any) error {
	encoded, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode a state: %w", err)
	}
	if err := json.Unmarshal(encoded, into); err != nil {
		return fmt.Errorf("decode a state: %w", err)
	}
	return nil
}

// carryOut applies a command by the rules, and syncs the desk.
func (e *Engine) carryOut(ctx context.Context, c *carried, command conversation.Command) (conversation.Outcome, error) {
	ctx = context.WithoutCancel(ctx) // the conversation continues even if the client disconnects
	query, err := c.record.Ask(command, time.Now())
	if err != nil {
		return conversation.Outcome{}, refused(err)
	}
	var facts *conversation.Facts
	if query != nil {
		answered, err := e.desk.Facts(ctx, *query)
		if err != nil {
			return conversation.Outcome{}, fmt.Errorf("ask the desk: %w", err)
		}
		facts = &answered
	}
	result, err := c.apply(command, facts)
	if err != nil {
		return conversation.Outcome{}, refused(err)
	}
	if !result.Changed && !result.Stale {
		return result.Outcome, nil
	}
	if delay := time.Duration(e.delay.Load()); delay > 0 {
		time.AfterFunc(delay, func() {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			_ = e.sync(ctx, c) // no command waits for it; the next sync sends the same
		})
		return result.Outcome, nil
	}
	return result.Outcome, e.sync(ctx, c)
}

// refused returns the error as the client does: a closed conversation does not run.
func refused(err error) error {
	if refusal, ok := errors.AsType[*conversation.Refusal](err); ok && refusal.Code == conversation.CodeConversationClosed {
		return notRunningError{refusal}
	}
	return err
}

// sync syncs the desk until its answer changes nothing more.
func (e *Engine) sync(ctx context.Context, c *carried) error {
	for due := true; due; {
		answer, err := e.desk.Sync(ctx, c.record.Snapshot(c.events, c.notes))
		if err != nil {
			return fmt.Errorf("sync the desk: %w", err)
		}
		c.events, c.notes, due = nil, nil, false
		for _, reserve := range answer.Matches {
			reserved, err := c.apply(reserve, nil)
			if err != nil {
				return err
			}
			due = due || reserved.Changed || reserved.Stale
		}
	}
	return nil
}

func (c *carried) apply(command conversation.Command, facts *conversation.Facts) (conversation.Result, error) {
	result, err := c.record.Apply(command, facts, time.Now())
	if err != nil {
		return result, err
	}
	c.events, c.notes = append(c.events, result.Events...), append(c.notes, result.Notes...)
	close(c.changed)
	c.changed = make(chan struct{})
	return result, nil
}
