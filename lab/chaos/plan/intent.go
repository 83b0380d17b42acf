package plan

import (
	"fmt"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Intent is what a step means in the conversation's current state: a command, a message or a claim.
type Intent struct {
	Name    conversation.CommandName
	Command conversation.Command
	// author writes a message; agent claims the task.
	Author, Agent, Task string
	// noted makes a transfer come with a note.
	Noted bool
}

// Resolve returns what the act means in the conversation's current state. It returns none if the act means nothing
// there.
func (p *Plan) Resolve(a Act, d Dice, r *conversation.Record) []Intent {
	switch a {
	case ActAnswer:
		return p.answer(d, r)
	case ActTransfer:
		return p.transfer(d, r)
	case ActWrapup:
		return p.wrapup(d, r)
	case ActEnd:
		if holder := With(r, conversation.TaskAssigned); holder != nil {
			return only(conversation.EndCommand{Agent: holder.Agent, Task: holder.SID})
		}
	case ActCancel:
		if x := r.ActiveTransfer(); x != nil {
			return only(conversation.CancelCommand{Agent: x.From, Transfer: x.SID})
		}
	case ActMove:
		if waiting := Waits(r); waiting != nil {
			return only(conversation.MoveCommand{Task: waiting.SID, To: p.target(d, 3)})
		}
	case ActClaim:
		if waiting := With(r, conversation.TaskPending); waiting != nil {
			return []Intent{{Name: NameClaim, Agent: p.agentAt(d, 1), Task: waiting.SID}}
		}
	case ActClose:
		return only(conversation.CloseCommand{Reason: "enough"})
	case ActSay:
		author := records.FromCustomer
		if holder := With(r, conversation.TaskAssigned); holder != nil && d.of(0, 2) == 0 {
			author = holder.Agent
		}
		return []Intent{{Name: NameSay, Author: author}}
	case ActWrong:
		return p.wrong(d)
	case ActRace, ActShuffle:
		return p.several(d, r)
	}
	return nil
}

func only(c conversation.Command) []Intent {
	return []Intent{{Name: c.Name(), Command: c}}
}

// With returns the conversation's first task in that status, or nil.
func With(r *conversation.Record, status conversation.TaskStatus) *conversation.Task {
	at := slices.IndexFunc(r.Tasks, func(t *conversation.Task) bool { return t.Status == status })
	if at < 0 {
		return nil
	}
	return r.Tasks[at]
}

// Waits returns the task that no agent has accepted yet, or nil.
func Waits(r *conversation.Record) *conversation.Task {
	at := slices.IndexFunc(r.Tasks, func(t *conversation.Task) bool { return t.Status.Waiting() })
	if at < 0 {
		return nil
	}
	return r.Tasks[at]
}

func (p *Plan) agentAt(d Dice, which int) string { return p.Agents[d.of(which, len(p.Agents))].Name }

// target returns a queue in queues of four cases, and otherwise an agent.
func (p *Plan) target(d Dice, queues int) conversation.Target {
	if d.of(2, 4) < queues {
		return conversation.Target{Queue: p.Queues[d.of(3, len(p.Queues))]}
	}
	return conversation.Target{Agent: p.agentAt(d, 3)}
}

func (p *Plan) answer(d Dice, r *conversation.Record) []Intent {
	offered := With(r, conversation.TaskReserved)
	if offered == nil {
		return nil
	}
	agent, reservation := offered.Reservation.Agent, offered.Reservation.SID
	if d.of(0, 7) == 0 {
		return only(conversation.DeclineCommand{Agent: agent, Task: offered.SID, Reservation: reservation, Reason: "not now"})
	}
	return only(conversation.AcceptCommand{Agent: agent, Task: offered.SID, Reservation: reservation})
}

func (p *Plan) transfer(d Dice, r *conversation.Record) []Intent {
	holder := With(r, conversation.TaskAssigned)
	if holder == nil {
		return nil
	}
	to := p.target(d, 2)
	// One in four goes back to the agent who transferred the conversation, who may still wrap up.
	if x := r.Transfer(holder.Transfer); x != nil && d.of(1, 4) == 0 {
		to = conversation.Target{Agent: x.From}
	}
	return []Intent{{
		Name: conversation.CommandTransfer, Command: conversation.TransferCommand{From: holder.Agent, To: to}, Task: holder.SID, Noted: d.of(0, 2) == 0,
	}}
}

func (p *Plan) wrapup(d Dice, r *conversation.Record) []Intent {
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
func (p *Plan) wrong(d Dice) []Intent {
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
func (p *Plan) several(d Dice, r *conversation.Record) []Intent {
	var all []Intent
	for i, a := range []Act{ActAnswer, ActCancel, ActWrapup, ActEnd, ActMove, ActTransfer} {
		// Ends are rare: a conversation that continues shows more.
		if a == ActEnd && d.of(0, 4) != 0 {
			continue
		}
		rolled := d
		rolled[0] += uint32(i)
		all = append(all, p.Resolve(a, rolled, r)...)
	}
	if len(all) == 0 {
		return p.wrong(d)
	}
	return all
}
