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
// when the conversation's first task was queued; and the agents who may take them.
type line struct {
	queue   string
	channel conversation.Channel
	// ahead are the next tasks after the skipped ones. skipped counts tasks that no free agent can take. all is set
	// when no tasks follow those in ahead.
	ahead   []waitingTask
	skipped int
	all     bool
	// members are the available members of the queue who had capacity left when they were read, the one idle longest
	// first. allMembers is set when there are no others.
	members    []*member
	allMembers bool
}

// member is an agent who may take tasks of a channel. All lines of the channel share it.
type member struct {
	agent          string
	idleSince      int64
	load, capacity int
}

func (m *member) free() bool { return m.load < m.capacity }

// free reports whether any member of the line's queue has capacity left, as far as they were read.
func (l *line) free() bool {
	return !l.allMembers || slices.ContainsFunc(l.members, (*member).free)
}

const (
	// tasksAhead is how many waiting tasks of a line are read at a time, beyond the number of its free places.
	tasksAhead = 4
	// membersAhead is how many free members of a line are read at a time, beyond the matches that may be made.
	membersAhead = 8
	// mostAtOnce bounds what is read of a line at a time.
	mostAtOnce = 64
)

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

const (
	waitingTaskColumns = `sid, conversation, channel, placement, priority, head, queued_at, created_at`
	bestFirst          = ` ORDER BY priority DESC, head DESC, queued_at, created_at, sid`
)

func scanWaitingTask(r sqldb.Row) (w waitingTask, err error) {
	err = r.Scan(&w.sid, &w.conversation, &w.channel, &w.pendingSeq, &w.priority, &w.head, &w.queuedAt, &w.createdAt)
	return w, err
}

// matching matches waiting tasks with free agents within one transaction, which holds the routing. It reads lines and
// agents first, decides in Go, and writes all matches at once: [matching.flush].
type matching struct {
	*desk.Tx
	now time.Time
	// own returns the snapshot of a conversation that receives its matches in the answer, else nil. It may be nil.
	own      func(conversation string) *syncing
	settings *conversation.Settings
	lines    []*line
	members  map[agentChannel]*member
	// excluded are the agents who cannot get a task, by its SID: they have its conversation, or have declined it.
	excluded map[string]map[string]bool
	// room is how many more matches may be made; made are those made so far, unwritten those of them that are not
	// written yet.
	room            int
	made, unwritten []match
}

func (m *matching) addLine(queue string, channel conversation.Channel) {
	if !slices.ContainsFunc(m.lines, func(l *line) bool { return l.queue == queue && l.channel == channel }) {
		m.lines = append(m.lines, &line{queue: queue, channel: channel})
	}
}

// addLinesOf adds the lines of the queues that the agents are on.
func (m *matching) addLinesOf(ctx context.Context, agents []agentChannel) error {
	if len(agents) == 0 {
		return nil
	}
	rows := sqldb.NewRows(sqldb.Texts("of_agent", "of_channel"))
	for _, a := range agents {
		if err := rows.Add(a.agent, string(a.channel)); err != nil {
			return desk.Wrap("find the queues of "+a.agent, err)
		}
	}
	table, args := m.Table(1, rows)
	err := sqldb.Each(ctx, m.Tx, func(r sqldb.Row) error {
		var queue string
		var channel conversation.Channel
		err := r.Scan(&queue, &channel)
		m.addLine(queue, channel)
		return err
	}, `SELECT queue, of_channel FROM `+table+` JOIN queue_agents ON agent = of_agent AND available = 1`, args...)
	if err != nil {
		return desk.Wrap("find the queues of agents", err)
	}
	return nil
}

// matchLines matches the best task of all lines, repeatedly, until no line has a task that a free agent can take.
func (m *matching) matchLines(ctx context.Context) error {
	if err := m.readMembers(ctx); err != nil {
		return err
	}
	for m.room > 0 {
		best, err := m.bestLine(ctx)
		if err != nil {
			return err
		}
		if best == nil {
			break
		}
		task := best.ahead[0]
		best.ahead = best.ahead[1:]
		agent, err := m.agentFor(ctx, best, task)
		if err != nil {
			return desk.Wrap("find an agent for task "+task.sid, err)
		}
		if agent != nil {
			m.match(task, agent)
			continue
		}
		// Either no agent is free for the line, or the free agents already have this conversation or have just
		// declined the task. Such agents are few, so the number of waiting tasks does not matter.
		best.skipped++
	}
	return m.flush(ctx)
}

