package webhook

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
)

// tellEverything causes every kind of event at least once, between alice of the queue support and bob.
func tellEverything(h *environment) *thread {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		require.NoError(h.t, err)
	}
	must(people.CreateQueue(h.ctx(), h.Desk, people.NewQueue{Name: "support", FriendlyName: "First line"}))
	must(people.AddQueue(h.ctx(), h.Desk, "closing"))
	must(people.RemoveQueue(h.ctx(), h.Desk, "closing"))
	for _, name := range []string{"alice", "bob", "zoe"} {
		must(people.AddAgent(h.ctx(), h.Desk, people.NewAgent{Name: name, FriendlyName: strings.ToUpper(name[:1]) + name[1:], Presence: desk.PresenceAvailable}))
	}
	must(people.AddMember(h.ctx(), h.Desk, "support", "alice"))
	must(people.SetCapacity(h.ctx(), h.Desk, "zoe", conversation.ChannelWeb, 1))
	must(routing.SetPresence(h.ctx(), h.Desk, "zoe", desk.PresenceOffline))
	must(people.RemoveAgent(h.ctx(), h.Desk, "zoe"))
	attributes := `{"skills":["refunds"]}`
	must(people.UpdateAgent(h.ctx(), h.Desk, "bob", people.AgentChange{Attributes: &attributes}))

	to := func(agent string) conversation.Target { return conversation.Target{Agent: agent} }
	th := h.start("support")
	h.advance(90 * time.Second)
	th.do(conversation.AcceptCommand{Agent: "alice"})
	th.do(conversation.TransferCommand{From: "alice", To: to("bob"), Note: secretNote})
	th.do(conversation.DeclineCommand{Agent: "bob", Reason: "at lunch"}) // the attempt fails, and the task waits in the queue
	th.do(conversation.CancelCommand{Agent: "alice"})
	th.do(conversation.TransferCommand{From: "alice", To: to("bob")})
	h.advance(2 * time.Minute)
	th.do(conversation.ExpireCommand{})
	must(routing.SetPresence(h.ctx(), h.Desk, "bob", desk.PresenceAvailable))
	th.do(conversation.MoveCommand{To: to("bob")})
	th.do(conversation.MoveCommand{To: conversation.Target{Queue: "support"}})
	th.do(conversation.MoveCommand{To: to("bob")})
	th.do(conversation.AcceptCommand{Agent: "bob"})
	th.do(conversation.WrapupCommand{Agent: "alice", Disposition: "refunded"})
	th.do(conversation.TransferCommand{From: "bob", To: conversation.Target{Queue: "support"}})
	th.do(conversation.CloseCommand{})
	return th
}

const secretNote = "wants a refund, and called twice"

// The parameters that are sent for each kind of event.
var (
	everyEvent = []string{
		"Sid", "EventType", "EventDescription", "AccountSid", "WorkspaceSid", "WorkspaceName", "ResourceType", "ResourceSid", "Timestamp", "TimestampMs",
	}
	everyTask = append(slices.Clone(everyEvent),
		"TaskSid", "TaskAttributes", "TaskAge", "TaskPriority", "TaskAssignmentStatus", "TaskCanceledReason", "TaskCompletedReason",
		"TaskChannelSid", "TaskChannelUniqueName", "TaskQueueSid", "TaskQueueName", "WorkflowSid", "WorkflowName")
	worker           = []string{"WorkerSid", "WorkerName", "WorkerAttributes", "WorkerActivitySid", "WorkerActivityName"}
	everyReservation = append(append(slices.Clone(everyTask), "ReservationSid"), worker...)
	everyWorker      = append(slices.Clone(everyEvent), worker...)
	everyQueue       = append(slices.Clone(everyEvent), "TaskQueueSid", "TaskQueueName")
	everyTransfer    = append(slices.Clone(everyTask),
		"TransferSid", "TransferMode", "TransferStatus", "TransferInitiatingWorkerSid", "TransferTo", "TransferType", "TransferFailedReason")
)

