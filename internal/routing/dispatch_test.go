package routing_test

import (
	"context"
	"errors"
	"strings"
	"sync"
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

// letterbox is a courier that records what it delivers.
type letterbox struct {
	mutex     sync.Mutex
	delivered map[string][]conversation.Command
	// answer, if not nil, returns the result of Deliver, which records the command first.
	answer func(ctx context.Context, conversation string) error
}

var _ routing.Courier = (*letterbox)(nil)

func (l *letterbox) Deliver(ctx context.Context, sid string, c conversation.Command) error {
	l.mutex.Lock()
	if l.delivered == nil {
		l.delivered = map[string][]conversation.Command{}
	}
	l.delivered[sid] = append(l.delivered[sid], c)
	l.mutex.Unlock()
	if l.answer == nil {
		return nil
	}
	return l.answer(ctx, sid)
}

func (l *letterbox) to(sid string) []conversation.Command {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.delivered[sid]
}

// runDispatcher runs the desk's dispatcher until the test ends or stop is called.
func runDispatcher(h *desktest.Environment, d *desk.Desk, courier routing.Courier) (stop func()) {
	ctx, cancel := context.WithCancel(h.T.Context())
	done := make(chan error, 1)
	go func() { done <- routing.RunDispatcher(ctx, d, courier) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(h.T, <-done, context.Canceled)
	})
	h.T.Cleanup(stop)
	return stop
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 2*time.Millisecond, what)
}

func testDelivers(t *testing.T, h *desktest.Environment) {
	box := &letterbox{}
	runDispatcher(h, h.Desk, box)
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	th := h.Start("support")
	require.Empty(t, th.Sync().Matches)
	h.Staff("support", "alice")
	eventually(t, func() bool { return len(box.to(th.SID)) == 1 }, "the match is delivered at once")

	h.Clock.Advance(routing.FirstRetry)
	eventually(t, func() bool { return len(box.to(th.SID)) == 2 }, "it wasn't confirmed, and is delivered again")
	h.Clock.Advance(routing.FirstRetry)
	h.Clock.Advance(routing.FirstRetry)
	eventually(t, func() bool { return len(box.to(th.SID)) == 3 }, "and again, after twice the time")
	require.Equal(t, box.to(th.SID)[0], box.to(th.SID)[2])

	th.Do(box.to(th.SID)[0])
	th.Follow()
	h.Clock.Advance(time.Hour)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceOffline))
	eventually(t, func() bool { return len(box.to(th.SID)) == 4 }, "her offer is declined")
	require.Equal(t, conversation.CommandDecline, box.to(th.SID)[3].Name())
}

func testCrash(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	dying := h.Reopen()
	th := h.Start("support")
	_, err := routing.Sync(h.T.Context(), dying, th.Snapshot()) // the answer is lost
	require.NoError(t, err)
	other := h.Start("support")
	other.Sync()
	require.NoError(t, dying.Close())

	box := &letterbox{}
	reopened := h.Reopen()
	runDispatcher(h, reopened, box)
	h.Clock.Advance(routing.ConfirmedWithin)
	eventually(t, func() bool { return len(box.to(th.SID)) > 0 && len(box.to(other.SID)) > 0 }, "both are delivered")
	th.Do(box.to(th.SID)[0])
	th.Follow()
	require.Equal(t, "alice", th.Task().Agent)

	taken, err := routing.TakeDue(h.T.Context(), reopened, 10) // as if the process died after taking them
	require.NoError(t, err)
	require.Empty(t, taken)
	h.Clock.Advance(routing.LastRetry)
	eventually(t, func() bool { return len(box.to(other.SID)) > 1 }, "it is delivered again")
}

