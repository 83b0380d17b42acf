package codec_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/baton-transfers/baton/codec"
)

// freshKey returns a new random key: a test needs no particular key.
func freshKey(t require.TestingT, id string) string {
	key, err := codec.FreshKey(id)
	require.NoError(t, err)
	return key
}

func ring(t require.TestingT, keys ...string) *codec.KeyRing {
	r, err := codec.ParseKeyRing(strings.Join(keys, ","))
	require.NoError(t, err)
	return r
}

func TestKeyRingsAreReadAndErrorsHideThem(t *testing.T) {
	t.Parallel()
	one, two := freshKey(t, "2026-01"), freshKey(t, "2026-02")
	for _, written := range []string{one + "," + two, one + "\n" + two + "\n", " " + one + " ,\r\n " + two + ","} {
		r, err := codec.ParseKeyRing(written)
		require.NoError(t, err)
		require.Equal(t, []string{"2026-01", "2026-02"}, r.IDs())
	}
	none, err := codec.ParseKeyRing(" \n")
	require.NoError(t, err)
	require.True(t, none.Empty())
	require.Empty(t, none.IDs())

	_, secret, _ := strings.Cut(one, ":")
	for name, written := range map[string]string{
		"the ID is missing":         secret,
		"the ID is behind":          secret + ":2026-01",
		"the key is cut off":        one[:len(one)-4],
		"the key is no base64":      "2026-01:" + strings.Repeat("*", 44),
		"two keys have one ID":      one + "," + freshKey(t, "2026-01"),
		"the ID has other letters":  "the key!:" + secret,
		"the ID is longer than 32":  strings.Repeat("k", 33) + ":" + secret,
		"the second one is no key":  one + "," + secret,
		"the parts are in one line": one + " " + two,
	} {
		_, err := codec.ParseKeyRing(written)
		require.Error(t, err, name)
		require.Contains(t, err.Error(), "key ", name)
		require.NotContains(t, err.Error(), secret[:12], name)
	}
	_, err = codec.FreshKey("no such id")
	require.ErrorContains(t, err, "32 letters")
}

func TestPayloadsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	old, next := freshKey(t, "old"), freshKey(t, "next")
	rings := []*codec.KeyRing{ring(t, old), ring(t, old, next), ring(t, next, old)}
	rapid.Check(t, func(t *rapid.T) {
		var payloads []*commonpb.Payload
		for range rapid.IntRange(1, 3).Draw(t, "payloads") {
			text := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
			payloads = append(payloads, &commonpb.Payload{
				Metadata: map[string][]byte{"encoding": []byte("json/plain"), "own": rapid.SliceOf(rapid.Byte()).Draw(t, "metadata")},
				Data:     bytes.Repeat(text, rapid.IntRange(1, 20).Draw(t, "times")),
			})
		}
		from, to := rapid.SampledFrom(rings).Draw(t, "from"), rapid.SampledFrom(rings[1:]).Draw(t, "to")
		encoded, err := codec.PayloadCodec(from).Encode(payloads)
		require.NoError(t, err)
		decoded, err := codec.PayloadCodec(to).Decode(encoded)
		require.NoError(t, err)
		require.Len(t, decoded, len(payloads))
		for i := range payloads {
			require.True(t, proto.Equal(payloads[i], decoded[i]))
			require.Equal(t, from.IDs()[0], string(encoded[i].GetMetadata()["encryption-key-id"]))
			require.Equal(t, "binary/encrypted", string(encoded[i].GetMetadata()["encoding"]))
			// The overhead is small enough that payloads within the server's limits stay within them.
			require.LessOrEqual(t, proto.Size(encoded[i]), proto.Size(payloads[i])+150)
		}
	})
}

func payload(text string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{"encoding": []byte("json/plain")}, Data: []byte(text)}
}

func encrypted(t *testing.T, r *codec.KeyRing, text string) *commonpb.Payload {
	t.Helper()
	encoded, err := codec.PayloadCodec(r).Encode([]*commonpb.Payload{payload(text)})
	require.NoError(t, err)
	return encoded[0]
}

func decrypt(r *codec.KeyRing, p *commonpb.Payload) (*commonpb.Payload, error) {
	decoded, err := codec.PayloadCodec(r).Decode([]*commonpb.Payload{p})
	if err != nil {
		return nil, err
	}
	return decoded[0], nil
}

func TestClearPayloadsAreReadAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, r := range []*codec.KeyRing{nil, ring(t, freshKey(t, "k"))} {
		decoded, err := decrypt(r, payload(`"clear"`))
		require.NoError(t, err)
		require.Equal(t, `"clear"`, string(decoded.GetData()))
	}
	same := payload(`"clear"`)
	encoded, err := codec.PayloadCodec(nil).Encode([]*commonpb.Payload{same})
	require.NoError(t, err)
	require.True(t, proto.Equal(same, encoded[0]))
}

func TestEachChangedByteIsNoticed(t *testing.T) {
	t.Parallel()
	r := ring(t, freshKey(t, "k"))
	whole := encrypted(t, r, `"a note"`)
	for i := range whole.GetData() {
		changed, ok := proto.Clone(whole).(*commonpb.Payload)
		require.True(t, ok)
		changed.Data[i] ^= 1
		_, err := decrypt(r, changed)
		tampered, ok := errors.AsType[*codec.TamperedError](err)
		require.True(t, ok, "byte %d: %v", i, err)
		require.Equal(t, "k", tampered.ID)
	}
	for end := range whole.GetData() {
		changed := &commonpb.Payload{Metadata: whole.GetMetadata(), Data: whole.GetData()[:end]}
		_, err := decrypt(r, changed)
		require.ErrorContains(t, err, `"k"`)
	}
	for _, name := range []string{"encryption-key-id", "encryption-key-check"} {
		changed, ok := proto.Clone(whole).(*commonpb.Payload)
		require.True(t, ok)
		delete(changed.GetMetadata(), name)
		_, err := decrypt(r, changed)
		require.Error(t, err, name)
		for i := range whole.GetMetadata()[name] {
			changed, ok := proto.Clone(whole).(*commonpb.Payload)
			require.True(t, ok)
			changed.Metadata[name][i] ^= 1
			_, err := decrypt(r, changed)
			require.Error(t, err, name)
		}
	}
	// A text that is sealed for a row is not a payload, regardless of its metadata.
	sealed, err := r.Seal("text", "messages.text/IM1")
	require.NoError(t, err)
	_, err = decrypt(r, &commonpb.Payload{Metadata: whole.GetMetadata(), Data: []byte(sealed)})
	require.Error(t, err)
}

func TestAMissingKeyIsNamed(t *testing.T) {
	t.Parallel()
	one := encrypted(t, ring(t, freshKey(t, "gone")), `"x"`)
	for _, r := range []*codec.KeyRing{nil, ring(t, freshKey(t, "here"))} {
		_, err := decrypt(r, one)
		missing, ok := errors.AsType[*codec.KeyError](err)
		require.True(t, ok)
		require.Equal(t, &codec.KeyError{ID: "gone"}, missing)
		require.ErrorContains(t, err, "BATON_ENCRYPTION_KEYS")
	}
	_, err := decrypt(ring(t, freshKey(t, "gone")), one)
	other, ok := errors.AsType[*codec.KeyError](err)
	require.True(t, ok)
	require.Equal(t, &codec.KeyError{ID: "gone", Other: true}, other)
	require.ErrorContains(t, err, `another key "gone"`)
	foreign := payload("x")
	foreign.Metadata["encoding"] = []byte("binary/encrypted")
	foreign.Metadata["encryption-key-id"] = []byte("a stranger's, with anything in it\n")
	_, err = decrypt(ring(t, freshKey(t, "here")), foreign)
	require.Error(t, err)
	require.NotContains(t, err.Error(), "stranger")
}

func TestWhatShrinksIsCompressed(t *testing.T) {
	t.Parallel()
	r := ring(t, freshKey(t, "k"))
	text := `"` + strings.Repeat("the same sentence again and again; ", 1000) + `"`
	require.Less(t, len(encrypted(t, r, text).GetData()), len(text)/10)
	decoded, err := decrypt(r, encrypted(t, r, text))
	require.NoError(t, err)
	require.Equal(t, text, string(decoded.GetData()))
	random, err := codec.FreshKey("incompressible")
	require.NoError(t, err)
	require.Less(t, len(encrypted(t, r, random).GetData()), len(random)+100)
}

func TestErrorsAreEncryptedAndToldByTheirTypes(t *testing.T) {
	t.Parallel()
	r := ring(t, freshKey(t, "k"))
	refused := temporal.NewApplicationErrorWithOptions("bob can't do this", "wrapup_pending",
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{map[string]string{"agent": "bob"}}})
	failure := codec.FailureConverter(r).ErrorToFailure(refused)
	require.NotContains(t, failure.String(), "bob")
	require.Equal(t, "wrapup_pending", failure.GetApplicationFailureInfo().GetType())
	read, ok := errors.AsType[*temporal.ApplicationError](codec.FailureConverter(r).FailureToError(failure))
	require.True(t, ok)
	require.Equal(t, "bob can't do this", read.Message())
	var details map[string]string
	require.NoError(t, read.Details(&details))
	require.Equal(t, map[string]string{"agent": "bob"}, details)
	plain := codec.FailureConverter(nil).ErrorToFailure(refused)
	require.Equal(t, "bob can't do this", plain.GetMessage())
}

