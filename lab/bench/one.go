package main

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// oneClient measures one client's commands to one workflow of each kind.
func (m *measured) oneClient(ctx context.Context, s *environment, p plan, round int) error {
	talked, err := openTalk(ctx, s, round)
	if err != nil {
		return err
	}
	subjects := map[string]subject{kindBaton: talked}
	for _, kind := range []string{kindBare, kindNoted} {
		if subjects[kind], err = openBare(ctx, s, kind); err != nil {
			return err
		}
	}
	if err := m.pacedClient(ctx, s, subjects, p, round); err != nil {
		return err
	}
	if err := m.refusals(ctx, s, talked, p); err != nil {
		return err
	}
	if err := m.unpacedClient(ctx, s, subjects, p, round); err != nil {
		return err
	}
	for _, subject := range subjects {
		if err := subject.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pacedClient sends each command to a quiet workflow: nothing of the previous command is in progress. The kinds
// take turns with every cycle.
func (m *measured) pacedClient(ctx context.Context, s *environment, subjects map[string]subject, p plan, number int) error {
	before, err := s.quiet(ctx, subjects[kindBaton].id())
	if err != nil {
		return err
	}
	took := round{}
	for range p.paced {
		for _, kind := range kindsInOrder(number) {
			on := subjects[kind]
			for range on.steps() {
				if _, err := s.quiet(ctx, on.id()); err != nil {
					return err
				}
				if err := took.step(ctx, on); err != nil {
					return err
				}
			}
			if _, err := s.quiet(ctx, on.id()); err != nil {
				return err
			}
		}
	}
	after, err := s.quiet(ctx, subjects[kindBaton].id())
	if err != nil {
		return err
	}
	m.cycles = append(m.cycles, cycleSize{
		events: float64(after.events-before.events) / float64(p.paced),
		bytes:  float64(after.bytes-before.bytes) / float64(p.paced),
	})
	m.paced = append(m.paced, took)
	return nil
}

// unpacedClient sends the commands back to back, so that the work after a command overlaps the next command.
func (m *measured) unpacedClient(ctx context.Context, s *environment, subjects map[string]subject, p plan, number int) error {
	took := round{}
	for _, kind := range kindsInOrder(number) {
		on := subjects[kind]
		for range p.cycles {
			for range on.steps() {
				if err := took.step(ctx, on); err != nil {
					return err
				}
			}
		}
		if _, err := s.quiet(ctx, on.id()); err != nil {
			return err
		}
	}
	m.unpaced = append(m.unpaced, took)
	return nil
}

// refusals sends commands that the state alone refuses, and counts what they add to the history.
func (m *measured) refusals(ctx context.Context, s *environment, on *talk, p plan) error {
	before, err := s.quiet(ctx, on.id())
	if err != nil {
		return err
	}
	var took timings
	for range p.cycles {
		began := time.Now()
		_, err := on.baton.Accept(ctx, on.SID, conversation.AcceptCommand{Agent: on.Other})
		if conversation.CodeOf(err) != conversation.CodeNoReservation {
			return fmt.Errorf("an accept without a reservation should be refused with %s: %w", conversation.CodeNoReservation, err)
		}
		took.add(time.Since(began))
	}
	after, err := s.quiet(ctx, on.id())
	m.refused = append(m.refused, took)
	m.refusedEvents += after.events - before.events
	return err
}
