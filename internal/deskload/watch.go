package deskload

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Faults count what went wrong in a load. All of them have to be zero.
type Faults struct {
	// Overbooked are the moments at which an agent had more tasks and matches on a channel than their capacity, and
	// Miscounted those at which the desk's count of them was wrong.
	Overbooked int `json:"overbooked"`
	Miscounted int `json:"miscounted"`
	// MatchedTwice are tasks that were matched while they were already matched or held by an agent.
	MatchedTwice int `json:"matched_twice"`
	// Stranded are tasks that waited for longer than a second while the same agent was free to take them.
	Stranded int `json:"stranded"`
	// LogHoles are positions of the event log, and numbers of a conversation's events, that are missing.
	LogHoles int `json:"log_holes"`
	// Deadlocks is PostgreSQL's count.
	Deadlocks int `json:"deadlocks"`
	// Unfinished are conversations that did not end, and LeftOver the tasks and matches that remain at the desk.
	Unfinished int `json:"unfinished"`
	LeftOver   int `json:"left_over"`
	// Examples describe the first of them.
	Examples []string `json:"examples,omitempty"`
}

// mostExamples bounds the examples of faults.
const mostExamples = 10

func (f *Faults) count(of *int, format string, args ...any) {
	*of++
	if len(f.Examples) < mostExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

// Sum returns the number of all faults.
func (f *Faults) Sum() int {
	return f.Overbooked + f.Miscounted + f.MatchedTwice + f.Stranded + f.LogHoles + f.Deadlocks + f.Unfinished + f.LeftOver
}

// place is an agent on a channel.
type place struct {
	agent   string
	channel conversation.Channel
}

// moment is what one read transaction sees of the desk.
type moment struct {
	at      time.Time
	tasks   []liveTask
	matches []pair
	agents  []room
	members []member
}

type liveTask struct {
	sid, conversation, queue string
	status                   conversation.TaskStatus
	direct                   bool
	place
}

// pair is a match of a task.
type pair struct {
	task string
	place
}

// room is an agent's capacity on a channel, and the desk's count of their tasks there.
type room struct {
	place
	capacity, load int
}

// member is an available agent of a queue.
type member struct {
	queue, agent string
	idleSince    int64
}

// strandedAfter is how long a task may wait while an agent is free to take it.
const strandedAfter = time.Second

// watch checks one moment after the other.
type watch struct {
	*Faults

	moments int
	// free is since when a waiting task and a free agent are seen together. The agent has had no other task since.
	free map[waitingFor]time.Time
	// stranded and twice are the tasks that are counted already.
	stranded, twice map[string]bool
}

// waitingFor is a task that an agent could take, who is idle since then.
type waitingFor struct {
	task string
	member
}

func newWatch(f *Faults) *watch {
	return &watch{Faults: f, free: map[waitingFor]time.Time{}, stranded: map[string]bool{}, twice: map[string]bool{}}
}

func (w *watch) see(m moment) {
	w.moments++
	held, holders := map[place]int{}, map[string][]string{}
	statuses := map[string]conversation.TaskStatus{}
	for _, t := range m.tasks {
		statuses[t.sid] = t.status
		if t.status != conversation.TaskPending {
			held[t.place]++
			holders[t.conversation] = append(holders[t.conversation], t.agent)
		}
	}
	matched := map[string]bool{}
	for _, p := range m.matches {
		if (matched[p.task] || statuses[p.task] != conversation.TaskPending) && !w.twice[p.task] {
			w.twice[p.task] = true
			w.count(&w.MatchedTwice, "task %s is matched with %s and is %s", p.task, p.agent, statuses[p.task])
		}
		matched[p.task] = true
		held[p.place]++
	}
	free := map[place]bool{}
	for _, r := range m.agents {
		free[r.place] = held[r.place] < r.capacity
		if held[r.place] > r.capacity {
			w.count(&w.Overbooked, "%s has %d tasks and matches on %s and takes %d", r.agent, held[r.place], r.channel, r.capacity)
		}
		if held[r.place] != r.load {
			w.count(&w.Miscounted, "%s has %d tasks and matches on %s and the desk counts %d", r.agent, held[r.place], r.channel, r.load)
		}
	}
	w.seeFree(m, matched, free, holders)
}

// seeFree notes which tasks wait although an agent is free.
func (w *watch) seeFree(m moment, matched map[string]bool, free map[place]bool, holders map[string][]string) {
	members := map[string][]member{}
	for _, one := range m.members {
		members[one.queue] = append(members[one.queue], one)
	}
	seen := map[waitingFor]bool{}
	for _, t := range m.tasks {
		if t.status != conversation.TaskPending || t.direct || matched[t.sid] {
			continue
		}
		for _, one := range members[t.queue] {
			if !free[place{one.agent, t.channel}] || slices.Contains(holders[t.conversation], one.agent) {
				continue
			}
			key := waitingFor{t.sid, one}
			seen[key] = true
			if w.free[key].IsZero() {
				w.free[key] = m.at
			}
			if waited := m.at.Sub(w.free[key]); waited > strandedAfter && !w.stranded[t.sid] {
				w.stranded[t.sid] = true
				w.count(&w.Stranded, "task %s waits in %s although %s has been free for %s", t.sid, t.queue, one.agent, waited)
			}
		}
	}
	maps.DeleteFunc(w.free, func(key waitingFor, _ time.Time) bool { return !seen[key] })
}
