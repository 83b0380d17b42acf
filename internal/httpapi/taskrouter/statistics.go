package taskrouter

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
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/insights"
	"github.com/baton-transfers/baton/internal/people"
)

func statisticsRoutes() []rest.Route {
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
	fetch := func(path, says string) rest.Route { return rest.Get(workspacePath+path, rest.Staff).Says(says) }
	return []rest.Route{
		fetch("/Statistics", both+", in the workspace.").But(waits).With(split...).
			Answers(taskmodel.TaskrouterV1WorkspaceStatistics{}).By(workspaceStatistics),
		fetch("/RealTimeStatistics", now+", in the workspace.").With("TaskChannel").
			Answers(taskmodel.TaskrouterV1WorkspaceRealTimeStatistics{}).By(workspaceRealTime),
		fetch("/CumulativeStatistics", cumulated+", in the workspace.").But(waits).With(split...).
			Answers(taskmodel.TaskrouterV1WorkspaceCumulativeStatistics{}).By(workspaceCumulative),

		fetch("/Workers/Statistics", both+", of the agents.").With(period...).With("TaskQueueSid", "TaskQueueName", "FriendlyName").
			Answers(taskmodel.TaskrouterV1WorkerStatistics{}).By(workersStatistics),
		fetch("/Workers/RealTimeStatistics", now+", of the agents.").With("TaskChannel").
			Answers(taskmodel.TaskrouterV1WorkersRealTimeStatistics{}).By(workersRealTime),
		fetch("/Workers/CumulativeStatistics", cumulated+", of the agents.").With(period...).
			Answers(taskmodel.TaskrouterV1WorkersCumulativeStatistics{}).By(workersCumulative),
		fetch("/Workers/{worker}/Statistics", cumulated+", of an agent.").With(period...).
			Answers(taskmodel.TaskrouterV1WorkerInstanceStatistics{}).By(workerStatistics),

		fetch("/TaskQueues/Statistics", both+", in each queue.").But(available).With(split...).With("FriendlyName").
			Lists("task_queues_statistics", taskmodel.TaskrouterV1TaskQueuesStatistics{}).By(listQueueStatistics),
		rest.Post(workspacePath+"/TaskQueues/RealTimeStatistics", rest.Staff, http.StatusOK).Says(now + ", in up to 50 queues.").But(available).
			AsJSON().With("queueSids*").Answers(taskmodel.TaskrouterV1TaskQueueBulkRealTimeStatistics{}).By(queuesRealTime),
		fetch("/TaskQueues/{queue}/Statistics", both+", in a queue.").But(available).With(split...).
			Answers(taskmodel.TaskrouterV1TaskQueueStatistics{}).By(queueStatistics),
		fetch("/TaskQueues/{queue}/RealTimeStatistics", now+", in a queue.").But(available).With("TaskChannel").
			Answers(taskmodel.TaskrouterV1TaskQueueRealTimeStatistics{}).By(queueRealTime),
		fetch("/TaskQueues/{queue}/CumulativeStatistics", cumulated+", in a queue.").But(waits).With(split...).
			Answers(taskmodel.TaskrouterV1TaskQueueCumulativeStatistics{}).By(queueCumulative),

		fetch("/Workflows/{workflow}/Statistics", both+", of a workflow.").But(waits).With(split...).
			Answers(taskmodel.TaskrouterV1WorkflowStatistics{}).By(workflowStatistics),
		fetch("/Workflows/{workflow}/RealTimeStatistics", now+", of a workflow.").With("TaskChannel").
			Answers(taskmodel.TaskrouterV1WorkflowRealTimeStatistics{}).By(workflowRealTime),
		fetch("/Workflows/{workflow}/CumulativeStatistics", cumulated+", of a workflow.").But(waits).With(split...).
			Answers(taskmodel.TaskrouterV1WorkflowCumulativeStatistics{}).By(workflowCumulative),
	}
}

// longestPeriod is the maximum of Minutes: a year.
const longestPeriod = 366 * 24 * 60