func testFailingConversation(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	failing, hanging := h.Start("support"), h.Start("support")
	box := &letterbox{answer: func(ctx context.Context, sid string) error {
		switch sid {
		case failing.SID:
			return errors.New("the server is shutting down")
		case hanging.SID:
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	failing.Sync()
	hanging.Sync()
	h.Staff("support", "alice", "bob", "cleo", "dora")
	runDispatcher(h, h.Desk, box)
	for range 8 {
		th := h.Start("support")
		th.Sync()
		h.Clock.Advance(routing.ConfirmedWithin)
		eventually(t, func() bool { return len(box.to(th.SID)) > 0 }, "the others get theirs")
	}
	require.NotEmpty(t, box.to(failing.SID))
	require.NotEmpty(t, box.to(hanging.SID))
	require.LessOrEqual(t, len(box.to(failing.SID)), 4, "and the one that fails is tried less and less often")
}

func testGoneConversation(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	gone := h.Start("support")
	gone.Sync()
	box := &letterbox{answer: func(_ context.Context, sid string) error {
		if sid == gone.SID {
			return desk.ErrConversationGone
		}
		return nil
	}}
	waiting := h.Start("support")
	waiting.Sync()
	runDispatcher(h, h.Desk, box)
	h.Clock.Advance(routing.ConfirmedWithin)
	eventually(t, func() bool { return len(box.to(waiting.SID)) > 0 }, "alice is free for the next")
	c, err := records.FindConversation(h.T.Context(), h.Desk, gone.SID)
	require.NoError(t, err)
	require.True(t, c.Gone)
	_, err = routing.Claim(h.T.Context(), h.Desk, gone.SID, "alice")
	require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err))
	require.Len(t, box.to(gone.SID), 1)
	queues, err := people.ListQueues(h.T.Context(), h.Desk)
	require.NoError(t, err)
	require.Equal(t, 1, queues[0].Waiting)

	gone.Do(conversation.MoveCommand{To: desktest.ToAgent("alice")}) // its workflow runs after all
	gone.Follow()
	c, err = records.FindConversation(h.T.Context(), h.Desk, gone.SID)
	require.NoError(t, err)
	require.False(t, c.Gone)
}

func testClaim(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 0))
	th := h.Start("support")
	require.Empty(t, th.Sync().Matches)
	box := &letterbox{}
	runDispatcher(h, h.Desk, box)
	command, err := routing.Claim(h.T.Context(), h.Desk, th.SID, "alice")
	require.NoError(t, err)
	again, err := routing.Claim(h.T.Context(), h.Desk, th.Task().SID, "alice")
	require.NoError(t, err)
	require.Equal(t, command, again)
	eventually(t, func() bool { return len(box.to(th.SID)) == 1 }, "the claim is delivered")
	require.Equal(t, command, box.to(th.SID)[0])

	th.Do(command)
	th.Follow()
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
	again, err = routing.Claim(h.T.Context(), h.Desk, th.SID, "alice")
	require.NoError(t, err)
	require.Equal(t, command, again, "it is offered to her already")
}

func testClaimRefusals(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.Staff("support", "alice", "bob")
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, name, conversation.ChannelWeb, 0))
	}
	refused := func(code conversation.Code, sid, agent, words string) {
		t.Helper()
		_, err := routing.Claim(h.T.Context(), h.Desk, sid, agent)
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, code, refusal.Code)
		require.Contains(t, refusal.Message, words)
	}
	take := func(th *desktest.Conversation, agent string) {
		t.Helper()
		command, err := routing.Claim(h.T.Context(), h.Desk, th.SID, agent)
		require.NoError(t, err)
		th.Do(command)
		th.Follow()
	}
	th := h.Start("support").Follow()
	refused(conversation.CodeUnknownAgent, th.SID, "missing", "no agent named")
	refused(conversation.CodeUnknownConversation, desktest.NewSID(), "alice", "no record")
	refused(conversation.CodeNoSuchTask, "WT"+strings.Repeat("0", 32), "alice", "no record")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceBreak))
	refused(conversation.CodeAgentUnavailable, th.SID, "bob", "become available first")

	take(th, "alice")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable))
	refused(conversation.CodeNoReservation, th.SID, "bob", "is reserved")
	th.Accept("alice")
	refused(conversation.CodeNoReservation, th.SID, "bob", "no task of this conversation waits")

	th.Transfer("alice", desktest.ToQueue("support"), "")
	refused(conversation.CodeWrapupPending, th.SID, "alice", th.State.Tasks[0].SID)
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "bob", conversation.ChannelWeb, 1))
	h.DispatchNow()
	th.WrapUp("alice")
	require.Equal(t, "bob", th.Task().Agent)
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "bob", conversation.ChannelWeb, 0))

	th.Accept("bob")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceBreak))
	th.Transfer("bob", desktest.ToAgent("alice"), "")
	h.Staff("support", "cleo")
	refused(conversation.CodeNotYourTask, th.SID, "cleo", "waits for alice")

	matched := h.Start("support")
	require.Len(t, matched.Sync().Matches, 1)
	refused(conversation.CodeNoReservation, matched.SID, "bob", "about to be offered to cleo")
}
