// Package figures serves insights: the figures of a period, their charts, and the conversations behind each figure.
package figures

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/seclog"
	"github.com/baton-transfers/baton/internal/web/site"
	"github.com/baton-transfers/baton/internal/web/words"
)

// Routes returns the routes of insights.
func Routes() []site.Route {
	return []site.Route{
		{Method: http.MethodGet, Path: "/insights", Access: site.Supervisors, Handle: showInsights},
		{Method: http.MethodGet, Path: "/insights/conversations", Access: site.Supervisors, Handle: listInsightConversations},
		{Method: http.MethodGet, Path: "/insights.csv", Access: site.Supervisors, Handle: downloadInsights},
	}
}

// period is one choice of the form's period.
type period struct{ Value, Label string }

const (
	periodToday = "today"
	periodDay   = "24h"
	periodWeek  = "7d"
	periodMonth = "30d"
	periodDates = "dates"
)

// asked is the request for insights. Days are days of the reader's zone.
type asked struct {
	insights.Filter

	Period string
	// refused says what is invalid; the filter then covers the last 24 hours.
	refused string
}

func askedInsights(query url.Values, now time.Time, zone *time.Location) asked {
	now = now.In(zone)
	a := asked{
		Period: query.Get("period"),
		Filter: insights.Filter{
			Queue: query.Get("queue"), Agent: query.Get("agent"), Channel: conversation.Channel(query.Get("channel")),
			Target: conversation.Target{Queue: query.Get("to_queue"), Agent: query.Get("to_agent")},
			Zone:   zone,
		},
	}
	if a.Period == "" && (query.Get("from") != "" || query.Get("to") != "") {
		a.Period = periodDates
	}
	a.From, a.To = now.Add(-24*time.Hour), now
	switch a.Period {
	case periodToday:
		a.From = insights.StartOfDay(now.Year(), now.Month(), now.Day(), zone)
	case periodWeek:
		a.From = now.AddDate(0, 0, -7)
	case periodMonth:
		a.From = now.AddDate(0, 0, -30)
	case periodDates:
		from, next, ok := day(query.Get("from"), zone)
		_, to, also := day(query.Get("to"), zone)
		switch {
		case !ok || !also:
			a.refused = "The days can't be read: name the first and the last one, as in 2026-03-02."
		case query.Get("from") == query.Get("to") && from.Equal(next) && len(query.Get("from")) == len(time.DateOnly):
			a.refused = "There was no such day in " + zone.String() + ", where the calendar skipped it: choose another one."
		case !from.Before(to):
			a.refused = "The last day is before the first one: swap them."
		default:
			a.From, a.To = from, to
		}
	default:
		a.Period = periodDay
	}
	if !a.From.Before(a.To) { // at the first instant of a day
		a.From = a.To.Add(-time.Microsecond)
	}
	return a
}

