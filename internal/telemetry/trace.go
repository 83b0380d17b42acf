package telemetry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// headerKey is the header in which Temporal's SDKs of all languages propagate a trace.
const headerKey = "_tracer-data"

// The attributes of spans.
const (
	attributeConversation = attribute.Key("baton.conversation")
	attributeTask         = attribute.Key("baton.task")
	attributeTransfer     = attribute.Key("baton.transfer")
	attributeCode         = attribute.Key("baton.code")
	attributeError        = attribute.Key("error.type")
)

// propagator propagates the trace (W3C Trace Context). It propagates no baggage, which may hold anything.
var propagator = propagation.TraceContext{}

// tracing makes the spans of clients, workflows and activities. The spans of a command form one trace, from its
// sender to the activity that syncs the desk. A replay makes no spans.
type tracing struct {
	interceptor.InterceptorBase
	tracer trace.Tracer
}

// InterceptClient implements [interceptor.ClientInterceptor].
func (t *tracing) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	c := &tracedClient{tracer: t.tracer}
	c.Next = next
	return c
}

// InterceptWorkflow implements [interceptor.WorkerInterceptor].
func (t *tracing) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	w := &tracedWorkflow{tracer: t.tracer}
	w.Next = next
	return w
}

// InterceptActivity implements [interceptor.WorkerInterceptor].
func (t *tracing) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	a := &tracedActivity{tracer: t.tracer}
	a.Next = next
	return a
}

// tracedClient makes a span of each call, and propagates it.
type tracedClient struct {
	interceptor.ClientOutboundInterceptorBase
	tracer trace.Tracer
}

func (c *tracedClient) start(ctx context.Context, operation, name, workflowID string) (context.Context, trace.Span) {
	ctx, span := c.tracer.Start(ctx, operation+":"+name, trace.WithSpanKind(trace.SpanKindClient), //nolint:spancheck // the caller ends it
		trace.WithAttributes(attributeConversation.String(workflows.SID(workflowID))))
	passOn(span.SpanContext(), interceptor.Header(ctx))
	return ctx, span //nolint:spancheck // as above
}

// ExecuteWorkflow implements [interceptor.ClientOutboundInterceptor].
func (c *tracedClient) ExecuteWorkflow(ctx context.Context, in *interceptor.ClientExecuteWorkflowInput) (client.WorkflowRun, error) {
	ctx, span := c.start(ctx, "StartWorkflow", in.WorkflowType, in.Options.ID)
	run, err := c.Next.ExecuteWorkflow(ctx, in)
	end(span, err)
	return run, err //nolint:wrapcheck // an interceptor in between
}

// SignalWorkflow implements [interceptor.ClientOutboundInterceptor].
func (c *tracedClient) SignalWorkflow(ctx context.Context, in *interceptor.ClientSignalWorkflowInput) error {
	ctx, span := c.start(ctx, "SignalWorkflow", in.SignalName, in.WorkflowID)
	err := c.Next.SignalWorkflow(ctx, in)
	end(span, err)
	return err //nolint:wrapcheck // an interceptor in between
}

// UpdateWorkflow implements [interceptor.ClientOutboundInterceptor].
func (c *tracedClient) UpdateWorkflow(ctx context.Context, in *interceptor.ClientUpdateWorkflowInput) (client.WorkflowUpdateHandle, error) {
	ctx, span := c.start(ctx, "UpdateWorkflow", in.UpdateName, in.WorkflowID)
	handle, err := c.Next.UpdateWorkflow(ctx, in)
	end(span, err)
	return handle, err //nolint:wrapcheck // an interceptor in between
}

// QueryWorkflow implements [interceptor.ClientOutboundInterceptor].
func (c *tracedClient) QueryWorkflow(ctx context.Context, in *interceptor.ClientQueryWorkflowInput) (converter.EncodedValue, error) {
	ctx, span := c.start(ctx, "QueryWorkflow", in.QueryType, in.WorkflowID)
	value, err := c.Next.QueryWorkflow(ctx, in)
	end(span, err)
	return value, err //nolint:wrapcheck // an interceptor in between
}

// tracedWorkflow makes a span of each message that a run receives. It stores the span in the workflow's context
// under [workflows.TraceKey], and the run passes it on with the command.
type tracedWorkflow struct {
	interceptor.WorkflowInboundInterceptorBase
	tracer trace.Tracer
}

// Init implements [interceptor.WorkflowInboundInterceptor].
func (w *tracedWorkflow) Init(outbound interceptor.WorkflowOutboundInterceptor) error {
	o := &tracedCalls{}
	o.Next = outbound
	return w.Next.Init(o) //nolint:wrapcheck // an interceptor in between
}