func TestEveryEvent(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	rec := newReceiver(t, h, nil)
	account := h.callback(rec.URL + "/events?source=baton")
	th := tellEverything(h)
	require.NoError(t, outbox.QueueWebhooks(h.ctx(), h.Desk, func() {}))
	h.send()
	eventually(t, func() bool { return h.pending() == 0 }, "everything is delivered")

	byName := map[string][]notice{}
	tokens := map[string]bool{}
	notices := rec.notices()
	slices.SortFunc(notices, func(a, b notice) int { return strings.Compare(a.Get("Sid"), b.Get("Sid")) })
	for _, n := range notices {
		require.True(t, n.signed, "Twilio's validator takes the signature of %s", n.Get("EventType"))
		require.Equal(t, "application/x-www-form-urlencoded", n.header.Get("Content-Type"))
		require.Equal(t, "Baton", n.header.Get("User-Agent"))
		require.Equal(t, n.Get("Sid"), n.header.Get("I-Twilio-Idempotency-Token"))
		require.False(t, tokens[n.Get("Sid")], "each is sent once")
		tokens[n.Get("Sid")] = true
		byName[n.Get("EventType")] = append(byName[n.Get("EventType")], n)
		require.NotContains(t, n.Encode(), "refund%2C", "a note stays at the desk")
		require.NotContains(t, n.Encode(), "lunch")
	}
	for _, name := range desk.EventNames() {
		expected := map[string][]string{
			"task": everyTask, "reservation": everyReservation, "worker": everyWorker, "task-queue": everyQueue,
		}[strings.Split(string(name), ".")[0]]
		switch {
		case name == conversation.EventTaskQueueEntered:
			expected = everyTask
		case strings.HasPrefix(string(name), "task.transfer-"):
			expected = everyTransfer
		}
		require.NotEmpty(t, byName[string(name)], name)
		for _, n := range byName[string(name)] {
			require.ElementsMatch(t, expected, slices.Collect(maps.Keys(n.Values)), name)
			require.Equal(t, account.SID, n.Get("AccountSid"))
			require.Equal(t, "WS"+account.SID[2:], n.Get("WorkspaceSid"))
			require.Equal(t, "Baton", n.Get("WorkspaceName"))
		}
	}

	first, second := th.state.Tasks[0], th.state.Tasks[1]
	accepted := byName["reservation.accepted"][0]
	requireParameters(t, accepted, map[string]string{
		"ResourceType": "reservation", "ResourceSid": first.Reservation.SID, "ReservationSid": first.Reservation.SID,
		"EventDescription": "reservation " + first.Reservation.SID + ": accepted",
		"TaskSid":          first.SID, "TaskAge": "90", "TaskPriority": "5", "TaskAssignmentStatus": "assigned",
		"TaskCanceledReason": "", "TaskCompletedReason": "",
		"TaskChannelSid": desk.NamedSID(desk.PrefixTaskChannel, "web"), "TaskChannelUniqueName": "web",
		"TaskQueueSid": conversation.QueueSID("support"), "TaskQueueName": "First line",
		"WorkflowSid": desk.NamedSID(desk.PrefixWorkflow, "default"), "WorkflowName": "Default",
		"WorkerSid": conversation.AgentSID("alice"), "WorkerName": "Alice", "WorkerAttributes": "{}",
		"WorkerActivitySid": routing.ActivityOf(desk.PresenceAvailable).SID, "WorkerActivityName": "Available",
		"Timestamp": "1772442090", "TimestampMs": "1772442090000",
	})
	require.Contains(t, accepted.Get("TaskAttributes"), `"customerName":"Crystal Minh"`)

	requireParameters(t, byName["task.transfer-initiated"][0], map[string]string{
		"ResourceType": "task", "ResourceSid": second.SID, "TaskSid": second.SID, "TaskAge": "0", "TaskAssignmentStatus": "pending",
		"EventDescription": "task " + second.SID + ": transfer initiated",
		"TransferSid":      th.state.Transfers[0].SID, "TransferMode": "COLD", "TransferStatus": "initiated", "TransferFailedReason": "",
		"TransferInitiatingWorkerSid": conversation.AgentSID("alice"), "TransferTo": conversation.AgentSID("bob"), "TransferType": "WORKER",
	})
	requireParameters(t, byName["task.transfer-attempt-failed"][0], map[string]string{"TransferStatus": "initiated", "TransferFailedReason": "declined"})
	requireParameters(t, byName["task.transfer-canceled"][0], map[string]string{
		"TransferStatus": "canceled", "TransferFailedReason": "canceled", "TaskAssignmentStatus": "canceled", "TaskCanceledReason": "canceled",
	})
	requireParameters(t, byName["task.transfer-completed"][0], map[string]string{"TransferStatus": "completed", "TransferFailedReason": ""})
	requireParameters(t, byName["task.transfer-failed"][0], map[string]string{
		"TransferStatus": "failed", "TransferFailedReason": "conversation_closed",
		"TransferTo": conversation.QueueSID("support"), "TransferType": "QUEUE",
	})
	requireParameters(t, byName["task.completed"][0], map[string]string{"TaskAssignmentStatus": "completed", "TaskCompletedReason": "refunded"})
	requireParameters(t, byName["task-queue.entered"][0], map[string]string{
		"ResourceType": "task", "ResourceSid": first.SID, "TaskQueueName": "First line",
	})
	requireParameters(t, byName["task-queue.created"][0], map[string]string{
		"ResourceType": "task-queue", "ResourceSid": conversation.QueueSID("support"),
		"TaskQueueSid": conversation.QueueSID("support"), "TaskQueueName": "First line",
	})
	requireParameters(t, byName["task-queue.deleted"][0], map[string]string{"TaskQueueSid": conversation.QueueSID("closing"), "TaskQueueName": "closing"})
	requireParameters(t, byName["worker.attributes.update"][0], map[string]string{
		"ResourceType": "worker", "ResourceSid": conversation.AgentSID("bob"), "WorkerSid": conversation.AgentSID("bob"), "WorkerName": "Bob",
		"EventDescription": "worker " + conversation.AgentSID("bob") + ": attributes update", "WorkerAttributes": `{"skills":["refunds"]}`,
	})
}