// day parses a day, or a moment from a link. It returns the start and the end, which are equal for a moment.
func day(text string, zone *time.Location) (from, to time.Time, ok bool) {
	if at, err := time.Parse(time.DateOnly, text); err == nil {
		// A day that the zone has skipped begins when it ends.
		return insights.StartOfDay(at.Year(), at.Month(), at.Day(), zone), insights.StartOfDay(at.Year(), at.Month(), at.Day()+1, zone), true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at.In(zone), at.In(zone), err == nil
}

// query returns the query of the same request with absolute times, so that a link later shows the same period.
func (a asked) query() url.Values {
	query := url.Values{"from": {a.From.UTC().Format(time.RFC3339Nano)}, "to": {a.To.UTC().Format(time.RFC3339Nano)}}
	for name, value := range map[string]string{
		"queue": a.Queue, "agent": a.Agent, "channel": string(a.Channel), "to_queue": a.Target.Queue, "to_agent": a.Target.Agent,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

// insightsPage is the data of the page /insights.
type insightsPage struct {
	asked
	insights.Report

	// QueueChoices and AgentChoices are the choices of the filter, Choices their names.
	QueueChoices, AgentChoices []string
	Choices                    people.Choices
}

func showInsights(v *site.Visit) error {
	body := insightsPage{asked: askedInsights(v.R.URL.Query(), v.Now(), v.Zone())}
	status := http.StatusOK
	var err error
	if body.Report, err = insights.Read(v.Ctx, v.Desk, body.Filter); err != nil {
		if status, body.refused, err = v.RefusedBy(err); err != nil {
			return err
		}
	} else if body.refused != "" {
		status = http.StatusUnprocessableEntity
	}
	queues, err := people.ListQueues(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	for _, q := range queues {
		body.QueueChoices = append(body.QueueChoices, q.Name)
	}
	agents, err := people.ListAgents(v.Ctx, v.Desk)
	if err != nil {
		return err
	}
	for _, a := range agents {
		body.AgentChoices = append(body.AgentChoices, a.Name)
	}
	// A link may name a queue or an agent that was removed.
	body.QueueChoices, body.AgentChoices = withName(body.QueueChoices, body.Queue), withName(body.AgentChoices, body.Agent)
	if body.Choices, err = people.ReadChoices(v.Ctx, v.Desk); err != nil {
		return err
	}
	return v.Render(status, "insights", site.Page{Title: "Insights", Section: "insights", Refused: body.refused, Body: body})
}

func withName(names []string, name string) []string {
	if name != "" && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

func downloadInsights(v *site.Visit) error {
	a := askedInsights(v.R.URL.Query(), v.Now(), v.Zone())
	if a.refused != "" {
		return site.Mistake(http.StatusUnprocessableEntity, a.refused)
	}
	report, err := insights.Read(v.Ctx, v.Desk, a.Filter)
	if err != nil {
		return err
	}
	v.Security.Write(v.Ctx, seclog.Entry{Event: seclog.Export, Subject: "insights", Reason: "csv"})
	h := v.W.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="insights.csv"`)
	h.Set("Cache-Control", "no-store")
	return site.Gone(csv.NewWriter(v.W).WriteAll(report.CSV()))
}

// Periods returns the choices of the form's period.
func (insightsPage) Periods() []period {
	return []period{
		{periodToday, "today"}, {periodDay, "24 hours"}, {periodWeek, "7 days"}, {periodMonth, "30 days"}, {periodDates, "from – to"},
	}
}

// AllChannels returns the choices of the form's channel.
func (insightsPage) AllChannels() []conversation.Channel { return conversation.Channels() }

// FirstDay and LastDay are the dates in the form.
func (p insightsPage) FirstDay() string { return p.asked.From.Format(time.DateOnly) }

// LastDay is described at FirstDay.
func (p insightsPage) LastDay() string {
	return p.asked.To.Add(-time.Nanosecond).Format(time.DateOnly)
}

// Began and Ends are the period's start (inclusive) and end (exclusive).
func (p insightsPage) Began() time.Time { return p.asked.From }

// Ends is described at Began.
func (p insightsPage) Ends() time.Time { return p.asked.To }

// ZoneName returns the name of the zone of the days.
func (p insightsPage) ZoneName() string { return p.asked.Zone.String() }

// CSV returns the address of the same figures as CSV.
func (p insightsPage) CSV() string { return "/insights.csv?" + p.query().Encode() }

// figureRow is one figure on the page.
type figureRow struct {
	insights.FigureDefinition

	Count int
	Took  insights.Durations
	// Link is the address of the conversations that the figure counts, "" for none.
	Link string
}

// Counts and Times are all figures of the request. Figures of received transfers are included only if a queue or an
// agent is chosen.
func (p insightsPage) Counts() []figureRow { return p.figures(false) }

// Times is described at Counts.
func (p insightsPage) Times() []figureRow { return p.figures(true) }

func (p insightsPage) figures(timed bool) (rows []figureRow) {
	for _, d := range insights.FigureDefinitions() {
		if d.Timed != timed || (strings.HasPrefix(string(d.Figure), "received.") && p.Queue == "" && p.Agent == "") {
			continue
		}
		row := figureRow{FigureDefinition: d}
		row.Count, row.Took = p.Total.Of(d.Figure)
		if row.Count > 0 {
			row.Link = p.behind(d.Figure, p.asked)
		}
		rows = append(rows, row)
	}
	return rows
}

// headline is a figure at the top of the page.
type headline struct {
	Title, Value, More, Link string
}

// Headlines returns the figures that a supervisor looks at first.
func (p insightsPage) Headlines() []headline {
	total := p.Total
	toAccept := total.Sent.TimeToAccept
	shown := []struct {
		figure insights.Figure
		headline
	}{
		{"conversations", headline{Title: "Conversations", Value: strconv.Itoa(total.Conversations)}},
		{"transferred", headline{Title: "Transferred", Value: percent(total.ShareTransferred()), More: words.Plural(total.Transferred, "conversation", "conversations")}},
		{"hops", headline{Title: "Completed transfers per conversation", Value: strconv.FormatFloat(total.HopsPerConversation(), 'f', 2, 64), More: words.Plural(total.Hops, "completed transfer", "completed transfers")}},
		{"sent.time_to_accept", headline{Title: "Time to accept, median", Value: words.Lasting(toAccept.Median), More: "90 % within " + words.Lasting(toAccept.P90)}},
		{"sent.failed", headline{Title: "Failed transfers", Value: strconv.Itoa(total.Sent.Failed), More: "of " + strconv.Itoa(total.Sent.Initiated)}},
		{"wrapup_refusals", headline{Title: "Accepts blocked by wrap-up", Value: strconv.Itoa(total.WrapupRefusals), More: "accepts"}},
	}
	headlines := make([]headline, len(shown))
	for i, one := range shown {
		headlines[i] = one.headline
		if count, _ := total.Of(one.figure); count > 0 {
			headlines[i].Link = p.behind(one.figure, p.asked)
		}
	}
	return headlines
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 0, 64) + " %" }

func (insightsPage) behind(figure insights.Figure, a asked) string {
	query := a.query()
	query.Set("figure", string(figure))
	return "/insights/conversations?" + query.Encode()
}

// groupRow is the row of one queue, agent or channel.
type groupRow struct {
	insights.Group

	// Link is the address of the page filtered by this group.
	Link  string
	kind  string
	page  insightsPage
	asked asked
}

// groupTable is the table of the queues, agents or channels.
type groupTable struct {
	Kind string
	// Name is the kind as a heading.
	Name string
	// Receives reports whether the table counts received transfers.
	Receives bool
	Rows     []groupRow
}

// Kinds of groups that have display names.
const ofAgent, ofQueue = "agent", "queue"

// Groups returns the tables of queues, agents and channels.
func (p insightsPage) Groups() (tables []groupTable) {
	for _, kind := range []struct {
		name   string
		groups []insights.Group
		choose func(*asked, string)
	}{
		{ofQueue, p.Report.Queues, func(a *asked, name string) { a.Queue = name }},
		{ofAgent, p.Report.Agents, func(a *asked, name string) { a.Agent = name }},
		{"channel", p.Report.Channels, func(a *asked, name string) { a.Channel = conversation.Channel(name) }},
	} {
		table := groupTable{Kind: kind.name, Name: sentenceCase(kind.name), Receives: kind.name != "channel" || p.Queue != "" || p.Agent != ""}
		for _, g := range kind.groups {
			chosen := p.asked
			kind.choose(&chosen, g.Name)
			table.Rows = append(table.Rows, groupRow{Group: g, Link: "/insights?" + chosen.query().Encode(), kind: kind.name, page: p, asked: chosen})
		}
		tables = append(tables, table)
	}
	return tables
}

func sentenceCase(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// linked is a number with a link to the conversations that it counts.
type linked struct {
	Text, Link string
}

// Shown returns the display name of the group.
func (r groupRow) Shown() string {
	switch r.kind {
	case ofQueue:
		return r.page.Choices.Queue(r.Name)
	case ofAgent:
		return r.page.Choices.Agent(r.Name)
	}
	return r.Name
}

// Count returns one of the group's counts.
func (r groupRow) Count(figure string) linked {
	count, _ := r.Of(insights.Figure(figure))
	return r.linked(insights.Figure(figure), count, strconv.Itoa(count))
}

// Median and P90 return the median and the 90th percentile of one of the group's durations.
func (r groupRow) Median(figure string) linked {
	count, took := r.Of(insights.Figure(figure))
	return r.linked(insights.Figure(figure), count, words.Lasting(took.Median))
}

// P90 is described at Median.
func (r groupRow) P90(figure string) linked {
	count, took := r.Of(insights.Figure(figure))
	return r.linked(insights.Figure(figure), count, words.Lasting(took.P90))
}

func (r groupRow) linked(figure insights.Figure, count int, text string) linked {
	if count == 0 {
		return linked{Text: "–"}
	}
	return linked{Text: text, Link: r.page.behind(figure, r.asked)}
}

// matrix counts the transfers from each queue or agent to each other one.
type matrix struct {
	Kind string
	To   []string
	Rows []matrixRow
	// shown are the display names, by unique name.
	shown map[string]string
}

// Shown returns the display name for a unique name of the matrix.
func (m matrix) Shown(name string) string { return m.shown[name] }

type matrixRow struct {
	From  string
	Cells []matrixCell
}

type matrixCell struct {
	Initiated, Completed linked
}

// Matrices returns the matrix of queues and the matrix of agents.
func (p insightsPage) Matrices() []matrix {
	return []matrix{
		p.matrix(ofQueue, p.QueueTransfers, func(a *asked, from, to string) { a.Queue, a.Target = from, conversation.Target{Queue: to} }),
		p.matrix(ofAgent, p.AgentTransfers, func(a *asked, from, to string) { a.Agent, a.Target = from, conversation.Target{Agent: to} }),
	}
}

func (p insightsPage) matrix(kind string, passings []insights.Passing, choose func(a *asked, from, to string)) matrix {
	shown := p.Choices.Queue
	if kind == ofAgent {
		shown = p.Choices.Agent
	}
	m := matrix{Kind: kind, shown: map[string]string{}}
	cells := map[string]map[string]matrixCell{}
	for _, one := range passings {
		m.shown[one.From], m.shown[one.To] = shown(one.From), shown(one.To)
		chosen := p.asked
		choose(&chosen, one.From, one.To)
		cell := matrixCell{Initiated: linked{strconv.Itoa(one.Initiated), p.behind("sent.initiated", chosen)}, Completed: linked{Text: "0"}}
		if one.Completed > 0 {
			cell.Completed = linked{strconv.Itoa(one.Completed), p.behind("sent.completed", chosen)}
		}
		if cells[one.From] == nil {
			cells[one.From] = map[string]matrixCell{}
			m.Rows = append(m.Rows, matrixRow{From: one.From})
		}
		cells[one.From][one.To] = cell
		m.To = withName(m.To, one.To)
	}
	slices.Sort(m.To)
	for i, row := range m.Rows {
		for _, to := range m.To {
			m.Rows[i].Cells = append(m.Rows[i].Cells, cells[row.From][to])
		}
	}
	return m
}

// chart is the data that insights.js draws: values at times in Unix seconds.
type chart struct {
	Title string      `json:"-"`
	At    []int64     `json:"at"`
	Lines []chartLine `json:"lines"`
}

type chartLine struct {
	Label  string `json:"label"`
	Values []int  `json:"values"`
}

// Data returns the chart as JSON for insights.js.
func (c chart) Data() (string, error) {
	encoded, err := json.Marshal(c)
	return string(encoded), err
}

// Charts returns the time series of the period.
func (p insightsPage) Charts() []chart {
	transfers := chart{Title: "Transfers", Lines: []chartLine{{Label: "initiated"}, {Label: "completed"}}}
	conversations := chart{Title: "Conversations", Lines: []chartLine{{Label: "began"}}}
	for _, one := range p.Series {
		at := one.From.Unix()
		transfers.At, conversations.At = append(transfers.At, at), append(conversations.At, at)
		transfers.Lines[0].Values = append(transfers.Lines[0].Values, one.Initiated)
		transfers.Lines[1].Values = append(transfers.Lines[1].Values, one.Completed)
		conversations.Lines[0].Values = append(conversations.Lines[0].Values, one.Conversations)
	}
	return []chart{transfers, conversations}
}

// intervalRow is one interval of the period.
type intervalRow struct {
	insights.Interval

	Begun, Initiated, Completed linked
}

// Intervals returns the time series as rows, for people who cannot see charts.
func (p insightsPage) Intervals() (rows []intervalRow) {
	for _, one := range p.Series {
		within := p.asked
		within.From, within.To = one.From, one.To
		link := func(figure insights.Figure, count int) linked {
			if count == 0 {
				return linked{Text: "0"}
			}
			return linked{strconv.Itoa(count), p.behind(figure, within)}
		}
		rows = append(rows, intervalRow{
			Interval: one, Begun: link("conversations", one.Conversations),
			Initiated: link("sent.initiated", one.Initiated), Completed: link("sent.completed", one.Completed),
		})
	}
	return rows
}

// insightConversationsPage is the data of the page /insights/conversations.
type insightConversationsPage struct {
	asked
	insights.FigureDefinition

	Found []insights.Conversation
	// Names are the display names of agents and queues.
	Names desk.Names
	// Earlier and Later are the addresses of the previous and next pages in time, "" for none.
	Earlier, Later string
}

// Back returns the address of the figures.
func (p insightConversationsPage) Back() string {
	all := p.asked
	all.Target = conversation.Target{}
	return "/insights?" + all.query().Encode()
}

func listInsightConversations(v *site.Visit) error {
	query := v.R.URL.Query()
	body := insightConversationsPage{asked: askedInsights(query, v.Now(), v.Zone())}
	if body.refused != "" {
		return site.Mistake(http.StatusUnprocessableEntity, body.refused)
	}
	figure := insights.Figure(query.Get("figure"))
	at := slices.IndexFunc(insights.FigureDefinitions(), func(d insights.FigureDefinition) bool { return d.Figure == figure })
	if at < 0 {
		return site.NotFound("There is no such figure: choose one on the page of insights.")
	}
	body.FigureDefinition = insights.FigureDefinitions()[at]
	wanted := site.PageOf(query)
	found, err := insights.Conversations(v.Ctx, v.Desk, body.Filter, figure, wanted)
	if err != nil {
		return err
	}
	if body.Names, err = desk.ReadNames(v.Ctx, v.Desk); err != nil {
		return err
	}
	body.Found = found.Entries
	for i := range body.Found {
		body.Found[i].CreatedAt = body.Found[i].CreatedAt.In(body.Zone)
	}
	around := func(side string, at desk.Cursor) string {
		query := body.query()
		query.Set("figure", string(figure))
		query.Set(side, strconv.FormatInt(at.Key, 10)+"-"+at.SID)
		return "/insights/conversations?" + query.Encode()
	}
	if len(found.Entries) > 0 && found.More {
		body.Earlier = around("before", found.Last)
	}
	if len(found.Entries) > 0 && found.Earlier {
		body.Later = around("after", found.First)
	}
	return v.Render(http.StatusOK, "insight_conversations", site.Page{Title: body.Title, Section: "insights", Body: body})
}
