// Package reconcile compares the desk's data with the conversations, and repairs the desk where they differ. They
// can differ after a workflow was reset or terminated, and after an older backup of either database was restored.
// Temporal is the source of truth: a running conversation sends its snapshot again, and a conversation that does
// not run is closed at the desk.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sleep"
)

// Outcome is the result of comparing a conversation with the desk.
type Outcome string

// The outcomes.
const (
	// Agrees: there is no difference, or the desk caught up during the comparison.
	Agrees Outcome = "agrees"
	// Resynced: the conversation was asked for its snapshot, and the desk has accepted it.
	Resynced Outcome = "resynced"
	// Ended: the workflow had completed, and the desk has been given the end.
	Ended Outcome = "ended"
	// Released: the workflow was ended from outside or does not exist, and the desk has closed the conversation.
	Released Outcome = "released"
	// Differs: the conversation was asked for its snapshot, and the desk still differs.
	Differs Outcome = "differs"
)

// Conversations gives access to the workflows; [baton.Client] implements it.
type Conversations interface {
	State(ctx context.Context, sid string) (conversation.Record, error)
	Standing(ctx context.Context, sid string) (baton.Standing, error)
	HistoryLength(ctx context.Context, sid string) (int64, error)
	Resync(ctx context.Context, sid string) error
	List(ctx context.Context, query string) iter.Seq2[baton.ConversationInfo, error]
}

const (
	// settles is how long the desk may be ahead: such a difference can come from reading the two at different
	// times. follows is how long the desk may be behind: pending snapshots are still on their way.
	settles, follows = 3 * time.Second, 15 * time.Second
	// shows is how long the desk may take to accept the snapshot that was asked for.
	shows = 15 * time.Second
	// answers is the additional time that a worker may take to answer queries.
	answers = 3 * time.Second
	// looksAgain is the pause between two readings while waiting.
	looksAgain = time.Second
)

// Options configure a [Reconciler]; all fields are optional.
type Options struct {
	// Logger receives a line for each repair; nil logs nothing.
	Logger *slog.Logger
	// Observe is called with the outcome of each comparison that found a difference, never with Agrees.
	Observe func(Outcome)
}

// Reconciler compares conversations with the desk. It is safe for concurrent use.
type Reconciler struct {
	conversations Conversations
	desk          *desk.Desk
	log           *slog.Logger
	observe       func(Outcome)

	// here is set when Temporal is known to have at least one conversation.
	here atomic.Bool

	mutex sync.Mutex
	// suspectedUntil is until when normal progress does not excuse a conversation from being compared.
	suspectedUntil time.Time
	// seen is the state of each conversation at its last comparison, by SID.
	seen map[string]seen
}

// seen holds the counters that grow with every change of a conversation, and whether the conversation and the desk
// agreed.
type seen struct {
	standing         baton.Standing
	revision, events int
	agreed           bool
}

// goesOn reports whether the conversation or the desk has made normal progress since before. Then neither of them
// was restored from an older state.
func (s seen) goesOn(before seen) bool {
	return s.standing.Run == before.standing.Run && s.standing.Events > before.standing.Events && s.revision >= before.revision
}

// shrunk reports whether the history of the same run has become shorter: Temporal's database is an older copy.
func (s seen) shrunk(before seen) bool {
	return s.standing.Run == before.standing.Run && s.standing.Events < before.standing.Events
}

