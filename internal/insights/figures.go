package insights

import "slices"

// Figures are the figures of one group in the insights. [FigureDefinitions] defines each of them.
type Figures struct {
	Conversations int `json:"conversations"`
	Transferred   int `json:"transferred"`
	Hops          int `json:"hops"`
	// Sent are the transfers of the group: for a queue those of its tasks, for an agent those that the agent made.
	Sent Transfers `json:"sent"`
	// Received are the transfers to the queue or the agent. For the desk and for a channel they would equal Sent,
	// and are not counted.
	Received Transfers `json:"received,omitzero"`
	Tasks    int       `json:"tasks"`
	// A task counts in each of these only once it has reached the end of that time.
	TimeInQueue    Durations `json:"time_in_queue"`
	TalkTime       Durations `json:"talk_time"`
	WrapupTime     Durations `json:"wrapup_time"`
	HandleTime     Durations `json:"handle_time"`
	WrapupRefusals int       `json:"wrapup_refusals"`
}

// ShareTransferred is the share of conversations that were transferred at least once, 0 to 1.
func (f Figures) ShareTransferred() float64 { return ratio(f.Transferred, f.Conversations) }

// HopsPerConversation is the average number of completed transfers per conversation.
func (f Figures) HopsPerConversation() float64 { return ratio(f.Hops, f.Conversations) }

// Transfers counts transfers by outcome. Completed, Failed and Open add up to Initiated. Declined, Expired,
// Canceled, TimedOut and Abandoned add up to Failed.
type Transfers struct {
	Initiated    int       `json:"initiated"`
	Completed    int       `json:"completed"`
	Redirected   int       `json:"redirected"`
	PingPong     int       `json:"ping_pong"`
	Failed       int       `json:"failed"`
	Declined     int       `json:"declined"`
	Expired      int       `json:"expired"`
	Canceled     int       `json:"canceled"`
	TimedOut     int       `json:"timed_out"`
	Abandoned    int       `json:"abandoned"`
	Open         int       `json:"open"`
	TimeToAccept Durations `json:"time_to_accept"`
}

// Figure is the name of a figure, as in its JSON: transferred, sent.completed.
type Figure string

// FigureDefinition defines a figure, for display.
type FigureDefinition struct {
	Figure Figure
	// Title is its name, Meaning its definition in one or two sentences.
	Title, Meaning string
	// Timed is set for durations; other figures are counts.
	Timed bool
}

// FigureDefinitions returns every figure, in display order.
func FigureDefinitions() []FigureDefinition {
	definitions := make([]FigureDefinition, 0, len(readingOrder))
	for _, m := range readingOrder {
		one := measured[m]
		definitions = append(definitions, FigureDefinition{Figure: one.figure, Title: one.title, Meaning: one.meaning, Timed: one.took != nil})
	}
	return definitions
}

// Of returns the figure's count and, if it is timed, its durations. It returns zero values for an unknown figure.
func (f Figures) Of(figure Figure) (count int, took Durations) {
	m, ok := measureOf(figure)
	switch {
	case !ok:
		return 0, Durations{}
	case measured[m].took != nil:
		took = *measured[m].took(&f)
		return took.Count, took
	}
	return *measured[m].count(&f), Durations{}
}

func measureOf(figure Figure) (measure, bool) {
	at := slices.IndexFunc(measured[:], func(one counted) bool { return one.figure == figure })
	return measure(max(at, 0)), at >= 0 //nolint:gosec // there are few
}

// measure is a figure's index.
type measure uint8

// The measures of transfers exist twice, for sent and for received transfers.
const (
	measureInitiated measure = iota
	measureCompleted
	measureRedirected
	measurePingPong
	measureFailed
	measureDeclined
	measureExpired
	measureCanceled
	measureTimedOut
	measureAbandoned
	measureOpen
	measureTimeToAccept
	transferMeasures
)

// direction is whether a transfer counts for its sender or for its receiver.
type direction measure

const (
	sent     direction = 0
	received           = direction(transferMeasures)
)

// measure returns the measure of transfers in that direction.
func (d direction) measure(m measure) measure { return measure(d) + m }

const (
	measureConversations = 2*transferMeasures + iota
	measureTransferred
	measureHops
	measureTasks
	measureTimeInQueue
	measureTalkTime
	measureWrapupTime
	measureHandleTime
	measureWrapupRefusals
	measures
)

// counted is a figure's definition and its field in [Figures]: took if it is timed, otherwise count. The other one
// is nil.
type counted struct {
	figure         Figure
	title, meaning string
	count          func(*Figures) *int
	took           func(*Figures) *Durations
}

