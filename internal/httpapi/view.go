package httpapi

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// view is the present state of one conversation. While its workflow runs, the workflow answers, so that every
// gateway shows the effect of a command at once. Afterwards the desk's record is used.
type view struct {
	sid       string
	status    conversation.ConversationStatus
	draft     bool
	channel   conversation.Channel
	customer  conversation.Customer
	createdAt time.Time
	revision  int
	tasks     []desk.Task
	transfers []conversation.Transfer
	// turn is the part of the conversation that the caller may read. It limits tasks and transfers.
	turn conversation.Turn
}

// stateTimeout is how long a workflow may take to answer before the desk's record is used instead.
const stateTimeout = 5 * time.Second

// view returns the conversation as far as the caller may read it. It refuses an agent who may read none of it.
func (c *call) view(sid string) (*view, error) {
	v, err := c.viewFor(sid)
	if err != nil {
		return nil, err
	}
	return v, c.mayRead(v)
}

func (c *call) viewFor(sid string) (*view, error) {
	shown, err := c.desk.Conversation(c.ctx, sid)
	unknown := errors.Is(err, desk.ErrUnknownConversation)
	if err != nil && !unknown {
		return nil, err
	}
	if !unknown && !shown.IsDraft() && shown.Status == conversation.ConversationClosed {
		return c.viewOfDesk(shown)
	}
	ctx, cancel := context.WithTimeout(c.ctx, stateTimeout)
	defer cancel()
	record, err := c.conversations.State(ctx, sid)
	switch {
	case err == nil && record.Status != "":
		return c.viewOfState(record.State)
	case unknown && (err == nil || conversation.CodeOf(err) != ""):
		return nil, desk.ErrUnknownConversation
	case unknown:
		return nil, err
	}
	return c.viewOfDesk(shown)
}

func (c *call) viewOfState(s conversation.State) (*view, error) {
	v := &view{
		sid: s.Conversation, status: s.Status, channel: s.Channel, customer: s.Customer.Clean(), createdAt: s.CreatedAt, revision: s.Revision,
	}
	for _, t := range s.Tasks {
		v.tasks = append(v.tasks, desk.Task{Conversation: s.Conversation, Channel: s.Channel, Task: *t})
		if t.Status.Live() { // the client may use the SID before the desk shows it
			c.seen.note(t.SID, s.Conversation)
			if t.Reservation != nil {
				c.seen.note(t.Reservation.SID, s.Conversation)
			}
		}
	}
	for _, x := range s.Transfers {
		v.transfers = append(v.transfers, *x)
	}
	if s.Forgotten == (conversation.Forgotten{}) {
		return v, nil
	}
	return v, c.recall(v, s.Forgotten)
}

