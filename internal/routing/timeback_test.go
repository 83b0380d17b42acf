package routing_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// shownOf returns what the desk shows of the conversation.
func shownOf(h *desktest.Environment, sid string) routing.Shown {
	h.T.Helper()
	shown, err := routing.ReadShown(h.T.Context(), h.Desk, sid)
	require.NoError(h.T, err)
	return shown
}

// transferred returns a conversation that alice has transferred to bob, who has accepted. reset sets it back to before
// the transfer.
func transferred(h *desktest.Environment) (th *desktest.Conversation, reset func()) {
	h.T.Helper()
	h.TransfersOn()
	h.Staff("support", "alice", "bob")
	th = h.Start("support").Follow().Accept("alice")
	h.Clock.Advance(time.Second)
	reset = th.Remember()
	th.Transfer("alice", desktest.ToAgent("bob"), "wants a refund")
	h.Clock.Advance(time.Second)
	return th.Accept("bob"), reset
}

func testSetBack(t *testing.T, h *desktest.Environment) {
	th, reset := transferred(h)
	before := th.State.Task(th.Task().SID)
	reset()
	require.Len(t, th.State.Tasks, 1)
	th.Whole = true // as after a request for a whole snapshot
	th.Follow().RequireShown()
	ended, err := records.FindTask(t.Context(), h.Desk, before.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.TaskCanceled, ended.Status)
	require.Equal(t, conversation.ReasonReset, ended.CanceledReason)
	history, err := records.ListEvents(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.EventTaskCanceled, history[len(history)-1].Name, "the feed tells that bob's task has ended")
	require.Equal(t, before.SID, history[len(history)-1].Task)

	th.End("alice").RequireShown() // the conversation continues
	th.WrapUp("alice")
	require.Equal(t, 0, h.Load("alice", conversation.ChannelWeb))
}

func testSetBackAndOn(t *testing.T, h *desktest.Environment) {
	th, reset := transferred(h)
	revision := th.State.Revision
	reset()
	h.Clock.Advance(time.Minute)
	th.Do(conversation.TransferCommand{From: "alice", To: desktest.ToQueue("support")})
	th.Do(conversation.CancelCommand{Agent: "alice"})
	require.LessOrEqual(t, th.State.Revision, revision)
	for th.State.Revision < revision+1 { // until its revision is above the desk's
		h.Clock.Advance(time.Second)
		th.Do(conversation.TransferCommand{From: "alice", To: desktest.ToQueue("support")})
		th.Do(conversation.CancelCommand{Agent: "alice"})
	}
	th.Follow().RequireShown()
}

func testSetBackSIDs(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "bob", "cleo")
	th := h.Start("support")
	th.State.DatedSIDs = true // as every workflow that begins with this build
	th.Follow().Accept("alice")
	reset := th.Remember()
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	lost, transfer := th.Task().SID, th.State.ActiveTransfer().SID
	reset()
	h.Clock.Advance(time.Millisecond)
	th.Transfer("alice", desktest.ToAgent("cleo"), "")
	require.NotEqual(t, lost, th.Task().SID)
	require.NotEqual(t, transfer, th.State.ActiveTransfer().SID)
	th.RequireShown()
	shown, err := records.FindTask(t.Context(), h.Desk, lost)
	require.NoError(t, err)
	require.Equal(t, "bob", shown.Agent, "what was is still told as it was")

	// A workflow that began with an earlier build dates its SIDs after it has learned of the reset.
	old := h.Start("support").Follow()
	reset = old.Remember()
	old.Do(conversation.CloseCommand{})
	old.Follow()
	reset()
	old.Whole = true
	old.Follow().RequireShown()
	require.True(t, old.State.DatedSIDs)
}

