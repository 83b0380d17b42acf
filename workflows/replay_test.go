package workflows_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/workflows"
)

func TestEveryHistoryReplays(t *testing.T) {
	t.Parallel()
	key, err := codec.FreshKey("k")
	require.NoError(t, err)
	keys, err := codec.ParseKeyRing(key)
	require.NoError(t, err)
	batontest.Replay(t, historyFile("*"), nil, keys) // keys can be added while conversations run
}

// The SDK's replayer runs a history from a file without the workflow ID.
func TestEveryHistoryReplaysWithoutItsWorkflowID(t *testing.T) {
	t.Parallel()
	for _, name := range recordedHistories(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replayer, err := codec.NewReplayer(nil)
			require.NoError(t, err)
			require.NoError(t, replayer.ReplayWorkflowHistory(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), readHistory(t, name)))
		})
	}
}

func TestAChangedOrderOfCommandsFailsTheReplay(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]interceptor.WorkerInterceptor{
		"a timer before anything else": &inbound{with: func(next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
			return &delayer{interceptor.WorkflowInboundInterceptorBase{Next: next}}
		}},
		"the desk is synced before the search attributes change": &inbound{with: func(next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
			return &swapper{interceptor.WorkflowInboundInterceptorBase{Next: next}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"story", "transfer_to_agent", "close_while_it_waits"} {
				options := codec.ReplayerOptions(nil)
				options.Interceptors = append([]interceptor.WorkerInterceptor{changed}, options.Interceptors...)
				replayer, err := worker.NewWorkflowReplayerWithOptions(options) //nolint:forbidigo // one more interceptor is what is tested
				require.NoError(t, err)
				workflows.Register(replayer)
				err = replay(replayer, readHistory(t, name))
				require.ErrorContains(t, err, "TMPRL1100", "%s: the SDK's number for a workflow that isn't deterministic", name)
			}
		})
	}
}

// inbound wraps each workflow with an interceptor.
type inbound struct {
	interceptor.WorkerInterceptorBase

	with func(next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor
}

func (i *inbound) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return i.with(next)
}

// delayer starts a timer before the workflow does anything.
type delayer struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (d *delayer) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	workflow.NewTimer(ctx, time.Minute)
	return d.Next.ExecuteWorkflow(ctx, in)
}

// swapper changes the order of two commands: it upserts search attributes after the next activity is scheduled, not
// before.
type swapper struct {
	interceptor.WorkflowInboundInterceptorBase
}

func (s *swapper) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &swapperOutbound{}
	out.Next = next
	return s.Next.Init(out)
}

type swapperOutbound struct {
	interceptor.WorkflowOutboundInterceptorBase

	held []temporal.SearchAttributeUpdate
}

func (s *swapperOutbound) UpsertTypedSearchAttributes(_ workflow.Context, attributes ...temporal.SearchAttributeUpdate) error {
	s.held = append(s.held, attributes...)
	return nil
}

func (s *swapperOutbound) ExecuteActivity(ctx workflow.Context, activity string, args ...any) workflow.Future {
	future := s.Next.ExecuteActivity(ctx, activity, args...)
	if len(s.held) > 0 {
		_ = s.Next.UpsertTypedSearchAttributes(ctx, s.held...)
		s.held = nil
	}
	return future
}

func TestAHistoryReadsAsWhatHappened(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		want string
	}{
		{"refused_start_unknown_queue", `
			started: web conversation for nowhere
			---
			local activity: may this start be made?
			failed: unknown_queue`},
		{"transfer_to_agent", `
			started: web conversation for support
			---
			local activity: may this start be made?
			timer 24h0m0s: the task in support has waited for too long
			activity CreateTask: waits in support
			activity CreateTask answered
			---
			search attributes: ConversationAgents ["alice"], ConversationChannel "web", ConversationQueue "support", ConversationStatus "active"
			timer canceled
			timer 2m0s: the offer to alice expires
			activity SyncTasks: offered to alice
			activity SyncTasks answered
			---
			---
			update accept
			timer canceled
			activity SyncTasks: alice accepts
			update answered: done
			activity SyncTasks answered
			---
			---
			update transfer
			local activity: may this transfer be made?
			timer 2m0s: the offer to bob expires
			activity CreateTask: alice wraps up; alice passes it on; offered to bob
			update answered: done
			activity CreateTask answered
			---
			search attributes: ConversationAgents ["bob"], ConversationTransfers 1, ConversationWrapping ["alice"]
			---
			update accept
			timer canceled
			activity SyncTasks: bob accepts
			update answered: done
			activity SyncTasks answered
			---
			---
			update wrapup
			activity SyncTasks: alice has wrapped up
			update answered: done
			activity SyncTasks answered
			---
			search attributes: ConversationWrapping null
			---
			update close
			activity SyncTasks: bob wraps up
			update answered: done
			activity SyncTasks answered
			---
			search attributes: ConversationAgents null, ConversationQueue , ConversationStatus "wrapping", ConversationWrapping ["bob"]
			---
			update wrapup
			activity SyncTasks: bob has wrapped up; closed
			update answered: done
			activity SyncTasks answered
			---
			search attributes: ConversationStatus "closed", ConversationWrapping null
			timer 100ms: a quiet moment before this run ends
			timer fired
			---
			completed`},
		{"task_timeout_of_a_first_task", `
			started: web conversation for support
			---
			local activity: may this start be made?
			timer 1s: the task in support has waited for too long
			activity CreateTask: waits in support
			activity CreateTask answered
			---
			search attributes: ConversationChannel "web", ConversationQueue "support", ConversationStatus "active"
			timer fired
			---
			activity SyncTasks: closed
			activity SyncTasks answered
			---
			search attributes: ConversationQueue , ConversationStatus "closed"
			timer 100ms: a quiet moment before this run ends
			timer fired
			---
			completed`},
		{"refused_wrapup_pending", `
			signal accept
			---`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			lines := strings.Split(strings.TrimSpace(test.want), "\n")
			for i, line := range lines {
				lines[i] = strings.TrimSpace(line)
			}
			require.Contains(t, strings.Join(readable(t, readHistory(t, test.name)), "\n"), strings.Join(lines, "\n"))
		})
	}
}

