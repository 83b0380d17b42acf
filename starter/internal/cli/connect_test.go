package cli

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/baton-transfers/baton/conversation"
)

func TestExplainSaysThatAWorkerMayBeMissing(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		context.DeadlineExceeded,
		fmt.Errorf("read: %w", serviceerror.NewDeadlineExceeded("context deadline exceeded")),
		fmt.Errorf("read: %w", serviceerror.NewFailedPrecondition("no poller seen for task queue recently, worker may be down")),
	} {
		require.ErrorContains(t, explain(err), "is a worker running")
		require.ErrorIs(t, explain(err), err)
	}
	other := errors.New("the disk is full")
	require.Equal(t, other, explain(other))
	refusal := conversation.Refuse(conversation.CodeNoReservation, conversation.Details{}, "nothing is reserved")
	require.Equal(t, error(refusal), explain(refusal))
}
