package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// What conversations count. The SDK carries it to wherever the worker's metrics go, and leaves out what is replayed.
// A command is counted where it is decided, whoever has sent it and how; once more where its workflow task has to be
// decided again.
const (
	metricCommands     = "baton_commands"
	metricTimeToAccept = "baton_time_to_accept"
)

// The outcomes of commands. A match is stale that came too late; a signal is set aside whose key is missing.
const (
	outcomeCarriedOut = "carried_out"
	outcomeUnchanged  = "unchanged"
	outcomeStale      = "stale"
	outcomeRefused    = "refused"
	outcomeSetAside   = "set_aside"
)

// countDone counts a command that the rules have let pass; of an accept, how long the offer had waited for it.
func (r *run) countDone(ctx workflow.Context, name conversation.CommandName, result conversation.Result) {
	outcome := outcomeCarriedOut
	switch {
	case result.Stale:
		outcome = outcomeStale
	case !result.Changed:
		outcome = outcomeUnchanged
	}
	count(ctx, string(name), outcome, "none")
	task := result.Outcome.Task
	if name != conversation.CommandAccept || !result.Changed || task == nil || task.Reservation == nil {
		return
	}
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"queue": task.Queue, "channel": string(r.record.Channel)}).
		Timer(metricTimeToAccept).Record(task.AssignedAt.Sub(task.Reservation.CreatedAt))
}

// countSetAside counts a signal that was set aside.
func countSetAside(ctx workflow.Context, name string) { count(ctx, name, outcomeSetAside, "none") }

// countRefused counts a message that was refused. One of a name that no command has may have any.
func countRefused(ctx workflow.Context, name string, refusal error) {
	if !slices.Contains(append(conversation.ServiceCommands(), conversation.CommandStart, conversation.CommandReserve), conversation.CommandName(name)) {
		name = "unknown"
	}
	count(ctx, name, outcomeRefused, string(conversation.CodeOf(refusal)))
}

func count(ctx workflow.Context, command, outcome, code string) {
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"command": command, "outcome": outcome, "code": code}).
		Counter(metricCommands).Inc(1)
}
