package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

func TestAClosedConversationEndsWithASummary(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.transfers("alice", toAgent("bob"))
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "bob"}) })
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "bob"}) })
	s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "bob"}) })
	s.step(func() {
		require.Equal(t, conversation.ConversationWrapping, s.record().Status, "alice wraps up still")
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
	})
	require.Equal(t, workflows.Summary{
		Conversation: testSID, Status: conversation.ConversationClosed, Tasks: 2, Transfers: 1,
		CreatedAt: startOfTest, ClosedAt: startOfTest.Add(6 * time.Second),
	}, s.ended())
	require.Equal(t, startOfTest.Add(6*time.Second), s.env.Now().UTC(), "with the desk's answer")
	require.NotContains(t, s.timers, quiet)
}

// closes ends a conversation. Its end, or its quiet moment, begins three seconds after the start.
func closes(s *environment) {
	s.aliceAccepts()
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "alice"}) })
	s.step(func() { s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"}) })
}

func TestWhatComesInTheQuietMomentIsAnswered(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	ofEarlierBuild(s)
	var answered *answer
	closes(s)
	s.whenQuiet = func() {
		answered = s.update("accept", conversation.AcceptCommand{Agent: "bob"})
		s.signal("accept", conversation.AcceptCommand{Agent: "bob"})
	}
	s.ended()
	answered.refused(conversation.CodeConversationClosed)
	require.Equal(t, conversation.CodeConversationClosed, s.lastRefusal().Code)
	require.Equal(t, startOfTest.Add(3*time.Second+quiet), s.env.Now().UTC())
}

func TestARunIsNotLeftInAWorkflowTaskThatHasBroughtSomething(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	ofEarlierBuild(s)
	closes(s)
	// It arrives together with the end of the quiet moment.
	s.whenQuiet = func() { s.slip("accept", conversation.AcceptCommand{Agent: "bob"}) }
	s.ended()
	require.Equal(t, conversation.CodeConversationClosed, s.lastRefusal().Code)
	require.Equal(t, startOfTest.Add(3*time.Second+2*quiet), s.env.Now().UTC(), "another quiet moment follows")
}

func TestACommandThatComesWithTheDesksLastAnswerIsAnswered(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	closes(s)
	s.desk.duringSync = func(snapshot conversation.Snapshot) {
		if snapshot.Status == conversation.ConversationClosed {
			s.slip("accept", conversation.AcceptCommand{Agent: "bob"})
		}
	}
	s.ended()
	require.Equal(t, conversation.CodeConversationClosed, s.lastRefusal().Code)
	require.Equal(t, startOfTest.Add(3*time.Second+quiet), s.env.Now().UTC(), "a quiet moment follows")
}

func TestAConversationDoesNotEndBeforeItsUpdatesAreAnswered(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	var closed, again *answer
	s.desk.places = false
	s.step(func() {
		closed = s.update("close", conversation.CloseCommand{})
		again = s.update("close", conversation.CloseCommand{})
	})
	require.Equal(t, conversation.ConversationClosed, s.ended().Status)
	closed.succeeded()
	again.succeeded()
	require.NotContains(t, s.timers, quiet)
}

func TestARunThatIsContinuedHasAQuietMoment(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.aliceAccepts()
	second := continues(t, first)
	require.Contains(t, first.timers, quiet)
	second.transfers("alice", toQueue("billing"))
	second.step(func() {
		require.Equal(t, []time.Duration{2 * time.Minute}, second.timers, "it has as few timers as the run before")
	})
	second.play()
	require.NotContains(t, second.timers, quiet)
}

func TestARunThatContinuesOneOfAnEarlierBuildHasItsTimers(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	ofEarlierBuild(first)
	first.aliceAccepts()
	second := continues(t, first)
	second.transfers("alice", toQueue("billing"))
	second.step(func() { require.Equal(t, []time.Duration{24 * time.Hour, 2 * time.Minute}, second.timers) })
	second.play()
	require.Contains(t, second.timers, quiet)
}

func TestAConversationDoesNotEndBeforeTheDeskKnows(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "alice"}) })
	s.step(func() {
		s.desk.syncsToFail = 11
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
	})
	s.after(time.Second, func() { require.Equal(t, conversation.ConversationClosed, s.record().Status) })
	s.ended() // this checks that the desk agrees
	require.Zero(t, s.desk.syncsToFail)
	require.True(t, s.env.Now().After(startOfTest.Add(8*time.Second)), "eleven tries take over five seconds")
}

