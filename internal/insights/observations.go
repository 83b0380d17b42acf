package insights

import (
	"context"
	"fmt"
	"slices"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// observation is one thing that insights count, or several of a kind in one conversation. All figures, and the
// lists of conversations behind them, are computed from observations alone.
type observation struct {
	measure      measure
	conversation string
	of           *belonging
	// at is the time for which it counts, in microseconds.
	at    int64
	times int
	// took is its duration in microseconds, if the measure is timed.
	took int64
	// way is the transfer's, if it is one. It is valid only until the next observation.
	way *way
}

// whom is what an observation counts for: the whole desk if total is set, and a queue, an agent and a channel by
// their names, "" for none.
type whom struct {
	total                 bool
	queue, agent, channel string
}

// belonging is a whom that observations share.
type belonging struct {
	whom

	// tallies are the figures that the count adds to.
	tallies []*tally
}

// way is the sender and the target of a transfer.
type way struct {
	from, fromQueue string
	to              conversation.Target
}

// episode is what is known of a conversation while observations are made.
type episode struct {
	// begun is what it counts for, or nil if it did not begin in the period. at is when it began.
	begun  *belonging
	at     int64
	agents []string
	// transfers is the number of transfers of a conversation that began in the period, and hops that of the
	// completed ones.
	transfers, hops int
}

func (e *episode) join(agent string) {
	if !slices.Contains(e.agents, agent) {
		e.agents = append(e.agents, agent)
	}
}

// observing reads the tasks of a period and their transfers: a transfer is completed when its task is accepted, and
// fails with it.
type observing struct {
	*desk.Tx

	filter   Filter
	from, to int64
	observe  func(observation)

	episodes   map[string]*episode
	belongings map[whom]*belonging
}

// observe makes every observation that the filter selects, in no particular order.
func observe(ctx context.Context, d *desk.Desk, doing string, f Filter, observe func(observation)) error {
	return d.ReadTx(ctx, doing, func(tx *desk.Tx) error {
		o := &observing{
			Tx: tx, filter: f, from: sqldb.Micros(f.From), to: sqldb.Micros(f.To), observe: observe,
			episodes: map[string]*episode{}, belongings: map[whom]*belonging{},
		}
		for _, step := range []func(context.Context) error{o.readTasks, o.readLater, o.readRefusals} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		o.observeConversations()
		return nil
	})
}

func (o *observing) episode(sid string) *episode {
	e := o.episodes[sid]
	if e == nil {
		e = &episode{}
		o.episodes[sid] = e
	}
	return e
}

func (o *observing) belonging(w whom) *belonging {
	b := o.belongings[w]
	if b == nil {
		b = &belonging{whom: w}
		o.belongings[w] = b
	}
	return b
}

// chosen returns the belonging, or nil if the filter does not select it.
func (o *observing) chosen(w whom) *belonging {
	f := o.filter
	if (f.Queue != "" && f.Queue != w.queue) || (f.Agent != "" && f.Agent != w.agent) || (f.Channel != "" && string(f.Channel) != w.channel) {
		return nil
	}
	return o.belonging(w)
}

// turn is the part of a task that insights need.
type turn struct {
	conversation, channel, queue, agent string
	// first is set if the conversation begins with the task.
	first bool
	// way is that of the transfer that made the task, empty if no transfer did. givenBy is the agent who had
	// transferred the conversation to the sender.
	way     way
	givenBy string
	// canceled is why the task was canceled.
	canceled                               conversation.Reason
	created, assigned, wrapping, completed int64
}

// selectTurns reads the columns that the index tasks_for_insights has, and no others.
const selectTurns = `SELECT conversation, previous = '', channel, queue, agent, from_queue, from_agent, given_by, to_queue, to_agent,
	canceled_reason, created_at, assigned_at, wrapping_at, completed_at FROM tasks`

func (t *turn) scan(r sqldb.Row) error {
	return r.Scan(&t.conversation, &t.first, &t.channel, &t.queue, &t.agent, &t.way.fromQueue, &t.way.from, &t.givenBy, &t.way.to.Queue, &t.way.to.Agent,
		&t.canceled, &t.created, &t.assigned, &t.wrapping, &t.completed)
}

func (o *observing) readTasks(ctx context.Context) error {
	var t turn
	err := sqldb.Each(ctx, o.Tx, func(r sqldb.Row) error {
		if err := t.scan(r); err != nil {
			return err
		}
		e := o.episode(t.conversation)
		if t.first {
			e.begun, e.at = o.belonging(whom{total: true, channel: t.channel, queue: t.queue}), t.created
		}
		if t.way.from != "" {
			e.add(t.assigned > 0)
			o.observeTransfer(&t)
		}
		if t.assigned > 0 {
			e.join(t.agent)
			o.observeTask(&t)
		}
		return nil
	}, selectTurns+` WHERE created_at >= $1 AND created_at < $2`, o.from, o.to)
	if err != nil {
		return fmt.Errorf("read tasks: %w", err)
	}
	return nil
}

func (o *observing) observeTask(t *turn) {
	of := o.chosen(whom{total: true, channel: t.channel, queue: t.queue, agent: t.agent})
	if of == nil {
		return
	}
	observe := func(m measure, took int64) {
		o.observe(observation{measure: m, conversation: t.conversation, of: of, at: t.created, times: 1, took: took})
	}
	observe(measureTasks, 0)
	observe(measureTimeInQueue, t.assigned-t.created)
	if t.wrapping > 0 {
		observe(measureTalkTime, t.wrapping-t.assigned)
	}
	if t.completed > 0 {
		observe(measureWrapupTime, t.completed-t.wrapping)
		observe(measureHandleTime, t.completed-t.assigned)
	}
}

func (e *episode) add(completed bool) {
	e.transfers++
	if completed {
		e.hops++
	}
}

// observeTransfer observes the transfer that made the task, once as sent and once as received.
func (o *observing) observeTransfer(t *turn) {
	w := &t.way
	if o.filter.Target != (conversation.Target{}) && o.filter.Target != w.to {
		return
	}
	o.observeOneSide(t, sent, o.chosen(whom{total: true, channel: t.channel, queue: w.fromQueue, agent: w.from}))
	receiver := o.chosen(whom{total: true, channel: t.channel, queue: w.to.Queue, agent: w.to.Agent})
	if receiver != nil && o.filter.Queue == "" && o.filter.Agent == "" {
		// For the desk and a channel, received transfers are the sent ones, which are counted already.
		receiver = o.belonging(whom{queue: w.to.Queue, agent: w.to.Agent})
	}
	o.observeOneSide(t, received, receiver)
}

func (o *observing) observeOneSide(t *turn, side direction, of *belonging) {
	if of == nil {
		return
	}
	seen := observation{conversation: t.conversation, of: of, at: t.created, times: 1, way: &t.way}
	observe := func(m measure) {
		seen.measure = side.measure(m)
		o.observe(seen)
	}
	observe(measureInitiated)
	if t.assigned == 0 {
		for _, m := range unaccepted(t.canceled) {
			observe(m)
		}
		return
	}
	observe(measureCompleted)
	if (t.way.to.Agent != "" && t.way.to.Agent != t.agent) || (t.way.to.Queue != "" && t.way.to.Queue != t.queue) {
		observe(measureRedirected)
	}
	if t.givenBy == t.agent && t.agent != t.way.from {
		observe(measurePingPong)
	}
	seen.took = t.assigned - t.created
	observe(measureTimeToAccept)
}

// unaccepted returns the measures of a transfer whose task no agent has accepted.
func unaccepted(canceled conversation.Reason) []measure {
	switch canceled {
	case conversation.ReasonDeclined:
		return []measure{measureFailed, measureDeclined}
	case conversation.ReasonExpired:
		return []measure{measureFailed, measureExpired}
	case conversation.ReasonCanceled:
		return []measure{measureFailed, measureCanceled}
	case conversation.ReasonTaskTimeout:
		return []measure{measureFailed, measureTimedOut}
	case conversation.ReasonConversationClosed:
		return []measure{measureFailed, measureAbandoned}
	case conversation.ReasonWorkflowEnded, conversation.ReasonReset:
		return []measure{measureFailed}
	case conversation.ReasonAgentUnavailable: // the reason of an attempt, never of a task
	}
	return []measure{measureOpen}
}

// readLater completes the conversations that began in the period with their later tasks.
func (o *observing) readLater(ctx context.Context) error {
	_, later, err := sqldb.First(ctx, o.Tx, sqldb.Value[int64], `SELECT created_at FROM tasks WHERE created_at >= $1 LIMIT 1`, o.to)
	if err != nil || !later {
		return err
	}
	// Without CROSS JOIN, SQLite would read all later tasks and discard most of them.
	err = sqldb.Each(ctx, o.Tx, func(r sqldb.Row) error {
		var sid, agent, from string
		var assigned int64
		if err := r.Scan(&sid, &agent, &from, &assigned); err != nil {
			return err
		}
		e := o.episode(sid)
		if from != "" {
			e.add(assigned > 0)
		}
		if assigned > 0 {
			e.join(agent)
		}
		return nil
	}, `SELECT l.conversation, l.agent, l.from_agent, l.assigned_at FROM conversations c CROSS JOIN tasks l
		WHERE c.created_at >= $1 AND c.created_at < $2 AND (c.closed_at = 0 OR c.closed_at >= $2)
			AND l.conversation = c.sid AND l.created_at >= $2`, o.from, o.to)
	if err != nil {
		return fmt.Errorf("read the later tasks: %w", err)
	}
	return nil
}

func (o *observing) readRefusals(ctx context.Context) error {
	err := sqldb.Each(ctx, o.Tx, func(r sqldb.Row) error {
		seen := observation{measure: measureWrapupRefusals, times: 1}
		of := whom{total: true}
		if err := r.Scan(&seen.conversation, &of.agent, &of.channel, &of.queue, &seen.at); err != nil {
			return err
		}
		if seen.of = o.chosen(of); seen.of != nil {
			o.observe(seen)
		}
		return nil
	}, `SELECT conversation, agent, channel, queue, at FROM refusals WHERE code = $1 AND at >= $2 AND at < $3`,
		string(conversation.CodeWrapupPending), o.from, o.to)
	if err != nil {
		return fmt.Errorf("read refusals: %w", err)
	}
	return nil
}

// observeConversations observes the conversations that began in the period, after everything of them is read: for
// the desk, their channel and their queue, and for each agent who had them.
func (o *observing) observeConversations() {
	for sid, e := range o.episodes {
		if e.begun == nil {
			continue
		}
		f := o.filter
		if (f.Queue != "" && f.Queue != e.begun.queue) || (f.Channel != "" && string(f.Channel) != e.begun.channel) ||
			(f.Agent != "" && !slices.Contains(e.agents, f.Agent)) {
			continue
		}
		o.observeEpisode(sid, e, e.begun)
		for _, agent := range e.agents {
			if f.Agent == "" || f.Agent == agent {
				o.observeEpisode(sid, e, o.belonging(whom{agent: agent}))
			}
		}
	}
}

func (o *observing) observeEpisode(sid string, e *episode, of *belonging) {
	seen := observation{measure: measureConversations, conversation: sid, of: of, at: e.at, times: 1}
	o.observe(seen)
	if e.transfers > 0 {
		seen.measure = measureTransferred
		o.observe(seen)
	}
	if e.hops > 0 {
		seen.measure, seen.times = measureHops, e.hops
		o.observe(seen)
	}
}
