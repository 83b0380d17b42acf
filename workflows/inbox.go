package workflows

import (
	"fmt"
	"slices"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
)

// arrival is a command in the inbox.
type arrival struct {
	name string
	// command is nil if the payload was refused, with refusal.
	command conversation.Command
	refusal error
	// unstorable is why a database cannot store the command, nil if it can.
	unstorable error
	// large decodes the command of a signal that is too large. It is nil for other commands.
	large func() (conversation.Command, error)
	// unopened are the encrypted arguments of a signal that have not been read yet, nil once they are.
	unopened *unopened
	// answer receives the result of an update. It is nil for signals and other commands.
	answer *answer
	// clear is set for a signal that was sent unencrypted.
	clear bool
	// trace is the trace of the message, see [TraceKey].
	trace any
}

// answer is the result that an update waits for.
type answer struct {
	done    bool
	outcome conversation.Outcome
	err     error
}

// inbox holds a run's commands in order of arrival.
type inbox struct {
	arrivals []arrival
	// taken counts the arrivals taken from the inbox.
	taken int
	// open reads the arguments of a signal.
	open func(*commonpb.Payloads, ...any) error
	// refused is the argument of [WithRefused], nil without it.
	refused Refused
	// encryption is set by [WithEncryption].
	encryption encryption
}

func (i *inbox) put(a arrival) { i.arrivals = append(i.arrivals, a) }

func (i *inbox) take() arrival {
	first := i.arrivals[0]
	i.taken++
	i.arrivals[0] = arrival{} // release its memory
	if i.arrivals = i.arrivals[1:]; i.empty() {
		i.arrivals = nil
	}
	return first
}

func (i *inbox) empty() bool { return len(i.arrivals) == 0 }

// Interceptor returns an interceptor that puts signals into the inbox as they arrive. Signal channels exist per
// name and would lose the order between names. The SDK also reads them only after the updates of the same workflow
// task. Every worker, test environment and replayer that runs a [Conversation] needs it: package codec makes
// the options for all of them.
func Interceptor(payloads converter.DataConverter, options ...Option) interceptor.WorkerInterceptor {
	w := &workerInterceptor{payloads: payloads}
	for _, option := range options {
		option(w)
	}
	return w
}

// Option configures an [Interceptor].
type Option func(*workerInterceptor)

// WithEncryption states that the worker has keys, and whether it refuses unencrypted commands.
func WithEncryption(required bool) Option {
	return func(w *workerInterceptor) { w.encryption = encryption{keys: true, required: required} }
}

// encryption is what a worker requires of the commands that it receives. Without keys it requires nothing.
type encryption struct{ keys, required bool }

type workerInterceptor struct {
	interceptor.WorkerInterceptorBase
	payloads converter.DataConverter
	refused  Refused

	encryption encryption
}

// InterceptWorkflow gives each run of a conversation an inbox.
func (w *workerInterceptor) InterceptWorkflow(ctx workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	if workflow.GetInfo(ctx).WorkflowType.Name != Type {
		return next
	}
	info := workflow.GetInfo(ctx)
	payloads := converter.WithDataConverterSerializationContext(w.payloads, converter.WorkflowSerializationContext{
		Namespace: info.Namespace, WorkflowID: info.WorkflowExecution.ID,
	})
	// This does not use the workflow's context, unlike the SDK's own reads: a missing key has to be an error here.
	i := &inboundInterceptor{inbox: &inbox{open: payloads.FromPayloads, refused: w.refused, encryption: w.encryption}}
	i.Next = next
	return i
}

type inboundInterceptor struct {
	interceptor.WorkflowInboundInterceptorBase
	inbox *inbox
}

// ExecuteWorkflow runs the conversation instead of the SDK. The SDK would call [Conversation] by reflection, whose
// frames take more than half of the stack that an open conversation keeps.
func (i *inboundInterceptor) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	r, err := newRun(ctx, i.inbox, in.Args)
	if err != nil {
		return nil, asApplicationError(err)
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	return summaryOf(&r.record), nil
}

// HandleSignal puts a signal into the inbox, and passes Temporal's own signals on.
func (i *inboundInterceptor) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	if strings.HasPrefix(in.SignalName, "__temporal") {
		return i.Next.HandleSignal(ctx, in)
	}
	a := arrival{name: in.SignalName, trace: traceOf(ctx), clear: isClear(in.Arg.GetPayloads()...)}
	switch {
	case conversation.CommandName(a.name).Description() == "": // not a command: the payload is not read
		_, a.refusal = decode(conversation.CommandName(a.name), converter.RawValue{}, converter.RawValue{}, "")
	case isEncrypted(in.Arg.GetPayloads()...):
		a.unopened = &unopened{in.Arg, i.inbox.open}
	default:
		if err := a.read(i.inbox.open, in.Arg); err != nil {
			return err
		}
	}
	i.inbox.put(a)
	return nil
}

// decode decodes a command's raw payload: one JSON object, from any SDK or CLI.
func decode(name conversation.CommandName, payload, extra converter.RawValue, id string) (conversation.Command, error) {
	if extra.Payload() != nil {
		return nil, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s takes one JSON object, and more than one argument came", name)
	}
	return conversation.Decode(name, jsonOf(payload), id)
}

// jsonOf returns the JSON in a payload, nil if there is none.
func jsonOf(raw converter.RawValue) []byte {
	if payload := raw.Payload(); strings.HasPrefix(string(payload.GetMetadata()[converter.MetadataEncoding]), "json/") {
		return payload.GetData()
	}
	return nil
}

// Metadata of encrypted payloads, and of decrypted ones after package codec has read them.
const (
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
)

// isClear reports whether at least one of the payloads was sent unencrypted.
func isClear(payloads ...*commonpb.Payload) bool {
	return slices.ContainsFunc(payloads, func(p *commonpb.Payload) bool {
		return string(p.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted
	})
}

// isEncrypted reports whether at least one of the payloads was sent encrypted.
func isEncrypted(payloads ...*commonpb.Payload) bool {
	return slices.ContainsFunc(payloads, func(p *commonpb.Payload) bool {
		return string(p.GetMetadata()[converter.MetadataEncoding]) == encodingEncrypted
	})
}

// wasClear reports whether a payload that was read had been sent unencrypted.
func wasClear(raw converter.RawValue) bool {
	_, encrypted := raw.Payload().GetMetadata()[metadataKeyID]
	return raw.Payload() != nil && !encrypted
}

// refuseClear returns the refusal of a command that was sent unencrypted.
func refuseClear(name string) error {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
		"%s was sent unencrypted, which BATON_ENCRYPTION_REQUIRED refuses: send it with the keys, as baton does, or through the codec server", name)
}

// refusesClear reports whether unencrypted commands are refused. The answer is recorded, so that a replay with
// another setting decides the same. Runs that took unencrypted commands before the setting existed still take them.
func (e encryption) refusesClear(ctx workflow.Context) bool {
	if !e.keys || workflow.GetVersion(ctx, "clear-refused", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	var refused bool
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return e.required }).Get(&refused); err != nil {
		panic(fmt.Sprintf("this build can't read whether clear commands are refused: %v", err)) // fails only the workflow task
	}
	return refused
}
