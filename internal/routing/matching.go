package routing

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// match is a waiting task paired with an agent. It is not an offer until the conversation accepts it, but it counts
// against the agent's capacity.
type match struct {
	reservation, task, conversation string
	channel                         conversation.Channel
	number                          int
	agent                           string
}

const selectMatches = `SELECT reservation, task, conversation, channel, placement, agent FROM placements`

func scanMatch(r sqldb.Row) (p match, err error) {
	err = r.Scan(&p.reservation, &p.task, &p.conversation, &p.channel, &p.number, &p.agent)
	return p, err
}

// command returns the command that sends the match to the conversation.
func (p match) command() conversation.ReserveCommand {
	return conversation.ReserveCommand{Task: p.task, Agent: p.agent, PendingSeq: p.number, Reservation: p.reservation}
}

// confirmedWithin is how long a match in the answer of [Sync] may stay unconfirmed before the dispatcher
// delivers it.
const confirmedWithin = 2 * time.Second

// line is the waiting tasks of one queue on one channel, best first: by priority, then those at the head, then by
// when the conversation's first task was queued.
type line struct {
	queue   string
	channel conversation.Channel
	// ahead are the next tasks after the skipped ones. skipped counts tasks that no free agent can take. all is set
	// when no tasks follow those in ahead.
	ahead   []waitingTask
	skipped int
	all     bool
	// full is set when no member of the queue has capacity left.
	full bool
}

// lookAhead is how many waiting tasks are read at a time.
const lookAhead = 8

type waitingTask struct {
	sid, conversation   string
	channel             conversation.Channel
	pendingSeq          int
	priority            int
	head                bool
	queuedAt, createdAt int64
}

func (w waitingTask) compare(other waitingTask) int {
	head := 0
	if w.head != other.head {
		head = sqldb.Flag(other.head) - sqldb.Flag(w.head)
	}
	return cmp.Or(cmp.Compare(other.priority, w.priority), head, cmp.Compare(w.queuedAt, other.queuedAt),
		cmp.Compare(w.createdAt, other.createdAt), cmp.Compare(w.sid, other.sid))
}

const waitingTaskColumns = `sid, conversation, channel, placement, priority, head, queued_at, created_at`

func scanWaitingTask(r sqldb.Row) (w waitingTask, err error) {
	err = r.Scan(&w.sid, &w.conversation, &w.channel, &w.pendingSeq, &w.priority, &w.head, &w.queuedAt, &w.createdAt)
	return w, err
}

// matching matches waiting tasks with free agents within one transaction, which holds the routing.
type matching struct {
	*desk.Tx
	now time.Time
	// own is the conversation that receives its matches in the answer to its snapshot.
	own   string
	lines []*line
	// room is how many more matches may be made; made are those made so far.
	room int
	made []match
	// reofferSince is the time since when a declined or expired offer counts. It is read when it is first needed.
	reofferSince int64
}

func (m *matching) addLine(queue string, channel conversation.Channel) {
	if !slices.ContainsFunc(m.lines, func(l *line) bool { return l.queue == queue && l.channel == channel }) {
		m.lines = append(m.lines, &line{queue: queue, channel: channel})
	}
}

// placeLines matches the best task of all lines, repeatedly, until no line has a task that a free agent can take.
func (m *matching) placeLines(ctx context.Context) error {
	for m.room > 0 {
		best, err := m.bestLine(ctx)
		if err != nil || best == nil {
			return err
		}
		task := best.ahead[0]
		best.ahead = best.ahead[1:]
		agent, found, err := m.agentFor(ctx, best, task)
		if err != nil {
			return desk.Wrap("find an agent for task "+task.sid, err)
		}
		if found {
			if err := m.match(ctx, task, agent); err != nil {
				return err
			}
			continue
		}
		// Either no agent is free for the line, or the free agents already have this conversation or have just
		// declined the task. Such agents are few, so the number of waiting tasks does not matter.
		best.skipped++
		if best.full {
			m.lines = slices.DeleteFunc(m.lines, func(l *line) bool { return l == best })
		}
	}
	return nil
}

