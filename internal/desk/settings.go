package desk

import (
	"context"
	"strconv"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// The longest times that an administrator may set, in seconds: TaskRouter's, where it has a limit.
const (
	maxReservationTimeout = 24 * 60 * 60
	maxTaskTimeout        = 14 * 24 * 60 * 60
	maxWrapupTimeout      = 14 * 24 * 60 * 60
	maxReofferAfter       = 24 * 60 * 60
)

// ReadSettings returns the settings of the administrators, initially [conversation.DefaultSettings].
func ReadSettings(ctx context.Context, d *Desk) (settings conversation.Settings, err error) {
	err = d.QueryOne(ctx, "read settings", func(tx *Tx) error {
		settings, err = ReadSettingsTx(ctx, tx)
		return err
	})
	return settings, err
}

// SetSettings changes the settings, and returns the new ones. The change is recorded for the administrator named
// by; "" means the one that [WithActor] names. Turning transfers off turns notes off as well. Refusals:
// messaging_transfers_off for notes without transfers, plugin_conflict for transfers while a plugin makes them, and
// invalid_payload for a value out of range. Then nothing is changed. The function may be called more than once.
func SetSettings(ctx context.Context, d *Desk, by string, change func(*conversation.Settings)) (conversation.Settings, error) {
	if by != "" {
		ctx = WithActor(ctx, by)
	}
	var after conversation.Settings
	err := d.ExclusiveTx(ctx, "change settings", func(tx *Tx) error {
		before, err := ReadSettingsTx(ctx, tx)
		if err != nil {
			return err
		}
		after = before
		change(&after)
		plugin, err := transferPlugin(ctx, tx)
		if err != nil {
			return err
		}
		if refusal := judgeSettings(before, &after, plugin); refusal != nil {
			return refusal
		}
		tx.WakeMatching() // the change may affect which tasks are offered to whom
		now := sqldb.Micros(d.Now())
		if err := tx.Audit(ctx, now, settingsChanged(before, after)...); err != nil {
			return err
		}
		return saveSettings(ctx, tx, after, actor(ctx), now)
	})
	return after, err
}

// judgeSettings refuses a change, or completes it: turning transfers off turns notes off.
func judgeSettings(before conversation.Settings, after *conversation.Settings, plugin string) *conversation.Refusal {
	switch {
	case after.MessagingTransfers && !before.MessagingTransfers && plugin != "":
		return conversation.Refuse(conversation.CodePluginConflict, conversation.Details{Plugin: plugin},
			"the plugin %s transfers conversations itself: disable or remove it, then turn messaging transfers on", plugin)
	case after.TransferNotes && !before.TransferNotes && !after.MessagingTransfers:
		return conversation.Refuse(conversation.CodeMessagingTransfersOff, conversation.Details{},
			"notes on transfers need messaging transfers: turn messaging transfers on first")
	}
	after.TransferNotes = after.TransferNotes && after.MessagingTransfers

	for _, limited := range []struct {
		field              string
		value, least, most int
	}{
		{"reservation_timeout", after.ReservationTimeout, 1, maxReservationTimeout},
		{"task_timeout", after.TaskTimeout, 1, maxTaskTimeout},
		{"wrapup_timeout", after.WrapupTimeout, 0, maxWrapupTimeout},
		{"reoffer_after", after.ReofferAfter, 0, maxReofferAfter},
	} {
		if limited.value < limited.least || limited.value > limited.most {
			return Invalid(limited.field, "%s is %s: choose %s to %s", limited.field,
				spelled(limited.value), spelled(limited.least), spelled(limited.most))
		}
	}
	switch after.AgentUnavailable {
	case conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue:
	default:
		return Invalid("agent_unavailable", "agent_unavailable is %q: choose %s, %s or %s", after.AgentUnavailable,
			conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue)
	}
	switch after.Unanswered {
	case conversation.UnansweredOriginQueue, conversation.UnansweredSender:
	default:
		return Invalid("unanswered", "unanswered is %q: choose %s or %s", after.Unanswered,
			conversation.UnansweredOriginQueue, conversation.UnansweredSender)
	}
	return nil
}

// spelled returns seconds in the largest unit that leaves no remainder: "99 days", "90 minutes".
func spelled(seconds int) string {
	for _, unit := range []struct {
		seconds int
		name    string
	}{{24 * 60 * 60, "day"}, {60 * 60, "hour"}, {60, "minute"}, {1, "second"}} {
		if seconds%unit.seconds != 0 || (seconds == 0 && unit.seconds > 1) {
			continue
		}
		count := seconds / unit.seconds
		if count == 1 {
			return "1 " + unit.name
		}
		return strconv.Itoa(count) + " " + unit.name + "s"
	}
	return strconv.Itoa(seconds)
}

// SettingsInto returns the scan destinations of the settings, in the order of their columns. routing.ReadFacts also
// reads them.
func SettingsInto(s *conversation.Settings) []any {
	return []any{
		&s.MessagingTransfers, &s.TransferNotes, &s.ReservationTimeout, &s.TaskTimeout, &s.WrapupTimeout,
		&s.AgentUnavailable, &s.Unanswered, &s.ReofferAfter, &s.TimeoutActivity,
	}
}

const selectSettings = `SELECT messaging_transfers, transfer_notes, reservation_timeout, task_timeout, wrapup_timeout,
		agent_unavailable, unanswered, reoffer_after, timeout_activity
	FROM settings WHERE id = 1`

// ReadSettingsTx returns the settings, the defaults if none have been set.
func ReadSettingsTx(ctx context.Context, tx *Tx) (conversation.Settings, error) {
	settings := conversation.DefaultSettings()
	err := sqldb.Each(ctx, tx, scanSettings(&settings), selectSettings)
	if err != nil {
		return settings, Wrap("read settings", err)
	}
	return settings, nil
}

// QueueSettings adds [ReadSettingsTx] to the pipeline.
func QueueSettings(p *sqldb.Pipeline, into *conversation.Settings) {
	*into = conversation.DefaultSettings()
	p.Each(scanSettings(into), selectSettings)
}

func scanSettings(into *conversation.Settings) func(sqldb.Row) error {
	return func(r sqldb.Row) error { return r.Scan(SettingsInto(into)...) }
}

func saveSettings(ctx context.Context, tx *Tx, s conversation.Settings, by string, now int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO settings (id, messaging_transfers, transfer_notes, reservation_timeout, task_timeout,
			wrapup_timeout, agent_unavailable, unanswered, reoffer_after, timeout_activity, changed_by, changed_at)
		VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (id) DO UPDATE SET messaging_transfers = excluded.messaging_transfers,
			transfer_notes = excluded.transfer_notes, reservation_timeout = excluded.reservation_timeout,
			task_timeout = excluded.task_timeout, wrapup_timeout = excluded.wrapup_timeout,
			agent_unavailable = excluded.agent_unavailable, unanswered = excluded.unanswered,
			reoffer_after = excluded.reoffer_after, timeout_activity = excluded.timeout_activity,
			changed_by = excluded.changed_by, changed_at = excluded.changed_at`,
		sqldb.Flag(s.MessagingTransfers), sqldb.Flag(s.TransferNotes), s.ReservationTimeout, s.TaskTimeout, s.WrapupTimeout,
		string(s.AgentUnavailable), string(s.Unanswered), s.ReofferAfter, sqldb.Flag(s.TimeoutActivity), by, now)
	return err
}

// Invalid refuses the value of a field with invalid_payload.
func Invalid(field, format string, args ...any) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: field}, format, args...)
}
