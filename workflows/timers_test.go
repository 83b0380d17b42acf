package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

func TestAnOfferThatExpiresGoesToSomebodyElseOfTheQueue(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.after(119*time.Second, func() { require.True(t, s.task(0).OfferedTo("alice")) })
	s.after(2*time.Second, func() {
		require.True(t, s.task(0).OfferedTo("dave"))
		require.Equal(t, startOfTest.Add(240*time.Second), s.task(0).Reservation.ExpiresAt.UTC())
	})
	s.play()
}

func TestAnOfferStandsAsLongAsTheSettingSays(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.ReservationTimeout = 5
	s.after(4*time.Second, func() { require.True(t, s.task(0).OfferedTo("alice")) })
	s.after(1500*time.Millisecond, func() { require.True(t, s.task(0).OfferedTo("dave")) })
	s.play()
}

func TestAnAcceptThatCameBeforeTheExpiryWins(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	// The accept arrives in the same workflow task as the timer that expires the offer.
	s.after(119*time.Second, func() { s.slip("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.after(2*time.Second, func() {
		require.Equal(t, conversation.TaskAssigned, s.task(0).Status)
		require.Empty(t, s.record().Refusals)
	})
	s.play()
}

func TestATransferThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		unanswered conversation.UnansweredPolicy
		decline    bool
		wrappedUp  bool
		// what there is to see afterwards
		transfer conversation.TransferStatus
		reason   conversation.Reason
		sender   conversation.TaskStatus
		receiver conversation.TaskStatus
	}{
		{"expires, origin_queue", conversation.UnansweredOriginQueue, false, false, conversation.TransferActive, "", conversation.TaskWrapping, conversation.TaskReserved},
		{"declined, origin_queue", conversation.UnansweredOriginQueue, true, false, conversation.TransferActive, "", conversation.TaskWrapping, conversation.TaskReserved},
		{"expires, sender", conversation.UnansweredSender, false, false, conversation.TransferFailed, conversation.ReasonExpired, conversation.TaskAssigned, conversation.TaskCanceled},
		{"declined, sender", conversation.UnansweredSender, true, false, conversation.TransferFailed, conversation.ReasonDeclined, conversation.TaskAssigned, conversation.TaskCanceled},
		{"expires, sender who has wrapped up", conversation.UnansweredSender, false, true, conversation.TransferActive, "", conversation.TaskCompleted, conversation.TaskReserved},
		{"declined, sender who has wrapped up", conversation.UnansweredSender, true, true, conversation.TransferActive, "", conversation.TaskCompleted, conversation.TaskReserved},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			s.desk.settings.Unanswered = test.unanswered
			s.aliceAccepts()
			s.transfers("alice", toAgent("bob"))
			if test.wrappedUp {
				s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"}) })
			}
			if test.decline {
				s.step(func() { s.signal("decline", conversation.DeclineCommand{Agent: "bob", Reason: "at lunch"}) })
			} else {
				s.after(121*time.Second, func() {})
			}
			s.step(func() {
				require.Equal(t, test.transfer, s.transfer(0).Status)
				require.Equal(t, test.reason, s.transfer(0).FailureReason)
				require.Equal(t, test.sender, s.task(0).Status)
				require.Equal(t, test.receiver, s.task(1).Status)
				if test.transfer == conversation.TransferFailed {
					return
				}
				// The same task waited at the head of the origin queue, and goes to an agent of that queue.
				require.True(t, s.task(1).Head)
				require.Equal(t, "support", s.task(1).Queue)
				want := "dave"
				if test.wrappedUp {
					want = "alice" // she is available again
				}
				require.True(t, s.task(1).OfferedTo(want))
				s.signal("accept", conversation.AcceptCommand{Agent: want})
			})
			s.step(func() {
				if test.transfer == conversation.TransferActive {
					require.Equal(t, conversation.TransferCompleted, s.transfer(0).Status)
					require.Equal(t, s.task(1).Agent, s.transfer(0).AcceptedBy)
				}
			})
			s.play()
		})
	}
}

