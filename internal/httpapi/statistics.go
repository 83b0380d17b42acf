package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	taskmodel "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/insights"
)

func statisticsRoutes() []route {
	const (
		now       = "Reports present counts"
		cumulated = "Reports counts of a period"
		both      = "Reports present counts and those of a period"
		waits     = "Every transfer creates a task, whose waiting time begins with the transfer. A task enters the queue in which it is created, " +
			"even if it waits for one agent, and each queue to which it is moved. A queue's tasks_entered is the sum of its present tasks, " +
			"tasks_completed, tasks_canceled and tasks_moved. Nothing is ever deleted: tasks_deleted is 0."
		available = "A worker is available if the activity is, and capacity is left for another task. " + waits
	)
	period := []string{"StartDate", "EndDate", "Minutes", "TaskChannel"}
	split := append(slices.Clone(period), "SplitByWaitTime")
	fetch := func(path, says string) route { return get(taskrouter, workspacePath+path, staff).says(says) }
	return []route{
		fetch("/Statistics", both+", in the workspace.").but(waits).with(split...).
			answers(taskmodel.TaskrouterV1WorkspaceStatistics{}).by((*call).workspaceStatistics),
		fetch("/RealTimeStatistics", now+", in the workspace.").with("TaskChannel").
			answers(taskmodel.TaskrouterV1WorkspaceRealTimeStatistics{}).by((*call).workspaceRealTime),
		fetch("/CumulativeStatistics", cumulated+", in the workspace.").but(waits).with(split...).
			answers(taskmodel.TaskrouterV1WorkspaceCumulativeStatistics{}).by((*call).workspaceCumulative),

		fetch("/Workers/Statistics", both+", of the agents.").with(period...).with("TaskQueueSid", "TaskQueueName", "FriendlyName").
			answers(taskmodel.TaskrouterV1WorkerStatistics{}).by((*call).workersStatistics),
		fetch("/Workers/RealTimeStatistics", now+", of the agents.").with("TaskChannel").
			answers(taskmodel.TaskrouterV1WorkersRealTimeStatistics{}).by((*call).workersRealTime),
		fetch("/Workers/CumulativeStatistics", cumulated+", of the agents.").with(period...).
			answers(taskmodel.TaskrouterV1WorkersCumulativeStatistics{}).by((*call).workersCumulative),
		fetch("/Workers/{worker}/Statistics", cumulated+", of an agent.").with(period...).
			answers(taskmodel.TaskrouterV1WorkerInstanceStatistics{}).by((*call).workerStatistics),

		fetch("/TaskQueues/Statistics", both+", in each queue.").but(available).with(split...).with("FriendlyName").
			lists("task_queues_statistics", taskmodel.TaskrouterV1TaskQueuesStatistics{}).by((*call).listQueueStatistics),
		post(taskrouter, workspacePath+"/TaskQueues/RealTimeStatistics", staff, http.StatusOK).says(now + ", in up to 50 queues.").but(available).
			asJSON().with("queueSids*").answers(taskmodel.TaskrouterV1TaskQueueBulkRealTimeStatistics{}).by((*call).queuesRealTime),
		fetch("/TaskQueues/{queue}/Statistics", both+", in a queue.").but(available).with(split...).
			answers(taskmodel.TaskrouterV1TaskQueueStatistics{}).by((*call).queueStatistics),
		fetch("/TaskQueues/{queue}/RealTimeStatistics", now+", in a queue.").but(available).with("TaskChannel").
			answers(taskmodel.TaskrouterV1TaskQueueRealTimeStatistics{}).by((*call).queueRealTime),
		fetch("/TaskQueues/{queue}/CumulativeStatistics", cumulated+", in a queue.").but(waits).with(split...).
			answers(taskmodel.TaskrouterV1TaskQueueCumulativeStatistics{}).by((*call).queueCumulative),

		fetch("/Workflows/{workflow}/Statistics", both+", of a workflow.").but(waits).with(split...).
			answers(taskmodel.TaskrouterV1WorkflowStatistics{}).by((*call).workflowStatistics),
		fetch("/Workflows/{workflow}/RealTimeStatistics", now+", of a workflow.").with("TaskChannel").
			answers(taskmodel.TaskrouterV1WorkflowRealTimeStatistics{}).by((*call).workflowRealTime),
		fetch("/Workflows/{workflow}/CumulativeStatistics", cumulated+", of a workflow.").but(waits).with(split...).
			answers(taskmodel.TaskrouterV1WorkflowCumulativeStatistics{}).by((*call).workflowCumulative),
	}
}

