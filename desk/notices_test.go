package desk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func (h *house) notices(agent string) Notices {
	h.t.Helper()
	n, err := h.Notices(h.t.Context(), agent)
	require.NoError(h.t, err)
	return n
}

// testSenderLearns: the sender sees the outcome of a transfer, also after their wrap-up.
func testSenderLearns(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice", "bob")
	h.staff("billing", "carol")
	require.Empty(t, h.notices("alice").Sent)
	th := h.start("support").follow().accept("alice").transfer("alice", toAgent("carol"), "")
	h.clock.advance(time.Second)
	sent := h.notices("alice").Sent
	require.Len(t, sent, 1)
	require.Nil(t, sent[0].Attempt, "she has not answered")
	require.Equal(t, "carol", sent[0].Task.Agent)

	th.do(conversation.DeclineCommand{Agent: "carol", Reason: "at lunch"})
	th.follow()
	declined := h.notices("alice").Sent[0]
	require.Equal(t, &Attempt{
		Reservation: declined.Attempt.Reservation, Agent: "carol", Reason: conversation.ReasonDeclined, Words: "at lunch", At: h.clock.now(),
	}, declined.Attempt)
	keepsAttempt := func() {
		t.Helper()
		transfers, err := h.Transfers(t.Context(), th.sid)
		require.NoError(t, err)
		require.Equal(t, th.state.Transfers[0].Attempt, transfers[0].Attempt, "the desk has it when the conversation is closed")
	}
	keepsAttempt()
	require.Equal(t, "support", declined.Task.Queue, "it waits in the sender's queue now")
	require.Equal(t, th.sid, declined.Conversation.SID)

	th.wrapup("alice")
	require.Equal(t, "bob", h.notices("alice").Sent[0].Task.Agent, "and is offered to the next one")
	th.expire()
	expired := h.notices("alice").Sent[0]
	require.Equal(t, "bob", expired.Attempt.Agent)
	require.Equal(t, conversation.ReasonExpired, expired.Attempt.Reason)
	require.Empty(t, expired.Attempt.Words)
	require.NotEqual(t, declined.Attempt.Reservation, expired.Attempt.Reservation)
	keepsAttempt()
	require.Empty(t, h.notices("bob").Sent, "another's transfer")

	require.NoError(t, h.DismissNotices(t.Context(), "alice", expired.Attempt.Reservation))
	require.NoError(t, h.DismissNotices(t.Context(), "alice", expired.Attempt.Reservation), "twice is once")
	require.Equal(t, map[string]bool{expired.Attempt.Reservation: true}, h.notices("alice").Dismissed)
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(h.DismissNotices(t.Context(), "alice", "x")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(h.DismissNotices(t.Context(), "zoe")))

	require.NoError(t, h.SetPresence(t.Context(), "bob", PresenceAvailable))
	h.dispatch()
	th.follow()
	h.clock.advance(time.Hour) // an agent who declined may be asked again
	h.dispatch()
	th.follow()
	if th.task().Status == conversation.TaskPending {
		th.do(conversation.ReserveCommand{Task: th.task().SID, PendingSeq: th.task().PendingSeq, Agent: "bob"})
	}
	th.accept(th.task().Agent)
	accepted := h.notices("alice").Sent[0]
	require.Equal(t, conversation.TransferCompleted, accepted.Transfer.Status)
	h.clock.advance(acceptedShown + time.Second)
	require.Empty(t, h.notices("alice").Sent, "what went well is not shown for long")

	_, err := h.Notices(t.Context(), "zoe")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}

// testNextAgentIsNotNotified: an agent with the name of a removed agent has no notices of that agent's transfers.
func testNextAgentIsNotNotified(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "carol")
	th := h.start("support").follow().accept("alice").transfer("alice", toAgent("carol"), "").decline("carol").wrapup("alice")
	require.Len(t, h.notices("alice").Sent, 1)
	h.clock.advance(time.Second)
	th.do(conversation.MoveCommand{To: toQueue("billing")})
	th.follow()
	require.NoError(t, h.RemoveAgent(t.Context(), "alice"))
	h.staff("support", "alice")
	require.Empty(t, h.notices("alice").Sent)
}

// testSenderLearnsOfFailures: transfers that are canceled, given back, timed out or closed.
func testSenderLearnsOfFailures(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.Unanswered = conversation.UnansweredSender })
	h.staff("support", "alice")
	h.staff("billing", "carol")
	begin := func(to conversation.Target) *thread {
		h.clock.advance(time.Second)
		return h.start("support").follow().accept("alice").transfer("alice", to, "")
	}
	for _, one := range []struct {
		reason conversation.Reason
		fail   func(*thread)
		to     conversation.Target
	}{
		{conversation.ReasonDeclined, func(th *thread) { th.decline("carol") }, toAgent("carol")},
		{conversation.ReasonCanceled, func(th *thread) { th.do(conversation.CancelCommand{Agent: "alice"}); th.follow() }, toQueue("billing")},
		{conversation.ReasonConversationClosed, func(th *thread) { th.do(conversation.CloseCommand{}); th.follow() }, toQueue("billing")},
	} {
		th := begin(one.to)
		one.fail(th)
		sent := h.notices("alice").Sent[0]
		require.Equal(t, th.sid, sent.Conversation.SID)
		require.Equal(t, one.reason, sent.Transfer.FailureReason)
		th.do(conversation.CloseCommand{})
	}
	h.clock.advance(failedShown + time.Second)
	require.Empty(t, h.notices("alice").Sent)
}

// testMissedOffer: an agent who was made unavailable sees why, until they set a presence or dismiss it.
func testMissedOffer(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.Nil(t, h.notices("alice").Missed)
	th := h.start("support").follow().expire()
	require.Equal(t, PresenceOffline, h.agent("alice").Presence)
	missed := h.notices("alice").Missed
	require.NotNil(t, missed)
	require.Equal(t, th.sid, missed.Conversation.SID)
	require.Equal(t, h.clock.now(), missed.At)

	another := h.open()
	seen, err := another.Notices(t.Context(), "alice")
	require.NoError(t, err)
	require.Equal(t, missed, seen.Missed, "in every process")

	require.NoError(t, h.DismissMissedOffer(t.Context(), "alice"))
	require.Nil(t, h.notices("alice").Missed)
	require.Equal(t, PresenceOffline, h.agent("alice").Presence, "it is only dismissed")

	for _, chosen := range []Presence{PresenceOffline, PresenceBreak, PresenceAvailable} {
		require.NoError(t, h.SetPresence(t.Context(), "alice", PresenceAvailable))
		h.clock.advance(time.Hour)
		h.dispatch()
		th.follow().expire()
		require.NotNil(t, h.notices("alice").Missed)
		require.NoError(t, h.SetPresence(t.Context(), "alice", chosen))
		require.Nil(t, h.notices("alice").Missed, "she has chosen %s", chosen)
	}
}