// recall adds the tasks and transfers that the workflow has dropped from its state, as the desk has kept them, in
// the order in which they were created.
func (c *call) recall(v *view, forgotten conversation.Forgotten) error {
	kept, err := c.viewOfDesk(desk.Conversation{SID: v.sid})
	if err != nil {
		return err
	}
	v.tasks = recalled(v.tasks, kept.tasks, forgotten.Tasks, func(t desk.Task) string { return t.SID })
	v.transfers = recalled(v.transfers, kept.transfers, forgotten.Transfers, func(x conversation.Transfer) string { return x.SID })
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

func (c *call) viewOfDesk(shown desk.Conversation) (*view, error) {
	v := &view{
		sid: shown.SID, status: shown.Status, draft: shown.IsDraft(), channel: shown.Channel, customer: shown.Customer, createdAt: shown.CreatedAt,
		revision: shown.Revision,
	}
	var err error
	if v.tasks, err = c.desk.Tasks(c.ctx, shown.SID); err != nil {
		return nil, err
	}
	transfers, err := c.desk.Transfers(c.ctx, shown.SID)
	for _, x := range transfers {
		v.transfers = append(v.transfers, x.Transfer)
	}
	return v, err
}

// mayRead refuses an agent who may not read the conversation. It limits the view of an agent who wraps up to their
// turn.
func (c *call) mayRead(v *view) error {
	own := c.caller.agent()
	if own == "" {
		return nil
	}
	turn, may := conversation.TurnOf(own, v.each)
	if !may {
		return c.notTheirs()
	}
	if turn.Whole() {
		return nil
	}
	v.turn = turn
	all := v.tasks
	v.tasks = nil
	for _, task := range all {
		if shown, may := turn.TaskOf(task.Task, v.transfers); may {
			task.Task = shown
			v.tasks = append(v.tasks, task)
		}
	}
	v.transfers = turn.Transfers(v.transfers)
	v.status = turn.Status(v.status, v.each)
	return nil
}

// each yields the tasks in order.
func (v *view) each(yield func(*conversation.Task) bool) {
	for i := range v.tasks {
		if !yield(&v.tasks[i].Task) {
			return
		}
	}
}

// details returns the conversation's details as far as the caller may read them: changes after the agent's turn are
// left out.
func (c *call) details(v *view) (desk.Details, error) {
	details, err := c.desk.Details(c.ctx, v.sid)
	if err == nil && !v.turn.Includes(details.UpdatedAt) {
		details.FriendlyName, details.UniqueName, details.Attributes, details.ContextSID, details.WebhookTTID = "", "", "{}", "", ""
		details.UpdatedAt = details.CreatedAt
	}
	return details, err
}

// withinTurn returns the refusal of a command as far as an agent's key may learn of it
// ([conversation.Turn.Refusal]).
func (c *call) withinTurn(refused error) error {
	own := c.caller.agent()
	if own == "" || c.sent == nil || conversation.CodeOf(refused) != conversation.CodeConversationClosed {
		return refused
	}
	v, err := c.viewFor(c.sentTo)
	if err != nil {
		return err
	}
	state := conversation.State{Conversation: v.sid, Status: v.status, Channel: v.channel}
	for task := range v.each {
		state.Tasks = append(state.Tasks, task)
	}
	for i := range v.transfers {
		state.Transfers = append(state.Transfers, &v.transfers[i])
	}
	return conversation.LastTurn(own, v.each).Refusal(c.sent, state, refused)
}

// reader returns the desk's reader for a caller whom mayRead has admitted. It depends on the conversation's state,
// since the desk's own record may lag.
func (v *view) reader() desk.Reader {
	if v.turn.Whole() {
		return desk.AsSystem()
	}
	return desk.AsTurn(v.turn)
}

// task returns the task whose SID has the same digits, under any prefix; nil if there is none.
func (v *view) task(sid string) *desk.Task {
	for i := range v.tasks {
		if v.tasks[i].SID[2:] == sid[2:] {
			return &v.tasks[i]
		}
	}
	return nil
}

// latest returns the conversation's current task: the last one that waits or is assigned, else the last one; nil if
// there is none.
func (v *view) latest() *desk.Task {
	for i := range slices.Backward(v.tasks) {
		if s := v.tasks[i].Status; s.Waiting() || s == conversation.TaskAssigned {
			return &v.tasks[i]
		}
	}
	if len(v.tasks) == 0 {
		return nil
	}
	return &v.tasks[len(v.tasks)-1]
}

// conversationOf returns the conversation of a task, reservation or transfer, also if this process has answered
// with its SID before the desk shows it.
func (c *call) conversationOf(sid string) (string, error) {
	if known, ok := c.seen.of(sid); ok {
		return known, nil
	}
	switch sid[:2] {
	case conversation.PrefixTask:
		task, err := c.desk.Task(c.ctx, sid)
		return task.Conversation, err
	case conversation.PrefixReservation:
		reservation, err := c.desk.Reservation(c.ctx, sid)
		return reservation.Conversation, err
	default:
		transfer, err := c.desk.Transfer(c.ctx, sid)
		return transfer.Conversation, err
	}
}

// taskNow returns the present state of the task, and its conversation.
func (c *call) taskNow(sid string) (desk.Task, *view, error) {
	of, err := c.conversationOf(sid)
	if err != nil {
		return desk.Task{}, nil, c.unknown(err, "task", sid)
	}
	v, err := c.view(of)
	if err != nil {
		return desk.Task{}, nil, err
	}
	task := v.task(sid)
	if task == nil {
		return desk.Task{}, nil, c.lost("task", sid)
	}
	if len(task.Attributes) == 0 { // an old task's state has no attributes; the desk keeps them
		if kept, err := c.desk.Task(c.ctx, sid); err == nil {
			task.Attributes = kept.Attributes
		}
	}
	return *task, v, nil
}

// unknown turns a refusal, which means that the desk has no such record, into a 404. It returns other errors
// unchanged.
func (c *call) unknown(err error, what, sid string) error {
	if conversation.CodeOf(err) != "" {
		return c.lost(what, sid)
	}
	return err
}
