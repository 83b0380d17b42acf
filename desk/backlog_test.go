package desk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func testBacklog(t *testing.T, h *house) {
	backlog := func() Backlog {
		b, err := h.Backlog(t.Context())
		require.NoError(t, err)
		require.Equal(t, h.clock.now(), b.At)
		b.At = time.Time{}
		return b
	}
	require.NoError(t, h.AddQueue(t.Context(), "support"))
	require.NoError(t, h.AddQueue(t.Context(), "billing"))
	h.callback("https://example.com/events")
	h.queueWebhooks()
	opened := h.clock.now()
	require.Equal(t, Backlog{Lines: []WaitingLine{}, Conversations: map[conversation.ConversationStatus]int{}, Webhooks: backlog().Webhooks}, backlog())

	first, waitsSince := h.start("support").follow(), h.clock.now()
	h.clock.advance(time.Minute)
	h.start("support").follow()
	h.start("billing").follow()
	before := backlog()
	require.Equal(t, []WaitingLine{
		{Queue: "billing", Channel: conversation.ChannelWeb, Waiting: 1, Oldest: h.clock.now()},
		{Queue: "support", Channel: conversation.ChannelWeb, Waiting: 2, Oldest: waitsSince},
	}, before.Lines)
	require.Equal(t, map[conversation.ConversationStatus]int{conversation.ConversationActive: 3}, before.Conversations)
	require.Positive(t, before.Unqueued, "nobody has looked at these events for webhooks")
	h.queueWebhooks()
	queued := backlog()
	require.Zero(t, queued.Unqueued)
	require.Equal(t, opened, queued.Webhooks.Oldest)
	require.Equal(t, before.Webhooks.Count+before.Unqueued, queued.Webhooks.Count)

	h.staff("support", "alice")
	h.clock.advance(time.Minute)
	matchedAt := h.clock.now()
	h.dispatch()
	h.clock.advance(time.Minute)
	require.Equal(t, Pending{2, matchedAt}, backlog().Matches, "who is matched waits for nobody, and nobody knows it yet")
	first.follow()
	require.Equal(t, 1, backlog().Matches.Count)
	first.accept("alice").end("alice")
	require.Equal(t, 1, backlog().Conversations[conversation.ConversationWrapping])
}
