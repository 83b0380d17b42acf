package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/routing"
)

// onlyValues holds the values of refused parameters that describe what Baton does in any case.
var onlyValues = map[string]string{
	"DefaultActivitySid": routing.ActivityOf(desk.PresenceOffline).SID, "TimeoutActivitySid": routing.ActivityOf(desk.PresenceOffline).SID,
	"MultiTaskEnabled": "true", "PrioritizeQueueOrder": "FIFO", "ReEvaluateTasks": "false",
}

// TestUnsupportedParametersAreRefused sends every call with each parameter that Twilio documents and Baton does not
// support.
func TestUnsupportedParametersAreRefused(t *testing.T) { //nolint:tparallel // its subtests run one at a time
	t.Parallel()
	h := newEnvironment(t)
	for _, r := range httpapi.Routes() { //nolint:paralleltest // as above
		if len(r.Refuses()) == 0 {
			continue
		}
		t.Run(r.Method+" "+r.Path, func(t *testing.T) { // one at a time, because lists show the resources of other subtests
			row := rowOf(r)
			s := row.resources(h.in(t))
			s.fill(row.call + strings.Join(row.form, " ")) // the resources that the call names exist before
			before := s.everything(row)
			for _, name := range r.Refuses() {
				with := row
				with.form = append(slices.Clone(row.form), name, "17")
				requireRefused(t, name, with.ask(s, h.service))
				inQuery := row
				inQuery.call += "?" + name + "=17"
				requireRefused(t, name, inQuery.ask(s, h.service))
			}
			require.Equal(t, before, s.everything(row), "what was refused has changed nothing")
			for _, name := range r.Refuses() {
				row.form = append(row.form, name, onlyValues[name])
			}
			row.ask(s, h.service).is(r.Status)
		})
	}
}

// everything returns all that a call may have changed.
func (s *resources) everything(p permission) string {
	s.t.Helper()
	_, path, _ := strings.Cut(p.call, " ")
	collection := s.ask(s.service, http.MethodGet, s.fill(path), nil)
	collection.body = regexp.MustCompile(`"(age|age_in_queue)":[0-9]+`).ReplaceAllString(collection.body, "")
	return s.recorded() + collection.body
}

func requireRefused(t *testing.T, field string, a answer) {
	t.Helper()
	var told struct {
		Message string
		Details struct{ Reason, Field string }
	}
	a.is(http.StatusBadRequest).read(&told)
	require.Contains(t, told.Message, field)
	require.Equal(t, string(conversation.CodeInvalidPayload), told.Details.Reason)
}

// TestParametersAreTwilios compares the routes with Twilio's documents: each parameter is either taken or refused.
func TestParametersAreTwilios(t *testing.T) {
	t.Parallel()
	documented := documentedParameters(t)
	for _, r := range httpapi.Routes() {
		known, found := documented[r.Method+" "+unnamed(r.Path)]
		if !found {
			continue // claims, and the Instances API, which has no document
		}
		ours := slices.Clone(r.Refuses())
		for _, name := range r.Takes {
			ours = append(ours, strings.TrimSuffix(name, "*"))
		}
		for _, name := range known {
			require.Contains(t, ours, name, "%s %s neither takes nor refuses it", r.Method, r.Path)
		}
		for _, name := range r.Refuses() {
			require.Contains(t, known, name, "%s %s refuses what Twilio does not document", r.Method, r.Path)
		}
	}
}

func unnamed(path string) string { return regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "{}") }

