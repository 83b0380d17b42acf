package desk

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/sqldb"
)

// awaitPoll is how often a waiter checks for a revision that another process may have stored.
const awaitPoll = 50 * time.Millisecond

// AwaitRevision returns once the desk shows the conversation at that revision or a later one, so that a caller can
// read the effect of its command. It waits until ctx ends.
func AwaitRevision(ctx context.Context, d *Desk, sid string, revision int) error {
	poll := time.NewTicker(awaitPoll)
	defer poll.Stop()
	for {
		changed, leave := d.shown.wait(sid)
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
func readRevision(ctx context.Context, d *Desk, sid string) (revision int, err error) {
	err = d.QueryOne(ctx, "read the revision of conversation "+sid, func(tx *Tx) error {
		revision, _, err = sqldb.First(ctx, tx, sqldb.Value[int], `SELECT revision FROM conversations WHERE sid = $1`, sid)
		return err
	})
	return revision, err
}

// shown signals to waiters that a conversation's rows have changed.
type shown struct {
	mutex   sync.Mutex
	waiters map[string]*waiters
}

type waiters struct {
	changed chan struct{}
	count   int
}

func newShown() *shown { return &shown{waiters: map[string]*waiters{}} }

// wait returns a channel that is closed at the next change, and a function to be called when the caller stops
// waiting.
func (s *shown) wait(sid string) (<-chan struct{}, func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	w := s.waiters[sid]
	if w == nil {
		w = &waiters{changed: make(chan struct{})}
		s.waiters[sid] = w
	}
	w.count++
	return w.changed, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if w.count--; w.count == 0 && s.waiters[sid] == w {
			delete(s.waiters, sid)
		}
	}
}

// tellAll wakes all waiters.
func (s *shown) tellAll() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for sid, w := range s.waiters {
		close(w.changed)
		delete(s.waiters, sid)
	}
}

func (s *shown) tell(sid string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if w := s.waiters[sid]; w != nil {
		close(w.changed)
		delete(s.waiters, sid)
	}
}
