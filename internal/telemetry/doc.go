// Package telemetry tells operators how Baton does: metrics for Prometheus, traces by OpenTelemetry, logs with the
// trace they belong to, and whether a process is alive and ready. docs/observability.md is its documentation.
//
// What may not come in: decisions, and whatever a person wrote. Spans, labels and log lines hold SIDs, codes, names
// of queues and commands; never a text, a customer, an attribute, a header or an error's words that might quote one.
//
// Where to look:
//   - telemetry.go: what a process starts; serve.go: where /metrics, /healthz and /readyz are answered.
//   - trace.go: Temporal's part of a trace; http.go: that of a request, and its line in the log.
//   - metrics.go: what is counted as it happens; backlog.go: what is read from the desk.
//   - health.go: alive and ready; log.go: the logs.
package telemetry
