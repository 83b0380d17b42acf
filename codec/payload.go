package codec

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"maps"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/proto"
)

// The metadata of an encrypted payload. The encrypted data is the whole original payload, with its own metadata.
const (
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
	metadataKeyCheck  = "encryption-key-check"
	// metadataWorkflow is the ID of the workflow that the payload was encrypted for, in clear, because a codec
	// server gets no other information. Payloads of builds that did not bind payloads to workflows lack it.
	metadataWorkflow = "workflow-id"
	// encodingZlib is the encoding of [converter.NewZlibCodec], which decompresses what is compressed here.
	encodingZlib = "binary/zlib"
)

// worthCompressing is the minimum size in bytes of a payload that is compressed: shorter ones hardly shrink.
const worthCompressing = 512

// usePayload is the use that payloads are encrypted for.
const usePayload = "payload"

// PayloadCodec returns a codec that compresses payloads if that makes them smaller, and encrypts them with the
// ring's first key. It decrypts payloads of all keys of the ring, and passes on unencrypted payloads. Without keys
// it encrypts nothing. Its errors are [*KeyError], [*TamperedError] and [*MovedError].
//
// If the SDK provides the workflow, a payload is encrypted for that workflow, and a payload that was encrypted for
// another workflow is refused. Without a workflow, as in a codec server, a payload is decrypted for the workflow
// that it names.
func PayloadCodec(ring *KeyRing) converter.PayloadCodec {
	return payloadCodec{ring: ring, zlib: converter.NewZlibCodec(converter.ZlibCodecOptions{})}
}

type payloadCodec struct {
	ring *KeyRing
	zlib converter.PayloadCodec
	// workflow is the ID of the workflow that payloads are for; empty if the SDK does not provide it.
	workflow string
	// marks makes decoded payloads say whether they were encrypted. It is set if the SDK provides a context.
	marks bool
}

var _ converter.PayloadCodecWithSerializationContext = payloadCodec{}

// replayNamespace is the namespace in which the SDK's replayer runs histories. It does not know their workflow IDs.
const replayNamespace = "ReplayNamespace"

// WithSerializationContext implements [converter.PayloadCodecWithSerializationContext].
func (c payloadCodec) WithSerializationContext(ctx converter.SerializationContext) converter.PayloadCodec {
	namespace, workflow := "", ""
	switch ctx := ctx.(type) {
	case converter.WorkflowSerializationContext:
		namespace, workflow = ctx.Namespace, ctx.WorkflowID
	case converter.ActivitySerializationContext:
		namespace, workflow = ctx.Namespace, ctx.WorkflowID
	}
	c.workflow, c.marks = workflow, true
	if namespace == replayNamespace {
		c.workflow = ""
	}
	return c
}

// Encode implements [converter.PayloadCodec].
func (c payloadCodec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	if c.ring.Empty() {
		return payloads, nil
	}
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		var err error
		if encoded[i], err = encrypt(c.ring.keys[0], c.workflow, payload); err != nil {
			return nil, fmt.Errorf("encrypt a payload: %w", err)
		}
	}
	return encoded, nil
}

func encrypt(k key, workflow string, payload *commonpb.Payload) (*commonpb.Payload, error) {
	plain, err := proto.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("marshal it: %w", err)
	}
	if plain, err = compress(plain); err != nil {
		return nil, err
	}
	sealed, err := k.seal(usePayload, placeOf(workflow), drawn(), plain)
	if err != nil {
		return nil, err
	}
	metadata := map[string][]byte{
		converter.MetadataEncoding: []byte(encodingEncrypted),
		metadataKeyID:              []byte(k.id), metadataKeyCheck: []byte(k.check),
	}
	if workflow != "" {
		metadata[metadataWorkflow] = []byte(workflow)
	}
	return &commonpb.Payload{Metadata: metadata, Data: sealed}, nil
}

