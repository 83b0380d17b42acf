package desk_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func refusedWith(t *testing.T, code conversation.Code, err error, says string) {
	t.Helper()
	require.Equal(t, code, conversation.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, says)
}
