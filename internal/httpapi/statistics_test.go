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
	"github.com/baton-transfers/baton/internal/routing"
)

// figures maps the keys of an answer to its numbers. Keys of nested objects are joined with dots.
type figures map[string]any

func (a answer) figures() figures {
	a.t.Helper()
	var found figures
	a.is(http.StatusOK).read(&found)
	return found
}

// at returns the number at that key, as in "cumulative.tasks_entered".
func (f figures) at(path string) any {
	var value any = map[string]any(f)
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func (h *environment) statistics(path string, form ...string) answer {
	h.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(form); i += 2 {
		values.Add(form[i], form[i+1])
	}
	return h.ask(h.supervisor, http.MethodGet, "/v1/Workspaces/"+h.workspace()+path, values)
}

// aTransfer makes a conversation that alice has transferred to the queue billing, where bob was offered it and
// declined. Another conversation waits.
func aTransfer(h *environment) (sid string, waiting conversation.Task) {
	h.t.Helper()
	_, err := desk.SetSettings(h.t.Context(), h.desk, "carol", func(s *conversation.Settings) { s.ReofferAfter = 0 }) // bob is offered it again at once
	require.NoError(h.t, err)
	sid = h.give("alice")
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}, Note: secretNote})
	h.do(sid, conversation.DeclineCommand{Agent: "bob", Reason: "at lunch"})
	other := h.start()
	return sid, *h.state(other).Tasks[0]
}

func TestStatistics(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	_, waiting := aTransfer(h)
	billing, quiet := "/TaskQueues/"+conversation.QueueSID("billing"), "/TaskQueues/"+conversation.QueueSID("quiet")
	workflow := "/Workflows/" + desk.DefaultWorkflow()

	for path, expected := range map[string]figures{
		quiet + "/RealTimeStatistics": {
			"total_tasks": 2.0, "tasks_by_status.pending": 1.0, "tasks_by_status.wrapping": 1.0, "tasks_by_status.assigned": 0.0, "tasks_by_priority.0": 2.0,
			"longest_task_waiting_sid": waiting.SID, "longest_relative_task_sid_in_queue": waiting.SID, "total_eligible_workers": 0.0, "total_available_workers": 0.0,
		},
		billing + "/Statistics": {
			"realtime.total_tasks": 1.0, "realtime.total_eligible_workers": 1.0, "realtime.total_available_workers": 1.0,
			"cumulative.reservations_created": 2.0, "cumulative.reservations_rejected": 1.0, "cumulative.reservations_accepted": 0.0,
			"cumulative.tasks_entered": 1.0, "cumulative.tasks_deleted": 0.0, "cumulative.split_by_wait_time": nil,
			"cumulative.wait_duration_until_accepted.total": 0.0, "cumulative.account_sid": nil,
		},
		"/Statistics": {
			"realtime.total_tasks": 3.0, "realtime.total_workers": 4.0,
			"cumulative.tasks_created": 3.0, "cumulative.reservations_accepted": 1.0, "cumulative.tasks_moved": 0.0,
		},
		workflow + "/Statistics":           {"realtime.total_tasks": 3.0, "cumulative.tasks_entered": 3.0, "cumulative.tasks_timed_out_in_workflow": 0.0},
		workflow + "/CumulativeStatistics": {"reservations_created": 3.0, "workflow_sid": desk.DefaultWorkflow()},
		"/Workers/Statistics":              {"realtime.total_workers": 4.0, "cumulative.reservations_created": 3.0},
		"/Workers/RealTimeStatistics":      {"total_workers": 4.0},
		"/Workers/" + conversation.AgentSID("bob") + "/Statistics": {
			"cumulative.reservations_created": 2.0, "cumulative.reservations_rejected": 1.0, "worker_sid": conversation.AgentSID("bob"),
		},
	} {
		found := h.statistics(path).figures()
		for at, figure := range expected {
			require.Equal(t, figure, found.at(at), "%s of %s", at, path)
		}
		require.Nil(t, found.at("cumulative.workspace_sid"), "the answer around it says whose they are")
		if address, ok := found["url"].(string); ok {
			require.True(t, strings.HasSuffix(address, path), "%s is the address of %s", address, path)
		}
	}
	for _, path := range []string{"/CumulativeStatistics", quiet + "/CumulativeStatistics", workflow + "/CumulativeStatistics"} {
		split := h.statistics(path, "SplitByWaitTime", "5, 30").figures()["split_by_wait_time"]
		require.Equal(t, map[string]any{
			"5":  map[string]any{"above": map[string]any{"tasks_canceled": 0.0, "reservations_accepted": 0.0}, "below": map[string]any{"tasks_canceled": 0.0, "reservations_accepted": 1.0}},
			"30": map[string]any{"above": map[string]any{"tasks_canceled": 0.0, "reservations_accepted": 0.0}, "below": map[string]any{"tasks_canceled": 0.0, "reservations_accepted": 1.0}},
		}, split, path)
	}
	require.Equal(t, 0.0, h.statistics("/Statistics", "TaskChannel", "sms").figures().at("realtime.total_tasks")) //nolint:testifylint // counted, not measured
	require.Equal(t, 3.0, h.statistics("/RealTimeStatistics", "TaskChannel", "web").figures()["total_tasks"])     //nolint:testifylint // as above
	past := h.statistics("/CumulativeStatistics", "StartDate", "2020-01-01T00:00:00Z", "EndDate", "2020-01-02T00:00:00Z").figures()
	require.Equal(t, []any{0.0, "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"}, []any{past["tasks_created"], past["start_time"], past["end_time"]})
}

