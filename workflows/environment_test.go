package workflows_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/baton-transfers/baton/activities"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

const testSID = "CH0123456789abcdef0123456789abcdef"

// startOfTest is when every conversation of these tests starts. It is in the future, because the suite measures
// retries of a local activity with both its own clock and the real one.
var startOfTest = time.Date(2126, time.March, 4, 9, 0, 0, 0, time.UTC)

// environment is the environment of a test: a workflow in the SDK's test suite, whose clock skips to the next event, a
// scripted desk, and the steps of a story, each at its time.
type environment struct {
	t     *testing.T
	env   *testsuite.TestWorkflowEnvironment
	desk  *scriptedDesk
	start any
	// clock is the time of the last planned step. steps and stepped count the planned and the played steps.
	clock          time.Duration
	steps, stepped int
	// tasks is used as the history's length: it grows with every workflow task, as on a server.
	tasks int
	// timers are the durations of the timers the workflow has started.
	timers []time.Duration
	// leftOpen stops play from ending the conversation.
	leftOpen bool
	// rests are the delays in seconds that the desk was granted with each snapshot (guarded by the desk's mutex).
	// The desk uses none of them unless deskRests is set, because activities follow the real clock.
	rests     []float64
	deskRests bool
	// metrics are Baton's metrics recorded by the workflow.
	metrics metrics
	// whenQuiet is called in the middle of the next quiet moment.
	whenQuiet func()
}

// quiet is how long the quiet moment before the end of a run lasts.
const quiet = 100 * time.Millisecond

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	s := &environment{t: t, desk: newScriptedDesk(), start: startCommand()}
	suite.SetMetricsHandler(newMetricsHandler(&s.metrics))
	s.env = suite.NewTestWorkflowEnvironment()
	options := codec.WorkerOptions(nil)
	options.Interceptors = append(options.Interceptors, &rests{environment: s})
	s.env.SetWorkerOptions(options)
	s.env.SetDataConverter(rawConverter{codec.DataConverter(nil)})
	s.env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: workflows.ID(testSID), TaskQueue: workflows.TaskQueue})
	s.env.SetStartTime(startOfTest)
	s.env.SetTestTimeout(time.Minute) // in real time: the suite's three seconds are too few on a busy machine
	workflows.Register(s.env)
	activities.Register(s.env, s.desk)
	s.env.SetOnTimerScheduledListener(func(_ string, d time.Duration) {
		s.timers = append(s.timers, d)
		if do := s.whenQuiet; d == quiet && do != nil {
			s.whenQuiet = nil
			s.env.RegisterDelayedCallback(func() { s.newWorkflowTask(); do() }, quiet/2)
		}
	})
	s.env.SetOnTimerFiredListener(func(string) { s.newWorkflowTask() })
	s.env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) { s.newWorkflowTask() })
	return s
}

func startCommand() conversation.StartCommand {
	return conversation.StartCommand{
		Conversation: testSID, Channel: conversation.ChannelWeb, Queue: "support",
		Customer:   conversation.Customer{Name: "Crystal Minh", Address: "+15550100"},
		Attributes: conversation.Attributes{"order": json.RawMessage(`"A-17"`)},
	}
}

// newWorkflowTask makes the history longer, because the suite does not.
func (s *environment) newWorkflowTask() {
	s.tasks++
	s.env.SetCurrentHistoryLength(s.tasks)
}

// step plans what happens a second after the step before.
func (s *environment) step(do func()) { s.after(time.Second, do) }

// after plans what happens that long after the step before. It precedes what the workflow does at the same time.
func (s *environment) after(pause time.Duration, do func()) {
	s.clock += pause
	s.steps++
	s.env.RegisterDelayedCallback(func() {
		s.stepped++
		s.newWorkflowTask()
		do()
	}, s.clock)
}

// play plays the story, ends the conversation if the story does not, and checks that the desk has everything and
// that neither side broke the contract.
func (s *environment) play() {
	s.t.Helper()
	steps := s.steps
	if !s.leftOpen {
		s.step(func() { s.signal("close", conversation.CloseCommand{}) })
		s.step(func() {
			record := s.record()
			for _, task := range record.LiveTasks() {
				s.signal("wrapup", conversation.WrapupCommand{Agent: task.Agent})
			}
		})
	}
	s.run()
	require.GreaterOrEqual(s.t, s.stepped, steps, "the workflow ended before its story did")
	require.Empty(s.t, s.desk.disagreements(s.record()))
}

// run plays the story as planned.
func (s *environment) run() {
	s.t.Helper()
	s.env.ExecuteWorkflow(workflows.Type, s.start)
	require.True(s.t, s.env.IsWorkflowCompleted())
}

// ended is play for a story that ends the conversation itself, before or in its last step.
func (s *environment) ended() workflows.Summary {
	s.t.Helper()
	s.leftOpen = true
	s.play()
	require.NoError(s.t, s.env.GetWorkflowError())
	var summary workflows.Summary
	require.NoError(s.t, s.env.GetWorkflowResult(&summary))
	return summary
}

// record returns the answer to the query.
func (s *environment) record() conversation.Record {
	s.t.Helper()
	value, err := s.env.QueryWorkflow(workflows.Query)
	require.NoError(s.t, err)
	var record conversation.Record
	require.NoError(s.t, value.Get(&record))
	return record
}

// metadata returns what the Temporal Web UI shows next to the history.
func (s *environment) metadata() *sdkpb.WorkflowMetadata {
	s.t.Helper()
	value, err := s.env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(s.t, err)
	var metadata sdkpb.WorkflowMetadata
	require.NoError(s.t, value.Get(&metadata))
	return &metadata
}

