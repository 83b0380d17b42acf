package e2e

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"
	flexapi "github.com/twilio/twilio-go/rest/flex/v1"
	taskapi "github.com/twilio/twilio-go/rest/taskrouter/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/testenv"
)

// What agents and services can do with a conversation that the story does not show, in one environment.
func TestHTTPDrivesConversationsTurnByTurn(t *testing.T) {
	t.Parallel()
	f := openHTTP(t)
	for name, turn := range map[string]func(*testing.T, *httpEnvironment){
		"a task is created, rejected, offered again, wrapped up":  taskIsCreatedAndRejected,
		"a waiting task is claimed":                               waitingTaskIsClaimed,
		"a task goes to its routing target":                       taskGoesToItsTarget,
		"a task that waits is canceled":                           waitingTaskIsCanceled,
		"a channel is closed, the agent wraps up":                 channelIsClosed,
		"a channel is closed with its wrapups":                    channelIsClosedWithWrapups,
		"an interaction waits for its invite":                     interactionWaitsForItsInvite,
		"participants wrap up and close":                          participantsWrapUpAndClose,
		"an agent joins as a participant":                         agentJoinsAsParticipant,
		"a transfer is taken back":                                transferIsTakenBack,
		"a conversation is closed as a conversation":              conversationIsClosed,
		"an agent who has written reads what they wrote":          writerReadsWhatTheyWrote,
		"a repeated request has one effect":                       repeatedRequestHasOneEffect,
		"addresses begin with the base that was asked":            addressesBeginWithTheBaseAsked,
		"a second gateway knows what the first received":          secondGatewayKnows,
		"of an acceptance and a rejection at once one counts":     oneOfTwoAnswersCounts,
		"messages and participants are changed and taken away":    messagesAndParticipantsAreChanged,
		"the conversation of a task that was created is reached":  conversationOfATaskIsReached,
		"a transfer may be asked for in camel case":               transferInCamelCase,
		"a transfer to a queue that is declined is offered again": declinedTransferIsOfferedAgain,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			turn(t, f)
		})
	}
}

// creates adds a task and returns it.
func (a *api) creates(params *taskapi.CreateTaskParams) taskapi.TaskrouterV1Task {
	a.t.Helper()
	created, err := a.TaskrouterV1.CreateTask(a.workspace, params)
	require.NoError(a.t, err)
	return *created
}

// requireStatus requires that the task is in the status now.
func (a *api) requireStatus(task, status string) {
	a.t.Helper()
	now, _ := a.now(task)
	require.Equal(a.t, status, its(now.AssignmentStatus), "the status of task %s", task)
}

// reservationsOf returns the reservations of the task, oldest first.
func (a *api) reservationsOf(task string, params *taskapi.ListTaskReservationParams) (statuses []string) {
	a.t.Helper()
	found, err := a.TaskrouterV1.ListTaskReservation(a.workspace, task, params)
	require.NoError(a.t, err)
	for _, reservation := range found {
		require.Equal(a.t, task, its(reservation.TaskSid))
		statuses = append(statuses, its(reservation.ReservationStatus))
	}
	return statuses
}

// interactionOfTask returns the interaction whose first task that is.
func (a *api) interactionOfTask(task string) interaction {
	a.t.Helper()
	_, attributes := a.now(task)
	sid, _ := attributes["conversationSid"].(string)
	require.NotEmpty(a.t, sid)
	return interaction{conversation.SameSID("KD", sid), conversation.SameSID("UO", sid), sid, task}
}