func TestStatisticsOfWorkers(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	aTransfer(h)
	for _, test := range []struct {
		form             []string
		workers, created float64
	}{
		{nil, 4, 3},
		{[]string{"FriendlyName", "bob"}, 1, 2},
		{[]string{"FriendlyName", "nobody"}, 0, 0},
		{[]string{"TaskQueueName", "billing"}, 1, 2},
		{[]string{"TaskQueueSid", conversation.QueueSID("support")}, 1, 0},
		{[]string{"TaskQueueName", "nowhere"}, 0, 0},
		{[]string{"TaskChannel", "sms"}, 4, 0},
	} {
		found := h.statistics("/Workers/Statistics", test.form...).figures()
		require.Equal(t, []any{test.workers, test.created}, []any{found.at("realtime.total_workers"), found.at("cumulative.reservations_created")}, "%q", test.form)
	}
	found := h.statistics("/Workers/" + conversation.AgentSID("dave") + "/Statistics").figures()
	durations, ok := found.at("cumulative.activity_durations").([]any)
	require.True(t, ok)
	require.Len(t, durations, 3)
	require.Equal(t, routing.ActivityOf(desk.PresenceAvailable).SID, figures(durations[0].(map[string]any))["sid"])
}

func TestStatisticsOfManyQueues(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	aTransfer(h)
	var page struct {
		Entries []figures `json:"task_queues_statistics"`
	}
	h.statistics("/TaskQueues/Statistics", "PageSize", "2", "Page", "1").is(http.StatusOK).read(&page)
	require.Len(t, page.Entries, 1)
	require.Equal(t, []any{conversation.QueueSID("support"), 0.0}, []any{page.Entries[0]["task_queue_sid"], page.Entries[0].at("realtime.total_tasks")})
	h.statistics("/TaskQueues/Statistics", "FriendlyName", "billing").is(http.StatusOK).read(&page)
	require.Len(t, page.Entries, 1)
	require.Equal(t, []any{1.0, 1.0}, []any{page.Entries[0].at("realtime.total_tasks"), page.Entries[0].at("cumulative.tasks_entered")})

	path := "/v1/Workspaces/" + h.workspace() + "/TaskQueues/RealTimeStatistics"
	bulk := func(body string) answer { return h.send(h.supervisor, http.MethodPost, path, "application/json", body) }
	stranger := conversation.PrefixQueue + strings.Repeat("0", 32)
	for _, name := range []string{"queueSids", "QueueSids", "queue_sids"} {
		found := bulk(fmt.Sprintf(`{%q:[%q,%q]}`, name, conversation.QueueSID("quiet"), stranger)).figures()
		require.InDelta(t, 2.0, found["task_queue_response_count"], 0)
		data, ok := found["task_queue_data"].([]any)
		require.True(t, ok)
		for i, expected := range [][]any{{conversation.QueueSID("quiet"), 2.0}, {stranger, 0.0}} {
			of, ok := data[i].(map[string]any)
			require.True(t, ok)
			require.Equal(t, expected, []any{of["task_queue_sid"], of["total_tasks"]})
			require.Len(t, of, 9, "as Twilio lists them: %v", of)
		}
	}
	sid := fmt.Sprintf("%q", stranger)
	for _, wrong := range []string{`{}`, `null`, `[]`, `{"queueSids":[]}`, `{"queueSids":"WQ"}`, `{"queueSids":["WQ"]}`, `{"queueSids":[` + sid + strings.Repeat(","+sid, 50) + `]}`} {
		bulk(wrong).isError(http.StatusBadRequest, 20422)
	}
	h.ask(h.supervisor, http.MethodPost, path, url.Values{"QueueSids": {stranger}}).isError(http.StatusBadRequest, 20422)
}

