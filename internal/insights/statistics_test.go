package insights

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// diary records what happened at the desk while conversations ran at random: the events, and each agent's
// activities.
type diary struct {
	*desktest.Environment

	began     time.Time
	threads   []*desktest.Conversation
	events    map[string][]conversation.Event // by conversation, as the desk returns them
	workflows map[string]string               // by conversation
	changes   map[string][]change
}

// change is an agent's change to another activity.
type change struct {
	activity string
	at       time.Time
}

var statisticsPeople = []string{"ann", "ben", "cat"}

// aDay lets conversations run at random, while agents change their activities.
func aDay(h *desktest.Environment, seed uint64) *diary {
	h.T.Helper()
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.TimeoutActivity = false })
	h.Staff("sales", "ann", "ben")
	h.Staff("care", "ben", "cat")
	for _, name := range statisticsPeople {
		for _, channel := range conversation.Channels() {
			require.NoError(h.T, people.SetCapacity(h.T.Context(), h.Desk, name, channel, 100))
		}
	}
	training, err := routing.AddActivity(h.T.Context(), h.Desk, "Training", false)
	require.NoError(h.T, err)
	queues, err := people.ListQueues(h.T.Context(), h.Desk)
	require.NoError(h.T, err)
	routed, err := routes.SaveWorkflow(h.T.Context(), h.Desk, routes.Workflow{
		FriendlyName: "Routed", Configuration: `{"task_routing":{"default_filter":{"queue":"` + queues[0].SID + `"}}}`,
	})
	require.NoError(h.T, err)
	d := &diary{Environment: h, began: h.Clock.Now(), events: map[string][]conversation.Event{}, workflows: map[string]string{}, changes: map[string][]change{}}
	random := rand.New(rand.NewPCG(seed, 2))
	activities := []routing.Activity{routing.ActivityOf(desk.PresenceAvailable), routing.ActivityOf(desk.PresenceAvailable), routing.ActivityOf(desk.PresenceBreak), training}
	for range 60 {
		th := h.Start([]string{"sales", "care"}[random.IntN(2)],
			desktest.OnChannel([]conversation.Channel{conversation.ChannelWeb, conversation.ChannelSMS}[random.IntN(2)]), desktest.WithPriority(random.IntN(3)))
		d.threads = append(d.threads, th.Follow())
		d.workflows[th.SID] = desk.DefaultWorkflow()
		if random.IntN(2) == 0 {
			d.workflows[th.SID] = routed.SID
			_, err := records.SetDetails(h.T.Context(), h.Desk, th.SID, func(details *records.Details) { details.Workflow = routed.SID })
			require.NoError(h.T, err)
		}
		for range random.IntN(20) {
			runAtRandom(random, th, statisticsPeople)
			th.Follow()
			h.Clock.Advance(time.Duration(random.IntN(90_000)) * time.Millisecond)
		}
		if random.IntN(3) == 0 {
			d.does(statisticsPeople[random.IntN(2)], activities[random.IntN(len(activities))]) // never cat
		}
	}
	for _, th := range d.threads {
		d.events[th.SID], err = records.ListEvents(h.T.Context(), h.Desk, th.SID)
		require.NoError(h.T, err)
	}
	return d
}

func (d *diary) does(agent string, activity routing.Activity) {
	d.T.Helper()
	if d.AgentNamed(agent).Activity.SID != activity.SID {
		d.changes[agent] = append(d.changes[agent], change{activity.Name, d.Clock.Now()})
	}
	require.NoError(d.T, people.UpdateAgent(d.T.Context(), d.Environment.Desk, agent, people.AgentChange{Activity: &activity.SID}))
}