// documentedParameters returns the parameters of the query and of the form, by call.
func documentedParameters(t *testing.T) map[string][]string {
	t.Helper()
	type parameter struct {
		Name string `json:"name"`
		In   string `json:"in"`
	}
	type schema struct {
		Reference  string                     `json:"$ref"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	type operation struct {
		Parameters  []parameter `json:"parameters"`
		RequestBody struct {
			Content map[string]struct {
				Schema schema `json:"schema"`
			} `json:"content"`
		} `json:"requestBody"`
	}
	found := map[string][]string{}
	for _, product := range []string{"flex", "taskrouter", "conversations"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "specs", "twilio_"+product+"_v1.json"))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("Twilio's OpenAPI documents may not be copied into the project: put them into ../shared/specs to run this test")
		}
		require.NoError(t, err)
		var document struct {
			Paths      map[string]map[string]json.RawMessage `json:"paths"`
			Components struct {
				Schemas map[string]schema `json:"schemas"`
			} `json:"components"`
		}
		require.NoError(t, json.Unmarshal(content, &document))
		for path, item := range document.Paths {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				encoded, there := item[strings.ToLower(method)]
				if !there {
					continue
				}
				var o operation
				require.NoError(t, json.Unmarshal(encoded, &o))
				names := []string{}
				for _, p := range o.Parameters {
					if p.In == "query" {
						names = append(names, p.Name)
					}
				}
				body := o.RequestBody.Content["application/x-www-form-urlencoded"].Schema
				if body.Reference != "" {
					body = document.Components.Schemas[body.Reference[strings.LastIndex(body.Reference, "/")+1:]]
				}
				for name := range body.Properties {
					names = append(names, name)
				}
				found[method+" "+unnamed(path)] = names
			}
		}
	}
	require.NotEmpty(t, found["POST /v1/Conversations/{}/Messages"])
	return found
}

// TestUnsupportedValuesAreRefused sends parameters that Baton supports only for some values, or only in some calls.
func TestUnsupportedValuesAreRefused(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	const invite, join, task = "POST " + channels + "/Invites", "POST " + channels + "/Participants", "POST " + workspaces + "/Tasks/{task}"
	const reservation, open, transfer = task + "/Reservations/{reservation}", "POST /v1/Interactions", "POST " + channels + "/Transfers"
	const workflows, workers = "POST " + workspaces + "/Workflows", "POST " + workspaces + "/Workers/{worker}"
	routing := func(more string) []string {
		return []string{"Channel", `{"type":"web"}`, "Routing", `{"properties":{"queue_sid":"{quiet}",` + more + `}}`}
	}
	channel := func(value string) []string {
		return []string{"Channel", value, "Routing", `{"properties":{"queue_sid":"{quiet}"}}`}
	}
	joined := func(media, routing string) []string {
		return []string{"Type", "agent", "MediaProperties", media, "RoutingProperties", routing}
	}
	for name, try := range map[string]struct {
		permission

		field string
	}{
		"a reason to wrap up":                  {permission{call: task, form: []string{"AssignmentStatus", "wrapping", "Reason", "refunded"}}, "Reason"},
		"a reason without a status":            {permission{call: task, form: []string{"Reason", "refunded"}}, "Reason"},
		"another task channel":                 {permission{call: task, form: []string{"TaskChannel", "sms"}}, "TaskChannel"},
		"an activity for accepting":            {permission{call: reservation, stage: offered, form: []string{"ReservationStatus", "accepted", "WorkerActivitySid", "{available}"}}, "WorkerActivitySid"},
		"an activity without a status":         {permission{call: reservation, stage: offered, form: []string{"WorkerActivitySid", "{available}"}}, "WorkerActivitySid"},
		"a timeout of a task's own":            {permission{call: "POST " + workspaces + "/Tasks", form: []string{"Timeout", "17"}}, "Timeout"},
		"a queue's task beyond capacity":       {permission{call: "POST " + workspaces + "/Tasks", form: []string{"IgnoreCapacity", "true"}}, "IgnoreCapacity"},
		"a worker's task within capacity":      {permission{call: "POST " + workspaces + "/Tasks", form: []string{"RoutingTarget", "{alice}", "IgnoreCapacity", "false"}}, "IgnoreCapacity"},
		"several orders":                       {permission{call: "GET " + workspaces + "/Tasks", form: []string{"Ordering", "Priority:desc,DateCreated:asc"}}, "Ordering"},
		"pending reservations that stay":       {permission{call: workers, form: []string{"RejectPendingReservations", "false"}}, "RejectPendingReservations"},
		"pending reservations, perhaps":        {permission{call: workers, form: []string{"RejectPendingReservations", "perhaps"}}, "RejectPendingReservations"},
		"a conversation that is initializing":  {permission{call: "POST /v1/Conversations", form: []string{"State", "initializing"}}, "State"},
		"a timeout in routing":                 {permission{call: open, form: routing(`"timeout":60`)}, "properties.timeout"},
		"a target in routing":                  {permission{call: open, form: routing(`"routing_target":"{alice}"`)}, "properties.routing_target"},
		"another channel's task":               {permission{call: open, form: routing(`"task_channel_unique_name":"sms"`)}, "task_channel_unique_name"},
		"a status in routing":                  {permission{call: open, form: []string{"Channel", `{"type":"web"}`, "Routing", `{"status":"closed","properties":{"queue_sid":"{quiet}"}}`}}, "status"},
		"a channel with a status":              {permission{call: open, form: channel(`{"type":"web","status":"closed"}`)}, "status"},
		"a channel of two types":               {permission{call: open, form: channel(`{"type":"web","properties":{"type":"sms"}}`)}, "properties.type"},
		"a channel that nothing began":         {permission{call: open, form: channel(`{"type":"web","initiated_by":"chance"}`)}, "initiated_by"},
		"a proxy address":                      {permission{call: open, form: channel(`{"type":"sms","participants":[{"address":"+15551234567","proxy_address":"+1555"}]}`)}, "participants[0].proxy_address"},
		"two customers":                        {permission{call: open, form: channel(`{"type":"sms","participants":[{"address":"+15551234567"},{"address":"+15557654321"}]}`)}, "participants"},
		"a channel that opens":                 {permission{call: "POST " + channels, form: []string{"Status", "closed", "Routing", `{"status":"open"}`}}, "status"},
		"a channel that closes to a queue":     {permission{call: "POST " + channels, form: []string{"Status", "closed", "Routing", `{"properties":{"queue_sid":"{quiet}"}}`}}, "properties"},
		"an invite of more urgency":            {permission{call: invite, stage: waits, form: []string{"Routing", `{"properties":{"worker_sid":"{bob}","priority":7}}`}}, "priority"},
		"an invite with other attributes":      {permission{call: invite, stage: waits, form: []string{"Routing", `{"properties":{"worker_sid":"{bob}","attributes":{"a":1}}}`}}, "attributes"},
		"an agent at an address":               {permission{call: join, stage: waits, form: joined(`{"address":"+15551234567"}`, `{"worker_sid":"{alice}"}`)}, "address"},
		"an agent as another":                  {permission{call: join, stage: waits, form: joined(`{"identity":"bob"}`, `{"worker_sid":"{alice}"}`)}, "identity"},
		"an agent with a level":                {permission{call: join, stage: waits, form: joined(`{"level":"cc"}`, `{"worker_sid":"{alice}"}`)}, "level"},
		"an agent from a queue":                {permission{call: join, stage: waits, form: joined(`{}`, `{"worker_sid":"{alice}","properties":{"queue_sid":"{quiet}"}}`)}, "properties.queue_sid"},
		"two agents":                           {permission{call: join, stage: waits, form: joined(`{}`, `{"worker_sid":"{alice}","properties":{"worker_sid":"{bob}"}}`)}, "worker"},
		"a customer with routing":              {permission{call: join, form: []string{"Type", "customer", "MediaProperties", `{"identity":"minh"}`, "RoutingProperties", `{"worker_sid":"{alice}"}`}}, "RoutingProperties"},
		"a transfer with a status":             {permission{call: transfer, json: `{"from":"{participant}","to":"{bob}","status":"accepted"}`}, "status"},
		"a transfer with attributes":           {permission{call: transfer, json: `{"from":"{participant}","to":"{bob}","attributes":{"a":1}}`}, "attributes"},
		"a transfer with two notes":            {permission{call: transfer, json: `{"from":"{participant}","to":"{bob}","note_sid":"{note}","noteSid":"KQ` + strings.Repeat("0", 32) + `"}`}, "noteSid"},
		"a transfer taken back to":             {permission{call: transfer + "/{transfer}", stage: passed, json: `{"status":"failed","to":"{alice}"}`}, "to"},
		"settings that are not there":          {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"enabled":true,"voice_enabled":true}`}, "voice_enabled"},
		"notes without transfers":              {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"enabled":false,"transfer_notes_enabled":true}`}, "transfer_notes_enabled"},
		"a list's notes without transfers":     {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"transfer_settings":[{"enabled":false,"transfer_notes_enabled":true}]}`}, "transfer_notes_enabled"},
		"a switch that is a string":            {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"enabled":"yes"}`}, "enabled"},
		"a list's switch that is a number":     {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"transfer_settings":[{"enabled":1}]}`}, "transfer_settings.enabled"},
		"settings twice":                       {permission{call: "POST /v3/Instances/{instance}/TransferSettings", json: `{"enabled":true,"transfer_settings":[{"enabled":false}]}`}, "transfer_settings"},
		"statistics of a channel in the body":  {permission{call: "POST " + workspaces + "/TaskQueues/RealTimeStatistics", json: `{"queueSids":["{quiet}"],"TaskChannel":"web"}`}, "TaskChannel"},
		"a form's parameter in the query":      {permission{call: "POST " + conversations + "?FriendlyName=Refunds", form: []string{"Attributes", "{}"}}, "FriendlyName"},
		"a workflow with a target's condition": {permission{call: workflows, form: []string{"FriendlyName", "{new}", "Configuration", `{"task_routing":{"filters":[{"filter_friendly_name":"VIP","expression":"1==1","targets":[{"queue":"{quiet}","skip_if":"1==1"}]}]}}`}}, "skip_if"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := try.resources(h.in(t))
			s.fill(try.call + strings.Join(try.form, " ") + try.json)
			before := s.recorded()
			requireRefused(t, try.field, try.ask(s, h.service))
			require.Equal(t, before, s.recorded(), "what was refused has changed nothing")
		})
	}
}

