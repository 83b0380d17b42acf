package codec

import (
	"context"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	failurepb "go.temporal.io/api/failure/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// DataConverter returns a data converter that encrypts payloads if the ring has keys.
//
// In a workflow it panics if a payload's key is not in the ring. An error would fail the whole conversation. A
// panic fails only the workflow task, which is retried until a worker has the key.
func DataConverter(ring *KeyRing) converter.DataConverter {
	return dataConverter{converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), PayloadCodec(ring))}
}

// FailureConverter returns a failure converter. If the ring has keys, it encrypts the messages and stack traces of
// errors. It does not encrypt their types, because callers recognize refusals by them.
func FailureConverter(ring *KeyRing) converter.FailureConverter {
	return newFailureConverter(ring, DataConverter(ring))
}

func newFailureConverter(ring *KeyRing, payloads converter.DataConverter) converter.FailureConverter {
	return failureConverter{ring: ring, payloads: payloads, FailureConverter: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: payloads, EncodeCommonAttributes: !ring.Empty(),
	})}
}

type failureConverter struct {
	converter.FailureConverter

	ring     *KeyRing
	payloads converter.DataConverter
}

var _ converter.FailureConverterWithSerializationContext = failureConverter{}

// FailureToError implements [converter.FailureConverter]. If the encrypted message cannot be read, the error says
// why; the SDK would leave a placeholder.
func (c failureConverter) FailureToError(failure *failurepb.Failure) error {
	return c.FailureConverter.FailureToError(c.readable(failure)) //nolint:wrapcheck // the caller's own error
}

// readable returns a copy of the failure and its causes. A message that cannot be read is replaced by the reason.
func (c failureConverter) readable(failure *failurepb.Failure) *failurepb.Failure {
	if failure == nil {
		return nil
	}
	clone, ok := proto.Clone(failure).(*failurepb.Failure)
	if !ok {
		return failure
	}
	for f := clone; f != nil; f = f.GetCause() {
		if f.GetEncodedAttributes() == nil {
			continue
		}
		var attributes any
		if err := c.payloads.FromPayload(f.GetEncodedAttributes(), &attributes); err != nil {
			f.Message, f.EncodedAttributes = fmt.Sprintf("the answer cannot be read: %s", unreadable(err)), nil
		}
	}
	return clone
}

// unreadable returns the reason that a payload cannot be read, without its context.
func unreadable(err error) error {
	if missing, ok := errors.AsType[*KeyError](err); ok {
		return missing
	}
	return err
}

// WithSerializationContext implements [converter.FailureConverterWithSerializationContext].
func (c failureConverter) WithSerializationContext(ctx converter.SerializationContext) converter.FailureConverter {
	if c.ring.Empty() {
		return c
	}
	return newFailureConverter(c.ring, converter.WithDataConverterSerializationContext(DataConverter(c.ring), ctx))
}

type dataConverter struct{ converter.DataConverter }

var (
	_ converter.ContextAware                          = dataConverter{}
	_ converter.DataConverterWithSerializationContext = dataConverter{}
	_ converter.DataConverterWithSerializationContext = workflowConverter{}
)

// WithSerializationContext implements [converter.DataConverterWithSerializationContext].
func (c dataConverter) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return dataConverter{converter.WithDataConverterSerializationContext(c.DataConverter, ctx)}
}

// WithWorkflowContext implements [converter.ContextAware].
func (c dataConverter) WithWorkflowContext(converter.WorkflowContext) converter.DataConverter {
	return workflowConverter(c)
}

// WithContext implements [converter.ContextAware].
func (c dataConverter) WithContext(context.Context) converter.DataConverter { return c }

// workflowConverter is the data converter inside a workflow.
type workflowConverter struct{ converter.DataConverter }

// WithSerializationContext implements [converter.DataConverterWithSerializationContext].
func (c workflowConverter) WithSerializationContext(ctx converter.SerializationContext) converter.DataConverter {
	return workflowConverter{converter.WithDataConverterSerializationContext(c.DataConverter, ctx)}
}

// FromPayload implements [converter.DataConverter].
func (c workflowConverter) FromPayload(payload *commonpb.Payload, into any) error {
	return waitForKey(c.DataConverter.FromPayload(payload, into))
}

// FromPayloads implements [converter.DataConverter].
func (c workflowConverter) FromPayloads(payloads *commonpb.Payloads, into ...any) error {
	return waitForKey(c.DataConverter.FromPayloads(payloads, into...))
}

func waitForKey(err error) error {
	if missing, ok := errors.AsType[*KeyError](err); ok {
		panic(missing.Error())
	}
	return err
}
