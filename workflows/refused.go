package workflows

import (
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

// passOn passes a refused command to the function of [WithRefused]. A signal without an ID gets one from its
// position among the arrivals of its run.
func (r *run) passOn(ctx workflow.Context, command conversation.Command, refusal error) {
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
