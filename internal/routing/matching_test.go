package routing_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

func testMatchedAtOnce(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	answer := th.Sync()
	require.Len(t, answer.Matches, 1)
	reserve := answer.Matches[0]
	require.Equal(t, th.Task().SID, reserve.Task)
	require.Equal(t, "alice", reserve.Agent)
	require.Equal(t, th.Task().PendingSeq, reserve.PendingSeq)
	require.True(t, conversation.IsSID(conversation.PrefixReservation, reserve.Reservation))

	offers, err := routing.ListOffers(h.T.Context(), h.Desk, "alice")
	require.NoError(t, err)
	require.Empty(t, offers, "a match is no offer until the conversation has taken it")
	th.Do(reserve)
	th.Sync()
	offers, err = routing.ListOffers(h.T.Context(), h.Desk, "alice")
	require.NoError(t, err)
	require.Len(t, offers, 1)
	require.Equal(t, reserve.Reservation, offers[0].Task.Reservation.SID)
	require.Empty(t, h.Matches())
}

func testAnsweredUntilConfirmed(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support")
	snapshot := th.Snapshot()
	first := th.Sync()
	again, err := routing.Sync(h.T.Context(), h.Desk, snapshot) // the answer was lost
	require.NoError(t, err)
	require.Equal(t, first, again)
	th.Do(first.Matches[0])
	confirmed := th.Sync()
	require.Empty(t, confirmed.Matches)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))
}

func testMatchCounts(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 2))
	threads := []*desktest.Conversation{h.Start("support"), h.Start("support"), h.Start("support")}
	for i, th := range threads {
		require.Len(t, th.Sync().Matches, min(1, max(0, 2-i)))
	}
	h.DispatchNow()
	require.Len(t, h.Matches(), 2)
	require.Equal(t, 2, h.Load("alice", conversation.ChannelWeb))

	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 3))
	h.DispatchNow()
	require.Len(t, h.Matches(), 3)
}

func testCapacityPerChannel(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelSMS, 1))
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelChat, 0))
	h.Start("support").Follow().Accept("alice")
	require.Empty(t, h.Start("support").Sync().Matches, "her web chat is taken")
	require.Len(t, h.Start("support", desktest.OnChannel(conversation.ChannelSMS)).Sync().Matches, 1, "her SMS isn't")
	require.Empty(t, h.Start("support", desktest.OnChannel(conversation.ChannelSMS)).Sync().Matches)
	require.Empty(t, h.Start("support", desktest.OnChannel(conversation.ChannelChat)).Sync().Matches, "she takes no chat at all")
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))
	require.Equal(t, 1, h.Load("alice", conversation.ChannelSMS))
	require.Equal(t, 0, h.Load("alice", conversation.ChannelChat))
}

func testFreedAgentGetsWaiting(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	first := h.Start("support").Follow().Accept("alice")
	second := h.Start("support")
	require.Empty(t, second.Sync().Matches)
	first.End("alice")
	require.Empty(t, h.Matches(), "a wrapup counts against capacity")
	first.WrapUp("alice")
	require.Equal(t, map[string]string{second.Task().SID: "alice"}, h.Matches())
}

func testOrderOfTasks(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	var want []string
	wait := func(th *desktest.Conversation) *desktest.Conversation {
		th.Sync()
		h.Clock.Advance(time.Second)
		return th
	}
	third := wait(h.Start("support"))
	fourth := wait(h.Start("support"))
	second := wait(h.Start("support", desktest.WithPriority(5)))
	first := h.Start("support", desktest.WithPriority(5))
	first.Task().Head = true // as after an offer that its agent did not accept
	wait(first)
	fifth := wait(h.Start("support"))
	for _, th := range []*desktest.Conversation{first, second, third, fourth, fifth} {
		want = append(want, th.Task().SID)
	}

	h.Staff("support", "alice")
	var got []string
	for capacity := 1; capacity <= len(want); capacity++ {
		require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, capacity))
		h.DispatchNow()
		matches := h.Matches()
		require.Len(t, matches, capacity)
		for task := range matches {
			if !slices.Contains(got, task) {
				got = append(got, task)
			}
		}
	}
	require.Equal(t, want, got)
}

