// Package reconcile compares what the desk shows with the conversations themselves, and repairs the desk where they differ: after
// a workflow was reset or terminated, and after an older copy of either database was put back. Temporal is right: a
// conversation that runs shows itself anew, one that does not is closed at the desk.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// Outcome is what comparing a conversation came to.
type Outcome string

// The outcomes.
const (
	// Agrees: both are the same, or the desk has followed while they were compared.
	Agrees Outcome = "agrees"
	// Resynced: the conversation was asked to show itself anew, and the desk has taken it.
	Resynced Outcome = "resynced"
	// Ended: its workflow had ended by itself, and the desk shows its end now.
	Ended Outcome = "ended"
	// Released: its workflow had ended from outside, or is not there, and the desk has closed it.
	Released Outcome = "released"
	// Differs: it was asked to show itself anew, and the desk does not show it yet.
	Differs Outcome = "differs"
)

// Conversations are the conversations themselves: a [baton.Client].
type Conversations interface {
	State(ctx context.Context, sid string) (conversation.Record, error)
	Standing(ctx context.Context, sid string) (baton.Standing, error)
	Resync(ctx context.Context, sid string) error
	List(ctx context.Context, query string, each func(baton.Listed) error) error
}

const (
	// settles is how long a difference may be there that is one only because both were read while something changed, follows
	// how long a desk may be behind: what it was not told yet, it will be.
	settles, follows = 3 * time.Second, 15 * time.Second
	// shows is how long a conversation may take to show itself.
	shows = 15 * time.Second
	// answers is how much longer it may take until a worker has told how it is.
	answers = 3 * time.Second
	// looksAgain is how long it takes until both are read again meanwhile.
	looksAgain = time.Second
)

// Options are optional.
type Options struct {
	// Logger takes every repair; nothing is logged where it is nil.
	Logger *slog.Logger
	// Observe is called with the outcome of each comparison that found a difference, never with Agrees.
	Observe func(Outcome)
}

// Reconciler compares.
type Reconciler struct {
	conversations Conversations
	desk          *desk.Desk
	log           *slog.Logger
	observe       func(Outcome)

	// here is set once Temporal was seen to know a conversation.
	here atomic.Bool

	mutex sync.Mutex
	// seen is how the conversations were when they were looked at last.
	seen map[string]seen
}

// seen is what changes with everything that happens to a conversation, and whether both agreed then.
type seen struct {
	standing         baton.Standing
	revision, events int
	agreed           bool
}

// goesOn tells whether a conversation and the desk have gone on since, as they do by themselves: then neither was put back.
func (s seen) goesOn(before seen) bool {
	return s.standing.Run == before.standing.Run && s.standing.Events >= before.standing.Events && s.revision >= before.revision &&
		(s.standing.Events > before.standing.Events || s.revision > before.revision)
}

// New makes a reconciler.
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

// One compares the conversation with what the desk shows of it, and repairs that.
func (r *Reconciler) One(ctx context.Context, sid string) (Outcome, error) {
	outcome, err := r.compare(ctx, sid)
	if err == nil && outcome != Agrees {
		r.observe(outcome)
	}
	return outcome, err
}

