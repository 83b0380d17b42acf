package httpapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// names returns the names in a list of workers or queues.
func (h *environment) names(path string, form url.Values) []string {
	h.t.Helper()
	var list map[string]any
	h.ask(h.service, http.MethodGet, "/v1/Workspaces/"+h.workspace()+path, form).is(http.StatusOK).read(&list)
	key, _ := list["meta"].(map[string]any)["key"].(string)
	found := []string{}
	for _, entry := range list[key].([]any) {
		found = append(found, entry.(map[string]any)["friendly_name"].(string))
	}
	return found
}

// makes creates a resource in the workspace, and returns it.
func (h *environment) makes(path string, form url.Values) map[string]any {
	h.t.Helper()
	var made map[string]any
	h.ask(h.service, http.MethodPost, "/v1/Workspaces/"+h.workspace()+path, form).is(http.StatusCreated).read(&made)
	return made
}

// TestQueuesFollowTheirExpressions checks that a queue's members follow from the workers' attributes after either
// of the two changes, and that a task goes to a present member.
func TestQueuesFollowTheirExpressions(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	available := routing.ActivityOf(desk.PresenceAvailable).SID
	erin := h.makes("/Workers", url.Values{"FriendlyName": {"Erin Doe"}, "Attributes": {`{"skills":["refunds"],"language":"en"}`}, "ActivitySid": {available}})
	require.Equal(t, conversation.AgentSID("erin-doe"), erin["sid"], "she is called erin-doe everywhere else")
	queue := h.makes("/TaskQueues", url.Values{"FriendlyName": {"Refunds"}, "TargetWorkers": {`skills HAS "refunds" AND language == "en"`}})
	on := func() []string { return h.names("/Workers", url.Values{"TaskQueueSid": {queue["sid"].(string)}}) }
	require.Equal(t, []string{"Erin Doe"}, on())

	worker := workspace + "/Workers/" + erin["sid"].(string)
	h.ask(h.service, http.MethodPost, worker, url.Values{"Attributes": {`{"skills":["refunds"],"language":"de"}`}}).is(http.StatusOK)
	require.Empty(t, on())
	h.ask(h.service, http.MethodPost, workspace+"/TaskQueues/"+queue["sid"].(string), url.Values{"TargetWorkers": {`skills HAS "refunds"`}}).is(http.StatusOK)
	require.Equal(t, []string{"Erin Doe"}, on())
	require.Equal(t, []string{"Erin Doe"}, h.names("/Workers", url.Values{"TargetWorkersExpression": {`language IN ["de", "fr"]`}}))
	require.Contains(t, h.names("/TaskQueues", url.Values{"EvaluateWorkerAttributes": {`{"skills":["refunds"]}`}}), "Refunds")
	require.NotContains(t, h.names("/TaskQueues", url.Values{"EvaluateWorkerAttributes": {`{}`}}), "Refunds")
	require.Contains(t, h.names("/TaskQueues", url.Values{"WorkerSid": {erin["sid"].(string)}}), "Refunds")

	workflow := h.makes("/Workflows", url.Values{"FriendlyName": {"Money"}, "Configuration": {
		`{"task_routing":{"filters":[{"expression":"amount > 100","targets":[{"queue":"` + queue["sid"].(string) + `","priority":5}]}],` +
			`"default_filter":{"queue":"` + conversation.QueueSID("quiet") + `"}}}`,
	}})
	task := h.makes("/Tasks", url.Values{"WorkflowSid": {workflow["sid"].(string)}, "Attributes": {`{"amount":250}`}})
	require.Equal(t, "Refunds", task["task_queue_friendly_name"])
	require.InDelta(t, 5, task["priority"], 0)
	require.Equal(t, "Money", task["workflow_friendly_name"])
	other := h.makes("/Tasks", url.Values{"WorkflowSid": {workflow["sid"].(string)}, "Attributes": {`{"amount":25}`}})
	require.Equal(t, "quiet", other["task_queue_friendly_name"])
	require.Eventually(t, func() bool { // the desk's dispatcher works concurrently
		reservations := h.ask(h.service, http.MethodGet, worker+"/Reservations", url.Values{"ReservationStatus": {"pending"}}).is(http.StatusOK)
		var list struct{ Reservations []struct{ Task_sid string } } //nolint:revive // as Twilio spells it
		reservations.read(&list)
		return len(list.Reservations) == 1 && list.Reservations[0].Task_sid == task["sid"]
	}, 30*time.Second, 10*time.Millisecond)

	h.ask(h.service, http.MethodPost, workspace+"/TaskQueues/"+queue["sid"].(string), url.Values{"TargetWorkers": {`skills HAS`}}).isError(http.StatusBadRequest, 20422)
	h.ask(h.service, http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {"refunds"}}).isError(http.StatusConflict, 20409)
}

// TestExpensiveExpressions sends expressions that take many steps: the refusal names the parameter.
func TestExpensiveExpressions(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	list := `{"list":[` + strings.TrimSuffix(strings.Repeat("1,", 2000), ",") + `]}`
	long := strings.TrimSuffix(strings.Repeat(`list HAS "x" OR `, 250), ` OR `)
	h.makes("/Workers", url.Values{"FriendlyName": {"Erin"}, "Attributes": {list}})
	h.makes("/Tasks", url.Values{"TaskChannel": {"chat"}, "Attributes": {list}})
	for path, form := range map[string]url.Values{
		"/Workers": {"TargetWorkersExpression": {long}}, "/Tasks": {"EvaluateTaskAttributes": {long}},
	} {
		for name := range form {
			refused := h.ask(h.service, http.MethodGet, workspace+path, form).isError(http.StatusBadRequest, 20422)
			require.Contains(t, refused.body, name+": the expression takes too many steps: shorten it")
			require.Contains(t, refused.body, `"field":"`+name+`"`)
		}
	}
	refused := h.ask(h.service, http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {"Long"}, "TargetWorkers": {long}}).isError(http.StatusBadRequest, 20422)
	require.Contains(t, refused.body, "TargetWorkers: the expression takes too many steps")
	for _, name := range []string{"one", "two"} {
		h.makes("/TaskQueues", url.Values{"FriendlyName": {name}, "TargetWorkers": {`NOT (` + strings.ReplaceAll(long, "list", "more") + `)`}})
	}
	refused = h.ask(h.service, http.MethodGet, workspace+"/TaskQueues", url.Values{"EvaluateWorkerAttributes": {strings.ReplaceAll(list, "list", "more")}}).
		isError(http.StatusBadRequest, 20422)
	require.Contains(t, refused.body, "EvaluateWorkerAttributes: ")
	require.Contains(t, refused.body, `"field":"EvaluateWorkerAttributes"`)
}

// TestQueuesOfManyNamedMembers evaluates a queue whose members' names are too long for an expression.
func TestQueuesOfManyNamedMembers(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for i := range 60 {
		name := fmt.Sprintf("agent-%02d-%s", i, strings.Repeat("x", 50))
		require.NoError(t, people.AddAgent(t.Context(), h.desk, people.NewAgent{Name: name}))
		require.NoError(t, people.AddMember(t.Context(), h.desk, "quiet", name))
	}
	evaluated := func(attributes string) []string {
		return h.names("/TaskQueues", url.Values{"EvaluateWorkerAttributes": {attributes}})
	}
	require.Equal(t, []string{"quiet"}, evaluated(`{"name":"agent-59-`+strings.Repeat("x", 50)+`"}`))
	require.Empty(t, evaluated(`{"name":"zoe"}`))
}
