package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
)

const (
	// gatherFor is how far apart the snapshots of a conversation are that keeps changing: telling the desk
	// costs the server more than deciding.
	gatherFor = time.Second
	// inARow is how soon after the one before a change comes that nobody makes by hand.
	inARow = 100 * time.Millisecond
	// unreachableAfter is when a desk that has not answered counts as away.
	unreachableAfter = 5 * time.Second
	// fullAt is how many bytes a run may come to leave to the next one, in a payload of which the server takes
	// two megabytes: a conversation that has more can't be continued, nor shown to the desk, and would be lost.
	// The rest is for what is small beside it: customer, settings, refusals. Another number is another order of
	// commands, to be made behind workflow.GetVersion.
	fullAt = 1_900_000
)

// projector is what the desk has not acknowledged yet.
type projector struct {
	events []conversation.Event
	notes  []conversation.Note
	// due is set while the desk has to be told something; trace is that of the last of it. whole is set while it may show
	// what there is not.
	due, whole bool
	trace      any
	// calling is set while a snapshot is under way, call is its future.
	calling bool
	call    workflow.Future
	// unreachable is set while the desk has not answered in time.
	unreachable bool
	// turns counts the answers, and the times that the desk turned out to be away; behind is set where it has been
	// waited for in vain since the last of them.
	turns  int
	behind bool
	// answeredAt is when the last answer came, changedAt when the conversation has changed last, changedBefore
	// when before that.
	answeredAt, changedAt, changedBefore time.Time
}

// pendingBatch is what a run leaves to the next one to tell the desk.
type pendingBatch struct {
	Events []conversation.Event `json:"events,omitempty"`
	Notes  []conversation.Note  `json:"notes,omitempty"`
	Due    bool                 `json:"due,omitempty"`
	Whole  bool                 `json:"whole,omitempty"`
}

// pendingBatch returns all that the desk has not acknowledged, what is under way included.
func (p *projector) pending() pendingBatch {
	return pendingBatch{p.events, p.notes, !p.idle(), p.whole}
}

// resume takes over what the run before has left.
func (p *projector) resume(u pendingBatch) {
	p.events, p.notes, p.due, p.whole = u.Events, u.Notes, u.Due, u.Whole
}

// add takes what a command came to; a stale match has to be told as well, so that the desk releases it.
func (p *projector) add(result conversation.Result, trace any, now time.Time) {
	if result.Changed {
		p.changedBefore, p.changedAt = p.changedAt, now
	}
	p.events = append(p.events, result.Events...)
	p.notes = append(p.notes, result.Notes...)
	if result.Changed || result.Stale {
		p.due, p.trace = true, trace
	}
}

// turn marks that there is news of the desk.
func (p *projector) turn() { p.turns, p.behind = p.turns+1, false }

func (p *projector) idle() bool { return !p.due && !p.calling }

// soon tells whether the desk's next turn, after the given number of them, is to be expected soon.
func (p *projector) soon(turns int) bool { return !p.idle() && !p.unreachable && p.turns == turns }

// answered tells whether the desk has answered, and the projector is about to read it.
func (p *projector) answered() bool { return p.calling && p.call.IsReady() }

// inFlightBatch is what the snapshot that is under way brings.
type inFlightBatch struct {
	revision, events, notes int
	// lastEvent is the number of the last event that the conversation had, whole is set where it brings all there is.
	lastEvent int
	whole     bool
	trace     any
	// rests is set where the desk may keep its answer back, for as long as nobody waits who didn't at that
	// number of placements, or is offered what they weren't at those offers.
	rests        bool
	pendingCount int
	offers       []string
}

