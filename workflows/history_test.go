package workflows_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/proto"

	"github.com/baton-transfers/baton/conversation"
)

// histories is the folder of recorded histories, written as by `temporal workflow show --output json`, one event a
// line.
const histories = "testdata/histories"

func historyFile(name string) string { return filepath.Join(histories, name+".json") }

// recordedHistories returns the names of all recorded histories.
func recordedHistories(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(historyFile("*"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".json"))
	}
	return names
}

func readHistory(t *testing.T, name string) *historypb.History {
	t.Helper()
	file, err := os.Open(historyFile(name))
	require.NoError(t, err)
	defer file.Close()
	history, err := client.HistoryFromJSON(file, client.HistoryJSONOptions{})
	require.NoError(t, err)
	return history
}

// writeHistory writes a history that does not exist yet. It overwrites one only if the flag asks for it.
func writeHistory(t *testing.T, name string, history *historypb.History, overwrite bool) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("{\"events\":[\n")
	for i, event := range history.GetEvents() {
		if i > 0 {
			b.WriteString(",\n")
		}
		encoded, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(event)
		require.NoError(t, err)
		require.NoError(t, json.Compact(&b, encoded)) // the encoder varies its white space deliberately
	}
	b.WriteString("\n]}\n")
	if _, err := os.Stat(historyFile(name)); err == nil && !overwrite {
		t.Fatalf("%s is there already, and is to replay for ever: give a new scenario a name of its own, or see -record.overwrite", historyFile(name))
	}
	require.NoError(t, os.MkdirAll(histories, 0o750))
	require.NoError(t, os.WriteFile(historyFile(name), b.Bytes(), 0o600))
}

func started(history *historypb.History) *historypb.WorkflowExecutionStartedEventAttributes {
	return history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
}

// replay replays a history with the workflow ID of its recording, which a conversation reads.
func replay(replayer worker.WorkflowReplayer, history *historypb.History) error {
	return replayer.ReplayWorkflowHistoryWithOptions(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), history,
		worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{
			ID: started(history).GetWorkflowId(), RunID: started(history).GetOriginalExecutionRunId(),
		}})
}

// readable returns a history as readable lines, without times, SIDs and internal details.
func readable(t *testing.T, history *historypb.History) []string {
	t.Helper()
	activities := map[int64]string{}
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, event := range history.GetEvents() {
		summary := ""
		if payload := event.GetUserMetadata().GetSummary(); payload != nil {
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(payload, &summary))
		}
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
			say("started: %s", summary)
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
			say("---")
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
			say("signal %s", event.GetWorkflowExecutionSignaledEventAttributes().GetSignalName())
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
			say("update %s", event.GetWorkflowExecutionUpdateAcceptedEventAttributes().GetAcceptedRequest().GetInput().GetName())
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED:
			outcome := "done"
			if failure := event.GetWorkflowExecutionUpdateCompletedEventAttributes().GetOutcome().GetFailure(); failure != nil {
				outcome = "refused, " + failure.GetApplicationFailureInfo().GetType()
			}
			say("update answered: %s", outcome)
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			say("local activity: %s", summary)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
			activity := event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
			activities[event.GetEventId()] = activity
			say("activity %s: %s", activity, summary)
		case enumspb.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
			say("activity %s answered", activities[event.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()])
		case enumspb.EVENT_TYPE_TIMER_STARTED:
			say("timer %s: %s", event.GetTimerStartedEventAttributes().GetStartToFireTimeout().AsDuration().Round(1e8), summary)
		case enumspb.EVENT_TYPE_TIMER_FIRED:
			say("timer fired")
		case enumspb.EVENT_TYPE_TIMER_CANCELED:
			say("timer canceled")
		case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			var fields []string
			for name, payload := range event.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields() {
				fields = append(fields, fmt.Sprintf("%s %s", name, payload.GetData()))
			}
			slices.Sort(fields)
			say("search attributes: %s", strings.Join(fields, ", "))
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
			say("cancel requested")
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
			say("completed")
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
			say("failed: %s", event.GetWorkflowExecutionFailedEventAttributes().GetFailure().GetApplicationFailureInfo().GetType())
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW:
			say("continued as new")
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
		default:
			say("%s", event.GetEventType())
		}
	}
	return lines
}

// cost is what a history costs: the actions that Temporal Cloud bills, its events, and its size in kB.
type cost struct {
	actions, events int
	size            float64
}

// costOf counts as https://docs.temporal.io/cloud/actions says. All markers of a workflow task are one action, and the
// search attribute for versions is none.
func costOf(history *historypb.History) cost {
	c := cost{events: len(history.GetEvents()), size: float64(proto.Size(history)) / 1000}
	markers := map[int64]bool{}
	for _, event := range history.GetEvents() {
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED, enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED,
			enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED, enumspb.EVENT_TYPE_TIMER_STARTED,
			enumspb.EVENT_TYPE_ACTIVITY_TASK_STARTED:
			c.actions++
		case enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
			fields := event.GetUpsertWorkflowSearchAttributesEventAttributes().GetSearchAttributes().GetIndexedFields()
			if _, version := fields["TemporalChangeVersion"]; !version {
				c.actions++
			}
		case enumspb.EVENT_TYPE_MARKER_RECORDED:
			markers[event.GetMarkerRecordedEventAttributes().GetWorkflowTaskCompletedEventId()] = true
		default:
		}
	}
	c.actions += len(markers)
	return c
}

// refusedIn returns the codes with which the loop refused a history's updates.
func refusedIn(history *historypb.History) []conversation.Code {
	var codes []conversation.Code
	for _, event := range history.GetEvents() {
		outcome := event.GetWorkflowExecutionUpdateCompletedEventAttributes().GetOutcome()
		if code := outcome.GetFailure().GetApplicationFailureInfo().GetType(); code != "" {
			codes = append(codes, conversation.Code(code))
		}
	}
	return codes
}