// longestPeriod is the maximum of Minutes: a year.
const longestPeriod = 366 * 24 * 60

// period reads the requested period: from StartDate until EndDate or now, or the last Minutes, which are 15 by
// default. The period includes the instant of EndDate.
func (c *call) period() (from, to time.Time, err error) {
	minutes, err := c.number("Minutes", 15, 1, longestPeriod)
	if err != nil {
		return from, to, err
	}
	if from, err = c.instant("StartDate"); err != nil {
		return from, to, err
	}
	if to, err = c.instant("EndDate"); err != nil {
		return from, to, err
	}
	dates := !from.IsZero() || !to.IsZero()
	if dates && c.form.Get("Minutes") != "" {
		return from, to, c.wrong("Minutes", "Minutes can't be used together with StartDate or EndDate: leave one or the other out")
	}
	if to.IsZero() {
		to = c.now
	}
	if from.IsZero() {
		from = to.Add(-time.Duration(minutes) * time.Minute)
	}
	if from.After(to) {
		return from, to, c.wrong("StartDate", "StartDate has to be before EndDate, or before now where there is no EndDate")
	}
	return from, to.Add(time.Microsecond), nil // the desk's resolution
}

// channelAsked reads a filter by task channel; "" for all channels.
func (c *call) channelAsked() (conversation.Channel, error) {
	if c.form.Get("TaskChannel") == "" {
		return "", nil
	}
	return c.taskChannel()
}

// maxThresholds is the maximum number of thresholds in SplitByWaitTime. maxThreshold is the largest one in seconds:
// the longest time that a task may wait.
const (
	maxThresholds = 20
	maxThreshold  = 14 * 24 * 60 * 60
)

// thresholds reads SplitByWaitTime: seconds, separated by commas.
func (c *call) thresholds() ([]time.Duration, error) {
	given := c.form.Get("SplitByWaitTime")
	if given == "" {
		return nil, nil
	}
	parts := strings.Split(given, ",")
	thresholds := make([]time.Duration, len(parts))
	for i, part := range parts {
		after, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || after < 0 || after > maxThreshold || len(parts) > maxThresholds {
			return nil, c.wrong("SplitByWaitTime", "SplitByWaitTime has to be at most %d numbers of seconds from 0 to %d, separated by commas, as in 5,30",
				maxThresholds, maxThreshold)
		}
		thresholds[i] = time.Duration(after) * time.Second
	}
	return thresholds, nil
}

// realTimeOf returns the present counts for each filter, on the requested channel.
func (c *call) realTimeOf(filters ...insights.StatisticsFilter) ([]insights.RealTime, error) {
	channel, err := c.channelAsked()
	if err != nil {
		return nil, err
	}
	for i := range filters {
		filters[i].Channel = channel
	}
	c.settle()
	return insights.ReadRealTime(c.ctx, c.desk, filters...)
}

func (c *call) realTime(filter insights.StatisticsFilter) (insights.RealTime, error) {
	counted, err := c.realTimeOf(filter)
	if err != nil {
		return insights.RealTime{}, err
	}
	return counted[0], nil
}

// cumulative holds the counts of a period, and the period.
type cumulative struct {
	insights.Cumulative

	from, to *time.Time
}

