package tasks

import (
	"cmp"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/records"
)

// Claim claims the conversation's waiting task for the agent. With only set, it claims no other task than the one with
// that SID. It returns the task's SID after the conversation has answered the match.
func Claim(c *rest.Call, v *rest.View, only, agent string) (string, error) {
	for _, task := range v.Tasks {
		if only != "" && task.SID != only {
			continue
		}
		if task.OfferedTo(agent) || (task.Agent == agent && task.Status == conversation.TaskAssigned && c.Token() != "") {
			return task.SID, nil
		}
	}
	if only != "" && !v.Task(only).Status.Waiting() {
		return "", conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Task: only},
			"task %s does not wait for an agent: see its state", only)
	}
	c.SettleConversation(v.SID, v.Revision)
	match, record, err := commands.Claim(c.Ctx, c.Conversations, c.Desk, v.SID, cmp.Or(only, v.SID), agent)
	if err != nil {
		return "", err
	}
	c.Remember(match.Reservation, v.SID)
	c.Wrote(v.SID, record.Revision)
	return match.Task, nil
}

// NoClaim returns the refusal of a claim as far as an agent's key may learn of it. It hides whether a task waits
// for another agent.
func NoClaim(c *rest.Call, agent string, err error) error {
	code := conversation.CodeOf(err)
	if c.Caller.Agent() == "" || (code != conversation.CodeNoReservation && code != conversation.CodeNotYourTask) {
		return err
	}
	return conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Agent: agent}, "no task of this conversation waits that %s can take", agent)
}

// OfAgent returns a task that an agent has or is offered. The desk's record is enough for a command if it shows
// the agent: the conversation itself checks later changes.
func OfAgent(c *rest.Call, sid string) (records.Task, error) {
	task, err := records.FindTask(c.Ctx, c.Desk, sid)
	if err == nil && task.Agent != "" && task.Reservation != nil {
		return task, nil
	}
	if _, coded := rest.AsRefusal(err); err != nil && !coded {
		return task, err
	}
	of, known := c.SeenIn(sid)
	if err == nil {
		of, known = task.Conversation, true
	}
	if !known {
		return task, err
	}
	v, err := c.ViewFor(of)
	if err != nil {
		return task, err
	}
	now := v.Task(sid)
	if now == nil || now.Agent == "" || now.Reservation == nil {
		return task, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Task: sid}, "no agent has task %s", sid)
	}
	return *now, nil
}

// Finish ends an agent's turn. With complete set, it also completes the wrap-up.
func Finish(c *rest.Call, task records.Task, complete bool, disposition string) (conversation.Outcome, error) {
	if err := c.ActAs(task.Agent); err != nil {
		return conversation.Outcome{}, err
	}
	if task.Status == conversation.TaskCompleted && (complete || c.Token() != "") {
		// A repeat. With a token, the first answer was lost; without one, the caller of Finish decides.
		return conversation.Outcome{Task: &task.Task, Unchanged: c.Token() == ""}, nil
	}
	end := conversation.EndCommand{Agent: task.Agent, Task: task.SID, Meta: c.Command("end")}
	if !complete {
		return c.Send(task.Conversation, end)
	}
	wrapup := conversation.WrapupCommand{Agent: task.Agent, Task: task.SID, Disposition: disposition, Meta: c.Command("wrapup")}
	if task.Status == conversation.TaskWrapping || task.Status == conversation.TaskCompleted {
		return c.Send(task.Conversation, wrapup)
	}
	// The desk's record may lag: the agent's turn may already have ended.
	_, err := c.Send(task.Conversation, end)
	code := conversation.CodeOf(err)
	if err != nil && code != conversation.CodeTaskNotAssigned && code != conversation.CodeConversationClosed {
		return conversation.Outcome{}, err
	}
	outcome, later := c.Send(task.Conversation, wrapup)
	if later != nil && err != nil {
		return outcome, err
	}
	return outcome, later
}

// MayChange refuses an agent who does not have the conversation.
func MayChange(c *rest.Call, v *rest.View) error {
	if own := c.Caller.Agent(); own != "" && !slices.ContainsFunc(v.Tasks, func(t records.Task) bool {
		return t.Agent == own && t.Status == conversation.TaskAssigned
	}) {
		return rest.Forbid("%s doesn't have this conversation, so this key may neither change nor end it", own)
	}
	return nil
}

// Close ends the customer's side. With wrapups set, it completes the wrap-ups too.
func Close(c *rest.Call, v *rest.View, wrapups bool) error {
	if err := MayChange(c, v); err != nil {
		return err
	}
	if own := c.Caller.Agent(); own != "" && wrapups && slices.ContainsFunc(v.Tasks, func(t records.Task) bool {
		return t.Agent != own && t.Status == conversation.TaskWrapping
	}) {
		return rest.Forbid("This key acts as %s only, and others still wrap up the conversation: close it without Routing", own)
	}
	if v.Draft {
		return records.CloseDraft(c.Ctx, c.Desk, v.SID)
	}
	if v.Status == conversation.ConversationActive {
		if _, err := c.Send(v.SID, conversation.CloseCommand{Meta: c.Command("close")}); err != nil {
			return err
		}
	}
	if !wrapups {
		return nil
	}
	for _, task := range v.Tasks {
		if task.Status != conversation.TaskAssigned && task.Status != conversation.TaskWrapping {
			continue
		}
		if _, err := c.Send(v.SID, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID, Meta: c.Command("wrapup " + task.SID)}); err != nil {
			return err
		}
	}
	return nil
}
