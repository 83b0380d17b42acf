package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
)

// askAgainAfter is the delay before a start asks an unreachable desk again, and before a snapshot whose call
// was given up is sent again.
const askAgainAfter = 5 * time.Second

// timerWithin is more than the time within which the desk answers or counts as unreachable, see [unreachableAfter].
const timerWithin = 2 * unreachableAfter

// run runs the conversation until this workflow run ends. The error is why it failed, or continues it as a new run.
//
// The function keeps few variables while it waits, because its stack is kept as long as the conversation is open.
func (r *run) run(root workflow.Context) error {
	// A request to cancel the workflow closes the conversation like any other command (see takeCancel). It must not
	// interrupt anything that runs here.
	ctx, _ := workflow.NewDisconnectedContext(root)
	if r.record.Status == "" {
		if err := r.open(ctx); err != nil {
			return r.failToOpen(ctx, err)
		}
	}
	ctx = traced(ctx, nil) // the start's trace ends here, because the conversation may last for days
	workflow.Go(ctx, r.projector.run)
	for {
		if ends, err := r.work(ctx, root); ends || err != nil {
			return err
		}
		if err := workflow.Await(ctx, func() bool { return r.hasWork(ctx, root) }); err != nil {
			return err
		}
		r.takeCancel(root)
	}
}

// takeCancel handles a request to cancel the workflow as a close, once.
func (r *run) takeCancel(root workflow.Context) {
	if r.canceledNow(root) {
		r.canceled = true
		r.inbox.put(arrival{name: "cancel request", command: conversation.CloseCommand{Reason: "the workflow was canceled"}})
	}
}

// work carries out what is due, shows it, and sets the alarms for what comes next. It reports whether the run ends.
// It updates the search attributes only when the desk has answered or is known to be unreachable. They are the most
// expensive effect of a command and no caller waits for them, so that changes sent to the desk together are also
// written together.
func (r *run) work(ctx, root workflow.Context) (ends bool, err error) {
	r.sealed.retry(ctx)
	if err := r.takeAll(ctx); err != nil {
		return false, err
	}
	for r.projector.answered() {
		// The effects of the answer are shown together with the rest, because writing search attributes is
		// expensive.
		if err := workflow.Await(ctx, func() bool { return !r.projector.answered() }); err != nil {
			return false, err
		}
		if err := r.takeAll(ctx); err != nil {
			return false, err
		}
	}
	r.ending.measure(ctx)
	workflow.SetCurrentDetails(ctx, currentDetails(&r.record)+r.sealed.details())
	if !r.projector.answersSoon(r.attributes.writtenIn) {
		r.attributes.writtenIn = r.projector.turns
		r.attributes.write(ctx)
	}
	if r.mayLeave(ctx, root) {
		return true, r.leave(ctx)
	}
	r.setAlarms(ctx)
	return false, nil
}

// open carries out the start. An unreachable desk does not refuse a customer: it is asked again until it answers.
func (r *run) open(ctx workflow.Context) error {
	start, err := r.input.decode(ctx)
	if err == nil && wasClear(r.input.payload) && r.inbox.encryption.refusesClear(ctx) {
		err = refuseClear(string(conversation.CommandStart))
	}
	if err == nil {
		if invalid := conversation.RefuseUnstorable(conversation.CommandStart, jsonOf(r.input.payload)); invalid != nil && storableAsked(ctx) {
			err = invalid
		}
	}
	if err == nil {
		// Each version that is recorded costs two events, so that the later one includes the earlier one.
		r.fewerTimers = workflow.GetVersion(ctx, "fewer-timers", workflow.DefaultVersion, 1) != workflow.DefaultVersion
		r.record.DatedSIDs = r.fewerTimers || workflow.GetVersion(ctx, "dated-sids", workflow.DefaultVersion, 1) != workflow.DefaultVersion
	}
	for err == nil {
		err = r.carryOut(ctx, start)
		if conversation.CodeOf(err) != conversation.CodeDeskUnavailable {
			break
		}
		err = workflow.NewTimerWithOptions(ctx, askAgainAfter, workflow.TimerOptions{Summary: "the desk is unreachable: ask again"}).Get(ctx, nil)
	}
	return err
}

