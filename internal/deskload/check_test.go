package deskload

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// web returns an agent's place on the channel of these tests.
func web(agent string) place { return place{agent, conversation.ChannelWeb} }

// sound is a moment without faults: alice has a task and a match, a task waits, and bob has no room.
func sound(at time.Time) moment {
	return moment{
		at: at,
		tasks: []liveTask{
			{sid: "WT1", conversation: "CH1", queue: "support", status: conversation.TaskAssigned, place: web("alice")},
			{sid: "WT2", conversation: "CH2", queue: "support", status: conversation.TaskPending, place: web("")},
			{sid: "WT3", conversation: "CH3", queue: "support", status: conversation.TaskPending, place: web("")},
		},
		matches: []pair{{"WT2", web("alice")}},
		agents:  []room{{web("alice"), 2, 2}, {web("bob"), 0, 0}},
		members: []member{{"support", "alice", 7}, {"support", "bob", 8}},
	}
}

func TestMomentsAreChecked(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, c := range []struct {
		name  string
		fault func(*moment)
		want  Faults
	}{
		{"a sound desk", func(*moment) {}, Faults{}},
		{"too many tasks", func(m *moment) { m.agents[0].capacity = 1 }, Faults{Overbooked: 2}},
		{"a wrong count", func(m *moment) { m.agents[0].load = 1 }, Faults{Miscounted: 2}},
		{"a match of an assigned task", func(m *moment) { m.matches[0].task = "WT1" }, Faults{MatchedTwice: 1}},
		{"two matches of a task", func(m *moment) {
			m.matches = append(m.matches, pair{"WT2", web("bob")})
			m.agents[1] = room{web("bob"), 1, 1}
		}, Faults{MatchedTwice: 1}},
		{"a task waits while an agent is free", func(m *moment) { m.agents[1].capacity = 1 }, Faults{Stranded: 1}},
		{"the free agent has the conversation", func(m *moment) {
			m.agents[1] = room{web("bob"), 2, 1}
			m.tasks[0] = liveTask{sid: "WT1", conversation: "CH3", queue: "support", status: conversation.TaskWrapping, place: web("bob")}
			m.agents[0].load, m.agents[0].capacity = 1, 1
		}, Faults{}},
		{"the free agent had another task meanwhile", func(m *moment) {
			m.agents[1].capacity = 1
			m.members[1].idleSince = m.at.UnixMicro()
		}, Faults{}},
		{"the task waits for a certain agent", func(m *moment) { m.agents[1].capacity, m.tasks[2].direct = 1, true }, Faults{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var found Faults
			w := newWatch(&found)
			for _, after := range []time.Duration{0, strandedAfter + time.Millisecond} {
				m := sound(began.Add(after))
				c.fault(&m)
				w.see(m)
			}
			require.Len(t, found.Examples, found.Sum())
			found.Examples = nil
			require.Equal(t, c.want, found)
		})
	}
}

func TestATaskThatWaitsForASecondIsNotStranded(t *testing.T) {
	t.Parallel()
	var found Faults
	w := newWatch(&found)
	began := time.Now()
	for _, after := range []time.Duration{0, strandedAfter} {
		m := sound(began.Add(after))
		m.agents[1].capacity = 1
		w.see(m)
	}
	require.Zero(t, found)
}

// soundLog is the event log of two conversations that one agent has, one after the other.
func soundLog() []desk.LoggedEvent {
	event := func(sid string, number int, name conversation.EventName, task, reservation string) desk.LoggedEvent {
		return desk.LoggedEvent{Conversation: sid, Event: conversation.Event{Number: number, Name: name, Task: task, Reservation: reservation, Agent: "alice"}}
	}
	events := []desk.LoggedEvent{
		{}, // of the desk itself
		event("CH1", 1, conversation.EventTaskCreated, "WT1", ""),
		event("CH2", 1, conversation.EventTaskCreated, "WT2", ""),
		event("CH1", 2, conversation.EventReservationCreated, "WT1", "WR1"),
		event("CH1", 3, conversation.EventReservationCompleted, "WT1", "WR1"),
		event("CH2", 2, conversation.EventReservationCreated, "WT2", "WR2"),
		event("CH2", 3, conversation.EventReservationRejected, "WT2", "WR2"),
		event("CH2", 4, conversation.EventReservationCreated, "WT2", "WR3"),
		event("CH2", 5, conversation.EventReservationCompleted, "WT2", "WR3"),
	}
	for i := range events {
		events[i].Position = int64(i + 1)
	}
	return events
}

func TestTheEventLogIsChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault func([]desk.LoggedEvent) []desk.LoggedEvent
		last  int64
		want  Faults
	}{
		{"a sound log", func(events []desk.LoggedEvent) []desk.LoggedEvent { return events }, 9, Faults{}},
		{"a position is missing", func(events []desk.LoggedEvent) []desk.LoggedEvent { return events[1:] }, 9, Faults{LogHoles: 1}},
		{"the last event is missing", func(events []desk.LoggedEvent) []desk.LoggedEvent { return events[:8] }, 9, Faults{LogHoles: 1, LeftOver: 1}},
		{"a number is missing", func(events []desk.LoggedEvent) []desk.LoggedEvent { events[2].Number = 2; return events }, 9, Faults{LogHoles: 2}},
		{"an agent has two reservations and takes one", func(events []desk.LoggedEvent) []desk.LoggedEvent {
			events[4].Name = conversation.EventTaskWrapup
			return events
		}, 9, Faults{Overbooked: 2, LeftOver: 1}},
		{"a task has two reservations", func(events []desk.LoggedEvent) []desk.LoggedEvent {
			events[6].Reservation, events[6].Name = "", conversation.EventTaskUpdated
			events[7].Agent, events[8].Agent = "bob", "bob"
			return events
		}, 9, Faults{MatchedTwice: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var found Faults
			l := newEventLog(&found, 1)
			for _, e := range c.fault(soundLog()) {
				l.read(e)
			}
			l.end(c.last)
			require.Len(t, found.Examples, found.Sum())
			found.Examples = nil
			require.Equal(t, c.want, found)
		})
	}
}

func TestMatchesAreCheckedInTheirOrder(t *testing.T) {
	t.Parallel()
	const settled, earlier, later = time.Millisecond, 10_000, 20_000
	tasks := map[string]ranked{
		"urgent": {sid: "urgent", line: "support/web", priority: 2, queuedAt: 3},
		"first":  {sid: "first", line: "support/web", queuedAt: 1},
		"second": {sid: "second", line: "support/web", queuedAt: 2},
		"head":   {sid: "head", line: "support/web", head: true, queuedAt: 9},
		"other":  {sid: "other", line: "billing/web", priority: 9, queuedAt: 1},
	}
	entered := map[string]int64{"first": 1, "second": 2, "urgent": 3, "head": 4, "other": 5}
	// start is a match by which it is known how far the event log was. All tasks had entered.
	start := made{task: "gone", at: 1, clock: 1, log: 5}
	match := func(task string, clock int64) made { return made{task: task, at: clock, clock: clock, log: 5} }
	for _, c := range []struct {
		name    string
		matches []made
		entered map[string]int64
		want    int
	}{
		{"the best first", []made{start, match("urgent", earlier), match("head", later), match("first", later+1), match("second", later+2)}, entered, 0},
		{"a higher priority is passed over", []made{start, match("head", earlier), match("urgent", later)}, entered, 1},
		{"the head is passed over", []made{start, match("urgent", earlier), match("first", later)}, entered, 1},
		{"the oldest is passed over", []made{start, match("urgent", earlier), match("head", earlier+1), match("second", later)}, entered, 1},
		{"one that is never matched is passed over", []made{start, match("first", earlier)}, entered, 1},
		{"together in one transaction", []made{
			start,
			{task: "first", at: earlier, clock: earlier, log: 5},
			{task: "urgent", at: earlier, clock: earlier + 1, log: 5},
			{task: "head", at: earlier, clock: earlier + 2, log: 5},
		}, entered, 0},
		{"the better ones came later", []made{start, match("first", earlier)}, map[string]int64{"first": 1, "second": 2, "urgent": 6, "head": 7}, 0},
		{"the better ones came just now", []made{start, match("first", 100)}, entered, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var found Faults
			require.Equal(t, c.want, checkMatches(&found, c.matches, tasks, c.entered, settled))
			require.Zero(t, found)
		})
	}

	var found Faults
	checkMatches(&found, []made{match("urgent", earlier), match("head", later), match("urgent", later+1)}, tasks, entered, settled)
	require.Equal(t, 1, found.MatchedTwice)
}

func TestAProcessWithAnErrorIsAFault(t *testing.T) {
	t.Parallel()
	var r run
	r.conclude([]finished{{Conversations: 3}, {Error: "no settings"}, {Unfinished: 2, Error: "no agent"}}, counts{}, counts{}, time.Second)
	require.Equal(t, 3, r.figures.Faults.Unfinished)
	require.Equal(t, []string{"no settings", "no agent"}, r.figures.Faults.Examples)
	require.Equal(t, 3, r.figures.Conversations)
}