func taskIsCreatedAndRejected(t *testing.T, f *httpEnvironment) {
	service, bob := f.admin(t), f.agent(t, "bob")
	created := service.creates((&taskapi.CreateTaskParams{}).SetAttributes(`{"name":"Crystal Minh","from":"+15558675310","order":7}`).
		SetTaskChannel("sms").SetPriority(7).SetTaskQueueSid(conversation.QueueSID("billing")))
	require.Equal(t, "sms", its(created.TaskChannelUniqueName))
	require.Equal(t, conversation.QueueSID("billing"), its(created.TaskQueueSid))
	require.Equal(t, "billing", its(created.TaskQueueFriendlyName))
	require.Equal(t, 7, created.Priority)
	require.Equal(t, 86_400, created.Timeout)
	require.Contains(t, []string{"pending", "reserved"}, its(created.AssignmentStatus))
	task := its(created.Sid)
	_, attributes := service.now(task)
	require.InDelta(t, 7, attributes["order"], 0)
	require.Equal(t, "Crystal Minh", attributes["customerName"])
	require.Equal(t, "+15558675310", attributes["customerAddress"])

	// Bob declines. He is the only agent there, so it is offered to him again.
	offer := bob.pendingOf("bob", task)
	rejected, err := bob.TaskrouterV1.UpdateTaskReservation(bob.workspace, task, its(offer.Sid), (&taskapi.UpdateTaskReservationParams{}).SetReservationStatus("rejected"))
	require.NoError(t, err)
	require.Equal(t, "rejected", its(rejected.ReservationStatus))
	require.Equal(t, bob.inWorkspace("/Tasks/"+task+"/Reservations/"+its(offer.Sid)), its(rejected.Url), "a reservation asked for under its task")
	second := bob.pendingOf("bob", task)
	require.NotEqual(t, its(offer.Sid), its(second.Sid))
	require.Equal(t, []string{"rejected", "pending"}, service.reservationsOf(task, nil))
	require.Equal(t, []string{"rejected"}, service.reservationsOf(task, (&taskapi.ListTaskReservationParams{}).SetReservationStatus("rejected")))
	require.Len(t, service.reservationsOf(task, (&taskapi.ListTaskReservationParams{}).SetWorkerSid(conversation.AgentSID("bob"))), 2)
	require.Empty(t, service.reservationsOf(task, (&taskapi.ListTaskReservationParams{}).SetWorkerSid(conversation.AgentSID("alice"))))

	// This time he answers by the reservation.
	bob.accepts("bob", task)
	service.requireStatus(task, "assigned")
	for _, status := range []string{"wrapping", "completed"} {
		set, err := bob.sets("bob", its(second.Sid), status)
		require.NoError(t, err)
		require.Equal(t, status, its(set.ReservationStatus))
		service.requireStatus(task, status)
	}
	requireOver(t, service, service.interactionOfTask(task))
}

// nobodys adds a queue without agents, so that its tasks wait. The name is in lower case.
func (f *httpEnvironment) nobodys(t *testing.T, name string) string {
	t.Helper()
	queue, err := f.admin(t).TaskrouterV1.CreateTaskQueue(conversation.SameSID("WS", f.account.SID),
		(&taskapi.CreateTaskQueueParams{}).SetFriendlyName(name).SetTargetWorkers("1==0"))
	require.NoError(t, err)
	require.Equal(t, conversation.QueueSID(name), its(queue.Sid))
	return its(queue.Sid)
}

func waitingTaskIsClaimed(t *testing.T, f *httpEnvironment) {
	service, alice := f.admin(t), f.agent(t, "alice")
	task := its(service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(f.nobodys(t, "to-be-claimed"))).Sid)
	service.requireStatus(task, "pending")
	claim := alice.inWorkspace("/Tasks/" + task + "/Reservations")
	claimed := alice.does(http.StatusCreated, http.MethodPost, claim, form("WorkerSid", conversation.AgentSID("alice")))
	require.Equal(t, "pending", claimed["reservation_status"])
	require.Equal(t, conversation.AgentSID("alice"), claimed["worker_sid"])
	require.Equal(t, []string{"pending"}, alice.reservationsOf(task, nil), "who has claimed finds what they claimed")
	service.requireStatus(task, "reserved")
	again := alice.does(http.StatusCreated, http.MethodPost, claim, form("WorkerSid", conversation.AgentSID("alice")))
	require.Equal(t, claimed["sid"], again["sid"], "an agent who claims again has what they claimed")
	accepted, err := alice.sets("alice", claimed["sid"].(string), "accepted")
	require.NoError(t, err)
	require.Equal(t, "accepted", its(accepted.ReservationStatus))
	service.requireStatus(task, "assigned")
}

func taskGoesToItsTarget(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	toAlice := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(conversation.QueueSID("billing")).SetRoutingTarget(conversation.AgentSID("alice")))
	now, _ := service.now(its(toAlice.Sid))
	require.Equal(t, conversation.AgentSID("alice"), its(now.RoutingTarget))
	require.True(t, its(now.IgnoreCapacity))
	service.accepts("alice", its(toAlice.Sid))
	toBilling := service.creates((&taskapi.CreateTaskParams{}).SetRoutingTarget(conversation.QueueSID("billing")))
	require.Equal(t, conversation.QueueSID("billing"), its(toBilling.TaskQueueSid))
	service.accepts("bob", its(toBilling.Sid))
	direct := service.startsWith(map[string]any{"queue_sid": conversation.QueueSID("support"), "worker_sid": conversation.AgentSID("bob")})
	service.accepts("bob", direct.task)
}

