package desk

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Insights are the figures about transfers in a period: of the desk, and of each queue, agent and
// channel that had any.
//
// Everything counts in the period in which it began, with what has become of it until now: a
// conversation by its start, a transfer by when it was initiated, a task by its creation.
type Insights struct {
	From time.Time `json:"from"`
	// To is the first moment after the period.
	To       time.Time `json:"to"`
	Total    Figures   `json:"total"`
	Queues   []Group   `json:"queues"`
	Agents   []Group   `json:"agents"`
	Channels []Group   `json:"channels"`
}

// Group is the figures of one queue, agent or channel.
type Group struct {
	Name string `json:"name"`
	Figures
}

// Figures are what insights tell of a group.
type Figures struct {
	// Conversations began in the period. A queue counts those whose first task was its own, an agent
	// those of which they accepted a task.
	Conversations int `json:"conversations"`
	// Transferred are those conversations that were transferred at least once.
	Transferred int `json:"transferred"`
	// Hops are the completed transfers of those conversations.
	Hops int `json:"hops"`
	// Sent are the transfers of the group: a queue counts those of its tasks, an agent those they made.
	Sent Transfers `json:"sent"`
	// Received are the transfers with the queue or the agent as their target; of the desk and of a
	// channel they are the same as those sent, and not counted again.
	Received Transfers `json:"received,omitzero"`
	// Tasks were created in the period and accepted, in the queue, by the agent.
	Tasks int `json:"tasks"`
	// TimeInQueue is from a task's creation until it was accepted.
	TimeInQueue Durations `json:"time_in_queue"`
	// TalkTime is from a task's acceptance until its wrapup began, WrapupTime until it was completed;
	// HandleTime is both. Tasks that have not come so far aren't counted.
	TalkTime   Durations `json:"talk_time"`
	WrapupTime Durations `json:"wrapup_time"`
	HandleTime Durations `json:"handle_time"`
}

// ShareTransferred is the share of conversations that were transferred at least once, 0 to 1.
func (f Figures) ShareTransferred() float64 { return ratio(f.Transferred, f.Conversations) }

// HopsPerConversation is how often a conversation was handed on, on average.
func (f Figures) HopsPerConversation() float64 { return ratio(f.Hops, f.Conversations) }

// Transfers counts transfers by what became of them. The outcomes and Open sum up to Initiated.
type Transfers struct {
	Initiated int `json:"initiated"`
	// Completed were accepted, Redirected of them by somebody else than the agent or through another
	// queue than the one they were made to.
	Completed  int `json:"completed"`
	Redirected int `json:"redirected"`
	// Declined and Expired went back to their sender because the target didn't take them.
	Declined int `json:"declined"`
	Expired  int `json:"expired"`
	// Canceled were taken back by their sender, TimedOut waited for longer than a task may.
	Canceled int `json:"canceled"`
	TimedOut int `json:"timed_out"`
	// Abandoned ended because the customer's side was closed.
	Abandoned int `json:"abandoned"`
	// Open have not been accepted yet.
	Open int `json:"open"`
	// TimeToAccept is from when a completed transfer was initiated until it was accepted.
	TimeToAccept Durations `json:"time_to_accept"`
}

// Durations tell how long something took, each time it happened. In JSON they are seconds.
type Durations struct {
	Count int
	Mean  time.Duration
	// Median and P90 are the least that half and nine tenths of them didn't exceed.
	Median, P90 time.Duration
	Longest     time.Duration

	each []time.Duration
}

// MarshalJSON implements [json.Marshaler].
func (d Durations) MarshalJSON() ([]byte, error) {
	encoded, err := json.Marshal(struct {
		Count   int     `json:"count"`
		Mean    float64 `json:"mean"`
		Median  float64 `json:"median"`
		P90     float64 `json:"p90"`
		Longest float64 `json:"longest"`
	}{d.Count, d.Mean.Seconds(), d.Median.Seconds(), d.P90.Seconds(), d.Longest.Seconds()})
	if err != nil {
		return nil, wrap("encode durations", err)
	}
	return encoded, nil
}

