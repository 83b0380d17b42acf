package telemetry

import (
	"context"
	"io"
	"log/slog"

	"go.opentelemetry.io/otel/trace"
)

// NewLogger returns a logger that writes lines of JSON from the given level up. A line that is logged with the
// context of a span has the span's trace_id and span_id.
func NewLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(traced{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})})
}

// traced adds the trace of the context to each record.
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

// The attributes to search log lines by.
const (
	keyTrace        = "trace_id"
	keySpan         = "span_id"
	keyRequest      = "request_id"
	keyConversation = "conversation"
	keyTask         = "task"
	keyTransfer     = "transfer"
	keyOfKey        = "key"
)
