package desk

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Activity is an agent's state under TaskRouter's name. Every desk has one activity for each presence. An
// administrator may add others, each for the presence available or break.
type Activity struct {
	SID       string `json:"sid"`
	Name      string `json:"name"`
	Available bool   `json:"available"`
	// Presence is the presence of an agent with this activity.
	Presence  Presence  `json:"presence"`
	CreatedAt time.Time `json:"-"`
	UpdatedAt time.Time `json:"-"`
}

// ActivityOf returns the activity that every desk has for the presence.
func ActivityOf(p Presence) Activity {
	names := map[Presence]string{PresenceAvailable: "Available", PresenceBreak: "Break", PresenceOffline: "Offline"}
	return Activity{SID: NamedSID(PrefixActivity, string(p)), Name: names[p], Available: p == PresenceAvailable, Presence: p}
}

// ListActivities returns the activities, the ones that every desk has first.
func ListActivities(ctx context.Context, d *Desk) (activities []Activity, err error) {
	err = d.ReadTx(ctx, "read activities", func(tx *Tx) error {
		activities, err = ReadActivities(ctx, tx)
		return err
	})
	return activities, err
}

// ReadActivities returns all activities, in order.
func ReadActivities(ctx context.Context, tx *Tx) ([]Activity, error) {
	account, _, err := readAccount(ctx, tx)
	if err != nil {
		return nil, err
	}
	activities := []Activity{}
	for _, p := range []Presence{PresenceAvailable, PresenceBreak, PresenceOffline} {
		a := ActivityOf(p)
		a.CreatedAt, a.UpdatedAt = account.CreatedAt, account.CreatedAt
		activities = append(activities, a)
	}
	added, err := sqldb.All(ctx, tx, func(r sqldb.Row) (a Activity, err error) {
		err = r.Scan(&a.SID, &a.Name, &a.Available, sqldb.Instant(&a.CreatedAt), sqldb.Instant(&a.UpdatedAt))
		a.Presence = PresenceBreak
		if a.Available {
			a.Presence = PresenceAvailable
		}
		return a, err
	}, `SELECT sid, name, available, created_at, updated_at FROM activities ORDER BY created_at, sid`)
	return append(activities, added...), err
}

// AddActivity adds an activity. Refused with invalid_payload: a name that is taken.
func AddActivity(ctx context.Context, d *Desk, name string, available bool) (added Activity, err error) {
	if refusal := cleanName("activity", &name); refusal != nil {
		return Activity{}, refusal
	}
	sid := conversation.SIDOf(PrefixActivity, uuid.New())
	err = d.ExclusiveTx(ctx, "add an activity", func(tx *Tx) error {
		if err := freeActivityName(ctx, tx, name, ""); err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `INSERT INTO activities (sid, name, available, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)`,
			sid, name, sqldb.Flag(available), now); err != nil {
			return err
		}
		presence := map[bool]Presence{true: PresenceAvailable, false: PresenceBreak}[available]
		if err := tx.audit(ctx, now, changed{"activity.added", name, "", string(presence)}); err != nil {
			return err
		}
		added, err = findActivity(ctx, tx, sid)
		return err
	})
	return added, err
}

// RenameActivity renames an activity. Refused with invalid_payload: a name that is taken, an activity that every
// desk has, an unknown activity.
func RenameActivity(ctx context.Context, d *Desk, sid, name string) (renamed Activity, err error) {
	if refusal := cleanName("activity", &name); refusal != nil {
		return Activity{}, refusal
	}
	err = d.ExclusiveTx(ctx, "rename an activity", func(tx *Tx) error {
		if err := ownActivity(ctx, tx, sid); err != nil {
			return err
		}
		if err := freeActivityName(ctx, tx, name, sid); err != nil {
			return err
		}
		before, err := findActivity(ctx, tx, sid)
		if err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `UPDATE activities SET name = $2, updated_at = $3 WHERE sid = $1`, sid, name, now); err != nil {
			return err
		}
		if err := tx.audit(ctx, now, changed{"activity.name", before.Name, before.Name, name}); err != nil {
			return err
		}
		renamed, err = findActivity(ctx, tx, sid)
		return err
	})
	return renamed, err
}

// RemoveActivity removes an activity. Refused with invalid_payload: an activity that an agent has, one that every
// desk has, an unknown activity.
func RemoveActivity(ctx context.Context, d *Desk, sid string) error {
	return d.ExclusiveTx(ctx, "remove an activity", func(tx *Tx) error {
		if err := ownActivity(ctx, tx, sid); err != nil {
			return err
		}
		holder, held, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM agents WHERE activity = $1 LIMIT 1`, sid)
		switch {
		case err != nil:
			return err
		case held:
			return invalid("activity", "%s has this activity: give them another one first, then remove it", holder)
		}
		before, err := findActivity(ctx, tx, sid)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `DELETE FROM activities WHERE sid = $1`, sid); err != nil {
			return err
		}
		return tx.audit(ctx, sqldb.Micros(d.Now()), changed{"activity.removed", before.Name, string(before.Presence), ""})
	})
}

func ownActivity(ctx context.Context, tx *Tx, sid string) error {
	for _, p := range []Presence{PresenceAvailable, PresenceBreak, PresenceOffline} {
		if sid == ActivityOf(p).SID {
			return invalid("activity", "every desk has the activity %s: it stays as it is", ActivityOf(p).Name)
		}
	}
	_, err := findActivity(ctx, tx, sid)
	return err
}

func freeActivityName(ctx context.Context, tx *Tx, name, sid string) error {
	activities, err := ReadActivities(ctx, tx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(activities, func(a Activity) bool { return a.Name == name && a.SID != sid }) {
		return taken("friendly_name", "there is an activity named %q already: choose another name", name)
	}
	return nil
}

// findActivity returns the activity with that SID.
func findActivity(ctx context.Context, tx *Tx, sid string) (Activity, error) {
	activities, err := ReadActivities(ctx, tx)
	if err != nil {
		return Activity{}, err
	}
	at := slices.IndexFunc(activities, func(a Activity) bool { return a.SID == sid })
	if at < 0 {
		return Activity{}, invalid("activity", "there is no activity %q: see the list of activities", sid)
	}
	return activities[at], nil
}
