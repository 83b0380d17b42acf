package load

import (
	"context"
	"sync"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
)

// talk is a conversation that two agents transfer to each other.
type talk struct {
	baton *baton.Client
	sid   string
	// holder has the conversation, other gets it with the next transfer.
	holder, other string
	next          int
	revision      int
	// turn is held while a command is sent.
	turn sync.Mutex
}

// cycle is the sequence of commands that is repeated: the holder transfers the conversation, the other agent
// accepts it, and the previous holder wraps up.
var cycle = []func(t *talk) conversation.Command{
	func(t *talk) conversation.Command {
		return conversation.TransferCommand{From: t.holder, To: conversation.Target{Agent: t.other}}
	},
	func(t *talk) conversation.Command { return conversation.AcceptCommand{Agent: t.other} },
	func(t *talk) conversation.Command {
		return conversation.WrapupCommand{Agent: t.holder, Disposition: "passed on"}
	},
}

// open starts a conversation for one agent, who accepts it.
func (l *Load) open(ctx context.Context, number int) (*talk, error) {
	t := &talk{baton: l.baton, holder: l.agents[number%len(l.agents)], other: l.agents[(number+1)%len(l.agents)]}
	sid, err := l.baton.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: l.queue, Agent: t.holder, Customer: conversation.Customer{Name: "No One (bench)"},
		Attributes: conversation.Attributes{"order_id": baton.Attribute("3348917502"), "tier": baton.Attribute("gold"), "language": baton.Attribute("en")},
	})
	if err != nil {
		return nil, err
	}
	t.sid = sid
	return t, t.send(ctx, conversation.AcceptCommand{Agent: t.holder})
}

// step sends the next command of the cycle, and returns its name.
func (t *talk) step(ctx context.Context) (conversation.CommandName, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	return t.tell(ctx)
}

// complete sends the remaining commands of the cycle.
func (t *talk) complete(ctx context.Context) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	for t.next != 0 {
		if _, err := t.tell(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *talk) tell(ctx context.Context) (conversation.CommandName, error) {
	command := cycle[t.next](t)
	if err := t.send(ctx, command); err != nil {
		return command.Name(), err
	}
	if t.next = (t.next + 1) % len(cycle); t.next == 0 {
		t.holder, t.other = t.other, t.holder
	}
	return command.Name(), nil
}

func (t *talk) send(ctx context.Context, command conversation.Command) error {
	outcome, err := t.baton.Send(ctx, t.sid, command)
	t.revision = max(t.revision, outcome.Revision)
	return err
}

// end closes the conversation at any step of its cycle.
func (t *talk) end(ctx context.Context) error {
	err := t.send(ctx, conversation.CloseCommand{Reason: "measured"})
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return nil
	}
	if err != nil {
		return err
	}
	record, err := t.baton.State(ctx, t.sid)
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
