package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// places are the SIDs that paths are filled with, by their names in docs/http.md.
type places map[string]string

// always returns the places that always exist.
func (a *api) always() places {
	return places{
		"workspace": a.workspace, "instance": a.instance, "queue": conversation.QueueSID("billing"), "worker": conversation.AgentSID("alice"),
		"workerchannel": "web", "taskchannel": "web", "workflow": desk.DefaultWorkflow(), "activity": routing.ActivityOf(desk.PresenceAvailable).SID,
	}
}

// assigned is a conversation that alice has, with a message, a note and an added participant.
func (a *api) assigned() places {
	a.t.Helper()
	i := a.startsWithAlice()
	p := a.always()
	maps.Copy(p, places{
		"interaction": i.sid, "channel": i.channel, "conversation": i.conversation, "task": i.task, "participant": participant(i.task),
		"reservation": a.reservationOf(i.task),
	})
	said, err := a.ConversationsV1.CreateConversationMessage(i.conversation, (&conversationapi.CreateConversationMessageParams{}).SetBody("Hello?"))
	require.NoError(a.t, err)
	added, err := a.ConversationsV1.CreateConversationParticipant(i.conversation, (&conversationapi.CreateConversationParticipantParams{}).SetIdentity("crystal"))
	require.NoError(a.t, err)
	note := a.does(http.StatusOK, http.MethodPost, flexHost+"/v1/Instances/"+a.instance+"/Notes", form("InteractionSid", i.sid, "Summary", "In short."))
	p["message"], p["member"], p["note"] = its(said.Sid), its(added.Sid), note["sid"].(string)
	return p
}

// transferred is such a conversation, offered to bob by a transfer.
func (a *api) transferred() places {
	a.t.Helper()
	p := a.assigned()
	passed := a.does(http.StatusCreated, http.MethodPost, flexHost+"/v1/Interactions/"+p["interaction"]+"/Channels/"+p["channel"]+"/Transfers",
		testenv.JSON{Value: map[string]any{"from": p["participant"], "to": conversation.AgentSID("bob"), "note_sid": p["note"]}})
	p["transfer"], p["worker"] = passed["sid"].(string), conversation.AgentSID("bob")
	p["task"] = a.latestTask(interaction{sid: p["interaction"]})
	p["reservation"] = its(a.pendingOf("bob", p["task"]).Sid)
	return p
}

// waiting is a conversation in a queue without agents.
func (a *api) waiting() places {
	a.t.Helper()
	p := a.always()
	queue := a.does(http.StatusCreated, http.MethodPost, a.inWorkspace("/TaskQueues"), form("FriendlyName", a.unused("waiting"), "TargetWorkers", "1==0"))
	i := a.startsWith(map[string]any{"queue_sid": queue["sid"]})
	maps.Copy(p, places{"interaction": i.sid, "channel": i.channel, "conversation": i.conversation, "task": i.task, "queue": queue["sid"].(string)})
	return p
}

// unused returns a name that is not in use.
func (a *api) unused(name string) string { return name + "-" + uuid.NewString()[:8] }

// fresh are the places with a newly added resource of that kind.
func fresh(place, collection string, properties ...string) func(*api) places {
	return func(a *api) places {
		a.t.Helper()
		p := a.always()
		added := a.does(http.StatusCreated, http.MethodPost, a.inWorkspace(collection), form(append([]string{"FriendlyName", a.unused("fresh")}, properties...)...))
		p[place] = added["sid"].(string)
		return p
	}
}

// event is a place with the newest event.
func (a *api) event() places {
	a.t.Helper()
	p := a.always()
	listed := a.does(http.StatusOK, http.MethodGet, a.inWorkspace("/Events?PageSize=1"), nil)
	p["event"] = listed["events"].([]any)[0].(map[string]any)["sid"].(string)
	return p
}

