package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// The metrics of conversations. The SDK sends them to the worker's metrics handler, and does not count during
// replays. A command is counted when it is decided, for every sender and form. It is counted again if its workflow
// task is retried.
const (
	metricCommands     = "baton_commands"
	metricTimeToAccept = "baton_time_to_accept"
)

// The outcomes of commands. A match that came too late is stale. A signal whose key is missing is set aside.
const (
	outcomeCarriedOut = "carried_out"
	outcomeUnchanged  = "unchanged"
	outcomeStale      = "stale"
	outcomeRefused    = "refused"
	outcomeSetAside   = "set_aside"
)

// countDone counts a command that the rules allowed. For an accept, it also records how long the offer had waited.
func countDone(ctx workflow.Context, channel conversation.Channel, name conversation.CommandName, result conversation.Result) {
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
	workflow.GetMetricsHandler(ctx).WithTags(map[string]string{"queue": task.Queue, "channel": string(channel)}).
		Timer(metricTimeToAccept).Record(task.AssignedAt.Sub(task.Reservation.CreatedAt))
}

// countSetAside counts a signal that was set aside.
func countSetAside(ctx workflow.Context, name string) { count(ctx, name, outcomeSetAside, "none") }

// countRefused counts a refused message. Names of unknown commands are counted as "unknown", to limit the label's
// values.
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
