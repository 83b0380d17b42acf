package workflows

import "go.temporal.io/sdk/workflow"

// TraceKey is the key under which a [workflow.Context] holds the trace of a message. The workflow does not read the
// trace. It passes it on from the message with a command to the activities that the command causes.
type TraceKey struct{}

// traceOf returns the trace of the command being carried out, nil if there is none.
func traceOf(ctx workflow.Context) any { return ctx.Value(TraceKey{}) }

// traced returns a context with that trace.
func traced(ctx workflow.Context, trace any) workflow.Context {
	return workflow.WithValue(ctx, TraceKey{}, trace)
}