func waitingTaskIsCanceled(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	queue := f.nobodys(t, "to-be-canceled")
	task := its(service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue)).Sid)
	canceled, err := service.TaskrouterV1.UpdateTask(service.workspace, task, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("canceled").SetReason("they hung up"))
	require.NoError(t, err)
	require.Equal(t, "canceled", its(canceled.AssignmentStatus))
	requireOver(t, service, service.interactionOfTask(task))

	deleted := its(service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue)).Sid)
	require.NoError(t, service.TaskrouterV1.DeleteTask(service.workspace, deleted, nil))
	service.requireStatus(deleted, "canceled")
	listed, err := service.TaskrouterV1.ListTask(service.workspace, (&taskapi.ListTaskParams{}).SetTaskQueueSid(queue).SetAssignmentStatus([]string{"canceled"}))
	require.NoError(t, err)
	require.Len(t, listed, 2)
}

func channelIsClosed(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.startsWithAlice()
	channel, err := service.FlexV1.FetchInteractionChannel(i.sid, i.channel)
	require.NoError(t, err)
	require.Equal(t, "active", its(channel.Status))
	require.Equal(t, "web", its(channel.Type))
	channel, err = service.FlexV1.UpdateInteractionChannel(i.sid, i.channel, (&flexapi.UpdateInteractionChannelParams{}).SetStatus("closed"))
	require.NoError(t, err)
	require.Equal(t, "closed", its(channel.Status))
	service.requireStatus(i.task, "wrapping")
	_, err = service.TaskrouterV1.UpdateTask(service.workspace, i.task, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed"))
	require.NoError(t, err)
	service.requireStatus(i.task, "completed")
}

func channelIsClosedWithWrapups(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.startsWithAlice()
	_, err := service.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.AgentSID("bob")})
	require.NoError(t, err)
	second := service.latestTask(i)
	service.accepts("bob", second)
	channel, err := service.FlexV1.UpdateInteractionChannel(i.sid, i.channel,
		(&flexapi.UpdateInteractionChannelParams{}).SetStatus("closed").SetRouting(map[string]any{"status": "closed"}))
	require.NoError(t, err)
	require.Equal(t, "closed", its(channel.Status))
	service.requireStatus(i.task, "completed")
	service.requireStatus(second, "completed")
	f.closed(t, i.conversation)
}

// latestTask returns the interaction's newest task.
func (a *api) latestTask(i interaction) string {
	a.t.Helper()
	shown, err := a.FlexV1.FetchInteraction(i.sid)
	require.NoError(a.t, err)
	return interactionOf(a.t, shown).task
}

func interactionWaitsForItsInvite(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	opened, err := service.FlexV1.CreateInteraction((&flexapi.CreateInteractionParams{}).
		SetChannel(map[string]any{"type": "whatsapp", "initiated_by": "api", "participants": []any{map[string]any{"address": "whatsapp:+15558675310"}}}).
		SetWebhookTtid("FL1").SetInteractionContextSid("HQ" + i32("a")))
	require.NoError(t, err)
	i := interactionOf(t, opened)
	require.Nil(t, its(opened.Routing))
	require.Equal(t, "FL1", its(opened.WebhookTtid))
	require.Equal(t, "HQ"+i32("a"), its(opened.InteractionContextSid))
	channel, err := service.FlexV1.FetchInteractionChannel(i.sid, i.channel)
	require.NoError(t, err)
	require.Equal(t, "setup", its(channel.Status))
	require.Empty(t, service.invitesOf(i))

	invited, err := service.FlexV1.CreateInteractionChannelInvite(i.sid, i.channel,
		(&flexapi.CreateInteractionChannelInviteParams{}).SetRouting(map[string]any{"properties": map[string]any{"queue_sid": conversation.QueueSID("support")}}))
	require.NoError(t, err)
	require.Equal(t, conversation.SameSID("KG", i.sid), its(invited.Sid))
	require.Equal(t, i.sid, its(invited.InteractionSid))
	require.Equal(t, i.channel, its(invited.ChannelSid))
	require.Equal(t, []string{its(invited.Sid)}, service.invitesOf(i))
	channel, err = service.FlexV1.FetchInteractionChannel(i.sid, i.channel)
	require.NoError(t, err)
	require.Equal(t, "active", its(channel.Status))
	task := service.latestTask(i)
	_, attributes := service.now(task)
	require.Equal(t, its(invited.Sid), attributes["flexChannelInviteSid"])
	require.Equal(t, "whatsapp:+15558675310", attributes["customerAddress"])

	// Alice is offered it. Another invite sends it to bob instead.
	offer := service.pendingOf("alice", task)
	_, err = service.FlexV1.CreateInteractionChannelInvite(i.sid, i.channel,
		(&flexapi.CreateInteractionChannelInviteParams{}).SetRouting(map[string]any{"properties": map[string]any{
			"queue_sid": conversation.QueueSID("billing"), "worker_sid": conversation.AgentSID("bob"),
		}}))
	require.NoError(t, err)
	service.accepts("bob", task)
	lost, err := service.TaskrouterV1.FetchWorkerReservation(service.workspace, conversation.AgentSID("alice"), its(offer.Sid))
	require.NoError(t, err)
	require.Equal(t, "rescinded", its(lost.ReservationStatus))
}