// tellDesk is the projector's coroutine: it shows the desk the conversation as it is. What changes during
// a call goes with the next one. A desk that is away is a retrying activity.
//
// It keeps nothing big while it waits: its stack is kept for as long as the conversation is.
func (r *run) tellDesk(ctx workflow.Context) {
	p := &r.project
	for {
		if err := workflow.Await(ctx, func() bool { return p.due }); err != nil {
			return // the run is over
		}
		t := r.call(ctx)
		// Who waits for an agent doesn't wait for the desk's rest as well, nor does an agent who is offered something.
		resting := func() bool { return t.rests && !p.unreachable && p.due }
		overtaken := func() bool { return resting() && r.waitsForPlace(t.pendingCount) }
		offered := func() bool { return resting() && r.offersMore(t.offers) }
		if err := workflow.Await(ctx, func() bool { return p.call.IsReady() || overtaken() || offered() }); err != nil {
			return // the run is over
		}
		if !p.call.IsReady() && !overtaken() {
			overtakes := offersOvertake(ctx)
			if err := workflow.Await(ctx, func() bool { return p.call.IsReady() || overtaken() || (offered() && overtakes(p)) }); err != nil {
				return // the run is over
			}
		}
		p.calling = false
		if !p.call.IsReady() {
			continue // the next snapshot brings all that this one did; the desk takes them in either order
		}
		if err := r.readAnswer(ctx, t); err != nil {
			return // the run is over
		}
	}
}

// call sends the desk the conversation as it is, and what it hasn't been told.
func (r *run) call(ctx workflow.Context) *inFlightBatch {
	p := &r.project
	request := r.syncRequest(ctx)
	activity := activities.NameSyncTasks
	if slices.ContainsFunc(request.Events, func(e conversation.Event) bool { return e.Name == conversation.EventTaskCreated }) {
		activity = activities.NameCreateTask
	}
	p.call = workflow.ExecuteActivity(p.options(traced(ctx, p.trace), snapshotSummary(request.Snapshot)), activity, request)
	p.due, p.calling = false, true
	return &inFlightBatch{
		revision: request.Revision, events: len(request.Events), notes: len(request.Notes), trace: p.trace,
		lastEvent: r.record.Events, whole: request.Whole,
		rests: request.Rest > 0, pendingCount: r.record.PendingCount, offers: r.record.Offers(),
	}
}

// readAnswer takes the desk's answer, or the failure of a desk that has not given one.
func (r *run) readAnswer(ctx workflow.Context, t *inFlightBatch) error {
	p := &r.project
	r.busy(ctx)
	var ack conversation.Acknowledgement
	if err := p.call.Get(ctx, &ack); err != nil {
		return r.notSynced(ctx, t, err)
	}
	p.unreachable, p.answeredAt = false, workflow.Now(ctx)
	p.turn()
	p.call = nil
	switch {
	case ack.Revision > t.revision && deskAhead(ctx):
		r.stepBeyond(ctx, t, ack)
	default:
		p.events, p.notes = left(p.events, t.events), left(p.notes, t.notes)
		p.whole = p.whole && !t.whole
		if ack.Events > t.lastEvent && deskAhead(ctx) { // it has added the ends of what there was not
			r.record.CountFrom(ack.Events, p.events)
		}
	}
	r.record.Forget(p.events)
	for _, match := range ack.Matches {
		r.inbox.put(arrival{name: string(match.Name()), command: match, trace: t.trace})
	}
	return nil
}

// stepBeyond has a desk shown all there is that had more than it was sent: nothing of that was news to it, but for what it had
// already.
func (r *run) stepBeyond(ctx workflow.Context, t *inFlightBatch, ack conversation.Acknowledgement) {
	p := &r.project
	p.events = left(p.events, min(ack.Known, t.events))
	r.record.StepBeyond(ack, p.events)
	r.showWhole()
	r.log(ctx).Warn("The desk is ahead of the conversation, whose time went back: it is shown all there is",
		"revision", t.revision, "desk", ack.Revision)
}

// showWhole has the desk shown all there is.
func (r *run) showWhole() { r.project.due, r.project.whole = true, true }

// deskAhead tells whether a desk that is ahead is caught up with. Runs that took no notice of it go on so.
func deskAhead(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "desk-ahead", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// deskFollows tells whether the desk may be asked for facts: one that is too far behind is first given the time to
// catch up, once until it has a turn. What needs no facts only ends what facts has begun.
func (r *run) deskFollows(ctx workflow.Context) bool {
	p := &r.project
	count := r.bytes
	if typed := r.typedBytes(); typed > 0 && !p.idle() && r.bytes() <= fullAt && r.bytes()+typed > fullAt &&
		workflow.GetVersion(ctx, "typed-events-count", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		count = func() int { return r.bytes() + r.typedBytes() }
	}
	full := func() bool { return !p.idle() && count() > fullAt }
	if !full() || workflow.GetVersion(ctx, "desk-follows", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return true
	}
	if p.behind {
		return false
	}
	caughtUp, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: unreachableAfter, TimerOptions: workflow.TimerOptions{Summary: "the desk is too far behind: let it catch up"},
	}, func() bool { return !full() })
	p.behind = err != nil || !caughtUp
	if p.behind {
		r.log(ctx).Warn("The desk is too far behind", "untold", len(p.events), "error", err)
	}
	return !p.behind
}

