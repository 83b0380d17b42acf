package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/insights"
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

// refusing refuses every command because of an open wrap-up.
type refusing struct{ commands.Conversations }

func (refusing) Send(context.Context, string, conversation.Command) (conversation.Outcome, error) {
	return conversation.Outcome{}, conversation.Refuse(conversation.CodeWrapupPending, conversation.Details{Agent: "alice"}, "alice still wraps up")
}

// TestARefusedAcceptOfTheCommandLineIsInTheInsights sends a refused accept from a machine with the desk, and from one
// without.
func TestARefusedAcceptOfTheCommandLineIsInTheInsights(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, "sqlite:"+desktest.SQLite(t))
	h.Staff("support", "alice")
	sid, began := h.Start("support").Follow().SID, time.Now()
	for _, database := range []string{h.Database, "sqlite:" + filepath.Join(t.TempDir(), "absent.db")} {
		c := &Env{Timeout: time.Minute, Stderr: io.Discard, Getenv: func(name string) string {
			return map[string]string{"BATON_DATABASE": database}[name]
		}}
		_, err := commands.NewRecording(refusing{}, c.recordRefused, nil).Send(t.Context(), sid, conversation.AcceptCommand{Agent: "alice"})
		require.Equal(t, conversation.CodeWrapupPending, conversation.CodeOf(err))
	}
	report, err := insights.Read(t.Context(), h.Desk, insights.Filter{From: began.Add(-time.Hour), To: time.Now().Add(time.Hour), Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, 1, report.Total.WrapupRefusals)
}
