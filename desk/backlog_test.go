package desk_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func testBacklog(t *testing.T, h *desktest.Environment) {
	backlog := func() desk.Backlog {
		b, err := desk.ReadBacklog(t.Context(), h.Desk)
		require.NoError(t, err)
		require.Equal(t, h.Clock.Now(), b.At)
		b.At = time.Time{}
		return b
	}
	require.NoError(t, desk.AddQueue(t.Context(), h.Desk, "support"))
	require.NoError(t, desk.AddQueue(t.Context(), h.Desk, "billing"))
	setCallback(h, "https://example.com/events")
	queueWebhooks(h)
	opened := h.Clock.Now()
	require.Equal(t, desk.Backlog{Lines: []desk.WaitingLine{}, Conversations: map[conversation.ConversationStatus]int{}, Webhooks: backlog().Webhooks}, backlog())

	first, waitsSince := h.Start("support").Follow(), h.Clock.Now()
	h.Clock.Advance(time.Minute)
	h.Start("support").Follow()
	h.Start("billing").Follow()
	before := backlog()
	require.Equal(t, []desk.WaitingLine{
		{Queue: "billing", Channel: conversation.ChannelWeb, Waiting: 1, Oldest: h.Clock.Now()},
		{Queue: "support", Channel: conversation.ChannelWeb, Waiting: 2, Oldest: waitsSince},
	}, before.Lines)
	require.Equal(t, map[conversation.ConversationStatus]int{conversation.ConversationActive: 3}, before.Conversations)
	require.Positive(t, before.Unqueued, "these events have not been checked for webhooks")
	queueWebhooks(h)
	queued := backlog()
	require.Zero(t, queued.Unqueued)
	require.Equal(t, opened, queued.Webhooks.Oldest)
	require.Equal(t, before.Webhooks.Count+before.Unqueued, queued.Webhooks.Count)

	h.Staff("support", "alice")
	h.Clock.Advance(time.Minute)
	matchedAt := h.Clock.Now()
	h.DispatchNow()
	h.Clock.Advance(time.Minute)
	require.Equal(t, desk.Pending{2, matchedAt}, backlog().Matches, "a matched task does not wait, and its conversation has not confirmed the match")
	first.Follow()
	require.Equal(t, 1, backlog().Matches.Count)
	first.Accept("alice").End("alice")
	require.Equal(t, 1, backlog().Conversations[conversation.ConversationWrapping])
}