// cumulated returns the counts for each filter, in the requested period and on the requested channel.
func (c *call) cumulated(filters ...insights.StatisticsFilter) ([]cumulative, error) {
	from, to, err := c.period()
	if err != nil {
		return nil, err
	}
	channel, err := c.channelAsked()
	if err != nil {
		return nil, err
	}
	thresholds, err := c.thresholds()
	if err != nil {
		return nil, err
	}
	for i := range filters {
		filters[i].Channel, filters[i].Thresholds = channel, thresholds
	}
	c.settle()
	counted, err := insights.ReadCumulative(c.ctx, c.desk, from, to, filters...)
	if err != nil {
		return nil, err
	}
	figures := make([]cumulative, len(counted))
	for i, one := range counted {
		figures[i] = cumulative{one, date(from), date(to)}
	}
	return figures, nil
}

func (c *call) cumulatedOf(filter insights.StatisticsFilter) (cumulative, error) {
	figures, err := c.cumulated(filter)
	if err != nil {
		return cumulative{}, err
	}
	return figures[0], nil
}

// figuresOf returns the answer's keys without those that identify its subject, and without the others that are
// named.
func figuresOf(answer any, without ...string) (map[string]json.RawMessage, error) {
	encoded, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("encode statistics: %w", err)
	}
	figures := map[string]json.RawMessage{}
	if err := json.Unmarshal(encoded, &figures); err != nil {
		return nil, fmt.Errorf("decode statistics: %w", err)
	}
	for _, key := range append(without, "account_sid", "workspace_sid", "task_queue_sid", "workflow_sid", "url") {
		delete(figures, key)
	}
	return figures, nil
}

// part turns the answer of one call into a part of another answer.
func part(answer any, err error) (*any, error) {
	if err != nil {
		return nil, err
	}
	figures, err := figuresOf(answer)
	return object(figures), err
}

// parts turns the answers of two calls into the parts of a third one.
func (c *call) parts(realTime, cumulative handler) (now, past *any, err error) {
	if now, err = part(realTime(c)); err != nil {
		return nil, nil, err
	}
	past, err = part(cumulative(c))
	return now, past, err
}

// The functions below render counts and durations.

func wholeSeconds(took time.Duration) int { return int(took.Round(time.Second) / time.Second) }

func renderSpans(s insights.Spans) *any {
	return object(map[string]int{
		"avg": wholeSeconds(s.Mean()), "min": wholeSeconds(s.Min), "max": wholeSeconds(s.Max), "total": wholeSeconds(s.Total),
	})
}

// renderSplits returns nil, which is null in JSON, if no thresholds were requested.
func renderSplits(splits []insights.Split) *any {
	if len(splits) == 0 {
		return nil
	}
	shown := map[string]any{}
	for _, s := range splits {
		shown[strconv.Itoa(wholeSeconds(s.Threshold))] = map[string]any{
			"above": map[string]int{"reservations_accepted": s.Above.Accepted, "tasks_canceled": s.Above.Canceled},
			"below": map[string]int{"reservations_accepted": s.Below.Accepted, "tasks_canceled": s.Below.Canceled},
		}
	}
	return object(shown)
}

func renderActivityCounts(counts []insights.ActivityCount) *[]any {
	shown := []any{}
	for _, count := range counts {
		shown = append(shown, map[string]any{"sid": count.Activity.SID, "friendly_name": count.Activity.Name, "workers": count.Agents})
	}
	return &shown
}

func renderActivitySpans(spans []insights.ActivitySpans) *[]any {
	shown := []any{}
	for _, s := range spans {
		shown = append(shown, map[string]any{
			"sid": text(s.Activity.SID), "friendly_name": s.Activity.Name, "avg": wholeSeconds(s.Spans.Mean()),
			"min": wholeSeconds(s.Spans.Min), "max": wholeSeconds(s.Spans.Max), "total": wholeSeconds(s.Spans.Total),
		})
	}
	return &shown
}

// age returns for how many seconds a task has waited; 0 if none waits.
func (c *call) age(waiting insights.Waiting) int {
	if waiting.Task == "" {
		return 0
	}
	return seconds(waiting.Since, c.now)
}