func TestStatisticsRefuseWrongParameters(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for _, wrong := range [][]string{
		{"Minutes", "0"},
		{"Minutes", "x"},
		{"Minutes", "5", "StartDate", "2026-01-01T00:00:00Z"},
		{"StartDate", "yesterday"},
		{"EndDate", "2026-13-01T00:00:00Z"},
		{"StartDate", "2026-01-02T00:00:00Z", "EndDate", "2026-01-01T00:00:00Z"},
		{"TaskChannel", "carrier-pigeon"},
		{"SplitByWaitTime", "5;30"},
		{"SplitByWaitTime", "-1"},
		{"SplitByWaitTime", strings.Repeat("1,", 20) + "1"},
	} {
		for _, path := range []string{"/Statistics", "/CumulativeStatistics", "/TaskQueues/Statistics"} {
			h.statistics(path, wrong...).isError(http.StatusBadRequest, 20422)
		}
		if wrong[0] != "SplitByWaitTime" {
			h.statistics("/Events", wrong...).isError(http.StatusBadRequest, 20422)
		}
	}
	for _, missing := range []string{
		"/TaskQueues/" + conversation.PrefixQueue + strings.Repeat("0", 32) + "/Statistics", "/Workflows/WW1/Statistics", "/Workers/WK1/Statistics",
		"/Events/EV1", "/Events/" + desk.EventSID(0, 1<<40), "/Events/" + desk.PrefixEvent + strings.Repeat("f", 32),
	} {
		h.statistics(missing).isError(http.StatusNotFound, 20404)
	}
}

// event is an event in the form of TaskRouter.
type event struct {
	SID         string            `json:"sid"`
	Name        string            `json:"event_type"`
	Description string            `json:"description"`
	Actor       string            `json:"actor_type"`
	ActorSID    string            `json:"actor_sid"`
	Resource    string            `json:"resource_type"`
	ResourceSID string            `json:"resource_sid"`
	Source      string            `json:"source"`
	Address     *string           `json:"source_ip_address"`
	Data        map[string]string `json:"event_data"`
}

