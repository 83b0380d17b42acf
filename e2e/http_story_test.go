package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"
	flexapi "github.com/twilio/twilio-go/rest/flex/v1"
	taskapi "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
)

// interaction is a conversation as Flex's clients know it.
type interaction struct {
	// sid is KD…, channel UO…, conversation CH…; task is the first task.
	sid, channel, conversation, task string
}

// interactionOf reads Flex's answer.
func interactionOf(t *testing.T, answered *flexapi.FlexV1Interaction) interaction {
	t.Helper()
	channel, _ := its(answered.Channel).(map[string]any)
	i := interaction{sid: its(answered.Sid), conversation: conversation.SameSID(conversation.PrefixConversation, its(answered.Sid))}
	i.channel, _ = channel["sid"].(string)
	if routing, routed := its(answered.Routing).(map[string]any); routed {
		i.task, _ = routing["properties"].(map[string]any)["sid"].(string)
	}
	return i
}

// starts opens a web interaction that is routed to the queue.
func (a *api) starts(queue string) interaction {
	a.t.Helper()
	return a.startsWith(map[string]any{"queue_sid": conversation.QueueSID(queue), "attributes": map[string]any{"customerName": "Crystal Minh"}})
}

// startsWith opens a web interaction with these routing properties.
func (a *api) startsWith(properties map[string]any) interaction {
	a.t.Helper()
	answered, err := a.FlexV1.CreateInteraction((&flexapi.CreateInteractionParams{}).
		SetChannel(map[string]any{"type": "web", "initiated_by": "customer"}).SetRouting(map[string]any{"properties": properties}))
	require.NoError(a.t, err)
	return interactionOf(a.t, answered)
}

// pendingOf waits until the task is offered to the agent, and returns the reservation.
func (a *api) pendingOf(agent, task string) taskapi.TaskrouterV1WorkerReservation {
	a.t.Helper()
	var found taskapi.TaskrouterV1WorkerReservation
	waitFor(a.t, testenv.Patience, "task "+task+" is offered to "+agent, func() bool {
		offers, err := a.TaskrouterV1.ListWorkerReservation(a.workspace, conversation.AgentSID(agent),
			(&taskapi.ListWorkerReservationParams{}).SetReservationStatus("pending").SetPageSize(1000))
		require.NoError(a.t, err)
		at := slices.IndexFunc(offers, func(r taskapi.TaskrouterV1WorkerReservation) bool { return its(r.TaskSid) == task })
		if at >= 0 {
			found = offers[at]
		}
		return at >= 0
	})
	return found
}

// sets changes a reservation of the agent.
func (a *api) sets(agent, reservation, status string) (*taskapi.TaskrouterV1WorkerReservation, error) {
	a.t.Helper()
	return a.TaskrouterV1.UpdateWorkerReservation(a.workspace, conversation.AgentSID(agent), reservation,
		(&taskapi.UpdateWorkerReservationParams{}).SetReservationStatus(status))
}

// accepts waits for the offer of the task and accepts it for the agent.
func (a *api) accepts(agent, task string) taskapi.TaskrouterV1WorkerReservation {
	a.t.Helper()
	accepted, err := a.sets(agent, its(a.pendingOf(agent, task).Sid), "accepted")
	require.NoError(a.t, err)
	require.Equal(a.t, "accepted", its(accepted.ReservationStatus))
	return *accepted
}

// startsWithAlice opens an interaction that alice has, on the queue support.
func (a *api) startsWithAlice() interaction {
	a.t.Helper()
	i := a.starts("support")
	a.accepts("alice", i.task)
	return i
}

// participant returns the SID (UT…) of the agent who has or had that task.
func participant(task string) string { return conversation.SameSID("UT", task) }

// transfers sends a transfer of the interaction.
func (a *api) transfers(i interaction, body map[string]any) (*flexapi.FlexV1InteractionTransfer, error) {
	a.t.Helper()
	return a.FlexV1.CreateInteractionTransfer(i.sid, i.channel, (&flexapi.CreateInteractionTransferParams{}).SetBody(body))
}

// now returns the task's current state, with its attributes decoded.
func (a *api) now(task string) (taskapi.TaskrouterV1Task, map[string]any) {
	a.t.Helper()
	fetched, err := a.TaskrouterV1.FetchTask(a.workspace, task)
	require.NoError(a.t, err)
	attributes := map[string]any{}
	require.NoError(a.t, json.Unmarshal([]byte(its(fetched.Attributes)), &attributes))
	return *fetched, attributes
}

