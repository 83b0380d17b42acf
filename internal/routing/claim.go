package routing

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Claim matches a waiting task with an available agent who chooses it: the task with that SID (WT…), or the one
// that waits in that conversation (CH…). It needs neither capacity nor membership of the queue. The dispatcher
// delivers the returned command, and the caller may deliver it too. Claiming again what the same agent has claimed
// or is offered returns the same command. Refusals: unknown_agent, no_such_task, no_reservation (the task does not
// wait), not_your_task (it waits for another agent), wrapup_pending, already_participating, agent_unavailable,
// conversation_closed (its workflow no longer runs).
func Claim(ctx context.Context, d *desk.Desk, sid, agent string) (conversation.ReserveCommand, error) {
	var command conversation.ReserveCommand
	err := d.SharedTx(ctx, "claim "+sid+" for "+agent, func(tx *desk.Tx) error {
		p, err := claimTask(ctx, tx, sid, agent, d.Now())
		command = p.command()
		return err
	})
	return command, err
}

func claimTask(ctx context.Context, tx *desk.Tx, sid, agent string, now time.Time) (match, error) {
	presence, err := desk.PresenceOf(ctx, tx, agent)
	if err != nil {
		return match{}, err
	}
	if err := holdClaimed(ctx, tx, sid); err != nil {
		return match{}, err
	}
	task, err := claimable(ctx, tx, sid)
	if err != nil {
		if conversation.CodeOf(err) == conversation.CodeNoReservation {
			// The refusal hides from an agent who wraps up the conversation whether the task waits.
			if holder := refuseHolder(ctx, tx, sid, agent); conversation.CodeOf(holder) == conversation.CodeWrapupPending {
				return match{}, holder
			}
		}
		return match{}, err
	}
	if task.Status == conversation.TaskReserved && task.Agent == agent {
		return match{reservation: task.Reservation.SID, task: task.SID, number: task.PendingSeq, agent: agent}, nil
	}
	matched, found, err := sqldb.First(ctx, tx, scanMatch, selectMatches+` WHERE task = $1`, task.SID)
	switch {
	case err != nil:
		return match{}, err
	case found && matched.agent == agent:
		return matched, nil
	}
	if err := refuseHolder(ctx, tx, task.Conversation, agent); err != nil {
		return match{}, err
	}
	switch {
	case found:
		return match{}, notWaiting(task, "is about to be offered to "+matched.agent)
	case task.Status != conversation.TaskPending:
		return match{}, notWaiting(task, "is "+string(task.Status))
	case task.Direct && task.Agent != agent:
		return match{}, conversation.Refuse(conversation.CodeNotYourTask, conversation.Details{Task: task.SID, Agent: task.Agent},
			"task %s waits for %s: only they can take it, or a supervisor moves it", task.SID, task.Agent)
	}
	if err := refuseGone(ctx, tx, task.Conversation); err != nil {
		return match{}, err
	}
	if presence != desk.PresenceAvailable {
		return match{}, conversation.Refuse(conversation.CodeAgentUnavailable, conversation.Details{Agent: agent},
			"%s is on %s: become available first, then take the task", agent, presence)
	}
	m := matching{Tx: tx, now: now, room: 1}
	m.match(waitingTask{sid: task.SID, conversation: task.Conversation, channel: task.Channel, pendingSeq: task.PendingSeq}, &member{agent: agent})
	if err := m.flush(ctx); err != nil {
		return match{}, err
	}
	tx.WakeDelivery()
	return m.made[0], nil
}

// holdClaimed locks the conversation, or the task's conversation, and the routing.
func holdClaimed(ctx context.Context, tx *desk.Tx, sid string) error {
	if conversation.IsSID(conversation.PrefixTask, sid) {
		of, _, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT conversation FROM tasks WHERE sid = $1`, sid)
		if err != nil {
			return err
		}
		sid = of
	}
	if err := desk.LockConversation(ctx, tx, sid); err != nil {
		return err
	}
	return desk.LockRouting(ctx, tx)
}

// claimable returns the task with that SID, or the task that waits in the conversation with that SID.
func claimable(ctx context.Context, tx *desk.Tx, sid string) (records.Task, error) {
	if conversation.IsSID(conversation.PrefixTask, sid) {
		return desk.FindBySID(ctx, tx, conversation.CodeNoSuchTask, records.ScanTask, records.SelectTasks+` WHERE t.sid = $1`, sid)
	}
	if _, err := records.ConversationStatus(ctx, tx, sid); err != nil {
		return records.Task{}, err
	}
	if err := refuseGone(ctx, tx, sid); err != nil {
		return records.Task{}, err
	}
	task, found, err := sqldb.First(ctx, tx, records.ScanTask, records.SelectTasks+`
		WHERE t.conversation = $1 AND t.status IN ('pending', 'reserved') ORDER BY t.placement LIMIT 1`, sid)
	if err == nil && !found {
		return records.Task{}, conversation.Refuse(conversation.CodeNoReservation, conversation.Details{},
			"no task of this conversation waits for an agent: see its state")
	}
	return task, err
}

// refuseHolder refuses an agent who already has the conversation or still wraps it up.
func refuseHolder(ctx context.Context, tx *desk.Tx, sid, agent string) error {
	type held struct {
		task   string
		status conversation.TaskStatus
	}
	h, found, err := sqldb.First(ctx, tx, func(r sqldb.Row) (h held, err error) {
		err = r.Scan(&h.task, &h.status)
		return h, err
	}, `SELECT sid, status FROM tasks WHERE conversation = $1 AND agent = $2 AND status IN ('assigned', 'wrapping') LIMIT 1`, sid, agent)
	switch {
	case err != nil || !found:
		return err
	case h.status == conversation.TaskWrapping:
		return conversation.Refuse(conversation.CodeWrapupPending, conversation.Details{Task: h.task, Agent: agent},
			"%s still wraps up task %s of this conversation: complete that wrapup, then take the task", agent, h.task)
	}
	return conversation.Refuse(conversation.CodeAlreadyParticipating, conversation.Details{Task: h.task, Agent: agent},
		"%s is on the conversation already, with task %s", agent, h.task)
}

// refuseGone refuses a conversation whose workflow was found to no longer run.
func refuseGone(ctx context.Context, tx *desk.Tx, sid string) error {
	gone, _, err := sqldb.First(ctx, tx, sqldb.Value[bool], `SELECT gone FROM conversations WHERE sid = $1`, sid)
	if err == nil && gone {
		return conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
			"the conversation's workflow no longer runs: its task can't be taken any more")
	}
	return err
}

func notWaiting(task records.Task, how string) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeNoReservation, conversation.Details{Task: task.SID},
		"task %s can't be taken: it %s", task.SID, how)
}