// failToOpen answers the updates that wait already, and fails the workflow with the refusal of the start.
func (r *run) failToOpen(ctx workflow.Context, refusal error) error {
	countRefused(ctx, string(conversation.CommandStart), refusal)
	for !r.inbox.empty() {
		if a := r.inbox.take(); a.answer != nil {
			a.answer.done, a.answer.err = true, refusal
		}
	}
	if err := workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) }); err != nil {
		return errors.Join(asApplicationError(refusal), err)
	}
	return asApplicationError(refusal)
}

// hasWork reports whether the loop has to run again.
func (r *run) hasWork(ctx, root workflow.Context) bool {
	return !r.inbox.empty() || r.deadline.rang() || r.ending.quiet.rang() || r.sealed.alarm.rang() || r.canceledNow(root) || r.attributes.writtenIn != r.projector.turns ||
		(r.wantsToLeave(ctx) && !r.ending.quiet.set()) || r.mustLeave(ctx, root)
}

func (r *run) canceledNow(root workflow.Context) bool { return root.Err() != nil && !r.canceled }

// takeAll carries out the commands in the inbox in order of arrival, and then due deadlines.
func (r *run) takeAll(ctx workflow.Context) error {
	for {
		r.sealed.open(ctx)
		switch {
		case !r.inbox.empty():
			if err := r.handle(ctx, r.inbox.take()); err != nil {
				return err
			}
		case r.overdue(ctx):
			if err := r.carryOut(ctx, conversation.ExpireCommand{}); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (r *run) overdue(ctx workflow.Context) bool {
	deadline, ok := r.record.Deadline()
	return ok && !deadline.At.After(workflow.Now(ctx))
}

// handle carries out one command and answers it. The refusal of a signal is recorded, because a signal has no
// answer. The run fails only with errors that are not refusals.
func (r *run) handle(ctx workflow.Context, a arrival) error {
	r.ending.command(ctx)
	if a.name == Resync && workflow.GetVersion(ctx, "resync", workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		r.projector.sendWhole()
		return nil
	}
	outcome, err := r.decide(traced(ctx, a.trace), a)
	if a.answer != nil {
		a.answer.outcome, a.answer.err = outcome, err
		a.answer.done = true
	}
	var refusal *conversation.Refusal
	switch {
	case err == nil:
	case !errors.As(err, &refusal):
		return err
	default:
		countRefused(ctx, a.name, refusal)
		r.refusals.passOn(ctx, a.command, refusal)
		if a.answer == nil {
			r.refusals.add(ctx, a.name, refusal)
		}
	}
	return nil
}

func (r *run) decide(ctx workflow.Context, a arrival) (conversation.Outcome, error) {
	if a.clear && r.inbox.encryption.refusesClear(ctx) {
		return conversation.Outcome{}, refuseClear(a.name)
	}
	if a.refusal != nil {
		return conversation.Outcome{}, a.refusal
	}
	if a.unstorable != nil && storableAsked(ctx) {
		return conversation.Outcome{}, a.unstorable
	}
	if a.large != nil {
		command, err := a.large()
		if err != nil {
			return conversation.Outcome{}, err
		}
		a.command = command
	}
	return r.apply(ctx, a.command)
}

// storableAsked reports whether commands that no database can store are refused. Runs that accepted them before
// still accept them.
func storableAsked(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, "storable", workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// carryOut applies a command that the run itself makes.
func (r *run) carryOut(ctx workflow.Context, command conversation.Command) error {
	r.ending.command(ctx)
	_, err := r.apply(ctx, command)
	return err
}

// apply asks the desk for facts if the command needs them, and applies the command by the rules.
func (r *run) apply(ctx workflow.Context, command conversation.Command) (conversation.Outcome, error) {
	r.deciding = true
	defer func() { r.deciding = false }()
	query, err := r.record.Ask(command, workflow.Now(ctx))
	if err != nil {
		return conversation.Outcome{}, err
	}
	var facts *conversation.Facts
	if query != nil && r.projector.deskKeepsUp(ctx) {
		if info := workflow.GetInfo(ctx); info.ContinuedExecutionRunID == "" { // the next run of a cron schedule starts anew
			query.Chain = info.FirstRunID
		}
		facts = askDesk(ctx, *query)
	}
	result, err := r.record.Apply(command, facts, workflow.Now(ctx))
	if err != nil {
		return conversation.Outcome{}, err
	}
	r.projector.add(result, traceOf(ctx), workflow.Now(ctx))
	countDone(ctx, r.record.Channel, command.Name(), result)
	return result.Outcome, nil
}

// askDesk asks the desk for facts, which changes nothing there. It returns nil if the desk does not answer within
// three seconds.
func askDesk(ctx workflow.Context, query conversation.FactsQuery) *conversation.Facts {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: 3 * time.Second,
		StartToCloseTimeout:    time.Second,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, MaximumAttempts: 3},
		Summary:                "may this " + string(query.Command) + " be made?",
	})
	var facts conversation.Facts
	if err := workflow.ExecuteLocalActivity(ctx, activities.NameFacts, query).Get(ctx, &facts); err != nil {
		logger(ctx).Warn("facts unavailable", "command", query.Command, "error", err)
		return nil
	}
	return &facts
}

// logger returns a logger that adds the conversation's SID to every line.
func logger(ctx workflow.Context) log.Logger {
	return log.With(workflow.GetLogger(ctx), "conversation", SID(workflow.GetInfo(ctx).WorkflowExecution.ID))
}

// wantsToLeave reports whether the run is over, and no update, command or snapshot is waiting.
func (r *run) wantsToLeave(ctx workflow.Context) bool {
	return r.ending.over(ctx) && r.inbox.empty() && r.projector.idle() && workflow.AllHandlersFinished(ctx)
}

// mayLeave reports whether the run may end in this workflow task: a task that the quiet alarm opened and in which
// nothing else happened, or any task if [run.closes] or [run.mustLeave] reports true.
func (r *run) mayLeave(ctx, root workflow.Context) bool {
	return (r.ending.quietTask(ctx) && r.wantsToLeave(ctx)) || r.closes(ctx) || r.mustLeave(ctx, root)
}

// closes reports whether the run of a closed conversation ends without a quiet moment: nothing is pending, and no
// command was handled in this workflow task. It has no command left to carry out, so that an update which arrives
// with its last task gets the same answer from a caller's query of the closed workflow. A run that is to be continued
// waits for its quiet moment, because that update would be cut off.
func (r *run) closes(ctx workflow.Context) bool {
	return r.fewerTimers && r.record.Status == conversation.ConversationClosed && r.wantsToLeave(ctx) && !r.ending.commanded(ctx)
}

// mustLeave reports whether a run that is to be continued grows too much without a quiet task, and no command is
// waiting now. An update that arrives with its last task is cut off: callers send it again, and it has one effect.
// The next run sends the desk what this one could not.
func (r *run) mustLeave(ctx, root workflow.Context) bool {
	return r.ending.overAt > 0 && r.record.Status != conversation.ConversationClosed &&
		r.inbox.empty() && workflow.AllHandlersFinished(ctx) && !r.canceledNow(root) && r.ending.grown(ctx)
}

// leave ends the run of a closed conversation, or continues an open one as a new run.
func (r *run) leave(ctx workflow.Context) error {
	if r.record.Status == conversation.ConversationClosed {
		r.sealed.refuseAll(ctx)
		return nil
	}
	r.attributes.write(ctx)
	return workflow.NewContinueAsNewError(ctx, Type, r.input.payload, continued{r.record, r.projector.unacknowledged(), r.sealed.aside, r.fewerTimers})
}

// setAlarms sets timers for the earliest deadline, for reading signals again whose key is missing, and for the
// quiet moment before the run ends.
func (r *run) setAlarms(ctx workflow.Context) {
	if deadline, ok := r.record.Deadline(); ok && !r.awaitsMatch(ctx, deadline) {
		r.deadline.at(ctx, deadline.At, deadlineSummary(deadline))
	} else {
		r.deadline.cancel()
	}
	r.sealed.setAlarm(ctx)
	if r.wantsToLeave(ctx) && !r.ending.quiet.set() {
		r.ending.quiet.at(ctx, workflow.Now(ctx).Add(quietFor), "a quiet moment before this run ends")
	}
}

// awaitsMatch reports whether the deadline is that of a pending task which the desk may match in its next answer. It
// needs no timer before: the projector's next turn, which is the answer or the end of the wait for it, comes in less
// than [timerWithin] and sets the alarms again. Then the task is usually reserved, and a timer for it would have been
// canceled. A deadline that is due so soon has its timer at once.
func (r *run) awaitsMatch(ctx workflow.Context, deadline conversation.Deadline) bool {
	return r.fewerTimers && deadline.Kind == conversation.DeadlineTask && deadline.Task.Status == conversation.TaskPending &&
		r.projector.asksDesk() && deadline.At.Sub(workflow.Now(ctx)) > timerWithin
}