// task returns the conversation's task with that index, in order of creation.
func (s *environment) task(index int) *conversation.Task {
	s.t.Helper()
	record := s.record()
	require.Greater(s.t, len(record.Tasks), index, "there is no such task yet")
	return record.Tasks[index]
}

func (s *environment) transfer(index int) *conversation.Transfer {
	s.t.Helper()
	record := s.record()
	require.Greater(s.t, len(record.Transfers), index, "there is no such transfer yet")
	return record.Transfers[index]
}

func (s *environment) signal(name string, payload any) { s.env.SignalWorkflow(name, payload) }

// slip sends a signal without a workflow task: the workflow sees it together with the next event.
func (s *environment) slip(name string, payload any) {
	s.env.SignalWorkflowSkippingWorkflowTask(name, payload)
}

// answer is the result of an update. Read it in a later step.
type answer struct {
	t *testing.T
	// accepted is set if the update reached the loop. A refusal of the validator leaves no trace.
	accepted, done bool
	outcome        conversation.Outcome
	err            error
}

// update sends an update with a new ID.
func (s *environment) update(name string, payload any) *answer {
	return s.updateWithID("", name, payload)
}

func (s *environment) updateWithID(id, name string, arguments ...any) *answer {
	a := &answer{t: s.t}
	s.env.UpdateWorkflow(name, id, &testsuite.TestUpdateCallback{
		OnAccept: func() { a.accepted = true },
		OnReject: func(err error) { a.done, a.err = true, err },
		OnComplete: func(result any, err error) {
			a.done, a.err = true, err
			if outcome, ok := result.(conversation.Outcome); ok {
				a.outcome = outcome
			}
		},
	}, arguments...)
	return a
}

// succeeded requires that the update was carried out, and returns its outcome.
func (a *answer) succeeded() conversation.Outcome {
	a.t.Helper()
	require.True(a.t, a.done, "the update waits still")
	require.NoError(a.t, a.err)
	return a.outcome
}

// refused requires the code, as callers in any language receive it, and returns the details.
func (a *answer) refused(code conversation.Code) conversation.Details {
	a.t.Helper()
	require.True(a.t, a.done, "the update waits still")
	return requireRefusal(a.t, a.err, code)
}

func requireRefusal(t *testing.T, err error, code conversation.Code) conversation.Details {
	t.Helper()
	var application *temporal.ApplicationError
	require.ErrorAs(t, err, &application)
	require.Equal(t, string(code), application.Type())
	require.True(t, application.NonRetryable())
	require.NotEmpty(t, application.Message())
	var details conversation.Details
	require.NoError(t, application.Details(&details))
	return details
}

// lastRefusal returns the last recorded refusal of a signal.
func (s *environment) lastRefusal() conversation.RecordedRefusal {
	s.t.Helper()
	refusals := s.record().Refusals
	require.NotEmpty(s.t, refusals, "no signal was refused")
	return refusals[len(refusals)-1]
}

// alice accepts the task that the support queue offers her, a second after the start.
func (s *environment) aliceAccepts() {
	s.step(func() {
		require.True(s.t, s.task(0).OfferedTo("alice"))
		s.signal("accept", conversation.AcceptCommand{Agent: "alice"})
	})
}

// transfers sends a transfer of the conversation, a second after the step before.
func (s *environment) transfers(from string, to conversation.Target) {
	s.step(func() { s.signal("transfer", conversation.TransferCommand{From: from, To: to}) })
}

func toAgent(name string) conversation.Target { return conversation.Target{Agent: name} }

func toQueue(name string) conversation.Target { return conversation.Target{Queue: name} }

// rests records the delay granted to the desk, and sets it to zero unless the environment uses delays.
type rests struct {
	interceptor.WorkerInterceptorBase
	environment *environment
}

func (r *rests) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &restsInbound{environment: r.environment}
	i.Next = next
	return i
}

type restsInbound struct {
	interceptor.ActivityInboundInterceptorBase
	environment *environment
}

func (r *restsInbound) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if request, ok := in.Args[0].(activities.SyncRequest); ok {
		r.environment.desk.mutex.Lock()
		r.environment.rests = append(r.environment.rests, request.Rest)
		r.environment.desk.mutex.Unlock()
		if !r.environment.deskRests {
			request.Rest = 0
			in.Args[0] = request
		}
	}
	return r.Next.ExecuteActivity(ctx, in)
}

// granted returns the delays granted to the desk since the last call.
func (s *environment) granted() []float64 {
	s.desk.mutex.Lock()
	defer s.desk.mutex.Unlock()
	rests := s.rests
	s.rests = nil
	return rests
}

// rawArguments are payloads that are sent unchanged, for payloads that no Go value encodes to.
type rawArguments []*commonpb.Payload

type rawConverter struct{ converter.DataConverter }

func (c rawConverter) ToPayloads(values ...any) (*commonpb.Payloads, error) {
	if len(values) == 1 {
		if raw, ok := values[0].(rawArguments); ok {
			return &commonpb.Payloads{Payloads: raw}, nil
		}
	}
	return c.DataConverter.ToPayloads(values...)
}

func rawJSON(text string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingJSON)}, Data: []byte(text)}
}

func rawBinary(data string) *commonpb.Payload {
	return &commonpb.Payload{Metadata: map[string][]byte{converter.MetadataEncoding: []byte(converter.MetadataEncodingBinary)}, Data: []byte(data)}
}
