package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// alertFile is a file of Prometheus alert rules.
type alertFile struct {
	Groups []struct {
		Name  string  `yaml:"name"`
		Rules []alert `yaml:"rules"`
	} `yaml:"groups"`
}

type alert struct {
	Alert       string            `yaml:"alert"`
	Expression  string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

// runbook is the target of each alert's link.
const runbook = "docs/observability.md#"

// ofLabels finds the labels that an annotation uses.
var ofLabels = regexp.MustCompile(`\$labels\.(\w+)`)

// checkAlerts returns the number of alerts, and an error for everything that is wrong with them.
func (k *known) checkAlerts(file, document string) (count int, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read the alerts: %w", err)
	}
	headings, err := headingsOf(document)
	if err != nil {
		return 0, err
	}
	var rules alertFile
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	var wrong []error
	seen := map[string]bool{}
	for _, group := range rules.Groups {
		for _, a := range group.Rules {
			count++
			if seen[a.Alert] {
				wrong = append(wrong, fmt.Errorf("alert %s: there are two of that name", a.Alert))
			}
			seen[a.Alert] = true
			wrong = append(wrong, k.checkAlert(a, headings))
		}
	}
	if count == 0 {
		wrong = append(wrong, fmt.Errorf("%s has no alerts", file))
	}
	return count, errors.Join(wrong...)
}

func (k *known) checkAlert(a alert, headings map[string]bool) error {
	labels, err := k.check(a.Expression)
	wrong := []error{err}
	if d, err := time.ParseDuration(a.For); err != nil || d <= 0 {
		wrong = append(wrong, fmt.Errorf("for is %q: say for how long it has to be the case, as 5m", a.For))
	}
	if severity := a.Labels["severity"]; severity != "page" && severity != "ticket" {
		wrong = append(wrong, fmt.Errorf("the severity is %q: page or ticket", severity))
	}
	if a.Annotations["summary"] == "" {
		wrong = append(wrong, errors.New("there is no summary"))
	}
	_, anchor, found := strings.Cut(a.Annotations["runbook_url"], runbook)
	if !found || anchor != strings.ToLower(a.Alert) || !headings[anchor] {
		wrong = append(wrong, fmt.Errorf("the runbook_url has to end in %s%s, which has to be a heading there", runbook, strings.ToLower(a.Alert)))
	}
	for _, annotation := range a.Annotations {
		for _, named := range ofLabels.FindAllStringSubmatch(annotation, -1) {
			if !labels[named[1]] {
				wrong = append(wrong, fmt.Errorf("an annotation names the label %s, which the expression hasn't", named[1]))
			}
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("alert %s: %w", a.Alert, err)
	}
	return nil
}

// headingsOf returns the anchors of a Markdown document's one-word headings.
func headingsOf(document string) (map[string]bool, error) {
	content, err := os.ReadFile(document)
	if err != nil {
		return nil, fmt.Errorf("read the runbook: %w", err)
	}
	headings := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimLeft(line, "#")), ""); ok && strings.HasPrefix(line, "#") {
			headings[strings.ToLower(heading)] = true
		}
	}
	return headings, nil
}