func (c *call) workspaceStatistics() (any, error) {
	now, past, err := c.parts((*call).workspaceRealTime, (*call).workspaceCumulative)
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkspaceStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func (c *call) workspaceRealTime() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	now, err := c.realTime(insights.StatisticsFilter{})
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkspaceRealTimeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: object(now.ByStatus), TasksByPriority: object(now.ByPriority),
		LongestTaskWaitingAge: c.age(now.Longest), LongestTaskWaitingSid: text(now.Longest.Task),
		TotalWorkers: now.Agents, ActivityStatistics: renderActivityCounts(now.Activities),
	}), nil
}

func (c *call) workspaceCumulative() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	past, err := c.cumulatedOf(insights.StatisticsFilter{})
	if err != nil {
		return nil, err
	}
	r, t := past.Reservations, past.Tasks
	return all(taskmodel.TaskrouterV1WorkspaceCumulativeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksCreated: t.Created, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved, TasksTimedOutInWorkflow: t.TimedOut,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), SplitByWaitTime: renderSplits(past.Splits),
	}), nil
}

// workersAsked reads which agents' statistics are requested. The default is all agents, including removed ones.
func (c *call) workersAsked() (filter insights.StatisticsFilter, err error) {
	if err := c.workspace(); err != nil {
		return filter, err
	}
	filter.Activities = true
	var none bool
	if filter.Queue, none, err = c.queueAsked(); err != nil {
		return filter, err
	}
	named := c.form.Get("FriendlyName")
	if named == "" && !none {
		return filter, nil
	}
	agents, err := c.desk.Agents(c.ctx)
	filter.Agents = []string{}
	for _, a := range agents {
		if !none && asked(named, a.FriendlyName) {
			filter.Agents = append(filter.Agents, a.Name)
		}
	}
	return filter, err
}

func (c *call) workersStatistics() (any, error) {
	now, past, err := c.parts((*call).workersRealTime, (*call).workersCumulative)
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkerStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("Workers", "Statistics")),
		Realtime: now, Cumulative: past,
	}), nil
}

func (c *call) workersRealTime() (any, error) {
	filter, err := c.workersAsked()
	if err != nil {
		return nil, err
	}
	now, err := c.realTime(filter)
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkersRealTimeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("Workers", "RealTimeStatistics")),
		TotalWorkers: now.Agents, ActivityStatistics: renderActivityCounts(now.Activities),
	}), nil
}

func (c *call) workersCumulative() (any, error) {
	filter, err := c.workersAsked()
	if err != nil {
		return nil, err
	}
	return c.agentsCumulative(filter)
}

// agentsCumulative returns the same counts for one agent as for all.
func (c *call) agentsCumulative(filter insights.StatisticsFilter) (any, error) {
	past, err := c.cumulatedOf(filter)
	if err != nil {
		return nil, err
	}
	r := past.Reservations
	return all(taskmodel.TaskrouterV1WorkersCumulativeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("Workers", "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to, ActivityDurations: renderActivitySpans(past.Activities),
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
	}), nil
}

func (c *call) workerStatistics() (any, error) {
	agent, err := c.workerAsked()
	if err != nil {
		return nil, err
	}
	past, err := part(c.agentsCumulative(insights.StatisticsFilter{Agents: []string{agent.Name}, Activities: true}))
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkerInstanceStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), WorkerSid: new(agent.SID),
		Url: new(c.workspaceURL("Workers", agent.SID, "Statistics")), Cumulative: past,
	}), nil
}

func (c *call) renderQueueRealTime(sid string, now insights.RealTime) whole[taskmodel.TaskrouterV1TaskQueueRealTimeStatistics] {
	return all(taskmodel.TaskrouterV1TaskQueueRealTimeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), TaskQueueSid: new(sid),
		Url:        new(c.workspaceURL("TaskQueues", sid, "RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: object(now.ByStatus), TasksByPriority: object(now.ByPriority),
		LongestTaskWaitingAge: c.age(now.Longest), LongestTaskWaitingSid: text(now.Longest.Task),
		LongestRelativeTaskAgeInQueue: c.age(now.LongestInQueue), LongestRelativeTaskSidInQueue: text(now.LongestInQueue.Task),
		TotalEligibleWorkers: now.Agents, TotalAvailableWorkers: now.Available, ActivityStatistics: renderActivityCounts(now.Activities),
	})
}

