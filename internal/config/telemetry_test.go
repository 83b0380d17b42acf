package config_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/config"
)

func TestTelemetry(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		environment map[string]string
		want        config.Telemetry
		wrong       string
	}{
		{name: "nothing is reported by default"},
		{
			name:        "everything",
			environment: map[string]string{"BATON_METRICS": ":9090", "BATON_LOG_LEVEL": "Debug", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
			want:        config.Telemetry{Metrics: ":9090", Traces: true, LogLevel: slog.LevelDebug},
		},
		{
			name:        "an endpoint for traces alone",
			environment: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces", "BATON_LOG_LEVEL": "warn"},
			want:        config.Telemetry{Traces: true, LogLevel: slog.LevelWarn},
		},
		{name: "traces turned off", environment: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}},
		{name: "OpenTelemetry turned off", environment: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}},
		{name: "no address", environment: map[string]string{"BATON_METRICS": "9090"}, wrong: "set it to an address and a port"},
		{name: "no level", environment: map[string]string{"BATON_LOG_LEVEL": "loud"}, wrong: "debug, info, warn or error"},
		{
			name:        "another protocol",
			environment: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
			wrong:       "name the collector's HTTP port",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := config.LoadTelemetry(func(name string) string { return test.environment[name] })
			if test.wrong != "" {
				require.ErrorContains(t, err, test.wrong)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}
