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
	// gatherFor is the time between the snapshots of a conversation that keeps changing: a sync costs the server
	// more than a decision.
	gatherFor = time.Second
	// inARow is the time between two changes below which the second one was not made by a person.
	inARow = 100 * time.Millisecond
	// unreachableAfter is the time without an answer after which the desk counts as unreachable.
	unreachableAfter = 5 * time.Second
	// fullAt is the most bytes that a run may pass to the next one, in a payload that the server limits to two
	// megabytes. A larger conversation could neither be continued nor be sent to the desk, and would be lost. The
	// rest of the limit is for small fields: customer, settings, refusals. Another number changes the order of
	// commands: change it only behind workflow.GetVersion.
	fullAt = 1_900_000
)

// projector holds what the desk has not acknowledged yet, and the state of the sync.
type projector struct {
	events []conversation.Event
	notes  []conversation.Note
	// due is set while something has to be sent to the desk, and trace is the trace of its last command. whole is
	// set while the desk may show things that the conversation does not have.
	due, whole bool
	trace      any
	// calling is set while a snapshot is being sent, and call is its future.
	calling bool
	call    workflow.Future
	// unreachable is set while the desk has not answered in time.
	unreachable bool
	// turns counts the answers of the desk, and the times that it became unreachable. behind is set if a wait for
	// the desk to catch up has failed since the last turn.
	turns  int
	behind bool
	// answeredAt is the time of the last answer, changedAt that of the last change of the conversation, and
	// changedBefore that of the change before.
	answeredAt, changedAt, changedBefore time.Time
}

// pendingBatch is what a run passes to the next one to send to the desk.
type pendingBatch struct {
	Events []conversation.Event `json:"events,omitempty"`
	Notes  []conversation.Note  `json:"notes,omitempty"`
	Due    bool                 `json:"due,omitempty"`
	Whole  bool                 `json:"whole,omitempty"`
}

// pending returns everything that the desk has not acknowledged, including the snapshot being sent.
func (p *projector) pending() pendingBatch {
	return pendingBatch{p.events, p.notes, !p.idle(), p.whole}
}

// resume restores the pending batch of the previous run.
func (p *projector) resume(u pendingBatch) {
	p.events, p.notes, p.due, p.whole = u.Events, u.Notes, u.Due, u.Whole
}

// add adds the result of a command. A stale match is also sent to the desk, which has to release it.
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

// turn records an answer of the desk, or that it became unreachable.
func (p *projector) turn() { p.turns, p.behind = p.turns+1, false }

func (p *projector) idle() bool { return !p.due && !p.calling }

// soon reports whether the turn after the given number of turns is expected soon.
func (p *projector) soon(turns int) bool { return !p.idle() && !p.unreachable && p.turns == turns }

// answered reports whether the desk has answered and the projector has not read the answer yet.
func (p *projector) answered() bool { return p.calling && p.call.IsReady() }

// inFlightBatch describes the snapshot that is being sent.
type inFlightBatch struct {
	revision, events, notes int
	// lastEvent is the number of the conversation's last event when the snapshot was made. whole is set for a whole
	// snapshot.
	lastEvent int
	whole     bool
	trace     any
	// rests is set if the desk may delay its answer. The delay ends when a task waits that was not pending at
	// pendingCount, or when a reservation is pending that is not in offers.
	rests        bool
	pendingCount int
	offers       []string
}

// tellDesk is the projector's coroutine, which sends snapshots to the desk. Changes during a call are sent with the
// next call. While the desk is unreachable, the activity is retried.
//
// The function keeps few variables while it waits, because its stack is kept as long as the conversation is open.
func (r *run) tellDesk(ctx workflow.Context) {
	p := &r.project
	for {
		if err := workflow.Await(ctx, func() bool { return p.due }); err != nil {
			return // the run is over
		}
		t := r.call(ctx)
		// A waiting task, or an agent with a new offer, must not wait for the end of the desk's delay.
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
			continue // the next snapshot includes this one; the desk accepts them in either order
		}
		if err := r.readAnswer(ctx, t); err != nil {
			return // the run is over
		}
	}
}

// call sends the current snapshot to the desk.
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