func (c *call) renderQueueCumulative(sid string, past cumulative) whole[taskmodel.TaskrouterV1TaskQueueCumulativeStatistics] {
	r, t := past.Reservations, past.Tasks
	return all(taskmodel.TaskrouterV1TaskQueueCumulativeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), TaskQueueSid: new(sid),
		Url:       new(c.workspaceURL("TaskQueues", sid, "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksEntered: t.Entered, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), WaitDurationInQueueUntilAccepted: renderSpans(past.InQueue),
		SplitByWaitTime: renderSplits(past.Splits),
	})
}

func (c *call) queueStatistics() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	now, past, err := c.parts((*call).queueRealTime, (*call).queueCumulative)
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1TaskQueueStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), TaskQueueSid: new(queue.SID),
		Url: new(c.workspaceURL("TaskQueues", queue.SID, "Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func (c *call) queueRealTime() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	now, err := c.realTime(insights.StatisticsFilter{Queue: queue.Name})
	if err != nil {
		return nil, err
	}
	return c.renderQueueRealTime(queue.SID, now), nil
}

func (c *call) queueCumulative() (any, error) {
	queue, err := c.queueFound()
	if err != nil {
		return nil, err
	}
	past, err := c.cumulatedOf(insights.StatisticsFilter{Queue: queue.Name})
	if err != nil {
		return nil, err
	}
	return c.renderQueueCumulative(queue.SID, past), nil
}

func (c *call) listQueueStatistics() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	queues, err := c.desk.Queues(c.ctx)
	if err != nil {
		return nil, err
	}
	queues = slices.DeleteFunc(queues, func(q desk.Queue) bool { return !asked(c.form.Get("FriendlyName"), q.FriendlyName) })
	wanted := []desk.Queue{} // only the queues of the page are counted
	answer, err := some(c, queues, func(q desk.Queue) any {
		wanted = append(wanted, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, ok := answer.(listed)
	if !ok {
		return nil, fmt.Errorf("a page of queues is %T", answer)
	}
	page.entries, err = c.statisticsOf(wanted)
	return page, err
}

func (c *call) statisticsOf(queues []desk.Queue) ([]whole[taskmodel.TaskrouterV1TaskQueuesStatistics], error) {
	filters := make([]insights.StatisticsFilter, len(queues))
	for i, q := range queues {
		filters[i].Queue = q.Name
	}
	past, err := c.cumulated(filters...)
	if err != nil {
		return nil, err
	}
	now, err := c.realTimeOf(filters...)
	if err != nil {
		return nil, err
	}
	statistics := make([]whole[taskmodel.TaskrouterV1TaskQueuesStatistics], len(queues))
	for i, q := range queues {
		figures, err := figuresOf(c.renderQueueRealTime(q.SID, now[i]), onlyOfOne...)
		if err != nil {
			return nil, err
		}
		cumulative, err := part(c.renderQueueCumulative(q.SID, past[i]), nil)
		if err != nil {
			return nil, err
		}
		statistics[i] = all(taskmodel.TaskrouterV1TaskQueuesStatistics{
			AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), TaskQueueSid: new(q.SID), Realtime: object(figures), Cumulative: cumulative,
		})
	}
	return statistics, nil
}

// onlyOfOne lists the keys that only the statistics of a single queue have.
var onlyOfOne = []string{"longest_relative_task_age_in_queue", "longest_relative_task_sid_in_queue"}

// maxQueuesAtOnce is Twilio's limit for the queues in one request.
const maxQueuesAtOnce = 50

// queuesAsked reads the SIDs of queues in the body. The key is queueSids, as in an example of Twilio's, QueueSids,
// as in the table beside it, or queue_sids: Twilio's text does not specify it.
func (c *call) queuesAsked() (sids []string, err error) {
	var body map[string]json.RawMessage
	err = json.Unmarshal(c.body, &body)
	for _, name := range slices.Sorted(maps.Keys(body)) {
		switch known := strings.EqualFold(strings.ReplaceAll(name, "_", ""), "queueSids"); {
		case !known:
			return nil, c.wrong(shortened(name), "%s is not supported: leave it out", short(name))
		case sids != nil:
			return nil, c.wrong("queueSids", "the body names the queues twice: send queueSids once")
		default:
			err = errors.Join(err, json.Unmarshal(body[name], &sids))
		}
	}
	if err != nil || len(sids) == 0 || len(sids) > maxQueuesAtOnce || slices.ContainsFunc(sids, func(sid string) bool { return !isSID(conversation.PrefixQueue, sid) }) {
		return nil, c.wrong("queueSids", `The body has to be JSON with 1 to %d SIDs of queues, as in {"queueSids":["WQ…"]}`, maxQueuesAtOnce)
	}
	return sids, nil
}

func (c *call) queuesRealTime() (any, error) {
	if err := c.workspace(); err != nil {
		return nil, err
	}
	sids, err := c.queuesAsked()
	if err != nil {
		return nil, err
	}
	queues, err := c.desk.Queues(c.ctx)
	if err != nil {
		return nil, err
	}
	filters := make([]insights.StatisticsFilter, len(sids))
	for i, sid := range sids {
		filters[i].Queue = sid // no queue has this name: its counts are 0
		for _, q := range queues {
			if sameDigits(sid, q.SID) {
				filters[i].Queue, sids[i] = q.Name, q.SID
			}
		}
	}
	now, err := c.realTimeOf(filters...)
	if err != nil {
		return nil, err
	}
	found := make([]any, len(sids))
	for i, sid := range sids {
		figures, err := figuresOf(c.renderQueueRealTime(sid, now[i]), onlyOfOne...)
		if err != nil {
			return nil, err
		}
		if figures["task_queue_sid"], err = json.Marshal(sid); err != nil {
			return nil, fmt.Errorf("encode the SID of a queue: %w", err)
		}
		found[i] = figures
	}
	return all(taskmodel.TaskrouterV1TaskQueueBulkRealTimeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), Url: new(c.workspaceURL("TaskQueues", "RealTimeStatistics")),
		TaskQueueData: &found, TaskQueueResponseCount: len(found),
	}), nil
}

