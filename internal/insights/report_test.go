package insights

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/records"
)

// testInsights runs random conversations under the real rules. It counts them independently, from the desk's events
// and with another algorithm than the desk's.
func testInsights(t *testing.T, h *desktest.Environment) {
	count := 10_000
	if h.Few() {
		count = 300
	}
	walk := newInsightWalk(h)
	began := walk.began
	diaries := map[string]*handDiary{}
	for range count {
		th := walk.run()
		diaries[th.SID] = &handDiary{channel: string(th.State.Channel), turns: map[string]*handTurn{}}
	}
	read := 0
	for position := int64(0); ; {
		page, err := outbox.ConversationEvents(h.T.Context(), h.Desk, position, 5000)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			position, read = e.Position, read+1
			diaries[e.Conversation].write(e.Event, walk.targets)
		}
	}
	require.Greater(t, read, 10*count)
	facts := walk.facts(diaries)

	end := h.Clock.Now()
	for _, period := range [][2]time.Time{
		{began, end.Add(200 * time.Hour)},
		{began.Add(20 * time.Hour), began.Add(41*time.Hour + 30*time.Minute)},
		{end.Add(1000 * time.Hour), end.Add(1001 * time.Hour)},
	} {
		for _, f := range []Filter{
			{},
			{Queue: "billing"},
			{Agent: walk.agents[3]},
			{Channel: conversation.ChannelSMS},
			{Queue: "care", Agent: walk.agents[5], Channel: conversation.ChannelWeb},
		} {
			f.From, f.To = period[0], period[1]
			insights, err := Read(h.T.Context(), h.Desk, f)
			require.NoError(t, err)
			requireByHand(t, facts, f, insights)
		}
	}
	walk.requireEverything(t, began, end.Add(200*time.Hour))
}

// insightWalk runs conversations without a dispatcher: it reserves tasks itself, and supplies the facts.
type insightWalk struct {
	*desktest.Environment

	random         *rand.Rand
	began          time.Time
	lasting        time.Duration
	steps          int // maximum per conversation
	queues, agents []string
	channels       []conversation.Channel
	// targets are the targets of the transfers, by SID; the events do not contain them.
	targets map[string]conversation.Target
	refused []handFact
}

func newInsightWalk(h *desktest.Environment) *insightWalk {
	return &insightWalk{
		Environment: h, random: rand.New(rand.NewPCG(1, 2)), began: h.Clock.Now(), lasting: 72 * time.Hour, steps: 22,
		queues: []string{"billing", "care", "sales", "support"}, agents: desktest.Names("agent", 9),
		channels: []conversation.Channel{conversation.ChannelWeb, conversation.ChannelSMS, conversation.ChannelWhatsApp},
		targets:  map[string]conversation.Target{},
	}
}