// readPeriod reads the requested period: from StartDate until EndDate or now, or the last Minutes, which are 15 by
// default. The period includes the instant of EndDate.
func readPeriod(c *rest.Call) (from, to time.Time, err error) {
	minutes, err := c.Number("Minutes", 15, 1, longestPeriod)
	if err != nil {
		return from, to, err
	}
	if from, err = c.Instant("StartDate"); err != nil {
		return from, to, err
	}
	if to, err = c.Instant("EndDate"); err != nil {
		return from, to, err
	}
	dates := !from.IsZero() || !to.IsZero()
	if dates && c.Form.Get("Minutes") != "" {
		return from, to, c.Wrong("Minutes", "Minutes can't be used together with StartDate or EndDate: leave one or the other out")
	}
	if to.IsZero() {
		to = c.Now
	}
	if from.IsZero() {
		from = to.Add(-time.Duration(minutes) * time.Minute)
	}
	if from.After(to) {
		return from, to, c.Wrong("StartDate", "StartDate has to be before EndDate, or before now where there is no EndDate")
	}
	return from, to.Add(time.Microsecond), nil // the desk's resolution
}

// channelAsked reads a filter by task channel; "" for all channels.
func channelAsked(c *rest.Call) (conversation.Channel, error) {
	if c.Form.Get("TaskChannel") == "" {
		return "", nil
	}
	return taskChannel(c)
}

// maxThresholds is the maximum number of thresholds in SplitByWaitTime. maxThreshold is the largest one in seconds:
// the longest time that a task may wait.
const (
	maxThresholds = 20
	maxThreshold  = 14 * 24 * 60 * 60
)

// readThresholds reads SplitByWaitTime: seconds, separated by commas.
func readThresholds(c *rest.Call) ([]time.Duration, error) {
	given := c.Form.Get("SplitByWaitTime")
	if given == "" {
		return nil, nil
	}
	parts := strings.Split(given, ",")
	thresholds := make([]time.Duration, len(parts))
	for i, part := range parts {
		after, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || after < 0 || after > maxThreshold || len(parts) > maxThresholds {
			return nil, c.Wrong("SplitByWaitTime", "SplitByWaitTime has to be at most %d numbers of seconds from 0 to %d, separated by commas, as in 5,30",
				maxThresholds, maxThreshold)
		}
		thresholds[i] = time.Duration(after) * time.Second
	}
	return thresholds, nil
}

// realTimeOf returns the present counts for each filter, on the requested channel.
func realTimeOf(c *rest.Call, filters ...insights.StatisticsFilter) ([]insights.RealTime, error) {
	channel, err := channelAsked(c)
	if err != nil {
		return nil, err
	}
	for i := range filters {
		filters[i].Channel = channel
	}
	c.Settle()
	return insights.ReadRealTime(c.Ctx, c.Desk, filters...)
}

func realTime(c *rest.Call, filter insights.StatisticsFilter) (insights.RealTime, error) {
	counted, err := realTimeOf(c, filter)
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
func cumulated(c *rest.Call, filters ...insights.StatisticsFilter) ([]cumulative, error) {
	from, to, err := readPeriod(c)
	if err != nil {
		return nil, err
	}
	channel, err := channelAsked(c)
	if err != nil {
		return nil, err
	}
	thresholds, err := readThresholds(c)
	if err != nil {
		return nil, err
	}
	for i := range filters {
		filters[i].Channel, filters[i].Thresholds = channel, thresholds
	}
	c.Settle()
	counted, err := insights.ReadCumulative(c.Ctx, c.Desk, from, to, filters...)
	if err != nil {
		return nil, err
	}
	figures := make([]cumulative, len(counted))
	for i, one := range counted {
		figures[i] = cumulative{one, rest.Date(from), rest.Date(to)}
	}
	return figures, nil
}

func cumulatedOf(c *rest.Call, filter insights.StatisticsFilter) (cumulative, error) {
	figures, err := cumulated(c, filter)
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
	return rest.Object(figures), err
}

// parts turns the answers of two calls into the parts of a third one.
func parts(c *rest.Call, realTime, cumulative rest.Handler) (now, past *any, err error) {
	if now, err = part(realTime(c)); err != nil {
		return nil, nil, err
	}
	past, err = part(cumulative(c))
	return now, past, err
}

// The functions below render counts and durations.

func wholeSeconds(took time.Duration) int { return int(took.Round(time.Second) / time.Second) }

func renderSpans(s insights.Spans) *any {
	return rest.Object(map[string]int{
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
	return rest.Object(shown)
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
			"sid": rest.Text(s.Activity.SID), "friendly_name": s.Activity.Name, "avg": wholeSeconds(s.Spans.Mean()),
			"min": wholeSeconds(s.Spans.Min), "max": wholeSeconds(s.Spans.Max), "total": wholeSeconds(s.Spans.Total),
		})
	}
	return &shown
}