// everyFilter combines the values that statistics can be filtered by.
func (d *diary) everyFilter() (filters []StatisticsFilter) {
	workflows := slices.Sorted(maps.Values(d.workflows))
	for _, queue := range []string{"", "sales", "care", "nowhere"} {
		for _, agents := range [][]string{nil, {}, {"ann"}, {"ben", "cat"}} {
			for _, workflow := range []string{"", workflows[0], workflows[len(workflows)-1]} {
				for _, channel := range []conversation.Channel{"", conversation.ChannelWeb, conversation.ChannelEmail} {
					filters = append(filters, StatisticsFilter{
						Queue: queue, Agents: agents, Workflow: workflow, Channel: channel, Activities: true,
						Thresholds: []time.Duration{0, 30 * time.Second, 5 * time.Minute},
					})
				}
			}
		}
	}
	return filters
}

// testCumulative compares with a count of the events of each conversation.
func testCumulative(t *testing.T, h *desktest.Environment) {
	d := aDay(h, 1)
	filters := d.everyFilter()
	ended := h.Clock.Now()
	var all Cumulative
	for i, period := range [][2]time.Time{
		{d.began.Add(-time.Hour), ended.Add(time.Second)},
		{d.began.Add(10 * time.Minute), d.began.Add(70 * time.Minute)},
		{d.began.Add(2 * time.Hour), d.began.Add(2*time.Hour + 15*time.Minute)},
		{ended.Add(time.Hour), ended.Add(2 * time.Hour)},
	} {
		figures, err := ReadCumulative(t.Context(), h.Desk, period[0], period[1], filters...)
		require.NoError(t, err)
		require.Len(t, figures, len(filters))
		for j, f := range filters {
			require.Equal(t, d.cumulativeByHand(f, period[0], period[1]), figures[j], "%+v in %v", f, period)
		}
		one, err := ReadCumulative(t.Context(), h.Desk, period[0], period[1], filters[i])
		require.NoError(t, err)
		require.Equal(t, figures[i:i+1], one)
		if i == 0 {
			all = figures[0]
		}
	}
	for what, count := range map[string]int{
		"created": all.Reservations.Created, "accepted": all.Reservations.Accepted, "rejected": all.Reservations.Rejected,
		"timed out": all.Reservations.TimedOut, "canceled": all.Reservations.Canceled, "rescinded": all.Reservations.Rescinded,
		"tasks created": all.Tasks.Created, "completed": all.Tasks.Completed, "tasks canceled": all.Tasks.Canceled, "moved": all.Tasks.Moved,
		"entered": all.Tasks.Entered, "above": all.Splits[1].Above.Accepted, "below": all.Splits[1].Below.Accepted,
		"canceled above": all.Splits[1].Above.Canceled, "canceled below": all.Splits[1].Below.Canceled,
	} {
		require.NotZero(t, count, "the data has none that were %s", what)
	}
	require.Less(t, all.InQueue.Total, all.UntilAccepted.Total)
}

