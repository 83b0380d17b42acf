package routing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

func testBacklog(t *testing.T, h *desktest.Environment) {
	backlog := func() routing.Backlog {
		b, err := routing.ReadBacklog(t.Context(), h.Desk)
		require.NoError(t, err)
		require.Equal(t, h.Clock.Now(), b.At)
		b.At = time.Time{}
		return b
	}
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "billing"))
	desktest.SetCallback(h, "https://example.com/events")
	desktest.QueueWebhooks(h)
	opened := h.Clock.Now()
	require.Equal(t, routing.Backlog{Lines: []routing.WaitingLine{}, Conversations: map[conversation.ConversationStatus]int{}, Webhooks: backlog().Webhooks}, backlog())

	first, waitsSince := h.Start("support").Follow(), h.Clock.Now()
	h.Clock.Advance(time.Minute)
	h.Start("support").Follow()
	h.Start("billing").Follow()
	before := backlog()
	require.Equal(t, []routing.WaitingLine{
		{Queue: "billing", Channel: conversation.ChannelWeb, Waiting: 1, Oldest: h.Clock.Now()},
		{Queue: "support", Channel: conversation.ChannelWeb, Waiting: 2, Oldest: waitsSince},
	}, before.Lines)
	require.Equal(t, map[conversation.ConversationStatus]int{conversation.ConversationActive: 3}, before.Conversations)
	require.Positive(t, before.Unqueued, "these events have not been checked for webhooks")
	desktest.QueueWebhooks(h)
	queued := backlog()
	require.Zero(t, queued.Unqueued)
	require.Equal(t, opened, queued.Webhooks.Oldest)
	require.Equal(t, before.Webhooks.Count+before.Unqueued, queued.Webhooks.Count)

	h.Staff("support", "alice")
	h.Clock.Advance(time.Minute)
	matchedAt := h.Clock.Now()
	h.DispatchNow()
	h.Clock.Advance(time.Minute)
	require.Equal(t, routing.Pending{2, matchedAt}, backlog().Matches, "a matched task does not wait, and its conversation has not confirmed the match")
	first.Follow()
	require.Equal(t, 1, backlog().Matches.Count)
	first.Accept("alice").End("alice")
	require.Equal(t, 1, backlog().Conversations[conversation.ConversationWrapping])
}
