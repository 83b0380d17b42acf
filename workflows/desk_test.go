package workflows_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/conversation"
)

func TestWithoutAVerdictNothingIsDecided(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		prepare func(s *scene)
		payload any
	}{
		{"transfer", (*scene).aliceAccepts, conversation.TransferCommand{From: "alice", To: toAgent("bob")}},
		{"move", func(*scene) {}, conversation.MoveCommand{To: toQueue("billing")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			test.prepare(s)
			var (
				before      conversation.Record
				asked, told int
				answered    *answer
			)
			s.step(func() {
				before, asked, told = s.record(), len(s.desk.questions), len(s.desk.pictures)
				s.desk.verdictsToFail = 6
				answered = s.update(test.name, test.payload)
			})
			s.after(3*time.Second, func() {
				answered.refused(conversation.CodeDeskUnavailable)
				require.Len(t, s.desk.questions, asked+3, "the desk is asked three times")
				s.signal(test.name, test.payload)
			})
			s.after(3*time.Second, func() {
				require.Equal(t, conversation.CodeDeskUnavailable, s.lastRefusal().Code)
				after := s.record()
				require.Equal(t, jsonOf(before.State), jsonOf(after.State))
				require.Len(t, s.desk.pictures, told)
				answered = s.update(test.name, test.payload)
			})
			s.step(func() { answered.succeeded() })
			s.play()
		})
	}
}

