package deskload

import (
	"cmp"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
)

// eventLog checks the event log in its order.
type eventLog struct {
	*Faults

	capacity int
	// position is the last position, and numbers the last number of each conversation's events.
	position int64
	numbers  map[string]int
	// agents are the open reservations of each agent, tasks the open reservation of each task.
	agents map[string]map[string]bool
	tasks  map[string]string
	// entered are the positions at which tasks began to wait.
	entered map[string]int64
}

func newEventLog(f *Faults, capacity int) *eventLog {
	return &eventLog{
		Faults: f, capacity: capacity, numbers: map[string]int{}, agents: map[string]map[string]bool{},
		tasks: map[string]string{}, entered: map[string]int64{},
	}
}

func (l *eventLog) read(e desk.LoggedEvent) {
	if e.Position != l.position+1 {
		l.count(&l.LogHoles, "position %d of the event log follows %d", e.Position, l.position)
	}
	l.position = e.Position
	if e.Conversation == "" {
		return
	}
	if e.Number != l.numbers[e.Conversation]+1 {
		l.count(&l.LogHoles, "event %d of conversation %s follows %d", e.Number, e.Conversation, l.numbers[e.Conversation])
	}
	l.numbers[e.Conversation] = e.Number
	switch e.Name { //nolint:exhaustive // the other events change no reservation
	case conversation.EventTaskCreated:
		l.entered[e.Task] = e.Position
	case conversation.EventReservationCreated:
		l.reserve(e)
	case conversation.EventReservationRejected, conversation.EventReservationTimeout, conversation.EventReservationCanceled,
		conversation.EventReservationRescinded, conversation.EventReservationCompleted:
		delete(l.agents[e.Agent], e.Reservation)
		if l.tasks[e.Task] == e.Reservation {
			delete(l.tasks, e.Task)
		}
	}
}

func (l *eventLog) reserve(e desk.LoggedEvent) {
	if before := l.tasks[e.Task]; before != "" {
		l.count(&l.MatchedTwice, "task %s is reserved as %s and as %s, at position %d", e.Task, before, e.Reservation, e.Position)
	}
	l.tasks[e.Task] = e.Reservation
	if l.agents[e.Agent] == nil {
		l.agents[e.Agent] = map[string]bool{}
	}
	l.agents[e.Agent][e.Reservation] = true
	if has := len(l.agents[e.Agent]); has > l.capacity {
		l.count(&l.Overbooked, "%s has %d reservations and takes %d, at position %d", e.Agent, has, l.capacity, e.Position)
	}
}

// end checks what is left after the last event: last is the log's last position as the desk counts it.
func (l *eventLog) end(last int64) {
	if last != l.position {
		l.count(&l.LogHoles, "the event log ends at %d and the desk counts %d", l.position, last)
	}
	for task, reservation := range l.tasks {
		l.count(&l.LeftOver, "reservation %s of task %s has no end", reservation, task)
	}
}

// made is a match, in the order in which the desk made them.
type made struct {
	task   string
	number int
	// at is the same for the matches of one transaction.
	at int64
	// clock is the time when the match was written, in microseconds, and log the event log's last position that was
	// committed then.
	clock, log int64
}

// ranked is a task's place in its line: a queue on a channel.
type ranked struct {
	line                string
	priority            int
	head                bool
	queuedAt, createdAt int64
	sid                 string
}

// compare orders tasks as the desk does, the best first.
func (r ranked) compare(other ranked) int {
	head := 0
	if r.head != other.head {
		head = 1
		if r.head {
			head = -1
		}
	}
	return cmp.Or(cmp.Compare(other.priority, r.priority), head, cmp.Compare(r.queuedAt, other.queuedAt),
		cmp.Compare(r.createdAt, other.createdAt), cmp.Compare(r.sid, other.sid))
}

// settledAfter is the time for which a better task must have waited, at least, to count as passed over: the desk
// chooses a task some time before it writes the match. Round trips to the database come on top.
const settledAfter = 20 * time.Millisecond

// checkMatches finds tasks that were matched twice. It returns in how many matches a better task of the same line was
// passed over: one that had waited for settled, and was matched by a later transaction or never.
func checkMatches(f *Faults, matches []made, tasks map[string]ranked, entered map[string]int64, settled time.Duration) (inversions int) {
	type turn struct {
		task   string
		number int
	}
	known := map[turn]bool{}
	lines := map[string]*waitingLine{}
	for sid, r := range tasks {
		if lines[r.line] == nil {
			lines[r.line] = &waitingLine{}
		}
		if at := entered[sid]; at > 0 {
			lines[r.line].waiting = append(lines[r.line].waiting, candidate{r, at})
		}
	}
	earlier, log := matches, int64(0) // those that were written longer ago than settled, and how far the log was then
	for _, m := range matches {
		if known[turn{m.task, m.number}] {
			f.count(&f.MatchedTwice, "task %s has two matches", m.task)
		}
		known[turn{m.task, m.number}] = true
		for ; len(earlier) > 0 && earlier[0].clock <= m.clock-settled.Microseconds(); earlier = earlier[1:] {
			log = max(log, earlier[0].log)
		}
		m.log = log
		if line := lines[tasks[m.task].line]; line != nil {
			line.matches = append(line.matches, m)
		}
	}
	for _, line := range lines {
		inversions += line.inversions(tasks)
	}
	return inversions
}

// waitingLine are the tasks of a line, and its matches in order.
type waitingLine struct {
	waiting []candidate
	matches []made
}

// candidate is a task and the position of the event log at which it began to wait.
type candidate struct {
	ranked
	entered int64
}

func (l *waitingLine) inversions(tasks map[string]ranked) (found int) {
	slices.SortFunc(l.waiting, func(a, b candidate) int { return cmp.Compare(a.entered, b.entered) })
	for len(l.matches) > 0 {
		together := l.matches
		if end := slices.IndexFunc(together, func(m made) bool { return m.at != together[0].at }); end > 0 {
			together = together[:end]
		}
		l.matches = l.matches[len(together):]
		l.waiting = slices.DeleteFunc(l.waiting, func(c candidate) bool {
			return slices.ContainsFunc(together, func(m made) bool { return m.task == c.sid })
		})
		for _, m := range together {
			for _, c := range l.waiting {
				if c.entered > m.log {
					break
				}
				if c.compare(tasks[m.task]) < 0 {
					found++
					break
				}
			}
		}
	}
	return found
}