func (d *diary) cumulativeByHand(f StatisticsFilter, from, to time.Time) (c Cumulative) {
	d.T.Helper()
	for _, threshold := range f.Thresholds {
		c.Splits = append(c.Splits, Split{Threshold: threshold})
	}
	var accepted, canceled, inQueue []time.Duration
	for _, th := range d.threads {
		events := d.events[th.SID]
		for i, e := range events {
			mine := f.Agents == nil || slices.Contains(f.Agents, e.Agent)
			if moved := e.To.Queue != "" && e.Name == conversation.EventTaskUpdated && e.To.Queue != e.Queue; moved &&
				!e.At.Before(from) && e.At.Before(to) && f.Agents == nil && d.asked(f, th, e.To.Queue) {
				c.Tasks.Entered++ // without an agent, so that a filter by agents leaves it out.
			}
			if e.At.Before(from) || !e.At.Before(to) || !mine || !d.asked(f, th, e.Queue) {
				continue
			}
			switch string(e.Name) {
			case "reservation.created":
				c.Reservations.Created++
			case "reservation.accepted":
				c.Reservations.Accepted++
				accepted = append(accepted, e.At.Sub(th.State.Task(e.Task).CreatedAt))
				since := th.State.Task(e.Task).CreatedAt
				for _, before := range events[:i] {
					if before.Name == conversation.EventTaskQueueEntered && before.Task == e.Task {
						since = before.At
					}
				}
				inQueue = append(inQueue, e.At.Sub(since))
			case "reservation.rejected":
				c.Reservations.Rejected++
			case "reservation.timeout":
				c.Reservations.TimedOut++
			case "reservation.canceled":
				c.Reservations.Canceled++
			case "reservation.rescinded":
				c.Reservations.Rescinded++
			case "task.created":
				c.Tasks.Created++
				c.Tasks.Entered++
			case "task.completed":
				c.Tasks.Completed++
			case "task.canceled":
				c.Tasks.Canceled++
				canceled = append(canceled, e.At.Sub(th.State.Task(e.Task).CreatedAt))
				if th.State.Task(e.Task).CanceledReason == conversation.ReasonTaskTimeout {
					c.Tasks.TimedOut++
				}
			case "task.updated":
				if e.To.Queue != "" && e.To.Queue != e.Queue {
					c.Tasks.Moved++
				}
			}
		}
	}
	c.UntilAccepted, c.UntilCanceled, c.InQueue = spansByHand(accepted), spansByHand(canceled), spansByHand(inQueue)
	longer := func(waits []time.Duration, than time.Duration) (above, below int) {
		for _, wait := range waits {
			if wait <= than {
				below++
			}
		}
		return len(waits) - below, below
	}
	for i := range c.Splits {
		c.Splits[i].Above.Accepted, c.Splits[i].Below.Accepted = longer(accepted, c.Splits[i].Threshold)
		c.Splits[i].Above.Canceled, c.Splits[i].Below.Canceled = longer(canceled, c.Splits[i].Threshold)
	}
	c.Activities = d.activitiesByHand(f, from, to)
	return c
}

// asked reports whether the filter selects a task of the conversation in that queue.
func (d *diary) asked(f StatisticsFilter, th *desktest.Conversation, queue string) bool {
	return (f.Queue == "" || f.Queue == queue) && (f.Workflow == "" || f.Workflow == d.workflows[th.SID]) &&
		(f.Channel == "" || f.Channel == th.State.Channel)
}

func (d *diary) works(f StatisticsFilter, name string) bool {
	members := map[string][]string{"sales": {"ann", "ben"}, "care": {"ben", "cat"}}
	return (f.Queue == "" || slices.Contains(members[f.Queue], name)) && (f.Agents == nil || slices.Contains(f.Agents, name))
}

func spansByHand(took []time.Duration) (s Spans) {
	if s.Count = len(took); s.Count > 0 {
		s.Min, s.Max = slices.Min(took), slices.Max(took)
	}
	for _, one := range took {
		s.Total += one
	}
	return s
}

// activitiesByHand computes the durations from the diary. An agent without a change has always been available.
func (d *diary) activitiesByHand(f StatisticsFilter, from, to time.Time) (spans []ActivitySpans) {
	d.T.Helper()
	took := map[string][]time.Duration{}
	for _, name := range statisticsPeople {
		changes := d.changes[name]
		if len(changes) == 0 {
			changes = []change{{"Available", d.AgentNamed(name).CreatedAt}}
		}
		changes = append(slices.Clone(changes), change{"", d.Clock.Now()})
		for i, c := range changes[:len(changes)-1] {
			begun, ended := c.at, changes[i+1].at
			if begun.Before(from) {
				begun = from
			}
			if ended.After(to) {
				ended = to
			}
			if ended.After(begun) && d.works(f, name) {
				took[c.activity] = append(took[c.activity], ended.Sub(begun))
			}
		}
	}
	activities, err := routing.ListActivities(d.T.Context(), d.Environment.Desk)
	require.NoError(d.T, err)
	for _, a := range activities {
		spans = append(spans, ActivitySpans{Activity: a, Spans: spansByHand(took[a.Name])})
	}
	return spans
}