// run runs one conversation, and syncs it in one snapshot or step by step.
func (w *insightWalk) run() *desktest.Conversation {
	w.T.Helper()
	now := w.began.Add(time.Duration(w.random.Int64N(int64(w.lasting/time.Second))) * time.Second)
	th := &desktest.Conversation{H: w.Environment, SID: desktest.NewSID()}
	stepwise := w.random.IntN(50) == 0
	apply := func(c conversation.Command) error {
		settings := conversation.DefaultSettings()
		settings.MessagingTransfers, settings.TaskTimeout, settings.WrapupTimeout = true, 3600, 1800*w.random.IntN(2)
		settings.Unanswered = desktest.One(w.random, []conversation.UnansweredPolicy{conversation.UnansweredSender, conversation.UnansweredOriginQueue})
		settings.AgentUnavailable = desktest.One(w.random, []conversation.AgentUnavailablePolicy{
			conversation.AgentUnavailableRefuse, conversation.AgentUnavailableWait, conversation.AgentUnavailableOriginQueue,
		})
		result, err := th.State.Apply(c, &conversation.Facts{
			Settings: settings, AgentKnown: true, AgentAvailable: w.random.IntN(4) > 0, QueueKnown: true, QueueMembers: 1,
		}, now)
		th.Pending = append(th.Pending, result.Events...)
		if stepwise && err == nil {
			th.Sync()
		}
		return err
	}
	require.NoError(w.T, apply(conversation.StartCommand{Conversation: th.SID, Channel: desktest.One(w.random, w.channels), Queue: desktest.One(w.random, w.queues)}))
	for range w.random.IntN(w.steps) {
		now = now.Add(time.Duration(w.random.IntN(300_000_000)) * time.Microsecond)
		if deadline, ok := th.State.Deadline(); ok && w.random.IntN(8) == 0 {
			now = maxTime(now, deadline.At)
		}
		w.step(th, apply, now)
	}
	if !stepwise {
		th.Sync()
	}
	return th
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// step tries a random command on the conversation.
func (w *insightWalk) step(th *desktest.Conversation, apply func(conversation.Command) error, now time.Time) {
	w.T.Helper()
	task, someone := th.Task(), desktest.One(w.random, w.agents)
	var c conversation.Command
	switch dice := w.random.IntN(40); {
	case task.Status == conversation.TaskPending && dice < 30:
		c = conversation.ReserveCommand{Task: task.SID, PendingSeq: task.PendingSeq, Agent: w.directOr(task, someone)}
	case dice < 14:
		c = conversation.AcceptCommand{Agent: task.Agent}
	case dice < 19:
		c = conversation.TransferCommand{From: task.Agent, To: desktest.ToAgent(w.previousOr(th, someone))}
	case dice < 24:
		c = conversation.TransferCommand{From: task.Agent, To: desktest.ToQueue(desktest.One(w.random, w.queues))}
	case dice < 26:
		c = conversation.DeclineCommand{Agent: task.Agent}
	case dice < 27:
		c = conversation.MoveCommand{To: desktest.ToQueue(desktest.One(w.random, w.queues))}
	case dice < 29:
		c = conversation.ExpireCommand{}
	case dice < 36:
		c = conversation.WrapupCommand{Agent: w.wrapping(th, someone)}
	case dice < 38:
		c = conversation.CancelCommand{Agent: "nobody"}
		if transfer := th.State.ActiveTransfer(); transfer != nil {
			c = conversation.CancelCommand{Agent: transfer.From}
		}
	default:
		c = desktest.One(w.random, []conversation.Command{conversation.EndCommand{Agent: task.Agent}, conversation.CloseCommand{}})
	}
	err := apply(c) // often refused
	if transfer, ok := c.(conversation.TransferCommand); ok && err == nil {
		w.targets[th.State.Transfers[len(th.State.Transfers)-1].SID] = transfer.To
	}
	if conversation.CodeOf(err) == conversation.CodeWrapupPending && w.random.IntN(2) == 0 {
		w.isRefused(th, task, now)
	}
}

// isRefused records at the desk that an agent was refused an accept.
func (w *insightWalk) isRefused(th *desktest.Conversation, task *conversation.Task, now time.Time) {
	w.T.Helper()
	if len(th.Pending) > 0 {
		th.Sync()
	}
	w.Clock.Set(now)
	require.NoError(w.T, records.NoteRefused(w.T.Context(), w.Environment.Desk, th.SID, conversation.AcceptCommand{Agent: task.Agent}, desktest.ErrWrapupPending))
	w.refused = append(w.refused, handFact{
		figure: "wrapup_refusals", conversation: th.SID, at: now, times: 1,
		whole: true, queue: task.Queue, agent: task.Agent, channel: string(th.State.Channel),
	})
}

func (w *insightWalk) directOr(task *conversation.Task, someone string) string {
	if task.Direct {
		return task.Agent
	}
	return someone
}

// previousOr often returns the conversation's previous agent, so that there are some ping-pong transfers.
func (w *insightWalk) previousOr(th *desktest.Conversation, someone string) string {
	if before := th.State.Task(th.Task().Previous); before != nil && before.Agent != "" && w.random.IntN(2) == 0 {
		return before.Agent
	}
	return someone
}

// wrapping often returns an agent who wraps the conversation up.
func (w *insightWalk) wrapping(th *desktest.Conversation, someone string) string {
	for _, task := range th.State.Tasks {
		if task.Status == conversation.TaskWrapping && w.random.IntN(3) > 0 {
			return task.Agent
		}
	}
	return someone
}

// handDiary is a conversation's history, built from its events.
type handDiary struct {
	channel   string
	began     time.Time
	first     string
	turns     map[string]*handTurn
	order     []string
	transfers []*handTransfer
	lastWrap  string
}

type handTurn struct {
	queue, agent                           string
	created, accepted, wrapping, completed time.Time
}

type handTransfer struct {
	sid, task, from, fromQueue, outcome, by, queue string

	to                 conversation.Target
	initiated, settled time.Time
}

// write adds an event.
func (d *handDiary) write(e conversation.Event, targets map[string]conversation.Target) {
	turn := d.turns[e.Task]
	if turn == nil {
		turn = &handTurn{created: e.At}
		d.turns[e.Task] = turn
		if d.first == "" {
			d.first, d.began = e.Task, e.At
		}
		d.order = append(d.order, e.Task)
	}
	turn.queue = e.Queue
	settle := func(outcome string) {
		for _, x := range d.transfers {
			if x.sid == e.Transfer {
				x.outcome, x.settled, x.by, x.queue = outcome, e.At, e.Agent, e.Queue
			}
		}
	}
	switch e.Name {
	case conversation.EventReservationAccepted:
		turn.agent, turn.accepted = e.Agent, e.At
	case conversation.EventTaskWrapup:
		turn.wrapping, d.lastWrap = e.At, e.Task
	case conversation.EventTaskUpdated:
		if e.ReservationStatus == conversation.ReservationAccepted { // the task is its sender's again
			turn.wrapping = time.Time{}
		}
	case conversation.EventTaskCompleted:
		turn.completed = e.At
	case conversation.EventTransferInitiated:
		d.transfers = append(d.transfers, &handTransfer{
			sid: e.Transfer, task: e.Task, from: e.Agent, fromQueue: d.turns[d.lastWrap].queue, initiated: e.At, to: targets[e.Transfer],
		})
	case conversation.EventTransferCompleted:
		settle("completed")
	case conversation.EventTransferFailed, conversation.EventTransferCanceled:
		settle(map[string]string{
			"declined": "declined", "expired": "expired", "canceled": "canceled", "task_timeout": "timed_out", "conversation_closed": "abandoned",
		}[e.Reason])
	default:
	}
}

// handFact is one thing that counts: for the desk if whole is set, and for its groups.
type handFact struct {
	figure, conversation  string
	at                    time.Time
	times                 int
	took                  time.Duration
	whole                 bool
	queue, agent, channel string
	// agents are all agents of a conversation; to is the target of a transfer.
	agents []string
	to     conversation.Target
}

// facts returns everything that counts, for any period.
func (w *insightWalk) facts(diaries map[string]*handDiary) []handFact {
	facts := slices.Clone(w.refused)
	for sid, d := range diaries {
		var everybody []string
		for _, task := range d.order {
			turn := d.turns[task]
			if turn.accepted.IsZero() {
				continue
			}
			everybody = append(everybody, turn.agent)
			fact := handFact{conversation: sid, at: turn.created, times: 1, whole: true, queue: turn.queue, agent: turn.agent, channel: d.channel}
			add := func(figure string, took time.Duration) {
				fact.figure, fact.took = figure, took
				facts = append(facts, fact)
			}
			add("tasks", 0)
			add("time_in_queue", turn.accepted.Sub(turn.created))
			if !turn.wrapping.IsZero() {
				add("talk_time", turn.wrapping.Sub(turn.accepted))
			}
			if !turn.completed.IsZero() {
				add("wrapup_time", turn.completed.Sub(turn.wrapping))
				add("handle_time", turn.completed.Sub(turn.accepted))
			}
		}
		slices.Sort(everybody)
		everybody = slices.Compact(everybody)
		var completed []*handTransfer
		for _, x := range d.transfers {
			if x.outcome == "completed" {
				completed = append(completed, x)
			}
			facts = append(facts, x.facts(sid, d.channel, completed)...)
		}
		fact := handFact{
			figure: "conversations", conversation: sid, at: d.began, times: 1, whole: true, queue: d.turns[d.first].queue, channel: d.channel, agents: everybody,
		}
		facts = append(facts, fact)
		if len(d.transfers) > 0 {
			fact.figure = "transferred"
			facts = append(facts, fact)
		}
		if fact.times = len(completed); fact.times > 0 {
			fact.figure = "hops"
			facts = append(facts, fact)
		}
	}
	return facts
}

// facts returns what a transfer counts as. If it is completed, it is the last element of completed.
func (x *handTransfer) facts(sid, channel string, completed []*handTransfer) (facts []handFact) {
	figures := []string{"initiated"}
	switch x.outcome {
	case "":
		figures = append(figures, "open")
	case "completed":
		figures = append(figures, "completed", "time_to_accept")
		if (x.to.Agent != "" && x.by != x.to.Agent) || (x.to.Queue != "" && x.queue != x.to.Queue) {
			figures = append(figures, "redirected")
		}
		if n := len(completed); n > 1 {
			before := completed[n-2]
			a, b, c := before.from, before.by, x.by
			if b == x.from && a == c && a != b {
				figures = append(figures, "ping_pong")
			}
		}
	default:
		figures = append(figures, "failed", x.outcome)
	}
	for _, figure := range figures {
		fact := handFact{figure: "sent." + figure, conversation: sid, at: x.initiated, times: 1, to: x.to, channel: channel}
		if figure == "time_to_accept" {
			fact.took = x.settled.Sub(x.initiated)
		}
		sent, received := fact, fact
		sent.whole, sent.queue, sent.agent = true, x.fromQueue, x.from
		received.figure, received.queue, received.agent = "received."+figure, x.to.Queue, x.to.Agent
		facts = append(facts, sent, received)
	}
	return facts
}

// ofConversation reports whether the figure counts once for each agent of a conversation.
func (f handFact) ofConversation() bool {
	return f.figure == "conversations" || f.figure == "transferred" || f.figure == "hops"
}

func (f handFact) isOf(agent string) bool {
	if f.ofConversation() {
		return slices.Contains(f.agents, agent)
	}
	return f.agent == agent
}

// requireByHand requires that the insights equal the sums of the facts that the filter selects.
func requireByHand(t *testing.T, facts []handFact, f Filter, insights Report) {
	t.Helper()
	filtered := f.Queue != "" || f.Agent != ""
	var chosen []handFact
	for _, fact := range facts {
		switch {
		case fact.at.Before(f.From), !fact.at.Before(f.To), f.Channel != "" && fact.channel != string(f.Channel),
			f.Queue != "" && fact.queue != f.Queue, f.Agent != "" && !fact.isOf(f.Agent):
		default:
			chosen = append(chosen, fact)
		}
	}
	sum := func(of func(handFact) bool) map[string]int {
		counts := map[string]int{}
		for _, fact := range chosen {
			if of(fact) {
				counts[fact.figure] += fact.times
			}
		}
		return counts
	}
	require.Equal(t, sumByHand(chosen, func(fact handFact) bool { return fact.whole || filtered }), asMap(insights.Total))
	for kind, groups := range map[string][]Group{"queue": insights.Queues, "agent": insights.Agents, "channel": insights.Channels} {
		found := map[string]bool{}
		for _, g := range groups {
			found[g.Name] = true
			require.Equal(t, sumByHand(chosen, func(fact handFact) bool { return fact.belongs(kind, g.Name, filtered) }), asMap(g.Figures), "%s %s", kind, g.Name)
		}
		for _, fact := range chosen {
			name := map[string]string{"queue": fact.queue, "agent": fact.agent, "channel": fact.channel}[kind]
			require.True(t, name == "" || found[name] || !fact.belongs(kind, name, filtered), "%s %q is missing", kind, name)
		}
	}

	passed := sum(func(fact handFact) bool { return fact.figure == "sent.initiated" || fact.figure == "sent.completed" })
	queues, agents := map[[2]string][2]int{}, map[[2]string][2]int{}
	for _, fact := range chosen {
		at := slices.Index([]string{"sent.initiated", "sent.completed"}, fact.figure)
		if at < 0 {
			continue
		}
		passing, key := agents, [2]string{fact.agent, fact.to.Agent}
		if fact.to.Queue != "" {
			passing, key = queues, [2]string{fact.queue, fact.to.Queue}
		}
		cell := passing[key]
		cell[at]++
		passing[key] = cell
	}
	for _, matrix := range []struct {
		byHand map[[2]string][2]int
		cells  []Passing
	}{{queues, insights.QueueTransfers}, {agents, insights.AgentTransfers}} {
		cells := map[[2]string][2]int{}
		for _, p := range matrix.cells {
			cells[[2]string{p.From, p.To}] = [2]int{p.Initiated, p.Completed}
		}
		require.Equal(t, matrix.byHand, cells)
	}

	at := f.From
	summed := map[string]int{}
	for _, interval := range insights.Series {
		require.True(t, at.Equal(interval.From), "the intervals follow each other")
		require.True(t, interval.To.After(interval.From))
		at = interval.To
		within := map[string]int{}
		for _, fact := range chosen {
			if !fact.at.Before(interval.From) && fact.at.Before(interval.To) {
				within[fact.figure] += fact.times
			}
		}
		require.Equal(t, [3]int{within["conversations"], within["sent.initiated"], within["sent.completed"]},
			[3]int{interval.Conversations, interval.Initiated, interval.Completed})
		summed["sent.initiated"] += interval.Initiated
		summed["sent.completed"] += interval.Completed
	}
	require.True(t, at.Equal(f.To), "the intervals end with the period")
	maps.DeleteFunc(summed, func(_ string, count int) bool { return count == 0 })
	require.Equal(t, passed, summed)
}

// belongs reports whether the fact counts for the group. Without a filter, a channel does not count received
// transfers.
func (f handFact) belongs(kind, name string, filtered bool) bool {
	switch kind {
	case "queue":
		return f.queue == name
	case "agent":
		return f.isOf(name)
	}
	return f.channel == name && (f.whole || filtered)
}

// handFigure is a figure: a count, or durations.
type handFigure struct {
	Count int
	Took  Durations
}

func asMap(f Figures) map[Figure]handFigure {
	figures := map[Figure]handFigure{}
	for _, d := range FigureDefinitions() {
		if count, took := f.Of(d.Figure); count > 0 {
			figures[d.Figure] = handFigure{count, took}
		}
	}
	return figures
}

func sumByHand(facts []handFact, of func(handFact) bool) map[Figure]handFigure {
	figures, durations := map[Figure]handFigure{}, map[Figure][]time.Duration{}
	for _, fact := range facts {
		if !of(fact) {
			continue
		}
		name := Figure(fact.figure)
		sum := figures[name]
		sum.Count += fact.times
		figures[name] = sum
		if slices.Contains([]Figure{"time_in_queue", "talk_time", "wrapup_time", "handle_time", "sent.time_to_accept", "received.time_to_accept"}, name) {
			durations[name] = append(durations[name], fact.took)
		}
	}
	for name, took := range durations {
		figures[name] = handFigure{len(took), durationsByHand(took)}
	}
	return figures
}

// durationsByHand finds each percentile by counting, for each duration, how many are not longer.
func durationsByHand(took []time.Duration) (d Durations) {
	least := func(share float64) time.Duration {
		for i, candidate := range took {
			notLonger := i + 1
			for notLonger < len(took) && took[notLonger] <= candidate {
				notLonger++
			}
			if float64(notLonger) >= share*float64(len(took)) {
				return candidate
			}
		}
		return -1
	}
	slices.Sort(took)
	var sum time.Duration
	for _, one := range took {
		sum += one
		d.Longest = max(d.Longest, one)
	}
	d.Count, d.Mean, d.Median, d.P90 = len(took), (sum / time.Duration(len(took))).Truncate(time.Microsecond), least(0.5), least(0.9)
	return d
}

// requireEverything requires that the data contains every figure, that the total of a filter equals its group, and
// that the conversations behind figures are found.
func (w *insightWalk) requireEverything(t *testing.T, from, to time.Time) {
	t.Helper()
	everything := Filter{From: from, To: to}
	insights, err := Read(w.T.Context(), w.Desk, everything)
	require.NoError(t, err)
	require.Len(t, insights.Queues, len(w.queues))
	require.Len(t, insights.Agents, len(w.agents))
	require.Len(t, insights.Channels, len(w.channels))
	for _, d := range FigureDefinitions() {
		f, count := everything, 0
		for _, g := range insights.Agents {
			if count == 0 {
				f.Agent = g.Name
				count, _ = g.Of(d.Figure)
			}
		}
		require.True(t, count > 0 || w.Few(), "the data has none of %s", d.Figure) // fewer may lack rare figures
		require.Equal(t, count, w.traced(f, d.Figure), d.Figure)
	}
	for _, g := range insights.Agents {
		f := everything
		f.Agent = g.Name
		filtered, err := Read(w.T.Context(), w.Desk, f)
		require.NoError(t, err)
		require.Equal(t, g.Figures, filtered.Total, "the total of a filter is its group")
		count, _ := g.Of("sent.ping_pong")
		require.Equal(t, count, w.traced(f, "sent.ping_pong"))
	}
	w.requirePages(everything, "conversations")
	p := insights.QueueTransfers[0]
	f := everything
	f.Queue, f.Target = p.From, desktest.ToQueue(p.To)
	require.Equal(t, p.Initiated, w.traced(f, "sent.initiated"))
	encoded, err := json.Marshal(insights.Total.TimeInQueue)
	require.NoError(t, err)
	require.Contains(t, string(encoded), `"p90":`)
}

// traced reads the conversations behind a figure, and adds up their counts.
func (w *insightWalk) traced(f Filter, figure Figure) (sum int) {
	w.T.Helper()
	seen := map[string]bool{}
	page := desk.Page{Limit: 1000}
	for {
		found, err := Conversations(w.T.Context(), w.Desk, f, figure, page)
		require.NoError(w.T, err)
		for _, c := range found.Entries {
			require.False(w.T, seen[c.SID], "each conversation comes once")
			seen[c.SID] = true
			sum += c.Times
		}
		require.Equal(w.T, page.After != nil, found.Earlier)
		if !found.More {
			return sum
		}
		page.After = &found.Last
	}
}

// requirePages requires that the pages of a figure are the same forwards, backwards and by number.
func (w *insightWalk) requirePages(f Filter, figure Figure) {
	w.T.Helper()
	read := func(p desk.Page) desk.Found[Conversation] {
		found, err := Conversations(w.T.Context(), w.Desk, f, figure, p)
		require.NoError(w.T, err)
		return found
	}
	first := read(desk.Page{Limit: 7})
	second := read(desk.Page{Limit: 7, After: &first.Last})
	require.True(w.T, second.Earlier)
	require.NotEqual(w.T, first.Entries, second.Entries)
	require.Equal(w.T, second.Entries, read(desk.Page{Limit: 7, Skip: 7}).Entries)
	back := read(desk.Page{Limit: 7, Before: &second.First})
	require.Equal(w.T, first.Entries, back.Entries)
	require.True(w.T, back.More)
	require.False(w.T, back.Earlier)
	require.Len(w.T, read(desk.Page{}).Entries, 50)
	require.Empty(w.T, read(desk.Page{Before: &first.First}).Entries)
	require.Empty(w.T, read(desk.Page{Skip: 1_000_000}).Entries)
}

// runAtRandom tries a random command on a conversation.
func runAtRandom(random *rand.Rand, th *desktest.Conversation, people []string) {
	someone := people[random.IntN(len(people))]
	holder := th.Task().Agent
	commands := []conversation.Command{
		conversation.AcceptCommand{Agent: holder},
		conversation.AcceptCommand{Agent: holder},
		conversation.AcceptCommand{Agent: holder},
		conversation.TransferCommand{From: holder, To: desktest.ToAgent(someone)},
		conversation.TransferCommand{From: holder, To: desktest.ToAgent(someone)},
		conversation.TransferCommand{From: holder, To: desktest.ToQueue("care")},
		conversation.TransferCommand{From: holder, To: desktest.ToQueue("sales")},
		conversation.DeclineCommand{Agent: holder},
		conversation.MoveCommand{To: desktest.ToQueue("care")},
		conversation.ExpireCommand{},
		conversation.WrapupCommand{Agent: someone},
		conversation.WrapupCommand{Agent: someone},
	}
	if transfer := th.State.ActiveTransfer(); transfer != nil {
		commands = append(commands, conversation.CancelCommand{Agent: transfer.From})
	}
	if random.IntN(12) == 0 {
		commands = []conversation.Command{conversation.EndCommand{Agent: holder}, conversation.CloseCommand{}}
	}
	c := commands[random.IntN(len(commands))]
	if c.Name() == conversation.CommandExpire {
		if deadline, ok := th.State.Deadline(); ok && deadline.Kind == conversation.DeadlineReservation {
			th.H.Clock.Advance(max(0, deadline.At.Sub(th.H.Clock.Now())))
		}
	}
	_, _ = th.Try(c) // often refused
}

func testRedirected(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "dora")
	h.Staff("billing", "bob")
	began := h.Clock.Now()
	straight := h.Start("billing").Follow().Accept("bob").Transfer("bob", desktest.ToAgent("alice"), "")
	h.Clock.Advance(30 * time.Second)
	straight.Accept("alice")
	declined := h.Start("billing").Follow().Accept("bob").PassAndWrapUp("bob", desktest.ToAgent("alice"))
	declined.Decline("alice")
	require.Equal(t, "billing", declined.Task().Queue, "a transfer to an agent keeps the queue")
	declined.Accept("bob")
	moved := h.Start("support").Follow()
	from := moved.Task().Agent
	moved.Accept(from).Transfer(from, desktest.ToQueue("billing"), "")
	moved.Do(conversation.MoveCommand{To: desktest.ToQueue("support")})
	moved.Follow().Accept(moved.Task().Agent)

	insights, err := Read(h.T.Context(), h.Desk, Filter{From: began, To: h.Clock.Now().Add(time.Second)})
	require.NoError(t, err)
	require.Equal(t, 3, insights.Total.Sent.Completed)
	require.Equal(t, 2, insights.Total.Sent.Redirected)
	require.Equal(t, 30*time.Second, insights.Total.Sent.TimeToAccept.Longest)
	require.InDelta(t, 1.0, insights.Total.ShareTransferred(), 1e-9)
	require.InDelta(t, 1.0, insights.Total.HopsPerConversation(), 1e-9)
	require.Zero(t, Figures{}.ShareTransferred())
}