func requireParameters(t *testing.T, n notice, expected map[string]string) {
	t.Helper()
	for key, value := range expected {
		require.Equal(t, value, n.Get(key), "%s of %s", key, n.Get("EventType"))
	}
}

func TestActivityOfTheEvent(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	rec := newReceiver(t, h, nil)
	lunch, err := routing.AddActivity(h.ctx(), h.Desk, "Lunch", false)
	require.NoError(t, err)
	fleeting, err := routing.AddActivity(h.ctx(), h.Desk, "Fleeting", false)
	require.NoError(t, err)
	require.NoError(t, people.AddAgent(h.ctx(), h.Desk, people.NewAgent{Name: "alice"}))
	h.callback(rec.URL)
	for _, sid := range []string{lunch.SID, fleeting.SID, routing.ActivityOf(desk.PresenceAvailable).SID} {
		require.NoError(t, people.UpdateAgent(h.ctx(), h.Desk, "alice", people.AgentChange{Activity: &sid}))
	}
	require.NoError(t, routing.RemoveActivity(h.ctx(), h.Desk, fleeting.SID))
	require.NoError(t, people.RemoveAgent(h.ctx(), h.Desk, "alice"))
	h.send()
	eventually(t, func() bool { return len(rec.notices()) == 4 }, "everything is delivered")
	for i, expected := range []map[string]string{
		{"WorkerActivityName": "Lunch", "WorkerActivitySid": lunch.SID},
		{"WorkerActivityName": "Fleeting", "WorkerActivitySid": ""},
		{"WorkerActivityName": "Available", "WorkerActivitySid": routing.ActivityOf(desk.PresenceAvailable).SID},
		{"EventType": "worker.deleted", "WorkerSid": conversation.AgentSID("alice"), "WorkerName": "alice", "WorkerAttributes": "{}", "WorkerActivityName": ""},
	} {
		requireParameters(t, rec.notices()[i], expected)
	}
}

func TestWorkflowOfTheTask(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	rec := newReceiver(t, h, nil)
	require.NoError(t, people.AddQueue(h.ctx(), h.Desk, "support"))
	refunds, err := routes.SaveWorkflow(h.ctx(), h.Desk, routes.Workflow{
		FriendlyName: "Refunds", Configuration: `{"task_routing":{"default_filter":{"queue":"` + conversation.QueueSID("support") + `"}}}`,
	})
	require.NoError(t, err)
	h.callback(rec.URL)
	th := h.start("support")
	_, err = records.SetDetails(h.ctx(), h.Desk, th.state.Conversation, func(d *records.Details) { d.Workflow = refunds.SID })
	require.NoError(t, err)
	h.send()
	eventually(t, func() bool { return len(rec.about(th)) == 2 }, "everything is delivered")
	requireParameters(t, rec.notices()[0], map[string]string{"WorkflowSid": refunds.SID, "WorkflowName": "Refunds"})
}
