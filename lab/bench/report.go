package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/baton-transfers/baton/internal/deskload"
)

// report is the result of a run, as it is written to JSON.
type report struct {
	StartedAt time.Time `json:"started_at"`
	// Seconds is the duration of the run.
	Seconds float64 `json:"seconds"`
	Go      string  `json:"go"`
	CPUs    int     `json:"cpus"`
	// Database is where the desk was: sqlite or postgres.
	Database string `json:"database"`
	Rounds   int    `json:"rounds"`
	Clients  int    `json:"clients"`

	// Paced and Unpaced are the commands of one client, Many those of many clients in a closed loop.
	Paced   []figure `json:"one_client_paced"`
	Unpaced []figure `json:"one_client_unpaced"`
	Many    []figure `json:"many_clients"`

	Cycle   cycle     `json:"paced_cycle"`
	Queue   latency   `json:"queue_transfer_to_reservation"`
	Placing []placing `json:"placing"`
	// HTTP holds the commands at a fixed rate, by the Go client and over HTTP; Load is the API under full load.
	HTTP []overHTTP `json:"over_http"`
	Load loaded     `json:"http_full_load"`
	// Desk holds the loads on the desk alone.
	Desk    []deskload.Figures `json:"desk_alone"`
	Targets []target           `json:"targets"`
}

// figure is the result of one kind of call: the median of the rounds, with times in milliseconds.
type figure struct {
	Name      string  `json:"name"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	PerSecond float64 `json:"per_second"`
	// ToNoted and ToBare compare with the bare updates of the same round: for one client the ratio of the p50s, for
	// many clients the ratio of the rates.
	ToNoted spread `json:"to_bare_update_with_attribute"`
	ToBare  spread `json:"to_bare_update"`
}

// cycle is what a paced transfer, accept and wrapup add to the history, and what a refused accept adds.
type cycle struct {
	Events        float64 `json:"history_events"`
	Bytes         float64 `json:"history_bytes"`
	RefusedEvents int64   `json:"events_of_refused_commands"`
	RefusedP50    float64 `json:"refused_p50_ms"`
}

// overHTTP is the result of one command at a fixed rate, in milliseconds. ToClient is the HTTP p50 divided by the
// client's.
type overHTTP struct {
	Name     string  `json:"name"`
	Client   float64 `json:"client_p50_ms"`
	HTTP     float64 `json:"http_p50_ms"`
	HTTP99   float64 `json:"http_p99_ms"`
	ToClient spread  `json:"to_client"`
}

// latency is the median of the rounds, in milliseconds.
type latency struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
}

func newReport(p plan) *report {
	return &report{StartedAt: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Rounds: p.rounds, Clients: clients}
}

// allCommands is the name of the figure for all commands of a conversation together.
const allCommands = "all commands"

// conclude computes the figures from the results of the rounds.
func (r *report) conclude(m measured) {
	r.Paced = oneClientFigures(m.paced)
	r.Unpaced = oneClientFigures(m.unpaced)
	r.Many = manyClientFigures(m.many)
	r.Cycle = cycle{
		Events:        overRounds(m.cycles, func(c cycleSize) float64 { return c.events }).Median,
		Bytes:         overRounds(m.cycles, func(c cycleSize) float64 { return c.bytes }).Median,
		RefusedEvents: m.refusedEvents,
		RefusedP50:    overRounds(m.refused, func(t timings) float64 { return t.percentile(0.5) }).Median,
	}
	r.HTTP, r.Load = httpFigures(m), m.loaded
	r.Queue = latency{
		P50: overRounds(m.queued, func(t timings) float64 { return t.percentile(0.5) }).Median,
		P90: overRounds(m.queued, func(t timings) float64 { return t.percentile(0.9) }).Median,
	}
}

func httpFigures(m measured) []overHTTP {
	var figures []overHTTP
	for _, name := range talkSteps() {
		p := func(share float64) func(round) float64 {
			return func(r round) float64 { return r.of(name).percentile(share) }
		}
		ratios := make([]float64, len(m.overHTTP))
		for i := range m.overHTTP {
			ratios[i] = ratio(p(0.5)(m.overHTTP[i]), p(0.5)(m.byClient[i]))
		}
		figures = append(figures, overHTTP{
			Name: name, Client: overRounds(m.byClient, p(0.5)).Median, HTTP: overRounds(m.overHTTP, p(0.5)).Median,
			HTTP99: overRounds(m.overHTTP, p(0.99)).Median, ToClient: spreadOf(ratios),
		})
	}
	return figures
}

func oneClientFigures(rounds []round) []figure {
	var figures []figure
	for _, name := range append([]string{kindBare, kindNoted}, talkSteps()...) {
		figures = append(figures, figureOf(rounds, name, func(r round) *timings { return r.of(name) },
			func(t *timings) float64 { return t.percentile(0.5) }))
	}
	return figures
}

func manyClientFigures(rounds []round) []figure {
	var figures []figure
	for _, names := range [][]string{{kindBare}, {kindNoted}, talkSteps()} {
		name := names[0]
		if len(names) > 1 {
			name = allCommands
		}
		figures = append(figures, figureOf(rounds, name, func(r round) *timings { return r.together(names) }, (*timings).perSecond))
	}
	for _, name := range talkSteps() {
		of := func(r round) *timings { return r.of(name) }
		figures = append(figures, medians(rounds, name, of))
	}
	return figures
}

// figureOf selects calls from each round and compares them with the bare updates of that round.
func figureOf(rounds []round, name string, of func(round) *timings, compare func(*timings) float64) figure {
	f := medians(rounds, name, of)
	f.ToNoted = overRounds(rounds, func(r round) float64 { return ratio(compare(of(r)), compare(r.of(kindNoted))) })
	f.ToBare = overRounds(rounds, func(r round) float64 { return ratio(compare(of(r)), compare(r.of(kindBare))) })
	return f
}

func medians(rounds []round, name string, of func(round) *timings) figure {
	return figure{
		Name:      name,
		P50:       overRounds(rounds, func(r round) float64 { return of(r).percentile(0.5) }).Median,
		P99:       overRounds(rounds, func(r round) float64 { return of(r).percentile(0.99) }).Median,
		PerSecond: overRounds(rounds, func(r round) float64 { return of(r).perSecond() }).Median,
	}
}

// finish completes the report after everything has been measured.
func (r *report) finish() {
	r.Targets = r.judge()
	r.Seconds = time.Since(r.StartedAt).Seconds()
}

// write writes a report as JSON to file. An empty file name writes nothing.
func write(file string, report any) error {
	if file == "" {
		return nil
	}
	encoded, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.WriteFile(file, append(encoded, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
