package workflows_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/workflows"
)

// The histories in testdata are recorded by
//
//	go test ./workflows -run TestEveryScenarioHasItsHistories -record
//
// which plays the scenarios (scenarios_test.go) that have no history yet, on a real dev server with a real desk. An
// existing history never changes and replays for ever: it represents the conversations that run on an earlier
// build.
var (
	recording = flag.Bool("record", false, "record the histories that are missing")
	only      = flag.String("record.only", "", "record only the scenarios whose name matches this regular expression")
	overwrite = flag.Bool("record.overwrite", false, "record those as well that are there; only before a first release")
)

// A history must not reveal the machine on which it was recorded.
const (
	workerIdentity = "baton-worker"
	senderIdentity = "baton-service"
)

//nolint:paralleltest // it may write files, and timeouts of a second are not for a busy machine
func TestEveryScenarioHasItsHistories(t *testing.T) {
	if *recording {
		recordScenarios(t)
	}
	have := recordedHistories(t)
	for _, s := range scenarios {
		for _, name := range s.histories() {
			require.Contains(t, have, name, "record it: run this test with -record")
		}
	}
	require.Empty(t, codesWithoutScenario())
}

// recordScenarios records the wanted scenarios that have no history yet.
func recordScenarios(t *testing.T) {
	t.Helper()
	wanted := regexp.MustCompile(*only)
	program, err := devserver.Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	servers := map[int]*devserver.Server{}
	for _, s := range scenarios {
		have := recordedHistories(t)
		missing := slices.ContainsFunc(s.histories(), func(name string) bool { return !slices.Contains(have, name) })
		if !wanted.MatchString(s.name) || (!missing && !*overwrite) {
			continue
		}
		server := servers[s.continueAfter]
		if server == nil {
			server = startServer(t, program, s.continueAfter)
			servers[s.continueAfter] = server
		}
		t.Run(s.name, func(t *testing.T) { record(t, server, s) })
	}
}

// startServer starts a dev server that suggests to continue runs as new after that many events, or after its
// default number if zero.
func startServer(t *testing.T, program string, continueAfter int) *devserver.Server {
	t.Helper()
	options := devserver.Options{Binary: program, SearchAttributes: workflows.SearchAttributes(), LogWriter: os.Stderr}
	if continueAfter > 0 {
		options.DynamicConfig = map[string]any{"limit.historyCount.suggestContinueAsNew": continueAfter}
	}
	server, err := devserver.Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	return server
}

// realEnvironment is the environment of a scenario: a conversation on a real server with a real desk.
type realEnvironment struct {
	*testing.T
	temporal client.Client
	baton    *baton.Client
	desk     *desk.Desk
	sid      string
	// away makes the desk's answers to queries or its syncs fail, or its syncs last until their caller gives up.
	away struct{ queries, syncs, silent atomic.Bool }
	// queries counts the queries to the desk.
	queries atomic.Int64
}

// record plays the scenario on a new environment, and writes the history of each of its runs.
func record(t *testing.T, server *devserver.Server, s scenario) {
	t.Helper()
	st := newRealEnvironment(t, server, s.name)
	s.play(st)
	names := s.histories()
	runs := st.runs()
	require.GreaterOrEqual(t, len(runs), len(names), "the scenario has fewer runs than it should leave histories of")
	for i, name := range names {
		writeHistory(t, name, runs[i], *overwrite)
	}
}

func newRealEnvironment(t *testing.T, server *devserver.Server, name string) *realEnvironment {
	t.Helper()
	st := &realEnvironment{T: t, sid: conversation.SIDOf(conversation.PrefixConversation, uuid.NewSHA1(uuid.Nil, []byte(name)))}
	st.temporal = dial(t, server, senderIdentity)
	st.baton = baton.NewClient(st.temporal)

	var err error
	st.desk, err = desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.desk.Close()) })
	st.furnish()

	w := worker.New(dial(t, server, workerIdentity), workflows.TaskQueue, codec.WorkerOptions(nil))
	workflows.Register(w)
	activities.Register(w, st)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)

	ctx, stop := context.WithCancel(context.Background())
	dispatched := make(chan error, 1)
	go func() { dispatched <- routing.RunDispatcher(ctx, st.desk, st) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-dispatched, context.Canceled)
	})
	return st
}

