package routing

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Activity is an agent's state under TaskRouter's name. Every desk has one activity for each presence. An
// administrator may add others, each for the presence available or break.
type Activity struct {
	SID       string `json:"sid"`
	Name      string `json:"name"`
	Available bool   `json:"available"`
	// Presence is the presence of an agent with this activity.
	Presence  desk.Presence `json:"presence"`
	CreatedAt time.Time     `json:"-"`
	UpdatedAt time.Time     `json:"-"`
}

// ActivityOf returns the activity that every desk has for the presence.
func ActivityOf(p desk.Presence) Activity {
	names := map[desk.Presence]string{desk.PresenceAvailable: "Available", desk.PresenceBreak: "Break", desk.PresenceOffline: "Offline"}
	return Activity{SID: desk.NamedSID(desk.PrefixActivity, string(p)), Name: names[p], Available: p == desk.PresenceAvailable, Presence: p}
}

// ListActivities returns the activities, the ones that every desk has first.
func ListActivities(ctx context.Context, d *desk.Desk) (activities []Activity, err error) {
	err = d.ReadTx(ctx, "read activities", func(tx *desk.Tx) error {
		activities, err = ReadActivities(ctx, tx)
		return err
	})
	return activities, err
}

// ReadActivities returns all activities, in order.
func ReadActivities(ctx context.Context, tx *desk.Tx) ([]Activity, error) {
	account, _, err := access.ReadAccountTx(ctx, tx)
	if err != nil {
		return nil, err
	}
	activities := []Activity{}
	for _, p := range []desk.Presence{desk.PresenceAvailable, desk.PresenceBreak, desk.PresenceOffline} {
		a := ActivityOf(p)
		a.CreatedAt, a.UpdatedAt = account.CreatedAt, account.CreatedAt
		activities = append(activities, a)
	}
	added, err := sqldb.All(ctx, tx, func(r sqldb.Row) (a Activity, err error) {
		err = r.Scan(&a.SID, &a.Name, &a.Available, sqldb.Instant(&a.CreatedAt), sqldb.Instant(&a.UpdatedAt))
		a.Presence = desk.PresenceBreak
		if a.Available {
			a.Presence = desk.PresenceAvailable
		}
		return a, err
	}, `SELECT sid, name, available, created_at, updated_at FROM activities ORDER BY created_at, sid`)
	return append(activities, added...), err
}

// AddActivity adds an activity. Refused with invalid_payload: a name that is taken.
func AddActivity(ctx context.Context, d *desk.Desk, name string, available bool) (added Activity, err error) {
	if refusal := desk.CleanName("activity", &name); refusal != nil {
		return Activity{}, refusal
	}
	sid := conversation.SIDOf(desk.PrefixActivity, uuid.New())
	err = d.ExclusiveTx(ctx, "add an activity", func(tx *desk.Tx) error {
		if err := freeActivityName(ctx, tx, name, ""); err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `INSERT INTO activities (sid, name, available, created_at, updated_at) VALUES ($1, $2, $3, $4, $4)`,
			sid, name, sqldb.Flag(available), now); err != nil {
			return err
		}
		presence := map[bool]desk.Presence{true: desk.PresenceAvailable, false: desk.PresenceBreak}[available]
		if err := tx.Audit(ctx, now, desk.Changed{What: "activity.added", Subject: name, After: string(presence)}); err != nil {
			return err
		}
		added, err = FindActivity(ctx, tx, sid)
		return err
	})
	return added, err
}

// RenameActivity renames an activity. Refused with invalid_payload: a name that is taken, an activity that every
// desk has, an unknown activity.
func RenameActivity(ctx context.Context, d *desk.Desk, sid, name string) (renamed Activity, err error) {
	if refusal := desk.CleanName("activity", &name); refusal != nil {
		return Activity{}, refusal
	}
	err = d.ExclusiveTx(ctx, "rename an activity", func(tx *desk.Tx) error {
		if err := ownActivity(ctx, tx, sid); err != nil {
			return err
		}
		if err := freeActivityName(ctx, tx, name, sid); err != nil {
			return err
		}
		before, err := FindActivity(ctx, tx, sid)
		if err != nil {
			return err
		}
		now := sqldb.Micros(d.Now())
		if _, err := tx.Exec(ctx, `UPDATE activities SET name = $2, updated_at = $3 WHERE sid = $1`, sid, name, now); err != nil {
			return err
		}
		if err := tx.Audit(ctx, now, desk.Changed{What: "activity.name", Subject: before.Name, Before: before.Name, After: name}); err != nil {
			return err
		}
		renamed, err = FindActivity(ctx, tx, sid)
		return err
	})
	return renamed, err
}

// RemoveActivity removes an activity. Refused with invalid_payload: an activity that an agent has, one that every
// desk has, an unknown activity.
func RemoveActivity(ctx context.Context, d *desk.Desk, sid string) error {
	return d.ExclusiveTx(ctx, "remove an activity", func(tx *desk.Tx) error {
		if err := ownActivity(ctx, tx, sid); err != nil {
			return err
		}
		holder, held, err := sqldb.First(ctx, tx, sqldb.Value[string], `SELECT name FROM agents WHERE activity = $1 LIMIT 1`, sid)
		switch {
		case err != nil:
			return err
		case held:
			return desk.Invalid("activity", "%s has this activity: give them another one first, then remove it", holder)
		}
		before, err := FindActivity(ctx, tx, sid)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, `DELETE FROM activities WHERE sid = $1`, sid); err != nil {
			return err
		}
		return tx.Audit(ctx, sqldb.Micros(d.Now()), desk.Changed{What: "activity.removed", Subject: before.Name, Before: string(before.Presence)})
	})
}

func ownActivity(ctx context.Context, tx *desk.Tx, sid string) error {
	for _, p := range []desk.Presence{desk.PresenceAvailable, desk.PresenceBreak, desk.PresenceOffline} {
		if sid == ActivityOf(p).SID {
			return desk.Invalid("activity", "every desk has the activity %s: it stays as it is", ActivityOf(p).Name)
		}
	}
	_, err := FindActivity(ctx, tx, sid)
	return err
}

func freeActivityName(ctx context.Context, tx *desk.Tx, name, sid string) error {
	activities, err := ReadActivities(ctx, tx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(activities, func(a Activity) bool { return a.Name == name && a.SID != sid }) {
		return desk.Taken("friendly_name", "there is an activity named %q already: choose another name", name)
	}
	return nil
}

// FindActivity returns the activity with that SID.
func FindActivity(ctx context.Context, tx *desk.Tx, sid string) (Activity, error) {
	activities, err := ReadActivities(ctx, tx)
	if err != nil {
		return Activity{}, err
	}
	at := slices.IndexFunc(activities, func(a Activity) bool { return a.SID == sid })
	if at < 0 {
		return Activity{}, desk.Invalid("activity", "there is no activity %q: see the list of activities", sid)
	}
	return activities[at], nil
}