// testInsightRefusals checks the refusals of invalid periods, unknown figures and unknown conversations.
func testInsightRefusals(t *testing.T, h *desktest.Environment) {
	now := h.Clock.Now()
	for _, f := range []Filter{{}, {From: now, To: now}, {From: now, To: now.Add(-time.Hour)}, {From: now.AddDate(-30, 0, 0), To: now}} {
		_, err := Read(h.T.Context(), h.Desk, f)
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
		_, err = Conversations(h.T.Context(), h.Desk, f, "transferred", desk.Page{})
		require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	}
	f := Filter{From: now, To: now.Add(time.Hour)}
	_, err := Conversations(h.T.Context(), h.Desk, f, "happiness", desk.Page{})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err))
	require.ErrorIs(t, records.NoteRefused(h.T.Context(), h.Desk, desktest.NewSID(), conversation.AcceptCommand{Agent: "alice"}, desktest.ErrWrapupPending), records.ErrUnknownConversation)
	count, took := Figures{}.Of("happiness")
	require.Zero(t, count)
	require.Zero(t, took)

	for length, intervals := range map[time.Duration]int{
		time.Minute: 1, 48 * time.Hour: 48, 49 * time.Hour: 3, 400 * 24 * time.Hour: 401, 401 * 24 * time.Hour: 58,
	} {
		f.To = f.From.Add(length)
		insights, err := Read(h.T.Context(), h.Desk, f)
		require.NoError(t, err)
		require.Len(t, insights.Series, intervals, fmt.Sprint(length))
	}
}