// i32 is a digit, 32 times: the rest of a SID.
func i32(digit string) string { return strings.Repeat(digit, 32) }

// invitesOf returns the SIDs of the interaction's invites.
func (a *api) invitesOf(i interaction) (sids []string) {
	a.t.Helper()
	invites, err := a.FlexV1.ListInteractionChannelInvite(i.sid, i.channel, nil)
	require.NoError(a.t, err)
	for _, invite := range invites {
		sids = append(sids, its(invite.Sid))
	}
	return sids
}

// peopleOn returns the types of the participants of the interaction.
func (a *api) peopleOn(i interaction) (types []string) {
	a.t.Helper()
	people, err := a.FlexV1.ListInteractionChannelParticipant(i.sid, i.channel, nil)
	require.NoError(a.t, err)
	for _, p := range people {
		types = append(types, its(p.Type))
	}
	return types
}

func participantsWrapUpAndClose(t *testing.T, f *httpEnvironment) {
	service, alice := f.admin(t), f.agent(t, "alice")
	i := service.startsWithAlice()
	require.Equal(t, []string{"customer", "agent"}, service.peopleOn(i))
	wrapped, err := alice.FlexV1.UpdateInteractionChannelParticipant(i.sid, i.channel, participant(i.task),
		(&flexapi.UpdateInteractionChannelParticipantParams{}).SetStatus("wrapup"))
	require.NoError(t, err)
	require.Equal(t, participant(i.task), its(wrapped.Sid))
	require.Equal(t, "agent", its(wrapped.Type))
	service.requireStatus(i.task, "wrapping")
	require.Equal(t, []string{"wrapping"}, alice.reservationsOf(i.task, nil))
	_, err = alice.FlexV1.UpdateInteractionChannelParticipant(i.sid, i.channel, participant(i.task),
		(&flexapi.UpdateInteractionChannelParticipantParams{}).SetStatus("closed"))
	require.NoError(t, err)
	service.requireStatus(i.task, "completed")
	require.Equal(t, []string{"customer"}, service.peopleOn(i))

	// Closed at once, while the agent has it.
	other := service.startsWithAlice()
	_, err = alice.FlexV1.UpdateInteractionChannelParticipant(other.sid, other.channel, participant(other.task),
		(&flexapi.UpdateInteractionChannelParticipantParams{}).SetStatus("closed"))
	require.NoError(t, err)
	service.requireStatus(other.task, "completed")
}

func agentJoinsAsParticipant(t *testing.T, f *httpEnvironment) {
	service, bob := f.admin(t), f.agent(t, "bob")
	i := service.startsWith(map[string]any{"queue_sid": f.nobodys(t, "to-be-joined")})
	joined, err := bob.FlexV1.CreateInteractionChannelParticipant(i.sid, i.channel, (&flexapi.CreateInteractionChannelParticipantParams{}).
		SetType("agent").SetMediaProperties(map[string]any{"identity": "bob"}).
		SetRoutingProperties(map[string]any{"properties": map[string]any{"worker_sid": conversation.AgentSID("bob")}}))
	require.NoError(t, err)
	require.Equal(t, participant(i.task), its(joined.Sid))
	service.requireStatus(i.task, "assigned")
	_, err = service.FlexV1.CreateInteractionChannelParticipant(i.sid, i.channel, (&flexapi.CreateInteractionChannelParticipantParams{}).
		SetType("supervisor").SetMediaProperties(map[string]any{"identity": "carol"}))
	require.NoError(t, err)
	people := service.peopleOn(i)
	require.Equal(t, []string{"customer", "agent"}, people[:2])
	require.Len(t, people, 3)
}