func testOrderAcrossQueues(t *testing.T, h *desktest.Environment) {
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "a-queue"))
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "z-queue"))
	var want, got []string
	for i := range 6 {
		th := h.Start([]string{"z-queue", "a-queue"}[i%2])
		th.Sync()
		want = append(want, th.Task().SID)
		h.Clock.Advance(time.Second)
	}
	h.Staff("a-queue", "alice")
	h.Staff("z-queue", "alice")
	for capacity := 1; capacity <= len(want); capacity++ {
		require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, capacity))
		h.DispatchNow()
		for task := range h.Matches() {
			if !slices.Contains(got, task) {
				got = append(got, task)
			}
		}
	}
	require.Equal(t, want, got, "neither queue waits for the other")
}

func testLongestIdle(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob", "cleo")
	var got []string
	threads := map[string]*desktest.Conversation{}
	next := func() {
		h.Clock.Advance(time.Second)
		th := h.Start("support").Follow()
		got = append(got, th.Task().Agent)
		threads[th.Task().Agent] = th
	}
	next()
	next()
	next()
	require.Equal(t, []string{"alice", "bob", "cleo"}, got)
	for _, name := range []string{"bob", "cleo", "alice"} {
		h.Clock.Advance(time.Second)
		threads[name].Accept(name)
	}
	next()
	require.Equal(t, "bob", got[3])
	h.Clock.Advance(time.Second)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "cleo", desk.PresenceBreak))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "cleo", desk.PresenceAvailable))
	next()
	require.Equal(t, "alice", got[4], "an agent who comes back is last")
	require.Equal(t, h.Clock.Now(), h.AgentNamed("alice").IdleSince)
}

func testHolderIsNotOffered(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	th := h.Start("support").Follow().Accept("alice")
	th.Transfer("alice", desktest.ToQueue("support"), "")
	h.DispatchNow()
	require.Empty(t, h.Matches(), "she still wraps it up")

	other := h.Start("support").Follow()
	require.Equal(t, conversation.TaskReserved, other.Task().Status, "others behind it don't wait for that")

	th.WrapUp("alice")
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
	require.Equal(t, "alice", th.Task().Agent)
}

func testReoffer(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	th := h.Start("support").Follow()
	require.Equal(t, "alice", th.Task().Agent)
	h.Clock.Advance(time.Second)
	th.Decline("alice")
	require.Equal(t, "bob", th.Task().Agent)
	h.Clock.Advance(time.Second)
	th.Decline("bob")
	require.Equal(t, conversation.TaskPending, th.Task().Status, "both have just declined it")
	h.DispatchNow()
	require.Empty(t, h.Matches())
	other := h.Start("support").Follow()
	require.Equal(t, "alice", other.Task().Agent, "another task is offered to them")
	h.Clock.Advance(58 * time.Second)
	h.DispatchNow()
	require.Empty(t, h.Matches(), "59 seconds ago alice declined")
	h.Clock.Advance(time.Second)
	h.DispatchNow()
	require.Equal(t, map[string]string{th.Task().SID: "alice"}, h.Matches(), "a minute is over, and nothing else has happened")
}

// testReofferDirect checks that neither an offer for one particular agent nor a reoffer_after of 0 waits before
// another offer to the same agent.
func testReofferDirect(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "bob")
	th := h.Start("support").Follow()
	th.Decline("alice")
	th.Accept("bob").Transfer("bob", desktest.ToAgent("alice"), "")
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
	th.Decline("alice")
	require.Equal(t, conversation.TaskPending, th.Task().Status, "it went to the queue, where alice has declined it")
	h.Set(func(s *conversation.Settings) { s.ReofferAfter = 0 })
	h.DispatchNow()
	require.Equal(t, map[string]string{th.Task().SID: "alice"}, h.Matches())
}

// testReofferAfterAbsence checks that a decline by the desk for an agent does not count as the agent's own.
func testReofferAfterAbsence(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceBreak))
	th.Do(conversation.DeclineCommand{Agent: "alice", Reason: desk.ReasonAgentUnavailable})
	th.Follow()
	require.Equal(t, conversation.TaskPending, th.Task().Status)
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "alice", desk.PresenceAvailable))
	h.DispatchNow()
	require.Equal(t, map[string]string{th.Task().SID: "alice"}, h.Matches())
}

