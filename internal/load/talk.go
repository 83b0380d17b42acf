package load

import (
	"context"
	"sync"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
)

// Talk is a conversation that two agents transfer to each other. It repeats a cycle of commands; see [Cycle].
type Talk struct {
	SID string
	// Holder has the conversation, and Other gets it with the next transfer. They change at the end of a cycle.
	Holder, Other string

	baton    *baton.Client
	next     int
	revision int
	// turn is held while a command is sent.
	turn sync.Mutex
}

// NewTalk returns a conversation that the holder has accepted.
func NewTalk(b *baton.Client, sid, holder, other string) *Talk {
	return &Talk{baton: b, SID: sid, Holder: holder, Other: other}
}

// cycle is the sequence of commands that is repeated: the holder transfers the conversation, the other agent
// accepts it, and the previous holder wraps up.
var cycle = []func(t *Talk) conversation.Command{
	func(t *Talk) conversation.Command {
		return conversation.TransferCommand{From: t.Holder, To: conversation.Target{Agent: t.Other}}
	},
	func(t *Talk) conversation.Command { return conversation.AcceptCommand{Agent: t.Other} },
	func(t *Talk) conversation.Command {
		return conversation.WrapupCommand{Agent: t.Holder, Disposition: "passed on"}
	},
}

// Cycle returns the names of the commands of a cycle.
func Cycle() []conversation.CommandName {
	names := make([]conversation.CommandName, len(cycle))
	for i, command := range cycle {
		names[i] = command(&Talk{}).Name()
	}
	return names
}

// open starts a conversation for one agent, who accepts it.
func (l *Load) open(ctx context.Context, number int) (*Talk, error) {
	holder, other := l.agents[number%len(l.agents)], l.agents[(number+1)%len(l.agents)]
	sid, err := l.baton.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: l.queue, Agent: holder, Customer: conversation.Customer{Name: "No One (bench)"},
		Attributes: conversation.Attributes{"order_id": baton.Attribute("3348917502"), "tier": baton.Attribute("gold"), "language": baton.Attribute("en")},
	})
	if err != nil {
		return nil, err
	}
	t := NewTalk(l.baton, sid, holder, other)
	return t, t.send(ctx, conversation.AcceptCommand{Agent: holder})
}

// Next returns the next command of the cycle.
func (t *Talk) Next() conversation.Command { return cycle[t.next](t) }

// Proceed is called when the next command was carried out.
func (t *Talk) Proceed() {
	if t.next = (t.next + 1) % len(cycle); t.next == 0 {
		t.Holder, t.Other = t.Other, t.Holder
	}
}

// Step sends the next command of the cycle, and returns its name. It is safe for concurrent use: the steps wait for
// each other.
func (t *Talk) Step(ctx context.Context) (conversation.CommandName, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	return t.step(ctx)
}

// complete sends the remaining commands of the cycle.
func (t *Talk) complete(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	for t.next != 0 {
		if _, err := t.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *Talk) step(ctx context.Context) (conversation.CommandName, error) {
	command := t.Next()
	if err := t.send(ctx, command); err != nil {
		return command.Name(), err
	}
	t.Proceed()
	return command.Name(), nil
}

func (t *Talk) send(ctx context.Context, command conversation.Command) error {
	outcome, err := t.baton.Send(ctx, t.SID, command)
	t.revision = max(t.revision, outcome.Revision)
	return err
}

// End closes the conversation at any step of its cycle, so that its agents are free again.
func (t *Talk) End(ctx context.Context) error {
	err := t.send(ctx, conversation.CloseCommand{Reason: "measured"})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return nil
	}
	if err != nil {
		return err
	}
	record, err := t.baton.State(ctx, t.SID)
	if err != nil {
		return err
	}
	for _, task := range record.LiveTasks() { // all of them are wrapping now
		if err := t.send(ctx, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID}); err != nil {
			return err
		}
	}
	return nil
}