// TestAConversationCostsLittle pins the figures of docs/performance.md.
func TestAConversationCostsLittle(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                    string
		actions, events, timers int
	}{
		{"accept_end_wrapup", 13, 50, 3}, // before versions were recorded, which are two events
		{"fewer_timers_accept_end_wrapup", 11, 45, 1},
		{"transfer_to_queue", 22, 83, 5},
		{"fewer_timers_transfer_to_queue", 19, 76, 2},
		{"transfer_to_agent", 26, 101, 4},
		{"fewer_timers_transfer_to_agent", 24, 96, 2},
	} {
		history := readHistory(t, test.name)
		c := costOf(history)
		t.Logf("%s: %d actions, %d events, %.1f kB", test.name, c.actions, c.events, c.size)
		require.Equal(t, test.actions, c.actions, "actions of %s", test.name)
		require.Equal(t, test.events, c.events, "events of %s", test.name)
		timers := 0
		for _, event := range history.GetEvents() {
			if event.GetEventType() == enumspb.EVENT_TYPE_TIMER_STARTED {
				timers++
			}
		}
		require.Equal(t, test.timers, timers, "timers of %s", test.name)
	}
}

func TestSearchAttributesAreUpsertedAtMostOnceAWorkflowTask(t *testing.T) {
	t.Parallel()
	for _, name := range recordedHistories(t) {
		upserts := map[int64]int{}
		for _, event := range readHistory(t, name).GetEvents() {
			if event.GetEventType() == enumspb.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES {
				upserts[event.GetUpsertWorkflowSearchAttributesEventAttributes().GetWorkflowTaskCompletedEventId()]++
			}
		}
		for task, times := range upserts {
			require.Equal(t, 1, times, "%s, event %d", name, task)
		}
	}
}

func TestEveryTimerAndActivityHasASummary(t *testing.T) {
	t.Parallel()
	for _, name := range recordedHistories(t) {
		for _, event := range readHistory(t, name).GetEvents() {
			if event.GetMarkerRecordedEventAttributes().GetMarkerName() == "Version" {
				continue // the SDK gives it none
			}
			switch event.GetEventType() {
			case enumspb.EVENT_TYPE_TIMER_STARTED, enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, enumspb.EVENT_TYPE_MARKER_RECORDED:
				require.NotNil(t, event.GetUserMetadata().GetSummary(), "%s, event %d", name, event.GetEventId())
			}
		}
	}
}

var (
	pathOfAMachine = regexp.MustCompile(`(^|[^\w.])/(home|root|tmp|Users|work|var|usr|go)/|\.go:\d+|[A-Z]:\\`)
	address        = regexp.MustCompile(`[\w.]+@[\w.]+`)
)

func TestNoHistoryTellsWhereItWasRecorded(t *testing.T) {
	t.Parallel()
	machine, err := os.Hostname()
	require.NoError(t, err)
	for _, name := range recordedHistories(t) {
		content, err := os.ReadFile(historyFile(name))
		require.NoError(t, err)
		var history any
		require.NoError(t, json.Unmarshal(content, &history))
		eachString(history, func(key, value string) {
			if key == "identity" {
				require.Contains(t, []string{workerIdentity, senderIdentity, "history-service"}, value, name)
			}
			if key == "data" {
				decoded, err := base64.StdEncoding.DecodeString(value)
				require.NoError(t, err)
				value = string(decoded)
			}
			require.NotRegexp(t, pathOfAMachine, value, name)
			if len(machine) > 3 {
				require.NotContains(t, value, machine, name)
			}
			for _, found := range address.FindAllString(value, -1) {
				require.True(t, strings.HasSuffix(found, "@example.com"), "%s: %s", name, found)
			}
		})
	}
}

// eachString calls each with every string in decoded JSON, and the key of the string.
func eachString(value any, each func(key, value string)) {
	var walk func(key string, value any)
	walk = func(key string, value any) {
		switch value := value.(type) {
		case string:
			each(key, value)
		case []any:
			for _, one := range value {
				walk(key, one)
			}
		case map[string]any:
			for under, one := range value {
				walk(under, one)
			}
		}
	}
	walk("", value)
}

func TestHistoriesAreOfTheirScenarios(t *testing.T) {
	t.Parallel()
	var names []string
	for _, s := range scenarios {
		names = append(names, s.histories()...)
	}
	slices.Sort(names)
	require.Len(t, slices.Compact(names), len(names), "each scenario has a name of its own")
}
