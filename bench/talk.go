package main

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// talk is a conversation that two agents transfer back and forth, commanded by a service.
type talk struct {
	baton *baton.Client
	sid   string
	// holder has the conversation, other gets it next.
	holder, other string
	// next is the index of the next step.
	next int
}

// talkCycle is one cycle of commands: the holder transfers the conversation, the other agent accepts it, and the
// previous holder wraps up.
var talkCycle = []struct {
	name conversation.CommandName
	send func(ctx context.Context, t *talk) error
}{
	{conversation.CommandTransfer, func(ctx context.Context, t *talk) error {
		_, err := t.baton.Transfer(ctx, t.sid, conversation.TransferCommand{From: t.holder, To: conversation.Target{Agent: t.other}})
		return err
	}},
	{conversation.CommandAccept, func(ctx context.Context, t *talk) error {
		_, err := t.baton.Accept(ctx, t.sid, conversation.AcceptCommand{Agent: t.other})
		return err
	}},
	{conversation.CommandWrapup, func(ctx context.Context, t *talk) error {
		_, err := t.baton.Wrapup(ctx, t.sid, conversation.WrapupCommand{Agent: t.holder, Disposition: "passed on"})
		t.holder, t.other = t.other, t.holder
		return err
	}},
}

// talkSteps returns the names of the commands of a cycle.
func talkSteps() []string {
	names := make([]string, len(talkCycle))
	for i, step := range talkCycle {
		names[i] = string(step.name)
	}
	return names
}

// openTalk starts a conversation, and the agent to whom the desk offers it accepts.
func openTalk(ctx context.Context, s *environment, number int) (*talk, error) {
	sid, err := s.baton.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Queue: queueSupport,
		Attributes: conversation.Attributes{
			"order_id": baton.Attribute("3348917502"), "tier": baton.Attribute("gold"), "language": baton.Attribute("en"),
		},
	})
	if err != nil {
		return nil, err
	}
	record, err := s.baton.Await(ctx, sid, func(record conversation.Record) bool {
		_, ok := reservedFor(record)
		return ok
	})
	if err != nil {
		return nil, err
	}
	t := &talk{baton: s.baton, sid: sid}
	t.holder, _ = reservedFor(record)
	t.other = s.agents[number%len(s.agents)]
	if t.other == t.holder {
		t.other = s.agents[(number+1)%len(s.agents)]
	}
	_, err = t.baton.Accept(ctx, t.sid, conversation.AcceptCommand{Agent: t.holder})
	return t, err
}

// reservedPoll is how often a conversation is polled for a reservation, short enough to measure by.
const reservedPoll = 2 * time.Millisecond

// reserved waits until the state shows the last task reserved, and returns the agent.
func (t *talk) reserved(ctx context.Context) (string, error) {
	for {
		record, err := t.baton.State(ctx, t.sid)
		if err != nil {
			return "", err
		}
		if agent, ok := reservedFor(record); ok {
			return agent, nil
		}
		if err := pause(ctx, reservedPoll); err != nil {
			return "", fmt.Errorf("wait until conversation %s is reserved: %w", t.sid, err)
		}
	}
}

func reservedFor(record conversation.Record) (string, bool) {
	n := len(record.Tasks)
	if n == 0 || record.Tasks[n-1].Status != conversation.TaskReserved {
		return "", false
	}
	return record.Tasks[n-1].Agent, true
}

func (t *talk) id() string { return workflows.ID(t.sid) }

func (t *talk) steps() []string { return talkSteps() }

func (t *talk) step(ctx context.Context) (string, error) {
	step := talkCycle[t.next]
	t.next = (t.next + 1) % len(talkCycle)
	return string(step.name), step.send(ctx, t)
}

// end closes the conversation at any point of its cycle, so that its agents are free again.
func (t *talk) end(ctx context.Context) error {
	if _, err := t.baton.Close(ctx, t.sid, conversation.CloseCommand{Reason: "measured"}); err != nil {
		return err
	}
	record, err := t.baton.State(ctx, t.sid)
	if err != nil {
		return err
	}
	for _, task := range record.LiveTasks() { // all of them are in wrap-up now
		if _, err := t.baton.Wrapup(ctx, t.sid, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID}); err != nil {
			return err
		}
	}
	return nil
}