func transferIsTakenBack(t *testing.T, f *httpEnvironment) {
	service, alice := f.admin(t), f.agent(t, "alice")
	i := service.startsWithAlice()
	passed, err := alice.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.AgentSID("bob"), "type": "cold"})
	require.NoError(t, err)
	service.requireStatus(i.task, "wrapping")
	second := service.latestTask(i)
	service.requireStatus(second, "reserved")
	offer := service.pendingOf("bob", second)
	taken, err := alice.FlexV1.UpdateInteractionTransfer(i.sid, i.channel, its(passed.Sid),
		(&flexapi.UpdateInteractionTransferParams{}).SetBody(map[string]any{"status": "failed"}))
	require.NoError(t, err)
	require.Equal(t, "failed", its(taken.Status))
	require.Equal(t, its(passed.Sid), its(taken.Sid))
	service.requireStatus(i.task, "assigned")
	service.requireStatus(second, "canceled")
	lost, err := service.TaskrouterV1.FetchTaskReservation(service.workspace, second, its(offer.Sid))
	require.NoError(t, err)
	require.Equal(t, "canceled", its(lost.ReservationStatus))
	_, err = alice.ConversationsV1.CreateConversationMessage(i.conversation, (&conversationapi.CreateConversationMessageParams{}).SetBody("Still me."))
	require.NoError(t, err)
	requireAgreement(t, f.environment, i.conversation)
}

func conversationIsClosed(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.startsWithAlice()
	closed, err := service.ConversationsV1.UpdateConversation(i.conversation, (&conversationapi.UpdateConversationParams{}).SetState("closed"))
	require.NoError(t, err)
	require.Equal(t, "closed", its(closed.State))
	service.requireStatus(i.task, "wrapping")
	other := service.startsWithAlice()
	require.NoError(t, service.ConversationsV1.DeleteConversation(other.conversation, nil))
	requireOver(t, service, other)

	// A conversation that was never started has nothing to wrap up.
	draft, err := service.ConversationsV1.CreateConversation(nil)
	require.NoError(t, err)
	require.NoError(t, service.ConversationsV1.DeleteConversation(its(draft.Sid), nil))
	shown, err := service.ConversationsV1.FetchConversation(its(draft.Sid))
	require.NoError(t, err)
	require.Equal(t, "closed", its(shown.State))
}

// Lists are read from the desk, which follows the conversations with a delay of up to a second: a client must not
// notice that after its own change.
func writerReadsWhatTheyWrote(t *testing.T, f *httpEnvironment) {
	const times = 3
	service := f.unlimited(t)
	tasks := func(task string, statuses ...string) []string {
		found, err := service.TaskrouterV1.ListTask(service.workspace, (&taskapi.ListTaskParams{}).SetAssignmentStatus(statuses).SetPageSize(1000))
		require.NoError(t, err)
		var shown []string
		for _, listed := range found {
			if its(listed.Sid) == task {
				shown = append(shown, its(listed.AssignmentStatus))
			}
		}
		return shown
	}
	for range times {
		i := service.starts("support")
		require.Len(t, tasks(i.task, "pending", "reserved"), 1, "the task that was just made")
		offer := service.pendingOf("alice", i.task)
		_, err := service.sets("alice", its(offer.Sid), "accepted")
		require.NoError(t, err)
		require.Equal(t, []string{"assigned"}, tasks(i.task, "assigned"))
		require.Equal(t, []string{"accepted"}, service.reservationsOf(i.task, nil))
		passed, err := service.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.AgentSID("bob")})
		require.NoError(t, err)
		require.Equal(t, []string{"wrapping"}, tasks(i.task, "wrapping"))
		second := service.latestTask(i)
		require.Equal(t, []string{"reserved"}, tasks(second, "reserved"))
		events, err := service.TaskrouterV1.ListEvent(service.workspace,
			(&taskapi.ListEventParams{}).SetTaskSid(second).SetEventType("task.transfer-initiated"))
		require.NoError(t, err)
		require.Len(t, events, 1)
		_, err = service.FlexV1.UpdateInteractionTransfer(i.sid, i.channel, its(passed.Sid),
			(&flexapi.UpdateInteractionTransferParams{}).SetBody(map[string]any{"status": "failed"}))
		require.NoError(t, err)
		require.Equal(t, []string{"canceled"}, tasks(second, "canceled"))
		said, err := service.ConversationsV1.CreateConversationMessage(i.conversation,
			(&conversationapi.CreateConversationMessageParams{}).SetAuthor("alice").SetBody("Here."))
		require.NoError(t, err)
		require.Equal(t, "alice", its(said.Author))
		require.Equal(t, []string{"Here."}, bodies(t, service, i.conversation))
		_, err = service.TaskrouterV1.UpdateTask(service.workspace, i.task, (&taskapi.UpdateTaskParams{}).SetAssignmentStatus("completed"))
		require.NoError(t, err)
		require.Equal(t, []string{"completed"}, tasks(i.task, "completed"))
	}
}

