package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	flexapi "github.com/twilio/twilio-go/rest/flex/v1"
	taskapi "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// Administrators decide with Twilio's library which agents are on which queue, and which task goes where.
func TestHTTPQueuesAndWorkersAreAdministered(t *testing.T) {
	t.Parallel()
	f := openHTTP(t)
	for name, part := range map[string]func(*testing.T, *httpEnvironment){
		"members follow attributes and expressions": membersFollow, "a waiting task finds who matches now": waitingTaskFindsWhoMatches,
		"workers and queues are chosen by expressions": chosenByExpressions, "workflows choose the queue": workflowsChoose,
		"activities are made and used": activitiesAreUsed, "capacity is how much an agent takes": capacityBounds,
		"workers and queues are renamed and removed": renamedAndRemoved,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, f)
		})
	}
}

// available is the activity of agents who accept tasks.
var available = routing.ActivityOf(desk.PresenceAvailable).SID

// employs adds an available agent with these attributes, and returns the name, which is unused before.
func (a *api) employs(name, attributes string) string {
	a.t.Helper()
	friendly := a.unused(name)
	added, err := a.TaskrouterV1.CreateWorker(a.workspace, (&taskapi.CreateWorkerParams{}).SetFriendlyName(friendly).SetActivitySid(available).SetAttributes(attributes))
	require.NoError(a.t, err)
	require.Equal(a.t, conversation.AgentSID(friendly), its(added.Sid))
	require.True(a.t, its(added.Available))
	require.JSONEq(a.t, attributes, its(added.Attributes))
	return friendly
}

// retrains changes the agent's attributes.
func (a *api) retrains(agent, attributes string) {
	a.t.Helper()
	changed, err := a.TaskrouterV1.UpdateWorker(a.workspace, conversation.AgentSID(agent), (&taskapi.UpdateWorkerParams{}).SetAttributes(attributes))
	require.NoError(a.t, err)
	require.JSONEq(a.t, attributes, its(changed.Attributes))
}

// targets adds a queue with that expression, and returns its SID.
func (a *api) targets(name, expression string) string {
	a.t.Helper()
	added, err := a.TaskrouterV1.CreateTaskQueue(a.workspace, (&taskapi.CreateTaskQueueParams{}).SetFriendlyName(a.unused(name)).SetTargetWorkers(expression))
	require.NoError(a.t, err)
	require.Equal(a.t, expression, its(added.TargetWorkers))
	return its(added.Sid)
}

// retargets changes the queue's expression.
func (a *api) retargets(queue, expression string) {
	a.t.Helper()
	changed, err := a.TaskrouterV1.UpdateTaskQueue(a.workspace, queue, (&taskapi.UpdateTaskQueueParams{}).SetTargetWorkers(expression))
	require.NoError(a.t, err)
	require.Equal(a.t, expression, its(changed.TargetWorkers))
}

// workers returns the names of the workers in a list.
func (a *api) workers(params *taskapi.ListWorkerParams) []string {
	a.t.Helper()
	listed, err := a.TaskrouterV1.ListWorker(a.workspace, params)
	require.NoError(a.t, err)
	names := []string{}
	for _, worker := range listed {
		names = append(names, its(worker.FriendlyName))
	}
	return names
}

// members returns the agents on the queue.
func (a *api) members(queue string) []string {
	a.t.Helper()
	return a.workers((&taskapi.ListWorkerParams{}).SetTaskQueueSid(queue))
}

// queuedIn creates a task in the queue.
func (a *api) queuedIn(queue string) string {
	a.t.Helper()
	return its(a.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue)).Sid)
}

