package routing

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Wait is the state of a conversation that waits for an agent.
type Wait string

// The states of a conversation that waits.
const (
	// WaitOffered: a task is offered to an agent, or an agent is free to get the offer.
	WaitOffered Wait = "offered"
	// WaitBusy: agents are available, but none has room for it now.
	WaitBusy Wait = "busy"
	// WaitAway: no agent who may take it is available.
	WaitAway Wait = "away"
)

// ReadWaits returns the states of those of the conversations that wait for an agent. Other conversations are not in the
// map.
func ReadWaits(ctx context.Context, d *desk.Desk, sids []string) (waits map[string]Wait, err error) {
	waits = map[string]Wait{}
	err = d.ReadTx(ctx, "read which conversations wait", func(tx *desk.Tx) error {
		settings, err := desk.ReadSettingsTx(ctx, tx)
		if err != nil {
			return err
		}
		since := sqldb.Micros(d.Now().Add(-time.Duration(settings.ReofferAfter) * time.Second))
		for len(sids) > 0 {
			part := sids[:min(len(sids), records.ConversationsPerQuery)]
			sids = sids[len(part):]
			if err := readWaits(ctx, tx, part, since, waits); err != nil {
				return err
			}
		}
		return nil
	})
	return waits, err
}

func readWaits(ctx context.Context, tx *desk.Tx, sids []string, declinedSince int64, waits map[string]Wait) error {
	places, args := make([]string, len(sids)), []any{declinedSince}
	for i, sid := range sids {
		args = append(args, sid)
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
		var sid string
		var status conversation.TaskStatus
		var direct, unmatched bool
		var presence desk.Presence
		var free, available int
		if err := r.Scan(&sid, &status, &direct, &unmatched, &presence, &free, &available); err != nil {
			return err
		}
		waits[sid] = WaitAway
		switch {
		case status == conversation.TaskReserved, direct && presence == desk.PresenceAvailable, !direct && free > 0, !direct && !unmatched:
			waits[sid] = WaitOffered
		case !direct && available > 0:
			waits[sid] = WaitBusy
		}
		return nil
	}, `SELECT t.conversation, t.status, t.direct, t.waiting, coalesce((SELECT a.presence FROM agents a WHERE a.name = t.agent), ''),
			(SELECT count(*) FROM queue_agents q JOIN agent_channels c ON c.agent = q.agent AND c.channel = t.channel AND c.load < c.capacity
				WHERE q.queue = t.queue AND q.available = 1 AND q.agent NOT IN (SELECT r.agent FROM reservations r
					WHERE r.conversation = t.conversation AND r.task = t.sid AND r.status IN ('rejected', 'timeout') AND r.excused = 0 AND r.updated_at > $1)),
			(SELECT count(*) FROM queue_agents q WHERE q.queue = t.queue AND q.available = 1)
		FROM tasks t WHERE t.conversation IN (`+strings.Join(places, ", ")+`) AND t.completed_at = 0 AND t.canceled_at = 0
			AND t.status IN ('pending', 'reserved')`, args...)
}