// testRealTime compares with a count of the conversations' own states.
func testRealTime(t *testing.T, h *desktest.Environment) {
	d := aDay(h, 3)
	require.NoError(t, people.SetCapacity(t.Context(), h.Desk, "cat", conversation.ChannelWeb, 0))
	filters := d.everyFilter()
	figures, err := ReadRealTime(t.Context(), h.Desk, filters...)
	require.NoError(t, err)
	for i, f := range filters {
		expected := d.realTimeByHand(f)
		one, err := ReadRealTime(t.Context(), h.Desk, f)
		require.NoError(t, err)
		require.Equal(t, expected, one[0], "%+v", f)
		expected.LongestInQueue = Waiting{}
		require.Equal(t, expected, figures[i], "%+v", f)
	}
	for status, count := range figures[0].ByStatus {
		require.NotZero(t, count, "no task is %s", status)
	}
	require.Len(t, figures[0].ByPriority, 3)
	require.NotEqual(t, figures[0].Agents, figures[0].Available)
}

func (d *diary) realTimeByHand(f StatisticsFilter) RealTime {
	d.T.Helper()
	r := RealTime{ByPriority: map[int]int{}, ByStatus: map[conversation.TaskStatus]int{"pending": 0, "reserved": 0, "assigned": 0, "wrapping": 0}}
	var waiting, inQueue []Waiting
	for _, th := range d.threads {
		for _, task := range th.State.LiveTasks() {
			if !d.asked(f, th, task.Queue) || (f.Agents != nil && !slices.Contains(f.Agents, task.Agent)) {
				continue
			}
			r.Tasks++
			r.ByStatus[task.Status]++
			r.ByPriority[task.Priority]++
			if !task.Status.Waiting() {
				continue
			}
			waiting = append(waiting, Waiting{task.SID, task.CreatedAt})
			for _, e := range slices.Backward(d.events[th.SID]) {
				if e.Name == conversation.EventTaskQueueEntered && e.Task == task.SID && !task.Direct && f.Queue != "" {
					inQueue = append(inQueue, Waiting{task.SID, e.At})
					break
				}
			}
		}
	}
	earliest := func(a, b Waiting) int {
		if order := a.Since.Compare(b.Since); order != 0 {
			return order
		}
		return strings.Compare(a.Task, b.Task)
	}
	if len(waiting) > 0 {
		r.Longest = slices.MinFunc(waiting, earliest)
	}
	if len(inQueue) > 0 {
		r.LongestInQueue = slices.MinFunc(inQueue, earliest)
	}
	d.countPeople(f, &r)
	return r
}

func (d *diary) countPeople(f StatisticsFilter, r *RealTime) {
	d.T.Helper()
	does := map[string]int{}
	for _, name := range statisticsPeople {
		activity := "Available"
		if changes := d.changes[name]; len(changes) > 0 {
			activity = changes[len(changes)-1].activity
		}
		takes := func(channel conversation.Channel) int {
			if name == "cat" && channel == conversation.ChannelWeb {
				return 0
			}
			return 100
		}
		if !d.works(f, name) || (f.Channel != "" && takes(f.Channel) == 0) {
			continue
		}
		r.Agents++
		does[activity]++
		if activity == "Available" {
			r.Available++
		}
	}
	activities, err := routing.ListActivities(d.T.Context(), d.Environment.Desk)
	require.NoError(d.T, err)
	for _, a := range activities {
		r.Activities = append(r.Activities, ActivityCount{a, does[a.Name]})
	}
}

