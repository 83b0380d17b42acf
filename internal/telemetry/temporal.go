package telemetry

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.temporal.io/sdk/client"
)

// mostCached is how many handlers and instruments of Temporal's metrics are kept, each in about a kilobyte. The SDK
// and workflows use some hundreds, and one more for each queue and channel. Those beyond are made anew with each use.
const mostCached = 10_000

// metricsHandler records the metrics of the Temporal SDK and of workflows with these attributes, as the SDK's own
// handler for OpenTelemetry does. The SDK asks for the same tags and instruments with every task and call. That
// handler makes a set of attributes each time, which sorts and hashes them: it was a sixth of what a worker
// allocates. This one makes each set and each instrument once. It is safe for concurrent use.
type metricsHandler struct {
	source     *metricsSource
	attributes attribute.Set

	mutex    sync.RWMutex
	children map[string]*metricsHandler
	counters map[string]client.MetricsCounter
	gauges   map[string]client.MetricsGauge
	timers   map[string]client.MetricsTimer
}

// metricsSource is what all handlers of a process share.
type metricsSource struct {
	meter   metric.Meter
	onError func(error)
	// most is how many handlers and instruments are kept, made how many there were to keep.
	most int64
	made atomic.Int64
}

func newMetricsHandler(meter metric.Meter, most int64, onError func(error)) client.MetricsHandler {
	return &metricsHandler{source: &metricsSource{meter: meter, most: most, onError: onError}}
}

// WithTags implements [client.MetricsHandler].
func (h *metricsHandler) WithTags(tags map[string]string) client.MetricsHandler {
	var room [256]byte // enough for most, so that a lookup allocates nothing
	key := appendTags(room[:0], tags)
	h.mutex.RLock()
	child, ok := h.children[string(key)]
	h.mutex.RUnlock()
	if ok {
		return child
	}
	return kept(h, &h.children, string(key), func() *metricsHandler {
		attributes := h.attributes.ToSlice()
		for name, value := range tags {
			attributes = append(attributes, attribute.String(name, value))
		}
		return &metricsHandler{source: h.source, attributes: attribute.NewSet(attributes...)}
	})
}

// appendTags appends a key that differs for different tags: names in order, each text after its length.
func appendTags(key []byte, tags map[string]string) []byte {
	var room [8]string
	names := room[:0]
	for name := range tags {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, text := range [...]string{name, tags[name]} {
			key = binary.AppendUvarint(key, uint64(len(text)))
			key = append(key, text...)
		}
	}
	return key
}

// kept returns what the map has under the key. If it has nothing, it makes that, and keeps it while there is room.
func kept[T any](h *metricsHandler, in *map[string]T, key string, build func() T) T {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if before, ok := (*in)[key]; ok {
		return before
	}
	built := build()
	if h.source.made.Add(1) > h.source.most {
		return built
	}
	if *in == nil {
		*in = map[string]T{}
	}
	(*in)[key] = built
	return built
}

// find returns what the map has under the key, as [kept] does. It blocks no other reader.
func find[T any](h *metricsHandler, in *map[string]T, key string, build func() T) T {
	h.mutex.RLock()
	found, ok := (*in)[key]
	h.mutex.RUnlock()
	if ok {
		return found
	}
	return kept(h, in, key, build)
}

// Counter implements [client.MetricsHandler].
func (h *metricsHandler) Counter(name string) client.MetricsCounter {
	return find(h, &h.counters, name, func() client.MetricsCounter {
		instrument, err := h.source.meter.Int64Counter(name)
		if err != nil {
			h.source.onError(err)
			return client.MetricsNopHandler.Counter(name)
		}
		return &counter{instrument, []metric.AddOption{metric.WithAttributeSet(h.attributes)}}
	})
}

// Gauge implements [client.MetricsHandler].
func (h *metricsHandler) Gauge(name string) client.MetricsGauge {
	return find(h, &h.gauges, name, func() client.MetricsGauge {
		instrument, err := h.source.meter.Float64Gauge(name)
		if err != nil {
			h.source.onError(err)
			return client.MetricsNopHandler.Gauge(name)
		}
		return &gauge{instrument, []metric.RecordOption{metric.WithAttributeSet(h.attributes)}}
	})
}

// Timer implements [client.MetricsHandler].
func (h *metricsHandler) Timer(name string) client.MetricsTimer {
	return find(h, &h.timers, name, func() client.MetricsTimer {
		instrument, err := h.source.meter.Float64Histogram(name, metric.WithUnit("s"))
		if err != nil {
			h.source.onError(err)
			return client.MetricsNopHandler.Timer(name)
		}
		return &timer{instrument, []metric.RecordOption{metric.WithAttributeSet(h.attributes)}}
	})
}

type counter struct {
	instrument metric.Int64Counter
	options    []metric.AddOption
}

// Inc implements [client.MetricsCounter].
func (c *counter) Inc(by int64) { c.instrument.Add(context.Background(), by, c.options...) }

type gauge struct {
	instrument metric.Float64Gauge
	options    []metric.RecordOption
}

// Update implements [client.MetricsGauge].
func (g *gauge) Update(to float64) { g.instrument.Record(context.Background(), to, g.options...) }

type timer struct {
	instrument metric.Float64Histogram
	options    []metric.RecordOption
}

// Record implements [client.MetricsTimer].
func (t *timer) Record(took time.Duration) {
	t.instrument.Record(context.Background(), took.Seconds(), t.options...)
}