func TestARequestToCancelTheWorkflowClosesTheConversation(t *testing.T) {
	t.Parallel()
	t.Run("while it waits", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.step(func() { s.env.CancelWorkflow() })
		summary := s.ended()
		require.Equal(t, conversation.ConversationClosed, summary.Status)
		require.Equal(t, conversation.TaskCanceled, s.task(0).Status)
		require.Equal(t, conversation.ReasonConversationClosed, s.task(0).CanceledReason)
	})
	t.Run("while an agent has it and a transfer is active", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.settings.WrapupTimeout = 600
		var answered *answer
		s.aliceAccepts()
		s.transfers("alice", toAgent("bob"))
		s.step(func() { s.env.CancelWorkflow() })
		s.step(func() {
			require.Equal(t, conversation.ConversationWrapping, s.record().Status)
			require.Equal(t, conversation.ReasonConversationClosed, s.transfer(0).FailureReason)
			require.Empty(t, s.desk.disagreements(s.record()), "the desk is synced as before")
			s.env.CancelWorkflow()
		})
		s.after(time.Minute, func() {
			require.Equal(t, conversation.TaskWrapping, s.task(0).Status, "her wrapup is hers, and its timer runs")
			answered = s.update("wrapup", conversation.WrapupCommand{Agent: "alice"})
		})
		require.Equal(t, conversation.ConversationClosed, s.ended().Status)
		answered.succeeded()
	})
	t.Run("while the desk is asked", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		var answered *answer
		s.aliceAccepts()
		s.step(func() {
			s.desk.whileAsked = func(conversation.FactsQuery) {
				s.desk.whileAsked = nil
				s.env.CancelWorkflow()
			}
			answered = s.update("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
		})
		s.step(func() {
			require.NotEmpty(t, answered.succeeded().Transfer.SID, "what runs is not cut off")
			require.Equal(t, conversation.ReasonConversationClosed, s.transfer(0).FailureReason)
			s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
		})
		s.ended()
	})
	t.Run("before the desk let it start", func(t *testing.T) {
		t.Parallel()
		s := newEnvironment(t)
		s.desk.queriesToFail = 6
		s.step(func() { s.env.CancelWorkflow() })
		require.Equal(t, conversation.ConversationClosed, s.ended().Status)
	})
}