// start makes a span that is a child of the message sender's. It may end in a later workflow task.
func (w *tracedWorkflow) start(ctx workflow.Context, name string, at time.Time) trace.Span {
	info := workflow.GetInfo(ctx)
	_, span := w.tracer.Start(below(context.Background(), interceptor.WorkflowHeader(ctx)), name, //nolint:spancheck // the caller ends it
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(at),
		trace.WithAttributes(attributeConversation.String(workflows.SID(info.WorkflowExecution.ID))))
	return span //nolint:spancheck // as above
}

// ExecuteWorkflow implements [interceptor.WorkflowInboundInterceptor]. A run takes days, so its span ends as soon
// as a worker has the run.
func (w *tracedWorkflow) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	info := workflow.GetInfo(ctx)
	starter := sender(interceptor.WorkflowHeader(ctx))
	if !workflow.IsReplaying(ctx) && info.ContinuedExecutionRunID == "" {
		span := w.start(ctx, "RunWorkflow:"+info.WorkflowType.Name, info.WorkflowStartTime)
		span.End()
		starter = span.SpanContext()
	}
	return w.Next.ExecuteWorkflow(workflow.WithValue(ctx, workflows.TraceKey{}, starter), in) //nolint:wrapcheck // an interceptor in between
}

// HandleSignal implements [interceptor.WorkflowInboundInterceptor].
func (w *tracedWorkflow) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	of := sender(interceptor.WorkflowHeader(ctx))
	if !workflow.IsReplaying(ctx) {
		span := w.start(ctx, "HandleSignal:"+known(in.SignalName), time.Now())
		defer span.End()
		of = span.SpanContext()
	}
	return w.Next.HandleSignal(workflow.WithValue(ctx, workflows.TraceKey{}, of), in) //nolint:wrapcheck // an interceptor in between
}

// ValidateUpdate implements [interceptor.WorkflowInboundInterceptor]. Only a rejected update gets a span here:
// ExecuteUpdate makes the span of an accepted one.
func (w *tracedWorkflow) ValidateUpdate(ctx workflow.Context, in *interceptor.UpdateInput) error {
	began := time.Now()
	err := w.Next.ValidateUpdate(ctx, in)
	if err != nil {
		end(w.start(ctx, "ValidateUpdate:"+known(in.Name), began), err)
	}
	return err //nolint:wrapcheck // an interceptor in between
}

// ExecuteUpdate implements [interceptor.WorkflowInboundInterceptor].
func (w *tracedWorkflow) ExecuteUpdate(ctx workflow.Context, in *interceptor.UpdateInput) (any, error) {
	if workflow.IsReplaying(ctx) { // also an update that was in progress when its worker was lost
		of := sender(interceptor.WorkflowHeader(ctx))
		return w.Next.ExecuteUpdate(workflow.WithValue(ctx, workflows.TraceKey{}, of), in) //nolint:wrapcheck // an interceptor in between
	}
	span := w.start(ctx, "HandleUpdate:"+known(in.Name), time.Now())
	result, err := w.Next.ExecuteUpdate(workflow.WithValue(ctx, workflows.TraceKey{}, span.SpanContext()), in)
	if outcome, ok := result.(conversation.Outcome); ok {
		span.SetAttributes(touched(outcome)...)
	}
	end(span, err)
	return result, err //nolint:wrapcheck // an interceptor in between
}

// tracedCalls propagates the command's trace to the activities that it causes, and to its log lines.
type tracedCalls struct {
	interceptor.WorkflowOutboundInterceptorBase
}

// ExecuteActivity implements [interceptor.WorkflowOutboundInterceptor].
func (c *tracedCalls) ExecuteActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	passOn(spanOf(ctx), interceptor.WorkflowHeader(ctx))
	return c.Next.ExecuteActivity(ctx, activityType, args...)
}

// ExecuteLocalActivity implements [interceptor.WorkflowOutboundInterceptor].
func (c *tracedCalls) ExecuteLocalActivity(ctx workflow.Context, activityType string, args ...any) workflow.Future {
	passOn(spanOf(ctx), interceptor.WorkflowHeader(ctx))
	return c.Next.ExecuteLocalActivity(ctx, activityType, args...)
}

// GetLogger implements [interceptor.WorkflowOutboundInterceptor].
func (c *tracedCalls) GetLogger(ctx workflow.Context) log.Logger {
	logger := c.Next.GetLogger(ctx)
	if span := spanOf(ctx); span.IsValid() {
		return log.With(logger, keyTrace, span.TraceID().String(), keySpan, span.SpanID().String())
	}
	return logger
}