// dial connects with an identity that does not reveal this machine.
func dial(t *testing.T, server *devserver.Server, identity string) client.Client {
	t.Helper()
	c, err := client.DialContext(t.Context(), client.Options{ //nolint:forbidigo // internal/temporalenv's client would name the machine
		HostPort: server.Address, Identity: identity, DataConverter: codec.DataConverter(nil),
		Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// furnish creates the desk's agents and queues. alice and dave work on support, bob on billing, carol on no queue.
// dave is offline until a scenario needs him. No agent works on the queue empty.
func (s *realEnvironment) furnish() {
	ctx := s.Context()
	for _, queue := range []string{"support", "billing", "empty"} {
		require.NoError(s, people.AddQueue(ctx, s.desk, queue))
	}
	for _, agent := range []people.NewAgent{
		{Name: "alice", Presence: desk.PresenceAvailable},
		{Name: "bob", Presence: desk.PresenceAvailable},
		{Name: "carol", Presence: desk.PresenceAvailable},
		{Name: "dave", Presence: desk.PresenceOffline},
	} {
		require.NoError(s, people.AddAgent(ctx, s.desk, agent))
	}
	for _, member := range []struct{ queue, agent string }{{"support", "alice"}, {"support", "dave"}, {"billing", "bob"}} {
		require.NoError(s, people.AddMember(ctx, s.desk, member.queue, member.agent))
	}
	s.settings(func(settings *conversation.Settings) {
		settings.MessagingTransfers, settings.TransferNotes = true, true
	})
}

var errDeskAway = errors.New("the desk is away")

// Facts implements [activities.Desk].
func (s *realEnvironment) Facts(ctx context.Context, query conversation.FactsQuery) (conversation.Facts, error) {
	s.queries.Add(1)
	if s.away.queries.Load() {
		return conversation.Facts{}, errDeskAway
	}
	return routing.ReadFacts(ctx, s.desk, query)
}

// Sync implements [activities.Desk].
func (s *realEnvironment) Sync(ctx context.Context, snapshot conversation.Snapshot) (conversation.Acknowledgement, error) {
	if s.away.syncs.Load() {
		return conversation.Acknowledgement{}, errDeskAway
	}
	if s.away.silent.Load() {
		<-ctx.Done()
		return conversation.Acknowledgement{}, fmt.Errorf("the desk did not answer: %w", ctx.Err())
	}
	return routing.Sync(ctx, s.desk, snapshot)
}

// Deliver implements [routing.Courier].
func (s *realEnvironment) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := s.baton.SendAsync(ctx, sid, command)
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return desk.ErrConversationGone
	}
	return err
}

func (s *realEnvironment) settings(change func(*conversation.Settings)) {
	s.Helper()
	_, err := desk.SetSettings(s.Context(), s.desk, "admin", change)
	require.NoError(s, err)
}

func (s *realEnvironment) presence(agent string, presence desk.Presence) {
	s.Helper()
	require.NoError(s, routing.SetPresence(s.Context(), s.desk, agent, presence))
}

// start starts the conversation on the channel web.
func (s *realEnvironment) start() { s.Helper(); s.startWith(func(*conversation.StartCommand) {}) }

func (s *realEnvironment) startWith(change func(*conversation.StartCommand)) {
	s.Helper()
	command := conversation.StartCommand{
		Conversation: s.sid, Channel: conversation.ChannelWeb, Queue: "support",
		Customer:   conversation.Customer{Name: "Ada Example", Address: "ada@example.com"},
		Attributes: conversation.Attributes{"order": baton.Attribute("A-17")},
	}
	change(&command)
	_, err := s.baton.Start(s.Context(), command)
	require.NoError(s, err)
}

// do sends an update that succeeds.
func (s *realEnvironment) do(command conversation.Command) conversation.Outcome {
	s.Helper()
	outcome, err := s.baton.Send(s.Context(), s.sid, command)
	require.NoError(s, err)
	return outcome
}

// refused sends an update that is refused.
func (s *realEnvironment) refused(command conversation.Command, code conversation.Code) {
	s.Helper()
	_, err := s.baton.Send(s.Context(), s.sid, command)
	require.Equal(s, code, conversation.CodeOf(err), "%v", err)
}

// signal sends a command as a signal, without waiting for its effect.
func (s *realEnvironment) signal(command conversation.Command) {
	s.Helper()
	require.NoError(s, s.baton.SendAsync(s.Context(), s.sid, command))
}

// signalRefused sends a signal that is refused, and waits for the refusal.
func (s *realEnvironment) signalRefused(command conversation.Command, code conversation.Code) {
	s.Helper()
	before := len(s.state().Refusals)
	s.signal(command)
	s.awaitRefusals(before + 1)
	require.Equal(s, code, s.state().Refusals[before].Code, s.state().Refusals[before].Message)
}

func (s *realEnvironment) awaitRefusals(n int) {
	s.Helper()
	s.await(func(r conversation.Record) bool { return len(r.Refusals) == n })
}

// raw sends a signal with the given payload unchanged.
func (s *realEnvironment) raw(name string, payloads *commonpb.Payloads) {
	s.Helper()
	_, err := s.temporal.WorkflowService().SignalWorkflowExecution(s.Context(), &workflowservice.SignalWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(s.sid)},
		SignalName: name, Input: payloads, Identity: senderIdentity,
	})
	require.NoError(s, err)
}

