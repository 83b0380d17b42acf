package workflows

import (
	"errors"
	"fmt"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// Registry registers workflows. It is implemented by a worker, the test suite and a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflow under its contract name, [Type].
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(Conversation, workflow.RegisterOptions{Name: Type})
}

// run is one run of a conversation's workflow.
type run struct {
	input  input
	record conversation.Record
	inbox  *inbox
	// deciding is set while a command is being carried out, which may include waiting for the desk's facts.
	deciding bool
	// canceled is set once a request to cancel the workflow was handled as a close.
	canceled bool
	// fewerTimers is set if the run starts no timers that it rarely needs: see [run.awaitsMatch] and [run.closes].
	// Runs that have started them before still do, and so do the runs that continue those.
	fewerTimers bool
	deadline    alarm

	refusals   refusals
	sealed     sealedSignals
	projector  projector
	attributes searchAttributes
	ending     ending
}

// continued is what a run passes to the next run.
type continued struct {
	conversation.Record

	Pending pendingBatch `json:"untold,omitzero"`
	// Aside are the signals set aside.
	Aside []sealed `json:"aside,omitempty"`
	// FewerTimers is set if the next run starts no timers that it rarely needs.
	FewerTimers bool `json:"fewer_timers,omitempty"`
}

// Conversation is the workflow. It runs from the start of a conversation to the last wrapup, and returns a
// [Summary]. Its first argument is a [conversation.StartCommand]. A run that continues another has a second
// argument: its [conversation.Record], with what the desk has not acknowledged yet. Callers must not pass a second
// argument.
//
// The function only declares the workflow's signature; the [Interceptor] runs it.
func Conversation(workflow.Context, converter.RawValue, converter.RawValue) (*Summary, error) {
	// A panic fails only the workflow task, which Temporal retries until a worker can run the conversation.
	panic("this worker runs conversations without their interceptor: make its options with codec.WorkerOptions, its replayer with codec.NewReplayer")
}

// newRun returns the run of a workflow with the arguments of [Conversation].
func newRun(ctx workflow.Context, in *inbox, args []any) (*run, error) {
	start, startIsRaw := args[0].(converter.RawValue)
	record, recordIsRaw := args[1].(converter.RawValue)
	if !startIsRaw || !recordIsRaw {
		panic("the workflow was registered with another function: use workflows.Register") // fails only the workflow task, as above
	}
	r := &run{input: input{payload: start}, inbox: in}
	r.record.Tasks, r.record.Transfers = []*conversation.Task{}, []*conversation.Transfer{}
	r.record.Refusals = []conversation.RecordedRefusal{}
	r.refusals = refusals{record: &r.record, inbox: in}
	r.sealed = sealedSignals{inbox: in, refusals: &r.refusals}
	r.projector = projector{record: &r.record, inbox: in, ending: &r.ending, gaveUpIn: -1}
	r.attributes.state = &r.record.State
	r.ending = ending{record: &r.record, busyIn: -1, commandIn: -1}
	if continues(ctx) && record.Payload() != nil {
		before := continued{Record: r.record}
		if err := converter.GetDefaultDataConverter().FromPayload(record.Payload(), &before); err != nil {
			panic(fmt.Sprintf("this build can't read the record that the run before has left: %v", err)) // as above
		}
		r.record, r.fewerTimers = before.Record, before.FewerTimers
		r.projector.resume(before.Pending)
		r.sealed.aside, r.sealed.records = before.Aside, len(before.Aside) > 0
		r.record.Forget(before.Pending.Events) // runs of earlier builds passed on everything
		r.attributes.written = searchableOf(&r.record.State)
	} else {
		r.input.surplus = record.Payload() != nil
	}
	return r, r.register(ctx)
}

// continues reports whether the run continues another run of the conversation, which made its arguments. Runs of a
// cron schedule or a retry policy have the arguments of the caller that started the workflow.
func continues(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.ContinuedExecutionRunID != "" && info.CronSchedule == "" && info.Attempt <= 1
}