func membersFollow(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	// Skills that no other agent in these tests has.
	dora, emil := service.employs("dora", `{"skills":["invoices","french"],"level":3}`), service.employs("emil", `{"skills":["sales"],"level":1}`)
	queue := service.targets("french-invoices", `skills HAS "invoices" AND skills HAS "french"`)
	require.Equal(t, []string{dora}, service.members(queue))
	service.accepts(dora, service.queuedIn(queue))

	service.retrains(emil, `{"skills":["invoices","french","sales"],"level":1}`)
	require.Equal(t, []string{dora, emil}, service.members(queue))
	service.retrains(dora, `{"skills":["invoices"],"level":3}`)
	require.Equal(t, []string{emil}, service.members(queue))
	service.accepts(emil, service.queuedIn(queue))

	service.retargets(queue, `skills HAS "invoices" AND level >= 3`)
	require.Equal(t, []string{dora}, service.members(queue))
	service.accepts(dora, service.queuedIn(queue))
	hired := service.employs("frida", `{"skills":["invoices"],"level":7}`)
	require.Equal(t, []string{dora, hired}, service.members(queue))

	// The statistics count the same agents.
	figures, err := service.TaskrouterV1.FetchTaskQueueRealTimeStatistics(service.workspace, queue, nil)
	require.NoError(t, err)
	require.Equal(t, 2, figures.TotalEligibleWorkers)
	require.Equal(t, 3, figures.TotalTasks)
	require.InDelta(t, 3, its(figures.TasksByStatus).(map[string]any)["assigned"], 0)
	bulk := service.does(http.StatusOK, http.MethodPost, service.inWorkspace("/TaskQueues/RealTimeStatistics"), testenv.JSON{Value: map[string]any{"queueSids": []string{queue}}})
	require.InDelta(t, 1, bulk["task_queue_response_count"], 0)
}

func waitingTaskFindsWhoMatches(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	gina := service.employs("gina", `{"languages":["de"]}`)
	queue := service.targets("icelandic", `languages HAS "is"`)
	task := service.queuedIn(queue)
	service.requireStatus(task, "pending")
	service.retrains(gina, `{"languages":["de","is"]}`)
	service.accepts(gina, task)

	faroese := service.targets("faroese", `languages HAS "fo"`)
	other := service.queuedIn(faroese)
	service.requireStatus(other, "pending")
	service.retargets(faroese, `languages HAS "fo" OR languages HAS "is"`)
	service.accepts(gina, other)

	// An agent who no longer matches keeps their task, and gets no more.
	service.retrains(gina, `{"languages":[]}`)
	service.requireStatus(task, "assigned")
	service.requireStatus(service.queuedIn(queue), "pending")
}

func chosenByExpressions(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	hugo := service.employs("hugo", `{"team":"chosen","level":2,"address":{"city":"Zürich"}}`)
	iris := service.employs("iris", `{"team":"chosen","level":5,"phones":["+41"]}`)
	for expression, wanted := range map[string][]string{
		`team == "chosen"`:                                 {hugo, iris},
		`team == "chosen" AND level > 2`:                   {iris},
		`team == "chosen" AND NOT level > 2`:               {hugo},
		`team == "chosen" AND address.city == "Zürich"`:    {hugo},
		`team == "chosen" AND phones[0] = "+41"`:           {iris},
		`team == "chosen" AND worker.level IN [1, 2]`:      {hugo},
		`team == "chosen" AND name CONTAINS "iris"`:        {iris},
		`team == "chosen" AND (level = 2 OR level <> 2.5)`: {hugo, iris},
		`team == "CHOSEN"`:                                 {},
		`name == "alice"`:                                  {"alice"},
	} {
		require.Equal(t, wanted, service.workers((&taskapi.ListWorkerParams{}).SetTargetWorkersExpression(expression)), expression)
	}
	service.does(http.StatusOK, http.MethodPost, service.inWorkspace("/Workers/"+conversation.AgentSID(hugo)), form("ActivitySid", routing.ActivityOf(desk.PresenceBreak).SID))
	chosen := func() *taskapi.ListWorkerParams {
		return (&taskapi.ListWorkerParams{}).SetTargetWorkersExpression(`team == "chosen"`)
	}
	require.Equal(t, []string{iris}, service.workers(chosen().SetAvailable("true")))
	require.Equal(t, []string{hugo}, service.workers(chosen().SetAvailable("false")))
	require.Equal(t, []string{hugo}, service.workers(chosen().SetActivityName("Break")))
	require.Equal(t, []string{iris}, service.workers(chosen().SetActivitySid(available)))
	require.Equal(t, []string{hugo, iris}, service.workers(chosen().SetOrdering("DateStatusChanged:desc")), "who has changed last comes first")
	require.Equal(t, []string{iris}, service.workers((&taskapi.ListWorkerParams{}).SetFriendlyName(iris)))
	require.Equal(t, []string{"alice"}, service.workers((&taskapi.ListWorkerParams{}).SetTaskQueueName("support")))

	// The other way around: the queues that an agent is on, or would be on.
	queue := service.targets("chosen", `team == "chosen" AND level > 2`)
	queues := func(params *taskapi.ListTaskQueueParams) (sids []string) {
		listed, err := service.TaskrouterV1.ListTaskQueue(service.workspace, params)
		require.NoError(t, err)
		for _, q := range listed {
			sids = append(sids, its(q.Sid))
		}
		return sids
	}
	require.Contains(t, queues((&taskapi.ListTaskQueueParams{}).SetWorkerSid(conversation.AgentSID(iris))), queue)
	require.NotContains(t, queues((&taskapi.ListTaskQueueParams{}).SetWorkerSid(conversation.AgentSID(hugo))), queue)
	require.Contains(t, queues((&taskapi.ListTaskQueueParams{}).SetEvaluateWorkerAttributes(`{"team":"chosen","level":3}`)), queue)
	require.NotContains(t, queues((&taskapi.ListTaskQueueParams{}).SetEvaluateWorkerAttributes(`{"team":"chosen","level":1}`)), queue)
	require.Equal(t, []string{conversation.QueueSID("support")}, queues((&taskapi.ListTaskQueueParams{}).SetFriendlyName("support")))
	support, err := service.TaskrouterV1.FetchTaskQueue(service.workspace, conversation.QueueSID("support"))
	require.NoError(t, err)
	require.Equal(t, `name IN ["alice"]`, its(support.TargetWorkers), "members that were named one by one")
}

