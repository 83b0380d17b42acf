package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
)

// encryptedFor returns the command's payload, encrypted with a key that no worker of a environment has.
func encryptedFor(t *testing.T, id string, command any) *commonpb.Payload {
	t.Helper()
	key, err := codec.FreshKey(id)
	require.NoError(t, err)
	ring, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	payload, err := codec.DataConverter(ring).ToPayload(command)
	require.NoError(t, err)
	return payload
}

// Signals that no worker can read delay nothing. They are kept for an hour, and then refused with the name of their
// key.
func TestSignalsWithoutTheirKeyHoldNothingUp(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	sealed := encryptedFor(t, "2026-12", conversation.AcceptCommand{Agent: "alice"})
	s.step(func() {
		for range 60 {
			s.slip("accept", rawArguments{sealed})
		}
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"})
	})
	s.step(func() {
		require.Equal(t, conversation.TaskAssigned, s.task(0).Status)
		require.Len(t, s.record().Refusals, 10, "fifty are kept")
		require.Contains(t, s.lastRefusal().Message, `encrypted with the key "2026-12", and too much of such signals is kept already`)
	})
	s.after(59*time.Minute, func() { require.Len(t, s.record().Refusals, 10) })
	s.after(7*time.Minute, func() {
		require.Len(t, s.record().Refusals, 20)
		require.Equal(t, conversation.CodeInvalidPayload, s.lastRefusal().Code)
		require.Contains(t, s.lastRefusal().Message, `accept: the payload is encrypted with the key "2026-12", and the worker of this conversation did not have it for an hour`)
		s.signal("end", conversation.EndCommand{Agent: "alice"})
	})
	s.play()
}

// A signal that is larger than any command is refused, and the conversation continues.
func TestALargeSignalIsRefused(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.step(func() {
		s.signal("accept", rawArguments{rawJSON(`{"agent":"alice","more":"` + strings.Repeat("m", 300_000) + `"}`)})
	})
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.step(func() {
		require.Equal(t, conversation.TaskAssigned, s.task(0).Status)
		require.Len(t, s.record().Refusals, 1)
	})
	s.play()
}
