package routing

import (
	"context"
	"fmt"
	"time"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// awaitPoll is how often a waiter checks for a revision that another process may have stored.
const awaitPoll = 50 * time.Millisecond

// AwaitRevision returns once the desk shows the conversation at that revision or a later one, so that a caller can
// read the effect of its command. It waits until ctx ends.
func AwaitRevision(ctx context.Context, d *desk.Desk, sid string, revision int) error {
	poll := time.NewTicker(awaitPoll)
	defer poll.Stop()
	for {
		changed, leave := d.Wait(sid)
		shows, err := readRevision(ctx, d, sid)
		if err != nil || shows >= revision {
			leave()
			return err
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-ctx.Done():
			leave()
			return fmt.Errorf("await revision %d of conversation %s, the desk shows %d: %w", revision, sid, shows, ctx.Err())
		}
		leave()
	}
}

// readRevision returns the revision that the desk shows, 0 for an unknown conversation.
func readRevision(ctx context.Context, d *desk.Desk, sid string) (revision int, err error) {
	err = d.QueryOne(ctx, "read the revision of conversation "+sid, func(tx *desk.Tx) error {
		revision, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT revision FROM conversations WHERE sid = $1`, sid)
		return err
	})
	return revision, err
}