// age returns for how many seconds a task has waited; 0 if none waits.
func age(c *rest.Call, waiting insights.Waiting) int {
	if waiting.Task == "" {
		return 0
	}
	return rest.Seconds(waiting.Since, c.Now)
}

func workspaceStatistics(c *rest.Call) (any, error) {
	now, past, err := parts(c, workspaceRealTime, workspaceCumulative)
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkspaceStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func workspaceRealTime(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	now, err := realTime(c, insights.StatisticsFilter{})
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkspaceRealTimeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: rest.Object(now.ByStatus), TasksByPriority: rest.Object(now.ByPriority),
		LongestTaskWaitingAge: age(c, now.Longest), LongestTaskWaitingSid: rest.Text(now.Longest.Task),
		TotalWorkers: now.Agents, ActivityStatistics: renderActivityCounts(now.Activities),
	}), nil
}

func workspaceCumulative(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	past, err := cumulatedOf(c, insights.StatisticsFilter{})
	if err != nil {
		return nil, err
	}
	r, t := past.Reservations, past.Tasks
	return rest.All(taskmodel.TaskrouterV1WorkspaceCumulativeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksCreated: t.Created, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved, TasksTimedOutInWorkflow: t.TimedOut,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), SplitByWaitTime: renderSplits(past.Splits),
	}), nil
}

// workersAsked reads which agents' statistics are requested. The default is all agents, including removed ones.
func workersAsked(c *rest.Call) (filter insights.StatisticsFilter, err error) {
	if err := checkWorkspace(c); err != nil {
		return filter, err
	}
	filter.Activities = true
	var none bool
	if filter.Queue, none, err = queueAsked(c); err != nil {
		return filter, err
	}
	named := c.Form.Get("FriendlyName")
	if named == "" && !none {
		return filter, nil
	}
	agents, err := people.ListAgents(c.Ctx, c.Desk)
	filter.Agents = []string{}
	for _, a := range agents {
		if !none && asked(named, a.FriendlyName) {
			filter.Agents = append(filter.Agents, a.Name)
		}
	}
	return filter, err
}

func workersStatistics(c *rest.Call) (any, error) {
	now, past, err := parts(c, workersRealTime, workersCumulative)
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkerStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("Workers", "Statistics")),
		Realtime: now, Cumulative: past,
	}), nil
}

func workersRealTime(c *rest.Call) (any, error) {
	filter, err := workersAsked(c)
	if err != nil {
		return nil, err
	}
	now, err := realTime(c, filter)
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkersRealTimeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("Workers", "RealTimeStatistics")),
		TotalWorkers: now.Agents, ActivityStatistics: renderActivityCounts(now.Activities),
	}), nil
}

func workersCumulative(c *rest.Call) (any, error) {
	filter, err := workersAsked(c)
	if err != nil {
		return nil, err
	}
	return agentsCumulative(c, filter)
}

// agentsCumulative returns the same counts for one agent as for all.
func agentsCumulative(c *rest.Call, filter insights.StatisticsFilter) (any, error) {
	past, err := cumulatedOf(c, filter)
	if err != nil {
		return nil, err
	}
	r := past.Reservations
	return rest.All(taskmodel.TaskrouterV1WorkersCumulativeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("Workers", "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to, ActivityDurations: renderActivitySpans(past.Activities),
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
	}), nil
}

func workerStatistics(c *rest.Call) (any, error) {
	agent, err := workerAsked(c)
	if err != nil {
		return nil, err
	}
	past, err := part(agentsCumulative(c, insights.StatisticsFilter{Agents: []string{agent.Name}, Activities: true}))
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkerInstanceStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), WorkerSid: new(agent.SID),
		Url: new(c.WorkspaceURL("Workers", agent.SID, "Statistics")), Cumulative: past,
	}), nil
}

func renderQueueRealTime(c *rest.Call, sid string, now insights.RealTime) rest.Whole[taskmodel.TaskrouterV1TaskQueueRealTimeStatistics] {
	return rest.All(taskmodel.TaskrouterV1TaskQueueRealTimeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), TaskQueueSid: new(sid),
		Url:        new(c.WorkspaceURL("TaskQueues", sid, "RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: rest.Object(now.ByStatus), TasksByPriority: rest.Object(now.ByPriority),
		LongestTaskWaitingAge: age(c, now.Longest), LongestTaskWaitingSid: rest.Text(now.Longest.Task),
		LongestRelativeTaskAgeInQueue: age(c, now.LongestInQueue), LongestRelativeTaskSidInQueue: rest.Text(now.LongestInQueue.Task),
		TotalEligibleWorkers: now.Agents, TotalAvailableWorkers: now.Available, ActivityStatistics: renderActivityCounts(now.Activities),
	})
}