func TestAStartThatIsRefusedFailsTheWorkflow(t *testing.T) {
	t.Parallel()
	start := func(change func(*conversation.StartCommand)) any {
		command := startCommand()
		change(&command)
		return command
	}
	for _, test := range []struct {
		name    string
		start   any
		id      string
		code    conversation.Code
		details conversation.Details
	}{
		{
			"an unknown queue", start(func(c *conversation.StartCommand) { c.Queue = "nowhere" }), "",
			conversation.CodeUnknownQueue,
			conversation.Details{Queue: "nowhere"},
		},
		{
			"an unknown channel", start(func(c *conversation.StartCommand) { c.Channel = "fax" }), "",
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "channel"},
		},
		{
			"without a queue", start(func(c *conversation.StartCommand) { c.Queue = "" }), "",
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "queue"},
		},
		{
			"another conversation's workflow ID", startCommand(), workflows.ID("CHffffffffffffffffffffffffffffffff"),
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "conversation"},
		},
		{
			"a workflow ID of its own making", startCommand(), "crystal",
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "conversation"},
		},
		{
			"without a conversation", start(func(c *conversation.StartCommand) { c.Conversation = "" }), "",
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "conversation"},
		},
		{
			"a conversation that is no SID", start(func(c *conversation.StartCommand) { c.Conversation = "CH17" }), workflows.ID("CH17"),
			conversation.CodeInvalidPayload,
			conversation.Details{Field: "conversation"},
		},
		{
			"an extra argument",
			rawArguments{rawJSON(jsonOf(startCommand())), rawJSON(`{"status":"closed"}`)},
			"",
			conversation.CodeInvalidPayload,
			conversation.Details{},
		},
		{
			"two extra arguments",
			rawArguments{rawJSON(jsonOf(startCommand())), rawJSON(`{}`), rawJSON(`{}`)},
			"",
			conversation.CodeInvalidPayload,
			conversation.Details{},
		},
		{"no argument", rawArguments{}, "", conversation.CodeInvalidPayload, conversation.Details{}},
		{"null", rawArguments{rawJSON("null")}, "", conversation.CodeInvalidPayload, conversation.Details{}},
		{"an array", rawArguments{rawJSON("[]")}, "", conversation.CodeInvalidPayload, conversation.Details{}},
		{"binary", rawArguments{rawBinary("web")}, "", conversation.CodeInvalidPayload, conversation.Details{}},
		{"a wrong type", rawArguments{rawJSON(`{"priority":"high"}`)}, "", conversation.CodeInvalidPayload, conversation.Details{Field: "priority"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			s.start = test.start
			if test.id != "" {
				s.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: test.id})
			}
			s.run()
			require.Equal(t, test.details, requireRefusal(t, s.env.GetWorkflowError(), test.code))
			require.Empty(t, s.desk.snapshots, "the desk hears nothing of it")
		})
	}
}

func TestWhatIsTheWorkersFaultFailsNoConversation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		spoil func(s *environment)
		says  string
	}{
		{"options without the interceptor", func(s *environment) { s.env.SetWorkerOptions(worker.Options{}) }, "codec.WorkerOptions"},
		{"a build that can't read the run before", func(s *environment) {
			s.start = rawArguments{rawJSON(jsonOf(startCommand())), rawJSON(`{"tasks":"of another build"}`)}
			s.env.SetContinuedExecutionRunID("the-run-before")
		}, "record"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newEnvironment(t)
			test.spoil(s)
			s.run()
			// A panic fails the workflow task, which is retried until another worker completes it.
			var panicked *temporal.PanicError
			require.ErrorAs(t, s.env.GetWorkflowError(), &panicked, "the workflow failed")
			require.ErrorContains(t, panicked, test.says)
		})
	}
}

func TestWhoWaitsForAStartThatIsRefusedIsAnswered(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	start := startCommand()
	start.Queue = "nowhere"
	s.start = start
	s.desk.queriesToFail = 3
	var accept, closing *answer
	s.step(func() {
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"})
		accept = s.update("accept", conversation.AcceptCommand{Agent: "alice"})
		closing = s.update("close", conversation.CloseCommand{})
	})
	s.run()
	requireRefusal(t, s.env.GetWorkflowError(), conversation.CodeUnknownQueue)
	accept.refused(conversation.CodeUnknownQueue)
	closing.refused(conversation.CodeUnknownQueue)
}

// continues plays a story until its run continues as a new one. It returns the new run, which has the same desk and
// the pending batch of the story.
func continues(t *testing.T, s *environment) *environment {
	t.Helper()
	s.step(func() { s.env.SetContinueAsNewSuggested(true) })
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "unknown"}) }) // a workflow task that reads the suggestion
	s.run()
	require.Empty(t, s.desk.disagreements(s.record()), "the desk had everything")
	return next(t, s)
}

// next returns the environment of the run that continues this one.
func next(t *testing.T, s *environment) *environment {
	t.Helper()
	var asNew *workflow.ContinueAsNewError
	require.ErrorAs(t, s.env.GetWorkflowError(), &asNew)
	require.Equal(t, workflows.Type, asNew.WorkflowType.Name)
	next := newEnvironment(t)
	next.desk.settings, next.desk.places = s.desk.settings, s.desk.places
	next.desk.revision, next.desk.status = s.desk.revision, s.desk.status
	next.desk.tasks, next.desk.transfers, next.desk.events = s.desk.tasks, s.desk.transfers, s.desk.events
	next.start = rawArguments(asNew.Input.GetPayloads())
	next.env.SetContinuedExecutionRunID("the-run-before")
	next.env.SetStartTime(s.env.Now())
	return next
}

