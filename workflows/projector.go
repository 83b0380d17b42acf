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

// syncState is how far the sync of the desk is.
type syncState int

const (
	// synced: the desk has acknowledged everything.
	synced syncState = iota
	// batchPending: there is something to send, and no batch is in flight.
	batchPending
	// batchInFlight: a batch is being sent. The pending batch may be due too.
	batchInFlight
	// deskUnreachable: the desk has not answered in time. The batch is sent again until it does.
	deskUnreachable
)

// projector sends the desk snapshots of the conversation.
type projector struct {
	record *conversation.Record
	inbox  *inbox
	ending *ending

	state syncState
	// pending is what the desk has not acknowledged, including what is in flight. It is due while something has to
	// be sent with the next batch. trace is the trace of its last command.
	pending pendingBatch
	trace   any
	// inFlight is the batch that is being sent, nil while there is none.
	inFlight *inFlightBatch
	// turns counts the answers of the desk, and the times that it became unreachable. gaveUpIn is the turn in which
	// a wait for the desk to catch up failed, -1 while none did.
	turns, gaveUpIn int
	// answeredAt is the time of the last answer, changedAt that of the last change of the conversation, and
	// changedBefore that of the change before.
	answeredAt, changedAt, changedBefore time.Time
}

// pendingBatch is what the desk has not acknowledged. A run passes it to the next one.
type pendingBatch struct {
	Events []conversation.Event `json:"events,omitempty"`
	Notes  []conversation.Note  `json:"notes,omitempty"`
	Due    bool                 `json:"due,omitempty"`
	// Whole is set while the desk may show things that the conversation does not have.
	Whole bool `json:"whole,omitempty"`
}