func workflowsChoose(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	large, french, rest := f.nobodys(t, "large-orders"), f.nobodys(t, "french-orders"), f.nobodys(t, "other-orders")
	configuration := fmt.Sprintf(`{"task_routing":{"filters":[
		{"filter_friendly_name":"large","expression":"order.total > 100","targets":[{"queue":"%s","priority":9},{"queue":"%s"}]},
		{"filter_friendly_name":"french","expression":"language IN ['fr', 'fr-CH']","targets":[{"queue":"%s","priority":"4"}]}
	],"default_filter":{"queue":"%s"}}}`, large, rest, french, rest)
	added, err := service.TaskrouterV1.CreateWorkflow(service.workspace, (&taskapi.CreateWorkflowParams{}).SetFriendlyName("Orders").SetConfiguration(configuration))
	require.NoError(t, err)
	require.Equal(t, configuration, its(added.Configuration))
	require.Equal(t, settled(t, f).ReservationTimeout, added.TaskReservationTimeout)
	workflow := its(added.Sid)
	type routed struct {
		queue    string
		priority int
	}
	goes := func(attributes string) routed {
		task := service.creates((&taskapi.CreateTaskParams{}).SetWorkflowSid(workflow).SetAttributes(attributes))
		require.Equal(t, workflow, its(task.WorkflowSid))
		require.Equal(t, "Orders", its(task.WorkflowFriendlyName))
		return routed{its(task.TaskQueueSid), task.Priority}
	}
	require.Equal(t, routed{large, 9}, goes(`{"order":{"total":250},"language":"fr"}`), "the first filter that is true")
	require.Equal(t, routed{french, 4}, goes(`{"order":{"total":99.5},"language":"fr-CH"}`))
	require.Equal(t, routed{rest, 0}, goes(`{"order":{"total":"250"}}`), "a text is no number")
	require.Equal(t, routed{rest, 0}, goes(`{}`))

	// The workflow also routes an interaction, unless the interaction names a queue or a priority itself.
	i := service.startsWith(map[string]any{"workflow_sid": workflow, "attributes": map[string]any{"language": "fr"}})
	now, _ := service.now(i.task)
	require.Equal(t, routed{french, 4}, routed{its(now.TaskQueueSid), now.Priority})
	require.Equal(t, workflow, its(now.WorkflowSid))
	i = service.startsWith(map[string]any{"workflow_sid": workflow, "queue_sid": large, "priority": 1, "attributes": map[string]any{"language": "fr"}})
	now, _ = service.now(i.task)
	require.Equal(t, routed{large, 1}, routed{its(now.TaskQueueSid), now.Priority})

	// A changed workflow applies to later tasks.
	_, err = service.TaskrouterV1.UpdateWorkflow(service.workspace, workflow, (&taskapi.UpdateWorkflowParams{}).SetConfiguration(fmt.Sprintf(toSupport, large)))
	require.NoError(t, err)
	require.Equal(t, routed{large, 0}, goes(`{"language":"fr"}`))
	listed, err := service.TaskrouterV1.ListWorkflow(service.workspace, nil)
	require.NoError(t, err)
	require.Equal(t, desk.DefaultWorkflow(), its(listed[0].Sid), "the one that every desk has comes first")
	usual := service.creates((&taskapi.CreateTaskParams{}).SetAttributes(`{}`))
	require.Equal(t, conversation.QueueSID("support"), its(usual.TaskQueueSid), "where nothing is said, it goes to the first queue")
	require.NoError(t, service.TaskrouterV1.DeleteWorkflow(service.workspace, workflow))
	_, err = service.TaskrouterV1.FetchWorkflow(service.workspace, workflow)
	requireRefused(t, err, gone("TaskRouter"))
}

