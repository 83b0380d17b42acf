package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
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
}

// add takes what a command came to; a stale match has to be told as well, so that the desk releases it.
func (p *projector) add(result conversation.Result) {
	p.events = append(p.events, result.Events...)
	p.notes = append(p.notes, result.Notes...)
	p.due = p.due || result.Changed || result.Stale
}

func (p *projector) idle() bool { return !p.due && !p.calling }

// answered tells whether the desk has answered, and the projector is about to read it.
func (p *projector) answered() bool { return p.calling && p.call.IsReady() }

// tellDesk is the projector's coroutine: it shows the desk the conversation as it is, one call at a
// time. What changes meanwhile goes with the next call. A desk that is away is a retrying activity.
func (r *run) tellDesk(ctx workflow.Context) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second},
	})
	p := &r.project
	for {
		if err := workflow.Await(ctx, func() bool { return p.due }); err != nil {
			return // the run is over
		}
		picture := r.record.Picture(slices.Clone(p.events), slices.Clone(p.notes))
		activity := r.desk.SyncTasks
		if slices.ContainsFunc(picture.Events, func(e conversation.Event) bool { return e.Name == conversation.EventTaskCreated }) {
			activity = r.desk.CreateTask
		}
		p.call = workflow.ExecuteActivity(withSummary(ctx, pictureSummary(picture)), activity, picture)
		p.due, p.calling = false, true
		var ack conversation.Acknowledgement
		err := p.call.Get(ctx, &ack)
		p.calling = false
		r.busy(ctx)
		if err != nil { // only a worker that doesn't know the activity, or an operator, ends its retries
			workflow.GetLogger(ctx).Error("The desk was not told", "revision", picture.Revision, "error", err)
			p.due = true
			again := workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the desk was not told: tell it again"})
			if err := again.Get(ctx, nil); err != nil {
				return // the run is over
			}
			continue
		}
		p.events, p.notes = p.events[len(picture.Events):], p.notes[len(picture.Notes):]
		for _, match := range ack.Placed {
			r.inbox.put(arrival{name: string(match.Name()), command: match})
		}
	}
}

func withSummary(ctx workflow.Context, summary string) workflow.Context {
	options := workflow.GetActivityOptions(ctx)
	options.Summary = summary
	return workflow.WithActivityOptions(ctx, options)
}
