package main

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/load"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/workflows"
)

// talk is a conversation that two agents transfer back and forth, commanded by a service.
type talk struct {
	*load.Talk

	baton *baton.Client
}

// talkSteps returns the names of the commands of a cycle.
func talkSteps() []string {
	var names []string
	for _, name := range load.Cycle() {
		names = append(names, string(name))
	}
	return names
}

// openTalk starts a conversation, and the agent to whom the desk offers it accepts.
func openTalk(ctx context.Context, s *environment, number int) (*talk, error) {
	sid, err := s.Baton.Start(ctx, conversation.StartCommand{
		Channel: conversation.ChannelWeb, Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Queue: queueSupport,
		Attributes: conversation.Attributes{
			"order_id": baton.Attribute("3348917502"), "tier": baton.Attribute("gold"), "language": baton.Attribute("en"),
		},
	})
	if err != nil {
		return nil, err
	}
	record, err := s.Baton.Await(ctx, sid, func(record conversation.Record) bool {
		_, ok := reservedFor(record)
		return ok
	})
	if err != nil {
		return nil, err
	}
	holder, _ := reservedFor(record)
	other := s.agents[number%len(s.agents)]
	if other == holder {
		other = s.agents[(number+1)%len(s.agents)]
	}
	_, err = s.Baton.Accept(ctx, sid, conversation.AcceptCommand{Agent: holder})
	return &talk{Talk: load.NewTalk(s.Baton, sid, holder, other), baton: s.Baton}, err
}

// reservedPoll is how often a conversation is polled for a reservation, short enough to measure by.
const reservedPoll = 2 * time.Millisecond

// reserved waits until the state shows the last task reserved, and returns the agent.
func (t *talk) reserved(ctx context.Context) (string, error) {
	for {
		record, err := t.baton.State(ctx, t.SID)
		if err != nil {
			return "", err
		}
		if agent, ok := reservedFor(record); ok {
			return agent, nil
		}
		if err := sleep.For(ctx, reservedPoll); err != nil {
			return "", fmt.Errorf("wait until conversation %s is reserved: %w", t.SID, err)
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

func (t *talk) id() string { return workflows.ID(t.SID) }

func (t *talk) steps() []string { return talkSteps() }

func (t *talk) step(ctx context.Context) (string, error) {
	name, err := t.Step(ctx)
	return string(name), err
}

func (t *talk) end(ctx context.Context) error { return t.End(ctx) }
