package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// Registry takes workflows: a worker, the test suite or a replayer.
type Registry interface {
	RegisterWorkflowWithOptions(w any, options workflow.RegisterOptions)
}

// Register registers the workflow under its name in the contract.
func Register(r Registry) {
	r.RegisterWorkflowWithOptions(Conversation, workflow.RegisterOptions{Name: Type})
}

// run is one run of a conversation's workflow.
type run struct {
	start converter.RawValue
	// surplus is set where the start came with more than one argument.
	surplus bool
	record  conversation.Record
	inbox   *inbox
	project projector
	// shown are the search attributes as they were written last, at shownWith turns of the desk.
	shown     searchable
	shownWith int
	// deciding is set while a command is being carried out, which may wait for the desk's facts.
	deciding bool
	// busyIn is the history length at the last workflow task in which something happened.
	busyIn   int
	deadline alarm
	quiet    alarm
	// overAt and overSize are the length and the bytes of the history at which the run was first seen to be over.
	overAt, overSize int
	// aside are signals whose key no worker had, tried at triedAt last. keepsSealed is set once there was one: until then
	// closedRounds counts how often encrypted signals were read.
	aside        []sealed
	triedAt      time.Time
	unseal       alarm
	keepsSealed  bool
	closedRounds int
	// canceled is set once a request to cancel the workflow has been taken as a close.
	canceled bool
}

// continued is what a run leaves to the next.
type continued struct {
	conversation.Record

	Pending pendingBatch `json:"untold,omitzero"`
	// Aside are the signals that were set aside.
	Aside []sealed `json:"aside,omitempty"`
}

// Conversation is the workflow: it runs from the customer's first word to the last wrapup, and
// returns a [Summary]. Its argument is a [conversation.StartCommand]; a run that continues another
// has its [conversation.Record] as a second one, with what the desk has not been told yet; nobody else
// may pass it.
//
// The function says how the workflow is called; its [Interceptor] runs it.
func Conversation(workflow.Context, converter.RawValue, converter.RawValue) (*Summary, error) {
	// A panic fails the workflow task only, which is tried again: the conversation waits for a worker that can carry it.
	panic("this worker runs conversations without their interceptor: make its options with internal/temporalenv")
}

// newRun makes the run of a workflow that is called with those arguments, as [Conversation] takes them.
func newRun(ctx workflow.Context, in *inbox, args []any) (*run, error) {
	start, startIsRaw := args[0].(converter.RawValue)
	record, recordIsRaw := args[1].(converter.RawValue)
	if !startIsRaw || !recordIsRaw {
		panic("the workflow was registered with another function: use workflows.Register") // fails the workflow task only, as above
	}
	r := &run{start: start, inbox: in, busyIn: -1}
	r.record.Tasks, r.record.Transfers = []*conversation.Task{}, []*conversation.Transfer{}
	r.record.Refusals = []conversation.RecordedRefusal{}
	if continues(ctx) && record.Payload() != nil {
		before := continued{Record: r.record}
		if err := converter.GetDefaultDataConverter().FromPayload(record.Payload(), &before); err != nil {
			panic(fmt.Sprintf("this build can't read the record that the run before has left: %v", err)) // as above
		}
		r.record = before.Record
		r.project.resume(before.Pending)
		r.aside, r.keepsSealed = before.Aside, len(before.Aside) > 0
		r.record.Forget(before.Pending.Events) // an earlier build has left everything
		r.shown = searchableOf(&r.record.State)
	} else {
		r.surplus = record.Payload() != nil
	}
	return r, r.register(ctx)
}

// continues tells whether the run continues another one of the conversation, which has made its arguments. The runs of a
// cron schedule and of a retry policy have the arguments of the caller that started the workflow.
func continues(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.ContinuedExecutionRunID != "" && info.CronSchedule == "" && info.Attempt <= 1
}

// register tells Temporal of the messages the workflow takes, with a sentence on each.
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

// validate refuses, without an event in the history, what the state alone refuses. While other
// commands are ahead the state is not what this one will find, so that only the loop can tell.
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
		r.passOn(ctx, command, err)
	}
	return err
}

// update queues the command and waits for what comes of it.
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

// The SDK's replayer runs a history in this namespace, and under this workflow ID unless another is given. The namespace
// is the worker's own: nothing that is sent to a conversation can name it.
const (
	replayNamespace = "ReplayNamespace"
	replayedID      = "ReplayId"
)

// decodeStart reads the workflow's input, whose conversation is the workflow ID's: the desk finds the
// workflow by it.
func (r *run) decodeStart(ctx workflow.Context) (conversation.StartCommand, error) {
	if r.surplus {
		return conversation.StartCommand{}, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"start takes one JSON object, and more than one argument came")
	}
	command, err := conversation.Decode(conversation.CommandStart, jsonOf(r.start), "")
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

// asApplicationError turns a refusal into the error that reaches callers in any language: its type
// is the code, its details are the refusal's.
func asApplicationError(err error) error {
	var refusal *conversation.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(refusal.Message, string(refusal.Code),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{refusal.Details}})
}