func TestADeskThatAnswersAtTheThirdTryIsEnough(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var answered *answer
	s.aliceAccepts()
	s.step(func() {
		s.desk.verdictsToFail = 2
		answered = s.update("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.after(3*time.Second, func() { answered.succeeded() })
	s.play()
}

func TestAStartKeepsAskingWhileTheDeskIsAway(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.desk.verdictsToFail = 12 // four calls with three attempts each
	var accept *answer
	s.step(func() {
		require.Empty(t, s.record().Status)
		// Commands that arrive meanwhile wait, in order of arrival.
		s.signal("move", conversation.MoveCommand{To: toAgent("carol")})
	})
	s.step(func() { accept = s.update("accept", conversation.AcceptCommand{Agent: "carol"}) })
	s.step(func() { require.True(t, accept.accepted) })
	s.after(25*time.Second, func() {
		require.Equal(t, "carol", accept.succeeded().Task.Agent)
		require.Len(t, s.desk.questions, 12+2, "the fifth time's answer, and the move's")
		require.Equal(t, conversation.ConversationActive, s.record().Status)
	})
	s.play()
}

func TestWhileTheDeskIsAwayCommandsGoOnBeingDecided(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// The suite stops retrying after ten attempts, unlike a server. More failures stand for an operator who
		// fails the activity.
		fails, loses int
		back         time.Duration
	}{
		{"for a moment", 12, 0, 20 * time.Second},
		{"for so long that the activity is failed", 30, 0, 100 * time.Second},
		{"its answer is lost", 0, 3, 20 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var (
				told    int
				answers []*answer
			)
			s.aliceAccepts()
			s.step(func() {
				told = len(s.desk.pictures)
				s.desk.picturesToFail, s.desk.answersToLose = test.fails, test.loses
				answers = append(answers, s.update("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "knows the order"}))
			})
			s.step(func() { answers = append(answers, s.update("accept", conversation.AcceptCommand{Agent: "bob"})) })
			s.step(func() {
				answers = append(answers, s.update("wrapup", conversation.WrapupCommand{Agent: "alice", Disposition: "passed on"}))
			})
			s.step(func() {
				answers = append(answers, s.update("transfer", conversation.TransferCommand{From: "bob", To: toAgent("carol")}))
			})
			s.step(func() {
				for _, answered := range answers {
					answered.succeeded()
				}
				if test.fails > 0 {
					require.Len(t, s.desk.pictures, told, "the desk knows nothing of all this")
				}
			})
			s.after(test.back, func() {
				require.Zero(t, s.desk.picturesToFail)
				require.Empty(t, s.desk.disagreements(s.record()), "back again it gets everything, ended tasks included")
				require.Equal(t, conversation.TaskCompleted, s.task(0).Status)
				if test.fails > 0 {
					require.LessOrEqual(t, len(s.desk.pictures), told+2, "and in few words")
				}
			})
			s.play()
		})
	}
}

// A desk that answers queries but takes no snapshots: the pending batch must not outgrow what the server accepts.
func TestADeskTooFarBehindIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		note, by   string
		attributes string
		back       int // after how many tenths of a second of waiting the desk takes snapshots
	}{
		{name: "in vain", note: strings.Repeat("é", 500), back: 80},
		{name: "in vain, with much in each message", note: strings.Repeat("<", 2000), by: strings.Repeat("Ж", 255), back: 80},
		{name: "in vain, with big attributes", note: strings.Repeat("é", 200), attributes: strings.Repeat("&", 600), back: 80},
		{name: "until it catches up", note: strings.Repeat("é", 500), back: 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			start := startCommand()
			start.Attributes["html"] = json.RawMessage(`"` + test.attributes + `"`)
			s.start = start
			var (
				transfer *answer
				full     conversation.Record
			)
			from, receiver, transfers, waited := "alice", "bob", 0, 0
			by := conversation.Meta{By: test.by}
			passOn := func() {
				transfer = s.update("transfer", conversation.TransferCommand{From: from, To: toAgent(receiver), Note: test.note, Meta: by})
				s.signal("wrapup", conversation.WrapupCommand{Agent: from, Disposition: test.by, Note: test.note, Meta: by})
				s.signal("accept", conversation.AcceptCommand{Agent: receiver, Meta: by})
			}
			s.aliceAccepts()
			s.step(func() { s.desk.failPictures(1_000_000) })
			for range 300 {
				s.after(100*time.Millisecond, func() {
					switch {
					case transfer == nil:
					case !transfer.done:
						waited++
						if waited == test.back {
							s.desk.failPictures(0)
						}
						return
					case transfer.err != nil || waited > 0:
						return
					default:
						transfers++
						from, receiver = receiver, from
					}
					passOn()
				})
			}
			s.step(func() { require.Positive(t, waited, "after %d transfers", transfers) })
			if test.back < 50 {
				s.step(func() { transfer.succeeded() })
				s.play()
				return
			}
			s.step(func() {
				transfer.refused(conversation.CodeDeskUnavailable)
				require.Greater(t, transfers, 25)
				require.Equal(t, 50, waited, "five seconds, and then it is refused")
				full = s.record()
				transfer = s.update("transfer", conversation.TransferCommand{From: from, To: toAgent(receiver)})
			})
			s.step(func() {
				transfer.refused(conversation.CodeDeskUnavailable) // at once, without waiting again
				s.desk.failPictures(0)
			})
			s.after(6*time.Second, func() {
				transfer = s.update("transfer", conversation.TransferCommand{From: from, To: toAgent(receiver)})
			})
			s.step(func() {
				transfer.succeeded()
				require.Empty(t, s.desk.disagreements(s.record()), "nothing was lost")
				pictures, tasks := s.desk.told()
				for _, snapshot := range pictures {
					require.Less(t, len(jsonOf(snapshot)), 2<<20, "what the server takes")
				}
				untold := slices.MaxFunc(pictures, func(a, b conversation.Snapshot) int { return len(a.Events) - len(b.Events) })
				require.Less(t, len(jsonOf(full))+len(jsonOf(untold.Events))+len(jsonOf(untold.Notes)), 2<<20, "so that the run could be continued")
				for sid, task := range tasks {
					require.NotEmpty(t, task.Attributes, "the desk had %s before it was forgotten", sid)
				}
			})
			s.play()
		})
	}
}