// inFlightBatch describes the snapshot that is being sent.
type inFlightBatch struct {
	call                    workflow.Future
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

// unacknowledged returns what the next run has to send to the desk, including the snapshot being sent.
func (p *projector) unacknowledged() pendingBatch {
	batch := p.pending
	batch.Due = !p.idle()
	return batch
}

// resume restores the pending batch of the previous run.
func (p *projector) resume(batch pendingBatch) {
	p.pending = batch
	if batch.Due {
		p.require()
	}
}

// add adds the result of a command. A stale match is also sent to the desk, which has to release it.
func (p *projector) add(result conversation.Result, trace any, now time.Time) {
	if result.Changed {
		p.changedBefore, p.changedAt = p.changedAt, now
	}
	p.pending.Events = append(p.pending.Events, result.Events...)
	p.pending.Notes = append(p.pending.Notes, result.Notes...)
	if result.Changed || result.Stale {
		p.trace = trace
		p.require()
	}
}

// sendWhole requests a whole snapshot for the desk.
func (p *projector) sendWhole() {
	p.pending.Whole = true
	p.require()
}

// require makes the pending batch due.
func (p *projector) require() {
	p.pending.Due = true
	if p.state == synced {
		p.state = batchPending
	}
}

func (p *projector) idle() bool { return p.state == synced }

// asksDesk reports whether the next turn is expected soon.
func (p *projector) asksDesk() bool { return p.state == batchPending || p.state == batchInFlight }

// answersSoon reports whether the turn after the given number of turns is expected soon.
func (p *projector) answersSoon(turns int) bool { return p.asksDesk() && p.turns == turns }

// answered reports whether the desk has answered and the projector has not read the answer yet.
func (p *projector) answered() bool { return p.inFlight != nil && p.inFlight.call.IsReady() }

// run is the projector's coroutine, which sends snapshots to the desk. Changes during a call are sent with the next
// call. While the desk is unreachable, the activity is retried.
//
// The function keeps few variables while it waits, because its stack is kept as long as the conversation is open.
func (p *projector) run(ctx workflow.Context) {
	for {
		if err := workflow.Await(ctx, func() bool { return p.pending.Due }); err != nil {
			return // the run is over
		}
		b := p.send(ctx)
		// A waiting task, or an agent with a new offer, must not wait for the end of the desk's delay.
		resting := func() bool { return b.rests && p.state == batchInFlight && p.pending.Due }
		overtaken := func() bool { return resting() && p.waitsForMatch(b.pendingCount) }
		offered := func() bool { return resting() && p.offersMore(b.offers) }
		if err := workflow.Await(ctx, func() bool { return b.call.IsReady() || overtaken() || offered() }); err != nil {
			return // the run is over
		}
		if !b.call.IsReady() && !overtaken() {
			overtakes := offersOvertake(ctx)
			if err := workflow.Await(ctx, func() bool { return b.call.IsReady() || overtaken() || (offered() && overtakes(p)) }); err != nil {
				return // the run is over
			}
		}
		if !b.call.IsReady() {
			continue // the next snapshot includes this one; the desk accepts them in either order
		}
		if err := p.readAnswer(ctx, b); err != nil {
			return // the run is over
		}
	}
}

// send sends the current snapshot to the desk.
func (p *projector) send(ctx workflow.Context) *inFlightBatch {
	request := p.syncRequest(ctx)
	activity := activities.NameSyncTasks
	if slices.ContainsFunc(request.Events, func(e conversation.Event) bool { return e.Name == conversation.EventTaskCreated }) {
		activity = activities.NameCreateTask
	}
	p.inFlight = &inFlightBatch{
		call:     workflow.ExecuteActivity(p.options(traced(ctx, p.trace), snapshotSummary(request.Snapshot)), activity, request),
		revision: request.Revision, events: len(request.Events), notes: len(request.Notes), trace: p.trace,
		lastEvent: p.record.Events, whole: request.Whole,
		rests: request.Rest > 0, pendingCount: p.record.PendingCount, offers: p.record.Offers(),
	}
	p.pending.Due = false
	if p.state == batchPending {
		p.state = batchInFlight
	}
	return p.inFlight
}

// readAnswer handles the desk's answer, or the failure of the call.
func (p *projector) readAnswer(ctx workflow.Context, b *inFlightBatch) error {
	p.ending.busy(ctx)
	p.inFlight = nil
	var ack conversation.Acknowledgement
	if err := b.call.Get(ctx, &ack); err != nil {
		return p.sendAgain(ctx, b, err)
	}
	p.turns, p.answeredAt = p.turns+1, workflow.Now(ctx)
	p.state = synced
	if p.pending.Due {
		p.state = batchPending
	}
	switch {
	case ack.Revision > b.revision && deskAhead(ctx):
		p.stepBeyond(ctx, b, ack)
	default:
		p.pending.Events, p.pending.Notes = left(p.pending.Events, b.events), left(p.pending.Notes, b.notes)
		p.pending.Whole = p.pending.Whole && !b.whole
		if ack.Events > b.lastEvent && deskAhead(ctx) { // the desk added the end events of things that the conversation does not have
			p.record.CountFrom(ack.Events, p.pending.Events)
		}
	}
	p.record.Forget(p.pending.Events)
	for _, match := range ack.Matches {
		p.inbox.put(arrival{name: string(match.Name()), command: match, trace: b.trace})
	}
	return nil
}

// sendAgain handles a call that failed: the snapshot is sent again.
func (p *projector) sendAgain(ctx workflow.Context, b *inFlightBatch, failure error) error {
	p.pending.Due = true
	if p.state != deskUnreachable {
		logger(ctx).Warn("sync timed out", "revision", b.revision, "error", failure)
		p.state = deskUnreachable
		p.turns++
		return nil
	}
	// Retries have no limit: only an operator, or a worker that does not know the activity, ends them.
	logger(ctx).Error("sync failed", "revision", b.revision, "error", failure)
	return workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the sync failed: send the snapshot again"}).Get(ctx, nil)
}

// stepBeyond handles a desk that has more than it was sent. It keeps the events that the desk did not have, moves
// the conversation's numbers beyond the desk's, and requests a whole snapshot.
func (p *projector) stepBeyond(ctx workflow.Context, b *inFlightBatch, ack conversation.Acknowledgement) {
	p.pending.Events = left(p.pending.Events, min(ack.Known, b.events))
	p.record.StepBeyond(ack, p.pending.Events)
	p.sendWhole()
	logger(ctx).Warn("desk is ahead of the conversation, sending the whole state",
		"revision", b.revision, "desk", ack.Revision)
}

// left returns the list without its first elements, and keeps none of those in memory.
func left[T any](list []T, taken int) []T {
	if taken == len(list) {
		return nil
	}
	return slices.Clone(list[taken:])
}

// syncRequest returns the next snapshot. If the conversation keeps changing, the desk may delay its answer, unless
// the run is about to end.
func (p *projector) syncRequest(ctx workflow.Context) activities.SyncRequest {
	snapshot := p.record.Snapshot
	if p.pending.Whole {
		snapshot = p.record.WholeSnapshot
	}
	request := activities.SyncRequest{Snapshot: snapshot(slices.Clone(p.pending.Events), slices.Clone(p.pending.Notes))}
	request.Chain = workflow.GetInfo(ctx).FirstRunID
	if workflow.Now(ctx).Sub(p.answeredAt) < gatherFor && !p.ending.over(ctx) {
		request.Rest = gatherFor.Seconds()
	}
	return request
}

// waitsForMatch reports whether a task is pending that was not pending at that PendingCount.
func (p *projector) waitsForMatch(pendingCount int) bool {
	return p.record.PendingCount > pendingCount && slices.ContainsFunc(p.record.LiveTasks(), func(t *conversation.Task) bool {
		return t.Status == conversation.TaskPending
	})
}

// offersMore reports whether there is a pending reservation that is not in offers.
func (p *projector) offersMore(offers []string) bool {
	return slices.ContainsFunc(p.record.Offers(), func(sid string) bool { return !slices.Contains(offers, sid) })
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
	if p.state != deskUnreachable {
		options.ScheduleToCloseTimeout = unreachableAfter
	}
	return workflow.WithActivityOptions(ctx, options)
}

// deskAhead reports whether the workflow handles a desk that is ahead. Runs that ignored it before still ignore it.
func deskAhead(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "desk-ahead", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// deskKeepsUp reports whether the desk may be asked for facts. If the desk is too far behind, deskKeepsUp first waits
// for it to catch up, but only once until its next turn. Commands that need no facts only finish what commands with
// facts have begun, and are not limited.
func (p *projector) deskKeepsUp(ctx workflow.Context) bool {
	bytes := func() int { return p.pending.bytes(p.record) }
	if typed := p.pending.typedBytes(p.record); typed > 0 && !p.idle() && bytes() <= fullAt && bytes()+typed > fullAt &&
		workflow.GetVersion(ctx, "typed-events-count", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		bytes = func() int { return p.pending.bytes(p.record) + p.pending.typedBytes(p.record) }
	}
	full := func() bool { return !p.idle() && bytes() > fullAt }
	if !full() || workflow.GetVersion(ctx, "desk-follows", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return true
	}
	if p.gaveUpIn == p.turns {
		return false
	}
	caughtUp, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: unreachableAfter, TimerOptions: workflow.TimerOptions{Summary: "the desk is too far behind: let it catch up"},
	}, func() bool { return !full() })
	if err == nil && caughtUp {
		return true
	}
	p.gaveUpIn = p.turns
	logger(ctx).Warn("desk is too far behind", "events", len(p.pending.Events), "error", err)
	return false
}

// bytes returns the most bytes that a run passes to the next one, without [pendingBatch.typedBytes].
func (b *pendingBatch) bytes(record *conversation.Record) int {
	bytes := record.Bytes() - record.AttemptBytes() // counted by typedBytes
	for i := range b.Events {
		bytes += b.Events[i].Bytes()
	}
	for i := range b.Notes {
		bytes += b.Notes[i].Bytes()
	}
	return bytes
}

// typedBytes returns the most bytes that the typed fields of events and the attempts of transfers add to
// [pendingBatch.bytes].
func (b *pendingBatch) typedBytes(record *conversation.Record) int {
	bytes := record.AttemptBytes()
	for i := range b.Events {
		bytes += b.Events[i].TypedBytes()
	}
	return bytes
}