func TestAContinuedRunIsTheSameConversation(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.aliceAccepts()
	first.transfers("alice", toAgent("bob"))
	second := continues(t, first)
	before := first.record()
	second.step(func() {
		require.Equal(t, jsonOf(before), jsonOf(second.record()), "state, refusals and all")
		require.Empty(t, second.desk.queries, "it is not started again")
		require.Empty(t, second.desk.snapshots, "and there is nothing to tell the desk")
		second.signal("accept", conversation.AcceptCommand{Agent: "bob"})
	})
	second.step(func() {
		require.Equal(t, "bob", second.transfer(0).AcceptedBy)
		require.Equal(t, before.Revision+1, second.record().Revision)
		second.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
	})
	second.transfers("bob", toAgent("alice"))
	second.step(func() {
		tasks := map[string]bool{}
		for _, task := range second.record().Tasks {
			tasks[task.SID] = true
		}
		require.Len(t, tasks, 3, "SIDs go on where the run before left off")
		require.True(t, second.task(2).OfferedTo("alice"))
		second.signal("accept", conversation.AcceptCommand{Agent: "alice"})
	})
	second.play() // the events continue without a gap
}

func TestARunIsContinuedWhereCommandsNeverCease(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() { s.env.SetContinueAsNewSuggested(true) })
	disturbed := 0
	var disturb func()
	disturb = func() { // together with the end of every quiet moment
		s.whenQuiet = disturb
		disturbed++
		s.tasks += 99
		s.slip("accept", conversation.AcceptCommand{Agent: "alice"})
	}
	s.whenQuiet = disturb
	s.step(func() { s.signal("accept", conversation.AcceptCommand{Agent: "alice"}) })
	s.run()
	var asNew *workflow.ContinueAsNewError
	require.ErrorAs(t, s.env.GetWorkflowError(), &asNew)
	require.Equal(t, 3, disturbed, "until its history has grown by 300 events")
}

// The next run sends the desk what this run could not.
func TestARunThatGrowsIsContinuedWhileTheDeskIsAway(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	all := upserts(first)
	first.aliceAccepts()
	first.step(func() {
		first.desk.syncsToFail = 1000
		first.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob"), Note: "sent by the next run"})
	})
	first.step(func() { first.env.SetContinueAsNewSuggested(true) })
	first.step(func() { first.signal("accept", conversation.AcceptCommand{Agent: "nobody"}) })
	first.step(func() {
		first.tasks += 300
		first.signal("accept", conversation.AcceptCommand{Agent: "nobody"})
	})
	first.step(func() { first.signal("accept", conversation.AcceptCommand{Agent: "nobody"}) })
	first.run()
	require.NotEmpty(t, first.desk.disagreements(first.record()))
	wrapping, _ := (*all)[len(*all)-1].GetKeywordList(workflows.SearchWrapping)
	require.Equal(t, []string{"alice"}, wrapping, "who searches finds it all the same")
	second := next(t, first)
	second.step(func() {
		require.Empty(t, second.desk.disagreements(second.record()))
		require.Equal(t, "sent by the next run", second.desk.left[0].Text)
	})
	second.play()
}

func TestADeadlineOutlivesItsRun(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.aliceAccepts()
	first.transfers("alice", toAgent("bob"))
	second := continues(t, first)
	expires := first.task(1).Reservation.ExpiresAt
	second.after(expires.Sub(first.env.Now())-time.Second, func() { require.True(t, second.task(1).OfferedTo("bob")) })
	second.after(2*time.Second, func() {
		require.True(t, second.task(1).OfferedTo("dave"))
		require.Equal(t, expires.UTC(), second.task(1).Reservation.CreatedAt.UTC())
	})
	second.play()
}