// testPingPong transfers a conversation back and forth across the boundary of a period.
func testPingPong(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Staff("support", "alice", "bob", "carl")
	began := h.Clock.Now()
	th := h.Start("support").Follow()
	th.Accept("alice").PassAndWrapUp("alice", desktest.ToAgent("bob"))
	th.Accept("bob")
	h.Clock.Advance(time.Hour)
	later := h.Clock.Now()
	th.PassAndWrapUp("bob", desktest.ToAgent("carl")).Decline("carl") // a declined transfer is no hop
	th.Accept(th.Task().Agent)
	count := func(from time.Time) int {
		insights, err := Read(h.T.Context(), h.Desk, Filter{From: from, To: h.Clock.Now().Add(time.Second)})
		require.NoError(t, err)
		return insights.Total.Sent.PingPong
	}
	holder := th.Task().Agent
	require.Equal(t, "alice", holder, "she is the longest idle")
	require.Equal(t, 1, count(began))
	require.Equal(t, 1, count(later), "where it was handed back counts, whenever it was handed on")
	th.PassAndWrapUp("alice", desktest.ToAgent("carl"))
	th.Accept("carl").PassAndWrapUp("carl", desktest.ToAgent("bob"))
	th.Accept("bob")
	require.Equal(t, 1, count(began), "round in a circle is no ping-pong")
}