// register registers the handlers of the workflow's messages, each with a description.
func (r *run) register(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, Query,
		func() (conversation.Record, error) { return r.record, nil },
		workflow.QueryHandlerOptions{Description: "Everything there is to know of the conversation: tasks, transfers, refused signals."})
	if err != nil {
		return err
	}
	err = workflow.SetQueryHandlerWithOptions(ctx, QueryHistoryLength,
		func() (int, error) { return workflow.GetInfo(ctx).GetCurrentHistoryLength(), nil },
		workflow.QueryHandlerOptions{Description: "How many events of the history the answering worker has processed."})
	if err != nil {
		return err
	}
	for _, name := range append(conversation.ServiceCommands(), conversation.CommandReserve) {
		workflow.GetSignalChannelWithOptions(ctx, string(name), workflow.SignalChannelOptions{Description: name.Description()})
	}
	workflow.GetSignalChannelWithOptions(ctx, Resync, workflow.SignalChannelOptions{
		Description: "Shows the desk the whole conversation again, where the two disagree. It takes no payload.",
	})
	for _, name := range conversation.ServiceCommands() {
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(name),
			func(ctx workflow.Context, payload, extra converter.RawValue) (conversation.Outcome, error) {
				return r.update(ctx, name, payload, extra)
			},
			workflow.UpdateHandlerOptions{
				Description: name.Description(),
				Validator: func(ctx workflow.Context, payload, extra converter.RawValue) error {
					err := r.validate(ctx, name, payload, extra)
					if err != nil {
						countRefused(ctx, string(name), err)
					}
					return asApplicationError(err)
				},
			})
		if err != nil {
			return err
		}
	}
	return nil
}

// validate refuses an update if the state alone is enough to refuse it. Such a refusal adds no event to the
// history. While other commands are waiting, the state may still change, so that only the loop can decide.
func (r *run) validate(ctx workflow.Context, name conversation.CommandName, payload, extra converter.RawValue) error {
	if r.inbox.encryption.required && wasClear(payload) {
		return refuseClear(string(name))
	}
	command, err := decode(name, payload, extra, workflow.GetCurrentUpdateInfo(ctx).ID)
	if err == nil {
		err = conversation.RefuseUnstorable(name, jsonOf(payload))
	}
	if err != nil || r.deciding || !r.inbox.empty() || r.record.Status == "" {
		return err
	}
	err = r.record.Check(command, workflow.Now(ctx))
	if err != nil {
		r.refusals.passOn(ctx, command, err)
	}
	return err
}

// update puts the command into the inbox and waits for its outcome.
func (r *run) update(ctx workflow.Context, name conversation.CommandName, payload, extra converter.RawValue) (conversation.Outcome, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	a := arrival{name: string(name), answer: &answer{}, trace: traceOf(ctx)}
	a.command, a.refusal = decode(name, payload, extra, workflow.GetCurrentUpdateInfo(ctx).ID)
	a.unstorable = conversation.RefuseUnstorable(name, jsonOf(payload))
	r.inbox.put(a)
	if err := workflow.Await(ctx, func() bool { return a.answer.done }); err != nil {
		return conversation.Outcome{}, err
	}
	return a.answer.outcome, asApplicationError(a.answer.err)
}

// The SDK's replayer runs a history in this namespace, and under this workflow ID unless it is given another one.
// The namespace comes from the worker: no message to a conversation can set it.
const (
	replayNamespace = "ReplayNamespace"
	replayedID      = "ReplayId"
)

// input is the input of a workflow that starts a conversation.
type input struct {
	payload converter.RawValue
	// surplus is set if there was more than one argument.
	surplus bool
}

// decode decodes the start. The conversation in it must match the workflow ID, by which the desk
// finds the workflow.
func (i input) decode(ctx workflow.Context) (conversation.StartCommand, error) {
	if i.surplus {
		return conversation.StartCommand{}, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"start takes one JSON object, and more than one argument came")
	}
	command, err := conversation.Decode(conversation.CommandStart, jsonOf(i.payload), "")
	if err != nil {
		return conversation.StartCommand{}, err
	}
	start, ok := command.(conversation.StartCommand)
	if !ok {
		panic(fmt.Sprintf("a start was decoded as a %T", command))
	}
	info := workflow.GetInfo(ctx)
	replayed := info.Namespace == replayNamespace && info.WorkflowExecution.ID == replayedID
	if id := info.WorkflowExecution.ID; id != ID(start.Conversation) && !replayed {
		return start, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"start: the workflow ID has to be %q followed by the conversation's SID, and is %q", idPrefix, id)
	}
	return start, nil
}

// asApplicationError converts a refusal into an error that callers in any language receive: the error's type is the
// code, its details are the refusal's details.
func asApplicationError(err error) error {
	var refusal *conversation.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(refusal.Message, string(refusal.Code),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{refusal.Details}})
}