func TestAFirstTaskThatWaitsTooLongClosesTheConversation(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.places = false
	s.after(24*time.Hour-time.Second, func() { require.Equal(t, conversation.TaskPending, s.task(0).Status) })
	summary := s.ended()
	require.Equal(t, conversation.ConversationClosed, summary.Status)
	require.Equal(t, conversation.TaskCanceled, s.task(0).Status)
	require.Equal(t, conversation.ReasonTaskTimeout, s.task(0).CanceledReason)
	require.Equal(t, startOfTest.Add(24*time.Hour), summary.ClosedAt.UTC())
}

func TestATransferThatWaitsTooLong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		to        conversation.Target
		settings  func(*conversation.Settings)
		bobIsAway bool
		wrappedUp bool
	}{
		{name: "in a queue, the sender still wraps up", to: toQueue("billing"), bobIsAway: true},
		{name: "in a queue, the sender has wrapped up", to: toQueue("billing"), bobIsAway: true, wrappedUp: true},
		{name: "offered in a queue, the sender still wraps up", to: toQueue("billing")},
		{name: "offered to an agent, the sender still wraps up", to: toAgent("bob")},
		{name: "offered to an agent, the sender has wrapped up", to: toAgent("bob"), wrappedUp: true},
		{
			name: "for an agent who is away", to: toAgent("bob"), bobIsAway: true,
			settings: func(s *conversation.Settings) { s.AgentUnavailable = conversation.AgentUnavailableWait },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			s.desk.agents["bob"] = !test.bobIsAway
			s.desk.settings.TaskTimeout, s.desk.settings.ReservationTimeout = 60, 3600
			if test.settings != nil {
				test.settings(&s.desk.settings)
			}
			s.aliceAccepts()
			s.transfers("alice", test.to)
			if test.wrappedUp {
				s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"}) })
				require.Equal(t, conversation.ConversationClosed, s.ended().Status)
			} else {
				s.after(59*time.Second, func() { require.True(t, s.task(1).Status.Waiting()) })
				s.after(2*time.Second, func() {
					require.Equal(t, conversation.TaskAssigned, s.task(0).Status, "the sender has the conversation again")
					require.Equal(t, conversation.ConversationActive, s.record().Status)
				})
				s.play()
			}
			require.Equal(t, conversation.TransferFailed, s.transfer(0).Status)
			require.Equal(t, conversation.ReasonTaskTimeout, s.transfer(0).FailureReason)
			require.Equal(t, conversation.TaskCanceled, s.task(1).Status)
			require.Equal(t, startOfTest.Add(62*time.Second), s.transfer(0).EndedAt.UTC())
		})
	}
}

func TestTheTimeATaskMayWaitCountsFromEnteringItsQueue(t *testing.T) {
	t.Parallel()
	t.Run("a move to another queue starts it anew", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.places, s.desk.settings.TaskTimeout = false, 60
		s.after(50*time.Second, func() { s.signal("move", conversation.MoveCommand{To: toQueue("billing")}) })
		s.after(50*time.Second, func() { require.Equal(t, conversation.TaskPending, s.task(0).Status) })
		require.Equal(t, startOfTest.Add(110*time.Second), s.ended().ClosedAt.UTC())
	})
	t.Run("a declined offer of the queue doesn't", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.settings.TaskTimeout, s.desk.settings.ReservationTimeout = 60, 3600
		s.after(50*time.Second, func() { s.signal("decline", conversation.DeclineCommand{Agent: "alice"}) })
		require.Equal(t, startOfTest.Add(60*time.Second), s.ended().ClosedAt.UTC())
		require.Equal(t, conversation.ReservationCanceled, s.task(0).Reservation.Status)
	})
}

func TestAWrapupCompletesItself(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.WrapupTimeout = 30
	s.aliceAccepts()
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "alice"}) })
	s.after(29*time.Second, func() { require.Equal(t, conversation.TaskWrapping, s.task(0).Status) })
	require.Equal(t, startOfTest.Add(32*time.Second), s.ended().ClosedAt.UTC())
	require.Equal(t, conversation.TaskCompleted, s.task(0).Status)
	require.Equal(t, conversation.DispositionTimeout, s.task(0).Disposition)
}

func TestWithoutAWrapupTimeoutAWrapupLastsUntilItIsCompleted(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "alice"}) })
	s.after(365*24*time.Hour, func() {
		require.Equal(t, conversation.TaskWrapping, s.task(0).Status)
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice", Disposition: "solved"})
	})
	s.ended()
	require.Equal(t, "solved", s.task(0).Disposition)
}

