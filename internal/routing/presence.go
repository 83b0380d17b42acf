package routing

import (
	"context"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// SetPresence sets an agent's presence. An agent who becomes available may be offered tasks at once. An agent who
// becomes unavailable keeps assigned and wrapping tasks. Their pending offers are declined, and their matches that
// are not offered yet go to other agents.
func SetPresence(ctx context.Context, d *desk.Desk, name string, presence desk.Presence) error {
	if refusal := desk.ValidPresence(presence); refusal != nil {
		return refusal
	}
	return d.ExclusiveTx(ctx, "set presence of "+name, func(tx *desk.Tx) error {
		return ChoosePresence(ctx, tx, name, presence, sqldb.Micros(d.Now()))
	})
}

// ChoosePresence sets the agent's presence, and the activity that belongs to it.
func ChoosePresence(ctx context.Context, tx *desk.Tx, name string, presence desk.Presence, now int64) error {
	before, err := desk.PresenceOf(ctx, tx, name)
	if err != nil {
		return err
	}
	if before == presence { // chosen again: the agent has seen the current presence
		return records.ForgetMissed(ctx, tx, name)
	}
	return SetActivity(ctx, tx, name, ActivityOf(presence), now)
}

// SetActivity sets the agent's activity, and the presence that belongs to it if that differs.
func SetActivity(ctx context.Context, tx *desk.Tx, name string, activity Activity, now int64) error {
	before, err := desk.PresenceOf(ctx, tx, name)
	if err != nil {
		return err
	}
	if err := records.ForgetMissed(ctx, tx, name); err != nil {
		return err
	}
	own := activity.SID
	if activity.SID == ActivityOf(activity.Presence).SID {
		own = ""
	}
	changed, err := tx.Exec(ctx, `UPDATE agents SET activity = $2 WHERE name = $1 AND (activity <> $2 OR presence <> $3)`,
		name, own, string(activity.Presence))
	if err != nil || changed == 0 {
		return err
	}
	tx.HappenWith(conversation.Event{Name: desk.EventAgentActivity, Agent: name, Reason: activity.Name, Activity: activity.Name}, now)
	if before == activity.Presence {
		return nil
	}
	return updatePresence(ctx, tx, name, before, activity.Presence, now)
}

func updatePresence(ctx context.Context, tx *desk.Tx, name string, before, presence desk.Presence, now int64) error {
	if _, err := tx.Exec(ctx, `UPDATE agents SET presence = $2, presence_at = $3 WHERE name = $1`, name, string(presence), now); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE queue_agents SET available = $2 WHERE agent = $1`, name, sqldb.Flag(presence == desk.PresenceAvailable)); err != nil {
		return err
	}
	switch {
	case presence == desk.PresenceAvailable:
		tx.WakeMatching()
		return startIdle(ctx, tx, name, now)
	case before == desk.PresenceAvailable:
		return leaveWork(ctx, tx, name, now)
	}
	return nil
}

// leaveWork declines the offers and releases the matches of an agent who is no longer available.
func leaveWork(ctx context.Context, tx *desk.Tx, name string, now int64) error {
	declined, err := tx.Exec(ctx, `INSERT INTO declines (reservation, task, conversation, agent, created_at, deliver_at, attempts)
		SELECT sid, task, conversation, agent, CAST($2 AS BIGINT), CAST($2 AS BIGINT), 0 FROM reservations WHERE agent = $1 AND status = 'pending'
		ON CONFLICT (reservation) DO NOTHING`, name, now)
	if err != nil {
		return desk.Wrap("decline for "+name, err)
	}
	if declined > 0 {
		tx.WakeDelivery()
	}

	matches, err := sqldb.All(ctx, tx, scanMatch, selectMatches+` WHERE agent = $1`, name)
	if err != nil {
		return desk.Wrap("find the matches of "+name, err)
	}
	for _, m := range matches {
		if err := releaseMatch(ctx, tx, m); err != nil {
			return err
		}
		tx.WakeMatching()
	}
	return nil
}

// timeoutActivity makes an agent unavailable who let an offer expire, unless they have become available again
// since. [records.ReadNotices] tells the agent why.
func timeoutActivity(ctx context.Context, tx *desk.Tx, sid string, e conversation.Event, now int64) error {
	expired, found, err := sqldb.First(ctx, tx, sqldb.Value[string],
		`SELECT name FROM agents WHERE name = $1 AND presence = 'available' AND presence_at <= $2`, e.Agent, sqldb.Micros(e.At))
	if err != nil || !found {
		return err
	}
	if err := SetActivity(ctx, tx, expired, ActivityOf(desk.PresenceOffline), now); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE agents SET missed_conversation = $2, missed_at = $3 WHERE name = $1`, expired, sid, sqldb.Micros(e.At))
	return err
}
