package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/workflows"
)

// A worker that requires encryption refuses an unencrypted start. Another one accepts it.
func TestClearCommandsAreRefusedWhereEncryptionIsRequired(t *testing.T) {
	t.Parallel()
	key, err := codec.FreshKey("k")
	require.NoError(t, err)
	ring, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	for required, keys := range map[bool]*codec.KeyRing{true: ring.Required(), false: ring} {
		s := newEnvironment(t)
		options := codec.WorkerOptions(keys)
		options.Interceptors = append(options.Interceptors, &rests{environment: s})
		s.env.SetWorkerOptions(options)
		s.env.ExecuteWorkflow(workflows.Type, s.start) // its data converter encrypts nothing
		if required {
			require.ErrorContains(t, s.env.GetWorkflowError(), "start was sent unencrypted")
			continue
		}
		require.NoError(t, s.env.GetWorkflowError())
	}
}
