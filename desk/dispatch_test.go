package desk

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// letterbox is a courier that records what it delivers.
type letterbox struct {
	mutex     sync.Mutex
	delivered map[string][]conversation.Command
	// answer, if not nil, returns the result of Deliver, which records the command first.
	answer func(ctx context.Context, conversation string) error
}

var _ Courier = (*letterbox)(nil)

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
func (h *house) runDispatcher(d *Desk, courier Courier) (stop func()) {
	ctx, cancel := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- d.RunDispatcher(ctx, courier) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(h.t, <-done, context.Canceled)
	})
	h.t.Cleanup(stop)
	return stop
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 2*time.Millisecond, what)
}

func testDelivers(t *testing.T, h *house) {
	box := &letterbox{}
	h.runDispatcher(h.Desk, box)
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	th := h.start("support")
	require.Empty(t, th.sync().Matches)
	h.staff("support", "alice")
	eventually(t, func() bool { return len(box.to(th.sid)) == 1 }, "the match is delivered at once")

	h.clock.advance(firstRetry)
	eventually(t, func() bool { return len(box.to(th.sid)) == 2 }, "it wasn't confirmed, and is delivered again")
	h.clock.advance(firstRetry)
	h.clock.advance(firstRetry)
	eventually(t, func() bool { return len(box.to(th.sid)) == 3 }, "and again, after twice the time")
	require.Equal(t, box.to(th.sid)[0], box.to(th.sid)[2])

	th.do(box.to(th.sid)[0])
	th.follow()
	h.clock.advance(time.Hour)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceOffline))
	eventually(t, func() bool { return len(box.to(th.sid)) == 4 }, "her offer is declined")
	require.Equal(t, conversation.CommandDecline, box.to(th.sid)[3].Name())
}

func testCrash(t *testing.T, h *house) {
	h.staff("support", "alice")
	dying := h.open()
	th := h.start("support")
	_, err := dying.Sync(h.t.Context(), th.picture()) // the answer is lost
	require.NoError(t, err)
	other := h.start("support")
	other.sync()
	require.NoError(t, dying.Close())

	box := &letterbox{}
	reopened := h.open()
	h.runDispatcher(reopened, box)
	h.clock.advance(confirmedWithin)
	eventually(t, func() bool { return len(box.to(th.sid)) > 0 && len(box.to(other.sid)) > 0 }, "both are delivered")
	th.do(box.to(th.sid)[0])
	th.follow()
	require.Equal(t, "alice", th.task().Agent)

	taken, err := reopened.takeDue(h.t.Context(), 10) // as if the process died after taking them
	require.NoError(t, err)
	require.Empty(t, taken)
	h.clock.advance(lastRetry)
	eventually(t, func() bool { return len(box.to(other.sid)) > 1 }, "it is delivered again")
}

