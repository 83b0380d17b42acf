package desk

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// shownOf returns what the desk shows of the conversation.
func (h *house) shownOf(sid string) Shown {
	h.t.Helper()
	shown, err := h.Shown(h.t.Context(), sid)
	require.NoError(h.t, err)
	return shown
}

// passed returns a conversation that alice has transferred to bob, who has accepted. reset sets it back to before
// the transfer.
func (h *house) passed() (th *thread, reset func()) {
	h.t.Helper()
	h.transfersOn()
	h.staff("support", "alice", "bob")
	th = h.start("support").follow().accept("alice")
	h.clock.advance(time.Second)
	reset = th.remember()
	th.transfer("alice", toAgent("bob"), "wants a refund")
	h.clock.advance(time.Second)
	return th.accept("bob"), reset
}

func testSetBack(t *testing.T, h *house) {
	th, reset := h.passed()
	before := th.state.Task(th.task().SID)
	reset()
	require.Len(t, th.state.Tasks, 1)
	th.whole = true // as after a request for a whole snapshot
	th.follow().agrees()
	ended, err := h.Task(t.Context(), before.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.TaskCanceled, ended.Status)
	require.Equal(t, conversation.ReasonReset, ended.CanceledReason)
	history, err := h.Events(t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, conversation.EventTaskCanceled, history[len(history)-1].Name, "the feed tells that bob's task has ended")
	require.Equal(t, before.SID, history[len(history)-1].Task)

	th.end("alice").agrees() // the conversation continues
	th.wrapup("alice")
	require.Equal(t, 0, h.load("alice", conversation.ChannelWeb))
}

func testSetBackAndOn(t *testing.T, h *house) {
	th, reset := h.passed()
	revision := th.state.Revision
	reset()
	h.clock.advance(time.Minute)
	th.do(conversation.TransferCommand{From: "alice", To: toQueue("support")})
	th.do(conversation.CancelCommand{Agent: "alice"})
	require.LessOrEqual(t, th.state.Revision, revision)
	for th.state.Revision < revision+1 { // until its revision is above the desk's
		h.clock.advance(time.Second)
		th.do(conversation.TransferCommand{From: "alice", To: toQueue("support")})
		th.do(conversation.CancelCommand{Agent: "alice"})
	}
	th.follow().agrees()
}

func testSetBackSIDs(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice", "bob", "cleo")
	th := h.start("support")
	th.state.DatedSIDs = true // as every workflow that begins with this build
	th.follow().accept("alice")
	reset := th.remember()
	th.transfer("alice", toAgent("bob"), "")
	lost, transfer := th.task().SID, th.state.ActiveTransfer().SID
	reset()
	h.clock.advance(time.Millisecond)
	th.transfer("alice", toAgent("cleo"), "")
	require.NotEqual(t, lost, th.task().SID)
	require.NotEqual(t, transfer, th.state.ActiveTransfer().SID)
	th.agrees()
	shown, err := h.Task(t.Context(), lost)
	require.NoError(t, err)
	require.Equal(t, "bob", shown.Agent, "what was is still told as it was")

	// A workflow that began with an earlier build dates its SIDs after it has learned of the reset.
	old := h.start("support").follow()
	reset = old.remember()
	old.do(conversation.CloseCommand{})
	old.follow()
	reset()
	old.whole = true
	old.follow().agrees()
	require.True(t, old.state.DatedSIDs)
}

func testReleased(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice", "bob")
	th := h.start("support").follow().accept("alice")
	th.transfer("alice", toAgent("bob"), "")
	require.Equal(t, 1, h.load("bob", conversation.ChannelWeb))
	reset := th.remember()

	earlier := h.shownOf(th.sid)
	earlier.Revision--
	released, err := h.Release(t.Context(), th.sid, earlier)
	require.NoError(t, err)
	require.False(t, released, "it has changed since it was looked at")
	released, err = h.Release(t.Context(), th.sid, h.shownOf(th.sid))
	require.NoError(t, err)
	require.True(t, released)
	for _, agent := range []string{"alice", "bob"} {
		require.Equal(t, 0, h.load(agent, conversation.ChannelWeb), "%s is free", agent)
	}
	c, err := h.Conversation(t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationClosed, c.Status)
	require.True(t, c.Gone)
	require.Empty(t, c.Live)
	offers, err := h.Offers(t.Context(), "bob")
	require.NoError(t, err)
	require.Empty(t, offers)
	transfers, err := h.Transfers(t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, conversation.TransferFailed, transfers[0].Status)
	require.Equal(t, conversation.ReasonWorkflowEnded, transfers[0].FailureReason)
	history, err := h.Events(t.Context(), th.sid)
	require.NoError(t, err)
	canceled := 0
	for _, e := range history {
		if e.Name == conversation.EventTaskCanceled && e.Reason == string(conversation.ReasonWorkflowEnded) {
			canceled++
		}
	}
	require.Equal(t, 2, canceled, "both tasks are told to have ended")

	released, err = h.Release(t.Context(), th.sid, h.shownOf(th.sid))
	require.NoError(t, err)
	require.False(t, released, "it is closed already")
	released, err = h.Release(t.Context(), newSID(), Shown{})
	require.NoError(t, err)
	require.False(t, released)
	draft, err := h.OpenDraft(t.Context(), Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	released, err = h.Release(t.Context(), draft, h.shownOf(draft))
	require.NoError(t, err)
	require.False(t, released, "a draft has no workflow yet")

	reset() // the workflow runs again
	th.accept("bob").agrees()
	c, err = h.Conversation(t.Context(), th.sid)
	require.NoError(t, err)
	require.False(t, c.Gone)
	require.Equal(t, conversation.ConversationActive, c.Status)
}

func testReopened(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support").follow().accept("alice")
	reset := th.remember()
	th.do(conversation.CloseCommand{})
	th.follow().wrapup("alice")
	reset()
	th.whole = true
	th.follow().agrees()
	c, err := h.Conversation(t.Context(), th.sid)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationActive, c.Status)
	require.True(t, c.ClosedAt.IsZero())
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))
}