func (h *environment) events(form ...string) []event {
	h.t.Helper()
	var page struct {
		Events []event `json:"events"`
	}
	a := h.statistics("/Events", form...).is(http.StatusOK)
	require.NotContains(h.t, a.body, secretNote)
	a.read(&page)
	return page.Events
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid, waiting := aTransfer(h)
	passed, received := h.state(sid).Tasks[0], h.state(sid).Tasks[1]

	every := h.events("PageSize", "1000")
	for _, e := range every {
		require.Equal(t, []string{"taskrouter", h.workspace()}, []string{e.Source, e.Data["workspace_sid"]})
		require.Nil(t, e.Address)
		require.NotContains(t, e.Description, "{")
		require.NotEmpty(t, e.Description)
		var one event
		h.statistics("/Events/" + e.SID).is(http.StatusOK).read(&one)
		require.Equal(t, e, one)
		require.Equal(t, []event{e}, h.events("Sid", e.SID))
	}
	rejected := h.events("EventType", "reservation.rejected")
	require.Len(t, rejected, 1)
	bob := conversation.AgentSID("bob")
	require.Equal(t, []string{"worker", bob, "reservation", rejected[0].Data["reservation_sid"]},
		[]string{rejected[0].Actor, rejected[0].ActorSID, rejected[0].Resource, rejected[0].ResourceSID})
	for key, value := range map[string]string{
		"task_sid": received.SID, "task_queue_name": "billing", "task_queue_sid": conversation.QueueSID("billing"), "worker_sid": bob, "worker_name": "bob",
		"reason": "at lunch", "task_channel_unique_name": "web", "workflow_sid": desk.DefaultWorkflow(), "worker_activity_name": "Available",
	} {
		require.Equal(t, value, rejected[0].Data[key], key)
	}
	require.Contains(t, rejected[0].Data["task_attributes"], "3348917502")
	initiated := h.events("EventType", "task.transfer-initiated")
	require.Len(t, initiated, 1)
	for key, value := range map[string]string{
		"transfer_sid": h.state(sid).Transfers[0].SID, "transfer_type": "QUEUE", "transfer_to": conversation.QueueSID("billing"), "transfer_mode": "COLD",
		"transfer_status": "initiated", "transfer_initiating_worker_sid": conversation.AgentSID("alice"),
	} {
		require.Equal(t, value, initiated[0].Data[key], key)
	}
	require.Equal(t, []string{"task", received.SID}, []string{initiated[0].Resource, initiated[0].ResourceSID})

	taken := h.give("alice")
	h.do(taken, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}})
	h.do(taken, conversation.CancelCommand{Agent: "alice"})
	h.do(taken, conversation.EndCommand{Agent: "alice"})
	h.do(taken, conversation.WrapupCommand{Agent: "alice", Disposition: "refunded"})
	for task, reasons := range map[string][2]string{
		h.state(taken).Tasks[0].SID: {"", "refunded"}, h.state(taken).Tasks[1].SID: {"canceled", ""},
	} {
		ended := 0
		for _, e := range h.events("TaskSid", task, "PageSize", "1000") {
			over := e.Data["task_assignment_status"] == "completed" || e.Data["task_assignment_status"] == "canceled"
			expected := [2]string{}
			if over {
				expected = reasons
				ended++
			}
			require.Equal(t, expected, [2]string{e.Data["task_canceled_reason"], e.Data["task_completed_reason"]}, "%s of %s", e.Name, task)
		}
		require.Equal(t, 2, ended, "every event of a task that is over says why")
	}
	every = h.events("PageSize", "1000")

	for _, test := range []struct {
		form   []string
		chosen func(event) bool
	}{
		{[]string{"TaskSid", passed.SID}, func(e event) bool { return e.Data["task_sid"] == passed.SID }},
		{[]string{"TaskSid", waiting.SID, "EventType", "task.created"}, func(e event) bool { return e.Name == "task.created" && e.ResourceSID == waiting.SID }},
		{[]string{"WorkerSid", bob}, func(e event) bool { return e.Data["worker_sid"] == bob }},
		{[]string{"WorkerSid", conversation.AgentSID("nobody")}, func(event) bool { return false }},
		{[]string{"ReservationSid", passed.Reservation.SID}, func(e event) bool { return e.Data["reservation_sid"] == passed.Reservation.SID }},
		{[]string{"TaskQueueSid", conversation.QueueSID("billing")}, func(e event) bool { return e.Data["task_queue_name"] == "billing" }},
		{[]string{"TaskChannel", "web"}, func(e event) bool { return e.Data["task_sid"] != "" }},
		{[]string{"TaskChannel", "sms"}, func(event) bool { return false }},
		{[]string{"WorkflowSid", desk.DefaultWorkflow()}, func(e event) bool { return e.Data["task_sid"] != "" }},
		{[]string{"StartDate", "2020-01-01T00:00:00Z", "EndDate", "2020-01-02T00:00:00Z"}, func(event) bool { return false }},
		{[]string{"StartDate", time.Now().Add(-time.Hour).Format(time.RFC3339)}, func(event) bool { return true }},
	} {
		expected := []event{}
		for _, e := range every {
			if test.chosen(e) {
				expected = append(expected, e)
			}
		}
		require.Equal(t, expected, h.events(append(test.form, "PageSize", "1000")...), "%q", test.form)
	}
}