func testFailingConversation(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	failing, hanging := h.start("support"), h.start("support")
	box := &letterbox{answer: func(ctx context.Context, sid string) error {
		switch sid {
		case failing.sid:
			return errors.New("the server is shutting down")
		case hanging.sid:
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	failing.sync()
	hanging.sync()
	h.staff("support", "alice", "bob", "cleo", "dora")
	h.runDispatcher(h.Desk, box)
	for range 8 {
		th := h.start("support")
		th.sync()
		h.clock.advance(confirmedWithin)
		eventually(t, func() bool { return len(box.to(th.sid)) > 0 }, "the others are told")
	}
	require.NotEmpty(t, box.to(failing.sid))
	require.NotEmpty(t, box.to(hanging.sid))
	require.LessOrEqual(t, len(box.to(failing.sid)), 4, "and the one that fails is tried less and less often")
}

func testGoneConversation(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 1))
	gone := h.start("support")
	gone.sync()
	box := &letterbox{answer: func(_ context.Context, sid string) error {
		if sid == gone.sid {
			return ErrConversationGone
		}
		return nil
	}}
	waiting := h.start("support")
	waiting.sync()
	h.runDispatcher(h.Desk, box)
	h.clock.advance(confirmedWithin)
	eventually(t, func() bool { return len(box.to(waiting.sid)) > 0 }, "alice is free for the next")
	c, err := h.Desk.Conversation(h.t.Context(), gone.sid)
	require.NoError(t, err)
	require.True(t, c.Gone)
	_, err = h.Claim(h.t.Context(), gone.sid, "alice")
	require.Equal(t, conversation.CodeConversationClosed, conversation.CodeOf(err))
	require.Len(t, box.to(gone.sid), 1)
	queues, err := h.Queues(h.t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, queues[0].Waiting)

	gone.do(conversation.MoveCommand{To: toAgent("alice")}) // its workflow runs after all
	gone.follow()
	c, err = h.Desk.Conversation(h.t.Context(), gone.sid)
	require.NoError(t, err)
	require.False(t, c.Gone)
}

func testClaim(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 0))
	th := h.start("support")
	require.Empty(t, th.sync().Matches)
	box := &letterbox{}
	h.runDispatcher(h.Desk, box)
	command, err := h.Claim(h.t.Context(), th.sid, "alice")
	require.NoError(t, err)
	again, err := h.Claim(h.t.Context(), th.task().SID, "alice")
	require.NoError(t, err)
	require.Equal(t, command, again)
	eventually(t, func() bool { return len(box.to(th.sid)) == 1 }, "the claim is delivered")
	require.Equal(t, command, box.to(th.sid)[0])

	th.do(command)
	th.follow()
	require.Equal(t, conversation.TaskReserved, th.task().Status)
	again, err = h.Claim(h.t.Context(), th.sid, "alice")
	require.NoError(t, err)
	require.Equal(t, command, again, "it is offered to her already")
}

func testClaimRefusals(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.staff("support", "alice", "bob")
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, h.SetCapacity(h.t.Context(), name, conversation.ChannelWeb, 0))
	}
	refused := func(code conversation.Code, sid, agent, words string) {
		t.Helper()
		_, err := h.Claim(h.t.Context(), sid, agent)
		var refusal *conversation.Refusal
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, code, refusal.Code)
		require.Contains(t, refusal.Message, words)
	}
	take := func(th *thread, agent string) {
		t.Helper()
		command, err := h.Claim(h.t.Context(), th.sid, agent)
		require.NoError(t, err)
		th.do(command)
		th.follow()
	}
	th := h.start("support").follow()
	refused(conversation.CodeUnknownAgent, th.sid, "nobody", "no agent named")
	refused(conversation.CodeUnknownConversation, newSID(), "alice", "no record")
	refused(conversation.CodeNoSuchTask, "WT"+strings.Repeat("0", 32), "alice", "no record")
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceBreak))
	refused(conversation.CodeAgentUnavailable, th.sid, "bob", "become available first")

	take(th, "alice")
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceAvailable))
	refused(conversation.CodeNoReservation, th.sid, "bob", "is reserved")
	th.accept("alice")
	refused(conversation.CodeNoReservation, th.sid, "bob", "no task of this conversation waits")

	th.transfer("alice", toQueue("support"), "")
	refused(conversation.CodeWrapupPending, th.sid, "alice", th.state.Tasks[0].SID)
	require.NoError(t, h.SetCapacity(h.t.Context(), "bob", conversation.ChannelWeb, 1))
	h.dispatch()
	th.wrapup("alice")
	require.Equal(t, "bob", th.task().Agent)
	require.NoError(t, h.SetCapacity(h.t.Context(), "bob", conversation.ChannelWeb, 0))

	th.accept("bob")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceBreak))
	th.transfer("bob", toAgent("alice"), "")
	h.staff("support", "cleo")
	refused(conversation.CodeNotYourTask, th.sid, "cleo", "waits for alice")

	matched := h.start("support")
	require.Len(t, matched.sync().Matches, 1)
	refused(conversation.CodeNoReservation, matched.sid, "bob", "about to be offered to cleo")
}