// settled returns the environment's settings.
func settled(t *testing.T, f *httpEnvironment) conversation.Settings {
	t.Helper()
	settings, err := desk.ReadSettings(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	return settings
}

// awaitStatus waits until the task is in the status.
func (a *api) awaitStatus(task, status string) {
	a.t.Helper()
	waitFor(a.t, testenv.Patience, "task "+task+" is "+status, func() bool {
		now, _ := a.now(task)
		return its(now.AssignmentStatus) == status
	})
}

func activitiesAreUsed(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	activity := func(name string, takes bool) string {
		added, err := service.TaskrouterV1.CreateActivity(service.workspace, (&taskapi.CreateActivityParams{}).SetFriendlyName(name).SetAvailable(takes))
		require.NoError(t, err)
		require.Equal(t, takes, its(added.Available))
		return its(added.Sid)
	}
	training, backOffice := activity("Training", false), activity("Back office", true)
	names := func(available string) (names []string) {
		listed, err := service.TaskrouterV1.ListActivity(service.workspace, (&taskapi.ListActivityParams{}).SetAvailable(available))
		require.NoError(t, err)
		for _, a := range listed {
			names = append(names, its(a.FriendlyName))
		}
		return names
	}
	require.Subset(t, names("true"), []string{"Available", "Back office"})
	require.Subset(t, names("false"), []string{"Break", "Offline", "Training"})

	karl := service.employs("karl", `{"knows":"activities"}`)
	queue := service.targets("activities", `knows == "activities"`)
	becomes := func(sid, name string, takes bool) {
		changed, err := service.TaskrouterV1.UpdateWorker(service.workspace, conversation.AgentSID(karl), (&taskapi.UpdateWorkerParams{}).SetActivitySid(sid))
		require.NoError(t, err)
		require.Equal(t, name, its(changed.ActivityName))
		require.Equal(t, takes, its(changed.Available))
	}
	becomes(training, "Training", false)
	task := service.queuedIn(queue)
	service.requireStatus(task, "pending")
	becomes(backOffice, "Back office", true)
	offer := service.pendingOf(karl, task)

	// He declines the offer and changes his activity with the same call.
	_, err := service.TaskrouterV1.UpdateTaskReservation(service.workspace, task, its(offer.Sid),
		(&taskapi.UpdateTaskReservationParams{}).SetReservationStatus("rejected").SetWorkerActivitySid(training))
	require.NoError(t, err)
	shown, err := service.TaskrouterV1.FetchWorker(service.workspace, conversation.AgentSID(karl))
	require.NoError(t, err)
	require.Equal(t, "Training", its(shown.ActivityName))
	service.awaitStatus(task, "pending")

	// An agent who becomes unavailable declines their offer.
	becomes(available, "Available", true)
	service.pendingOf(karl, task)
	becomes(training, "Training", false)
	service.awaitStatus(task, "pending")
	renamed, err := service.TaskrouterV1.UpdateActivity(service.workspace, training, (&taskapi.UpdateActivityParams{}).SetFriendlyName("School"))
	require.NoError(t, err)
	require.Equal(t, "School", its(renamed.FriendlyName))
	require.Equal(t, []string{karl}, service.workers((&taskapi.ListWorkerParams{}).SetActivityName("School")))
	becomes(available, "Available", true)
	service.accepts(karl, task)
	require.NoError(t, service.TaskrouterV1.DeleteActivity(service.workspace, training))
}

func capacityBounds(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	lena := service.employs("lena", `{"knows":"capacity"}`)
	queue := service.targets("capacity", `knows == "capacity"`)
	takes := func(channel string, capacity int) *taskapi.TaskrouterV1WorkerChannel {
		changed, err := service.TaskrouterV1.UpdateWorkerChannel(service.workspace, conversation.AgentSID(lena), channel, (&taskapi.UpdateWorkerChannelParams{}).SetCapacity(capacity))
		require.NoError(t, err)
		require.Equal(t, capacity, changed.ConfiguredCapacity)
		require.Equal(t, capacity > 0, its(changed.Available))
		return changed
	}
	require.Equal(t, 100, takes("web", 1).AvailableCapacityPercentage)
	first := service.queuedIn(queue)
	service.accepts(lena, first)
	second := service.queuedIn(queue)
	channel, err := service.TaskrouterV1.FetchWorkerChannel(service.workspace, conversation.AgentSID(lena), "web")
	require.NoError(t, err)
	require.Equal(t, 1, channel.AssignedTasks)
	require.Zero(t, channel.AvailableCapacityPercentage)
	service.requireStatus(second, "pending")

	// Tasks sent to her directly exceed her capacity; each channel has its own capacity.
	direct := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue).SetRoutingTarget(conversation.AgentSID(lena)))
	service.accepts(lena, its(direct.Sid))
	sms := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue).SetTaskChannel("sms"))
	service.accepts(lena, its(sms.Sid))
	service.requireStatus(second, "pending")
	takes("web", 3)
	service.accepts(lena, second)

	// A capacity of zero.
	takes("whatsapp", 0)
	third := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue).SetTaskChannel("whatsapp"))
	fourth := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue).SetTaskChannel("sms"))
	service.accepts(lena, its(fourth.Sid)) // which came later
	service.requireStatus(its(third.Sid), "pending")
	takes("whatsapp", 1)
	service.accepts(lena, its(third.Sid))
	channels, err := service.TaskrouterV1.ListWorkerChannel(service.workspace, conversation.AgentSID(lena), nil)
	require.NoError(t, err)
	loads := map[string]int{}
	for _, c := range channels {
		loads[its(c.TaskChannelUniqueName)] = c.AssignedTasks
	}
	require.Equal(t, map[string]int{"web": 3, "sms": 2, "whatsapp": 1, "messenger": 0, "chat": 0, "email": 0}, loads)
}

