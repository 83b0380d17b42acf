package commands_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/insights"
)

// refusing refuses every command because of an open wrap-up, and tells the worker's recorder.
type refusing struct {
	commands.Conversations

	worker *commands.Refusals
}

func (r refusing) Send(_ context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	refusal := conversation.Refuse(conversation.CodeWrapupPending, conversation.Details{Agent: "alice"}, "alice still wraps up")
	r.worker.Take(sid, command, refusal)
	return conversation.Outcome{}, refusal
}

// started returns a desk with a conversation, and a function that reads alice's refused accepts from the insights.
func started(t *testing.T) (h *desktest.Environment, sid string, counted func() int) {
	t.Helper()
	h = desktest.New(t, desktest.SQLite(t))
	h.Staff("support", "alice")
	began := h.Clock.Now()
	return h, h.Start("support").Follow().SID, func() int {
		report, err := insights.Read(t.Context(), h.Desk, insights.Filter{From: began, To: h.Clock.Now().Add(time.Second), Agent: "alice"})
		require.NoError(t, err)
		return report.Total.WrapupRefusals
	}
}

// TestARefusedAcceptCountsOnce has a door and the worker record the same refusals.
func TestARefusedAcceptCountsOnce(t *testing.T) {
	t.Parallel()
	h, sid, counted := started(t)
	worker := commands.NewRefusals(h.Desk, slog.New(slog.DiscardHandler))
	door := commands.New(refusing{worker: worker}, h.Desk, nil)
	for range 2 { // two attempts of the agent, without an ID
		_, err := door.Send(t.Context(), sid, conversation.AcceptCommand{Agent: "alice"})
		require.Equal(t, conversation.CodeWrapupPending, conversation.CodeOf(err))
	}
	for range 2 { // one attempt, sent again
		_, err := door.Send(t.Context(), sid, conversation.AcceptCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "once"}})
		require.Equal(t, conversation.CodeWrapupPending, conversation.CodeOf(err))
	}
	require.Equal(t, 3, counted(), "the insights have them when the door answers")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	worker.Run(ctx) // records what is queued
	require.Equal(t, 3, counted(), "the worker has recorded the same")
}

// TestTheAnswerIsTheRefusal: a desk that does not know the conversation does not hide the refusal.
func TestTheAnswerIsTheRefusal(t *testing.T) {
	t.Parallel()
	h, _, counted := started(t)
	door := commands.New(refusing{worker: commands.NewRefusals(h.Desk, slog.New(slog.DiscardHandler))}, h.Desk, nil)
	_, err := door.Send(t.Context(), desktest.NewSID(), conversation.AcceptCommand{Agent: "alice"})
	require.Equal(t, conversation.CodeWrapupPending, conversation.CodeOf(err))
	require.Zero(t, counted())
	_, err = door.Send(t.Context(), desktest.NewSID(), conversation.AcceptCommand{Agent: "alice\xff"})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "it is not sent at all")
}

func TestALateDeskIsNoError(t *testing.T) {
	t.Parallel()
	h, sid, _ := started(t)
	require.NoError(t, commands.Settle(t.Context(), h.Desk, sid, 1, time.Minute))
	require.NoError(t, commands.Settle(t.Context(), h.Desk, sid, 1000, time.Millisecond))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, commands.Settle(ctx, h.Desk, sid, 1000, time.Minute), context.Canceled, "the caller has left")
}