// New returns a reconciler.
func New(c Conversations, d *desk.Desk, o Options) *Reconciler {
	r := &Reconciler{conversations: c, desk: d, log: o.Logger, observe: o.Observe, seen: map[string]seen{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.observe == nil {
		r.observe = func(Outcome) {}
	}
	return r
}

// One compares a conversation with the desk and repairs the desk. It calls [Options.Observe] unless they agree.
func (r *Reconciler) One(ctx context.Context, sid string) (Outcome, error) {
	outcome, err := r.compare(ctx, sid)
	if err == nil && outcome != Agrees {
		r.observe(outcome)
	}
	return outcome, err
}

func (r *Reconciler) compare(ctx context.Context, sid string) (Outcome, error) {
	shown, err := routing.ReadShown(ctx, r.desk, sid) // first, so that a conversation that starts in between is not released
	if err != nil {
		return "", err
	}
	standing, err := r.conversations.Standing(ctx, sid)
	switch {
	case errors.Is(err, baton.ErrNotRunning):
		if err := r.isHere(ctx); err != nil {
			return "", err
		}
		return r.release(ctx, sid, shown)
	case err != nil:
		return "", fmt.Errorf("compare conversation %s: %w", sid, err)
	}
	r.here.Store(true)
	switch {
	case standing.Running:
		return r.running(ctx, sid, standing, shown)
	case standing.Completed:
		return r.completed(ctx, sid, standing, shown)
	case standing.Ended:
		return r.release(ctx, sid, shown)
	}
	return Agrees, nil
}

// isHere returns an error if Temporal knows no conversation at all. Then the client is connected to another
// namespace or to an empty database, which says nothing about the desk's conversations.
func (r *Reconciler) isHere(ctx context.Context) error {
	if r.here.Load() {
		return nil
	}
	for _, err := range r.conversations.List(ctx, "") {
		if err != nil {
			return fmt.Errorf("look for any conversation: %w", err)
		}
		r.here.Store(true)
		return nil
	}
	return errors.New("no conversation at all is known to Temporal: see that its address and namespace are those of this desk; nothing is closed")
}

func (r *Reconciler) release(ctx context.Context, sid string, shown routing.Shown) (Outcome, error) {
	released, err := routing.Release(ctx, r.desk, sid, shown)
	if err != nil || !released {
		return Agrees, err
	}
	return Released, nil
}

// completed gives the desk the end of a conversation that the desk has as open: the desk's data is older than the
// end.
func (r *Reconciler) completed(ctx context.Context, sid string, standing baton.Standing, shown routing.Shown) (Outcome, error) {
	if !shown.Open {
		return Agrees, nil
	}
	record, err := r.conversations.State(ctx, sid)
	if err != nil {
		return "", fmt.Errorf("read the end of conversation %s: %w", sid, err)
	}
	if record.Status != conversation.ConversationClosed {
		return r.release(ctx, sid, shown)
	}
	// The conversation may have synced its end after the desk was read first.
	if shown, err = routing.ReadShown(ctx, r.desk, sid); err != nil || !shown.Open {
		return Agrees, err
	}
	snapshot := record.WholeSnapshot(nil, nil)
	snapshot.Chain, snapshot.Revision = standing.Chain, max(record.Revision, shown.Revision)
	if _, err := routing.Sync(ctx, r.desk, snapshot); err != nil {
		return "", fmt.Errorf("show the desk the end of conversation %s: %w", sid, err)
	}
	r.log.ErrorContext(ctx, "closed conversation was open at the desk, closed there", "conversation", sid)
	return Ended, nil
}

func (r *Reconciler) running(ctx context.Context, sid string, standing baton.Standing, shown routing.Shown) (Outcome, error) {
	now := seen{standing, shown.Revision, shown.Events, true}
	last, looked := r.saw(sid)
	if last == now {
		return Agrees, nil
	}
	if looked && now.shrunk(last) {
		r.wentBack(ctx)
	}
	if looked && now.goesOn(last) && !r.suspicious() {
		// The conversation syncs the desk itself. A query can make a worker read a whole history, so only
		// conversations that do not change are queried.
		now.agreed = false
		r.see(sid, now)
		return Agrees, nil
	}
	agrees, err := r.await(ctx, sid, settles, follows)
	if err != nil {
		return "", err
	}
	if agrees {
		lost, err := AnswersFromLost(ctx, r.conversations, sid)
		if err != nil {
			return "", err
		}
		if !lost {
			r.see(sid, now)
			return Agrees, nil
		}
		r.wentBack(ctx)
	}
	if err := r.conversations.Resync(ctx, sid); err != nil {
		return "", fmt.Errorf("have conversation %s show itself: %w", sid, err)
	}
	if agrees, err = r.await(ctx, sid, shows, shows); err != nil {
		return "", err
	}
	if !agrees {
		r.log.ErrorContext(ctx, "conversation differs from the desk, asked it to send its state", "conversation", sid)
		return Differs, nil
	}
	r.log.ErrorContext(ctx, "conversation differed from the desk, repaired", "conversation", sid)
	return Resynced, nil
}

// AnswersFromLost reports whether a worker answers from a state that was lost when an older copy of Temporal's database
// was restored: it has processed more events than the history has. The worker drops the state at its next workflow
// task.
func AnswersFromLost(ctx context.Context, c Conversations, sid string) (bool, error) {
	processed, err := c.HistoryLength(ctx, sid)
	if err != nil {
		return false, fmt.Errorf("compare conversation %s: %w", sid, err)
	}
	standing, err := c.Standing(ctx, sid) // after the query: a history only grows
	if err != nil {
		return false, fmt.Errorf("compare conversation %s: %w", sid, err)
	}
	return standing.Running && processed > standing.Events, nil
}

// suspectedFor is how long every change is compared once Temporal's database turned out to be an older copy.
const suspectedFor = time.Minute

// wentBack makes every open conversation due for comparison, once per minute.
func (r *Reconciler) wentBack(ctx context.Context) {
	r.mutex.Lock()
	known := time.Now().Before(r.suspectedUntil)
	if !known {
		r.suspectedUntil = time.Now().Add(suspectedFor)
	}
	r.mutex.Unlock()
	if known {
		return
	}
	r.log.ErrorContext(ctx, "Temporal database is an older copy, comparing every open conversation")
	if err := desk.CompareAll(ctx, r.desk); err != nil {
		r.log.WarnContext(ctx, "open conversations not marked for comparison", "error", err)
	}
}

// suspicious reports whether Temporal's database was found to be an older copy a short time ago.
func (r *Reconciler) suspicious() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return time.Now().Before(r.suspectedUntil)
}

// await waits until the conversation and the desk agree, or the desk is catching up. It waits up to ahead while the
// desk's revision is higher than the conversation's, and up to behind otherwise. The context's timeout also covers
// a conversation that no worker can read, so that it does not delay the others.
func (r *Reconciler) await(ctx context.Context, sid string, ahead, behind time.Duration) (bool, error) {
	began, first := time.Now(), -1
	ctx, cancel := context.WithTimeout(ctx, max(ahead, behind)+answers)
	defer cancel()
	for {
		record, err := r.conversations.State(ctx, sid)
		if err != nil {
			return false, err
		}
		shown, err := routing.ReadShown(ctx, r.desk, sid)
		if err != nil {
			return false, err
		}
		if record.Status == "" || Agree(&record.State, shown) { // without a status, the start is not decided yet
			return true, nil
		}
		if first < 0 {
			first = shown.Revision
		}
		if first < shown.Revision && shown.Revision <= record.Revision {
			return true, nil
		}
		within := behind
		if shown.Revision > record.Revision {
			within = ahead
		}
		if time.Since(began) > within {
			return false, nil
		}
		if err := sleep.For(ctx, looksAgain); err != nil {
			return false, fmt.Errorf("compare conversation %s: %w", sid, err)
		}
	}
}

// Agree reports whether the desk's data equals the conversation's state.
func Agree(s *conversation.State, shown routing.Shown) bool {
	live := map[string]routing.ShownTask{}
	for _, t := range s.LiveTasks() {
		live[t.SID] = routing.ShownTask{Status: t.Status, Agent: t.Agent}
	}
	return shown.Revision == s.Revision && shown.Events == s.Events && shown.Open == (s.Status != conversation.ConversationClosed) &&
		maps.Equal(live, shown.Live)
}

func (r *Reconciler) saw(sid string) (last seen, looked bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	last, looked = r.seen[sid]
	return last, looked
}

// remembered bounds the seen map. A conversation that is dropped from it is compared once more.
const remembered = 50_000

func (r *Reconciler) see(sid string, how seen) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.seen) >= remembered {
		clear(r.seen)
	}
	r.seen[sid] = how
}
