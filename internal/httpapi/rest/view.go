package rest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// View is the present state of one conversation. While its workflow runs, the workflow answers, so that every
// gateway shows the effect of a command at once. Afterwards the desk's record is used.
type View struct {
	SID       string
	Status    conversation.ConversationStatus
	Draft     bool
	Channel   conversation.Channel
	Customer  conversation.Customer
	CreatedAt time.Time
	Revision  int
	Tasks     []records.Task
	Transfers []conversation.Transfer
	// Turn is the part of the conversation that the caller may read. It limits tasks and transfers.
	Turn conversation.Turn
}

// stateTimeout is how long a workflow may take to answer before the desk's record is used instead.
const stateTimeout = 5 * time.Second

// View returns the conversation as far as the caller may read it. It refuses an agent who may read none of it.
func (c *Call) View(sid string) (*View, error) {
	v, err := c.ViewFor(sid)
	if err != nil {
		return nil, err
	}
	return v, c.MayRead(v)
}

// ViewFor returns the conversation whole for any caller. The handler checks what the caller may read.
func (c *Call) ViewFor(sid string) (*View, error) {
	shown, err := records.FindConversation(c.Ctx, c.Desk, sid)
	unknown := errors.Is(err, records.ErrUnknownConversation)
	if err != nil && !unknown {
		return nil, err
	}
	if !unknown && !shown.IsDraft() && shown.Status == conversation.ConversationClosed {
		return c.viewOfDesk(shown)
	}
	ctx, cancel := context.WithTimeout(c.Ctx, stateTimeout)
	defer cancel()
	record, err := c.Conversations.State(ctx, sid)
	switch {
	case err == nil && record.Status != "":
		return c.viewOfState(record.State)
	case unknown && (err == nil || conversation.CodeOf(err) != ""):
		return nil, records.ErrUnknownConversation
	case unknown:
		return nil, err
	}
	return c.viewOfDesk(shown)
}

func (c *Call) viewOfState(s conversation.State) (*View, error) {
	v := &View{
		SID: s.Conversation, Status: s.Status, Channel: s.Channel, Customer: s.Customer.Clean(), CreatedAt: s.CreatedAt, Revision: s.Revision,
	}
	for _, t := range s.Tasks {
		v.Tasks = append(v.Tasks, records.Task{Conversation: s.Conversation, Channel: s.Channel, Task: *t})
		if t.Status.Live() { // the client may use the SID before the desk shows it
			c.Remember(t.SID, s.Conversation)
			if t.Reservation != nil {
				c.Remember(t.Reservation.SID, s.Conversation)
			}
		}
	}
	for _, x := range s.Transfers {
		v.Transfers = append(v.Transfers, *x)
	}
	if s.Forgotten == (conversation.Forgotten{}) {
		return v, nil
	}
	return v, c.recall(v, s.Forgotten)
}

// recall adds the tasks and transfers that the workflow has dropped from its state, as the desk has kept them, in
// the order in which they were created.
func (c *Call) recall(v *View, forgotten conversation.Forgotten) error {
	kept, err := c.viewOfDesk(records.Conversation{SID: v.SID})
	if err != nil {
		return err
	}
	v.Tasks = recalled(v.Tasks, kept.Tasks, forgotten.Tasks, func(t records.Task) string { return t.SID })
	v.Transfers = recalled(v.Transfers, kept.Transfers, forgotten.Transfers, func(x conversation.Transfer) string { return x.SID })
	return nil
}

// recalled merges two lists in order of creation: each row that only the desk has kept comes before the first known
// row that is younger. It adds at most the number of rows that the conversation has forgotten. Rows that reached
// the desk after the conversation was read come last, and are left out.
func recalled[T any](known, kept []T, forgotten int, sid func(T) string) []T {
	var all []T
	for _, row := range kept {
		if at := slices.IndexFunc(known, func(k T) bool { return sid(k) == sid(row) }); at >= 0 {
			all, known = append(all, known[:at+1]...), known[at+1:]
		} else if forgotten > 0 {
			all, forgotten = append(all, row), forgotten-1
		}
	}
	return append(all, known...)
}