func repeatedRequestHasOneEffect(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	twice := func(status int, method, address string, body func() any) map[string]any {
		token := []string{"I-Twilio-Idempotency-Token", uuid.NewString()}
		first := service.does(status, method, address, body(), token...)
		second := service.does(status, method, address, body(), token...)
		for _, answered := range []map[string]any{first, second} { // which may continue meanwhile
			delete(answered, "routing")
			delete(answered, "age")
		}
		require.Equal(t, first["sid"], second["sid"], "%s %s twice", method, address)
		return second
	}
	opened := twice(http.StatusOK, http.MethodPost, flexHost+"/v1/Interactions", func() any {
		return form("Channel", `{"type":"web"}`, "Routing", `{"properties":{"queue_sid":"`+conversation.QueueSID("support")+`"}}`)
	})
	i := interaction{sid: opened["sid"].(string)}
	i.channel, i.conversation = conversation.SameSID("UO", i.sid), conversation.SameSID("CH", i.sid)
	i.task = service.latestTask(i)
	offer := its(service.pendingOf("alice", i.task).Sid)
	accepted := twice(http.StatusOK, http.MethodPost, service.inWorkspace("/Tasks/"+i.task+"/Reservations/"+offer), func() any { return form("ReservationStatus", "accepted") })
	require.Equal(t, "accepted", accepted["reservation_status"])
	twice(http.StatusCreated, http.MethodPost, conversationsHost+"/v1/Conversations/"+i.conversation+"/Messages", func() any { return form("Author", "alice", "Body", "Once.") })
	require.Equal(t, []string{"Once."}, bodies(t, service, i.conversation))
	twice(http.StatusOK, http.MethodPost, flexHost+"/v1/Instances/"+service.instance+"/Notes", func() any { return form("InteractionSid", i.sid, "Summary", "Once.") })
	twice(http.StatusCreated, http.MethodPost, flexHost+"/v1/Interactions/"+i.sid+"/Channels/"+i.channel+"/Transfers", func() any {
		return testenv.JSON{Value: map[string]any{"from": participant(i.task), "to": conversation.AgentSID("bob")}}
	})
	record := requireAgreement(t, f.environment, i.conversation)[i.conversation]
	require.Len(t, record.Transfers, 1)
	twice(http.StatusCreated, http.MethodPost, service.inWorkspace("/Tasks"), func() any { return form("TaskQueueSid", conversation.QueueSID("billing")) })
	twice(http.StatusCreated, http.MethodPost, service.inWorkspace("/Workers"), func() any { return form("FriendlyName", "Once Only") })
	twice(http.StatusCreated, http.MethodPost, service.inWorkspace("/TaskQueues"), func() any { return form("FriendlyName", "Once Only", "TargetWorkers", "1==0") })
	twice(http.StatusCreated, http.MethodPost, service.inWorkspace("/Activities"), func() any { return form("FriendlyName", "Once Only") })
	twice(http.StatusCreated, http.MethodPost, conversationsHost+"/v1/Conversations", func() any { return form("FriendlyName", "Once Only") })
}

