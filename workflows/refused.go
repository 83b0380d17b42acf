package workflows

import (
	"slices"
	"strconv"

	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// Refused is called with a command that a conversation refused, and the refusal. The command has an ID. If its
// workflow task is retried, the function is called again with the same ID.
//
// It is called while the workflow runs: it must return at once and must not change the workflow. Replays do not
// call it.
type Refused func(sid string, command conversation.Command, refusal error)

// WithRefused makes the worker call refused for every command that its conversations refuse, from any client. A
// refused update leaves no trace in the history, so only this function receives all of them.
func WithRefused(refused Refused) Option { return func(w *workerInterceptor) { w.refused = refused } }

// keptRefusals is how many refused signals the record keeps.
const keptRefusals = 20

// refusals records the refused commands of a run, and passes them on.
type refusals struct {
	record *conversation.Record
	inbox  *inbox
}

// add records the refusal of a signal, because a signal has no answer.
func (r *refusals) add(ctx workflow.Context, name string, refusal *conversation.Refusal) {
	r.record.Refusals = append(r.record.Refusals, conversation.RecordedRefusal{
		Command: name, Code: refusal.Code, Message: refusal.Message, At: workflow.Now(ctx),
	})
	if extra := len(r.record.Refusals) - keptRefusals; extra > 0 {
		r.record.Refusals = slices.Delete(r.record.Refusals, 0, extra)
	}
}

// passOn passes a refused command to the function of [WithRefused]. A signal without an ID gets one from its
// position among the arrivals of its run.
func (r *refusals) passOn(ctx workflow.Context, command conversation.Command, refusal error) {
	if r.inbox.refused == nil || command == nil || workflow.IsReplaying(ctx) {
		return
	}
	execution := workflow.GetInfo(ctx).WorkflowExecution
	identified, err := conversation.Identified(command, execution.RunID+"/"+strconv.Itoa(r.inbox.taken))
	if err != nil {
		return // the payload itself was refused: the command names no agent
	}
	r.inbox.refused(SID(execution.ID), identified, refusal)
}
