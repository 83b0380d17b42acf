package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/baton-transfers/baton/internal/desk"
)

// metrics holds the metrics that are counted when something happens. The metrics of conversations go through the
// worker's SDK: see workflows/counted.go. The metrics of the desk are read on collection: see backlog.go.
type metrics struct {
	requests     *prometheus.CounterVec
	requestTook  *prometheus.HistogramVec
	transactions *prometheus.HistogramVec
	retries      *prometheus.CounterVec
	webhooks     *prometheus.HistogramVec
	forwarded    prometheus.Counter
	repaired     *prometheus.CounterVec
}

// Histogram buckets in seconds: for operations of milliseconds, and for actions of people.
var (
	quick = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	slow  = []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400}
)

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "baton_http_requests_total", Help: "Requests answered, by route and status.",
		}, []string{"route", "status"}),
		requestTook: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "baton_http_request_seconds", Help: "How long requests took, by route; streams of the pages apart.", Buckets: quick,
		}, []string{"route"}),
		transactions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "baton_desk_transaction_seconds", Help: "How long transactions of the desk took, with their retries.", Buckets: quick,
		}, []string{"kind", "outcome"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "baton_desk_transaction_retries_total", Help: "Tries of transactions that others were in the way of.",
		}, []string{"kind"}),
		webhooks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "baton_webhook_delivery_seconds", Help: "How long tries to deliver a webhook took, by how they ended.", Buckets: quick,
		}, []string{"outcome"}),
		forwarded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "baton_http_forwarded_ignored_total", Help: "Requests with a forwarded header that was not read: the peer is not in BATON_TRUSTED_PROXIES.",
		}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "baton_conversations_repaired_total",
			Help: "Comparisons that found a conversation different at the desk, by outcome.",
		}, []string{"outcome"}),
	}
	registry.MustRegister(m.requests, m.requestTook, m.transactions, m.retries, m.webhooks, m.forwarded, m.repaired)
	for _, kind := range []string{kindRead, kindWrite} { // present from the start, so that rates begin at 0
		m.retries.WithLabelValues(kind)
	}
	for _, outcome := range []string{"resynced", "ended", "released", "differs"} {
		m.repaired.WithLabelValues(outcome)
	}
	return m
}

// newBuildInfo returns a gauge labeled with the program and its build.
func newBuildInfo(o Options) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "baton_build_info", Help: "1, with the program and its build.",
		ConstLabels: prometheus.Labels{"program": o.Program, "version": o.Version},
	}, func() float64 { return 1 })
}

const (
	kindRead  = "read"
	kindWrite = "write"
)

// Transaction counts a transaction of the desk, with its duration and retries.
func (t *Telemetry) Transaction(done desk.Transaction) {
	kind := kindRead
	if done.Write {
		kind = kindWrite
	}
	t.metrics.transactions.WithLabelValues(kind, string(done.Outcome)).Observe(done.Took.Seconds())
	t.metrics.retries.WithLabelValues(kind).Add(float64(done.Retries))
}

// ForwardedIgnored counts a request with an ignored forwarded header.
func (t *Telemetry) ForwardedIgnored() { t.metrics.forwarded.Inc() }

// Webhook counts an attempt to deliver a webhook. The outcome is delivered, failed or dead.
func (t *Telemetry) Webhook(outcome string, took time.Duration) {
	t.metrics.webhooks.WithLabelValues(outcome).Observe(took.Seconds())
}

// Repaired counts a comparison that found a difference between a conversation and the desk. The outcome is
// resynced, ended or released after a repair, and differs without one.
func (t *Telemetry) Repaired(outcome string) { t.metrics.repaired.WithLabelValues(outcome).Inc() }

// Streams adds a gauge of the open pages that receive changes.
func (t *Telemetry) Streams(open func() int) {
	t.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "baton_page_streams", Help: "Pages that are open and told of changes.",
	}, func() float64 { return float64(open()) }))
}

func (m *metrics) request(route string, status int, took time.Duration, stream bool) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if !stream {
		m.requestTook.WithLabelValues(route).Observe(took.Seconds())
	}
}

// newMeterProvider returns the provider for the metrics of the Temporal SDK and of workflows.
func newMeterProvider(registry *prometheus.Registry) (*sdkmetric.MeterProvider, error) {
	reader, err := exporter.New(exporter.WithRegisterer(registry), exporter.WithoutScopeInfo(), exporter.WithoutTargetInfo(),
		exporter.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes))
	if err != nil {
		return nil, fmt.Errorf("export Temporal's metrics: %w", err)
	}
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithView(bounds)), nil
}

// bounds sets histogram buckets in seconds; OpenTelemetry's defaults are for milliseconds.
func bounds(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
	if i.Kind != sdkmetric.InstrumentKindHistogram {
		return sdkmetric.Stream{}, false
	}
	boundaries := quick
	if strings.HasPrefix(i.Name, "baton_") || strings.Contains(i.Name, "endtoend") {
		boundaries = slow
	}
	return sdkmetric.Stream{
		Name: i.Name, Description: i.Description, Unit: i.Unit,
		Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: boundaries},
	}, true
}
