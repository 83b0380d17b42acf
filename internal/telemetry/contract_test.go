package telemetry

import (
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/internal/contract"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
)

// described matches the text of a metric description of Prometheus's client.
var described = regexp.MustCompile(`^Desc\{fqName: "(baton_\w+)",.* constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)

// TestContract pins the metrics of a worker or gateway process. Workflows record two of them, and the contract of
// that package has their names without the suffixes that they get here.
func TestContract(t *testing.T) {
	t.Parallel()
	served, err := Start(t.Context(), Options{Program: "worker", Metrics: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, served.Stop(t.Context())) })
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	served.Watch(d)
	served.Streams(func() int { return 0 })
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		served.registry.Describe(descriptions)
	}()
	var lines []string
	for description := range descriptions {
		if parts := described.FindStringSubmatch(description.String()); parts != nil {
			constant := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(parts[2], "")
			labels := slices.DeleteFunc(strings.Split(constant+","+parts[3], ","), func(label string) bool { return label == "" })
			lines = append(lines, strings.Join(append([]string{"metric", parts[1]}, labels...), " "))
		}
	}
	served.Transaction(desk.Transaction{})
	served.Webhook("delivered", time.Second)
	served.metrics.request("GET /", http.StatusOK, time.Second, false)
	served.Temporal().Counter("baton_commands").Inc(1)
	served.Temporal().Timer("baton_time_to_accept").Record(time.Second)
	families, err := served.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "baton_") {
			lines = append(lines, "type "+family.GetName()+" "+strings.ToLower(family.GetType().String()))
		}
	}
	contract.Check(t, lines)
}