// readMembers reads the free members of the lines' queues.
func (m *matching) readMembers(ctx context.Context) error {
	if len(m.lines) == 0 {
		return nil
	}
	if m.members == nil {
		m.members = map[agentChannel]*member{}
	}
	limit := min(m.room, mostAtOnce) + membersAhead
	p := m.Pipeline()
	for _, l := range m.lines {
		m.queueMembers(p, l, limit)
	}
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("look for free agents", err)
	}
	for _, l := range m.lines {
		l.allMembers = len(l.members) < limit
	}
	return m.readTasks(ctx, m.lines)
}

// readAllMembers reads all free members of a line's queue. Matches have to be written before.
func (m *matching) readAllMembers(ctx context.Context, l *line) error {
	p := m.Pipeline()
	m.queueMembers(p, l, math.MaxInt32)
	l.allMembers = true
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("look for free agents", err)
	}
	return nil
}

func (m *matching) queueMembers(p *sqldb.Pipeline, l *line, limit int) {
	l.members = nil
	p.Each(func(r sqldb.Row) error {
		read := &member{}
		if err := r.Scan(&read.agent, &read.idleSince, &read.load, &read.capacity); err != nil {
			return err
		}
		key := agentChannel{read.agent, l.channel}
		if m.members[key] == nil {
			m.members[key] = read
		}
		l.members = append(l.members, m.members[key])
		return nil
	}, `SELECT q.agent, q.idle_since, c.load, c.capacity
		FROM queue_agents q JOIN agent_channels c ON c.agent = q.agent AND c.channel = $2 AND c.load < c.capacity
		WHERE q.queue = $1 AND q.available = 1 ORDER BY q.idle_since, q.agent LIMIT $3`, l.queue, string(l.channel), limit)
}

// readTasks reads the next tasks of the lines, and which agents cannot get them.
func (m *matching) readTasks(ctx context.Context, lines []*line) error {
	p := m.Pipeline()
	var read []*line
	limits := map[*line]int{}
	for _, l := range lines {
		places := 0
		for _, agent := range l.members {
			places += max(0, agent.capacity-agent.load)
		}
		if places == 0 && l.allMembers {
			l.ahead, l.all = nil, true // no agent could take them
			continue
		}
		limits[l] = min(places, m.room, mostAtOnce) + tasksAhead
		read = append(read, l)
		p.Each(func(r sqldb.Row) error {
			task, err := scanWaitingTask(r)
			l.ahead = append(l.ahead, task)
			return err
		}, `SELECT `+waitingTaskColumns+` FROM tasks WHERE waiting = 1 AND direct = 0 AND queue = $1 AND channel = $2`+bestFirst+` LIMIT $3 OFFSET $4`+
			m.SkipLocked("tasks"), l.queue, string(l.channel), limits[l], l.skipped)
	}
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("look at queues", err)
	}
	var tasks []waitingTask
	for _, l := range read {
		l.all = len(l.ahead) < limits[l]
		tasks = append(tasks, l.ahead...)
	}
	return m.readExcluded(ctx, tasks)
}

// readExcluded reads which agents cannot get the tasks: those who have the conversation or wrap it up, and those who
// declined the task or let its offer expire. These are not asked again before reoffer_after has passed, even if there
// is no other agent.
func (m *matching) readExcluded(ctx context.Context, tasks []waitingTask) error {
	if len(tasks) == 0 {
		return nil
	}
	since := int64(math.MaxInt64) // offered again at once, even if the clocks of two machines differ
	if m.settings.ReofferAfter > 0 {
		since = sqldb.Micros(m.now.Add(-time.Duration(m.settings.ReofferAfter) * time.Second))
	}
	if m.excluded == nil {
		m.excluded = map[string]map[string]bool{}
	}
	of := map[string][]string{}
	var conversations, sids []string
	for _, task := range tasks {
		m.excluded[task.sid] = map[string]bool{}
		of[task.conversation] = append(of[task.conversation], task.sid)
		conversations, sids = append(conversations, task.conversation), append(sids, task.sid)
	}
	p := m.Pipeline()
	theirs, arg := m.Among("conversation", 1, conversations)
	p.Each(func(r sqldb.Row) error {
		var sid, agent string
		err := r.Scan(&sid, &agent)
		for _, task := range of[sid] {
			m.excluded[task][agent] = true
		}
		return err
	}, `SELECT conversation, agent FROM tasks WHERE `+theirs+` AND status IN ('assigned', 'wrapping')`, arg)
	refused, arg := m.Among("task", 1, sids)
	p.Each(func(r sqldb.Row) error {
		var task, agent string
		err := r.Scan(&task, &agent)
		m.excluded[task][agent] = true
		return err
	}, `SELECT task, agent FROM reservations WHERE `+refused+` AND status IN ('rejected', 'timeout') AND excused = 0 AND updated_at > $2`,
		arg, since)
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("look who cannot take tasks", err)
	}
	return nil
}