// tracedActivity makes a span of each attempt at an activity.
type tracedActivity struct {
	interceptor.ActivityInboundInterceptorBase
	tracer trace.Tracer
}

// ExecuteActivity implements [interceptor.ActivityInboundInterceptor].
func (a *tracedActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	ctx, span := a.tracer.Start(below(ctx, interceptor.Header(ctx)), "RunActivity:"+info.ActivityType.Name, //nolint:spancheck // end ends it
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attributeConversation.String(workflows.SID(info.WorkflowExecution.ID)), attribute.Int("baton.attempt", int(info.Attempt))),
		trace.WithAttributes(shown(in.Args)...))
	result, err := a.Next.ExecuteActivity(ctx, in)
	end(span, err)
	return result, err //nolint:wrapcheck,spancheck // an interceptor in between
}

// spanOf returns the span of the command that is being executed. It is invalid if a deadline or the desk caused the
// work.
func spanOf(ctx workflow.Context) trace.SpanContext {
	span, _ := ctx.Value(workflows.TraceKey{}).(trace.SpanContext)
	return span
}

// known limits the names of spans, because a message may have any name.
func known(name string) string {
	if name == string(conversation.CommandReserve) || slices.Contains(conversation.ServiceCommands(), conversation.CommandName(name)) || strings.HasPrefix(name, "__temporal") {
		return name
	}
	return "unknown"
}

// passOn writes a span into a header. It does nothing if the span is invalid.
func passOn(span trace.SpanContext, header map[string]*commonpb.Payload) {
	if !span.IsValid() || header == nil {
		return
	}
	carrier := propagation.MapCarrier{}
	propagator.Inject(trace.ContextWithSpanContext(context.Background(), span), carrier)
	payload, err := converter.GetDefaultDataConverter().ToPayload(map[string]string(carrier))
	if err != nil {
		return // a map of strings can always be encoded; without the header a new trace begins
	}
	header[headerKey] = payload
}

// sender returns the span in a header. It is invalid if the header has none or cannot be decoded: a wrong header
// must not keep a message from its conversation.
func sender(header map[string]*commonpb.Payload) trace.SpanContext {
	return trace.SpanContextFromContext(below(context.Background(), header))
}

// below returns a context in which new spans are children of the header's.
func below(ctx context.Context, header map[string]*commonpb.Payload) context.Context {
	payload, ok := header[headerKey]
	if !ok {
		return ctx
	}
	var carrier map[string]string
	if err := converter.GetDefaultDataConverter().FromPayload(payload, &carrier); err != nil {
		return ctx
	}
	return propagator.Extract(ctx, propagation.MapCarrier(carrier))
}

// end ends a span. It records the type of an error and not its message, which may quote what people wrote. A
// refusal does not count as a failure.
func end(span trace.Span, err error) {
	defer span.End()
	if err == nil {
		return
	}
	refused, ok := errors.AsType[*temporal.ApplicationError](err)
	if ok && slices.Contains(conversation.Codes(), conversation.Code(refused.Type())) {
		span.SetAttributes(attributeCode.String(refused.Type()))
		return
	}
	kind := fmt.Sprintf("%T", err)
	if ok && refused.Type() != "" {
		kind = refused.Type()
	}
	span.SetAttributes(attributeError.String(kind))
	span.SetStatus(codes.Error, kind)
}

// touched returns the SIDs that a command has changed.
func touched(o conversation.Outcome) (sids []attribute.KeyValue) {
	if o.Task != nil {
		sids = append(sids, attributeTask.String(o.Task.SID))
	}
	if o.Transfer != nil {
		sids = append(sids, attributeTransfer.String(o.Transfer.SID))
	}
	return sids
}

// shown returns the SIDs of an activity that syncs the desk: those of the last events that have one.
func shown(args []any) (sids []attribute.KeyValue) {
	if len(args) == 0 {
		return nil
	}
	request, ok := args[0].(activities.SyncRequest)
	if !ok {
		return nil
	}
	var task, transfer string
	for _, e := range request.Events {
		if e.Task != "" {
			task = e.Task
		}
		if e.Transfer != "" {
			transfer = e.Transfer
		}
	}
	if task != "" {
		sids = append(sids, attributeTask.String(task))
	}
	if transfer != "" {
		sids = append(sids, attributeTransfer.String(transfer))
	}
	return sids
}