func testReofferAfter(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	h.Set(func(s *conversation.Settings) { s.TimeoutActivity, s.ReservationTimeout = false, 20 })
	th := h.Start("support").Follow()
	require.Equal(t, "alice", th.Task().Agent)
	th.Expire()
	require.Equal(t, "bob", th.Task().Agent)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceOffline))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceOffline))
	h.Clock.Advance(10 * time.Second)
	th.Do(conversation.DeclineCommand{Agent: "bob"})
	th.Sync()
	h.Clock.Advance(55 * time.Second)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable))
	h.Clock.Advance(time.Second)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	h.DispatchNow()
	require.Equal(t, "alice", h.Matches()[th.Task().SID], "bob is longer idle, but declined less than a minute ago")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceOffline))
	h.Clock.Advance(5 * time.Second)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	h.DispatchNow()
	require.Equal(t, "bob", h.Matches()[th.Task().SID], "a minute is over")
}

func testDirectWaits(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.Staff("support", "alice", "bob")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "bob", conversation.ChannelWeb, 0))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceBreak))
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToAgent("bob"), "").WrapUp("alice")
	require.Equal(t, conversation.TaskPending, th.Task().Status)
	h.DispatchNow()
	require.Empty(t, h.Matches(), "no other agent gets it, and bob is away")

	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceAvailable))
	h.DispatchNow()
	require.Equal(t, map[string]string{th.Task().SID: "bob"}, h.Matches(), "capacity doesn't matter")
	th.Follow()
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
	require.Equal(t, 1, h.Load("bob", conversation.ChannelWeb))
}

func testDirectWaitsForWrapup(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.Staff("support", "alice", "bob")
	th := h.Start("support").Follow().Accept("alice").Transfer("alice", desktest.ToAgent("bob"), "").Accept("bob")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceBreak))
	th.Transfer("bob", desktest.ToAgent("alice"), "")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	h.DispatchNow()
	require.Empty(t, h.Matches(), "she still wraps it up, and an offer would run out")
	th.WrapUp("alice")
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
	require.Equal(t, "alice", th.Task().Agent)
}

// testTwoDesks lets several desks on one database match the same tasks at once.
func testTwoDesks(t *testing.T, h *desktest.Environment) {
	const agents, capacity, tasks, desks = 5, 3, 40, 3
	require.NoError(t, people.AddQueue(h.T.Context(), h.Desk, "support"))
	var threads []*desktest.Conversation
	for range tasks {
		th := h.Start("support")
		th.Sync()
		threads = append(threads, th)
		h.Clock.Advance(time.Second)
	}
	for i := range agents {
		h.Staff("support", fmt.Sprintf("agent-%d", i))
	}
	var dispatchers sync.WaitGroup
	failures := make(chan error, desks)
	for range desks {
		other := h.Reopen()
		dispatchers.Go(func() {
			for range 5 {
				if err := routing.Dispatch(h.T.Context(), other); err != nil {
					failures <- err
				}
			}
		})
	}
	for _, th := range threads[:tasks/2] { // concurrent snapshots
		if _, err := routing.Sync(h.T.Context(), h.Desk, th.Snapshot()); err != nil {
			failures <- err
		}
	}
	dispatchers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.Len(t, h.Matches(), agents*capacity, "each task is matched once: the table says so")
	for i := range agents {
		require.Equal(t, capacity, h.Load(fmt.Sprintf("agent-%d", i), conversation.ChannelWeb))
	}
	requireConsistent(t, h)
	for i, th := range threads { // the tasks queued first were matched
		_, matched := h.Matches()[th.Task().SID]
		require.Equal(t, i < agents*capacity, matched, "task %d", i)
	}
}

func testGoingDeclines(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	held := h.Start("support").Follow().Accept("alice")
	h.Clock.Advance(time.Second)
	_ = h.Start("support").Follow().Accept("bob")
	h.Clock.Advance(time.Second)
	offered := h.Start("support").Follow()
	require.Equal(t, "alice", offered.Task().Agent)

	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceBreak))
	due, err := routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	decline := due[0].Command.(conversation.DeclineCommand)
	require.Equal(t, offered.SID, due[0].Conversation)
	require.Equal(t, "alice", decline.Agent)
	require.Equal(t, offered.Task().SID, decline.Task)
	require.Equal(t, "agent_unavailable", decline.Reason)
	require.NotEmpty(t, decline.CommandID)
	offered.Do(decline)
	offered.Do(decline)
	offered.Follow()
	require.Equal(t, "bob", offered.Task().Agent)
	require.Equal(t, conversation.TaskAssigned, held.Task().Status)

	h.Clock.Advance(time.Hour)
	due, err = routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Empty(t, due, "the picture has confirmed it")
}

