package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const exposition = `# TYPE baton_commands_total counter
baton_commands_total{command="transfer",code="none"} 1
# TYPE baton_desk_up gauge
baton_desk_up 1
# TYPE baton_http_request_seconds histogram
baton_http_request_seconds_bucket{route="GET /",le="1"} 1
baton_http_request_seconds_bucket{route="GET /",le="+Inf"} 1
baton_http_request_seconds_sum{route="GET /"} 1
baton_http_request_seconds_count{route="GET /"} 1
`

const rule = `groups:
  - name: baton
    rules:
      - alert: BatonDeskAway
        expr: min(baton_desk_up) == 0
        for: 1m
        labels: {severity: page}
        annotations:
          summary: The desk is away.
          runbook_url: https://example.com/docs/observability.md#batondeskaway
`

const board = `{"uid":"baton","title":"Baton","panels":[{"id":1,"type":"row","title":"Is it healthy?"},
	{"id":2,"type":"timeseries","title":"Slow","targets":[{"expr":"histogram_quantile(0.95, sum by (le, route) (rate(baton_http_request_seconds_bucket[$__rate_interval])))","legendFormat":"{{route}}"}]}]}`

// TestChecks checks that correct files pass, and that the error names each mistake.
func TestChecks(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name                string
		inAlerts, inBoard   bool
		right, wrong, wants string
	}{
		{name: "everything is right"},
		{"an unknown metric", true, false, "baton_desk_up)", "baton_desk_upp)", "there is no metric baton_desk_upp"},
		{"an unknown label", true, false, "baton_desk_up)", "baton_desk_up{queue=\"x\"})", "baton_desk_up has no label queue"},
		{"an unknown label to sum by", true, false, "min(baton_desk_up)", "min by (queue) (baton_desk_up)", "nothing in it has the label queue"},
		{"no expression", true, false, "== 0", "=== 0", "can't be parsed"},
		{"no time", true, false, "for: 1m", "for: soon", "say for how long"},
		{"another severity", true, false, "severity: page", "severity: high", "page or ticket"},
		{"no summary", true, false, "The desk is away.", "''", "there is no summary"},
		{"no such runbook", true, false, "#batondeskaway", "#batondeskgone", "runbook_url has to end in"},
		{"a label in the summary", true, false, "The desk is away.", "'{{ $labels.queue }} waits'", "names the label queue"},
		{"a field that isn't known", true, false, "for: 1m", "fore: 1m", "field fore not found"},
		{"an unknown metric in a panel", false, true, "baton_http_request_seconds_bucket", "baton_http_seconds_bucket", "there is no metric baton_http_seconds_bucket"},
		{"an unknown label in a legend", false, true, "{{route}}", "{{path}}", "the legend names the label path"},
		{"two panels of one id", false, true, `"id":2`, `"id":1`, "another has its id 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			alerts, dashboard := rule, board
			if test.inAlerts {
				alerts = strings.Replace(rule, test.right, test.wrong, 1)
			}
			if test.inBoard {
				dashboard = strings.Replace(board, test.right, test.wrong, 1)
			}
			err := run([]string{
				"--metrics", write(t, "metrics.txt", exposition), "--alerts", write(t, "alerts.yaml", alerts),
				"--dashboard", write(t, "baton.json", dashboard), "--runbook", write(t, "observability.md", "## Alerts\n\n### BatonDeskAway\n"),
			}, io.Discard)
			switch {
			case test.wants == "" && err != nil:
				t.Fatal(err)
			case test.wants != "" && (err == nil || !strings.Contains(err.Error(), test.wants)):
				t.Fatalf("said %v, and not %q", err, test.wants)
			}
		})
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