func (r *Reconciler) compare(ctx context.Context, sid string) (Outcome, error) {
	shown, err := r.desk.Shown(ctx, sid) // first, so that nothing is released that has begun meanwhile
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

// errElsewhere is found once.
var errElsewhere = errors.New("found")

// isHere returns an error where Temporal knows no conversation at all: it is another namespace, or an empty database, and says
// nothing of those that the desk shows.
func (r *Reconciler) isHere(ctx context.Context) error {
	if r.here.Load() {
		return nil
	}
	err := r.conversations.List(ctx, "", func(baton.Listed) error { return errElsewhere })
	switch {
	case errors.Is(err, errElsewhere):
		r.here.Store(true)
		return nil
	case err != nil:
		return fmt.Errorf("look for any conversation: %w", err)
	}
	return errors.New("no conversation at all is known to Temporal: see that its address and namespace are those of this desk; nothing is closed")
}

func (r *Reconciler) release(ctx context.Context, sid string, shown desk.Shown) (Outcome, error) {
	released, err := r.desk.Release(ctx, sid, shown)
	if err != nil || !released {
		return Agrees, err
	}
	return Released, nil
}

// completed shows the desk the end of a conversation that it shows as open: the desk is of before that.
func (r *Reconciler) completed(ctx context.Context, sid string, standing baton.Standing, shown desk.Shown) (Outcome, error) {
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
	// It may have told its end after the desk was read for the first time.
	if shown, err = r.desk.Shown(ctx, sid); err != nil || !shown.Open {
		return Agrees, err
	}
	snapshot := record.WholeSnapshot(nil, nil)
	snapshot.Chain, snapshot.Revision = standing.Chain, max(record.Revision, shown.Revision)
	if _, err := r.desk.Sync(ctx, snapshot); err != nil {
		return "", fmt.Errorf("show the desk the end of conversation %s: %w", sid, err)
	}
	r.log.ErrorContext(ctx, "The desk had not been told the end of a conversation: it is closed there now", "conversation", sid)
	return Ended, nil
}

func (r *Reconciler) running(ctx context.Context, sid string, standing baton.Standing, shown desk.Shown) (Outcome, error) {
	now := seen{standing, shown.Revision, shown.Events, true}
	last, looked := r.saw(sid)
	if last == now {
		return Agrees, nil
	}
	if looked && now.goesOn(last) {
		// It tells the desk by itself. Asking a worker how it is, whom it may cost a whole history, is for those that rest.
		now.agreed = false
		r.see(sid, now)
		return Agrees, nil
	}
	agrees, err := r.await(ctx, sid, settles, follows)
	if err != nil {
		return "", err
	}
	if agrees {
		r.see(sid, now)
		return Agrees, nil
	}
	if err := r.conversations.Resync(ctx, sid); err != nil {
		return "", fmt.Errorf("have conversation %s show itself: %w", sid, err)
	}
	if agrees, err = r.await(ctx, sid, shows, shows); err != nil {
		return "", err
	}
	if !agrees {
		r.log.ErrorContext(ctx, "The desk does not show a conversation as it is, which was asked to show itself", "conversation", sid)
		return Differs, nil
	}
	r.log.ErrorContext(ctx, "The desk did not show a conversation as it is, and does now: it, or the desk, had been put back in time", "conversation", sid)
	return Resynced, nil
}

// await waits until both agree, or the desk follows: for so long where it is ahead, and for so long where it is not. A
// conversation that no worker can read is abandoned soon, so that it does not delay the others.
func (r *Reconciler) await(ctx context.Context, sid string, ahead, behind time.Duration) (bool, error) {
	began, first := time.Now(), -1
	ctx, cancel := context.WithTimeout(ctx, max(ahead, behind)+answers)
	defer cancel()
	for {
		record, err := r.conversations.State(ctx, sid)
		if err != nil {
			return false, err
		}
		shown, err := r.desk.Shown(ctx, sid)
		if err != nil {
			return false, err
		}
		if record.Status == "" || Agree(&record.State, shown) { // without a status its start is being decided
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
		timer := time.NewTimer(looksAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, fmt.Errorf("compare conversation %s: %w", sid, ctx.Err())
		}
	}
}

// Agree tells whether the desk shows the conversation as it is.
func Agree(s *conversation.State, shown desk.Shown) bool {
	live := map[string]desk.ShownTask{}
	for _, t := range s.LiveTasks() {
		live[t.SID] = desk.ShownTask{Status: t.Status, Agent: t.Agent}
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

// remembered bounds how many conversations are remembered: what is forgotten is compared once more.
const remembered = 50_000

func (r *Reconciler) see(sid string, how seen) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if len(r.seen) >= remembered {
		clear(r.seen)
	}
	r.seen[sid] = how
}