func renderQueueCumulative(c *rest.Call, sid string, past cumulative) rest.Whole[taskmodel.TaskrouterV1TaskQueueCumulativeStatistics] {
	r, t := past.Reservations, past.Tasks
	return rest.All(taskmodel.TaskrouterV1TaskQueueCumulativeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), TaskQueueSid: new(sid),
		Url:       new(c.WorkspaceURL("TaskQueues", sid, "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksEntered: t.Entered, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), WaitDurationInQueueUntilAccepted: renderSpans(past.InQueue),
		SplitByWaitTime: renderSplits(past.Splits),
	})
}

func queueStatistics(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	now, past, err := parts(c, queueRealTime, queueCumulative)
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1TaskQueueStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), TaskQueueSid: new(queue.SID),
		Url: new(c.WorkspaceURL("TaskQueues", queue.SID, "Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func queueRealTime(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	now, err := realTime(c, insights.StatisticsFilter{Queue: queue.Name})
	if err != nil {
		return nil, err
	}
	return renderQueueRealTime(c, queue.SID, now), nil
}

func queueCumulative(c *rest.Call) (any, error) {
	queue, err := queueFound(c)
	if err != nil {
		return nil, err
	}
	past, err := cumulatedOf(c, insights.StatisticsFilter{Queue: queue.Name})
	if err != nil {
		return nil, err
	}
	return renderQueueCumulative(c, queue.SID, past), nil
}

func listQueueStatistics(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	queues = slices.DeleteFunc(queues, func(q people.Queue) bool { return !asked(c.Form.Get("FriendlyName"), q.FriendlyName) })
	wanted := []people.Queue{} // only the queues of the page are counted
	answer, err := rest.Some(c, queues, func(q people.Queue) any {
		wanted = append(wanted, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	page, ok := answer.(rest.Listed)
	if !ok {
		return nil, fmt.Errorf("a page of queues is %T", answer)
	}
	page.Entries, err = statisticsOf(c, wanted)
	return page, err
}

func statisticsOf(c *rest.Call, queues []people.Queue) ([]rest.Whole[taskmodel.TaskrouterV1TaskQueuesStatistics], error) {
	filters := make([]insights.StatisticsFilter, len(queues))
	for i, q := range queues {
		filters[i].Queue = q.Name
	}
	past, err := cumulated(c, filters...)
	if err != nil {
		return nil, err
	}
	now, err := realTimeOf(c, filters...)
	if err != nil {
		return nil, err
	}
	statistics := make([]rest.Whole[taskmodel.TaskrouterV1TaskQueuesStatistics], len(queues))
	for i, q := range queues {
		figures, err := figuresOf(renderQueueRealTime(c, q.SID, now[i]), onlyOfOne...)
		if err != nil {
			return nil, err
		}
		cumulative, err := part(renderQueueCumulative(c, q.SID, past[i]), nil)
		if err != nil {
			return nil, err
		}
		statistics[i] = rest.All(taskmodel.TaskrouterV1TaskQueuesStatistics{
			AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), TaskQueueSid: new(q.SID), Realtime: rest.Object(figures), Cumulative: cumulative,
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
func queuesAsked(c *rest.Call) (sids []string, err error) {
	var body map[string]json.RawMessage
	err = json.Unmarshal(c.Body, &body)
	for _, name := range slices.Sorted(maps.Keys(body)) {
		switch known := strings.EqualFold(strings.ReplaceAll(name, "_", ""), "queueSids"); {
		case !known:
			return nil, c.Wrong(rest.Shortened(name), "%s is not supported: leave it out", rest.Quoted(name))
		case sids != nil:
			return nil, c.Wrong("queueSids", "the body names the queues twice: send queueSids once")
		default:
			err = errors.Join(err, json.Unmarshal(body[name], &sids))
		}
	}
	if err != nil || len(sids) == 0 || len(sids) > maxQueuesAtOnce || slices.ContainsFunc(sids, func(sid string) bool { return !rest.IsSID(conversation.PrefixQueue, sid) }) {
		return nil, c.Wrong("queueSids", `The body has to be JSON with 1 to %d SIDs of queues, as in {"queueSids":["WQ…"]}`, maxQueuesAtOnce)
	}
	return sids, nil
}

func queuesRealTime(c *rest.Call) (any, error) {
	if err := checkWorkspace(c); err != nil {
		return nil, err
	}
	sids, err := queuesAsked(c)
	if err != nil {
		return nil, err
	}
	queues, err := people.ListQueues(c.Ctx, c.Desk)
	if err != nil {
		return nil, err
	}
	filters := make([]insights.StatisticsFilter, len(sids))
	for i, sid := range sids {
		filters[i].Queue = sid // no queue has this name: its counts are 0
		for _, q := range queues {
			if rest.SameDigits(sid, q.SID) {
				filters[i].Queue, sids[i] = q.Name, q.SID
			}
		}
	}
	now, err := realTimeOf(c, filters...)
	if err != nil {
		return nil, err
	}
	found := make([]any, len(sids))
	for i, sid := range sids {
		figures, err := figuresOf(renderQueueRealTime(c, sid, now[i]), onlyOfOne...)
		if err != nil {
			return nil, err
		}
		if figures["task_queue_sid"], err = json.Marshal(sid); err != nil {
			return nil, fmt.Errorf("encode the SID of a queue: %w", err)
		}
		found[i] = figures
	}
	return rest.All(taskmodel.TaskrouterV1TaskQueueBulkRealTimeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), Url: new(c.WorkspaceURL("TaskQueues", "RealTimeStatistics")),
		TaskQueueData: &found, TaskQueueResponseCount: len(found),
	}), nil
}

func workflowStatistics(c *rest.Call) (any, error) {
	workflow, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	now, past, err := parts(c, workflowRealTime, workflowCumulative)
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkflowStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), WorkflowSid: new(workflow.SID),
		Url: new(c.WorkspaceURL("Workflows", workflow.SID, "Statistics")), Realtime: now, Cumulative: past,
	}), nil
}

func workflowRealTime(c *rest.Call) (any, error) {
	workflow, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	now, err := realTime(c, insights.StatisticsFilter{Workflow: workflow.SID})
	if err != nil {
		return nil, err
	}
	return rest.All(taskmodel.TaskrouterV1WorkflowRealTimeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), WorkflowSid: new(workflow.SID),
		Url:        new(c.WorkspaceURL("Workflows", workflow.SID, "RealTimeStatistics")),
		TotalTasks: now.Tasks, TasksByStatus: rest.Object(now.ByStatus), TasksByPriority: rest.Object(now.ByPriority),
		LongestTaskWaitingAge: age(c, now.Longest), LongestTaskWaitingSid: rest.Text(now.Longest.Task),
	}), nil
}