func (c *Call) viewOfDesk(shown records.Conversation) (*View, error) {
	v := &View{
		SID: shown.SID, Status: shown.Status, Draft: shown.IsDraft(), Channel: shown.Channel, Customer: shown.Customer, CreatedAt: shown.CreatedAt,
		Revision: shown.Revision,
	}
	var err error
	if v.Tasks, err = records.ListTasks(c.Ctx, c.Desk, shown.SID); err != nil {
		return nil, err
	}
	transfers, err := records.ListTransfers(c.Ctx, c.Desk, shown.SID)
	for _, x := range transfers {
		v.Transfers = append(v.Transfers, x.Transfer)
	}
	return v, err
}

// MayRead refuses an agent who may not read the conversation. It limits the view of an agent who wraps up to their
// turn.
func (c *Call) MayRead(v *View) error {
	own := c.Caller.Agent()
	if own == "" {
		return nil
	}
	turn, may := conversation.TurnOf(own, v.each)
	if !may {
		return c.NotTheirs()
	}
	if turn.Whole() {
		return nil
	}
	v.Turn = turn
	all := v.Tasks
	v.Tasks = nil
	for _, task := range all {
		if shown, may := turn.TaskOf(task.Task, v.Transfers); may {
			task.Task = shown
			v.Tasks = append(v.Tasks, task)
		}
	}
	v.Transfers = turn.Transfers(v.Transfers)
	v.Status = turn.Status(v.Status, v.each)
	return nil
}

// each yields the tasks in order.
func (v *View) each(yield func(*conversation.Task) bool) {
	for i := range v.Tasks {
		if !yield(&v.Tasks[i].Task) {
			return
		}
	}
}

// Details returns the conversation's details as far as the caller may read them: changes after the agent's turn are
// left out.
func (c *Call) Details(v *View) (records.Details, error) {
	details, err := records.ReadDetails(c.Ctx, c.Desk, v.SID)
	if err == nil && !v.Turn.Includes(details.UpdatedAt) {
		details.FriendlyName, details.UniqueName, details.Attributes, details.ContextSID, details.WebhookTTID = "", "", "{}", "", ""
		details.UpdatedAt = details.CreatedAt
	}
	return details, err
}

// Reader returns the desk's reader for a caller whom [Call.MayRead] has admitted. It depends on the conversation's
// state, since the desk's own record may lag.
func (v *View) Reader() records.Reader {
	if v.Turn.Whole() {
		return records.AsSystem()
	}
	return records.AsTurn(v.Turn)
}

// Task returns the task whose SID has the same digits, under any prefix; nil if there is none.
func (v *View) Task(sid string) *records.Task {
	for i := range v.Tasks {
		if v.Tasks[i].SID[2:] == sid[2:] {
			return &v.Tasks[i]
		}
	}
	return nil
}

// Latest returns the conversation's current task: the last one that waits or is assigned, else the last one; nil if
// there is none.
func (v *View) Latest() *records.Task {
	for i := range slices.Backward(v.Tasks) {
		if s := v.Tasks[i].Status; s.Waiting() || s == conversation.TaskAssigned {
			return &v.Tasks[i]
		}
	}
	if len(v.Tasks) == 0 {
		return nil
	}
	return &v.Tasks[len(v.Tasks)-1]
}

// withinTurn returns the refusal of a command as far as an agent's key may learn of it
// ([conversation.Turn.Refusal]).
func withinTurn(c *Call, refused error) error {
	own := c.Caller.Agent()
	if own == "" || c.sent == nil || conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	v, err := c.ViewFor(c.sentTo)
	if err != nil {
		return err
	}
	state := conversation.State{Conversation: v.SID, Status: v.Status, Channel: v.Channel}
	for task := range v.each {
		state.Tasks = append(state.Tasks, task)
	}
	for i := range v.Transfers {
		state.Transfers = append(state.Transfers, &v.Transfers[i])
	}
	return conversation.LastTurn(own, v.each).Refusal(c.sent, state, refused)
}