// Insights returns the figures of the period from (included) to (excluded).
func (d *Desk) Insights(ctx context.Context, from, to time.Time) (Insights, error) {
	var c *counting
	err := d.read(ctx, "count insights", func(t *transaction) error {
		c = newCounting()
		return errors.Join(
			c.countConversations(ctx, t, micros(from), micros(to)),
			c.countTransfers(ctx, t, micros(from), micros(to)),
			c.countTasks(ctx, t, micros(from), micros(to)),
		)
	})
	if err != nil {
		return Insights{}, err
	}
	return c.insights(from, to), nil
}

// counting sums up rows, each for the desk and for every group that it belongs to.
type counting struct {
	total                    *Figures
	queues, agents, channels map[string]*Figures
}

func newCounting() *counting {
	return &counting{total: &Figures{}, queues: map[string]*Figures{}, agents: map[string]*Figures{}, channels: map[string]*Figures{}}
}

// of returns the figures of the group with that name, and throwaway ones where there is no name.
func of(groups map[string]*Figures, name string) *Figures {
	if name == "" {
		return &Figures{}
	}
	if groups[name] == nil {
		groups[name] = &Figures{}
	}
	return groups[name]
}

func (c *counting) countConversations(ctx context.Context, t *transaction, from, to int64) error {
	type begun struct {
		channel, queue string
		transfers      int
		hops           int
	}
	conversations := map[string]begun{}
	err := each(ctx, t, func(r row) error {
		var sid string
		var b begun
		err := r.Scan(&sid, &b.channel, &b.queue, &b.transfers, &b.hops)
		conversations[sid] = b
		return err
	}, `SELECT c.sid, c.channel,
			coalesce((SELECT t.queue FROM tasks t WHERE t.conversation = c.sid ORDER BY t.placement LIMIT 1), ''),
			(SELECT count(*) FROM transfers x WHERE x.conversation = c.sid),
			(SELECT count(*) FROM transfers x WHERE x.conversation = c.sid AND x.status = 'completed')
		FROM conversations c WHERE c.created_at >= $1 AND c.created_at < $2 AND c.revision > 0`, from, to)
	if err != nil {
		return wrap("count conversations", err)
	}
	count := func(f *Figures, b begun) {
		f.Conversations++
		f.Transferred += min(b.transfers, 1)
		f.Hops += b.hops
	}
	for _, b := range conversations {
		count(c.total, b)
		count(of(c.channels, b.channel), b)
		count(of(c.queues, b.queue), b)
	}
	err = each(ctx, t, func(r row) error {
		var sid, agent string
		err := r.Scan(&sid, &agent)
		count(of(c.agents, agent), conversations[sid])
		return err
	}, `SELECT DISTINCT c.sid, t.agent FROM conversations c JOIN tasks t ON t.conversation = c.sid
		WHERE c.created_at >= $1 AND c.created_at < $2 AND t.assigned_at > 0`, from, to)
	if err != nil {
		return wrap("count the conversations of agents", err)
	}
	return nil
}

func (c *counting) countTransfers(ctx context.Context, t *transaction, from, to int64) error {
	type made struct {
		conversation.Transfer
		channel, fromQueue, acceptedQueue string
	}
	err := each(ctx, t, func(r row) error {
		var m made
		err := r.Scan(&m.Status, &m.FailureReason, &m.From, &m.fromQueue, &m.To.Agent, &m.To.Queue, &m.AcceptedBy, &m.acceptedQueue, &m.channel,
			instant{&m.CreatedAt}, instant{&m.EndedAt})
		redirected := (m.To.Agent != "" && m.AcceptedBy != m.To.Agent) || (m.To.Queue != "" && m.acceptedQueue != m.To.Queue)
		for _, count := range []*Transfers{
			&c.total.Sent, &of(c.channels, m.channel).Sent, &of(c.queues, m.fromQueue).Sent, &of(c.agents, m.From).Sent,
			&of(c.queues, m.To.Queue).Received, &of(c.agents, m.To.Agent).Received,
		} {
			addTransfer(count, m.Transfer, redirected)
		}
		return err
	}, `SELECT x.status, x.failure_reason, x.from_agent, coalesce(f.queue, ''), x.to_agent, x.to_queue, x.accepted_by, t.queue, t.channel,
			x.created_at, x.ended_at
		FROM transfers x JOIN tasks t ON t.sid = x.task LEFT JOIN tasks f ON f.sid = x.from_task
		WHERE x.created_at >= $1 AND x.created_at < $2`, from, to)
	if err != nil {
		return wrap("count transfers", err)
	}
	return nil
}

