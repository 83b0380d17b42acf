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
	// gatherFor is how far apart the pictures of a conversation are that keeps changing: telling the desk
	// costs the server more than deciding.
	gatherFor = time.Second
	// awayAfter is when a desk that has not answered counts as away.
	awayAfter = 5 * time.Second
)

// projector is what the desk has not acknowledged yet.
type projector struct {
	events []conversation.Event
	notes  []conversation.Note
	// due is set while the desk has to be told something.
	due bool
	// calling is set while a picture is under way, call is its future.
	calling bool
	call    workflow.Future
	// away is set while the desk has not answered in time.
	away bool
	// turns counts the answers, and the times that the desk turned out to be away.
	turns int
	// answeredAt is when the last answer came.
	answeredAt time.Time
}

// untold is what a run leaves to the next one to tell the desk.
type untold struct {
	Events []conversation.Event `json:"events,omitempty"`
	Notes  []conversation.Note  `json:"notes,omitempty"`
	Due    bool                 `json:"due,omitempty"`
}

// untold returns all that the desk has not acknowledged, what is under way included.
func (p *projector) untold() untold { return untold{p.events, p.notes, !p.idle()} }

// resume takes over what the run before has left.
func (p *projector) resume(u untold) { p.events, p.notes, p.due = u.Events, u.Notes, u.Due }

// add takes what a command came to; a stale match has to be told as well, so that the desk releases it.
func (p *projector) add(result conversation.Result) {
	p.events = append(p.events, result.Events...)
	p.notes = append(p.notes, result.Notes...)
	p.due = p.due || result.Changed || result.Stale
}

func (p *projector) idle() bool { return !p.due && !p.calling }

// soon tells whether the desk's next turn, after the given number of them, is to be expected soon.
func (p *projector) soon(turns int) bool { return !p.idle() && !p.away && p.turns == turns }

// answered tells whether the desk has answered, and the projector is about to read it.
func (p *projector) answered() bool { return p.calling && p.call.IsReady() }

// tellDesk is the projector's coroutine: it shows the desk the conversation as it is. What changes during
// a call goes with the next one. A desk that is away is a retrying activity.
func (r *run) tellDesk(ctx workflow.Context) {
	p := &r.project
	for {
		if err := workflow.Await(ctx, func() bool { return p.due }); err != nil {
			return // the run is over
		}
		showing, placements := r.showing(ctx), r.record.Placements
		activity := r.desk.SyncTasks
		if slices.ContainsFunc(showing.Events, func(e conversation.Event) bool { return e.Name == conversation.EventTaskCreated }) {
			activity = r.desk.CreateTask
		}
		p.call = workflow.ExecuteActivity(p.options(ctx, pictureSummary(showing.Picture)), activity, showing)
		p.due, p.calling = false, true
		// Who waits for an agent doesn't wait for the desk's rest as well.
		overtaken := func() bool { return showing.Rest > 0 && !p.away && p.due && r.waitsForPlace(placements) }
		if err := workflow.Await(ctx, func() bool { return p.call.IsReady() || overtaken() }); err != nil {
			return // the run is over
		}
		p.calling = false
		if !p.call.IsReady() {
			continue // the next picture brings all that this one did; the desk takes them in either order
		}
		r.busy(ctx)
		var ack conversation.Acknowledgement
		if err := p.call.Get(ctx, &ack); err != nil {
			p.due = true
			if !p.away {
				workflow.GetLogger(ctx).Warn("The desk has not answered in time", "revision", showing.Revision, "error", err)
				p.away = true
				p.turns++
				continue
			}
			// Only a worker that doesn't know the activity, or an operator, ends retries without a limit.
			workflow.GetLogger(ctx).Error("The desk was not told", "revision", showing.Revision, "error", err)
			again := workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the desk was not told: tell it again"})
			if err := again.Get(ctx, nil); err != nil {
				return // the run is over
			}
			continue
		}
		p.away, p.answeredAt = false, workflow.Now(ctx)
		p.turns++
		p.events, p.notes = p.events[len(showing.Events):], p.notes[len(showing.Notes):]
		for _, match := range ack.Placed {
			r.inbox.put(arrival{name: string(match.Name()), command: match})
		}
	}
}

// showing is the conversation as it is. One that keeps changing lets the desk rest, unless the run is about to end.
func (r *run) showing(ctx workflow.Context) activities.Showing {
	p := &r.project
	showing := activities.Showing{Picture: r.record.Picture(slices.Clone(p.events), slices.Clone(p.notes))}
	if workflow.Now(ctx).Sub(p.answeredAt) < gatherFor && !r.over(ctx) {
		showing.Rest = gatherFor.Seconds()
	}
	return showing
}

// waitsForPlace tells whether a task waits that did not at that number of placements.
func (r *run) waitsForPlace(placements int) bool {
	return r.record.Placements > placements && slices.ContainsFunc(r.record.LiveTasks(), func(t *conversation.Task) bool {
		return t.Status == conversation.TaskPending
	})
}

// options are those of the next call. The first one is given up soon, so that the search attributes
// needn't wait for a desk that is away; the next one never is.
func (p *projector) options(ctx workflow.Context, summary string) workflow.Context {
	options := workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
		Summary:             summary,
	}
	if !p.away {
		options.ScheduleToCloseTimeout = awayAfter
	}
	return workflow.WithActivityOptions(ctx, options)
}
