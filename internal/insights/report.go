package insights

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Filter selects what insights count. An empty field selects all, except for the period.
//
// A filter keeps what would count in every group that it names. So the total of a filter that names one group
// equals the figures of that group. No transfer is received by a queue and an agent at once: a filter that names
// both has no received transfers.
type Filter struct {
	// From is inclusive, To is exclusive.
	From, To time.Time
	// Queue and Agent are names.
	Queue, Agent string
	Channel      conversation.Channel
	// Target selects the transfers to that agent or queue.
	Target conversation.Target
	// Zone is the time zone for the hours, days and weeks of the series; nil means UTC.
	Zone *time.Location
}

func (f Filter) zone() *time.Location {
	if f.Zone == nil {
		return time.UTC
	}
	return f.Zone
}

// longestPeriod prevents counting centuries because of a mistyped date.
const longestPeriod = 20 * 366 * 24 * time.Hour

func (f Filter) check() error {
	switch {
	case !f.From.Before(f.To):
		return invalid("from", "insights: the period ends before it begins: name a later end, or an earlier beginning")
	case f.To.Sub(f.From) > longestPeriod:
		return invalid("from", "insights: the period is longer than twenty years: name a later beginning")
	}
	return nil
}

// Report is the figures about transfers in a period: of the desk, and of each queue, agent and channel that had
// any.
//
// Everything counts in the period in which it began, with its state as of now: a conversation by its start, a
// transfer by when it was initiated, a task by its creation. [FigureDefinitions] defines each figure, and
// [Conversations] returns the conversations that count in it.
type Report struct {
	From time.Time `json:"from"`
	// To is the first moment after the period.
	To       time.Time `json:"to"`
	Total    Figures   `json:"total"`
	Queues   []Group   `json:"queues"`
	Agents   []Group   `json:"agents"`
	Channels []Group   `json:"channels"`
	// QueueTransfers are the transfers from the tasks of a queue to a queue, AgentTransfers those from an agent to
	// an agent, in the order of their names.
	QueueTransfers []Passing `json:"queue_transfers"`
	AgentTransfers []Passing `json:"agent_transfers"`
	// Series divides the period without gaps, in the filter's zone: into hours for up to two days, into days for up
	// to four hundred days, otherwise into weeks.
	Series []Interval `json:"series"`
	// Zone is the name of that zone, as in "Europe/Berlin".
	Zone string `json:"zone"`
}

// Group is the figures of one queue, agent or channel.
type Group struct {
	Name string `json:"name"`
	// FriendlyName is the name for display.
	FriendlyName string `json:"friendly_name"`
	Figures
}

// Passing counts the transfers from one queue or agent to another.
type Passing struct {
	From string `json:"from"`
	To   string `json:"to"`
	// FromFriendlyName and ToFriendlyName are the names for display.
	FromFriendlyName string `json:"from_friendly_name"`
	ToFriendlyName   string `json:"to_friendly_name"`

	Initiated int `json:"initiated"`
	Completed int `json:"completed"`
}

// Interval is a part of a period.
type Interval struct {
	From time.Time `json:"from"`
	// To is the first moment after it.
	To            time.Time `json:"to"`
	Conversations int       `json:"conversations"`
	// Initiated counts the transfers initiated in the interval, Completed those of them that were accepted at any
	// time.
	Initiated int `json:"initiated"`
	Completed int `json:"completed"`
}

// Read returns the figures for the filter. Refused with invalid_payload: an invalid period.
func Read(ctx context.Context, d *desk.Desk, f Filter) (Report, error) {
	if err := f.check(); err != nil {
		return Report{}, err
	}
	c := newCounting(f)
	if err := observe(ctx, d, "count insights", f, c.add); err != nil {
		return Report{}, err
	}
	i := c.insights()
	return i, readable(ctx, d, &i)
}

// counting adds up observations, for the desk and for every group that each belongs to.
type counting struct {
	filter                   Filter
	total                    *tally
	queues, agents, channels map[string]*tally
	timed                    [measures][]timed
	queueTransfers           map[[2]string]*Passing
	agentTransfers           map[[2]string]*Passing
	series                   []Interval
	starts                   []int64 // when each interval of the series begins
}

// tally holds a group's observations: their counts, and their durations in microseconds, shortest first.
type tally struct {
	counts [measures]int
	took   [measures][]int64
}

type timed struct {
	took int64
	of   *belonging
}

func newCounting(f Filter) *counting {
	c := &counting{
		filter: f, total: &tally{}, queues: map[string]*tally{}, agents: map[string]*tally{}, channels: map[string]*tally{},
		queueTransfers: map[[2]string]*Passing{}, agentTransfers: map[[2]string]*Passing{}, series: intervals(f.From, f.To, f.zone()),
	}
	for _, interval := range c.series {
		c.starts = append(c.starts, sqldb.Micros(interval.From))
	}
	return c
}

// intervalOf returns the interval that contains a moment of the period.
func (c *counting) intervalOf(at int64) *Interval {
	i, found := slices.BinarySearch(c.starts, at)
	if !found {
		i--
	}
	return &c.series[i]
}

func (c *counting) add(o observation) {
	if o.of.tallies == nil {
		o.of.tallies = c.talliesOf(o.of)
	}
	for _, t := range o.of.tallies {
		t.counts[o.measure] += o.times
	}
	if measured[o.measure].took != nil {
		c.timed[o.measure] = append(c.timed[o.measure], timed{o.took, o.of})
	}
	interval := c.intervalOf(o.at)
	switch {
	case o.measure == measureConversations && o.of.total:
		interval.Conversations += o.times
	case o.measure == sent.measure(measureInitiated):
		interval.Initiated += o.times
		c.addPassing(o.way, func(p *Passing) { p.Initiated++ })
	case o.measure == sent.measure(measureCompleted):
		interval.Completed += o.times
		c.addPassing(o.way, func(p *Passing) { p.Completed++ })
	}
}

