package desk

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func testMatchedAtOnce(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	answer := th.sync()
	require.Len(t, answer.Matches, 1)
	reserve := answer.Matches[0]
	require.Equal(t, th.task().SID, reserve.Task)
	require.Equal(t, "alice", reserve.Agent)
	require.Equal(t, th.task().PendingSeq, reserve.PendingSeq)
	require.True(t, conversation.IsSID(conversation.PrefixReservation, reserve.Reservation))

	offers, err := h.Offers(h.t.Context(), "alice")
	require.NoError(t, err)
	require.Empty(t, offers, "a match is no offer until the conversation has taken it")
	th.do(reserve)
	th.sync()
	offers, err = h.Offers(h.t.Context(), "alice")
	require.NoError(t, err)
	require.Len(t, offers, 1)
	require.Equal(t, reserve.Reservation, offers[0].Task.Reservation.SID)
	require.Empty(t, h.matches())
}

func testAnsweredUntilConfirmed(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support")
	snapshot := th.picture()
	first := th.sync()
	again, err := h.Sync(h.t.Context(), snapshot) // the answer was lost
	require.NoError(t, err)
	require.Equal(t, first, again)
	th.do(first.Matches[0])
	confirmed := th.sync()
	require.Empty(t, confirmed.Matches)
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))
}

func testMatchCounts(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 2))
	threads := []*thread{h.start("support"), h.start("support"), h.start("support")}
	for i, th := range threads {
		require.Len(t, th.sync().Matches, min(1, max(0, 2-i)))
	}
	h.dispatch()
	require.Len(t, h.matches(), 2)
	require.Equal(t, 2, h.load("alice", conversation.ChannelWeb))

	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 3))
	h.dispatch()
	require.Len(t, h.matches(), 3)
}

func testCapacityPerChannel(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 1))
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelSMS, 1))
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelChat, 0))
	h.start("support").follow().accept("alice")
	require.Empty(t, h.start("support").sync().Matches, "her web chat is taken")
	require.Len(t, h.start("support", onChannel(conversation.ChannelSMS)).sync().Matches, 1, "her SMS isn't")
	require.Empty(t, h.start("support", onChannel(conversation.ChannelSMS)).sync().Matches)
	require.Empty(t, h.start("support", onChannel(conversation.ChannelChat)).sync().Matches, "she takes no chat at all")
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))
	require.Equal(t, 1, h.load("alice", conversation.ChannelSMS))
	require.Equal(t, 0, h.load("alice", conversation.ChannelChat))
}

func testFreedAgentGetsWaiting(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 1))
	first := h.start("support").follow().accept("alice")
	second := h.start("support")
	require.Empty(t, second.sync().Matches)
	first.end("alice")
	require.Empty(t, h.matches(), "a wrapup counts against capacity")
	first.wrapup("alice")
	require.Equal(t, map[string]string{second.task().SID: "alice"}, h.matches())
}

func testOrderOfTasks(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	var want []string
	wait := func(th *thread) *thread {
		th.sync()
		h.clock.advance(time.Second)
		return th
	}
	third := wait(h.start("support"))
	fourth := wait(h.start("support"))
	second := wait(h.start("support", withPriority(5)))
	first := h.start("support", withPriority(5))
	first.task().Head = true // as after an offer that its agent did not accept
	wait(first)
	fifth := wait(h.start("support"))
	for _, th := range []*thread{first, second, third, fourth, fifth} {
		want = append(want, th.task().SID)
	}

	h.staff("support", "alice")
	var got []string
	for capacity := 1; capacity <= len(want); capacity++ {
		require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, capacity))
		h.dispatch()
		matches := h.matches()
		require.Len(t, matches, capacity)
		for task := range matches {
			if !slices.Contains(got, task) {
				got = append(got, task)
			}
		}
	}
	require.Equal(t, want, got)
}

func testOrderAcrossQueues(t *testing.T, h *house) {
	require.NoError(t, h.AddQueue(h.t.Context(), "a-queue"))
	require.NoError(t, h.AddQueue(h.t.Context(), "z-queue"))
	var want, got []string
	for i := range 6 {
		th := h.start([]string{"z-queue", "a-queue"}[i%2])
		th.sync()
		want = append(want, th.task().SID)
		h.clock.advance(time.Second)
	}
	h.staff("a-queue", "alice")
	h.staff("z-queue", "alice")
	for capacity := 1; capacity <= len(want); capacity++ {
		require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, capacity))
		h.dispatch()
		for task := range h.matches() {
			if !slices.Contains(got, task) {
				got = append(got, task)
			}
		}
	}
	require.Equal(t, want, got, "neither queue waits for the other")
}