// bytes is how much the run would leave to the next one at most.
func (r *run) bytes() int {
	bytes := r.record.Bytes() - r.record.AttemptBytes() // see typedBytes
	for i := range r.project.events {
		bytes += r.project.events[i].Bytes()
	}
	for i := range r.project.notes {
		bytes += r.project.notes[i].Bytes()
	}
	return bytes
}

// typedBytes is how much the typed fields of events and the attempts of transfers add to that.
func (r *run) typedBytes() int {
	bytes := r.record.AttemptBytes()
	for i := range r.project.events {
		bytes += r.project.events[i].TypedBytes()
	}
	return bytes
}

// left returns what is left of a list behind its first ones, and keeps none of those in memory.
func left[T any](list []T, taken int) []T {
	if taken == len(list) {
		return nil
	}
	return slices.Clone(list[taken:])
}

// notSynced has the desk told again.
func (r *run) notSynced(ctx workflow.Context, t *inFlightBatch, failure error) error {
	p := &r.project
	p.due = true
	if !p.unreachable {
		r.log(ctx).Warn("The desk has not answered in time", "revision", t.revision, "error", failure)
		p.unreachable = true
		p.turn()
		return nil
	}
	// Only a worker that doesn't know the activity, or an operator, ends retries without a limit.
	r.log(ctx).Error("The desk was not told", "revision", t.revision, "error", failure)
	return workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the desk was not told: tell it again"}).Get(ctx, nil)
}

// syncRequest is the conversation as it is. One that keeps changing lets the desk rest, unless the run is about to end.
func (r *run) syncRequest(ctx workflow.Context) activities.SyncRequest {
	p := &r.project
	draw := r.record.Snapshot
	if p.whole {
		draw = r.record.WholeSnapshot
	}
	request := activities.SyncRequest{Snapshot: draw(slices.Clone(p.events), slices.Clone(p.notes))}
	request.Chain = workflow.GetInfo(ctx).FirstRunID
	if workflow.Now(ctx).Sub(p.answeredAt) < gatherFor && !r.over(ctx) {
		request.Rest = gatherFor.Seconds()
	}
	return request
}

// waitsForPlace tells whether a task waits that did not at that number of placements.
func (r *run) waitsForPlace(placements int) bool {
	return r.record.PendingCount > placements && slices.ContainsFunc(r.record.LiveTasks(), func(t *conversation.Task) bool {
		return t.Status == conversation.TaskPending
	})
}

// offersMore tells whether an agent is offered what they weren't at those offers.
func (r *run) offersMore(offers []string) bool {
	return slices.ContainsFunc(r.record.Offers(), func(sid string) bool { return !slices.Contains(offers, sid) })
}

// offersOvertake returns whether an offer goes to the desk while it rests. It doesn't where one command follows
// the other without a pause: the next one is likely to answer the offer, and telling the desk would hold it up.
// Runs that have once waited with every offer, or with none, go on so.
func offersOvertake(ctx workflow.Context) func(*projector) bool {
	switch workflow.GetVersion(ctx, "offers-overtake", workflow.DefaultVersion, 2) {
	case workflow.DefaultVersion:
		return func(*projector) bool { return false }
	case 1:
		return func(*projector) bool { return true }
	default:
		return func(p *projector) bool { return p.changedAt.Sub(p.changedBefore) >= inARow }
	}
}

// options are those of the next call. The first one is given up soon, so that the search attributes
// needn't wait for a desk that is away; the next one never is.
func (p *projector) options(ctx workflow.Context, summary string) workflow.Context {
	options := workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
		Summary:             summary,
	}
	if !p.unreachable {
		options.ScheduleToCloseTimeout = unreachableAfter
	}
	return workflow.WithActivityOptions(ctx, options)
}