// testStatisticsByHand is an example that was counted manually.
func testStatisticsByHand(t *testing.T, h *desktest.Environment) {
	h.TransfersOn()
	h.Set(func(s *conversation.Settings) { s.TimeoutActivity = false })
	h.Staff("support", "alice")
	h.Staff("billing", "bob")
	began := h.Clock.Now()
	th := h.Start("support").Follow() // offered to alice
	h.Clock.Advance(10 * time.Second)
	th.Accept("alice")
	h.Clock.Advance(time.Minute)
	th.Transfer("alice", desktest.ToQueue("billing"), "") // offered to bob
	h.Clock.Advance(2 * time.Second)
	// No other agent is there: alice wraps this conversation up.
	th.Do(conversation.MoveCommand{To: desktest.ToQueue("support")})
	th.Follow()
	h.Clock.Advance(30 * time.Second)
	th.WrapUp("alice") // and gets the offer
	h.Clock.Advance(4 * time.Second)
	th.Accept("alice")
	given := h.Start("billing").Follow()
	h.Clock.Advance(8 * time.Second)
	given.Do(conversation.CloseCommand{})
	given.Follow()
	waits := h.Start("billing", desktest.WithPriority(5)).Follow()
	require.NoError(t, routing.SetPresence(t.Context(), h.Desk, "bob", desk.PresenceBreak))
	h.Clock.Advance(time.Minute)
	waits.Decline("bob")

	figures, err := ReadCumulative(t.Context(), h.Desk, began, h.Clock.Now().Add(time.Second),
		StatisticsFilter{Thresholds: []time.Duration{10 * time.Second}}, StatisticsFilter{Queue: "billing"},
		StatisticsFilter{Agents: []string{"bob"}, Activities: true})
	require.NoError(t, err)
	expected := Cumulative{
		UntilAccepted: Spans{Count: 2, Min: 10 * time.Second, Max: 36 * time.Second, Total: 46 * time.Second},
		UntilCanceled: Spans{Count: 1, Min: 8 * time.Second, Max: 8 * time.Second, Total: 8 * time.Second},
		InQueue:       Spans{Count: 2, Min: 10 * time.Second, Max: 34 * time.Second, Total: 44 * time.Second},
	}
	expected.Reservations.Created, expected.Reservations.Accepted, expected.Reservations.Rejected = 5, 2, 1
	expected.Reservations.Canceled, expected.Reservations.Rescinded = 1, 1
	expected.Tasks.Created, expected.Tasks.Entered, expected.Tasks.Completed = 4, 5, 1
	expected.Tasks.Canceled, expected.Tasks.Moved = 1, 1
	split := Split{Threshold: 10 * time.Second}
	split.Above.Accepted, split.Below.Accepted, split.Below.Canceled = 1, 1, 1
	expected.Splits = []Split{split}
	require.Equal(t, expected, figures[0])
	require.Equal(t, 23*time.Second, figures[0].UntilAccepted.Mean())
	require.Zero(t, Spans{}.Mean())

	require.Equal(t, 3, figures[1].Reservations.Created)
	require.Equal(t, 3, figures[1].Tasks.Entered)
	require.Zero(t, figures[1].Reservations.Accepted)
	require.Equal(t, 1, figures[1].Tasks.Moved, "a task is moved out of the queue that it was in")
	require.Equal(t, 3, figures[2].Reservations.Created)
	require.Equal(t, ActivitySpans{
		Activity: figures[2].Activities[1].Activity, Spans: Spans{Count: 1, Min: time.Minute, Max: time.Minute, Total: time.Minute},
	}, figures[2].Activities[1])
	require.Equal(t, "Break", figures[2].Activities[1].Activity.Name)
	require.Zero(t, figures[2].Activities[0].Spans, "the start of his availability was not recorded")

	now, err := ReadRealTime(t.Context(), h.Desk, StatisticsFilter{Queue: "billing"})
	require.NoError(t, err)
	require.Equal(t, 1, now[0].Tasks)
	require.Equal(t, map[int]int{5: 1}, now[0].ByPriority)
	require.Equal(t, waits.Task().SID, now[0].Longest.Task)
	require.Equal(t, time.Minute, h.Clock.Now().Sub(now[0].Longest.Since))
	require.Equal(t, 1, now[0].Agents)
	require.Zero(t, now[0].Available, "he has a break")

	h.Staff("care", "bob")
	older := h.Start("support").Follow()
	h.Clock.Advance(time.Minute)
	newer := h.Start("care").Follow()
	h.Clock.Advance(time.Minute)
	older.Do(conversation.MoveCommand{To: desktest.ToQueue("care")})
	older.Follow()
	now, err = ReadRealTime(t.Context(), h.Desk, StatisticsFilter{Queue: "care"})
	require.NoError(t, err)
	require.Equal(t, older.Task().SID, now[0].Longest.Task)
	require.Equal(t, newer.Task().SID, now[0].LongestInQueue.Task, "the older task has just come")
}

