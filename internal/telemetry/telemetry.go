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
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"

	"github.com/baton-transfers/baton/desk"
)

// Options say what a process tells, and where.
type Options struct {
	// Program is worker or gateway, Version its build's.
	Program, Version string
	// Metrics is the address of /metrics, /healthz and /readyz; none of them is served where it is empty.
	Metrics string
	// Traces is set where spans are exported, as OpenTelemetry's own variables (OTEL_*) say.
	Traces bool
	Logger *slog.Logger
}

// Telemetry is what a process tells of itself. It is safe for concurrent use.
type Telemetry struct {
	// URL is where metrics and health are served, empty where they aren't.
	URL string
	// Health is the process's; who runs a part adds it.
	Health *Health

	log      *slog.Logger
	registry *prometheus.Registry
	metrics  *metrics
	meters   *sdkmetric.MeterProvider
	spans    *sdktrace.TracerProvider
	server   *http.Server
	served   chan struct{}
}

// tracerName is whose spans they are.
const tracerName = "github.com/baton-transfers/baton"

// Quiet returns the telemetry of a process that tells nothing but what it logs.
func Quiet(log *slog.Logger) *Telemetry {
	registry := prometheus.NewRegistry()
	return &Telemetry{Health: NewHealth(log), log: log, registry: registry, metrics: newMetrics(registry)}
}

// Start begins to tell. Nothing is listened on or exported where the options don't ask for it. [Telemetry.Stop] ends it.
func Start(ctx context.Context, o Options) (_ *Telemetry, err error) {
	t := Quiet(o.Logger)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("Telemetry could not be sent", "error", err) }))
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
	// What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) comes last, and so wins.
	described, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.namespace", "baton"), attribute.String("service.name", "baton-"+o.Program),
		attribute.String("service.version", cmp.Or(o.Version, "unknown")),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(described)), nil
}

// serve answers metrics and probes on a port of their own, which is nobody's but the operator's.
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
			t.log.Error("Metrics are no longer served", "error", err)
		}
	}()
	return nil
}

const (
	// serverPatience is how long who asks for metrics may take for the request.
	serverPatience = 5 * time.Second
	// flush is how long the last spans may take to be sent.
	flush = 3 * time.Second
)

// Stop sends what has not been sent yet, within three seconds, and ends everything.
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
		if err := t.spans.Shutdown(ctx); err != nil { // a collector that is away is no reason to fail
			t.log.WarnContext(ctx, "The last spans could not be sent", "error", err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop serving metrics: %w", err)
	}
	return nil
}

// Interceptors are those of the process's Temporal client, which its worker takes over.
func (t *Telemetry) Interceptors() []interceptor.ClientInterceptor {
	all := []interceptor.ClientInterceptor{&naming{}}
	if t.spans != nil {
		all = append(all, &tracing{tracer: t.tracer()})
	}
	return all
}

// Temporal takes the metrics of the process's Temporal client and worker; nil where nobody asks for them.
func (t *Telemetry) Temporal() client.MetricsHandler {
	if t.meters == nil {
		return nil
	}
	return opentelemetry.NewMetricsHandler(opentelemetry.MetricsHandlerOptions{
		Meter: t.meters.Meter(tracerName), UseMonotonicCounters: true,
		OnError: func(err error) { t.log.Warn("A metric of Temporal's can't be kept", "error", err) },
	})
}

// Watch has the desk's backlog read when metrics are asked for.
func (t *Telemetry) Watch(d *desk.Desk) {
	t.registry.MustRegister(newBacklog(d, t.log))
}

// tracer makes spans, which go nowhere where traces are off.
func (t *Telemetry) tracer() trace.Tracer {
	if t.spans == nil {
		return noop.NewTracerProvider().Tracer(tracerName)
	}
	return t.spans.Tracer(tracerName)
}
