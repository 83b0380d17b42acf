package site

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
)

// TestRefusalsNameAsThePageDoes checks refusals about agents and queues whose unique names the pages do not show.
func TestRefusalsNameAsThePageDoes(t *testing.T) {
	t.Parallel()
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	josu, err := people.RegisterAgent(t.Context(), d, people.NewAgent{FriendlyName: "josü"})
	require.NoError(t, err)
	ivan, err := people.RegisterAgent(t.Context(), d, people.NewAgent{FriendlyName: "Иван Петров"})
	require.NoError(t, err)
	queue, err := people.RegisterQueue(t.Context(), d, people.NewQueue{FriendlyName: "経理部"})
	require.NoError(t, err)
	known, err := people.ReadChoices(t.Context(), d)
	require.NoError(t, err)

	facts := conversation.Facts{Settings: conversation.DefaultSettings(), AgentKnown: true, AgentAvailable: true, QueueKnown: true, QueueMembers: 1}
	facts.Settings.MessagingTransfers = true
	var state conversation.State
	_, err = state.Apply(conversation.StartCommand{
		Conversation: conversation.SIDOf(conversation.PrefixConversation, uuid.New()), Channel: conversation.ChannelWeb, Queue: "support",
	}, &facts, time.Now())
	require.NoError(t, err)
	facts.AgentAvailable, facts.QueueMembers = false, 0
	refused := func(command conversation.Command) string {
		t.Helper()
		_, err := state.Apply(command, &facts, time.Now())
		refusal, ok := errors.AsType[*conversation.Refusal](err)
		require.True(t, ok, "%v", err)
		return wordedWith(known, refusal)
	}
	require.Equal(t, "josü is not available: move the task to another agent or to a queue.", refused(conversation.MoveCommand{To: conversation.Target{Agent: josu}}))
	require.Equal(t, "Иван Петров is not available: move the task to another agent or to a queue.", refused(conversation.MoveCommand{To: conversation.Target{Agent: ivan}}))
	require.Equal(t, "No agent works on the queue “経理部”: choose another target, or have an administrator add agents to it.",
		refused(conversation.MoveCommand{To: conversation.Target{Queue: queue}}))

	long := conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "note"}, "transfer: note can have at most 2000 characters")
	_, message := StatusOf(long)
	require.Equal(t, "Note can have at most 2000 characters.", message)
}