// reservationOf returns the task's newest reservation.
func (a *api) reservationOf(task string) string {
	a.t.Helper()
	listed := a.does(http.StatusOK, http.MethodGet, a.inWorkspace("/Tasks/"+task+"/Reservations"), nil)["reservations"].([]any)
	require.NotEmpty(a.t, listed)
	return listed[len(listed)-1].(map[string]any)["sid"].(string)
}

// example is a call that succeeds: its address and its body.
type example struct {
	at   func(*api) places
	body func(*api, places) any
}

// forms is a body that is the same for all places.
func forms(namesAndValues ...string) func(*api, places) any {
	return func(*api, places) any { return form(namesAndValues...) }
}

// named is a form with an unused name.
func named(namesAndValues ...string) func(*api, places) any {
	return func(a *api, _ places) any {
		return form(append([]string{"FriendlyName", a.unused("named")}, namesAndValues...)...)
	}
}

const toSupport = `{"task_routing":{"filters":[],"default_filter":{"queue":"%s"}}}`

// examples are the calls that change something, and those that need more than the SIDs in their path.
var examples = map[string]example{
	"POST /v1/Interactions": {(*api).always, func(_ *api, p places) any {
		return form("Channel", `{"type":"web","initiated_by":"api"}`, "Routing", `{"properties":{"queue_sid":"`+p["queue"]+`"}}`, "WebhookTtid", "FL1")
	}},
	"POST /v1/Interactions/{interaction}":                    {(*api).assigned, forms("WebhookTtid", "FL2")},
	"POST /v1/Interactions/{interaction}/Channels/{channel}": {(*api).assigned, forms("Status", "closed", "Routing", `{"status":"closed"}`)},
	"POST /v1/Interactions/{interaction}/Channels/{channel}/Invites": {(*api).waiting, func(*api, places) any {
		return form("Routing", `{"properties":{"queue_sid":"`+conversation.QueueSID("support")+`"}}`)
	}},
	"POST /v1/Interactions/{interaction}/Channels/{channel}/Participants": {(*api).assigned, forms("Type", "customer", "MediaProperties", `{"identity":"minh"}`)},
	"POST /v1/Interactions/{interaction}/Channels/{channel}/Participants/{participant}": {
		(*api).assigned, forms("Status", "wrapup"),
	},
	"POST /v1/Interactions/{interaction}/Channels/{channel}/Transfers": {(*api).assigned, func(_ *api, p places) any {
		return testenv.JSON{Value: map[string]any{"from": p["participant"], "to": p["queue"], "type": "cold", "note_sid": p["note"]}}
	}},
	"POST /v1/Interactions/{interaction}/Channels/{channel}/Transfers/{transfer}": {(*api).transferred, func(*api, places) any {
		return testenv.JSON{Value: map[string]any{"status": "failed"}}
	}},
	"POST /v3/Instances/{instance}/TransferSettings": {(*api).always, func(*api, places) any {
		return testenv.JSON{Value: map[string]any{"enabled": true, "transfer_notes_enabled": true, "ai_summary_enabled": false}}
	}},
	"POST /v1/Instances/{instance}/Notes": {(*api).assigned, func(_ *api, p places) any {
		return form("InteractionSid", p["interaction"], "ChannelSid", p["channel"], "Summary", "In short.", "Type", "transfer")
	}},
	"GET /v1/Instances/{instance}/Notes": {(*api).assigned, func(_ *api, p places) any { return form("InteractionSid", p["interaction"]) }},

	"POST /v1/Workspaces/{workspace}":                               {(*api).always, forms("FriendlyName", "Baton", "EventsFilter", "task.created,reservation.created")},
	"POST /v1/Workspaces/{workspace}/Activities":                    {(*api).always, named("Available", "true")},
	"POST /v1/Workspaces/{workspace}/Activities/{activity}":         {fresh("activity", "/Activities"), named()},
	"DELETE /v1/Workspaces/{workspace}/Activities/{activity}":       {fresh("activity", "/Activities"), nil},
	"POST /v1/Workspaces/{workspace}/Workers":                       {(*api).always, named("Attributes", `{"skills":["billing"]}`)},
	"POST /v1/Workspaces/{workspace}/Workers/{worker}":              {fresh("worker", "/Workers"), named("Attributes", `{"level":2}`)},
	"DELETE /v1/Workspaces/{workspace}/Workers/{worker}":            {fresh("worker", "/Workers"), nil},
	"POST /v1/Workspaces/{workspace}/TaskQueues":                    {(*api).always, named("TargetWorkers", `skills HAS "none"`, "MaxReservedWorkers", "1", "TaskOrder", "FIFO")},
	"POST /v1/Workspaces/{workspace}/TaskQueues/{queue}":            {fresh("queue", "/TaskQueues", "TargetWorkers", "1==0"), named("TargetWorkers", "level > 9")},
	"DELETE /v1/Workspaces/{workspace}/TaskQueues/{queue}":          {fresh("queue", "/TaskQueues", "TargetWorkers", "1==0"), nil},
	"POST /v1/Workspaces/{workspace}/TaskQueues/RealTimeStatistics": {(*api).always, queuesAsked},
	"POST /v1/Workspaces/{workspace}/Workflows":                     {(*api).always, configured},
	"POST /v1/Workspaces/{workspace}/Workflows/{workflow}":          {workflowAdded, configured},
	"DELETE /v1/Workspaces/{workspace}/Workflows/{workflow}":        {workflowAdded, nil},
	"POST /v1/Workspaces/{workspace}/Workers/{worker}/Channels/{workerchannel}": {
		fresh("worker", "/Workers"), forms("Capacity", "5", "Available", "true"),
	},
	"POST /v1/Workspaces/{workspace}/Tasks": {(*api).always, func(_ *api, p places) any {
		return form("TaskQueueSid", p["queue"], "Attributes", `{"name":"Crystal Minh"}`, "TaskChannel", "whatsapp", "Priority", "1")
	}},
	"POST /v1/Workspaces/{workspace}/Tasks/{task}":                                {(*api).assigned, forms("AssignmentStatus", "completed", "Reason", "solved")},
	"DELETE /v1/Workspaces/{workspace}/Tasks/{task}":                              {(*api).waiting, nil},
	"POST /v1/Workspaces/{workspace}/Tasks/{task}/Reservations":                   {(*api).waiting, func(_ *api, p places) any { return form("WorkerSid", p["worker"]) }},
	"POST /v1/Workspaces/{workspace}/Tasks/{task}/Reservations/{reservation}":     {(*api).transferred, forms("ReservationStatus", "accepted")},
	"POST /v1/Workspaces/{workspace}/Workers/{worker}/Reservations/{reservation}": {(*api).transferred, forms("ReservationStatus", "rejected")},
	"GET /v1/Workspaces/{workspace}/Events/{event}":                               {(*api).event, nil},

	"POST /v1/Conversations":                                        {(*api).always, forms("FriendlyName", "An order", "Attributes", `{"order":1}`, "State", "active")},
	"POST /v1/Conversations/{conversation}":                         {(*api).assigned, forms("FriendlyName", "Another order")},
	"DELETE /v1/Conversations/{conversation}":                       {(*api).assigned, nil},
	"POST /v1/Conversations/{conversation}/Messages":                {(*api).assigned, forms("Author", "alice", "Body", "Yes?", "Attributes", `{"a":1}`)},
	"POST /v1/Conversations/{conversation}/Messages/{message}":      {(*api).assigned, forms("Body", "Hello.")},
	"DELETE /v1/Conversations/{conversation}/Messages/{message}":    {(*api).assigned, nil},
	"POST /v1/Conversations/{conversation}/Participants":            {(*api).assigned, forms("MessagingBinding.Address", "+15558675310", "MessagingBinding.ProxyAddress", "+15017122661")},
	"POST /v1/Conversations/{conversation}/Participants/{member}":   {(*api).assigned, forms("Attributes", `{"vip":true}`)},
	"DELETE /v1/Conversations/{conversation}/Participants/{member}": {(*api).assigned, nil},
}

