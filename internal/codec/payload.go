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

// What an encrypted payload's metadata say. The payload itself, its own metadata included, is what is encrypted.
const (
	encodingEncrypted = "binary/encrypted"
	metadataKeyID     = "encryption-key-id"
	metadataKeyCheck  = "encryption-key-check"
	// metadataWorkflow is the ID of the workflow that the payload was encrypted for, in clear: a codec server has
	// nothing else to go by. Payloads of builds that did not bind them have none.
	metadataWorkflow = "workflow-id"
	// encodingZlib is the encoding of [converter.NewZlibCodec], which reads what is compressed here.
	encodingZlib = "binary/zlib"
)

// worthCompressing is from how many bytes on a payload is compressed: a shorter one hardly shrinks.
const worthCompressing = 512

// usePayload is what a payload is encrypted for.
const usePayload = "payload"

// PayloadCodec returns the codec that compresses payloads where that makes them smaller, encrypts them with the ring's
// first key, and reads what any of its keys has encrypted. What isn't encrypted is read as it is. Without keys
// nothing is encrypted. Its errors are [*KeyError], [*TamperedError] and [*MovedError].
//
// Where the SDK says which workflow a payload is for, it is encrypted for that workflow, and one that was encrypted for
// another workflow is refused. Without a workflow, as in a codec server, a payload is read for the one that it names.
func PayloadCodec(ring *KeyRing) converter.PayloadCodec {
	return payloadCodec{ring: ring, zlib: converter.NewZlibCodec(converter.ZlibCodecOptions{})}
}

type payloadCodec struct {
	ring *KeyRing
	zlib converter.PayloadCodec
	// workflow is the ID of the workflow that payloads are for, empty where the SDK does not say.
	workflow string
	// marks is set where payloads that are read say whether they were encrypted: wherever the SDK says what they are for.
	marks bool
}

var _ converter.PayloadCodecWithSerializationContext = payloadCodec{}

// replayNamespace is where the SDK's replayer runs histories, of which it does not know the workflow ID.
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

// placeOf is the place that a payload of the workflow is encrypted for.
func placeOf(workflow string) string {
	if workflow == "" {
		return encodingEncrypted
	}
	return encodingEncrypted + "\x00" + workflow
}

// writers are kept, for a new one allocates a megabyte.
var writers = sync.Pool{New: func() any {
	w, err := zlib.NewWriterLevel(nil, zlib.BestSpeed)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return w
}}

// compress returns the marshaled payload, as one that [converter.NewZlibCodec] reads where that is shorter.
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

// mark has a payload that was decrypted say so in its metadata, which the workflow looks at.
func (payloadCodec) mark(decoded, encrypted *commonpb.Payload) {
	if decoded.Metadata == nil {
		decoded.Metadata = map[string][]byte{}
	}
	decoded.Metadata[metadataKeyID] = encrypted.GetMetadata()[metadataKeyID]
}

// unmarked returns a payload that came in clear without that mark, which its sender may have set.
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