func TestAWorkflowWaitsForItsKey(t *testing.T) {
	t.Parallel()
	r, other := ring(t, freshKey(t, "one")), ring(t, freshKey(t, "two"))
	payloads, err := codec.DataConverter(r).ToPayloads("text")
	require.NoError(t, err)
	var text string
	require.NoError(t, codec.DataConverter(r).FromPayloads(payloads, &text))
	require.Equal(t, "text", text)
	require.ErrorContains(t, codec.DataConverter(other).FromPayloads(payloads, &text), `"one"`)
	aware, ok := codec.DataConverter(other).(converter.ContextAware)
	require.True(t, ok)
	inWorkflow := aware.WithWorkflowContext(nil)
	require.Panics(t, func() { _ = inWorkflow.FromPayloads(payloads, &text) })
	require.Panics(t, func() { _ = inWorkflow.FromPayload(payloads.GetPayloads()[0], &text) })
	payloads.Payloads[0].Data[40] ^= 1
	aware, ok = codec.DataConverter(r).(converter.ContextAware)
	require.True(t, ok)
	require.Error(t, aware.WithWorkflowContext(nil).FromPayloads(payloads, &text))
}

func TestTextsBelongToTheirPlace(t *testing.T) {
	t.Parallel()
	old, next := freshKey(t, "old"), freshKey(t, "next")
	before, after := ring(t, old), ring(t, next, old)
	rapid.Check(t, func(t *rapid.T) {
		text, place := rapid.String().Draw(t, "text"), rapid.StringMatching(`[a-z]+\.[a-z]+/[A-Z0-9]*`).Draw(t, "place")
		sealed, err := before.Seal(text, place)
		require.NoError(t, err)
		opened, err := after.Open(sealed, place)
		require.NoError(t, err)
		require.Equal(t, text, opened)
		_, err = after.Open(sealed, place+"x")
		require.Error(t, err)
		again, err := before.Seal(text, place)
		require.NoError(t, err)
		require.NotEqual(t, sealed, again)
		require.False(t, after.Current(sealed))

		equal, err := after.SealEqual(text, place)
		require.NoError(t, err)
		same, err := before.SealEqual(text, place)
		require.NoError(t, err)
		require.Equal(t, same[0], equal[1])
		require.True(t, after.Current(equal[0]))
		elsewhere, err := before.SealEqual(text, place+"x")
		require.NoError(t, err)
		require.NotEqual(t, same[0], elsewhere[0])
	})
	sealed, err := before.Seal("text", "a.b/1")
	require.NoError(t, err)
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		_, err := before.Open(string(changed), "a.b/1")
		require.Error(t, err, "byte %d", i)
	}
	_, err = (*codec.KeyRing)(nil).Open(sealed, "a.b/1")
	require.ErrorContains(t, err, `"old"`)
}

func forWorkflow(r *codec.KeyRing, id string) converter.PayloadCodec {
	bound, ok := codec.PayloadCodec(r).(converter.PayloadCodecWithSerializationContext)
	if !ok {
		panic("the codec takes no workflow")
	}
	return bound.WithSerializationContext(converter.WorkflowSerializationContext{Namespace: "default", WorkflowID: id})
}