func queuesAsked(_ *api, p places) any {
	return testenv.JSON{Value: map[string]any{"queueSids": []string{p["queue"], conversation.QueueSID("support")}}}
}

func configured(a *api, p places) any {
	return form("FriendlyName", a.unused("configured"), "Configuration", fmt.Sprintf(toSupport, p["queue"]))
}

func workflowAdded(a *api) places {
	a.t.Helper()
	p := a.always()
	p["workflow"] = a.does(http.StatusCreated, http.MethodPost, a.inWorkspace("/Workflows"), configured(a, p))["sid"].(string)
	return p
}

// exampleOf returns a correct call of a route.
func exampleOf(r rest.Route) example {
	e := examples[r.Method+" "+r.Path]
	if e.at == nil {
		e.at = (*api).transferred
	}
	return e
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// address is a route's address with the places filled in.
func address(r rest.Route, p places) string {
	host := map[rest.Product]string{rest.ProductTaskRouter: taskRouterHost, rest.ProductFlex: flexHost, rest.ProductConversations: conversationsHost}[r.Product]
	return host + placeholder.ReplaceAllStringFunc(r.Path, func(name string) string { return url.PathEscape(p[strings.Trim(name, "{}")]) })
}

// asks calls a route. For a request that is not a POST, the body is its query.
func (a *api) asks(r rest.Route, p places, body any, headers ...string) reply {
	a.t.Helper()
	to := address(r, p)
	if query, isForm := body.(url.Values); isForm && r.Method != http.MethodPost {
		to, body = to+"?"+query.Encode(), nil
	}
	return a.call(r.Method, to, body, headers...)
}

// Every call of the API: what it answers when it is correct, and how it refuses mistakes.
func TestHTTPEveryCall(t *testing.T) { //nolint:tparallel // all calls first, then their effects
	t.Parallel()
	f := openHTTP(t)
	service := f.unlimited(t)
	shown := service.transferred()
	shown["event"] = service.event()["event"]
	before := requireAgreement(t, f.environment, shown["conversation"])[shown["conversation"]]
	t.Run("calls", func(t *testing.T) { //nolint:paralleltest // waits until all of them have ended
		for _, r := range httpapi.Routes() {
			t.Run(r.Method+" "+r.Path, func(t *testing.T) {
				t.Parallel()
				t.Run("answers as Twilio documents", func(t *testing.T) { answersAsDocumented(t, f, r, shown) })
				refuseAnywhere(t, f, r, shown)
			})
		}
	})
	after := requireAgreement(t, f.environment, shown["conversation"])[shown["conversation"]]
	require.Equal(t, before.Revision, after.Revision, "what was refused has changed nothing")
}

// answersAsDocumented makes the call once and checks its status. As for every answer in these tests, the keys and
// values that Twilio documents are checked too.
func answersAsDocumented(t *testing.T, f *httpEnvironment, r rest.Route, shown places) {
	t.Helper()
	if _, err := twilioDocuments(); err != nil {
		t.Skipf("Twilio's OpenAPI documents (twilio_flex_v1.json, twilio_taskrouter_v1.json, twilio_conversations_v1.json) are needed in %s, "+
			"or in the folder that %s names: %v", documentsFolder, documentsVariable, err)
	}
	service := f.unlimited(t)
	e, given := examples[r.Method+" "+r.Path]
	require.True(t, given || r.Method == http.MethodGet, "a call that changes something needs an example of its own")
	p := shown
	if given {
		p = e.at(service)
	}
	var body any
	if e.body != nil {
		body = e.body(service, p)
	}
	got := service.asks(r, p, body)
	require.Equal(t, r.Status, got.Status, "%s", got.Text)
	if r.List != "" {
		require.Equal(t, r.List, got.body["meta"].(map[string]any)["key"])
		require.IsType(t, []any{}, got.body[r.List])
	}
}
