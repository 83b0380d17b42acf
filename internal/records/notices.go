package records

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

const (
	// acceptedShown is how long a sender sees that a transfer was accepted.
	acceptedShown = 10 * time.Minute
	// failedShown is how long a sender sees another outcome of a transfer: a shift.
	failedShown = 12 * time.Hour
	// sentAtMost is how many of an agent's transfers are read, newest first.
	sentAtMost = 50
)

// SentTransfer is a transfer as its sender follows it.
type SentTransfer struct {
	Conversation Conversation
	Transfer     conversation.Transfer
	// Task is the task that the transfer made. It shows where the task waits, to whom it is offered, and who has
	// it.
	Task conversation.Task
	// Attempt is the last offer of the task that was declined or expired, nil for none.
	Attempt *Attempt
}

// Attempt is an offer that was not accepted.
type Attempt struct {
	// Reservation is the SID of the offer.
	Reservation string
	Agent       string
	// Reason is [conversation.ReasonDeclined], [conversation.ReasonExpired], or
	// [conversation.ReasonAgentUnavailable] if the desk declined because the agent was no longer available.
	Reason conversation.Reason
	// Words are what the agent wrote when they declined.
	Words string
	At    time.Time
}

// MissedOffer is an offer that an agent let expire, after which the desk made them unavailable.
type MissedOffer struct {
	Conversation Conversation
	At           time.Time
}

// Notices are what an agent must see on every page of the desk.
type Notices struct {
	// Sent are the agent's transfers, newest first: those that are active, and those that ended in the last hours.
	Sent []SentTransfer
	// Missed is the offer that made the agent unavailable. It is nil if they have set a presence or dismissed it
	// since.
	Missed *MissedOffer
	// Dismissed are the SIDs of the attempts and the ended transfers that the agent has dismissed.
	Dismissed map[string]bool
	// Names are the friendly names of the agents and queues in the notices.
	Names desk.Names
}

// ReadNotices returns the agent's notices. It is refused with unknown_agent.
func ReadNotices(ctx context.Context, d *desk.Desk, agent string) (n Notices, err error) {
	err = d.ReadTx(ctx, "read the notices of "+agent, func(tx *desk.Tx) error {
		n, err = readNotices(ctx, tx, agent, d.Now())
		return err
	})
	return n, err
}

func readNotices(ctx context.Context, tx *desk.Tx, agent string, now time.Time) (n Notices, err error) {
	type missed struct {
		conversation string
		at           time.Time
	}
	own, found, err := sqldb.First(ctx, tx, func(r sqldb.Row) (m missed, err error) {
		err = r.Scan(&m.conversation, sqldb.Instant(&m.at))
		return m, err
	}, `SELECT missed_conversation, missed_at FROM agents WHERE name = $1`, agent)
	switch {
	case err != nil:
		return n, err
	case !found:
		return n, desk.UnknownAgent(agent)
	}
	if own.conversation != "" {
		n.Missed = &MissedOffer{At: own.at}
		if n.Missed.Conversation, err = ReadConversation(ctx, tx, own.conversation); err != nil {
			return n, err
		}
		may, err := turnAt(ctx, tx, agent, "", own.at)
		if err != nil {
			return n, err
		}
		if err := boundConversation(ctx, tx, &n.Missed.Conversation, may); err != nil {
			return n, err
		}
	}
	n.Dismissed = map[string]bool{}
	var since time.Time
	if err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var notice string
		var at time.Time
		err := r.Scan(&notice, sqldb.Instant(&at))
		if notice == removedAgent {
			since = at
		}
		n.Dismissed[notice] = true
		return err
	}, `SELECT notice, dismissed_at FROM dismissed_notices WHERE agent = $1`, agent); err != nil {
		return n, err
	}
	if n.Sent, err = sentBy(ctx, tx, agent, since, now); err != nil {
		return n, err
	}
	var names named
	for _, sent := range n.Sent {
		names.task(sent.Task)
		names.transfer(sent.Transfer)
		if sent.Attempt != nil {
			names.agents = append(names.agents, sent.Attempt.Agent)
		}
	}
	n.Names, err = readNames(ctx, tx, names)
	return n, err
}

