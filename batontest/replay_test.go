package batontest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/codec"
)

const recorded = "../workflows/testdata/histories/story.json"

func TestEncryptedHistoriesReplayWithTheirKeys(t *testing.T) {
	t.Parallel()
	keys, other := ring(t), ring(t)
	file := filepath.Join(t.TempDir(), "story.json")
	encrypt(t, recorded, file, keys)

	Replay(t, file, keys)
	require.ErrorContains(t, replay(file, nil), "isn't configured here")
	require.ErrorContains(t, replay(file, other), "another key")
	Replay(t, recorded, nil, keys)
}

func TestAnIncompleteHistoryDoesNotReplay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "cut.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"events":[]}`), 0o600))
	require.Error(t, replay(file, nil))
}

func ring(t *testing.T) *codec.KeyRing {
	t.Helper()
	key, err := codec.FreshKey("k")
	require.NoError(t, err)
	keys, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	return keys
}

// encrypt writes a copy of the history with encrypted payloads, as a server keeps them.
func encrypt(t *testing.T, from, to string, keys *codec.KeyRing) {
	t.Helper()
	file, err := os.Open(from)
	require.NoError(t, err)
	defer file.Close()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(t, err)
	require.NoError(t, proxy.VisitPayloads(t.Context(), history, proxy.VisitPayloadsOptions{
		SkipSearchAttributes: true,
		Visitor: func(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
			return codec.PayloadCodec(keys).Encode(payloads)
		},
	}))
	encoded, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(history)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, encoded, 0o600))
}
