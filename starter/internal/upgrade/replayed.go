package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/workflows"
)

// silent discards the SDK's log of failing replays, which the results report.
var silent = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

// execution is one run of a conversation on the server.
type execution struct{ workflowID, runID string }

// where returns the query for the runs to replay. It leaves out runs that were continued as new, because workers do
// not continue them.
func (o replayOptions) where() string {
	return fmt.Sprintf(`WorkflowType = %q AND ExecutionStatus != "ContinuedAsNew" AND (%s)`, workflows.Type, o.query)
}

// tries is how often a call to a busy server is tried, pause the time between two attempts.
const (
	tries = 5
	pause = time.Second
)

// insist calls ask until it succeeds. It does not retry errors that say that something is not found or invalid.
func insist[T any](ctx context.Context, ask func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		answer, err := ask()
		_, gone := errors.AsType[*serviceerror.NotFound](err)
		_, wrong := errors.AsType[*serviceerror.InvalidArgument](err)
		if err == nil || gone || wrong || try == tries || sleep.For(ctx, pause) != nil {
			return answer, err
		}
	}
}

// countFound returns how many histories will be replayed, as far as the server knows now.
func countFound(ctx context.Context, temporal client.Client, o replayOptions) (int64, error) {
	counted, err := insist(ctx, func() (*workflowservice.CountWorkflowExecutionsResponse, error) {
		return temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: o.where()})
	})
	if err != nil {
		return 0, fmt.Errorf("count conversations where %s: %w", o.query, err)
	}
	found := counted.GetCount()
	if most := int64(max(o.limit, o.sample)); most > 0 {
		found = min(found, most)
	}
	return found, nil
}

// find calls each with every run to replay.
func find(ctx context.Context, temporal client.Client, o replayOptions, each func(execution) error) error {
	var sample []execution
	seen := 0
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: o.where()}
	for {
		response, err := insist(ctx, func() (*workflowservice.ListWorkflowExecutionsResponse, error) {
			return temporal.ListWorkflow(ctx, request)
		})
		if err != nil {
			return fmt.Errorf("list conversations where %s: %w", o.query, err)
		}
		for _, listed := range response.GetExecutions() {
			e := execution{listed.GetExecution().GetWorkflowId(), listed.GetExecution().GetRunId()}
			seen++
			if o.sample > 0 { // each run seen so far is in the sample with equal probability
				if len(sample) < o.sample {
					sample = append(sample, e)
				} else if at := rand.IntN(seen); at < o.sample { //nolint:gosec // a sample, not a secret
					sample[at] = e
				}
				continue
			}
			if err := each(e); err != nil || seen == o.limit {
				return err
			}
		}
		request.NextPageToken = response.GetNextPageToken()
		if len(request.GetNextPageToken()) == 0 {
			break
		}
	}
	for _, e := range sample {
		if err := each(e); err != nil {
			return err
		}
	}
	return nil
}

// replayed is the result of replaying one history.
type replayed struct {
	// History is the SID of the conversation or the name of a file, Run the ID of the run.
	History string `json:"history"`
	Run     string `json:"run,omitempty"`
	// Event is the first event that this build does differently, or the end of its workflow task; 0 if it is
	// unknown.
	Event int64  `json:"event,omitempty"`
	Error string `json:"error"`
	// Saved is the file that the history was saved to.
	Saved string `json:"saved,omitempty"`

	// gone is set if the history no longer exists.
	gone    bool
	err     error
	history *historypb.History
}

// replayExecution replays a history on the server.
func (g *gate) replayExecution(ctx context.Context, temporal client.Client, one execution) replayed {
	r := replayed{History: workflows.SID(one.workflowID), Run: one.runID}
	history, err := insist(ctx, func() (*historypb.History, error) { return historyOf(ctx, temporal, one) })
	if _, deleted := errors.AsType[*serviceerror.NotFound](err); deleted {
		r.gone = true
		return r
	}
	if err != nil {
		r.err = fmt.Errorf("its history can't be read: %w", err)
		return r
	}
	return g.replay(r, history)
}

func historyOf(ctx context.Context, temporal client.Client, one execution) (*historypb.History, error) {
	history := &historypb.History{}
	events := temporal.GetWorkflowHistory(ctx, one.workflowID, one.runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller adds the context
		}
		history.Events = append(history.Events, event)
	}
	return history, nil
}

// replay runs the history against this build.
func (g *gate) replay(r replayed, history *historypb.History) replayed {
	if r.err = g.run(r, history); r.err != nil {
		r.history = history
	}
	return r
}

func (g *gate) run(r replayed, history *historypb.History) error {
	if !slices.ContainsFunc(history.GetEvents(), func(e *historypb.HistoryEvent) bool {
		return e.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED
	}) {
		return nil // no workflow task has completed yet
	}
	replayer, err := codec.NewReplayer(g.keys) // a new one for each history, because a replayer keeps all results
	if err != nil {
		return err
	}
	options := worker.ReplayWorkflowHistoryOptions{}
	if r.Run != "" {
		options.OriginalExecution = workflow.Execution{ID: workflows.ID(r.History), RunID: r.Run}
	}
	return replayer.ReplayWorkflowHistoryWithOptions(silent, history, options) //nolint:wrapcheck // the results name the history
}

// notDeterministic is the SDK's error number for a workflow that does not match its history.
const notDeterministic = "TMPRL1100"

// explain records the error and the event of the history at which it occurs.
func (g *gate) explain(r *replayed) {
	r.Error = r.err.Error()
	if !strings.Contains(r.Error, notDeterministic) {
		return
	}
	events := r.history.GetEvents()
	step := g.differs(*r, events)
	for _, event := range step {
		kind := event.GetEventType()
		if strings.Contains(r.Error, "history event is "+kind.String()) || strings.Contains(r.Error, "missing replay command for "+kind.String()) {
			r.Event = event.GetEventId()
			return
		}
		if kind == enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED {
			r.Event = event.GetEventId()
		}
	}
}

// differs returns the events of the first workflow task that this build executes differently. A history that ends
// with the start of a task is replayed up to the task before.
func (g *gate) differs(r replayed, events []*historypb.HistoryEvent) []*historypb.HistoryEvent {
	starts := []int{}
	for i, event := range events {
		if event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED {
			starts = append(starts, i)
		}
	}
	fails := sort.Search(len(starts), func(i int) bool {
		return g.run(r, &historypb.History{Events: events[:starts[i]+1]}) != nil
	})
	if fails == 0 {
		return nil
	}
	until := len(events)
	if fails < len(starts) {
		until = starts[fails]
	}
	return events[starts[fails-1]:until]
}
