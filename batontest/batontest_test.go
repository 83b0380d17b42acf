package batontest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/conversation"
)

// conversations is what the service under test calls, as a service declares it.
type conversations interface {
	Start(ctx context.Context, start conversation.StartCommand) (string, error)
	Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error)
	Transfer(ctx context.Context, sid string, command conversation.TransferCommand) (conversation.Outcome, error)
	Accept(ctx context.Context, sid string, command conversation.AcceptCommand) (conversation.Outcome, error)
	Wrapup(ctx context.Context, sid string, command conversation.WrapupCommand) (conversation.Outcome, error)
	SendAsync(ctx context.Context, sid string, command conversation.Command) error
	State(ctx context.Context, sid string) (conversation.Record, error)
}

var (
	_ conversations = (*baton.Client)(nil)
	_ conversations = (*batontest.Engine)(nil)
)

func TestATransferInMemory(t *testing.T) {
	t.Parallel()
	desk := batontest.NewDesk(t)
	desk.AddAgent("alice")
	desk.AddAgent("bob")
	desk.AddQueue("support", "alice")
	desk.AddQueue("billing", "bob")
	var service conversations = desk.Engine()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	sid, err := service.Start(ctx, conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	require.NoError(t, err)
	offered := func(agent string) {
		t.Helper()
		_, err := service.Await(ctx, sid, func(r conversation.Record) bool {
			task := r.Tasks[len(r.Tasks)-1]
			return task.Status == conversation.TaskReserved && task.Agent == agent
		})
		require.NoError(t, err)
	}
	offered("alice")
	_, err = service.Accept(ctx, sid, conversation.AcceptCommand{Agent: "alice"})
	require.NoError(t, err)
	transfer := conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}}
	_, err = service.Transfer(ctx, sid, transfer)
	require.Equal(t, conversation.CodeMessagingTransfersOff, conversation.CodeOf(err))

	desk.Configure(func(s *conversation.Settings) { s.MessagingTransfers = true })
	desk.SetAvailable("bob", false)
	_, err = service.Transfer(ctx, sid, transfer)
	require.NoError(t, err)
	desk.SetAvailable("bob", true) // the desk itself matches what waits
	offered("bob")
	_, err = service.Accept(ctx, sid, conversation.AcceptCommand{Agent: "bob"})
	require.NoError(t, err)
	_, err = service.Wrapup(ctx, sid, conversation.WrapupCommand{Agent: "alice"})
	require.NoError(t, err)

	require.NoError(t, service.SendAsync(ctx, sid, conversation.WrapupCommand{Agent: "bob"}))
	record, err := service.State(ctx, sid)
	require.NoError(t, err)
	require.Equal(t, conversation.CodeNotWrapping, record.Refusals[0].Code)

	_, err = service.State(ctx, baton.NewConversation())
	require.Equal(t, conversation.CodeUnknownConversation, conversation.CodeOf(err))
	require.ErrorIs(t, err, baton.ErrNotRunning)
}

func TestACloseEndsTheConversation(t *testing.T) {
	t.Parallel()
	desk := batontest.NewDesk(t)
	desk.AddQueue("support")
	ctx := t.Context()
	sid, err := desk.Engine().Start(ctx, conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "support"})
	require.NoError(t, err)
	_, err = desk.Engine().Close(ctx, sid, conversation.CloseCommand{})
	require.NoError(t, err)
	_, err = desk.Engine().Move(ctx, sid, conversation.MoveCommand{To: conversation.Target{Queue: "support"}})
	require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err))
	require.ErrorIs(t, err, baton.ErrNotRunning)

	refused, err := desk.Engine().Start(ctx, conversation.StartCommand{Channel: conversation.ChannelWeb, Queue: "nowhere"})
	require.NoError(t, err)
	_, err = desk.Engine().State(ctx, refused)
	require.Equal(t, conversation.CodeUnknownQueue, conversation.CodeOf(err))
}
