package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// alarm is a timer that can be set to another time.
type alarm struct {
	when  time.Time
	timer workflow.Future
	stop  workflow.CancelFunc
}

// at sets the alarm, with a summary for operators who inspect the workflow. If it is already set to that time, at
// does nothing.
func (a *alarm) at(ctx workflow.Context, when time.Time, summary string) {
	if a.set() && !a.rang() && a.when.Equal(when) {
		return
	}
	a.cancel()
	ctx, a.stop = workflow.WithCancel(ctx)
	a.when = when
	a.timer = workflow.NewTimerWithOptions(ctx, when.Sub(workflow.Now(ctx)), workflow.TimerOptions{Summary: summary})
}

func (a *alarm) set() bool { return a.timer != nil }

func (a *alarm) rang() bool { return a.timer != nil && a.timer.IsReady() }

func (a *alarm) cancel() {
	if a.timer != nil && !a.timer.IsReady() {
		a.stop()
	}
	a.clear()
}

func (a *alarm) clear() { *a = alarm{} }