func workflowCumulative(c *rest.Call) (any, error) {
	workflow, err := workflowFound(c)
	if err != nil {
		return nil, err
	}
	past, err := cumulatedOf(c, insights.StatisticsFilter{Workflow: workflow.SID})
	if err != nil {
		return nil, err
	}
	r, t := past.Reservations, past.Tasks
	return rest.All(taskmodel.TaskrouterV1WorkflowCumulativeStatistics{
		AccountSid: new(c.Account.SID), WorkspaceSid: new(c.WorkspaceSID()), WorkflowSid: new(workflow.SID),
		Url:       new(c.WorkspaceURL("Workflows", workflow.SID, "CumulativeStatistics")),
		StartTime: past.from, EndTime: past.to,
		ReservationsCreated: r.Created, ReservationsAccepted: r.Accepted, ReservationsRejected: r.Rejected,
		ReservationsTimedOut: r.TimedOut, ReservationsCanceled: r.Canceled, ReservationsRescinded: r.Rescinded,
		TasksEntered: t.Created, TasksCompleted: t.Completed, TasksCanceled: t.Canceled, TasksMoved: t.Moved, TasksTimedOutInWorkflow: t.TimedOut,
		AvgTaskAcceptanceTime: wholeSeconds(past.UntilAccepted.Mean()), WaitDurationUntilAccepted: renderSpans(past.UntilAccepted),
		WaitDurationUntilCanceled: renderSpans(past.UntilCanceled), SplitByWaitTime: renderSplits(past.Splits),
	}), nil
}