func TestACallThatIsGivenUpIsMadeAgainAfterAPause(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var calls []time.Time
	s.env.OnActivity("SyncTasks", mock.Anything, mock.Anything).Return(
		func(ctx context.Context, showing activities.SyncRequest) (conversation.Acknowledgement, error) {
			calls = append(calls, s.env.Now())
			if len(calls) <= 4 {
				return conversation.Acknowledgement{}, temporal.NewNonRetryableApplicationError("given up by an operator", "", nil)
			}
			return s.desk.Sync(ctx, showing.Snapshot)
		})
	s.aliceAccepts()
	s.after(time.Hour, func() {
		require.GreaterOrEqual(t, len(calls), 5)
		for i := 1; i < 4; i++ { // the second call is the first without a time limit
			require.GreaterOrEqual(t, calls[i+1].Sub(calls[i]), time.Second, "calls without a pause fill the history")
		}
		require.Empty(t, s.desk.disagreements(s.record()))
	})
	s.play()
}

func TestWhatChangesWhileTheDeskIsToldGoesWithTheNextCall(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var told int
	s.aliceAccepts()
	s.step(func() {
		told = len(s.desk.pictures)
		s.desk.whileTold = func(conversation.Snapshot) {
			s.desk.whileTold = nil
			s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
			s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
			s.signal("transfer", conversation.TransferCommand{From: "bob", To: toAgent("carol")})
			s.signal("accept", conversation.AcceptCommand{Agent: "carol"})
		}
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.step(func() {
		require.Equal(t, "carol", s.task(2).Agent)
		require.Equal(t, conversation.TaskAssigned, s.task(2).Status)
		require.Less(t, len(s.desk.pictures)-told, 5, "five commands in fewer calls")
		require.Empty(t, s.desk.disagreements(s.record()))
	})
	s.play()
}

// A conversation that keeps changing is synced once a second. One that changes rarely is synced at once.
func TestADeskMayRestWhileAConversationKeepsChanging(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.aliceAccepts()
	told := func(what string, rests ...float64) { require.Equal(t, rests, s.granted(), what) }
	s.after(2*time.Second, func() {
		told("the start, the offer in a row with it, and the accept", 0, 1, 0)
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.after(100*time.Millisecond, func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.after(2*time.Second, func() {
		told("two commands in a row", 0, 1)
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
	})
	s.after(100*time.Millisecond, func() { s.signal("close", conversation.CloseCommand{}) })
	s.after(100*time.Millisecond, func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "bob"}) })
	s.ended()
	told("nothing changes after the end", 0, 1, 0)
}

// whileTheDeskRests makes carol, who has the conversation, do something while the desk delays its answer for most
// of a second.
func whileTheDeskRests(t *testing.T, then func(*scene)) *scene {
	t.Helper()
	s := newScene(t)
	s.deskRests, s.desk.overtaken = true, true
	s.aliceAccepts()
	s.after(100*time.Millisecond, func() { s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("carol")}) })
	s.after(100*time.Millisecond, func() { s.signal("accept", conversation.AcceptCommand{Agent: "carol"}) })
	s.after(100*time.Millisecond, func() {
		rests := s.granted()
		require.InDelta(t, 1, rests[len(rests)-1], 0)
		then(s)
	})
	return s
}

func TestWhoWaitsForAnAgentDoesNotWaitForTheDesksRest(t *testing.T) {
	t.Parallel()
	s := whileTheDeskRests(t, func(s *scene) {
		s.signal("transfer", conversation.TransferCommand{From: "carol", To: toQueue("billing")})
	})
	s.after(600*time.Millisecond, func() { require.True(t, s.task(2).OfferedTo("bob")) })
	s.play()
}

func TestWhoIsOfferedSomethingDoesNotWaitForTheDesksRest(t *testing.T) {
	t.Parallel()
	s := whileTheDeskRests(t, func(s *scene) {
		s.signal("transfer", conversation.TransferCommand{From: "carol", To: toAgent("bob")})
	})
	s.after(100*time.Millisecond, func() {
		last := s.desk.shown()
		require.Equal(t, "bob", last.Tasks[len(last.Tasks)-1].Reservation.Agent, "the desk shows it to bob")
	})
	s.play()
}

