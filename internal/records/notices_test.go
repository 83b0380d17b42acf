package records_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

func noticesOf(h *desktest.Environment, agent string) records.Notices {
	h.T.Helper()
	n, err := records.ReadNotices(h.T.Context(), h.Desk, agent)
	require.NoError(h.T, err)
	return n
}

// testSenderLearns: the sender sees the outcome of a transfer, also after their wrap-up.
func testSenderLearns(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "bob")
	h.Staff("billing", "carol")
	require.Empty(t, noticesOf(h, "alice").Sent)
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToAgent("carol"), "")
	h.Clock.Advance(time.Second)
	sent := noticesOf(h, "alice").Sent
	require.Len(t, sent, 1)
	require.Nil(t, sent[0].Attempt, "she has not answered")
	require.Equal(t, "carol", sent[0].Task.Agent)

	th.Do(conversation.DeclineCommand{Agent: "carol", Reason: "at lunch"})
	th.Follow()
	declined := noticesOf(h, "alice").Sent[0]
	require.Equal(t, &records.Attempt{
		Reservation: declined.Attempt.Reservation, Agent: "carol", Reason: conversation.ReasonDeclined, Words: "at lunch", At: h.Clock.Now(),
	}, declined.Attempt)
	keepsAttempt := func() {
		t.Helper()
		transfers, err := records.ListTransfers(t.Context(), h.Desk, th.SID)
		require.NoError(t, err)
		require.Equal(t, th.State.Transfers[0].Attempt, transfers[0].Attempt, "the desk has it when the conversation is closed")
	}
	keepsAttempt()
	require.Equal(t, "support", declined.Task.Queue, "it waits in the sender's queue now")
	require.Equal(t, th.SID, declined.Conversation.SID)

	th.WrapUp("alice")
	require.Equal(t, "bob", noticesOf(h, "alice").Sent[0].Task.Agent, "and is offered to the next one")
	th.Expire()
	expired := noticesOf(h, "alice").Sent[0]
	require.Equal(t, "bob", expired.Attempt.Agent)
	require.Equal(t, conversation.ReasonExpired, expired.Attempt.Reason)
	require.Empty(t, expired.Attempt.Words)
	require.NotEqual(t, declined.Attempt.Reservation, expired.Attempt.Reservation)
	keepsAttempt()
	require.Empty(t, noticesOf(h, "bob").Sent, "another's transfer")

	require.NoError(t, records.DismissNotices(t.Context(), h.Desk, "alice", expired.Attempt.Reservation))
	require.NoError(t, records.DismissNotices(t.Context(), h.Desk, "alice", expired.Attempt.Reservation), "twice is once")
	require.Equal(t, map[string]bool{expired.Attempt.Reservation: true}, noticesOf(h, "alice").Dismissed)
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(records.DismissNotices(t.Context(), h.Desk, "alice", "x")))
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(records.DismissNotices(t.Context(), h.Desk, "zoe")))

	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceAvailable))
	h.DispatchNow()
	th.Follow()
	h.Clock.Advance(time.Hour) // an agent who declined may be asked again
	h.DispatchNow()
	th.Follow()
	if th.Task().Status == conversation.TaskPending {
		th.Do(conversation.ReserveCommand{Task: th.Task().SID, PendingSeq: th.Task().PendingSeq, Agent: "bob"})
	}
	th.Accept(th.Task().Agent)
	accepted := noticesOf(h, "alice").Sent[0]
	require.Equal(t, conversation.TransferCompleted, accepted.Transfer.Status)
	h.Clock.Advance(records.AcceptedShown + time.Second)
	require.Empty(t, noticesOf(h, "alice").Sent, "what went well is not shown for long")

	_, err := records.ReadNotices(t.Context(), h.Desk, "zoe")
	require.Equal(t, conversation.CodeUnknownAgent, conversation.CodeOf(err))
}

// testNextAgentIsNotNotified: an agent with the name of a removed agent has no notices of that agent's transfers.
func testNextAgentIsNotNotified(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "carol")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToAgent("carol"), "").Decline("carol").WrapUp("alice")
	require.Len(t, noticesOf(h, "alice").Sent, 1)
	h.Clock.Advance(time.Second)
	th.Do(conversation.MoveCommand{To: desktest.ToQueue("billing")})
	th.Follow()
	require.NoError(t, people.RemoveAgent(t.Context(), h.Desk, "alice"))
	h.Staff("support", "alice")
	require.Empty(t, noticesOf(h, "alice").Sent)
}

// testSenderLearnsOfFailures: transfers that are canceled, given back, timed out or closed.
func testSenderLearnsOfFailures(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.Unanswered = conversation.UnansweredSender })
	h.Staff("support", "alice")
	h.Staff("billing", "carol")
	begin := func(to conversation.Target) *desktest.Conversation {
		h.Clock.Advance(time.Second)
		return h.Start("support").Follow().Accept("alice").Transfer("alice", to, "")
	}
	for _, one := range []struct {
		reason conversation.Reason
		fail   func(*desktest.Conversation)
		to     conversation.Target
	}{
		{conversation.ReasonDeclined, func(th *desktest.Conversation) { th.Decline("carol") }, desktest.ToAgent("carol")},
		{conversation.ReasonCanceled, func(th *desktest.Conversation) { th.Do(conversation.CancelCommand{Agent: "alice"}); th.Follow() }, desktest.ToQueue("billing")},
		{conversation.ReasonConversationClosed, func(th *desktest.Conversation) { th.Do(conversation.CloseCommand{}); th.Follow() }, desktest.ToQueue("billing")},
	} {
		th := begin(one.to)
		one.fail(th)
		sent := noticesOf(h, "alice").Sent[0]
		require.Equal(t, th.SID, sent.Conversation.SID)
		require.Equal(t, one.reason, sent.Transfer.FailureReason)
		th.Do(conversation.CloseCommand{})
	}
	h.Clock.Advance(records.FailedShown + time.Second)
	require.Empty(t, noticesOf(h, "alice").Sent)
}

// testMissedOffer: an agent who was made unavailable sees why, until they set a presence or dismiss it.
func testMissedOffer(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.Nil(t, noticesOf(h, "alice").Missed)
	th := h.Start("support").Follow().Expire()
	require.Equal(t, desk.PresenceOffline, h.AgentNamed("alice").Presence)
	missed := noticesOf(h, "alice").Missed
	require.NotNil(t, missed)
	require.Equal(t, th.SID, missed.Conversation.SID)
	require.Equal(t, h.Clock.Now(), missed.At)

	another := h.Reopen()
	seen, err := records.ReadNotices(t.Context(), another, "alice")
	require.NoError(t, err)
	require.Equal(t, missed, seen.Missed, "in every process")

	require.NoError(t, records.DismissMissedOffer(t.Context(), h.Desk, "alice"))
	require.Nil(t, noticesOf(h, "alice").Missed)
	require.Equal(t, desk.PresenceOffline, h.AgentNamed("alice").Presence, "it is only dismissed")

	for _, chosen := range []desk.Presence{desk.PresenceOffline, desk.PresenceBreak, desk.PresenceAvailable} {
		require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceAvailable))
		h.Clock.Advance(time.Hour)
		h.DispatchNow()
		th.Follow().Expire()
		require.NotNil(t, noticesOf(h, "alice").Missed)
		require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", chosen))
		require.Nil(t, noticesOf(h, "alice").Missed, "she has chosen %s", chosen)
	}
}