func testReleased(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "bob")
	th := h.Start("support").Follow().Accept("alice")
	th.Transfer("alice", desktest.ToAgent("bob"), "")
	require.Equal(t, 1, h.Load("bob", conversation.ChannelWeb))
	reset := th.Remember()

	earlier := shownOf(h, th.SID)
	earlier.Revision--
	released, err := routing.Release(t.Context(), h.Desk, th.SID, earlier)
	require.NoError(t, err)
	require.False(t, released, "it has changed since it was looked at")
	released, err = routing.Release(t.Context(), h.Desk, th.SID, shownOf(h, th.SID))
	require.NoError(t, err)
	require.True(t, released)
	for _, agent := range []string{"alice", "bob"} {
		require.Equal(t, 0, h.Load(agent, conversation.ChannelWeb), "%s is free", agent)
	}
	c, err := records.FindConversation(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationClosed, c.Status)
	require.True(t, c.Gone)
	require.Empty(t, c.Live)
	offers, err := routing.ListOffers(t.Context(), h.Desk, "bob")
	require.NoError(t, err)
	require.Empty(t, offers)
	transfers, err := records.ListTransfers(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.TransferFailed, transfers[0].Status)
	require.Equal(t, conversation.ReasonWorkflowEnded, transfers[0].FailureReason)
	history, err := records.ListEvents(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	canceled := 0
	for _, e := range history {
		if e.Name == conversation.EventTaskCanceled && e.Reason == string(conversation.ReasonWorkflowEnded) {
			canceled++
		}
	}
	require.Equal(t, 2, canceled, "both tasks are reported as ended")

	released, err = routing.Release(t.Context(), h.Desk, th.SID, shownOf(h, th.SID))
	require.NoError(t, err)
	require.False(t, released, "it is closed already")
	released, err = routing.Release(t.Context(), h.Desk, desktest.NewSID(), routing.Shown{})
	require.NoError(t, err)
	require.False(t, released)
	draft, err := records.OpenDraft(t.Context(), h.Desk, records.Draft{Channel: conversation.ChannelChat})
	require.NoError(t, err)
	released, err = routing.Release(t.Context(), h.Desk, draft, shownOf(h, draft))
	require.NoError(t, err)
	require.False(t, released, "a draft has no workflow yet")

	reset() // the workflow runs again
	th.Accept("bob").RequireShown()
	c, err = records.FindConversation(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.False(t, c.Gone)
	require.Equal(t, conversation.ConversationActive, c.Status)
}

func testReopened(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow().Accept("alice")
	reset := th.Remember()
	th.Do(conversation.CloseCommand{})
	th.Follow().WrapUp("alice")
	reset()
	th.Whole = true
	th.Follow().RequireShown()
	c, err := records.FindConversation(t.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, conversation.ConversationActive, c.Status)
	require.True(t, c.ClosedAt.IsZero())
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))
}

func testKnownStart(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	known := func(sid, chain string) bool {
		t.Helper()
		v, err := routing.ReadFacts(t.Context(), h.Desk, conversation.FactsQuery{Conversation: sid, Command: conversation.CommandStart, Queue: "support", Chain: chain})
		require.NoError(t, err)
		return v.ConversationKnown
	}
	th := h.Start("support")
	p := th.Snapshot()
	p.Chain = "first"
	_, err := routing.Sync(t.Context(), h.Desk, p)
	require.NoError(t, err)
	require.False(t, known(th.SID, "first"), "its workflow was reset to its beginning")
	require.False(t, known(th.SID, "second"), "its workflow has ended unseen, and no other can run beside this one")
	th.Pending = nil
	th.Do(conversation.CloseCommand{})
	p = th.Snapshot()
	p.Chain = "first"
	_, err = routing.Sync(t.Context(), h.Desk, p)
	require.NoError(t, err)
	require.False(t, known(th.SID, "first"))
	require.True(t, known(th.SID, "second"), "what is over is not started again")
	require.True(t, known(th.SID, ""))
}

// restoreEvents sets the database back to before its last events, like an older copy.
func restoreEvents(h *desktest.Environment, events int64) {
	h.T.Helper()
	ctx := h.T.Context()
	require.NoError(h.T, h.DB().Write(ctx, false, func(t *sqldb.Tx) error {
		position, _, err := sqldb.First(ctx, t, sqldb.Value[int64], `UPDATE feed SET position = position - $1 WHERE id = 1 RETURNING position`, events)
		require.NoError(h.T, err)
		for _, table := range []string{"events", "desk_events"} {
			_, err := t.Exec(ctx, `DELETE FROM `+table+` WHERE position > $1`, position)
			require.NoError(h.T, err)
		}
		return nil
	}))
}

