package telemetry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/opentelemetry"
)

// metersOf returns a meter, and what Prometheus reads of it.
func metersOf(t testing.TB) (metric.Meter, func() string) {
	t.Helper()
	registry := prometheus.NewRegistry()
	meters, err := newMeterProvider(registry)
	require.NoError(t, err)
	return meters.Meter(tracerName), func() string {
		page := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
		return page.Body.String()
	}
}

// sdkHandler returns the SDK's handler for the meter.
func sdkHandler(meter metric.Meter, onError func(error)) client.MetricsHandler {
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{Meter: meter, UseMonotonicCounters: true, OnError: onError})
}

// recordTask records what the SDK and the workflow record with about every workflow task, on the tags of a worker.
func recordTask(worker client.MetricsHandler) {
	task := worker.WithTags(map[string]string{"workflow_type": "Conversation"})
	task.Counter("temporal_workflow_task_queue_poll_succeed").Inc(1)
	task.Timer("temporal_workflow_task_schedule_to_start_latency").Record(2 * time.Millisecond)
	task.Timer("temporal_workflow_task_execution_latency").Record(3 * time.Millisecond)
	call := worker.WithTags(map[string]string{"workflow_type": "Conversation", "activity_type": "none", "task_queue": "baton"}).
		WithTags(map[string]string{"operation": "RespondWorkflowTaskCompleted"})
	call.Counter("temporal_request").Inc(1)
	call.Timer("temporal_request_latency").Record(4 * time.Millisecond)
	worker.WithTags(map[string]string{"command": "accept", "outcome": "carried_out", "code": "none"}).Counter("baton_commands").Inc(1)
	worker.WithTags(map[string]string{"worker_type": "WorkflowWorker"}).Gauge("temporal_worker_task_slots_available").Update(17)
}

func workerOf(h client.MetricsHandler) client.MetricsHandler {
	return h.WithTags(map[string]string{"namespace": "default", "client_name": "temporal_go", "worker_type": "none", "task_queue": "none"}).
		WithTags(map[string]string{"task_queue": "baton"})
}

func TestTemporalsMetricsAreThoseOfTheSDKsHandler(t *testing.T) {
	t.Parallel()
	fails := func(err error) { t.Error(err) }
	for name, most := range map[string]int64{"cached": mostCached, "with room for five": 5, "without room": 0} {
		meter, ours := metersOf(t)
		meterOfSDK, theirs := metersOf(t)
		for _, h := range []client.MetricsHandler{newMetricsHandler(meter, most, fails), sdkHandler(meterOfSDK, fails)} {
			var together sync.WaitGroup
			for range 4 {
				together.Go(func() {
					for range 3 {
						recordTask(workerOf(h))
					}
				})
			}
			together.Wait()
			// A tag given again replaces the one before. Tags that look alike when joined differ.
			h.WithTags(map[string]string{"a": "1", "b": "2"}).WithTags(map[string]string{"a": "3"}).Counter("again").Inc(1)
			h.WithTags(map[string]string{"a": "b"}).Counter("alike").Inc(1)
			h.WithTags(map[string]string{"ab": ""}).Counter("alike").Inc(1)
			h.Counter("without_tags").Inc(2)
		}
		require.Equal(t, theirs(), ours(), name)
		require.Contains(t, ours(), `baton_commands_total{client_name="temporal_go",code="none",command="accept",`, name)
	}
}

func TestNoMoreMetricsAreKeptThanThereIsRoomFor(t *testing.T) {
	t.Parallel()
	meter, _ := metersOf(t)
	h, ok := newMetricsHandler(meter, 20, func(err error) { t.Error(err) }).(*metricsHandler)
	require.True(t, ok)
	for i := range 100 {
		h.WithTags(map[string]string{"queue": fmt.Sprint("queue-", i)}).Timer("baton_time_to_accept").Record(time.Second)
	}
	held := 0
	for _, child := range h.children {
		held += 1 + len(child.timers) + len(child.children)
	}
	require.Equal(t, 20, held)
}

func TestAMetricThatCannotBeMadeIsReported(t *testing.T) {
	t.Parallel()
	meter, _ := metersOf(t)
	var reported []error
	h := newMetricsHandler(meter, mostCached, func(err error) { reported = append(reported, err) })
	h.Counter("1 is no name").Inc(1)
	h.Gauge("1 is no name").Update(1)
	h.Timer("1 is no name").Record(time.Second)
	require.Len(t, reported, 3)
}

func TestARecordedTaskAllocatesLittle(t *testing.T) { //nolint:paralleltest // others' allocations would be counted
	meter, _ := metersOf(t)
	fails := func(err error) { t.Error(err) }
	ours, theirs := workerOf(newMetricsHandler(meter, mostCached, fails)), workerOf(sdkHandler(meter, fails))
	few := testing.AllocsPerRun(100, func() { recordTask(ours) })
	many := testing.AllocsPerRun(100, func() { recordTask(theirs) })
	require.Less(t, few, many/3, "allocations of a task, with this handler and with the SDK's")
}

// BenchmarkMetricsHandler measures the handler and the SDK's in turns, and reports their ratio.
func BenchmarkMetricsHandler(b *testing.B) {
	meter, _ := metersOf(b)
	fails := func(err error) { b.Error(err) }
	ours, theirs := workerOf(newMetricsHandler(meter, mostCached, fails)), workerOf(sdkHandler(meter, fails))
	var our, their time.Duration
	for b.Loop() {
		began := time.Now()
		recordTask(ours)
		between := time.Now()
		recordTask(theirs)
		our, their = our+between.Sub(began), their+time.Since(between)
	}
	b.ReportMetric(float64(their)/float64(our), "times-faster")
	b.ReportMetric(testing.AllocsPerRun(100, func() { recordTask(ours) }), "allocs/task")
	b.ReportMetric(testing.AllocsPerRun(100, func() { recordTask(theirs) }), "sdk-allocs/task")
}
