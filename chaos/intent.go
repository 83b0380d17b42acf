package main

import (
	"fmt"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// intent is what a step means in the conversation's current state: a command, a message or a claim.
type intent struct {
	name    conversation.CommandName
	command conversation.Command
	// author writes a message; agent claims the task.
	author, agent, task string
	// noted makes a transfer come with a note.
	noted bool
}

// resolve returns what the act means in the conversation's current state. It returns none if the act means nothing
// there.
func (p *plan) resolve(a act, d dice, r *conversation.Record) []intent {
	switch a {
	case actAnswer:
		return p.answer(d, r)
	case actTransfer:
		return p.transfer(d, r)
	case actWrapup:
		return p.wrapup(d, r)
	case actEnd:
		if holder := with(r, conversation.TaskAssigned); holder != nil {
			return only(conversation.EndCommand{Agent: holder.Agent, Task: holder.SID})
		}
	case actCancel:
		if x := r.ActiveTransfer(); x != nil {
			return only(conversation.CancelCommand{Agent: x.From, Transfer: x.SID})
		}
	case actMove:
		if waiting := waits(r); waiting != nil {
			return only(conversation.MoveCommand{Task: waiting.SID, To: p.target(d, 3)})
		}
	case actClaim:
		if waiting := with(r, conversation.TaskPending); waiting != nil {
			return []intent{{name: nameClaim, agent: p.agentAt(d, 1), task: waiting.SID}}
		}
	case actClose:
		return only(conversation.CloseCommand{Reason: "enough"})
	case actSay:
		author := desk.FromCustomer
		if holder := with(r, conversation.TaskAssigned); holder != nil && d.of(0, 2) == 0 {
			author = holder.Agent
		}
		return []intent{{name: nameSay, author: author}}
	case actWrong:
		return p.wrong(d)
	case actRace, actShuffle:
		return p.several(d, r)
	}
	return nil
}

func only(c conversation.Command) []intent {
	return []intent{{name: c.Name(), command: c}}
}

// with returns the conversation's first task in that status, or nil.
func with(r *conversation.Record, status conversation.TaskStatus) *conversation.Task {
	at := slices.IndexFunc(r.Tasks, func(t *conversation.Task) bool { return t.Status == status })
	if at < 0 {
		return nil
	}
	return r.Tasks[at]
}

// waits returns the task that no agent has accepted yet, or nil.
func waits(r *conversation.Record) *conversation.Task {
	at := slices.IndexFunc(r.Tasks, func(t *conversation.Task) bool { return t.Status.Waiting() })
	if at < 0 {
		return nil
	}
	return r.Tasks[at]
}

func (p *plan) agentAt(d dice, which int) string { return p.agents[d.of(which, len(p.agents))].name }

// target returns a queue in queues of four cases, and otherwise an agent.
func (p *plan) target(d dice, queues int) conversation.Target {
	if d.of(2, 4) < queues {
		return conversation.Target{Queue: p.queues[d.of(3, len(p.queues))]}
	}
	return conversation.Target{Agent: p.agentAt(d, 3)}
}

func (p *plan) answer(d dice, r *conversation.Record) []intent {
	offered := with(r, conversation.TaskReserved)
	if offered == nil {
		return nil
	}
	agent, reservation := offered.Reservation.Agent, offered.Reservation.SID
	if d.of(0, 7) == 0 {
		return only(conversation.DeclineCommand{Agent: agent, Task: offered.SID, Reservation: reservation, Reason: "not now"})
	}
	return only(conversation.AcceptCommand{Agent: agent, Task: offered.SID, Reservation: reservation})
}

func (p *plan) transfer(d dice, r *conversation.Record) []intent {
	holder := with(r, conversation.TaskAssigned)
	if holder == nil {
		return nil
	}
	to := p.target(d, 2)
	// One in four goes back to the agent who transferred the conversation, who may still wrap up.
	if x := r.Transfer(holder.Transfer); x != nil && d.of(1, 4) == 0 {
		to = conversation.Target{Agent: x.From}
	}
	return []intent{{
		name: conversation.CommandTransfer, command: conversation.TransferCommand{From: holder.Agent, To: to}, task: holder.SID, noted: d.of(0, 2) == 0,
	}}
}

func (p *plan) wrapup(d dice, r *conversation.Record) []intent {
	var wrapping []*conversation.Task
	for _, t := range r.Tasks {
		if t.Status == conversation.TaskWrapping {
			wrapping = append(wrapping, t)
		}
	}
	if len(wrapping) == 0 {
		return nil
	}
	task := wrapping[d.of(0, len(wrapping))]
	return only(conversation.WrapupCommand{Agent: task.Agent, Task: task.SID, Disposition: fmt.Sprintf("disposition %d", d.of(1, 5))})
}

// wrong returns a command by an agent who is most likely not allowed to give it.
func (p *plan) wrong(d dice) []intent {
	agent := p.agentAt(d, 1)
	switch d.of(0, 5) {
	case 0:
		return only(conversation.AcceptCommand{Agent: agent})
	case 1:
		return only(conversation.WrapupCommand{Agent: agent})
	case 2:
		return only(conversation.TransferCommand{From: agent, To: p.target(d, 2)})
	case 3:
		return only(conversation.CancelCommand{Agent: agent})
	default:
		return only(conversation.DeclineCommand{Agent: agent})
	}
}

// several returns everything that the parties could mean to do in the conversation's current state, at the same
// time.
func (p *plan) several(d dice, r *conversation.Record) []intent {
	var all []intent
	for i, a := range []act{actAnswer, actCancel, actWrapup, actEnd, actMove, actTransfer} {
		// Ends are rare: a conversation that continues shows more.
		if a == actEnd && d.of(0, 4) != 0 {
			continue
		}
		rolled := d
		rolled[0] += uint32(i)
		all = append(all, p.resolve(a, rolled, r)...)
	}
	if len(all) == 0 {
		return p.wrong(d)
	}
	return all
}
