package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"

	"github.com/baton-transfers/baton/internal/desk"
)

// Options configure [Start].
type Options struct {
	// Program is worker or gateway, Version the version of its build.
	Program, Version string
	// Metrics is the address to serve /metrics, /healthz and /readyz on; empty serves none of them.
	Metrics string
	// Traces turns on the export of spans, configured by OpenTelemetry's own variables (OTEL_*).
	Traces bool
	Logger *slog.Logger
}

// Telemetry holds the metrics, spans and health of a process. It is safe for concurrent use.
type Telemetry struct {
	// URL is where metrics and health are served; empty if they are not.
	URL string
	// Health is the health of the process. Each part of the process registers itself there.
	Health *Health

	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *metrics
	meters   *sdkmetric.MeterProvider
	spans    *sdktrace.TracerProvider
	server   *http.Server
	served   chan struct{}
}

// tracerName is the instrumentation scope of the spans and meters.
const tracerName = "github.com/baton-transfers/baton"

// Quiet returns the telemetry of a process that serves no metrics and exports no spans; it only logs.
func Quiet(log *slog.Logger) *Telemetry {
	registry := prometheus.NewRegistry()
	return &Telemetry{Health: NewHealth(log), log: log, registry: registry, metrics: newMetrics(registry)}
}

// Start starts the telemetry of a process. It serves metrics and exports spans only if the options ask for it. End
// it with [Telemetry.Stop].
func Start(ctx context.Context, o Options) (_ *Telemetry, err error) {
	t := Quiet(o.Logger)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("telemetry not sent", "error", err) }))
	if o.Traces {
		if t.spans, err = newTracerProvider(ctx, o); err != nil {
			return nil, err
		}
		otel.SetTracerProvider(t.spans)
		otel.SetTextMapPropagator(propagator)
	}
	if o.Metrics == "" {
		return t, nil
	}
	t.registry.MustRegister(newBuildInfo(o), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if t.meters, err = newMeterProvider(t.registry); err != nil {
		return nil, err
	}
	if err := t.serve(ctx, o.Metrics); err != nil {
		return nil, err
	}
	return t, nil
}

func newTracerProvider(ctx context.Context, o Options) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("export traces as OTEL_EXPORTER_OTLP_* say: %w", err)
	}
	// The environment (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) comes last, and so takes precedence.
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.namespace", "baton"), attribute.String("service.name", "baton-"+o.Program),
		attribute.String("service.version", cmp.Or(o.Version, "unknown")),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described)), nil
}

// serve serves metrics and probes on a port of their own, which only operators should reach.
func (t *Telemetry) serve(ctx context.Context, address string) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics on %s: choose another address with BATON_METRICS: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.InstrumentMetricHandler(t.registry, promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelWarn), ErrorHandling: promhttp.ContinueOnError, Registry: t.registry,
	})))
	t.Health.Register(mux)
	t.URL = "http://" + listener.Addr().String()
	t.served = make(chan struct{})
	t.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: serverPatience, ReadTimeout: serverPatience, WriteTimeout: 2 * serverPatience,
		ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(t.served)
		if err := t.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.log.Error("metrics server ended", "error", err)
		}
	}()
	return nil
}

const (
	// serverPatience bounds the time to read a request for metrics.
	serverPatience = 5 * time.Second
	// flush bounds the time to send the remaining spans.
	flush = 3 * time.Second
)

// Stop sends the remaining spans, within three seconds, and stops the server.
func (t *Telemetry) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flush)
	defer cancel()
	var errs []error
	if t.server != nil {
		errs = append(errs, t.server.Shutdown(ctx))
		<-t.served
	}
	if t.meters != nil {
		errs = append(errs, t.meters.Shutdown(ctx))
	}
	if t.spans != nil {
		if err := t.spans.Shutdown(ctx); err != nil { // an unavailable collector is not a failure of the process
			t.log.WarnContext(ctx, "last spans not sent", "error", err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop serving metrics: %w", err)
	}
	return nil
}

// Interceptors returns the interceptors for the process's Temporal client; a worker of that client uses them too.
func (t *Telemetry) Interceptors() []interceptor.ClientInterceptor {
	all := []interceptor.ClientInterceptor{&naming{}}
	if t.spans != nil {
		all = append(all, &tracing{tracer: t.tracer()})
	}
	return all
}

// Temporal returns the handler for the metrics of the process's Temporal client and worker; nil if metrics are off.
func (t *Telemetry) Temporal() client.MetricsHandler {
	if t.meters == nil {
		return nil
	}
	return newMetricsHandler(t.meters.Meter(tracerName), mostCached, func(err error) { t.log.Warn("Temporal metric not recorded", "error", err) })
}

// Watch adds metrics of the desk's backlog, which are read from the desk when metrics are collected.
func (t *Telemetry) Watch(d *desk.Desk) {
	t.registry.MustRegister(newBacklog(d, t.log))
}

// tracer returns the tracer for all spans. It discards them if traces are off.
func (t *Telemetry) tracer() trace.Tracer {
	if t.spans == nil {
		return noop.NewTracerProvider().Tracer(tracerName)
	}
	return t.spans.Tracer(tracerName)
}