func TestADeadlineThatPassedBetweenTwoRunsIsMetAtOnce(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.aliceAccepts()
	first.transfers("alice", toAgent("bob"))
	second := continues(t, first)
	second.env.SetStartTime(first.env.Now().Add(time.Hour))
	second.step(func() { require.True(t, second.task(1).OfferedTo("dave")) })
	second.play()
}

func TestAContinuedRunRemembersCommands(t *testing.T) {
	t.Parallel()
	transfer := conversation.TransferCommand{From: "alice", To: toAgent("bob"), Meta: conversation.Meta{CommandID: "in-the-payload"}}
	first := newEnvironment(t)
	var accepted, transferred *answer
	first.step(func() {
		accepted = first.updateWithID("of-the-update", "accept", conversation.AcceptCommand{Agent: "alice"})
	})
	first.step(func() { transferred = first.update("transfer", transfer) })
	first.step(func() { first.signal("decline", conversation.DeclineCommand{Agent: "bob"}) })
	second := continues(t, first)
	var acceptAgain, transferAgain, another *answer
	second.step(func() {
		// The server knows updates by their ID within one run only.
		acceptAgain = second.updateWithID("of-the-update", "accept", conversation.AcceptCommand{Agent: "alice"})
		transferAgain = second.update("transfer", transfer)
		changed := transfer
		changed.To = toQueue("billing")
		another = second.update("transfer", changed)
	})
	second.step(func() {
		require.Equal(t, accepted.succeeded().Task.SID, acceptAgain.succeeded().Task.SID)
		require.Equal(t, transferred.succeeded().Transfer.SID, transferAgain.succeeded().Transfer.SID)
		require.Equal(t, "command_id", another.refused(conversation.CodeInvalidPayload).Field)
		before := first.record()
		require.Equal(t, before.Revision, second.record().Revision, "nothing was done twice")
		require.Empty(t, second.desk.queries)
	})
	second.play()
}

func TestAHundredCommandsAreRemembered(t *testing.T) {
	t.Parallel()
	first := newEnvironment(t)
	first.desk.places = false
	move := func(i int) conversation.MoveCommand {
		to := toQueue("billing")
		if i%2 == 1 {
			to = toQueue("support")
		}
		return conversation.MoveCommand{To: to, Meta: conversation.Meta{CommandID: fmt.Sprintf("move %d", i)}}
	}
	for i := range 120 {
		first.step(func() { first.signal("move", move(i)) })
	}
	second := continues(t, first)
	var oldest, forgotten *answer
	second.step(func() { oldest = second.update("move", move(20)) })
	second.step(func() {
		oldest.succeeded()
		require.Equal(t, first.record().Revision, second.record().Revision)
		require.Len(t, second.record().Remembered, 100)
		forgotten = second.update("move", move(18))
	})
	second.step(func() {
		forgotten.succeeded()
		require.Equal(t, first.record().Revision+1, second.record().Revision)
	})
	second.play()
}

func TestARunIsContinuedOnlyWhenTheDeskKnowsEverything(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() {
		s.env.SetContinueAsNewSuggested(true)
		s.desk.syncsToFail = 6
		s.signal("transfer", conversation.TransferCommand{From: "alice", To: toAgent("bob")})
	})
	s.after(5*time.Second, func() { require.Equal(t, conversation.TransferActive, s.transfer(0).Status) })
	s.run()
	var asNew *workflow.ContinueAsNewError
	require.ErrorAs(t, s.env.GetWorkflowError(), &asNew)
	require.Empty(t, s.desk.disagreements(s.record()))
}

func TestAClosedConversationIsNotContinued(t *testing.T) {
	t.Parallel()
	s := newEnvironment(t)
	s.aliceAccepts()
	s.step(func() { s.signal("end", conversation.EndCommand{Agent: "alice"}) })
	s.step(func() {
		s.signal("wrapup", conversation.WrapupCommand{Agent: "alice"})
		s.env.SetContinueAsNewSuggested(true)
	})
	require.Equal(t, conversation.ConversationClosed, s.ended().Status)
}