// testInsightsOfBefore clears the columns of tasks that the migration fills in, and runs its statements again.
func testInsightsOfBefore(t *testing.T, h *desktest.Environment) {
	walk := newInsightWalk(h)
	walk.steps = 40
	for range 300 {
		walk.run()
	}
	f := Filter{From: walk.began, To: walk.began.Add(200 * time.Hour)}
	before, err := Read(h.T.Context(), h.Desk, f)
	require.NoError(t, err)
	require.NotZero(t, before.Total.Sent.PingPong)
	migration, err := os.ReadFile("../desk/migrations/00005_insights.sql")
	require.NoError(t, err)
	statements := regexp.MustCompile(`(?s)UPDATE tasks.*?;`).FindAllString(string(migration), -1)
	require.Len(t, statements, 2)
	require.NoError(t, h.ExclusiveTx(h.T.Context(), "migrate again", func(tx *desk.Tx) error {
		for _, statement := range append([]string{`UPDATE tasks SET from_agent = '', from_queue = '', given_by = '', to_agent = '', to_queue = ''`}, statements...) {
			if _, err := tx.Exec(h.T.Context(), statement); err != nil {
				return err
			}
		}
		return nil
	}))
	after, err := Read(h.T.Context(), h.Desk, f)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

// testInsightsNames checks that no value of a task shifts the texts after it, such as a name that earlier builds
// accepted.
func testInsightsNames(t *testing.T, h *desktest.Environment) {
	h.Staff("support", "alice")
	began := h.Clock.Now()
	th := h.Start("support").Follow().Accept("alice").End("alice").WrapUp("alice")
	for _, name := range []string{"zoe x", " zoe", "zoe ", "a~1b", "a~0 ~", "zoe\nx"} {
		require.NoError(t, h.ExclusiveTx(t.Context(), "rename", func(tx *desk.Tx) error {
			_, err := tx.Exec(t.Context(), `UPDATE tasks SET agent = $2, queue = $2, canceled_reason = '' WHERE sid = $1`, th.Task().SID, name)
			return err
		}))
		f := Filter{From: began, To: h.Clock.Now().Add(time.Hour)}
		insights, err := Read(t.Context(), h.Desk, f)
		require.NoError(t, err)
		require.Equal(t, 1, insights.Total.Conversations, name)
		require.Len(t, insights.Agents, 1)
		require.Equal(t, name, insights.Agents[0].Name)
		require.Len(t, insights.Queues, 1)
		require.Equal(t, name, insights.Queues[0].Name)
	}
}