func testLongestIdle(t *testing.T, h *house) {
	h.staff("support", "alice", "bob", "cleo")
	var got []string
	threads := map[string]*thread{}
	next := func() {
		h.clock.advance(time.Second)
		th := h.start("support").follow()
		got = append(got, th.task().Agent)
		threads[th.task().Agent] = th
	}
	next()
	next()
	next()
	require.Equal(t, []string{"alice", "bob", "cleo"}, got)
	for _, name := range []string{"bob", "cleo", "alice"} {
		h.clock.advance(time.Second)
		threads[name].accept(name)
	}
	next()
	require.Equal(t, "bob", got[3])
	h.clock.advance(time.Second)
	require.NoError(t, h.SetPresence(h.t.Context(), "cleo", PresenceBreak))
	require.NoError(t, h.SetPresence(h.t.Context(), "cleo", PresenceAvailable))
	next()
	require.Equal(t, "alice", got[4], "who comes back stands last")
	require.Equal(t, h.clock.now(), h.agent("alice").IdleSince)
}

func testHolderIsNotOffered(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	th := h.start("support").follow().accept("alice")
	th.transfer("alice", toQueue("support"), "")
	h.dispatch()
	require.Empty(t, h.matches(), "she still wraps it up")

	other := h.start("support").follow()
	require.Equal(t, conversation.TaskReserved, other.task().Status, "others behind it don't wait for that")

	th.wrapup("alice")
	require.Equal(t, conversation.TaskReserved, th.task().Status)
	require.Equal(t, "alice", th.task().Agent)
}

func testReoffer(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	th := h.start("support").follow()
	require.Equal(t, "alice", th.task().Agent)
	h.clock.advance(time.Second)
	th.decline("alice")
	require.Equal(t, "bob", th.task().Agent)
	h.clock.advance(time.Second)
	th.decline("bob")
	require.Equal(t, conversation.TaskPending, th.task().Status, "both have just declined it")
	h.dispatch()
	require.Empty(t, h.matches())
	other := h.start("support").follow()
	require.Equal(t, "alice", other.task().Agent, "another task is offered to them")
	h.clock.advance(58 * time.Second)
	h.dispatch()
	require.Empty(t, h.matches(), "59 seconds ago alice declined")
	h.clock.advance(time.Second)
	h.dispatch()
	require.Equal(t, map[string]string{th.task().SID: "alice"}, h.matches(), "a minute is over, and nothing else has happened")
}

// testReofferDirect checks that neither an offer for one particular agent nor a reoffer_after of 0 waits before
// another offer to the same agent.
func testReofferDirect(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice", "bob")
	th := h.start("support").follow()
	th.decline("alice")
	th.accept("bob").transfer("bob", toAgent("alice"), "")
	require.Equal(t, conversation.TaskReserved, th.task().Status)
	th.decline("alice")
	require.Equal(t, conversation.TaskPending, th.task().Status, "it went to the queue, where alice has declined it")
	h.set(func(s *conversation.Settings) { s.ReofferAfter = 0 })
	h.dispatch()
	require.Equal(t, map[string]string{th.task().SID: "alice"}, h.matches())
}

// testReofferAfterAbsence checks that a decline by the desk for an agent does not count as the agent's own.
func testReofferAfterAbsence(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support").follow()
	require.NoError(t, h.SetPresence(t.Context(), "alice", PresenceBreak))
	th.do(conversation.DeclineCommand{Agent: "alice", Reason: ReasonAgentUnavailable})
	th.follow()
	require.Equal(t, conversation.TaskPending, th.task().Status)
	require.NoError(t, h.SetPresence(t.Context(), "alice", PresenceAvailable))
	h.dispatch()
	require.Equal(t, map[string]string{th.task().SID: "alice"}, h.matches())
}

func testReofferAfter(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	h.set(func(s *conversation.Settings) { s.TimeoutActivity, s.ReservationTimeout = false, 20 })
	th := h.start("support").follow()
	require.Equal(t, "alice", th.task().Agent)
	th.expire()
	require.Equal(t, "bob", th.task().Agent)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceOffline))
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceOffline))
	h.clock.advance(10 * time.Second)
	th.do(conversation.DeclineCommand{Agent: "bob"})
	th.sync()
	h.clock.advance(55 * time.Second)
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceAvailable))
	h.clock.advance(time.Second)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	h.dispatch()
	require.Equal(t, "alice", h.matches()[th.task().SID], "bob is longer idle, but declined less than a minute ago")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceOffline))
	h.clock.advance(5 * time.Second)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	h.dispatch()
	require.Equal(t, "bob", h.matches()[th.task().SID], "a minute is over")
}

