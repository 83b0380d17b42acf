package deskload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sleep"
)

// talk is a conversation that is run by the rules.
type talk struct {
	desk *desk.Desk
	// conversations is the desk as conversations use it.
	conversations *routing.ConversationDesk
	facts         conversation.Facts
	state         conversation.State
	// events and notes are those that the desk does not have yet.
	events []conversation.Event
	notes  []conversation.Note
	// inbox receives the commands that a dispatcher delivers.
	inbox chan conversation.Command
	// took receives the duration of each sync. failed counts syncs that had to be sent again.
	took   *[]time.Duration
	failed *int
}

const (
	// inboxSize is more than the number of commands that a conversation is sent. More than that are dropped, and the
	// desk delivers them again.
	inboxSize = 16
	// priorities is the number of priorities of tasks.
	priorities = 3
	// syncAgainAfter is the pause before a snapshot that the desk did not take is sent again.
	syncAgainAfter = 50 * time.Millisecond
)

// newSID returns the SID of a conversation of the process with that number, which is its last byte.
func newSID(process int) string {
	id := uuid.New()
	id[len(id)-1] = byte(process) //nolint:gosec // there are at most mostProcesses
	return conversation.SIDOf(conversation.PrefixConversation, id)
}

// processOf returns the process of a conversation.
func processOf(sid string) (int, error) {
	number, err := strconv.ParseUint(sid[max(0, len(sid)-2):], 16, 8)
	if err != nil {
		return 0, fmt.Errorf("read the process of conversation %s: %w", sid, err)
	}
	return int(number), nil
}

// run runs the conversation to its end: five snapshots, and four more if it is transferred. transferTo is the queue to
// which it is transferred; it may be empty.
func (t *talk) run(ctx context.Context, sid, queue, transferTo string) error {
	err := t.do(ctx, conversation.StartCommand{
		Conversation: sid, Channel: conversation.ChannelWeb, Queue: queue, Priority: rand.IntN(priorities), //nolint:gosec // any number
		Customer:   conversation.Customer{Name: "No One (bench)", Address: "no-one@example.com"},
		Attributes: conversation.Attributes{"order_id": []byte(`"3348917502"`), "tier": []byte(`"gold"`)},
	})
	if err != nil {
		return err
	}
	holder, err := t.accepted(ctx)
	if err != nil {
		return err
	}
	if transferTo != "" {
		if err := t.do(ctx, conversation.TransferCommand{From: holder, To: conversation.Target{Queue: transferTo}}); err != nil {
			return err
		}
		next, err := t.accepted(ctx)
		if err != nil {
			return err
		}
		if err := t.do(ctx, conversation.WrapupCommand{Agent: holder, Disposition: "passed on"}); err != nil {
			return err
		}
		holder = next
	}
	if err := t.do(ctx, conversation.EndCommand{Agent: holder}); err != nil {
		return err
	}
	if err := t.do(ctx, conversation.WrapupCommand{Agent: holder, Disposition: "solved"}); err != nil {
		return err
	}
	if t.state.Status != conversation.ConversationClosed {
		return fmt.Errorf("conversation %s is %s after its last command", sid, t.state.Status)
	}
	return nil
}

// accepted waits until a task is offered, accepts it, and returns the agent.
func (t *talk) accepted(ctx context.Context) (string, error) {
	for {
		for _, task := range t.state.LiveTasks() {
			if task.Status == conversation.TaskReserved {
				agent := task.Reservation.Agent
				return agent, t.do(ctx, conversation.AcceptCommand{Agent: agent, Task: task.SID})
			}
		}
		select {
		case command := <-t.inbox:
			if err := t.do(ctx, command); err != nil && conversation.CodeOf(err) == "" { // a refused command was delivered twice
				return "", err
			}
		case <-ctx.Done():
			return "", fmt.Errorf("conversation %s waits for an agent: %w", t.state.Conversation, context.Cause(ctx))
		}
	}
}

// do applies a command and syncs the desk, until its answer changes nothing more.
func (t *talk) do(ctx context.Context, command conversation.Command) error {
	due, err := t.apply(command)
	if err != nil {
		return fmt.Errorf("%s of conversation %s: %w", command.Name(), t.state.Conversation, err)
	}
	for due {
		answer, err := t.sync(ctx)
		if err != nil {
			return err
		}
		t.events, t.notes, due = nil, nil, false
		for _, reserve := range answer.Matches {
			changed, err := t.apply(reserve)
			if err != nil {
				return err
			}
			due = due || changed
		}
	}
	return nil
}

// sync sends the snapshot until the desk takes it.
func (t *talk) sync(ctx context.Context) (conversation.Acknowledgement, error) {
	for {
		began := time.Now()
		answer, err := t.conversations.Sync(ctx, t.state.Snapshot(t.events, t.notes))
		*t.took = append(*t.took, time.Since(began))
		if err == nil || !desk.Unavailable(err) {
			return answer, err
		}
		*t.failed++
		if err := sleep.For(ctx, syncAgainAfter); err != nil {
			return answer, err
		}
	}
}

// apply applies a command, and reports whether the desk has to be synced.
func (t *talk) apply(command conversation.Command) (due bool, err error) {
	result, err := t.state.Apply(command, &t.facts, time.Now())
	if err != nil {
		return false, err
	}
	t.events, t.notes = append(t.events, result.Events...), append(t.notes, result.Notes...)
	return result.Changed || result.Stale, nil
}