// placeOf returns the place that a payload of the workflow is encrypted for.
func placeOf(workflow string) string {
	if workflow == "" {
		return encodingEncrypted
	}
	return encodingEncrypted + "\x00" + workflow
}

// writers are reused, because a new one allocates a megabyte.
var writers = sync.Pool{New: func() any {
	w, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return w
}}

// compress compresses a marshaled payload into one that [converter.NewZlibCodec] reads. It returns the input if
// that is not longer.
func compress(plain []byte) ([]byte, error) {
	if len(plain) < worthCompressing {
		return plain, nil
	}
	w, ok := writers.Get().(*zlib.Writer)
	if !ok {
		return nil, errors.New("compress it: the pool holds something else")
	}
	defer writers.Put(w)
	var short bytes.Buffer
	w.Reset(&short)
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("compress it: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress it: %w", err)
	}
	compressed, err := proto.Marshal(&commonpb.Payload{
		Metadata: map[string][]byte{converter.MetadataEncoding: []byte(encodingZlib)}, Data: short.Bytes(),
	})
	if err != nil {
		return nil, fmt.Errorf("marshal it: %w", err)
	}
	if len(compressed) >= len(plain) {
		return plain, nil
	}
	return compressed, nil
}

// Decode implements [converter.PayloadCodec].
func (c payloadCodec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, payload := range payloads {
		if string(payload.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted {
			decoded[i] = c.unmarked(payload)
			continue
		}
		var err error
		if decoded[i], err = c.decrypt(payload); err != nil {
			return nil, fmt.Errorf("decrypt a payload: %w", err)
		}
		if c.marks {
			c.mark(decoded[i], payload)
		}
	}
	return decoded, nil
}

// mark records in the metadata of a decrypted payload that it was encrypted. The workflow reads this mark.
func (payloadCodec) mark(decoded, encrypted *commonpb.Payload) {
	if decoded.Metadata == nil {
		decoded.Metadata = map[string][]byte{}
	}
	decoded.Metadata[metadataKeyID] = encrypted.GetMetadata()[metadataKeyID]
}

// unmarked removes that mark from an unencrypted payload, because its sender may have set it.
func (c payloadCodec) unmarked(payload *commonpb.Payload) *commonpb.Payload {
	if _, marked := payload.GetMetadata()[metadataKeyID]; !marked || !c.marks {
		return payload
	}
	metadata := maps.Clone(payload.GetMetadata())
	delete(metadata, metadataKeyID)
	return &commonpb.Payload{Metadata: metadata, Data: payload.GetData()}
}

func (c payloadCodec) decrypt(payload *commonpb.Payload) (*commonpb.Payload, error) {
	k, err := c.ring.find(string(payload.GetMetadata()[metadataKeyID]), string(payload.GetMetadata()[metadataKeyCheck]))
	if err != nil {
		return nil, err
	}
	workflow := string(payload.GetMetadata()[metadataWorkflow])
	switch {
	case workflow == "" && k.boundOnly:
		return nil, &MovedError{ID: k.id, To: c.workflow}
	case workflow != "" && c.workflow != "" && workflow != c.workflow:
		return nil, &MovedError{ID: k.id, From: workflow, To: c.workflow}
	}
	plain, err := k.open(usePayload, placeOf(workflow), payload.GetData())
	if err != nil {
		return nil, err
	}
	inner := &commonpb.Payload{}
	if err := proto.Unmarshal(plain, inner); err != nil {
		return nil, fmt.Errorf("read what was encrypted with the key %q: %w", k.id, err)
	}
	if string(inner.GetMetadata()[converter.MetadataEncoding]) != encodingZlib {
		return inner, nil
	}
	whole, err := c.zlib.Decode([]*commonpb.Payload{inner})
	if err != nil {
		return nil, fmt.Errorf("read what was compressed and encrypted with the key %q: %w", k.id, err)
	}
	return whole[0], nil
}