// testActivityDurations follows agents whose activities are renamed and removed, and agents who are added again.
func testActivityDurations(t *testing.T, h *desktest.Environment) {
	add := func(name string) routing.Activity {
		t.Helper()
		added, err := routing.AddActivity(t.Context(), h.Desk, name, false)
		require.NoError(t, err)
		return added
	}
	lunch, training := add("Lunch"), add("Training")
	for _, name := range []string{"alice", "bob"} {
		require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: name}))
	}
	does := func(agent string, activity routing.Activity, during time.Duration) {
		t.Helper()
		require.NoError(t, people.UpdateAgent(t.Context(), h.Desk, agent, people.AgentChange{Activity: &activity.SID}))
		h.Clock.Advance(during)
	}
	began := h.Clock.Now()
	h.Clock.Advance(time.Minute)
	does("alice", routing.ActivityOf(desk.PresenceAvailable), 10*time.Minute)
	does("alice", lunch, 20*time.Minute)
	does("alice", training, 30*time.Minute)
	does("alice", lunch, 5*time.Minute)
	_, err := routing.RenameActivity(t.Context(), h.Desk, lunch.SID, "Dinner")
	require.NoError(t, err)
	require.NoError(t, routing.RemoveActivity(t.Context(), h.Desk, training.SID))

	spans := func(from, to time.Time, agents ...string) map[string]string {
		t.Helper()
		figures, err := ReadCumulative(t.Context(), h.Desk, from, to, StatisticsFilter{Agents: agents, Activities: true})
		require.NoError(t, err)
		found := map[string]string{}
		for _, a := range figures[0].Activities {
			if s := a.Spans; s.Count > 0 {
				found[a.Activity.Name] = fmt.Sprintf("%d: %s to %s", s.Count, s.Min, s.Max)
			}
			require.Equal(t, a.Activity.Name == "Lunch" || a.Activity.Name == "Training", a.Activity.SID == "", "only those that are gone have no SID")
		}
		return found
	}
	ended := h.Clock.Now().Add(time.Hour)
	require.Equal(t, map[string]string{
		"Available": "1: 10m0s to 10m0s", "Lunch": "1: 20m0s to 20m0s", "Training": "1: 30m0s to 30m0s", "Dinner": "1: 5m0s to 5m0s",
	}, spans(began, ended, "alice"), "what a past change calls an activity is all there is to know of it; what an agent does now is known")
	require.Equal(t, map[string]string{"Lunch": "1: 5m0s to 5m0s", "Training": "1: 10m0s to 10m0s"},
		spans(began.Add(26*time.Minute), began.Add(41*time.Minute), "alice"), "clipped to the period")
	require.Equal(t, map[string]string{"Offline": "1: 1h6m0s to 1h6m0s"}, spans(began, ended, "bob"), "who never changed does what they have always done")
	require.Equal(t, map[string]string{"Offline": "1: 5m0s to 5m0s"}, spans(began.Add(5*time.Minute), began.Add(10*time.Minute), "bob"))
	require.Empty(t, spans(began.Add(-time.Hour), began, "alice", "bob"))

	require.NoError(t, people.RemoveAgent(t.Context(), h.Desk, "alice"))
	require.Empty(t, spans(began, ended, "alice"))
	require.NoError(t, people.AddAgent(t.Context(), h.Desk, people.NewAgent{Name: "alice", Presence: desk.PresenceAvailable}))
	h.Clock.Advance(time.Minute)
	require.Equal(t, map[string]string{"Available": "1: 1m0s to 1m0s"}, spans(began, ended, "alice"), "another agent's past under the same name isn't hers")
}