func testKnownStart(t *testing.T, h *house) {
	h.staff("support", "alice")
	known := func(sid, chain string) bool {
		t.Helper()
		v, err := h.Facts(t.Context(), conversation.FactsQuery{Conversation: sid, Command: conversation.CommandStart, Queue: "support", Chain: chain})
		require.NoError(t, err)
		return v.ConversationKnown
	}
	th := h.start("support")
	p := th.picture()
	p.Chain = "first"
	_, err := h.Sync(t.Context(), p)
	require.NoError(t, err)
	require.False(t, known(th.sid, "first"), "its workflow was reset to its beginning")
	require.False(t, known(th.sid, "second"), "its workflow has ended unseen, and no other can run beside this one")
	th.events = nil
	th.do(conversation.CloseCommand{})
	p = th.picture()
	p.Chain = "first"
	_, err = h.Sync(t.Context(), p)
	require.NoError(t, err)
	require.False(t, known(th.sid, "first"))
	require.True(t, known(th.sid, "second"), "what is over is not started again")
	require.True(t, known(th.sid, ""))
}

// putBack sets the database back to before its last events, like an older copy.
func (h *house) putBack(events int64) {
	h.t.Helper()
	ctx := h.t.Context()
	require.NoError(h.t, h.db.Write(ctx, false, func(t *sqldb.Tx) error {
		position, _, err := sqldb.First(ctx, t, sqldb.Value[int64], `UPDATE feed SET position = position - $1 WHERE id = 1 RETURNING position`, events)
		require.NoError(h.t, err)
		for _, table := range []string{"events", "desk_events"} {
			_, err := t.Exec(ctx, `DELETE FROM `+table+` WHERE position > $1`, position)
			require.NoError(h.t, err)
		}
		return nil
	}))
}

// happenings returns the SIDs of all events.
func (h *house) happenings() (sids []string) {
	h.t.Helper()
	found, err := h.AllEvents(h.t.Context(), 0, 1000)
	require.NoError(h.t, err)
	for _, e := range found {
		sids = append(sids, e.SID())
	}
	return sids
}

func testPutBack(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(t.Context(), "one"))
	first := h.happenings()
	for _, queue := range []string{"two", "three"} {
		require.NoError(t, h.AddQueue(t.Context(), queue))
	}
	known := map[string]bool{}
	for _, sid := range h.happenings() {
		require.False(t, known[sid])
		known[sid] = true
		epoch, position, ok := EventPosition(sid)
		require.True(t, ok)
		require.NotZero(t, epoch)
		found, err := h.EventPage(t.Context(), EventFilter{Epoch: epoch, Position: position}, Page{})
		require.NoError(t, err)
		require.Len(t, found.Entries, 1)
		require.Equal(t, sid, found.Entries[0].SID())
		found, err = h.EventPage(t.Context(), EventFilter{Epoch: epoch + 1, Position: position}, Page{})
		require.NoError(t, err)
		require.Empty(t, found.Entries)
	}
	renewed := func(what string) {
		t.Helper()
		sids := h.happenings()
		require.Equal(t, first, sids[:len(first)], "what the copy has keeps its SIDs")
		for _, sid := range sids[len(first):] {
			require.False(t, known[sid], "%s: %s was another event before", what, sid)
			known[sid] = true
		}
	}
	h.putBack(2)
	require.NoError(t, h.AddQueue(t.Context(), "four"))
	renewed("one who writes has seen the position")

	_, err := h.LastPosition(t.Context())
	require.NoError(t, err)
	other := h.open()
	_, err = other.LastPosition(t.Context())
	require.NoError(t, err)
	h.putBack(1)
	position, err := other.LastPosition(t.Context())
	require.NoError(t, err)
	require.Equal(t, int64(len(first)), position)
	require.NoError(t, h.open().AddQueue(t.Context(), "five"))
	renewed("one who reads has seen it")

	h.putBack(1)
	restarted := h.open() // it has seen no earlier positions
	require.NoError(t, restarted.Restored(t.Context()))
	require.NoError(t, restarted.AddQueue(t.Context(), "six"))
	renewed("an operator has said so")
}

func testTakeToCompare(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(t.Context(), "support"))
	var started []string
	for range 3 {
		started = append(started, h.start("support").follow().sid)
	}
	take := func(limit int) []string {
		t.Helper()
		sids, err := h.TakeToCompare(t.Context(), time.Minute, limit)
		require.NoError(t, err)
		return sids
	}
	h.clock.advance(time.Hour)
	some := take(2)
	require.Len(t, some, 2)
	require.ElementsMatch(t, started, append(some, take(2)...))
	require.Empty(t, take(2), "none is due")
	h.clock.advance(time.Minute)
	require.Len(t, take(5), 3)
	require.NoError(t, h.Restored(t.Context()))
	require.Len(t, take(5), 3, "all are due")

	mine, err := h.Lease(t.Context(), "lists", time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
	mine, err = h.open().Lease(t.Context(), "lists", time.Minute)
	require.NoError(t, err)
	require.False(t, mine, "it is another's")
	h.clock.advance(time.Minute)
	mine, err = h.Lease(t.Context(), "lists", time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
}