// bestLine returns the line with the best task at its front, nil if no task waits.
func (m *matching) bestLine(ctx context.Context) (*line, error) {
	var best *line
	for _, l := range slices.Clone(m.lines) {
		if len(l.ahead) == 0 && !l.all {
			var err error
			limit := min(lookAhead, m.room)
			l.ahead, err = sqldb.All(ctx, m.Tx, scanWaitingTask, `SELECT `+waitingTaskColumns+` FROM tasks
				WHERE waiting = 1 AND direct = 0 AND queue = $1 AND channel = $2
				ORDER BY priority DESC, head DESC, queued_at, created_at, sid LIMIT $3 OFFSET $4`+m.SkipLocked("tasks"),
				l.queue, string(l.channel), limit, l.skipped)
			if err != nil {
				return nil, desk.Wrap("look at queue "+l.queue, err)
			}
			l.all = len(l.ahead) < limit
		}
		switch {
		case len(l.ahead) == 0:
			m.lines = slices.DeleteFunc(m.lines, func(other *line) bool { return other == l })
		case best == nil || l.ahead[0].compare(best.ahead[0]) < 0:
			best = l
		}
	}
	return best, nil
}

// agentFor returns the queue member who gets the task: the one idle longest among those who are available, have
// capacity left on its channel, and neither have the conversation nor wrap it up. An agent who declined the task
// or let its offer expire is not asked again before reoffer_after has passed, even if there is no other agent.
func (m *matching) agentFor(ctx context.Context, l *line, task waitingTask) (string, bool, error) {
	if m.reofferSince == 0 {
		settings, err := desk.ReadSettingsTx(ctx, m.Tx)
		if err != nil {
			return "", false, err
		}
		m.reofferSince = math.MaxInt64 // offered again at once, even if the clocks of two machines differ
		if settings.ReofferAfter > 0 {
			m.reofferSince = sqldb.Micros(m.now.Add(-time.Duration(settings.ReofferAfter) * time.Second))
		}
	}
	agent, found, err := m.longestIdle(ctx, l, task, m.reofferSince)
	if err != nil || found {
		return agent, found, err
	}
	free, err := m.anybodyFree(ctx, l)
	l.full = err == nil && !free
	return "", false, err
}

// longestIdle excludes agents who have declined the task, or let its offer expire, since then.
func (m *matching) longestIdle(ctx context.Context, l *line, task waitingTask, since int64) (string, bool, error) {
	return sqldb.First(ctx, m.Tx, sqldb.Value[string], `SELECT q.agent
		FROM queue_agents q JOIN agent_channels c ON c.agent = q.agent AND c.channel = $2 AND c.load < c.capacity
		WHERE q.queue = $1 AND q.available = 1
			AND q.agent NOT IN (SELECT t.agent FROM tasks t WHERE t.conversation = $3 AND t.status IN ('assigned', 'wrapping'))
			AND q.agent NOT IN (SELECT r.agent FROM reservations r WHERE r.conversation = $3 AND r.task = $4
				AND r.status IN ('rejected', 'timeout') AND r.excused = 0 AND r.updated_at > $5)
		ORDER BY q.idle_since, q.agent LIMIT 1`, l.queue, string(l.channel), task.conversation, task.sid, since)
}

// anybodyFree reports whether any member of the line's queue could take one of its tasks.
func (m *matching) anybodyFree(ctx context.Context, l *line) (bool, error) {
	_, free, err := sqldb.First(ctx, m.Tx, sqldb.Value[int], `SELECT 1
		FROM queue_agents q JOIN agent_channels c ON c.agent = q.agent AND c.channel = $2 AND c.load < c.capacity
		WHERE q.queue = $1 AND q.available = 1 LIMIT 1`, l.queue, string(l.channel))
	return free, err
}