func TestASendersWrapupTimeStartsWhenTheirTransferHasEnded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		ends func(s *environment)
	}{
		{"accepted", func(s *environment) { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) }},
		{"failed, the customer has left", func(s *environment) { s.signal("close", conversation.CloseCommand{}) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			s.desk.settings.WrapupTimeout = 30
			s.aliceAccepts()
			s.transfers("alice", toAgent("bob"))
			s.after(98*time.Second, func() {
				require.Equal(t, conversation.TaskWrapping, s.task(0).Status, "her time hasn't started")
				test.ends(s)
			})
			s.after(29*time.Second, func() { require.Equal(t, conversation.TaskWrapping, s.task(0).Status) })
			if test.name == "accepted" {
				s.after(2*time.Second, func() { require.Equal(t, conversation.DispositionTimeout, s.task(0).Disposition) })
				s.play()
			} else {
				s.ended()
			}
			require.Equal(t, startOfTest.Add(130*time.Second), s.task(0).CompletedAt.UTC())
		})
	}
}

func TestASenderWhoGetsTheConversationBackHasNoWrapupTimeLeft(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.WrapupTimeout = 30
	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("cancel", conversation.CancelCommand{Agent: "alice"}) })
	s.after(time.Hour, func() { require.Equal(t, conversation.TaskAssigned, s.task(0).Status) })
	s.play()
}

func TestALaterCommandMovesTheDeadline(t *testing.T) {
	t.Parallel()
	t.Run("to a later time", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.after(100*time.Second, func() { s.signal("move", conversation.MoveCommand{To: toAgent("carol")}) })
		s.after(100*time.Second, func() {
			require.True(t, s.task(0).OfferedTo("carol"), "the first offer's timer has no say in the second's")
			require.Equal(t, startOfTest.Add(220*time.Second), s.task(0).Reservation.ExpiresAt.UTC())
		})
		s.after(21*time.Second, func() { require.True(t, s.task(0).OfferedTo("alice"), "the second offer has expired") })
		s.play()
	})
	t.Run("to an earlier time", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.settings.WrapupTimeout = 10
		s.aliceAccepts()
		s.transfers("alice", toAgent("bob"))
		s.step(func() { s.signal("move", conversation.MoveCommand{To: toQueue("billing")}) })
		s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
		s.after(11*time.Second, func() { require.Equal(t, conversation.DispositionTimeout, s.task(0).Disposition) })
		s.play()
	})
	t.Run("to none", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.aliceAccepts()
		var timers int
		s.step(func() { timers = len(s.timers) })
		s.after(48*time.Hour, func() {
			require.Equal(t, conversation.TaskAssigned, s.task(0).Status)
			require.Len(t, s.timers, timers, "nothing is pending, so nothing is timed")
		})
		s.play()
	})
}

func TestTwoDeadlinesOfOneMomentAreBothMet(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	// The offer and the task time out at the same time. The offer is handled first, and then no agent is left to
	// wait for.
	s.desk.settings.TaskTimeout, s.desk.settings.ReservationTimeout = 60, 60
	require.Equal(t, startOfTest.Add(60*time.Second), s.ended().ClosedAt.UTC())
	require.Equal(t, conversation.TaskCanceled, s.task(0).Status)
	require.True(t, slices.ContainsFunc(s.desk.events, func(e conversation.Event) bool {
		return e.Name == conversation.EventReservationTimeout && e.Agent == "alice"
	}))
}

func TestOneTimerRunsForTheEarliestDeadline(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.WrapupTimeout = 600
	s.aliceAccepts()
	s.transfers("alice", toQueue("billing"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.step(func() {
		// First the task's day in the queue, then the offer's two minutes. The same after the transfer. Then the
		// wrapup.
		require.Equal(t, []time.Duration{24 * time.Hour, 2 * time.Minute, 24 * time.Hour, 2 * time.Minute, 10 * time.Minute}, s.timers)
	})
	s.play()
	require.True(t, slices.Contains(s.timers, 100*time.Millisecond), "the run ended without a quiet moment")
}
