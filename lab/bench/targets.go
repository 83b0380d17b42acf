package main

import (
	"errors"
	"fmt"
	"slices"
)

// target is a promised performance figure.
type target struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	// Limit is the most that Measured may be, or the least if AtLeast is set.
	Limit   float64 `json:"limit"`
	AtLeast bool    `json:"at_least,omitempty"`
	Held    bool    `json:"held"`
}

// The promised limits, on two cores or more.
const (
	mostOneClient   = 1.25
	leastManyRate   = 0.8
	mostCycleEvents = 40
	mostQueueP90    = 250
	mostPlacing     = 1.5
	promisedWaiting = 100_000
	mostHTTP        = 1.3
)

// errMissed is the error of a run that missed a target.
var errMissed = errors.New("not every target was held: see above")

// held returns an error if one of the targets was missed.
func held(targets []target) error {
	if slices.ContainsFunc(targets, func(t target) bool { return !t.Held }) {
		return errMissed
	}
	return nil
}

// judge compares the measurements with the targets. It skips what a short run leaves out.
func (r *report) judge() []target {
	var targets []target
	most := func(name string, measured, limit float64) {
		targets = append(targets, target{Name: name, Measured: measured, Limit: limit, Held: measured <= limit})
	}
	for _, clients := range []struct {
		name    string
		figures []figure
	}{{"paced", r.Paced}, {"unpaced", r.Unpaced}} {
		for _, f := range clients.figures {
			if f.Name != kindBare && f.Name != kindNoted {
				most(fmt.Sprintf("one client, %s: p50 of %s by (b)", clients.name, f.Name), f.ToNoted.Median, mostOneClient)
			}
		}
	}
	for _, f := range r.Many {
		if f.Name == allCommands {
			targets = append(targets, target{
				Name: fmt.Sprintf("%d conversations: commands per second by (b)", r.Clients), Measured: f.ToNoted.Median,
				Limit: leastManyRate, AtLeast: true, Held: f.ToNoted.Median >= leastManyRate,
			})
		}
	}
	for _, f := range r.HTTP {
		most("at a fixed rate: p50 of "+f.Name+" over HTTP by the Go client", f.ToClient.Median, mostHTTP)
	}
	most("answers with 5xx at full load over HTTP", float64(r.Load.Failed), 0)
	most("history events of a paced cycle", r.Cycle.Events, mostCycleEvents)
	most("history events of refused commands", float64(r.Cycle.RefusedEvents), 0)
	most("transfer to a queue until reserved, p90 in ms", r.Queue.P90, mostQueueP90)
	for _, p := range r.Placing {
		if p.Waiting == promisedWaiting {
			most(fmt.Sprintf("placing among %s by among %s", grouped(p.Waiting), grouped(r.Placing[0].Waiting)), p.ToShortest, mostPlacing)
		}
	}
	return append(targets, deskTargets(r.Desk)...)
}
