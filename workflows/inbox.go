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
	// command is nil where the payload was refused, with refusal.
	command conversation.Command
	refusal error
	// unstorable is why no database keeps what the command brings, nil where all do.
	unstorable error
	// large decodes the command of a signal that is too large, nil for others.
	large func() (conversation.Command, error)
	// unopened are the arguments of a signal that have not been read yet, nil once they are.
	unopened *unopened
	// answer is an update's, nil for everybody else.
	answer *answer
	// clear is set for a signal that was not encrypted.
	clear bool
	// trace is what it was sent in, see [TraceKey].
	trace any
}

// answer is what an update waits for.
type answer struct {
	done    bool
	outcome conversation.Outcome
	err     error
}

// inbox holds a run's commands in order of arrival.
type inbox struct {
	arrivals []arrival
	// taken counts the arrivals that were taken.
	taken int
	// open reads the arguments of a signal.
	open func(*commonpb.Payloads, ...any) error
	// refused is what [WithRefused] names, nil without it.
	refused Refused
	// encryption is what [WithEncryption] names.
	encryption encryption
}

func (i *inbox) put(a arrival) { i.arrivals = append(i.arrivals, a) }

func (i *inbox) take() arrival {
	first := i.arrivals[0]
	i.taken++
	i.arrivals[0] = arrival{} // what was carried out isn't kept in memory
	if i.arrivals = i.arrivals[1:]; i.empty() {
		i.arrivals = nil
	}
	return first
}

func (i *inbox) empty() bool { return len(i.arrivals) == 0 }

// Interceptor puts signals into the inbox as they come. Signal channels are per name and would lose
// the order between names; the SDK runs them after the updates of the same workflow task besides.
// It belongs to every worker, test environment and replayer that runs a [Conversation]: the one set
// of options that internal/temporalenv makes.
func Interceptor(payloads converter.DataConverter, options ...Option) interceptor.WorkerInterceptor {
	w := &workerInterceptor{payloads: payloads}
	for _, option := range options {
		option(w)
	}
	return w
}

// Option adds something to an [Interceptor].
type Option func(*workerInterceptor)

// WithEncryption says that the worker has keys, and whether it refuses commands that are sent in clear.
func WithEncryption(required bool) Option {
	return func(w *workerInterceptor) { w.encryption = encryption{keys: true, required: required} }
}

// encryption is what a worker asks of those who send commands; without keys nothing.
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
	// Not with the workflow's context, as the SDK reads everything else: a key that is missing is an error here.
	i := &inboundInterceptor{inbox: &inbox{open: payloads.FromPayloads, refused: w.refused, encryption: w.encryption}}
	i.Next = next
	return i
}

type inboundInterceptor struct {
	interceptor.WorkflowInboundInterceptorBase
	inbox *inbox
}

// ExecuteWorkflow runs the conversation, in the place of the SDK: that would call [Conversation] by reflection, whose
// frames take more than half of the stack that a conversation keeps for as long as it is open.
func (i *inboundInterceptor) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	r, err := newRun(ctx, i.inbox, in.Args)
	if err != nil {
		return nil, asApplicationError(err)
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	return r.summary(), nil
}

// HandleSignal puts a signal into the inbox; Temporal's own signals go on to where they belong.
func (i *inboundInterceptor) HandleSignal(ctx workflow.Context, in *interceptor.HandleSignalInput) error {
	if strings.HasPrefix(in.SignalName, "__temporal") {
		return i.Next.HandleSignal(ctx, in)
	}
	a := arrival{name: in.SignalName, trace: traceOf(ctx), clear: isClear(in.Arg.GetPayloads()...)}
	switch {
	case conversation.CommandName(a.name).Description() == "": // not a command: its payload is not read
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

// decode reads a command's raw payload: one JSON object, whatever SDK or CLI has sent it.
func decode(name conversation.CommandName, payload, extra converter.RawValue, id string) (conversation.Command, error) {
	if extra.Payload() != nil {
		return nil, conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
			"%s takes one JSON object, and more than one argument came", name)
	}
	return conversation.Decode(name, jsonOf(payload), id)
}

// jsonOf returns the JSON in a payload, nothing where there is none.
func jsonOf(raw converter.RawValue) []byte {
	if payload := raw.Payload(); strings.HasPrefix(string(payload.GetMetadata()[converter.MetadataEncoding]), "json/") {
		return payload.GetData()
	}
	return nil
}

// What encrypted payloads say in their metadata, and decrypted ones after internal/codec has read them.
const (
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
)

// isClear tells whether one of the payloads, as they were sent, is not encrypted.
func isClear(payloads ...*commonpb.Payload) bool {
	return slices.ContainsFunc(payloads, func(p *commonpb.Payload) bool {
		return string(p.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted
	})
}

// isEncrypted tells whether one of the payloads, as they were sent, is encrypted.
func isEncrypted(payloads ...*commonpb.Payload) bool {
	return slices.ContainsFunc(payloads, func(p *commonpb.Payload) bool {
		return string(p.GetMetadata()[converter.MetadataEncoding]) == encodingEncrypted
	})
}

// wasClear tells whether a payload that was read came in clear.
func wasClear(raw converter.RawValue) bool {
	_, encrypted := raw.Payload().GetMetadata()[metadataKeyID]
	return raw.Payload() != nil && !encrypted
}

// refuseClear refuses a command that was sent in clear.
func refuseClear(name string) error {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{},
		"%s was sent unencrypted, which BATON_ENCRYPTION_REQUIRED refuses: send it with the keys, as starter does, or through the codec server", name)
}

// clearRefused tells whether a command that was sent in clear is refused. It is recorded, so that a replay with another
// setting decides alike; a run that took clear commands before there was the setting goes on taking them.
func (r *run) clearRefused(ctx workflow.Context) bool {
	if !r.inbox.encryption.keys || workflow.GetVersion(ctx, "clear-refused", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	var refused bool
	required := r.inbox.encryption.required
	if err := workflow.SideEffect(ctx, func(workflow.Context) any { return required }).Get(&refused); err != nil {
		panic(fmt.Sprintf("this build can't read whether clear commands are refused: %v", err)) // fails the workflow task only
	}
	return refused
}