// switches sets the messaging transfers. Twilio's library has no call for that.
func (a *api) switches(enabled, notes bool) {
	a.t.Helper()
	answered := a.does(http.StatusOK, http.MethodPost, flexHost+"/v3/Instances/"+a.instance+"/TransferSettings",
		testenv.JSON{Value: map[string]any{"transfer_settings": []any{map[string]any{"enabled": enabled, "transfer_notes_enabled": notes}}}})
	require.Equal(a.t, map[string]any{"transfer_settings": []any{
		map[string]any{"enabled": enabled, "transfer_notes_enabled": notes, "ai_summary_enabled": false},
	}}, answered)
}

func TestHTTPTellsTheWholeStory(t *testing.T) {
	t.Parallel()
	f := openHTTP(t)
	service, alice, bob := f.admin(t), f.agent(t, "alice"), f.agent(t, "bob")

	// Transfers are disabled.
	service.switches(false, false)

	// The customer writes before any agent is offered the conversation.
	opened, err := service.ConversationsV1.CreateConversation((&conversationapi.CreateConversationParams{}).
		SetFriendlyName("Order 3348917502").SetUniqueName("order-3348917502").SetAttributes(`{"order":"3348917502"}`))
	require.NoError(t, err)
	sid := its(opened.Sid)
	require.Regexp(t, `^CH[0-9a-f]{32}$`, sid)
	require.Equal(t, "active", its(opened.State))
	require.Equal(t, "Order 3348917502", its(opened.FriendlyName))
	require.JSONEq(t, `{"order":"3348917502"}`, its(opened.Attributes))
	require.Equal(t, conversationsHost+"/v1/Conversations/"+sid, its(opened.Url))
	customer, err := service.ConversationsV1.CreateConversationParticipant(sid, (&conversationapi.CreateConversationParticipantParams{}).
		SetMessagingBindingAddress("+15558675310").SetMessagingBindingProxyAddress("+15017122661"))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"type": "sms", "address": "+15558675310", "proxy_address": "+15017122661"}, its(customer.MessagingBinding))
	for i, text := range []string{"I was charged twice.", "Order 3348917502."} {
		said, err := service.ConversationsV1.CreateConversationMessage("order-3348917502", (&conversationapi.CreateConversationMessageParams{}).
			SetAuthor("+15558675310").SetBody(text))
		require.NoError(t, err)
		require.Equal(t, i, said.Index)
		require.Equal(t, text, its(said.Body))
		require.Equal(t, sid, its(said.ConversationSid))
	}

	// Flex routes it to support.
	started, err := service.FlexV1.CreateInteraction((&flexapi.CreateInteractionParams{}).
		SetChannel(map[string]any{"type": "web", "initiated_by": "customer", "properties": map[string]any{"media_channel_sid": sid}}).
		SetRouting(map[string]any{"properties": map[string]any{
			"workspace_sid": service.workspace, "queue_sid": conversation.QueueSID("support"), "task_channel_unique_name": "web", "priority": 5,
			"attributes": map[string]any{"customerName": "Crystal Minh", "order": map[string]any{"id": 3348917502, "total": 12.5}, "tags": []any{"billing", true, nil}},
		}}))
	require.NoError(t, err)
	i := interactionOf(t, started)
	require.Equal(t, sid, i.conversation, "the media channel is the interaction's conversation")
	require.Equal(t, conversation.SameSID("UO", sid), i.channel)
	require.Equal(t, flexHost+"/v1/Interactions/"+i.sid, its(started.Url))
	require.Equal(t, map[string]any{"channels": flexHost + "/v1/Interactions/" + i.sid + "/Channels"}, its(started.Links))
	requireRouting(t, its(started.Routing), service)

	// It is offered to alice, who accepts. A second accept is refused.
	offer := alice.pendingOf("alice", i.task)
	require.Regexp(t, `^WR[0-9a-f]{32}$`, its(offer.Sid))
	require.Equal(t, "pending", its(offer.ReservationStatus))
	require.Equal(t, "alice", its(offer.WorkerName))
	require.Equal(t, conversation.AgentSID("alice"), its(offer.WorkerSid))
	require.Equal(t, alice.inWorkspace("/Workers/"+conversation.AgentSID("alice")+"/Reservations/"+its(offer.Sid)), its(offer.Url))
	require.Equal(t, map[string]any{
		"task": alice.inWorkspace("/Tasks/" + i.task), "worker": alice.inWorkspace("/Workers/" + conversation.AgentSID("alice")), "workspace": alice.inWorkspace(""),
	}, its(offer.Links))
	alice.accepts("alice", i.task)
	first, kept := alice.now(i.task)
	require.Equal(t, "assigned", its(first.AssignmentStatus))
	require.Equal(t, 5, first.Priority)
	require.Equal(t, map[string]any{"id": 3348917502.0, "total": 12.5}, kept["order"])
	require.Equal(t, []any{"billing", true, nil}, kept["tags"])
	requireSystemAttributes(t, kept, i)
	said, err := alice.ConversationsV1.CreateConversationMessage(sid, (&conversationapi.CreateConversationMessageParams{}).SetBody("Let me see."))
	require.NoError(t, err)
	require.Equal(t, "alice", its(said.Author), "who has alice's key writes as alice")

	// Transfers are refused while they are disabled.
	people, err := alice.FlexV1.ListInteractionChannelParticipant(i.sid, i.channel, nil)
	require.NoError(t, err)
	own := people[slices.IndexFunc(people, func(p flexapi.FlexV1InteractionChannelParticipant) bool { return its(p.Type) == "agent" })]
	require.Equal(t, map[string]any{
		"task_sid": i.task, "worker_sid": conversation.AgentSID("alice"), "reservation_sid": its(offer.Sid),
	}, its(own.RoutingProperties))
	toBilling := map[string]any{"from": its(own.Sid), "to": conversation.QueueSID("billing"), "type": "cold"}
	_, err = alice.transfers(i, toBilling)
	requireRefused(t, err, refusal{http.StatusConflict, 45313, conversation.CodeMessagingTransfersOff})

	// The administrator enables them. Alice writes a note and transfers the customer with it.
	service.switches(true, true)
	note := alice.does(http.StatusOK, http.MethodPost, flexHost+"/v1/Instances/"+alice.instance+"/Notes",
		form("InteractionSid", i.sid, "ChannelSid", i.channel, "Summary", "Charged twice: refund one.", "Type", "transfer"))
	require.Equal(t, "Charged twice: refund one.", note["summary"])
	require.Equal(t, "alice", note["author"])
	toBilling["note_sid"] = note["sid"]
	passed, err := alice.transfers(i, toBilling)
	require.NoError(t, err)
	requireTransfer(t, passed, transferOf{i, its(own.Sid), conversation.QueueSID("billing"), "active", note["sid"].(string)})
	require.Equal(t, f.account.SID, its(passed.AccountSid))
	require.Equal(t, alice.instance, its(passed.InstanceSid))

	// Bob gets the offer with the whole transcript and the note.
	second := nextTask(t, bob, i)
	bob.pendingOf("bob", second)
	notes := bob.does(http.StatusOK, http.MethodGet, flexHost+"/v1/Instances/"+bob.instance+"/Notes?InteractionSid="+i.sid, nil)["notes"].([]any)
	require.Len(t, notes, 1)
	require.Equal(t, note, notes[0])
	require.Equal(t, []string{"I was charged twice.", "Order 3348917502.", "Let me see."}, bodies(t, bob, sid))
	handed, err := bob.FlexV1.FetchInteractionTransfer(i.sid, i.channel, its(passed.Sid))
	require.NoError(t, err)
	require.Equal(t, passed, handed)
	bob.accepts("bob", second)
	handed, err = bob.FlexV1.FetchInteractionTransfer(i.sid, i.channel, its(passed.Sid))
	require.NoError(t, err)
	requireTransfer(t, handed, transferOf{i, its(own.Sid), conversation.QueueSID("billing"), "completed", note["sid"].(string)})
	_, arrived := bob.now(second)
	requireLineage(t, kept, arrived, map[string]any{
		"transferTargetType": "queue", "transferTargetSid": conversation.QueueSID("billing"), "transferQueueName": "billing",
		"workerSidsInConversation": []any{conversation.AgentSID("alice")},
	})
	_, err = bob.ConversationsV1.CreateConversationMessage(sid, (&conversationapi.CreateConversationMessageParams{}).SetBody("Refunded."))
	require.NoError(t, err)

	// He transfers it back to alice, who is still in wrap-up: she completes that first, then repeats the accept.
	back, err := bob.transfers(i, map[string]any{"from": participant(second), "to": conversation.AgentSID("alice")})
	require.NoError(t, err)
	requireTransfer(t, back, transferOf{i, participant(second), conversation.AgentSID("alice"), "active", ""})
	third := nextTask(t, alice, i)
	again := alice.pendingOf("alice", third)
	_, err = alice.sets("alice", its(again.Sid), "accepted")
	told := requireRefused(t, err, refusal{http.StatusConflict, 20409, conversation.CodeWrapupPending})
	require.Equal(t, map[string]any{"reason": "wrapup_pending", "task": i.task, "agent": "alice"}, told.Details)
	require.Contains(t, told.Message, i.task)
	completed, err := alice.TaskrouterV1.UpdateTask(alice.workspace, i.task, (&taskapi.UpdateTaskParams{}).
		SetAssignmentStatus("completed").SetReason("passed on"))
	require.NoError(t, err)
	require.Equal(t, "completed", its(completed.AssignmentStatus))
	require.Equal(t, "passed on", its(completed.Reason))
	accepted, err := alice.sets("alice", its(again.Sid), "accepted")
	require.NoError(t, err)
	require.Equal(t, "accepted", its(accepted.ReservationStatus))
	_, last := alice.now(third)
	requireLineage(t, kept, last, map[string]any{
		"transferTargetType": "worker", "transferTargetSid": conversation.AgentSID("alice"), "workerSidsInConversation": []any{conversation.AgentSID("alice"), conversation.AgentSID("bob")}, // alice is still in wrap-up
	})

	// She completes the conversation, bob his wrap-up, and the conversation is over.
	_, err = alice.TaskrouterV1.UpdateTask(alice.workspace, third, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed").SetReason("solved"))
	require.NoError(t, err)
	_, err = bob.TaskrouterV1.UpdateTask(bob.workspace, second, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed"))
	require.NoError(t, err)
	requireOver(t, service, i)
	f.closed(t, sid)
	_, err = service.ConversationsV1.CreateConversationMessage(sid, (&conversationapi.CreateConversationMessageParams{}).SetBody("Hello?"))
	requireRefused(t, err, refusal{http.StatusConflict, 50377, conversation.CodeConversationClosed})

	requireEventsOfTheStory(t, service, i, second, third)
	requireAgreement(t, f.environment, sid)
}

// requireRouting requires the routing of the story's first task, as Flex answers it.
func requireRouting(t *testing.T, routing any, a *api) {
	t.Helper()
	properties := routing.(map[string]any)["properties"].(map[string]any)
	require.Equal(t, []string{
		"account_sid", "addons", "age", "age_in_queue", "assignmentCounter", "assignment_status", "attributes", "date_created", "date_updated",
		"ignore_capacity", "priority", "queue_name", "queue_sid", "reason", "routing_target", "sid", "task_channel_sid", "task_channel_unique_name",
		"task_queue_entered_date", "timeout", "virtual_start_time", "workflow_name", "workflow_sid", "workspace_sid",
	}, slices.Sorted(maps.Keys(properties)))
	for name, wanted := range map[string]any{
		"workspace_sid": a.workspace, "queue_sid": conversation.QueueSID("support"), "queue_name": "support", "workflow_sid": desk.DefaultWorkflow(),
		"task_channel_unique_name": "web", "priority": 5.0, "timeout": 86400.0, "addons": "{}", "routing_target": nil, "reason": nil,
	} {
		require.Equal(t, wanted, properties[name], name)
	}
	require.Contains(t, []any{"pending", "reserved"}, properties["assignment_status"])
	require.InDelta(t, time.Now().Unix(), properties["date_created"], testenv.Patience.Seconds(), "dates are epoch seconds")
	var attributes map[string]any
	require.NoError(t, json.Unmarshal([]byte(properties["attributes"].(string)), &attributes), "attributes are JSON in a string")
	require.Equal(t, "Crystal Minh", attributes["customerName"])
}

// requireSystemAttributes requires the attributes that the system writes into every task.
func requireSystemAttributes(t *testing.T, attributes map[string]any, i interaction) {
	t.Helper()
	for name, wanted := range map[string]any{
		"customerName": "Crystal Minh", "customerAddress": "+15558675310", "channelType": "web", "direction": "inbound", "initiatedBy": "customer",
		"customers":          map[string]any{"name": "Crystal Minh", "address": "+15558675310"},
		"flexInteractionSid": i.sid, "flexInteractionChannelSid": i.channel, "flexChannelInviteSid": conversation.SameSID("KG", i.sid),
		"conversationSid": i.conversation,
		"conversations": map[string]any{
			"initiated_by": "customer", "conversation_id": i.conversation, "communication_channel": "web",
			"media": []any{map[string]any{"type": "ChatTranscript", "sid": i.conversation}},
		},
	} {
		require.Equal(t, wanted, attributes[name], name)
	}
}

// requireLineage requires every attribute of the first task on a later one, and exactly these additional ones.
func requireLineage(t *testing.T, first, later, more map[string]any) {
	t.Helper()
	wanted := maps.Clone(first)
	maps.Copy(wanted, more)
	require.Equal(t, wanted, later)
}

// transferOf is the required result of a transfer.
type transferOf struct {
	of                     interaction
	from, to, status, note string
}

func requireTransfer(t *testing.T, x *flexapi.FlexV1InteractionTransfer, wanted transferOf) {
	t.Helper()
	require.Equal(t, wanted, transferOf{
		interaction{its(x.InteractionSid), its(x.ChannelSid), wanted.of.conversation, wanted.of.task}, its(x.From), its(x.To), its(x.Status), its(x.NoteSid),
	})
	require.Equal(t, "cold", its(x.Type))
	require.Regexp(t, `^UX[0-9a-f]{32}$`, its(x.Sid))
	require.Equal(t, flexHost+"/v1/Interactions/"+wanted.of.sid+"/Channels/"+wanted.of.channel+"/Transfers/"+its(x.Sid), its(x.Url))
}

// nextTask returns the task with which the interaction waits for an agent. An agent's key can read it as soon as it
// is offered to them.
func nextTask(t *testing.T, a *api, i interaction) string {
	t.Helper()
	var next string
	waitFor(t, testenv.Patience, "a task that waits", func() bool {
		offers, err := a.TaskrouterV1.ListTask(a.workspace, (&taskapi.ListTaskParams{}).SetAssignmentStatus([]string{"reserved"}))
		require.NoError(t, err)
		for _, task := range offers {
			var attributes struct {
				Interaction string `json:"flexInteractionSid"`
			}
			require.NoError(t, json.Unmarshal([]byte(its(task.Attributes)), &attributes))
			if attributes.Interaction == i.sid {
				next = its(task.Sid)
			}
		}
		return next != ""
	})
	return next
}

// bodies returns the texts of the conversation's messages.
func bodies(t *testing.T, a *api, sid string) (texts []string) {
	t.Helper()
	messages, err := a.ConversationsV1.ListConversationMessage(sid, nil)
	require.NoError(t, err)
	for _, message := range messages {
		texts = append(texts, its(message.Body))
	}
	return texts
}

// requireOver requires that every resource shows the interaction as over.
func requireOver(t *testing.T, a *api, i interaction) {
	t.Helper()
	channel, err := a.FlexV1.FetchInteractionChannel(i.sid, i.channel)
	require.NoError(t, err)
	require.Equal(t, "closed", its(channel.Status))
	shown, err := a.ConversationsV1.FetchConversation(i.conversation)
	require.NoError(t, err)
	require.Equal(t, "closed", its(shown.State))
}

// requireEventsOfTheStory requires the events of the story's three tasks, in order, from the event log.
func requireEventsOfTheStory(t *testing.T, a *api, i interaction, second, third string) {
	t.Helper()
	names := map[string]string{i.task: "1", second: "2", third: "3"}
	var told []string
	events, err := a.TaskrouterV1.ListEvent(a.workspace, (&taskapi.ListEventParams{}).SetPageSize(7))
	require.NoError(t, err)
	for _, event := range slices.Backward(events) { // the newest comes first
		data, _ := its(event.EventData).(map[string]any)
		task, _ := data["task_sid"].(string)
		if names[task] != "" {
			told = append(told, names[task]+" "+its(event.EventType))
		}
	}
	require.Equal(t, []string{
		"1 task.created", "1 task-queue.entered", "1 reservation.created", "1 reservation.accepted",
		"1 reservation.wrapup", "1 task.wrapup", "2 task.created", "2 task.transfer-initiated", "2 task-queue.entered",
		"2 reservation.created", "2 reservation.accepted", "2 task.transfer-completed",
		"2 reservation.wrapup", "2 task.wrapup", "3 task.created", "3 task.transfer-initiated", "3 reservation.created",
		"1 reservation.completed", "1 task.completed", "3 reservation.accepted", "3 task.transfer-completed",
		"3 reservation.wrapup", "3 task.wrapup", "3 reservation.completed", "3 task.completed",
		"2 reservation.completed", "2 task.completed",
	}, told)
	newest, err := a.TaskrouterV1.FetchEvent(a.workspace, its(events[0].Sid))
	require.NoError(t, err)
	require.Equal(t, events[0], *newest)
	of, err := a.TaskrouterV1.ListEvent(a.workspace, (&taskapi.ListEventParams{}).SetTaskSid(third).SetEventType("reservation.accepted"))
	require.NoError(t, err)
	require.Len(t, of, 1)
	require.Equal(t, "reservation", its(of[0].ResourceType))
}