func testDirectWaits(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.staff("support", "alice", "bob")
	require.NoError(t, h.SetCapacity(h.t.Context(), "bob", conversation.ChannelWeb, 0))
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceBreak))
	th := h.start("support").follow().accept("alice").transfer("alice", toAgent("bob"), "").wrapup("alice")
	require.Equal(t, conversation.TaskPending, th.task().Status)
	h.dispatch()
	require.Empty(t, h.matches(), "nobody else gets it, and bob is away")

	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceAvailable))
	h.dispatch()
	require.Equal(t, map[string]string{th.task().SID: "bob"}, h.matches(), "capacity doesn't matter")
	th.follow()
	require.Equal(t, conversation.TaskReserved, th.task().Status)
	require.Equal(t, 1, h.load("bob", conversation.ChannelWeb))
}

func testDirectWaitsForWrapup(t *testing.T, h *house) {
	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait })
	h.staff("support", "alice", "bob")
	th := h.start("support").follow().accept("alice").transfer("alice", toAgent("bob"), "").accept("bob")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceBreak))
	th.transfer("bob", toAgent("alice"), "")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	h.dispatch()
	require.Empty(t, h.matches(), "she still wraps it up, and an offer would run out")
	th.wrapup("alice")
	require.Equal(t, conversation.TaskReserved, th.task().Status)
	require.Equal(t, "alice", th.task().Agent)
}

// testTwoDesks lets several desks on one database match the same tasks at once.
func testTwoDesks(t *testing.T, h *house) {
	const agents, capacity, tasks, desks = 5, 3, 40, 3
	require.NoError(t, h.AddQueue(h.t.Context(), "support"))
	var threads []*thread
	for range tasks {
		th := h.start("support")
		th.sync()
		threads = append(threads, th)
		h.clock.advance(time.Second)
	}
	for i := range agents {
		h.staff("support", fmt.Sprintf("agent-%d", i))
	}
	var dispatchers sync.WaitGroup
	failures := make(chan error, desks)
	for range desks {
		other := h.open()
		dispatchers.Go(func() {
			for range 5 {
				if err := other.Dispatch(h.t.Context()); err != nil {
					failures <- err
				}
			}
		})
	}
	for _, th := range threads[:tasks/2] { // concurrent snapshots
		if _, err := h.Sync(h.t.Context(), th.picture()); err != nil {
			failures <- err
		}
	}
	dispatchers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	require.Len(t, h.matches(), agents*capacity, "each task is matched once: the table says so")
	for i := range agents {
		require.Equal(t, capacity, h.load(fmt.Sprintf("agent-%d", i), conversation.ChannelWeb))
	}
	requireConsistent(t, h)
	for i, th := range threads { // the tasks queued first were matched
		_, matched := h.matches()[th.task().SID]
		require.Equal(t, i < agents*capacity, matched, "task %d", i)
	}
}

func testGoingDeclines(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	held := h.start("support").follow().accept("alice")
	h.clock.advance(time.Second)
	_ = h.start("support").follow().accept("bob")
	h.clock.advance(time.Second)
	offered := h.start("support").follow()
	require.Equal(t, "alice", offered.task().Agent)

	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceBreak))
	due, err := h.takeDue(h.t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	decline := due[0].command.(conversation.DeclineCommand)
	require.Equal(t, offered.sid, due[0].conversation)
	require.Equal(t, "alice", decline.Agent)
	require.Equal(t, offered.task().SID, decline.Task)
	require.Equal(t, "agent_unavailable", decline.Reason)
	require.NotEmpty(t, decline.CommandID)
	offered.do(decline)
	offered.do(decline)
	offered.follow()
	require.Equal(t, "bob", offered.task().Agent)
	require.Equal(t, conversation.TaskAssigned, held.task().Status)

	h.clock.advance(time.Hour)
	due, err = h.takeDue(h.t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, due, "the picture has confirmed it")
}