// bestLine returns the line with the best task at its front, nil if no task waits that a free agent might take.
func (m *matching) bestLine(ctx context.Context) (*line, error) {
	var best *line
	for _, l := range slices.Clone(m.lines) {
		if len(l.ahead) == 0 && !l.all && l.free() {
			if err := m.flush(ctx); err != nil {
				return nil, err
			}
			if err := m.readTasks(ctx, []*line{l}); err != nil {
				return nil, err
			}
		}
		switch {
		case len(l.ahead) == 0 || !l.free():
			m.lines = slices.DeleteFunc(m.lines, func(other *line) bool { return other == l })
		case best == nil || l.ahead[0].compare(best.ahead[0]) < 0:
			best = l
		}
	}
	return best, nil
}

// agentFor returns the queue member who gets the task: the one idle longest among those who are available, have
// capacity left on its channel, and are not excluded.
func (m *matching) agentFor(ctx context.Context, l *line, task waitingTask) (*member, error) {
	agent := m.longestIdle(l, task)
	if l.allMembers || agent != nil && agent.idleSince < sqldb.Micros(m.now) {
		return agent, nil
	}
	// Every agent who was read is excluded or was just matched. Others have been idle longer.
	if err := m.flush(ctx); err != nil {
		return nil, err
	}
	if err := m.readAllMembers(ctx, l); err != nil {
		return nil, err
	}
	return m.longestIdle(l, task), nil
}

func (m *matching) longestIdle(l *line, task waitingTask) *member {
	var best *member
	for _, agent := range l.members {
		if !agent.free() || m.excluded[task.sid][agent.agent] {
			continue
		}
		if best == nil || cmp.Or(cmp.Compare(agent.idleSince, best.idleSince), cmp.Compare(agent.agent, best.agent)) < 0 {
			best = agent
		}
	}
	return best
}

// matchDirect matches the tasks that wait for these agents only, regardless of capacity. It skips tasks of
// conversations that the agent has or wraps up.
func (m *matching) matchDirect(ctx context.Context, agents []string) error {
	if len(agents) == 0 || m.room == 0 {
		return nil
	}
	type directTask struct {
		agent string
		waitingTask
	}
	theirs, arg := m.Among("agent", 1, agents)
	tasks, err := sqldb.All(ctx, m.Tx, func(r sqldb.Row) (t directTask, err error) {
		w := &t.waitingTask
		err = r.Scan(&t.agent, &w.sid, &w.conversation, &w.channel, &w.pendingSeq, &w.priority, &w.head, &w.queuedAt, &w.createdAt)
		return t, err
	}, `SELECT agent, `+waitingTaskColumns+` FROM tasks
		WHERE waiting = 1 AND direct = 1 AND `+theirs+`
			AND EXISTS (SELECT 1 FROM agents a WHERE a.name = tasks.agent AND a.presence = 'available')
			AND NOT EXISTS (SELECT 1 FROM tasks t
				WHERE t.conversation = tasks.conversation AND t.agent = tasks.agent AND t.status IN ('assigned', 'wrapping'))`+
		bestFirst+` LIMIT $2`+m.SkipLocked("tasks"), arg, m.room)
	if err != nil {
		return desk.Wrap("find the tasks that wait for one agent", err)
	}
	for _, task := range tasks {
		m.match(task.waitingTask, &member{agent: task.agent})
	}
	return m.flush(ctx)
}

// match pairs a task with an agent. [matching.flush] writes it.
func (m *matching) match(task waitingTask, agent *member) {
	p := match{
		reservation: conversation.SIDOf(conversation.PrefixReservation, uuid.New()), task: task.sid,
		conversation: task.conversation, channel: task.channel, number: task.pendingSeq, agent: agent.agent,
	}
	agent.load++
	agent.idleSince = sqldb.Micros(m.now)
	m.room--
	m.made, m.unwritten = append(m.made, p), append(m.unwritten, p)
}

