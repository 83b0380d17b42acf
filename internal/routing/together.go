package routing

import (
	"context"
	"slices"
	"sync"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

const (
	// syncedTogether is the maximum number of snapshots in one transaction.
	syncedTogether = 64
	// rowsTogether is the maximum number of rows that the snapshots in one transaction name, unless it is one.
	rowsTogether = 2000
)

// together applies snapshots that arrive at the same time in one transaction, one transaction after the other. A caller
// who finds none under way begins one at once, so a snapshot never waits for others to arrive.
type together struct {
	desk  *desk.Desk
	mutex sync.Mutex
	// waiting are the snapshots for the next transactions, in order of arrival.
	waiting []*waitingSnapshot
	// running is set while a goroutine applies them.
	running bool
	// failing are the conversations whose last snapshot failed on its own. Their next ones are applied alone, so that
	// they hold up no others.
	failing map[string]bool
}

// waitingSnapshot is a snapshot that is to be applied. done is closed when answer and err are set.
type waitingSnapshot struct {
	snapshot conversation.Snapshot
	done     chan struct{}
	answer   conversation.Acknowledgement
	err      error
}

// sync applies a snapshot. If ctx ends before, the snapshot may still be applied.
func (t *together) sync(ctx context.Context, p conversation.Snapshot) (conversation.Acknowledgement, error) {
	w := &waitingSnapshot{snapshot: p, done: make(chan struct{})}
	t.begin(context.WithoutCancel(ctx), w)
	select {
	case <-w.done:
		return w.answer, w.err
	case <-ctx.Done():
		return conversation.Acknowledgement{}, desk.Wrap("sync conversation "+p.Conversation, ctx.Err())
	}
}

func (t *together) begin(ctx context.Context, w *waitingSnapshot) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case t.failing[w.snapshot.Conversation]:
		go t.applyAlone(ctx, w)
	case t.running:
		t.waiting = append(t.waiting, w)
	default:
		t.waiting, t.running = append(t.waiting, w), true
		go t.run(ctx)
	}
}

// run applies the waiting snapshots until there are none.
func (t *together) run(ctx context.Context) {
	for {
		some := t.take()
		if len(some) == 0 {
			return
		}
		t.apply(ctx, some)
	}
}

// take removes the snapshots for one transaction from those that wait: one of each conversation. A snapshot that may
// send an agent away, or that is whole, is applied alone.
func (t *together) take() []*waitingSnapshot {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	var taken, left []*waitingSnapshot
	conversations := map[string]bool{}
	rows := 0
	for i, w := range t.waiting {
		size := len(w.snapshot.Tasks) + len(w.snapshot.Transfers) + len(w.snapshot.Notes) + len(w.snapshot.Events)
		switch alone := appliedAlone(w.snapshot); {
		case conversations[w.snapshot.Conversation], len(taken) > 0 && (alone || rows+size > rowsTogether):
			left = append(left, w)
			continue
		case alone, len(taken)+1 == syncedTogether:
			taken = append(taken, w)
			left = append(left, t.waiting[i+1:]...)
			t.waiting = left
			return taken
		default:
			taken = append(taken, w)
			conversations[w.snapshot.Conversation] = true
			rows += size
		}
	}
	t.waiting = left
	t.running = len(taken) > 0
	return taken
}

// appliedAlone reports whether a snapshot needs a transaction of its own.
func appliedAlone(p conversation.Snapshot) bool {
	return p.Whole || slices.ContainsFunc(p.Events, sendsAway)
}

// apply applies the snapshots together. Those that cannot be applied so are applied one by one: those whose
// conversation another transaction holds, and all if one of them makes the transaction fail.
func (t *together) apply(ctx context.Context, some []*waitingSnapshot) {
	snapshots := make([]conversation.Snapshot, len(some))
	for i, w := range some {
		snapshots[i] = w.snapshot
	}
	b, err := syncTogether(ctx, t.desk, snapshots)
	if err != nil && len(some) > 1 && !sqldb.Unavailable(err) {
		t.desk.Log().WarnContext(ctx, "snapshots not applied together, applying them one by one", "snapshots", len(some), "error", err)
	}
	for _, w := range some {
		var s *syncing
		if err == nil {
			s = b.of(w.snapshot.Conversation)
		}
		switch {
		case s != nil && s.held:
			w.answer = s.answer
			close(w.done)
		case sqldb.Unavailable(err):
			w.err = err
			close(w.done)
		default:
			go t.applyAlone(ctx, w)
		}
	}
}

func (t *together) applyAlone(ctx context.Context, w *waitingSnapshot) {
	w.answer, w.err = Sync(ctx, t.desk, w.snapshot)
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case w.err == nil:
		delete(t.failing, w.snapshot.Conversation)
	case !sqldb.Unavailable(w.err):
		if t.failing == nil || len(t.failing) >= rejectionsKept {
			t.failing = map[string]bool{}
		}
		t.failing[w.snapshot.Conversation] = true
	}
	close(w.done)
}