func TestPayloadsBelongToTheirWorkflow(t *testing.T) {
	t.Parallel()
	key := freshKey(t, "k")
	r := ring(t, key)
	encoded, err := forWorkflow(r, "conversation/CHa").Encode([]*commonpb.Payload{payload(`"a note"`)})
	require.NoError(t, err)
	require.Equal(t, "conversation/CHa", string(encoded[0].GetMetadata()["workflow-id"]))
	decoded, err := forWorkflow(r, "conversation/CHa").Decode(encoded)
	require.NoError(t, err)
	require.Equal(t, `"a note"`, string(decoded[0].GetData()))
	decoded, err = codec.PayloadCodec(r).Decode(encoded)
	require.NoError(t, err, "a codec server reads it for the workflow that it names")
	require.Equal(t, `"a note"`, string(decoded[0].GetData()))

	_, err = forWorkflow(r, "conversation/CHb").Decode(encoded)
	moved, ok := errors.AsType[*codec.MovedError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, &codec.MovedError{ID: "k", From: "conversation/CHa", To: "conversation/CHb"}, moved)
	for name, id := range map[string]string{"renamed": "conversation/CHb", "without a name": ""} {
		changed, ok := proto.Clone(encoded[0]).(*commonpb.Payload)
		require.True(t, ok)
		changed.Metadata["workflow-id"] = []byte(id)
		for _, c := range []converter.PayloadCodec{forWorkflow(r, "conversation/CHb"), codec.PayloadCodec(r)} {
			_, err := c.Decode([]*commonpb.Payload{changed})
			_, tampered := errors.AsType[*codec.TamperedError](err)
			require.True(t, tampered, "%s: %v", name, err)
		}
	}
	activity, ok := codec.DataConverter(r).(converter.DataConverterWithSerializationContext)
	require.True(t, ok)
	payloads, err := activity.WithSerializationContext(converter.ActivitySerializationContext{WorkflowID: "conversation/CHa"}).ToPayloads("x")
	require.NoError(t, err)
	require.Equal(t, "conversation/CHa", string(payloads.GetPayloads()[0].GetMetadata()["workflow-id"]))
	replayed := activity.WithSerializationContext(converter.WorkflowSerializationContext{Namespace: "ReplayNamespace", WorkflowID: "ReplayId"})
	var text string
	require.NoError(t, replayed.FromPayloads(payloads, &text), "the replayer does not know the workflow ID")

	refused := temporal.NewApplicationError("bob can't do this", "wrapup_pending")
	failure := converter.WithFailureConverterSerializationContext(codec.FailureConverter(r),
		converter.WorkflowSerializationContext{WorkflowID: "conversation/CHa"}).ErrorToFailure(refused)
	require.Equal(t, "conversation/CHa", string(failure.GetEncodedAttributes().GetMetadata()["workflow-id"]))
}

func TestOlderPayloadsAreReadUntilTheCutOff(t *testing.T) {
	t.Parallel()
	next, old := freshKey(t, "next"), freshKey(t, "old")
	ofOld, ofNext := encrypted(t, ring(t, old), `"x"`), encrypted(t, ring(t, next), `"x"`)
	accepted := func(r *codec.KeyRing, p *commonpb.Payload) bool {
		_, err := forWorkflow(r, "conversation/CHa").Decode([]*commonpb.Payload{p})
		if err != nil {
			moved, ok := errors.AsType[*codec.MovedError](err)
			require.True(t, ok, "%v", err)
			require.Empty(t, moved.From)
			require.ErrorContains(t, err, "cut-off")
		}
		return err == nil
	}
	require.True(t, accepted(ring(t, next, old), ofNext))
	require.True(t, accepted(ring(t, next, old), ofOld))
	require.False(t, accepted(ring(t, next, "bound", old), ofNext))
	require.True(t, accepted(ring(t, next, "bound", old), ofOld))
	require.False(t, accepted(ring(t, next, old, "bound"), ofOld))
	require.Equal(t, []string{"next", "old"}, ring(t, next, "bound", old).IDs())
	_, err := codec.ParseKeyRing("bound," + next)
	require.ErrorContains(t, err, "after the keys")
}

// TestAnErrorWithoutTheKeyNamesTheKey covers clients with no keys and with other keys, and the causes of errors.
func TestAnErrorWithoutTheKeyNamesTheKey(t *testing.T) {
	t.Parallel()
	worker := ring(t, freshKey(t, "2026-11"))
	refused := temporal.NewApplicationErrorWithCause("commands have to be encrypted", "invalid_payload", errors.New("the cause"))
	for name, client := range map[string]*codec.KeyRing{"no keys": nil, "another key": ring(t, freshKey(t, "2026-10"))} {
		read := codec.FailureConverter(client).FailureToError(codec.FailureConverter(worker).ErrorToFailure(refused))
		var application *temporal.ApplicationError
		require.ErrorAs(t, read, &application, name)
		require.Equal(t, "invalid_payload", application.Type())
		require.Equal(t, `the answer cannot be read: this is encrypted with the key "2026-11", which isn't configured here: `+
			`add it to BATON_ENCRYPTION_KEYS or BATON_ENCRYPTION_KEYS_FILE; a key that is no longer the first still belongs there`, application.Message())
		require.NotContains(t, read.Error(), "Encoded failure")
	}
	read := codec.FailureConverter(worker).FailureToError(codec.FailureConverter(worker).ErrorToFailure(refused))
	require.ErrorContains(t, read, "commands have to be encrypted")
}