func TestFlexInsights(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid, _ := aTransfer(h)
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	first, second := h.state(sid).Tasks[0], h.state(sid).Tasks[1]
	other := h.give("dave")

	segments := func(form url.Values) []figures {
		t.Helper()
		var page struct {
			Segments []figures `json:"segments"`
		}
		h.ask(h.supervisor, http.MethodGet, "/v1/Insights/Segments", form).is(http.StatusOK).read(&page)
		return page.Segments
	}
	require.Len(t, segments(nil), 3)
	require.Len(t, segments(url.Values{"PageSize": {"1"}, "Page": {"2"}}), 1)
	found := segments(url.Values{"ReservationId": {second.Reservation.SID, first.Reservation.SID, second.Reservation.SID}})
	require.Len(t, found, 2)
	for key, value := range map[string]any{
		"segment_id": second.Reservation.SID, "external_id": second.SID, "queue": "billing", "agent_name": "bob", "agent_id": conversation.AgentSID("bob"),
		"account_id": h.account.SID, "customer_name": "Crystal Minh", "customer_phone": nil, "external_contact": "crystal@example.com", "media": nil,
		"agent_team_name": nil, "assessment_type": nil,
	} {
		require.Equal(t, value, found[0][key], key)
		require.Contains(t, found[0], key)
	}
	require.Equal(t, found[:1], segments(url.Values{"SegmentId": {second.Reservation.SID}}))
	require.Empty(t, segments(url.Values{"SegmentId": {second.Reservation.SID}, "ReservationId": {first.Reservation.SID}}))
	called, err := h.engine.Start(t.Context(), conversation.StartCommand{
		Channel: conversation.ChannelWhatsApp, Queue: "support", Customer: conversation.Customer{Address: "whatsapp:+15551234567"},
	})
	require.NoError(t, err)
	h.do(called, conversation.AcceptCommand{Agent: "alice"})
	found = segments(url.Values{"ReservationId": {h.state(called).Tasks[0].Reservation.SID}})
	require.Equal(t, []any{"+15551234567", nil}, []any{found[0]["customer_phone"], found[0]["customer_name"]})
	for _, wrong := range []url.Values{{"SegmentId": {"x"}}, {"ReservationId": {first.Reservation.SID, "x"}}} {
		h.ask(h.supervisor, http.MethodGet, "/v1/Insights/Segments", wrong).is(http.StatusBadRequest)
	}

	var page struct {
		Conversations []struct {
			SID      string    `json:"conversation_id"`
			Count    int       `json:"segment_count"`
			Segments []figures `json:"segments"`
		} `json:"conversations"`
	}
	h.ask(h.supervisor, http.MethodGet, "/v1/Insights/Conversations", nil).is(http.StatusOK).read(&page)
	require.Len(t, page.Conversations, 3)
	require.Equal(t, []string{sid, other}, []string{page.Conversations[0].SID, page.Conversations[1].SID})
	h.ask(h.supervisor, http.MethodGet, "/v1/Insights/Conversations", url.Values{"SegmentId": {second.Reservation.SID}}).is(http.StatusOK).read(&page)
	require.Len(t, page.Conversations, 1)
	require.Equal(t, 2, page.Conversations[0].Count)
	require.Equal(t, []any{first.Reservation.SID, "alice"}, []any{page.Conversations[0].Segments[0]["segment_id"], page.Conversations[0].Segments[0]["agent_name"]})
}