func (c *call) workflowStatistics() (any, error) {
	workflow, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	now, past, err := c.parts((*call).workflowRealTime, (*call).workflowCumulative)
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkflowStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), WorkflowSid: new(workflow.SID),
		Url: new(c.workspaceURL("Workflows", workflow.SID, "Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func (c *call) workflowRealTime() (any, error) {
	workflow, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	now, err := c.realTime(insights.StatisticsFilter{Workflow: workflow.SID})
	if err != nil {
		return nil, err
	}
	return all(taskmodel.TaskrouterV1WorkflowRealTimeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), WorkflowSid: new(workflow.SID),
		Url:        new(c.workspaceURL("Workflows", workflow.SID, "RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: object(now.ByStatus), TasksByPriority: object(now.ByPriority),
		LongestTaskWaitingAge: c.age(now.Longest), LongestTaskWaitingSid: text(now.Longest.Task),
	}), nil
}

func (c *call) workflowCumulative() (any, error) {
	workflow, err := c.workflowFound()
	if err != nil {
		return nil, err
	}
	past, err := c.cumulatedOf(insights.StatisticsFilter{Workflow: workflow.SID})
	if err != nil {
		return nil, err
	}
	r, t := past.Reservations, past.Tasks
	return all(taskmodel.TaskrouterV1WorkflowCumulativeStatistics{
		AccountSid: new(c.account.SID), WorkspaceSid: new(c.workspaceSID()), WorkflowSid: new(workflow.SID),
		Url:       new(c.workspaceURL("Workflows", workflow.SID, "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksEntered: t.Created, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved, TasksTimedOutInWorkflow: t.TimedOut,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), SplitByWaitTime: renderSplits(past.Splits),
	}), nil
}
