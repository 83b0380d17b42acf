package workflows_test

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

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
		// The two minutes of each offer, and the wrapup. The desk matches each task at once, so that the task's day
		// in the queue needs no timer.
		require.Equal(t, []time.Duration{2 * time.Minute, 2 * time.Minute, 10 * time.Minute}, s.timers)
	})
	s.play()
	require.NotContains(t, s.timers, quiet, "the run ended with a quiet moment")
}

func TestARunThatBeganWithMoreTimersGoesOnWithThem(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	ofEarlierBuild(s)
	s.desk.settings.WrapupTimeout = 600
	s.aliceAccepts()
	s.transfers("alice", toQueue("billing"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.step(func() {
		require.Equal(t, []time.Duration{24 * time.Hour, 2 * time.Minute, 24 * time.Hour, 2 * time.Minute, 10 * time.Minute}, s.timers)
	})
	s.play()
	require.Contains(t, s.timers, quiet, "the run ended without a quiet moment")
}

// ofEarlierBuild makes the run one that an earlier build began, which starts a timer for every pending task and has
// a quiet moment before its end.
func ofEarlierBuild(s *environment) {
	s.env.OnGetVersion("fewer-timers", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
}

func TestATaskIsTimedFromTheDesksFirstAnswerOn(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, test := range []struct {
		name   string
		set    func(s *environment)
		timers []time.Duration
	}{
		{"matched with the answer", func(*environment) {}, []time.Duration{2 * time.Minute}},
		{"not matched", func(s *environment) { s.desk.places = false }, []time.Duration{day}},
		{"matched with the answer, and the task times out before the offer", func(s *environment) {
			s.desk.settings.TaskTimeout = 60
		}, []time.Duration{time.Minute}},
		{"the time is so short that the answer might be too late", func(s *environment) {
			s.desk.places, s.desk.settings.TaskTimeout = false, 10
		}, []time.Duration{10 * time.Second}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			test.set(s)
			s.step(func() { require.Equal(t, test.timers, s.timers) })
			s.play()
		})
	}
}

func TestATaskTimesOutThatTheDeskNeverAcknowledges(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int{1, 4, 5, 6, 9, 10, 11, 14, 60, 3600} {
		t.Run(strconv.Itoa(seconds), func(t *testing.T) {
			t.Parallel()
			timeout := time.Duration(seconds) * time.Second
			s := newEnvironment(t)
			s.desk.settings.TaskTimeout, s.desk.syncsToFail = seconds, 1<<30
			s.after(timeout-time.Millisecond, func() { require.Equal(t, conversation.TaskPending, s.task(0).Status) })
			s.after(2*time.Millisecond, func() {
				require.Equal(t, conversation.ReasonTaskTimeout, s.task(0).CanceledReason)
				require.Equal(t, startOfTest.Add(timeout), s.task(0).CanceledAt.UTC())
				s.desk.failSyncs(0)
			})
			s.ended() // this checks that the desk agrees
		})
	}
}

func TestATransferTimesOutThatTheDeskNeverAcknowledges(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.desk.settings.TaskTimeout = 60
	s.aliceAccepts()
	s.step(func() {
		s.desk.failSyncs(1 << 30)
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toQueue("billing")})
	})
	s.after(59*time.Second, func() { require.Equal(t, conversation.TaskPending, s.task(1).Status) })
	s.after(2*time.Second, func() {
		require.Equal(t, conversation.ReasonTaskTimeout, s.transfer(0).FailureReason)
		require.Equal(t, startOfTest.Add(62*time.Second), s.transfer(0).EndedAt.UTC())
		s.desk.failSyncs(0)
	})
	s.play()
}

// TestNoDeadlinePassesUnnoticed plays conversations whose desk comes and goes, and whose commands follow each other
// at any pace. Every deadline is met in time.
func TestNoDeadlinePassesUnnoticed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		s := newEnvironment(t)
		s.desk.overtaken = true // snapshots of a conversation that changes while the desk is away arrive late
		s.desk.places = rapid.Bool().Draw(r, "the desk matches")
		s.desk.settings.TaskTimeout = rapid.IntRange(1, 30).Draw(r, "task timeout")
		s.desk.settings.ReservationTimeout = rapid.IntRange(1, 30).Draw(r, "reservation timeout")
		s.desk.settings.WrapupTimeout = rapid.IntRange(0, 30).Draw(r, "wrapup timeout")
		s.desk.syncsToFail = rapid.SampledFrom([]int{0, 0, 1, 1 << 30}).Draw(r, "syncs to fail")
		inTime := func() {
			record := s.record()
			if deadline, ok := record.Deadline(); ok {
				require.False(t, deadline.At.Before(s.env.Now()), "%s of %s, now %s", deadline.Kind, deadline.At, s.env.Now())
			}
		}
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			pause := time.Duration(rapid.IntRange(1, 8000).Draw(r, "pause")) * time.Millisecond
			command := rapid.SampledFrom([]string{"", "accept", "move", "decline", "transfer", "reserve"}).Draw(r, "command")
			fail := rapid.SampledFrom([]int{0, 0, 1, 3, 1 << 30}).Draw(r, "then fail")
			s.after(pause, func() {
				if s.env.IsWorkflowCompleted() || len(s.record().Tasks) == 0 {
					return
				}
				inTime()
				s.desk.failSyncs(fail)
				s.sends(command)
			})
		}
		s.after(time.Minute, func() {
			if !s.env.IsWorkflowCompleted() {
				inTime()
				s.desk.failSyncs(0)
			}
		})
		s.step(func() { s.signal("close", conversation.CloseCommand{}) })
		s.step(func() {
			record := s.record()
			for _, task := range record.LiveTasks() {
				s.signal("wrapup", conversation.WrapupCommand{Agent: task.Agent})
			}
		})
		s.run()
		require.NoError(t, s.env.GetWorkflowError())
	})
}

// sends signals a command that fits the last task's agent, and may be refused.
func (s *environment) sends(command string) {
	record := s.record()
	task := record.Tasks[len(record.Tasks)-1]
	switch command {
	case "accept":
		s.signal(command, conversation.AcceptCommand{Agent: task.Agent})
	case "decline":
		s.signal(command, conversation.DeclineCommand{Agent: task.Agent})
	case "move":
		s.signal(command, conversation.MoveCommand{To: toQueue("billing")})
	case "transfer":
		s.signal(command, conversation.TransferCommand{From: task.Agent, To: toQueue("support")})
	case "reserve":
		s.signal(command, conversation.ReserveCommand{Task: task.SID, Agent: "dave", PendingSeq: task.PendingSeq})
	}
}