// Every answer in these tests is checked for addresses with the base of the request. This checks what the base is.
func addressesBeginWithTheBaseAsked(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	path, edge := "/v1/Workspaces/"+service.workspace, "https://taskrouter.dublin.ie1.twilio.com" // the form of addresses with edge and region
	asked := func(base string, headers ...string) map[string]any {
		return service.does(http.StatusOK, http.MethodGet, base+path, nil, headers...)
	}
	for base, answered := range map[string]map[string]any{
		taskRouterHost: asked(taskRouterHost),
		f.gateway.URL:  asked(f.gateway.URL),
		edge:           asked(edge),
	} {
		require.Equal(t, base+path, answered["url"])
		require.Equal(t, base+path+"/TaskQueues", answered["links"].(map[string]any)["task_queues"])
	}
	listed := service.does(http.StatusOK, http.MethodGet, f.gateway.URL+path+"/Workers?PageSize=1", nil)
	require.Equal(t, f.gateway.URL+path+"/Workers?Page=0&PageSize=1", listed["meta"].(map[string]any)["first_page_url"])
}

// Any number of gateways may run, and a client's next request may reach any of them.
func secondGatewayKnows(t *testing.T, f *httpEnvironment) {
	const times = 4
	other := f.startGateway(t)
	service, there := f.admin(t), f.at(t, other, f.account.SID, f.account.AuthToken)
	for range times {
		i := service.starts("support")
		shown, err := there.FlexV1.FetchInteraction(i.sid)
		require.NoError(t, err)
		require.Equal(t, i, interactionOf(t, shown))
		there.accepts("alice", i.task)
		there.requireStatus(i.task, "assigned")
		service.requireStatus(i.task, "assigned")
		passed, err := service.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.AgentSID("bob")})
		require.NoError(t, err)
		fetched, err := there.FlexV1.FetchInteractionTransfer(i.sid, i.channel, its(passed.Sid))
		require.NoError(t, err)
		require.Equal(t, "active", its(fetched.Status))
		there.requireStatus(there.latestTask(i), "reserved")
		created := service.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(conversation.QueueSID("support")))
		_, attributes := there.now(its(created.Sid))
		require.NotEmpty(t, attributes["conversationSid"])
	}
}

// oneOfTwoAnswersCounts: two clients answer an offer at once with different answers, and one of them counts.
func oneOfTwoAnswersCounts(t *testing.T, f *httpEnvironment) {
	const times = 20
	one, other := f.unlimited(t), f.unlimited(t)
	queue := f.nobodys(t, "answered-twice")
	answers := func(a *api, task, reservation, status string) testenv.Request {
		return a.request(http.MethodPost, a.inWorkspace("/Tasks/"+task+"/Reservations/"+reservation), form("ReservationStatus", status))
	}
	for range times {
		task := its(one.creates((&taskapi.CreateTaskParams{}).SetTaskQueueSid(queue)).Sid)
		offer := one.does(http.StatusCreated, http.MethodPost, one.inWorkspace("/Tasks/"+task+"/Reservations"), form("WorkerSid", conversation.AgentSID("alice")))
		requests := []testenv.Request{answers(one, task, offer["sid"].(string), "accepted"), answers(other, task, offer["sid"].(string), "rejected")}
		statuses, failed := make([]int, len(requests)), make([]error, len(requests))
		var both sync.WaitGroup
		for i, a := range []*api{one, other} {
			both.Go(func() {
				answer, err := testenv.Call(t.Context(), a.http, requests[i])
				statuses[i], failed[i] = answer.Status, err
			})
		}
		both.Wait()
		require.NoError(t, errors.Join(failed...))
		require.ElementsMatch(t, []int{http.StatusOK, http.StatusBadRequest}, statuses)
		if statuses[0] == http.StatusOK {
			one.requireStatus(task, "assigned")
		} else {
			one.requireStatus(task, "pending")
		}
	}
}

