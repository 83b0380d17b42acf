package telemetry

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/workflows"
)

// TestAReplayMakesNoSpans replays every recorded history with traces on. The replay must succeed as without traces,
// and make no second spans.
func TestAReplayMakesNoSpans(t *testing.T) {
	t.Parallel()
	histories, err := filepath.Glob("../../workflows/testdata/histories/*.json")
	require.NoError(t, err)
	require.Greater(t, len(histories), 70)
	spans := tracetest.NewSpanRecorder()
	traces := &tracing{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")}
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{ //nolint:forbidigo // the only replayer with traces
		Interceptors: []interceptor.WorkerInterceptor{traces, workflows.Interceptor(converter.GetDefaultDataConverter())},
	})
	require.NoError(t, err)
	workflows.Register(replayer)
	quiet := log.NewStructuredLogger(slog.New(slog.DiscardHandler))
	for _, history := range histories {
		require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(quiet, history), history)
	}
	require.Empty(t, spans.Started())
}
