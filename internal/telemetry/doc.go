// Package telemetry reports what a process does: metrics for Prometheus, traces through OpenTelemetry, logs with
// trace IDs, and whether the process is alive and ready. docs/observability.md documents all of it.
//
// Spans, labels and log lines hold SIDs, codes, routes, and names of queues and commands. The span and the log line
// of a request also have the request's ID, and the log line the client's network address. None of them holds what
// people wrote: no texts, customers, attributes or other headers. A span holds the type of an error and not its
// message, which may quote such text.
//
// Must not import: other packages of Baton than activities, conversation, desk, internal/forwarded and workflows.
// It makes no decisions.
//
// Where to look:
//   - telemetry.go: starting and stopping, and the server of /metrics, /healthz and /readyz.
//   - trace.go: the spans of Temporal clients and workers. http.go: the span, log line and metrics of a request.
//   - metrics.go: metrics that are counted when something happens. backlog.go: metrics that are read from the desk.
//   - temporal.go: the metrics of the Temporal SDK and of workflows.
//   - health.go: liveness and readiness. log.go: the logger.
package telemetry