// A program that sends commands without a pause answers its own offers, and would wait for the desk.
func TestWhatIsOfferedInARowWaitsForTheDesksRest(t *testing.T) {
	t.Parallel()
	shown := func(s *scene) string {
		last := s.desk.shown()
		return last.Tasks[len(last.Tasks)-1].Agent
	}
	s := whileTheDeskRests(t, func(s *scene) {
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
		s.signal("transfer", conversation.TransferCommand{From: "carol", To: toAgent("bob")})
	})
	s.after(100*time.Millisecond, func() { require.Equal(t, "carol", shown(s), "the desk rests") })
	s.after(time.Second, func() { require.Equal(t, "bob", shown(s)) })
	s.play()
}

func TestTheActivityIsNamedAfterWhatItBrings(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.step(func() {
		require.Equal(t, []string{
			"CreateTask", // waits in support
			"SyncTasks",  // offered to alice
			"SyncTasks",  // accepted
			"CreateTask", // transferred, offered to bob
			"SyncTasks",  // accepted
		}, s.desk.calls)
	})
	s.play()
}

func TestAMatchThatComesTooLateIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		match func(s *scene) conversation.ReserveCommand
		told  int
	}{
		{"of an earlier placement", func(s *scene) conversation.ReserveCommand {
			return conversation.ReserveCommand{Task: s.task(0).SID, Agent: "dave", PendingSeq: s.task(0).PendingSeq}
		}, 1},
		{"of a task that this conversation doesn't have", func(*scene) conversation.ReserveCommand {
			return conversation.ReserveCommand{Task: "WT0123456789abcdef0123456789abcdef", Agent: "dave", PendingSeq: 1}
		}, 1},
		{"sent again after it was taken", func(s *scene) conversation.ReserveCommand {
			return conversation.ReserveCommand{
				Task: s.task(0).SID, Agent: "alice", PendingSeq: s.task(0).PendingSeq, Reservation: s.task(0).Reservation.SID,
			}
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			var (
				before conversation.Record
				told   int
			)
			s.aliceAccepts()
			s.step(func() {
				before, told = s.record(), len(s.desk.pictures)
				s.signal("reserve", test.match(s))
			})
			s.step(func() {
				require.Equal(t, jsonOf(before), jsonOf(s.record()), "it changes nothing and is no refusal")
				require.Len(t, s.desk.pictures, told+test.told)
				if test.told > 0 {
					last := s.desk.pictures[told]
					require.Equal(t, before.Revision, last.Revision)
					require.Empty(t, last.Events)
				}
			})
			s.play()
		})
	}
}

func TestAMatchOfATaskThatWasMovedMeanwhileIsGivenBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.desk.whileTold = func(conversation.Snapshot) {
		s.desk.whileTold = nil
		// The desk matches the task with alice while a supervisor moves it.
		s.signal("move", conversation.MoveCommand{To: toQueue("billing")})
	}
	s.step(func() {
		require.True(t, s.task(0).OfferedTo("bob"))
		require.False(t, slices.ContainsFunc(s.desk.events, func(e conversation.Event) bool { return e.Agent == "alice" }))
		require.Empty(t, s.record().Refusals)
	})
	s.play()
}

func TestTheDesksReservationKeepsItsSID(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.step(func() {
		task := s.task(0)
		require.Equal(t, reservationSID(task.SID, task.PendingSeq), task.Reservation.SID)
	})
	s.play()
}

func TestTheDeskIsAskedOnlyWhatItHasToAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("decline", conversation.DeclineCommand{Agent: "bob"}) })
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "dave"}) })
	s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"}) })
	s.step(func() { s.signal("transfer", conversation.TransferCommand{From: "nobody", To: toAgent("bob")}) })
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "dave"}) })
	s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "dave"}) })
	s.ended()
	require.Equal(t, []conversation.FactsQuery{
		{Conversation: testSID, Command: conversation.CommandStart, Queue: "support"},
		{Conversation: testSID, Command: conversation.CommandTransfer, Agent: "bob"},
	}, s.desk.questions, "what the state refuses by itself is no question")
}