// flush writes the matches that are not written yet.
func (m *matching) flush(ctx context.Context) error {
	if len(m.unwritten) == 0 {
		return nil
	}
	rows := sqldb.NewRows(sqldb.Texts("of_task", "of_reservation", "of_conversation", "of_channel"), sqldb.Numbers("of_placement"),
		sqldb.Texts("of_agent"), sqldb.Numbers("of_deliver_at"))
	var tasks []string
	var touched []agentChannel
	for _, p := range m.unwritten {
		deliverAt := m.now
		if m.own != nil {
			if s := m.own(p.conversation); s != nil && s.held {
				deliverAt = m.now.Add(confirmedWithin)
			}
		}
		if err := rows.Add(p.task, p.reservation, p.conversation, string(p.channel), p.number, p.agent, sqldb.Micros(deliverAt)); err != nil {
			return desk.Wrap("match task "+p.task, err)
		}
		tasks, touched = append(tasks, p.task), append(touched, agentChannel{p.agent, p.channel})
	}
	slices.SortFunc(touched, agentChannel.compare)
	touched = slices.Compact(touched)
	p := m.Pipeline()
	table, args := m.Table(2, rows) //nolint:mnd // after the time
	p.Exec(`INSERT INTO placements (task, reservation, conversation, channel, placement, agent, created_at, deliver_at, attempts)
		SELECT of_task, of_reservation, of_conversation, of_channel, of_placement, of_agent, CAST($1 AS BIGINT), of_deliver_at, 0 FROM `+table,
		append([]any{sqldb.Micros(m.now)}, args...)...)
	matched, arg := m.Among("sid", 1, tasks)
	p.Exec(`UPDATE tasks SET waiting = 0 WHERE `+matched, arg)
	if err := queueLoads(m.Tx, p, touched, nil); err != nil {
		return err
	}
	queueIdle(m.Tx, p, touched, sqldb.Micros(m.now), nil)
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("write matches", err)
	}
	m.unwritten = nil
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

// startIdle restarts the agent's idle time.
func startIdle(ctx context.Context, tx *desk.Tx, agent string, now int64) error {
	p := tx.Pipeline()
	queueIdle(tx, p, []agentChannel{{agent: agent}}, now, nil)
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("start the idle time of "+agent, err)
	}
	return nil
}

// queueIdle restarts the idle time of agents, and reads their presence into a map, which may be nil. It contains no
// unknown agents.
func queueIdle(tx *desk.Tx, p *sqldb.Pipeline, agents []agentChannel, now int64, presences map[string]desk.Presence) {
	names := make([]string, len(agents))
	for i, a := range agents {
		names[i] = a.agent
	}
	named, arg := tx.Among("name", 1, names)
	theirs, _ := tx.Among("agent", 1, names)
	p.Each(func(r sqldb.Row) error {
		var name string
		var presence desk.Presence
		err := r.Scan(&name, &presence)
		if presences != nil {
			presences[name] = presence
		}
		return err
	}, `UPDATE agents SET idle_since = $2 WHERE `+named+` RETURNING name, presence`, arg, now)
	p.Exec(`UPDATE queue_agents SET idle_since = $2 WHERE `+theirs, arg, now)
}

// CountLoad recounts the agent's tasks and matches on the channel.
func CountLoad(ctx context.Context, tx *desk.Tx, agent string, channel conversation.Channel) error {
	p := tx.Pipeline()
	if err := queueLoads(tx, p, []agentChannel{{agent, channel}}, nil); err != nil {
		return err
	}
	if err := p.Run(ctx); err != nil {
		return desk.Wrap("count the load of "+agent, err)
	}
	return nil
}

// queueLoads recounts the tasks and matches of agents, and reads the loads into a map, which may be nil.
func queueLoads(tx *desk.Tx, p *sqldb.Pipeline, agents []agentChannel, loads map[agentChannel]load) error {
	rows := sqldb.NewRows(sqldb.Texts("of_agent", "of_channel"))
	for _, a := range agents {
		if err := rows.Add(a.agent, string(a.channel)); err != nil {
			return desk.Wrap("count the load of "+a.agent, err)
		}
	}
	table, args := tx.Table(1, rows)
	p.Each(func(r sqldb.Row) error {
		var of agentChannel
		var l load
		err := r.Scan(&of.agent, &of.channel, &l.load, &l.capacity)
		if loads != nil {
			loads[of] = l
		}
		return err
	}, `UPDATE agent_channels SET load =
			(SELECT count(*) FROM tasks t WHERE t.agent = of_agent AND t.channel = of_channel AND t.completed_at = 0 AND t.canceled_at = 0 AND t.status <> 'pending')
			+ (SELECT count(*) FROM placements p WHERE p.agent = of_agent AND p.channel = of_channel)
		FROM `+table+` WHERE agent = of_agent AND channel = of_channel
		RETURNING agent, channel, load, capacity`, args...)
	return nil
}
