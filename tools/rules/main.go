// Command rules checks the alerts and the dashboard against the metrics of a running worker and gateway: Prometheus's
// parser accepts each expression, each metric and each label in it exists, and each alert has a duration, a severity
// and a link to the runbook. It is a separate module, so that Baton does not depend on Prometheus's parser.
//
//	rules --metrics worker.txt --metrics gateway.txt --alerts alerts.yaml --dashboard baton.json --runbook observability.md
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// files is the value of a flag that may be repeated.
type files []string

// String implements [flag.Value].
func (f *files) String() string { return strings.Join(*f, ",") }

// Set implements [flag.Value].
func (f *files) Set(name string) error {
	*f = append(*f, name)
	return nil
}

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("rules", flag.ContinueOnError)
	var exposed files
	flags.Var(&exposed, "metrics", "a file with what /metrics has answered; may be given several times")
	alerts := flags.String("alerts", "", "the file of alert rules")
	dashboard := flags.String("dashboard", "", "the file of the dashboard")
	runbook := flags.String("runbook", "", "the document with a heading for each alert")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	k := &known{labels: map[string]map[string]bool{}}
	for _, file := range exposed {
		if err := k.read(file); err != nil {
			return err
		}
	}
	if len(k.labels) == 0 {
		return errors.New("no metrics: name files with --metrics")
	}
	checkedAlerts, err := k.checkAlerts(*alerts, *runbook)
	if err != nil {
		return err
	}
	checkedPanels, err := k.checkDashboard(*dashboard)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d alerts and %d expressions of the dashboard hold against %d metrics\n", checkedAlerts, checkedPanels, len(k.labels))
	return err
}

// known holds the existing metrics with their labels.
type known struct{ labels map[string]map[string]bool }

// scraped are the labels that Prometheus adds to every target.
var scraped = []string{"job", "instance"}

func (k *known) read(file string) error {
	opened, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	defer func() { _ = opened.Close() }()
	text := expfmt.NewTextParser(model.UTF8Validation)
	families, err := text.TextToMetricFamilies(opened)
	if err != nil {
		return fmt.Errorf("read the metrics in %s: %w", file, err)
	}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetType() == dto.MetricType_HISTOGRAM {
				k.add(name+"_bucket", metric, "le")
				k.add(name+"_sum", metric)
				k.add(name+"_count", metric)
				continue
			}
			k.add(name, metric)
		}
	}
	k.labels["up"] = map[string]bool{"job": true, "instance": true} // Prometheus itself adds this metric
	return nil
}

func (k *known) add(name string, metric *dto.Metric, more ...string) {
	labels := k.labels[name]
	if labels == nil {
		labels = map[string]bool{}
		k.labels[name] = labels
	}
	for _, label := range metric.GetLabel() {
		labels[label.GetName()] = true
	}
	for _, label := range slices.Concat(scraped, more) {
		labels[label] = true
	}
}

// check returns the labels that the expression's result may have, or an error that says what is wrong with it.
func (k *known) check(expression string) (labels map[string]bool, err error) {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return nil, fmt.Errorf("%q can't be parsed: %w", expression, err)
	}
	labels = map[string]bool{}
	var wrong []error
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		there, ok := k.labels[selector.Name]
		if !ok {
			wrong = append(wrong, fmt.Errorf("%q: there is no metric %s", expression, selector.Name))
			return nil
		}
		maps.Copy(labels, there)
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != model.MetricNameLabel && !there[matcher.Name] {
				wrong = append(wrong, fmt.Errorf("%q: %s has no label %s", expression, selector.Name, matcher.Name))
			}
		}
		return nil
	})
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		var named []string
		switch n := node.(type) {
		case *parser.AggregateExpr:
			named = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				named = slices.Concat(n.VectorMatching.MatchingLabels, n.VectorMatching.Include)
			}
		}
		for _, label := range named {
			if !labels[label] {
				wrong = append(wrong, fmt.Errorf("%q: nothing in it has the label %s", expression, label))
			}
		}
		return nil
	})
	return labels, errors.Join(wrong...)
}