func messagesAndParticipantsAreChanged(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	opened, err := service.ConversationsV1.CreateConversation((&conversationapi.CreateConversationParams{}).SetUniqueName("to be changed"))
	require.NoError(t, err)
	sid := its(opened.Sid)
	changed, err := service.ConversationsV1.UpdateConversation(sid, (&conversationapi.UpdateConversationParams{}).SetFriendlyName("Changed").SetAttributes(`{"a":1}`))
	require.NoError(t, err)
	require.Equal(t, "Changed", its(changed.FriendlyName))
	require.Equal(t, "to be changed", its(changed.UniqueName), "what isn't sent stays")
	require.JSONEq(t, `{"a":1}`, its(changed.Attributes))

	var sids []string
	for _, text := range []string{"one", "two", "three"} {
		said, err := service.ConversationsV1.CreateConversationMessage(sid, (&conversationapi.CreateConversationMessageParams{}).SetBody(text))
		require.NoError(t, err)
		sids = append(sids, its(said.Sid))
	}
	message, err := service.ConversationsV1.UpdateConversationMessage(sid, sids[1], (&conversationapi.UpdateConversationMessageParams{}).SetBody("zwei").SetAttributes(`{"language":"de"}`))
	require.NoError(t, err)
	fetched, err := service.ConversationsV1.FetchConversationMessage(sid, sids[1])
	require.NoError(t, err)
	require.Equal(t, message, fetched)
	require.JSONEq(t, `{"language":"de"}`, its(fetched.Attributes))
	require.NoError(t, service.ConversationsV1.DeleteConversationMessage(sid, sids[0], nil))
	require.Equal(t, []string{"zwei", "three"}, bodies(t, service, sid))
	latest, err := service.ConversationsV1.ListConversationMessage(sid, (&conversationapi.ListConversationMessageParams{}).SetOrder("desc").SetLimit(1))
	require.NoError(t, err)
	require.Equal(t, "three", its(latest[0].Body))
	require.Equal(t, 2, latest[0].Index, "an index stays when a message before is deleted")

	added, err := service.ConversationsV1.CreateConversationParticipant(sid, (&conversationapi.CreateConversationParticipantParams{}).SetIdentity("crystal"))
	require.NoError(t, err)
	require.Equal(t, "crystal", its(added.Identity))
	person, err := service.ConversationsV1.UpdateConversationParticipant(sid, its(added.Sid), (&conversationapi.UpdateConversationParticipantParams{}).SetAttributes(`{"vip":true}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"vip":true}`, its(person.Attributes))
	named, err := service.ConversationsV1.FetchConversationParticipant(sid, "crystal")
	require.NoError(t, err)
	require.Equal(t, person, named)
	require.NoError(t, service.ConversationsV1.DeleteConversationParticipant(sid, its(added.Sid), nil))
	people, err := service.ConversationsV1.ListConversationParticipant(sid, nil)
	require.NoError(t, err)
	require.Empty(t, people)
}

func conversationOfATaskIsReached(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.interactionOfTask(its(service.creates((&taskapi.CreateTaskParams{}).SetAttributes(`{"name":"Crystal Minh"}`).SetTaskQueueSid(conversation.QueueSID("support"))).Sid))
	service.accepts("alice", i.task)
	people, err := service.ConversationsV1.ListConversationParticipant(i.conversation, nil)
	require.NoError(t, err)
	var identities []string
	for _, p := range people {
		identities = append(identities, its(p.Identity))
	}
	require.Equal(t, []string{"Crystal Minh", "alice"}, identities)
	channels, err := service.FlexV1.ListInteractionChannel(i.sid, nil)
	require.NoError(t, err)
	require.Len(t, channels, 1)
	require.Equal(t, i.channel, its(channels[0].Sid))
}

func transferInCamelCase(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.startsWithAlice()
	note := service.does(http.StatusOK, http.MethodPost, flexHost+"/v1/Instances/"+service.instance+"/Notes", form("InteractionSid", i.sid, "Summary", "In short."))
	passed, err := service.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.QueueSID("billing"), "noteSid": note["sid"]})
	require.NoError(t, err)
	require.Equal(t, note["sid"], its(passed.NoteSid))
	require.Equal(t, "cold", its(passed.Type), "transfers are cold where nothing is said")
	fetched := service.does(http.StatusOK, http.MethodGet, flexHost+"/v1/Instances/"+service.instance+"/Notes/"+note["sid"].(string), nil)
	require.Equal(t, note, fetched)
}

func declinedTransferIsOfferedAgain(t *testing.T, f *httpEnvironment) {
	service := f.withKey(t, access.Key{Role: access.KeyService})
	i := service.startsWithAlice()
	passed, err := service.transfers(i, map[string]any{"from": participant(i.task), "to": conversation.QueueSID("billing")})
	require.NoError(t, err)
	second := service.latestTask(i)
	_, err = service.sets("bob", its(service.pendingOf("bob", second).Sid), "rejected")
	require.NoError(t, err)
	service.accepts("bob", second)
	fetched, err := service.FlexV1.FetchInteractionTransfer(i.sid, i.channel, its(passed.Sid))
	require.NoError(t, err)
	require.Equal(t, "completed", its(fetched.Status))
	require.Equal(t, []string{"rejected", "accepted"}, service.reservationsOf(second, nil))
	require.Len(t, slices.Compact(service.invitesOf(i)), 2, "an invite for each task")
}
