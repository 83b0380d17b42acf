package routing

import (
	"context"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Shown is the desk's state of a conversation, for comparison with the conversation itself.
type Shown struct {
	// Known reports whether the desk has the conversation, Open whether its status is not closed. A draft is not
	// known.
	Known, Open bool
	// Revision and Events are those of the last snapshot.
	Revision, Events int
	// Chain is the ID of the first run of its workflow, "" if unknown.
	Chain string
	// Live holds its live tasks, by SID.
	Live map[string]ShownTask
}

// ShownTask holds the compared values of a task.
type ShownTask struct {
	Status conversation.TaskStatus
	Agent  string
}

// ReadShown returns the desk's state of the conversation. Known is false for a conversation that the desk does not
// have.
func ReadShown(ctx context.Context, d *desk.Desk, sid string) (shown Shown, err error) {
	err = d.ReadTx(ctx, "read what is shown of conversation "+sid, func(tx *desk.Tx) error {
		shown = Shown{Live: map[string]ShownTask{}}
		err := sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			shown.Known = true
			return r.Scan(&shown.Open, &shown.Revision, &shown.Events, &shown.Chain)
		}, `SELECT CASE WHEN status = 'closed' THEN 0 ELSE 1 END, revision, events, chain FROM conversations WHERE sid = $1 AND revision > 0`, sid)
		if err != nil {
			return err
		}
		return sqldb.Each(ctx, tx, func(r sqldb.Row) error {
			var task string
			var as ShownTask
			err := r.Scan(&task, &as.Status, &as.Agent)
			shown.Live[task] = as
			return err
		}, `SELECT sid, status, agent FROM tasks WHERE conversation = $1 AND completed_at = 0 AND canceled_at = 0`, sid)
	})
	return shown, err
}

// OpenConversations returns the SIDs, in order, of at most limit conversations after that SID that are not closed.
func OpenConversations(ctx context.Context, d *desk.Desk, after string, limit int) (sids []string, err error) {
	err = d.QueryOne(ctx, "list open conversations", func(tx *desk.Tx) error {
		sids, err = sqldb.All(ctx, tx, sqldb.Value[string], `SELECT sid FROM conversations WHERE status <> 'closed' AND revision > 0 AND sid > $1 ORDER BY sid LIMIT $2`,
			after, limit)
		return err
	})
	return sids, err
}

// TakeToCompare returns at most limit open conversations that no process has taken for that duration, the least
// recently taken first. It records that they are taken now.
func TakeToCompare(ctx context.Context, d *desk.Desk, since time.Duration, limit int) (sids []string, err error) {
	const due = `SELECT sid FROM conversations WHERE status <> 'closed' AND revision > 0 AND compared_at <= $1 ORDER BY compared_at LIMIT $2`
	before := sqldb.Micros(d.Now().Add(-since))
	err = d.QueryOne(ctx, "look for conversations to compare", func(tx *desk.Tx) error {
		sids, err = sqldb.All(ctx, tx, sqldb.Value[string], due, before, limit)
		return err
	})
	if err != nil || len(sids) == 0 {
		return nil, err
	}
	err = d.SharedTx(ctx, "take conversations to compare", func(tx *desk.Tx) error {
		if sids, err = sqldb.All(ctx, tx, sqldb.Value[string], due+tx.SkipLocked("conversations"), before, limit); err != nil {
			return err
		}
		for _, sid := range sids {
			if _, err := tx.Exec(ctx, `UPDATE conversations SET compared_at = $2 WHERE sid = $1`, sid, sqldb.Micros(d.Now())); err != nil {
				return err
			}
		}
		return nil
	})
	return sids, err
}

// Lease reports whether this process may do the named work. All processes together get the lease once per interval.
func Lease(ctx context.Context, d *desk.Desk, name string, every time.Duration) (mine bool, err error) {
	err = d.SharedTx(ctx, "lease "+name, func(tx *desk.Tx) error {
		now := d.Now()
		changed, err := tx.Exec(ctx, `INSERT INTO leases (name, until) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET until = excluded.until WHERE leases.until <= $3`, name, sqldb.Micros(now.Add(every)), sqldb.Micros(now))
		mine = changed > 0
		return err
	})
	return mine, err
}
