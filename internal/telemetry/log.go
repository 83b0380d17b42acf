package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger returns a logger that writes lines of JSON from that level on. What is logged with the context of a
// span has its trace_id and span_id.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

// traced adds the context's trace to what is logged.
type traced struct{ slog.Handler }

// Handle implements [slog.Handler].
func (t traced) Handle(ctx context.Context, record slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		record.AddAttrs(slog.String(keyTrace, span.TraceID().String()), slog.String(keySpan, span.SpanID().String()))
	}
	return t.Handler.Handle(ctx, record) //nolint:wrapcheck // a handler in between
}

// WithAttrs implements [slog.Handler].
func (t traced) WithAttrs(attributes []slog.Attr) slog.Handler {
	return traced{t.Handler.WithAttrs(attributes)}
}

// WithGroup implements [slog.Handler].
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }

// What a line is found by.
const (
	keyTrace        = "trace_id"
	keySpan         = "span_id"
	keyRequest      = "request_id"
	keyConversation = "conversation"
	keyTask         = "task"
	keyTransfer     = "transfer"
	keyOfKey        = "key"
)