func (s *realEnvironment) state() conversation.Record {
	s.Helper()
	record, err := s.baton.State(s.Context(), s.sid)
	require.NoError(s, err)
	return record
}

// await waits until the conversation fulfills the condition.
func (s *realEnvironment) await(wanted func(conversation.Record) bool) conversation.Record {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 30*time.Second)
	defer cancel()
	record, err := s.baton.Await(ctx, s.sid, wanted)
	require.NoError(s, err)
	return record
}

// offered waits until the conversation is offered to the agent, and returns the task.
func (s *realEnvironment) offered(agent string) *conversation.Task {
	s.Helper()
	var task *conversation.Task
	s.await(func(r conversation.Record) bool {
		at := slices.IndexFunc(r.Tasks, func(t *conversation.Task) bool { return t.OfferedTo(agent) })
		if at >= 0 {
			task = r.Tasks[at]
		}
		return at >= 0
	})
	return task
}

// accepted waits for the offer to the agent and accepts it.
func (s *realEnvironment) accepted(agent string) {
	s.Helper()
	s.offered(agent)
	s.do(conversation.AcceptCommand{Agent: agent})
}

// opened starts a conversation that alice then has.
func (s *realEnvironment) opened() { s.Helper(); s.start(); s.accepted("alice") }

// transferred transfers the conversation.
func (s *realEnvironment) transferred(from string, to conversation.Target) {
	s.Helper()
	s.do(conversation.TransferCommand{From: from, To: to})
}

func (s *realEnvironment) wrappedUp(agent string) {
	s.Helper()
	s.do(conversation.WrapupCommand{Agent: agent})
}

// finished ends the conversation in any state, and waits for the workflow's end.
func (s *realEnvironment) finished() {
	s.Helper()
	if s.state().Status == conversation.ConversationActive {
		s.do(conversation.CloseCommand{})
	}
	record := s.state()
	for _, task := range record.LiveTasks() {
		s.wrappedUp(task.Agent)
	}
	s.completed()
}

// completed waits for the workflow's end.
func (s *realEnvironment) completed() {
	s.Helper()
	var summary workflows.Summary
	require.NoError(s, s.temporal.GetWorkflow(s.Context(), workflows.ID(s.sid), "").Get(s.Context(), &summary))
	require.Equal(s, conversation.ConversationClosed, summary.Status)
}

// runs returns the histories of all runs, in order.
func (s *realEnvironment) runs() []*historypb.History {
	s.Helper()
	described, err := s.temporal.DescribeWorkflowExecution(s.Context(), workflows.ID(s.sid), "")
	require.NoError(s, err)
	run := described.GetWorkflowExecutionInfo().GetFirstRunId()
	if run == "" {
		run = described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	}
	var all []*historypb.History
	for run != "" {
		history := &historypb.History{}
		events := s.temporal.GetWorkflowHistory(s.Context(), workflows.ID(s.sid), run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(s, err)
			// The name of a worker's own task queue contains the name of its machine.
			if queue := event.GetWorkflowTaskScheduledEventAttributes().GetTaskQueue(); queue.GetKind() == enumspb.TASK_QUEUE_KIND_STICKY {
				queue.Name = workerIdentity
			}
			history.Events = append(history.Events, event)
		}
		all = append(all, history)
		last := history.GetEvents()[len(history.GetEvents())-1]
		run = last.GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
	}
	return all
}