func renamedAndRemoved(t *testing.T, f *httpEnvironment) {
	service := f.unlimited(t)
	added, err := service.TaskrouterV1.CreateWorker(service.workspace, (&taskapi.CreateWorkerParams{}).SetFriendlyName("Mona Müller (Zürich)"))
	require.NoError(t, err)
	require.Equal(t, "Mona Müller (Zürich)", its(added.FriendlyName))
	require.False(t, its(added.Available), "who is new is offline")
	renamed, err := service.TaskrouterV1.UpdateWorker(service.workspace, its(added.Sid), (&taskapi.UpdateWorkerParams{}).SetFriendlyName("Mona Meier"))
	require.NoError(t, err)
	require.Equal(t, its(added.Sid), its(renamed.Sid))
	require.Equal(t, "Mona Meier", its(renamed.FriendlyName))
	queue, err := service.TaskrouterV1.CreateTaskQueue(service.workspace, (&taskapi.CreateTaskQueueParams{}).SetFriendlyName("Mona's Queue").SetTargetWorkers(`name CONTAINS "mona"`))
	require.NoError(t, err)
	require.Equal(t, []string{"Mona Meier"}, service.members(its(queue.Sid)))
	changed, err := service.TaskrouterV1.UpdateTaskQueue(service.workspace, its(queue.Sid), (&taskapi.UpdateTaskQueueParams{}).SetFriendlyName("Empty Queue"))
	require.NoError(t, err)
	require.Equal(t, its(queue.Sid), its(changed.Sid))
	require.Equal(t, its(queue.TargetWorkers), its(changed.TargetWorkers), "what isn't sent stays")
	require.NoError(t, service.TaskrouterV1.DeleteWorker(service.workspace, its(added.Sid), nil))
	require.Empty(t, service.members(its(queue.Sid)))
	require.NoError(t, service.TaskrouterV1.DeleteTaskQueue(service.workspace, its(queue.Sid)))
	for _, path := range []string{"/Workers/" + its(added.Sid), "/TaskQueues/" + its(queue.Sid)} {
		requireError(t, service.call(http.MethodGet, service.inWorkspace(path), nil), gone("TaskRouter"))
	}
	_, err = service.FlexV1.CreateInteraction((&flexapi.CreateInteractionParams{}).SetChannel(map[string]any{"type": "web"}).
		SetRouting(map[string]any{"properties": map[string]any{"queue_sid": its(queue.Sid)}}))
	requireRefused(t, err, refusal{http.StatusNotFound, 45006, conversation.CodeUnknownQueue})
}