func addTransfer(s *Transfers, x conversation.Transfer, redirected bool) {
	s.Initiated++
	switch x.Status {
	case conversation.TransferActive:
		s.Open++
	case conversation.TransferCompleted:
		s.Completed++
		if redirected {
			s.Redirected++
		}
		addDuration(&s.TimeToAccept, x.EndedAt.Sub(x.CreatedAt))
	case conversation.TransferFailed:
		switch x.FailureReason {
		case conversation.ReasonDeclined:
			s.Declined++
		case conversation.ReasonExpired:
			s.Expired++
		case conversation.ReasonCanceled:
			s.Canceled++
		case conversation.ReasonTaskTimeout:
			s.TimedOut++
		case conversation.ReasonConversationClosed:
			s.Abandoned++
		}
	}
}

func (c *counting) countTasks(ctx context.Context, t *transaction, from, to int64) error {
	err := each(ctx, t, func(r row) error {
		var task Task
		err := r.Scan(&task.Queue, &task.Agent, &task.Channel, instant{&task.CreatedAt}, instant{&task.AssignedAt},
			instant{&task.WrappingAt}, instant{&task.CompletedAt})
		for _, f := range []*Figures{c.total, of(c.queues, task.Queue), of(c.agents, task.Agent), of(c.channels, string(task.Channel))} {
			addTask(f, task)
		}
		return err
	}, `SELECT queue, agent, channel, created_at, assigned_at, wrapping_at, completed_at FROM tasks
		WHERE created_at >= $1 AND created_at < $2 AND assigned_at > 0`, from, to)
	if err != nil {
		return wrap("count tasks", err)
	}
	return nil
}

func addTask(f *Figures, task Task) {
	f.Tasks++
	addDuration(&f.TimeInQueue, task.AssignedAt.Sub(task.CreatedAt))
	if !task.WrappingAt.IsZero() {
		addDuration(&f.TalkTime, task.WrappingAt.Sub(task.AssignedAt))
	}
	if !task.CompletedAt.IsZero() {
		addDuration(&f.WrapupTime, task.CompletedAt.Sub(task.WrappingAt))
		addDuration(&f.HandleTime, task.CompletedAt.Sub(task.AssignedAt))
	}
}

func (c *counting) insights(from, to time.Time) Insights {
	settle(c.total)
	return Insights{
		From: from, To: to, Total: *c.total,
		Queues: settled(c.queues), Agents: settled(c.agents), Channels: settled(c.channels),
	}
}

func settled(groups map[string]*Figures) []Group {
	named := []Group{}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		settle(groups[name])
		named = append(named, Group{Name: name, Figures: *groups[name]})
	}
	return named
}

func settle(f *Figures) {
	for _, d := range []*Durations{
		&f.Sent.TimeToAccept, &f.Received.TimeToAccept, &f.TimeInQueue, &f.TalkTime, &f.WrapupTime, &f.HandleTime,
	} {
		settleDurations(d)
	}
}

func addDuration(d *Durations, took time.Duration) { d.each = append(d.each, took) }

// settleDurations turns each duration into what is told of all.
func settleDurations(d *Durations) {
	count := len(d.each)
	if count == 0 {
		return
	}
	slices.Sort(d.each)
	sum := 0.0
	for _, took := range d.each {
		sum += float64(took)
	}
	d.Count, d.Mean = count, time.Duration(sum/float64(count))
	d.Median, d.P90, d.Longest = ranked(d.each, 0.5), ranked(d.each, 0.9), d.each[count-1]
	d.each = nil
}

// ranked returns the least of the sorted durations that the share of all didn't exceed.
func ranked(sorted []time.Duration, share float64) time.Duration {
	return sorted[max(int(math.Ceil(share*float64(len(sorted))))-1, 0)]
}

func ratio(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