// testSegments expects one segment for each accepted task.
func testSegments(t *testing.T, h *desktest.Environment) {
	d := aDay(h, 5)
	var accepted []*conversation.Task
	byConversation := map[string][]string{}
	for _, th := range d.threads {
		for _, task := range th.State.Tasks {
			if !task.AssignedAt.IsZero() {
				accepted = append(accepted, task)
				byConversation[th.SID] = append(byConversation[th.SID], task.SID)
			}
		}
	}
	listed := 0
	page := desk.Page{Limit: 7}
	for more := true; more; {
		found, err := SegmentList(t.Context(), h.Desk, page)
		require.NoError(t, err)
		for i, s := range found.Entries {
			at := slices.IndexFunc(accepted, func(task *conversation.Task) bool { return task.SID == s.Task })
			require.GreaterOrEqual(t, at, 0)
			task := accepted[at]
			require.Equal(t, []string{task.Reservation.SID, task.Agent, task.Agent, task.Queue, task.Queue},
				[]string{s.Reservation, s.Agent, s.AgentName, s.Queue, s.QueueName})
			require.Equal(t, "Crystal Minh", s.Customer.Name)
			require.Equal(t, []time.Time{task.AssignedAt, task.WrappingAt}, []time.Time{s.AcceptedAt, s.WrappingAt})
			require.True(t, i == 0 || !found.Entries[i-1].ReservedAt.After(s.ReservedAt))
			of, err := SegmentsOf(t.Context(), h.Desk, s.Conversation)
			require.NoError(t, err)
			tasks := []string{}
			for _, one := range of {
				tasks = append(tasks, one.Task)
			}
			require.ElementsMatch(t, byConversation[s.Conversation], tasks)
			one, err := Segments(t.Context(), h.Desk, s.Reservation)
			require.NoError(t, err)
			require.Equal(t, []Segment{s}, one)
		}
		listed += len(found.Entries)
		page.After, more = &found.Last, found.More
	}
	require.Equal(t, len(accepted), listed)

	conversations, err := SegmentsByConversation(t.Context(), h.Desk, desk.Page{Limit: desk.MaxPage})
	require.NoError(t, err)
	require.Len(t, conversations.Entries, len(byConversation))
	for _, segments := range conversations.Entries {
		require.Len(t, segments, len(byConversation[segments[0].Conversation]))
	}
	h.Staff("support", "dan")
	open := h.Start("support").Follow()
	none, err := Segments(t.Context(), h.Desk, open.Task().Reservation.SID, conversation.SIDOf(conversation.PrefixReservation, [16]byte{}))
	require.NoError(t, err)
	require.Empty(t, none, "an offer is no segment")
}

// testHappeningsOn compares with all events, without those of other conversations.
func testHappeningsOn(t *testing.T, h *desktest.Environment) {
	d := aDay(h, 7)
	channels := map[string]conversation.Channel{}
	for _, th := range d.threads {
		channels[th.SID] = th.State.Channel
	}
	everything, err := outbox.EventPage(t.Context(), h.Desk, outbox.EventFilter{}, desk.Page{Limit: desk.MaxPage})
	require.NoError(t, err)
	require.False(t, everything.More)
	for _, workflow := range append(slices.Compact(slices.Sorted(maps.Values(d.workflows))), "") {
		for _, channel := range []conversation.Channel{"", conversation.ChannelSMS, conversation.ChannelEmail} {
			if channel == "" && workflow == "" {
				continue
			}
			for _, f := range []outbox.EventFilter{
				{},
				{Name: conversation.EventReservationAccepted},
				{Agent: "ann"},
				{From: d.began.Add(time.Hour), To: d.began.Add(2 * time.Hour)},
				{Position: everything.Entries[0].Position},
			} {
				expected, positions := []int64{}, []int64{}
				for _, e := range everything.Entries {
					if (channel == "" || channels[e.Conversation] == channel) && (workflow == "" || d.workflows[e.Conversation] == workflow) &&
						(f.Name == "" || f.Name == e.Name) && (f.Agent == "" || f.Agent == e.Agent) && !e.At.Before(f.From) && (f.To.IsZero() || e.At.Before(f.To)) && (f.Position == 0 || f.Position == e.Position) {
						expected = append(expected, e.Position)
					}
				}
				found, err := outbox.EventPageOn(t.Context(), h.Desk, channel, workflow, f, desk.Page{Limit: desk.MaxPage})
				require.NoError(t, err)
				for _, e := range found.Entries {
					positions = append(positions, e.Position)
				}
				require.Equal(t, expected, positions, "%s %s %+v", channel, workflow, f)
			}
		}
	}
}

