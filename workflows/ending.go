package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

const (
	// quietFor is the delay of the timer that opens a separate workflow task before the run ends, see
	// [ending.quietTask].
	quietFor = 100 * time.Millisecond
	// growth is by how many events the history of a run that is to be continued may grow while it waits for a quiet
	// workflow task. The server suggests to continue two hundred updates before it accepts no more.
	growth = 300
	// growthBytes is by how many bytes that history may grow. A few large signals are few events, and the server
	// terminates a workflow at 50 MB; it suggests to continue at 4 MB. If another signal arrives just when the run
	// ends, the history is read again, which takes less time for a shorter one. Earlier builds let it grow by
	// grownBytes.
	growthBytes, grownBytes = 256 << 10, 4 << 20
)

// ending finds out when a run has to end, and which workflow task is a good one for it.
type ending struct {
	record *conversation.Record
	// busyIn is the history length at the last workflow task that changed something.
	busyIn int
	// commandIn is the history length at the last workflow task in which a command was handled.
	commandIn int
	// overAt and overSize are the length and the size in bytes of the history when the run was first found to be
	// over.
	overAt, overSize int
	quiet            alarm
}

// busy records that this workflow task changed something.
func (e *ending) busy(ctx workflow.Context) {
	e.busyIn = workflow.GetInfo(ctx).GetCurrentHistoryLength()
}

// command records that a command was handled in this workflow task.
func (e *ending) command(ctx workflow.Context) {
	e.busy(ctx)
	e.commandIn = e.busyIn
}

// commanded reports whether a command was handled in this workflow task.
func (e *ending) commanded(ctx workflow.Context) bool {
	return e.commandIn == workflow.GetInfo(ctx).GetCurrentHistoryLength()
}

// over reports whether the conversation is closed, or the history is long enough to continue as a new run.
func (e *ending) over(ctx workflow.Context) bool {
	return e.record.Status == conversation.ConversationClosed || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// measure notes the size of the history when the run is first found to be over.
func (e *ending) measure(ctx workflow.Context) {
	if e.over(ctx) && e.overAt == 0 {
		e.overAt, e.overSize = workflow.GetInfo(ctx).GetCurrentHistoryLength(), workflow.GetInfo(ctx).GetCurrentHistorySize()
	}
}

// quietTask reports whether the quiet alarm opened this workflow task, and nothing else has happened in it. The
// alarm can then be set again.
func (e *ending) quietTask(ctx workflow.Context) bool {
	if !e.quiet.rang() {
		return false
	}
	e.quiet.clear()
	return e.busyIn != workflow.GetInfo(ctx).GetCurrentHistoryLength()
}

// grown reports whether the history of a run that is to be continued grows too much without a quiet task.
func (e *ending) grown(ctx workflow.Context) bool {
	return workflow.GetInfo(ctx).GetCurrentHistoryLength()-e.overAt >= growth || e.tooLarge(ctx)
}

// tooLarge reports whether the history of a run that is to be continued has grown by too many bytes.
func (e *ending) tooLarge(ctx workflow.Context) bool {
	grown := workflow.GetInfo(ctx).GetCurrentHistorySize() - e.overSize
	if grown < growthBytes {
		return false
	}
	switch workflow.GetVersion(ctx, "leave-by-size", workflow.DefaultVersion, 2) {
	case workflow.DefaultVersion:
		return false
	case 1:
		return grown >= grownBytes
	}
	return true
}