// matchDirect matches the tasks that wait for this agent only, regardless of capacity. It skips tasks of
// conversations that the agent has or wraps up.
func (m *matching) matchDirect(ctx context.Context, agent string) error {
	tasks, err := sqldb.All(ctx, m.Tx, scanWaitingTask, `SELECT `+waitingTaskColumns+` FROM tasks
		WHERE waiting = 1 AND direct = 1 AND agent = $1
			AND EXISTS (SELECT 1 FROM agents a WHERE a.name = $1 AND a.presence = 'available')
			AND NOT EXISTS (SELECT 1 FROM tasks t
				WHERE t.conversation = tasks.conversation AND t.agent = $1 AND t.status IN ('assigned', 'wrapping'))
		ORDER BY priority DESC, head DESC, queued_at, created_at, sid LIMIT $2`+m.SkipLocked("tasks"), agent, m.room)
	if err != nil {
		return desk.Wrap("find the tasks that wait for "+agent, err)
	}
	for _, task := range tasks {
		if err := m.match(ctx, task, agent); err != nil {
			return err
		}
	}
	return nil
}

// match records the match of a task with an agent.
func (m *matching) match(ctx context.Context, task waitingTask, agent string) error {
	p := match{
		reservation: conversation.SIDOf(conversation.PrefixReservation, uuid.New()), task: task.sid,
		conversation: task.conversation, channel: task.channel, number: task.pendingSeq, agent: agent,
	}
	deliverAt := m.now
	if p.conversation == m.own {
		deliverAt = m.now.Add(confirmedWithin)
	}
	if _, err := m.Exec(ctx, `INSERT INTO placements (task, reservation, conversation, channel, placement, agent, created_at, deliver_at, attempts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)`,
		p.task, p.reservation, p.conversation, string(p.channel), p.number, p.agent, sqldb.Micros(m.now), sqldb.Micros(deliverAt)); err != nil {
		return desk.Wrap("place task "+p.task, err)
	}
	if err := setWaiting(ctx, m.Tx, p.task, false); err != nil {
		return err
	}
	if err := CountLoad(ctx, m.Tx, agent, p.channel); err != nil {
		return err
	}
	if _, err := startIdle(ctx, m.Tx, agent, sqldb.Micros(m.now)); err != nil {
		return err
	}
	m.room--
	m.made = append(m.made, p)
	return nil
}

// releaseMatch undoes a match: the task waits again.
func releaseMatch(ctx context.Context, tx *desk.Tx, p match) error {
	if _, err := tx.Exec(ctx, `DELETE FROM placements WHERE task = $1`, p.task); err != nil {
		return desk.Wrap("release task "+p.task, err)
	}
	if err := setWaiting(ctx, tx, p.task, true); err != nil {
		return err
	}
	return CountLoad(ctx, tx, p.agent, p.channel)
}

func setWaiting(ctx context.Context, tx *desk.Tx, task string, waiting bool) error {
	if _, err := tx.Exec(ctx, `UPDATE tasks SET waiting = $2 WHERE sid = $1`, task, sqldb.Flag(waiting)); err != nil {
		return desk.Wrap(fmt.Sprintf("let task %s wait: %t", task, waiting), err)
	}
	return nil
}

// startIdle restarts the agent's idle time and returns the agent's presence, "" for an unknown agent.
func startIdle(ctx context.Context, tx *desk.Tx, agent string, now int64) (desk.Presence, error) {
	presence, _, err := sqldb.First(ctx, tx, sqldb.Value[desk.Presence], `UPDATE agents SET idle_since = $2 WHERE name = $1 RETURNING presence`, agent, now)
	if err != nil {
		return "", desk.Wrap("start the idle time of "+agent, err)
	}
	if _, err := tx.Exec(ctx, `UPDATE queue_agents SET idle_since = $2 WHERE agent = $1`, agent, now); err != nil {
		return "", desk.Wrap("start the idle time of "+agent, err)
	}
	return presence, nil
}

// CountLoad recounts the agent's tasks and matches on the channel.
func CountLoad(ctx context.Context, tx *desk.Tx, agent string, channel conversation.Channel) error {
	_, err := tx.Exec(ctx, `UPDATE agent_channels SET load =
			(SELECT count(*) FROM tasks WHERE agent = $1 AND channel = $2 AND completed_at = 0 AND canceled_at = 0 AND status <> 'pending')
			+ (SELECT count(*) FROM placements WHERE agent = $1 AND channel = $2)
		WHERE agent = $1 AND channel = $2`, agent, string(channel))
	if err != nil {
		return desk.Wrap("count the load of "+agent, err)
	}
	return nil
}