func testGoingReleases(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	th := h.Start("support")
	reserve := th.Sync().Matches[0]
	require.Equal(t, "alice", reserve.Agent)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceOffline))
	require.Zero(t, h.Load("alice", conversation.ChannelWeb))
	h.DispatchNow()
	require.Equal(t, map[string]string{th.Task().SID: "bob"}, h.Matches())

	// The first match was being delivered already, and arrives first.
	th.Do(reserve)
	require.Empty(t, th.Sync().Matches)
	require.Empty(t, h.Matches())
	require.Zero(t, h.Load("bob", conversation.ChannelWeb))
	requireConsistent(t, h)
	due, err := routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Len(t, due, 1, "she has gone: it is declined for her")
	th.Do(due[0].Command)
	th.Follow()
	require.Equal(t, "bob", th.Task().Agent)
}

// Alice leaves while a match of hers is being delivered, returns, and is matched up to her capacity before it
// arrives. The desk declines the late match for her, and no other.
func testOvertakenMatch(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	require.NoError(t, people.SetCapacity(h.T.Context(), h.Desk, "alice", conversation.ChannelWeb, 1))
	late := h.Start("support")
	reserve := late.Sync().Matches[0]
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceBreak))
	early := h.Start("support", desktest.WithPriority(1))
	early.Sync()
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	h.DispatchNow()
	require.Equal(t, map[string]string{early.Task().SID: "alice"}, h.Matches())

	late.Do(reserve)
	require.Empty(t, late.Sync().Matches)
	due, err := routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(t, err)
	declined := slices.IndexFunc(due, func(item routing.Delivery) bool { return item.Command.Name() == conversation.CommandDecline })
	require.GreaterOrEqual(t, declined, 0, "alice has one more than she can take")
	require.Equal(t, late.SID, due[declined].Conversation)
	late.Do(due[declined].Command)
	require.Empty(t, late.Sync().Matches)
	early.Follow()
	require.Equal(t, "alice", early.Task().Reservation.Agent)
	require.Equal(t, 1, h.Load("alice", conversation.ChannelWeb))
	requireConsistent(t, h)
}

func testOfferToAbsent(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	th := h.Start("support").Follow().Accept("alice")
	th.Do(conversation.TransferCommand{From: "alice", To: desktest.ToAgent("bob")})
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "bob", desk.PresenceOffline)) // before the snapshot arrives
	th.Sync()
	due, err := routing.TakeDue(h.T.Context(), h.Desk, 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	th.Do(due[0].Command)
	th.Follow()
	require.Equal(t, conversation.TaskPending, th.Task().Status)
	require.False(t, th.Task().Direct)
}

func testTimeoutActivity(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice", "bob")
	first := h.Start("support").Follow()
	second := h.Start("support").Follow()
	require.Equal(t, []string{"alice", "bob"}, []string{first.Task().Agent, second.Task().Agent})
	third := h.Start("support")
	matched := third.Sync().Matches[0].Agent
	require.Equal(t, "alice", matched)

	first.Expire()
	alice := h.AgentNamed("alice")
	require.Equal(t, desk.PresenceOffline, alice.Presence)
	require.False(t, alice.Available())
	require.Equal(t, "bob", first.Task().Agent, "another agent gets it")
	h.DispatchNow()
	require.Equal(t, map[string]string{third.Task().SID: "bob"}, h.Matches(), "and so does what she was matched with")

	h.Set(func(s *conversation.Settings) { s.TimeoutActivity, s.ReofferAfter = false, 0 })
	second.Expire()
	require.Equal(t, desk.PresenceAvailable, h.AgentNamed("bob").Presence)

	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.TimeoutActivity = true })
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	second.Accept("bob").Transfer("bob", desktest.ToAgent("alice"), "").Accept("alice").Transfer("alice", desktest.ToAgent("bob"), "")
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceOffline))
	second.Expire()
	require.Equal(t, desk.PresenceAvailable, h.AgentNamed("bob").Presence, "he still wraps it up: he couldn't have accepted")
}

func testOldTimeout(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	th := h.Start("support").Follow()
	h.Clock.Advance(3 * time.Minute)
	th.Do(conversation.ExpireCommand{}) // the desk was unreachable and does not know this yet
	h.Clock.Advance(time.Minute)
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceBreak))
	require.NoError(t, routing.SetPresence(h.T.Context(), h.Desk, "alice", desk.PresenceAvailable))
	th.Follow()
	require.Equal(t, desk.PresenceAvailable, h.AgentNamed("alice").Presence)
	require.Equal(t, conversation.TaskReserved, th.Task().Status)
}
