package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
)

// Telemetry configures the metrics, traces and logs of a program.
type Telemetry struct {
	// Metrics is BATON_METRICS: the address of /metrics, /healthz and /readyz, such as 127.0.0.1:9090; empty serves
	// none of them.
	Metrics string
	// Traces is set if OpenTelemetry's variables name an endpoint for traces.
	Traces bool
	// LogLevel is BATON_LOG_LEVEL.
	LogLevel slog.Level
}

// LoadTelemetry reads BATON_METRICS and BATON_LOG_LEVEL, and whether OpenTelemetry's own variables (OTEL_*) turn on
// traces.
func LoadTelemetry(getenv func(string) string) (Telemetry, error) {
	t := Telemetry{Metrics: getenv("BATON_METRICS")}
	if t.Metrics != "" {
		if _, _, err := net.SplitHostPort(t.Metrics); err != nil {
			return t, fmt.Errorf("BATON_METRICS is %q: set it to an address and a port, as 127.0.0.1:9090", t.Metrics)
		}
	}
	switch level := strings.ToLower(getenv("BATON_LOG_LEVEL")); level {
	case "", "info":
	case "debug":
		t.LogLevel = slog.LevelDebug
	case "warn":
		t.LogLevel = slog.LevelWarn
	case "error":
		t.LogLevel = slog.LevelError
	default:
		return t, fmt.Errorf("BATON_LOG_LEVEL is %q: set it to debug, info, warn or error", level)
	}
	var err error
	t.Traces, err = loadTraces(getenv)
	return t, err
}

// loadTraces reports whether traces are sent: an endpoint is set, and no variable turns them off.
func loadTraces(getenv func(string) string) (bool, error) {
	named := getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
	if !named || strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") || getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false, nil
	}
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"} {
		if getenv(variable) == "grpc" {
			return false, errors.New(variable + " is grpc, and Baton sends http/protobuf: unset it, and name the collector's HTTP port, 4318 as a rule")
		}
	}
	return true, nil
}
