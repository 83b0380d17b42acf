package workflows

import "go.temporal.io/sdk/workflow"

// TraceKey is where a [workflow.Context] holds the trace of the message that it came with. The workflow doesn't look
// at it: it hands it on, from the message that brought a command to the activities that the command leads to.
type TraceKey struct{}

// traceOf is the trace of what is carried out, nil for none.
func traceOf(ctx workflow.Context) any { return ctx.Value(TraceKey{}) }

// traced returns a context for what is of that trace.
func traced(ctx workflow.Context, trace any) workflow.Context {
	return workflow.WithValue(ctx, TraceKey{}, trace)
}