// readAnswer handles the desk's answer, or the failure of the call.
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
		if ack.Events > t.lastEvent && deskAhead(ctx) { // the desk added the end events of things that the conversation does not have
			r.record.CountFrom(ack.Events, p.events)
		}
	}
	r.record.Forget(p.events)
	for _, match := range ack.Matches {
		r.inbox.put(arrival{name: string(match.Name()), command: match, trace: t.trace})
	}
	return nil
}

// stepBeyond handles a desk that has more than it was sent. It keeps the events that the desk did not have, moves
// the conversation's numbers beyond the desk's, and requests a whole snapshot.
func (r *run) stepBeyond(ctx workflow.Context, t *inFlightBatch, ack conversation.Acknowledgement) {
	p := &r.project
	p.events = left(p.events, min(ack.Known, t.events))
	r.record.StepBeyond(ack, p.events)
	r.showWhole()
	r.log(ctx).Warn("desk is ahead of the conversation, sending the whole state",
		"revision", t.revision, "desk", ack.Revision)
}

// showWhole requests a whole snapshot for the desk.
func (r *run) showWhole() { r.project.due, r.project.whole = true, true }

// deskAhead reports whether the workflow handles a desk that is ahead. Runs that ignored it before still ignore it.
func deskAhead(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "desk-ahead", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// deskFollows reports whether the desk may be asked for facts. If the desk is too far behind, deskFollows first
// waits for it to catch up, but only once until its next turn. Commands that need no facts only finish what
// commands with facts have begun, and are not limited.
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
		r.log(ctx).Warn("desk is too far behind", "untold", len(p.events), "error", err)
	}
	return !p.behind
}

// bytes returns the most bytes that the run passes to the next one, without the [run.typedBytes].
func (r *run) bytes() int {
	bytes := r.record.Bytes() - r.record.AttemptBytes() // counted by typedBytes
	for i := range r.project.events {
		bytes += r.project.events[i].Bytes()
	}
	for i := range r.project.notes {
		bytes += r.project.notes[i].Bytes()
	}
	return bytes
}

// typedBytes returns the most bytes that the typed fields of events and the attempts of transfers add to
// [run.bytes].
func (r *run) typedBytes() int {
	bytes := r.record.AttemptBytes()
	for i := range r.project.events {
		bytes += r.project.events[i].TypedBytes()
	}
	return bytes
}

// left returns the list without its first elements, and keeps none of those in memory.
func left[T any](list []T, taken int) []T {
	if taken == len(list) {
		return nil
	}
	return slices.Clone(list[taken:])
}

// notSynced handles a call that failed: the snapshot is sent again.
func (r *run) notSynced(ctx workflow.Context, t *inFlightBatch, failure error) error {
	p := &r.project
	p.due = true
	if !p.unreachable {
		r.log(ctx).Warn("sync timed out", "revision", t.revision, "error", failure)
		p.unreachable = true
		p.turn()
		return nil
	}
	// Retries have no limit: only an operator, or a worker that does not know the activity, ends them.
	r.log(ctx).Error("sync failed", "revision", t.revision, "error", failure)
	return workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the desk did not answer: send the snapshot again"}).Get(ctx, nil)
}

// syncRequest returns the next snapshot. If the conversation keeps changing, the desk may delay its answer, unless
// the run is about to end.
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

// waitsForPlace reports whether a task is pending that was not pending at that PendingCount.
func (r *run) waitsForPlace(placements int) bool {
	return r.record.PendingCount > placements && slices.ContainsFunc(r.record.LiveTasks(), func(t *conversation.Task) bool {
		return t.Status == conversation.TaskPending
	})
}

// offersMore reports whether there is a pending reservation that is not in offers.
func (r *run) offersMore(offers []string) bool {
	return slices.ContainsFunc(r.record.Offers(), func(sid string) bool { return !slices.Contains(offers, sid) })
}

// offersOvertake returns a function that reports whether a new offer is sent to the desk during the desk's delay.
// It is not sent if commands follow each other without a pause: the next command probably answers the offer, and a
// sync would delay it. Runs that waited with every offer before, or with none, still do.
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

// options returns a context with the options of the next call. The first call is given up soon, so that the search
// attributes do not wait for an unreachable desk. The next call has no time limit.
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
