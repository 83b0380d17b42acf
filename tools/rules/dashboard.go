package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// dashboard is the part of Grafana's model that is checked.
type dashboard struct {
	Title  string  `json:"title"`
	UID    string  `json:"uid"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID      int    `json:"id"`
	Title   string `json:"title"`
	Type    string `json:"type"`
	Targets []struct {
		Expression string `json:"expr"`
		Legend     string `json:"legendFormat"`
	} `json:"targets"`
}

// ofLegend finds the labels that a legend uses.
var ofLegend = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// grafana replaces the variables that Grafana replaces in an expression.
var grafana = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h")

// checkDashboard returns the number of expressions, and an error for everything that is wrong with them.
func (k *known) checkDashboard(file string) (count int, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("read the dashboard: %w", err)
	}
	var d dashboard
	if err := json.Unmarshal(content, &d); err != nil {
		return 0, fmt.Errorf("read %s: %w", file, err)
	}
	var wrong []error
	if d.Title == "" || d.UID == "" {
		wrong = append(wrong, errors.New("the dashboard needs a title and a uid"))
	}
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			wrong = append(wrong, fmt.Errorf("panel %q: another has its id %d", p.Title, p.ID))
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			wrong = append(wrong, fmt.Errorf("panel %q shows nothing", p.Title))
		}
		for _, target := range p.Targets {
			count++
			labels, err := k.check(grafana.Replace(target.Expression))
			for _, named := range ofLegend.FindAllStringSubmatch(target.Legend, -1) {
				if !labels[named[1]] {
					err = errors.Join(err, fmt.Errorf("the legend names the label %s, which the expression hasn't", named[1]))
				}
			}
			if err != nil {
				wrong = append(wrong, fmt.Errorf("panel %q: %w", p.Title, err))
			}
		}
	}
	if count == 0 {
		wrong = append(wrong, fmt.Errorf("%s shows nothing", file))
	}
	return count, errors.Join(wrong...)
}