// eventSIDs returns the SIDs of all events.
func eventSIDs(h *desktest.Environment) (sids []string) {
	h.T.Helper()
	found, err := outbox.EventsAfter(h.T.Context(), h.Desk, 0, 1000)
	require.NoError(h.T, err)
	for _, e := range found {
		sids = append(sids, e.SID())
	}
	return sids
}

func testPutBack(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "one"))
	first := eventSIDs(h)
	for _, queue := range []string{"two", "three"} {
		require.NoError(t, people.AddQueue(t.Context(), h.Desk, queue))
	}
	known := map[string]bool{}
	for _, sid := range eventSIDs(h) {
		require.False(t, known[sid])
		known[sid] = true
		epoch, position, ok := desk.EventPosition(sid)
		require.True(t, ok)
		require.NotZero(t, epoch)
		found, err := outbox.EventPage(t.Context(), h.Desk, outbox.EventFilter{Epoch: epoch, Position: position}, desk.Page{})
		require.NoError(t, err)
		require.Len(t, found.Entries, 1)
		require.Equal(t, sid, found.Entries[0].SID())
		found, err = outbox.EventPage(t.Context(), h.Desk, outbox.EventFilter{Epoch: epoch + 1, Position: position}, desk.Page{})
		require.NoError(t, err)
		require.Empty(t, found.Entries)
	}
	renewed := func(what string) {
		t.Helper()
		sids := eventSIDs(h)
		require.Equal(t, first, sids[:len(first)], "what the copy has keeps its SIDs")
		for _, sid := range sids[len(first):] {
			require.False(t, known[sid], "%s: %s was another event before", what, sid)
			known[sid] = true
		}
	}
	restoreEvents(h, 2)
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "four"))
	renewed("one who writes has seen the position")

	_, err := desk.LastPosition(t.Context(), h.Desk)
	require.NoError(t, err)
	other := h.Reopen()
	_, err = desk.LastPosition(t.Context(), other)
	require.NoError(t, err)
	restoreEvents(h, 1)
	position, err := desk.LastPosition(t.Context(), other)
	require.NoError(t, err)
	require.Equal(t, int64(len(first)), position)
	require.NoError(t, people.AddQueue(t.Context(), h.Reopen(), "five"))
	renewed("one who reads has seen it")

	restoreEvents(h, 1)
	restarted := h.Reopen() // it has seen no earlier positions
	require.NoError(t, desk.Restored(t.Context(), restarted))
	require.NoError(t, people.AddQueue(t.Context(), restarted, "six"))
	renewed("an operator has said so")
}

func testTakeToCompare(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(t.Context(), h.Desk, "support"))
	var started []string
	for range 3 {
		started = append(started, h.Start("support").Follow().SID)
	}
	take := func(limit int) []string {
		t.Helper()
		sids, err := routing.TakeToCompare(t.Context(), h.Desk, time.Minute, limit)
		require.NoError(t, err)
		return sids
	}
	h.Clock.Advance(time.Hour)
	some := take(2)
	require.Len(t, some, 2)
	require.ElementsMatch(t, started, append(some, take(2)...))
	require.Empty(t, take(2), "none is due")
	h.Clock.Advance(time.Minute)
	require.Len(t, take(5), 3)
	require.NoError(t, desk.Restored(t.Context(), h.Desk))
	require.Len(t, take(5), 3, "all are due")

	mine, err := routing.Lease(t.Context(), h.Desk, "lists", time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
	mine, err = routing.Lease(t.Context(), h.Reopen(), "lists", time.Minute)
	require.NoError(t, err)
	require.False(t, mine, "it is another's")
	h.Clock.Advance(time.Minute)
	mine, err = routing.Lease(t.Context(), h.Desk, "lists", time.Minute)
	require.NoError(t, err)
	require.True(t, mine)
}
