package main

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// queueTransfers measures the time from a transfer to a queue until the conversation's state shows it reserved for
// a free agent.
func (m *measured) queueTransfers(ctx context.Context, s *environment, p plan) error {
	on, err := openTalk(ctx, s, 0)
	if err != nil {
		return err
	}
	var took timings
	for i := range p.queued {
		if _, err := s.quiet(ctx, on.id()); err != nil {
			return err
		}
		queue := []string{queueBilling, queueSupport}[i%2]
		began := time.Now()
		if _, err := on.baton.Transfer(ctx, on.SID, conversation.TransferCommand{From: on.Holder, To: conversation.Target{Queue: queue}}); err != nil {
			return err
		}
		next, err := on.reserved(ctx)
		if err != nil {
			return err
		}
		took.add(time.Since(began))
		if _, err := on.baton.Accept(ctx, on.SID, conversation.AcceptCommand{Agent: next}); err != nil {
			return err
		}
		if _, err := on.baton.Wrapup(ctx, on.SID, conversation.WrapupCommand{Agent: on.Holder}); err != nil {
			return err
		}
		on.Holder = next
	}
	m.queued = append(m.queued, took)
	return on.end(ctx)
}