// TestSupportedValuesAreTaken sends values that describe what Baton does in any case.
func TestSupportedValuesAreTaken(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	settings, err := desk.ReadSettings(t.Context(), h.desk)
	require.NoError(t, err)
	for name, p := range map[string]permission{
		"a task's own values": {call: "POST " + workspaces + "/Tasks/{task}", form: []string{"TaskChannel", "web", "Priority", "0", "VirtualStartTime", "", "Reason", ""}},
		"a channel's names": {
			call: "POST /v1/Interactions",
			form: []string{
				"Channel", `{"type":"web","initiated_by":"agent","properties":{"type":"web"},"participants":[{"name":"Minh","proxy_address":null}]}`,
				"Routing", `{"properties":{"workspace_sid":"{workspace}","queue_sid":"{quiet}","task_channel_unique_name":"web","timeout":null}}`,
			},
		},
		"the task channel that Flex uses for messaging": {
			call: "POST /v1/Interactions",
			form: []string{
				"Channel", `{"type":"web","initiated_by":"customer"}`, "Routing", `{"properties":{"queue_sid":"{quiet}","task_channel_unique_name":"chat"}}`,
			},
		},
		"a channel that closes to wrapup":   {call: "POST " + channels, form: []string{"Status", "closed", "Routing", `{"status":"wrapup"}`}},
		"an invite with what the task has":  {call: "POST " + channels + "/Invites", stage: waits, form: []string{"Routing", `{"properties":{"worker_sid":"{bob}","priority":0}}`}},
		"an agent by name":                  {call: "POST " + channels + "/Participants", stage: waits, form: []string{"Type", "agent", "MediaProperties", `{"identity":"alice"}`, "RoutingProperties", `{"properties":{"workspace_sid":"{workspace}","worker_sid":"{alice}"}}`}},
		"names that nothing is documented":  {call: "POST " + conversations, form: []string{"Nickname", "Refunds", "mediasid", "ME1"}},
		"an update of a reservation, empty": {call: "POST " + workspaces + "/Tasks/{task}/Reservations/{reservation}", stage: offered, form: []string{"WorkerActivitySid", "", "Instruction", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := p.resources(h.in(t))
			p.ask(s, h.service).is(http.StatusOK)
		})
	}
	for name, form := range map[string][]string{
		"a task with the settings' timeout": {"Timeout", strconv.Itoa(settings.TaskTimeout), "IgnoreCapacity", "false", "TaskQueueSid", "{quiet}"},
		"a worker's task":                   {"RoutingTarget", "{alice}", "IgnoreCapacity", "true", "TaskQueueSid", "{quiet}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := permission{call: "POST " + workspaces + "/Tasks", form: form}
			p.ask(p.resources(h.in(t)), h.service).is(http.StatusCreated)
		})
	}
}