// measured holds every figure, by measure.
var measured = func() (all [measures]counted) {
	all[measureConversations] = counted{
		"conversations", "Conversations", "Conversations that began in the period. " +
			"A queue counts those whose first task was its own, an agent those of which they accepted a task.",
		func(f *Figures) *int { return &f.Conversations }, nil,
	}
	all[measureTransferred] = counted{
		"transferred", "Transferred", "Those of these conversations that were transferred at least once, with any outcome.",
		func(f *Figures) *int { return &f.Transferred }, nil,
	}
	all[measureHops] = counted{
		"hops", "Completed transfers of conversations", "The completed transfers of these conversations.",
		func(f *Figures) *int { return &f.Hops }, nil,
	}
	all[measureTasks] = counted{
		"tasks", "Tasks accepted", "Tasks that were created in the period and have been accepted: in the queue, by the agent.",
		func(f *Figures) *int { return &f.Tasks }, nil,
	}
	all[measureTimeInQueue] = counted{
		"time_in_queue", "Time in queue", "From when an accepted task was created until it was accepted.",
		nil, func(f *Figures) *Durations { return &f.TimeInQueue },
	}
	all[measureTalkTime] = counted{
		"talk_time", "Talk time", "From when a task was accepted until its wrapup began.",
		nil, func(f *Figures) *Durations { return &f.TalkTime },
	}
	all[measureWrapupTime] = counted{
		"wrapup_time", "Wrapup time", "From when a task's wrapup began until it was completed.",
		nil, func(f *Figures) *Durations { return &f.WrapupTime },
	}
	all[measureHandleTime] = counted{
		"handle_time", "Handle time", "Talk and wrapup of a task together, once it is completed.",
		nil, func(f *Figures) *Durations { return &f.HandleTime },
	}
	all[measureWrapupRefusals] = counted{
		"wrapup_refusals", "Accepts blocked by wrap-up", "How often an agent tried to accept a conversation before their own wrap-up in it was finished: " +
			"on these pages, over the HTTP API, by the command line or through Temporal. Each try counts once, however often it was sent.",
		func(f *Figures) *int { return &f.WrapupRefusals }, nil,
	}
	sent.define(&all, "sent.", "", func(f *Figures) *Transfers { return &f.Sent })
	received.define(&all, "received.", "Received: ", func(f *Figures) *Transfers { return &f.Received })
	return all
}()

// define fills in the measures of the transfers in that direction.
func (d direction) define(all *[measures]counted, figure, title string, of func(*Figures) *Transfers) {
	count := func(m measure, name Figure, called, meaning string, at func(*Transfers) *int) {
		all[d.measure(m)] = counted{Figure(figure) + name, title + called, meaning, func(f *Figures) *int { return at(of(f)) }, nil}
	}
	count(measureInitiated, "initiated", "Transfers initiated", "Transfers that began in the period. A queue counts those made from its tasks, "+
		"an agent those they made; received are those made to the queue, to the agent.", func(t *Transfers) *int { return &t.Initiated })
	count(measureCompleted, "completed", "Transfers completed", "Those of them that were accepted.", func(t *Transfers) *int { return &t.Completed })
	count(measureRedirected, "redirected", "Redirected", "Completed ones that another agent accepted than the one they were made to, or that went through another queue.",
		func(t *Transfers) *int { return &t.Redirected })
	count(measurePingPong, "ping_pong", "Ping-pong", "Completed ones that gave the conversation straight back: its completed transfer before had brought it "+
		"to their sender, from the one who accepts now.", func(t *Transfers) *int { return &t.PingPong })
	count(measureFailed, "failed", "Transfers failed", "Those that ended without being accepted, for any reason.", func(t *Transfers) *int { return &t.Failed })
	count(measureDeclined, "declined", "Declined", "Failed ones that the agent they were made to declined, and that went back to their sender.",
		func(t *Transfers) *int { return &t.Declined })
	count(measureExpired, "expired", "Expired", "Failed ones whose offer was not answered in time, and that went back to their sender.",
		func(t *Transfers) *int { return &t.Expired })
	count(measureCanceled, "canceled", "Canceled", "Failed ones that their sender canceled.", func(t *Transfers) *int { return &t.Canceled })
	count(measureTimedOut, "timed_out", "Timed out", "Failed ones that waited for longer than a task may.", func(t *Transfers) *int { return &t.TimedOut })
	count(measureAbandoned, "abandoned", "Abandoned during transfer", "Failed ones whose conversation was closed while they waited.",
		func(t *Transfers) *int { return &t.Abandoned })
	count(measureOpen, "open", "Open", "Those that still wait to be accepted.", func(t *Transfers) *int { return &t.Open })
	all[d.measure(measureTimeToAccept)] = counted{
		Figure(figure) + "time_to_accept", title + "Time to accept", "From when a completed transfer was initiated until it was accepted.",
		nil, func(f *Figures) *Durations { return &of(f).TimeToAccept },
	}
}

// readingOrder is the display order of the figures: conversations, transfers, times.
var readingOrder = func() (order []measure) {
	order = append(order, measureConversations, measureTransferred, measureHops)
	for m := range transferMeasures {
		order = append(order, sent.measure(m))
	}
	order = append(order, measureWrapupRefusals, measureTasks, measureTimeInQueue, measureTalkTime, measureWrapupTime, measureHandleTime)
	for m := range transferMeasures {
		order = append(order, received.measure(m))
	}
	return order
}()