// TestInsightsWalkIndexes checks SQLite's query plans of insights: reading a task's row would cost more than
// everything else.
func TestInsightsWalkIndexes(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	h.Staff("support", "alice")
	h.Start("support").Follow().Accept("alice")
	h.Desk = h.Reopen() // it has prepared no statement yet
	now := h.Clock.Now()
	for _, to := range []time.Time{now, now.Add(time.Hour)} { // one period with later data, one without
		_, err := Read(t.Context(), h.Desk, Filter{From: now.Add(-time.Hour), To: to})
		require.NoError(t, err)
	}
	reading, _ := h.DB().Prepared()
	turns := 0
	for _, query := range reading {
		for _, step := range h.ExplainOnSQLite(query) {
			if strings.HasPrefix(query, selectTurns) {
				turns++
				require.Contains(t, step, "USING COVERING INDEX", query)
			}
			require.NotContains(t, step, "TEMP B-TREE", query)
			if table, scans := strings.CutPrefix(step, "SCAN "); scans {
				require.Regexp(t, `^(queues|agents|CONSTANT ROW)`, table, query)
			}
		}
	}
	require.Positive(t, turns)
}

// TestStatisticsWalkIndexes checks SQLite's query plans of statistics: none scans a table that grows.
func TestStatisticsWalkIndexes(t *testing.T) {
	t.Parallel()
	h := desktest.New(t, desktest.SQLite(t))
	h.Staff("support", "alice")
	th := h.Start("support").Follow().Accept("alice")
	before := map[string]bool{}
	for _, query := range h.Prepared()[0] {
		before[query] = true
	}
	from, to := h.Clock.Now(), h.Clock.Now().Add(time.Hour)
	for _, filters := range [][]StatisticsFilter{{{Activities: true}}, {{Queue: "support"}}, {{Queue: "support"}, {Workflow: desk.DefaultWorkflow()}}} {
		_, err := ReadRealTime(t.Context(), h.Desk, filters...)
		require.NoError(t, err)
		_, err = ReadCumulative(t.Context(), h.Desk, from, to, filters...)
		require.NoError(t, err)
	}
	_, err := Segments(t.Context(), h.Desk, th.Task().Reservation.SID)
	require.NoError(t, err)
	for _, page := range []desk.Page{{}, {After: &desk.Cursor{}}, {Before: &desk.Cursor{}}} {
		_, err = SegmentList(t.Context(), h.Desk, page)
		require.NoError(t, err)
		_, err = SegmentsByConversation(t.Context(), h.Desk, page)
		require.NoError(t, err)
		_, err = outbox.EventPageOn(t.Context(), h.Desk, conversation.ChannelWeb, desk.DefaultWorkflow(), outbox.EventFilter{From: from, To: to}, page)
		require.NoError(t, err)
	}
	looked := 0
	for _, query := range h.Prepared()[0] {
		if before[query] {
			continue
		}
		looked++
		for _, step := range h.ExplainOnSQLite(query) {
			// These may be sorted: reservations of the same microsecond, the events of a period, activities.
			if !strings.HasSuffix(step, "LAST TERM OF ORDER BY") && !strings.Contains(query, "ORDER BY e.position") && !strings.Contains(query, "FROM activities") {
				require.NotContains(t, step, "TEMP B-TREE", query)
			}
			if table, scans := strings.CutPrefix(step, "SCAN "); scans {
				// Few rows: the agents and queues, and what is live. Lists are read in order, up to the end of the
				// page.
				require.Regexp(t, `^(queues|queue_agents|agents|agent_channels|activities|account|`+
					`t USING INDEX tasks_live_by_(queue|time)|r USING INDEX reservations_by_time|c USING COVERING INDEX conversations_by_time)`, table, query)
			}
		}
	}
	require.Greater(t, looked, 12)
}