// TestBodiesThatNothingReads sends calls whose parameters are all optional in a body of another type.
func TestBodiesThatNothingReads(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	var parts bytes.Buffer
	writer := multipart.NewWriter(&parts)
	require.NoError(t, writer.WriteField("FriendlyName", "Refunds"))
	require.NoError(t, writer.Close())
	for name, body := range map[string][2]string{
		"JSON":      {"application/json", `{"FriendlyName":"Refunds"}`},
		"multipart": {writer.FormDataContentType(), parts.String()},
		"text":      {"text/plain", "FriendlyName=Refunds"},
		"no type":   {"", "FriendlyName=Refunds"},
	} {
		h.send(h.service, http.MethodPost, "/v1/Conversations", body[0], body[1]).isError(http.StatusUnsupportedMediaType, 20415)
		require.NotContains(t, h.ask(h.service, http.MethodGet, "/v1/Conversations", nil).is(http.StatusOK).body, "Refunds", name)
	}
	h.send(h.service, http.MethodPost, "/v1/Conversations", "", "").is(http.StatusCreated)
}

// TestConversationWebhooksAreRefused requests webhooks of conversations, which Baton does not have.
func TestConversationWebhooksAreRefused(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for value, status := range map[string]int{"true": http.StatusBadRequest, "false": http.StatusCreated} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+"/v1/Conversations", strings.NewReader(url.Values{"FriendlyName": {value}}.Encode()))
		require.NoError(t, err)
		request.SetBasicAuth(h.service.user, h.service.secret)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("X-Twilio-Webhook-Enabled", value)
		h.sendRequest(request).is(status)
	}
}