func testGoingReleases(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	th := h.start("support")
	reserve := th.sync().Matches[0]
	require.Equal(t, "alice", reserve.Agent)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceOffline))
	require.Zero(t, h.load("alice", conversation.ChannelWeb))
	h.dispatch()
	require.Equal(t, map[string]string{th.task().SID: "bob"}, h.matches())

	// The first match was being delivered already, and arrives first.
	th.do(reserve)
	require.Empty(t, th.sync().Matches)
	require.Empty(t, h.matches())
	require.Zero(t, h.load("bob", conversation.ChannelWeb))
	requireConsistent(t, h)
	due, err := h.takeDue(h.t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1, "she has gone: it is declined for her")
	th.do(due[0].command)
	th.follow()
	require.Equal(t, "bob", th.task().Agent)
}

// Alice leaves while a match of hers is being delivered, returns, and is matched up to her capacity before it
// arrives. The desk declines the late match for her, and no other.
func testOvertakenMatch(t *testing.T, h *house) {
	h.staff("support", "alice")
	require.NoError(t, h.SetCapacity(h.t.Context(), "alice", conversation.ChannelWeb, 1))
	late := h.start("support")
	reserve := late.sync().Matches[0]
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceBreak))
	early := h.start("support", withPriority(1))
	early.sync()
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	h.dispatch()
	require.Equal(t, map[string]string{early.task().SID: "alice"}, h.matches())

	late.do(reserve)
	require.Empty(t, late.sync().Matches)
	due, err := h.takeDue(h.t.Context(), 10)
	require.NoError(t, err)
	declined := slices.IndexFunc(due, func(item delivery) bool { return item.command.Name() == conversation.CommandDecline })
	require.GreaterOrEqual(t, declined, 0, "alice has one more than she can take")
	require.Equal(t, late.sid, due[declined].conversation)
	late.do(due[declined].command)
	require.Empty(t, late.sync().Matches)
	early.follow()
	require.Equal(t, "alice", early.task().Reservation.Agent)
	require.Equal(t, 1, h.load("alice", conversation.ChannelWeb))
	requireConsistent(t, h)
}

func testOfferToAbsent(t *testing.T, h *house) {
	h.transfersOn()
	h.staff("support", "alice")
	h.staff("billing", "bob")
	th := h.start("support").follow().accept("alice")
	th.do(conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	require.NoError(t, h.SetPresence(h.t.Context(), "bob", PresenceOffline)) // before the snapshot arrives
	th.sync()
	due, err := h.takeDue(h.t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, due, 1)
	th.do(due[0].command)
	th.follow()
	require.Equal(t, conversation.TaskPending, th.task().Status)
	require.False(t, th.task().Direct)
}

func testTimeoutActivity(t *testing.T, h *house) {
	h.staff("support", "alice", "bob")
	first := h.start("support").follow()
	second := h.start("support").follow()
	require.Equal(t, []string{"alice", "bob"}, []string{first.task().Agent, second.task().Agent})
	third := h.start("support")
	matched := third.sync().Matches[0].Agent
	require.Equal(t, "alice", matched)

	first.expire()
	alice := h.agent("alice")
	require.Equal(t, PresenceOffline, alice.Presence)
	require.False(t, alice.Available())
	require.Equal(t, "bob", first.task().Agent, "it goes to somebody else")
	h.dispatch()
	require.Equal(t, map[string]string{third.task().SID: "bob"}, h.matches(), "and so does what she was matched with")

	h.set(func(s *conversation.Settings) { s.TimeoutActivity, s.ReofferAfter = false, 0 })
	second.expire()
	require.Equal(t, PresenceAvailable, h.agent("bob").Presence)

	h.transfersOn()
	h.set(func(s *conversation.Settings) { s.TimeoutActivity = true })
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	second.accept("bob").transfer("bob", toAgent("alice"), "").accept("alice").transfer("alice", toAgent("bob"), "")
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceOffline))
	second.expire()
	require.Equal(t, PresenceAvailable, h.agent("bob").Presence, "he still wraps it up: he couldn't have accepted")
}

func testOldTimeout(t *testing.T, h *house) {
	h.staff("support", "alice")
	th := h.start("support").follow()
	h.clock.advance(3 * time.Minute)
	th.do(conversation.ExpireCommand{}) // the desk was unreachable and does not know this yet
	h.clock.advance(time.Minute)
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceBreak))
	require.NoError(t, h.SetPresence(h.t.Context(), "alice", PresenceAvailable))
	th.follow()
	require.Equal(t, PresenceAvailable, h.agent("alice").Presence)
	require.Equal(t, conversation.TaskReserved, th.task().Status)
}