// talliesOf returns the tallies in which something counts.
func (c *counting) talliesOf(b *belonging) []*tally {
	tallies := []*tally{}
	if b.total {
		tallies = append(tallies, c.total)
	}
	for _, group := range []struct {
		groups map[string]*tally
		name   string
	}{{c.queues, b.queue}, {c.agents, b.agent}, {c.channels, b.channel}} {
		if group.name == "" {
			continue
		}
		if group.groups[group.name] == nil {
			group.groups[group.name] = &tally{}
		}
		tallies = append(tallies, group.groups[group.name])
	}
	return tallies
}

func (c *counting) addPassing(w *way, add func(*Passing)) {
	passings, from, to := c.agentTransfers, w.from, w.to.Agent
	if w.to.Queue != "" {
		passings, from, to = c.queueTransfers, w.fromQueue, w.to.Queue
	}
	key := [2]string{from, to}
	if passings[key] == nil {
		passings[key] = &Passing{From: from, To: to}
	}
	add(passings[key])
}

func (c *counting) insights() Report {
	// Sort once for all groups: then each group receives its durations in order.
	for m := range c.timed {
		slices.SortFunc(c.timed[m], func(a, b timed) int { return cmp.Compare(a.took, b.took) })
		for _, one := range c.timed[m] {
			for _, t := range one.of.tallies {
				t.took[m] = append(t.took[m], one.took)
			}
		}
	}
	return Report{
		From: c.filter.From.In(c.filter.zone()), To: c.filter.To.In(c.filter.zone()), Zone: c.filter.zone().String(), Total: c.total.figures(),
		Queues: groups(c.queues), Agents: groups(c.agents), Channels: groups(c.channels),
		QueueTransfers: passings(c.queueTransfers), AgentTransfers: passings(c.agentTransfers), Series: c.series,
	}
}

func groups(tallies map[string]*tally) []Group {
	named := []Group{}
	for _, name := range slices.Sorted(maps.Keys(tallies)) {
		named = append(named, Group{Name: name, Figures: tallies[name].figures()})
	}
	return named
}

func passings(found map[[2]string]*Passing) []Passing {
	sorted := []Passing{}
	for _, p := range found {
		sorted = append(sorted, *p)
	}
	slices.SortFunc(sorted, func(a, b Passing) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return sorted
}

func (t *tally) figures() (f Figures) {
	for m, one := range measured {
		if one.took != nil {
			*one.took(&f) = durations(t.took[m])
		} else {
			*one.count(&f) = t.counts[m]
		}
	}
	return f
}

// Durations summarize how long something took. In JSON they are seconds.
type Durations struct {
	Count int
	Mean  time.Duration
	// Median and P90 are the smallest durations that half and nine tenths of all durations do not exceed.
	Median, P90 time.Duration
	Longest     time.Duration
}

// MarshalJSON implements [json.Marshaler].
func (d Durations) MarshalJSON() ([]byte, error) {
	encoded, err := json.Marshal(struct {
		Count   int     `json:"count"`
		Mean    float64 `json:"mean"`
		Median  float64 `json:"median"`
		P90     float64 `json:"p90"`
		Longest float64 `json:"longest"`
	}{d.Count, d.Mean.Seconds(), d.Median.Seconds(), d.P90.Seconds(), d.Longest.Seconds()})
	if err != nil {
		return nil, fmt.Errorf("encode durations: %w", err)
	}
	return encoded, nil
}

// durations summarizes sorted durations in microseconds.
func durations(sorted []int64) Durations {
	count := len(sorted)
	if count == 0 {
		return Durations{}
	}
	var sum int64
	for _, took := range sorted {
		sum += took
	}
	return Durations{
		Count: count, Mean: time.Duration(sum/int64(count)) * time.Microsecond,
		Median: ranked(sorted, 0.5), P90: ranked(sorted, 0.9), Longest: time.Duration(sorted[count-1]) * time.Microsecond,
	}
}

// ranked returns the smallest of the sorted durations that the given share of all durations does not exceed.
func ranked(sorted []int64, share float64) time.Duration {
	at := max(int(math.Ceil(share*float64(len(sorted))))-1, 0)
	return time.Duration(sorted[at]) * time.Microsecond
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// readable sets the friendly names of all agents and queues in the figures.
func readable(ctx context.Context, d *desk.Desk, i *Report) error {
	names, err := desk.ReadNames(ctx, d)
	if err != nil {
		return err
	}
	for _, kind := range []struct {
		groups   []Group
		passings []Passing
		shown    func(string) string
	}{{i.Queues, i.QueueTransfers, names.Queue}, {i.Agents, i.AgentTransfers, names.Agent}, {i.Channels, nil, func(channel string) string { return channel }}} {
		for at := range kind.groups {
			kind.groups[at].FriendlyName = kind.shown(kind.groups[at].Name)
		}
		for at, p := range kind.passings {
			kind.passings[at].FromFriendlyName, kind.passings[at].ToFriendlyName = kind.shown(p.From), kind.shown(p.To)
		}
	}
	return nil
}

func invalid(field, format string, args ...any) *conversation.Refusal {
	return conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: field}, format, args...)
}