// sentBy reads the agent's transfers since a moment.
func sentBy(ctx context.Context, tx *desk.Tx, agent string, since, now time.Time) ([]SentTransfer, error) {
	active, err := sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.from_agent = $1 AND x.ended_at = 0`, agent)
	if err != nil {
		return nil, err
	}
	ended, err := sqldb.All(ctx, tx, ScanTransfer, SelectTransfers+` WHERE x.from_agent = $1 AND x.ended_at > $2`, agent, sqldb.Micros(now.Add(-failedShown)))
	if err != nil {
		return nil, err
	}
	transfers := slices.DeleteFunc(append(active, ended...), func(x Transfer) bool {
		return x.CreatedAt.Before(since) || (x.Status == conversation.TransferCompleted && now.Sub(x.EndedAt) > acceptedShown)
	})
	slices.SortFunc(transfers, func(a, b Transfer) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.SID, b.SID)) })
	transfers = transfers[:min(len(transfers), sentAtMost)]
	sent := make([]SentTransfer, len(transfers))
	for i, x := range transfers {
		sent[i].Transfer = x.Transfer
		if sent[i].Conversation, err = ReadConversation(ctx, tx, x.Conversation); err != nil {
			return nil, err
		}
		if err := boundSent(ctx, tx, &sent[i].Conversation, x.Transfer); err != nil {
			return nil, err
		}
		task, _, err := sqldb.First(ctx, tx, ScanTask, SelectTasks+` WHERE t.sid = $1`, x.Task)
		if err != nil {
			return nil, err
		}
		until := conversation.Turn{Agent: agent, Until: x.CreatedAt}
		sent[i].Task, _ = until.TaskOf(task.Task, []conversation.Transfer{x.Transfer})
		attempts, err := lastAttempts(ctx, tx, x.Conversation, x)
		if err != nil {
			return nil, err
		}
		if last, ok := attempts[x.SID]; ok {
			sent[i].Attempt = &last
		}
	}
	return sent, nil
}

// lastAttempts returns, by the SID of each transfer of the conversation, the last offer of its task that was not
// accepted before the transfer ended. Transfers without one are not in the map.
func lastAttempts(ctx context.Context, tx *desk.Tx, sid string, transfers ...Transfer) (map[string]Attempt, error) {
	unanswered, err := sqldb.All(ctx, tx, ScanReservation, SelectReservations+` WHERE conversation = $1 AND status IN ('rejected', 'timeout')
		ORDER BY number`, sid)
	if err != nil || len(unanswered) == 0 {
		return nil, err
	}
	ofTask := make(map[string]Transfer, len(transfers))
	for _, x := range transfers {
		ofTask[x.Task] = x
	}
	attempts := map[string]Attempt{}
	var unavailable map[string]bool
	for _, r := range unanswered {
		x, ok := ofTask[r.Task]
		if !ok || (!x.EndedAt.IsZero() && r.UpdatedAt.After(x.EndedAt)) {
			continue
		}
		attempt := Attempt{Reservation: r.SID, Agent: r.Agent, Reason: conversation.ReasonExpired, At: r.UpdatedAt}
		if r.Status == conversation.ReservationRejected {
			attempt.Reason, attempt.Words = conversation.ReasonDeclined, r.Reason
		}
		if attempt.Words == desk.ReasonAgentUnavailable { // an agent may write that too: the event has the cause
			if unavailable == nil {
				if unavailable, err = rejectedAsUnavailable(ctx, tx, sid); err != nil {
					return nil, err
				}
			}
			if unavailable[r.SID] {
				attempt.Reason, attempt.Words = conversation.ReasonAgentUnavailable, ""
			}
		}
		attempts[x.SID] = attempt
	}
	return attempts, nil
}

// rejectedAsUnavailable returns the conversation's reservations that were rejected because their agent became
// unavailable.
func rejectedAsUnavailable(ctx context.Context, tx *desk.Tx, sid string) (map[string]bool, error) {
	rejected, err := sqldb.All(ctx, tx, desk.ScanEvent, `SELECT position, epoch, conversation, event FROM events
		WHERE conversation = $1 AND name = 'reservation.rejected' ORDER BY number`, sid)
	reservations := map[string]bool{}
	for _, e := range rejected {
		if e.Cause == conversation.CauseUnavailable {
			reservations[e.Reservation] = true
		}
	}
	return reservations, err
}

// noticeKept is how long a dismissal is kept: longer than the notice is shown.
const noticeKept = 2 * failedShown

// removedAgent is stored as a dismissed notice when an agent is removed, so that a later agent of that name does
// not see older notices.
const removedAgent = "removed"

// DismissAllNotices ends the notices of an agent who is removed: the next agent with the name has none of them.
func DismissAllNotices(ctx context.Context, tx *desk.Tx, agent string, now int64) error {
	if _, err := tx.Exec(ctx, `DELETE FROM dismissed_notices WHERE agent = $1`, agent); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO dismissed_notices (agent, notice, dismissed_at) VALUES ($1, $2, $3)`, agent, removedAgent, now)
	return err
}

// DismissNotices records that the agent has dismissed these notices, named by SIDs of attempts and of ended
// transfers. SIDs of other agents' notices have no effect.
func DismissNotices(ctx context.Context, d *desk.Desk, agent string, sids ...string) error {
	for _, sid := range sids {
		if !conversation.IsSID(conversation.PrefixTransfer, sid) && !conversation.IsSID(conversation.PrefixReservation, sid) {
			return desk.Invalid("notice", "%q is not a notice: name the SID of a transfer or of a reservation", sid)
		}
	}
	now := d.Now()
	return d.SharedTx(ctx, "dismiss notices of "+agent, func(tx *desk.Tx) error {
		if err := desk.RequireAgent(ctx, tx, agent); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM dismissed_notices WHERE agent = $1 AND dismissed_at < $2 AND notice <> $3`,
			agent, sqldb.Micros(now.Add(-noticeKept)), removedAgent); err != nil {
			return err
		}
		for _, sid := range sids {
			if _, err := tx.Exec(ctx, `INSERT INTO dismissed_notices (agent, notice, dismissed_at) VALUES ($1, $2, $3)
				ON CONFLICT (agent, notice) DO NOTHING`, agent, sid, sqldb.Micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// DismissMissedOffer records that the agent has seen that a missed offer made them unavailable.
func DismissMissedOffer(ctx context.Context, d *desk.Desk, agent string) error {
	return d.SharedTx(ctx, "dismiss the missed offer of "+agent, func(tx *desk.Tx) error { return ForgetMissed(ctx, tx, agent) })
}

// ForgetMissed ends the agent's notice about a missed offer.
func ForgetMissed(ctx context.Context, tx *desk.Tx, agent string) error {
	_, err := tx.Exec(ctx, `UPDATE agents SET missed_conversation = '', missed_at = 0 WHERE name = $1 AND missed_conversation <> ''`, agent)
	return err
}
