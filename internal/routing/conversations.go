package routing

import (
	"context"
	"sync"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// ConversationDesk is the desk as conversations use it. It implements activities.Desk.
type ConversationDesk struct {
	desk       *desk.Desk
	together   together
	rejections rejections
}

// NewConversationDesk returns the desk as conversations use it.
func NewConversationDesk(d *desk.Desk) *ConversationDesk {
	return &ConversationDesk{desk: d, together: together{desk: d}}
}

// Facts answers a query with facts: see [ReadFacts].
func (c *ConversationDesk) Facts(ctx context.Context, q conversation.FactsQuery) (conversation.Facts, error) {
	return ReadFacts(ctx, c.desk, q)
}

// Sync makes the desk's records equal to the snapshot: see [Sync]. Snapshots that arrive while others are being applied
// are applied together, in one transaction. It logs once that the database refuses a
// snapshot: its conversation sends it again and again.
func (c *ConversationDesk) Sync(ctx context.Context, p conversation.Snapshot) (conversation.Acknowledgement, error) {
	answer, err := c.together.sync(ctx, p)
	if sqldb.Rejected(err) && c.rejections.first(p.Conversation, p.Revision) {
		c.desk.Log().ErrorContext(ctx, "sync rejected", "conversation", p.Conversation, "revision", p.Revision, "error", err)
	}
	return answer, err
}

// rejections remembers which snapshots the database has refused.
type rejections struct {
	mutex sync.Mutex
	known map[string]int
}

// rejectionsKept is the maximum number of remembered snapshots.
const rejectionsKept = 1000

// first records that the database refuses the conversation's snapshot, and reports whether it is the first time.
func (r *rejections) first(conversation string, revision int) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if before, ok := r.known[conversation]; ok && before == revision {
		return false
	}
	if r.known == nil || len(r.known) >= rejectionsKept {
		r.known = map[string]int{}
	}
	r.known[conversation] = revision
	return true
}
