package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// object returns the answer's JSON object.
func (a answer) object() (object map[string]any) {
	a.t.Helper()
	a.read(&object)
	return object
}

func bodiesOf(t *testing.T, a answer) (bodies []string) {
	t.Helper()
	messages, _ := a.is(http.StatusOK).object()["messages"].([]any)
	for _, m := range messages {
		bodies = append(bodies, m.(map[string]any)["body"].(string))
	}
	return bodies
}

func TestAFormerAgentReadsTheirTurn(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	messages := "/v1/Conversations/" + sid + "/Messages"
	h.ask(h.service, http.MethodPost, messages, url.Values{"Body": {"to alice"}}).is(http.StatusCreated)
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	later := h.ask(h.service, http.MethodPost, messages, url.Values{"Body": {"only for bob"}}).is(http.StatusCreated).object()["sid"].(string)

	require.Equal(t, []string{"to alice"}, bodiesOf(t, h.ask(h.alice, http.MethodGet, messages, nil)))
	require.Equal(t, []string{"to alice"}, bodiesOf(t, h.ask(h.alice, http.MethodGet, messages, url.Values{"Order": {"desc"}, "PageSize": {"1"}})))
	h.ask(h.alice, http.MethodGet, messages+"/"+later, nil).is(http.StatusNotFound)
	for _, reader := range []key{h.bob, h.supervisor, h.service} {
		require.Len(t, bodiesOf(t, h.ask(reader, http.MethodGet, messages, nil)), 2)
		h.ask(reader, http.MethodGet, messages+"/"+later, nil).is(http.StatusOK)
	}
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	h.ask(h.alice, http.MethodGet, messages, nil).is(http.StatusForbidden)
}

func TestAgentsKeysFindNoTaskThatHasEnded(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	task := h.state(sid).Tasks[0]
	tasks := "/v1/Workspaces/" + h.workspace() + "/Tasks"
	oracle := url.Values{"EvaluateTaskAttributes": {`order == "3348917502"`}}
	require.Len(t, h.ask(h.alice, http.MethodGet, tasks, oracle).sids("tasks"), 1)
	h.do(sid, conversation.EndCommand{Agent: "alice"})
	require.Len(t, h.ask(h.alice, http.MethodGet, tasks, oracle).sids("tasks"), 1, "wrapping")
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	for _, filter := range []url.Values{nil, oracle, {"AssignmentStatus": {"completed"}}, {"AssignmentStatus": {"completed,assigned", "canceled"}}, {"Ordering": {"DateCreated:desc"}}} {
		require.Empty(t, h.ask(h.alice, http.MethodGet, tasks, filter).is(http.StatusOK).sids("tasks"), "%v", filter)
	}
	require.Len(t, h.ask(h.service, http.MethodGet, tasks, url.Values{"AssignmentStatus": {"completed"}}).sids("tasks"), 1)
	h.ask(h.alice, http.MethodGet, tasks+"/"+task.SID, nil).is(http.StatusForbidden)

	// Nor by a request with a token that has not been used before.
	done := url.Values{"AssignmentStatus": {"completed"}}
	require.NotContains(t, h.with(h.bob, http.MethodPost, tasks+"/"+task.SID, done, "Idempotency-Key", "never used").is(http.StatusForbidden).body, "3348917502")
	require.NotContains(t, h.with(h.alice, http.MethodPost, tasks+"/"+task.SID, done, "Idempotency-Key", "never used").body, "3348917502")
}

func TestAuthorsAreToldApart(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	messages := "/v1/Conversations/" + sid + "/Messages"
	participants := "/v1/Conversations/" + sid + "/Participants"
	say := func(author string) answer {
		return h.ask(h.service, http.MethodPost, messages, url.Values{"Author": {author}, "Body": {"hello"}})
	}
	say("alice").is(http.StatusCreated)
	namesake := h.ask(h.service, http.MethodPost, participants, url.Values{"Identity": {"alice"}}).is(http.StatusCreated).object()["sid"].(string)
	require.Contains(t, say("alice").is(http.StatusConflict).body, "participant's SID")
	customers := say(namesake).is(http.StatusCreated)
	require.Equal(t, namesake, customers.object()["participant_sid"])
	agents := say(conversation.SameSID("MB", h.state(sid).Tasks[0].SID)).is(http.StatusCreated)
	require.NotEqual(t, namesake, agents.object()["participant_sid"])
	h.ask(h.service, http.MethodGet, participants+"/alice", nil).is(http.StatusConflict)
	h.ask(h.alice, http.MethodPost, messages, url.Values{"Body": {"from her own key"}}).is(http.StatusCreated)

	// A customer with the name of an agent who is not on the conversation is the customer.
	h.ask(h.service, http.MethodPost, participants, url.Values{"Identity": {"bob"}}).is(http.StatusCreated)
	require.Equal(t, "bob", say("bob").is(http.StatusCreated).object()["author"])
	say("dave").is(http.StatusForbidden)
}

func TestSentencesAboutRepetitionsAreTrue(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	task := h.state(sid).Tasks[0]
	path := "/v1/Workspaces/" + h.workspace() + "/Tasks/" + task.SID
	set := func(status string) answer {
		return h.ask(h.alice, http.MethodPost, path, url.Values{"AssignmentStatus": {status}})
	}
	set("wrapping").is(http.StatusOK)
	require.Contains(t, set("wrapping").isError(http.StatusBadRequest, 20001).body, "it is already wrapping")
	set("completed").is(http.StatusOK)
	for _, again := range []string{"completed", "wrapping"} {
		require.Contains(t, set(again).isError(http.StatusBadRequest, 20001).body, "it is already completed", again)
	}
	reservation := path + "/Reservations/" + task.Reservation.SID
	require.Contains(t, h.ask(h.alice, http.MethodPost, reservation, url.Values{"ReservationStatus": {"completed"}}).
		isError(http.StatusBadRequest, 20001).body, "completed")
	require.Contains(t, h.ask(h.service, http.MethodPost, path, url.Values{"AssignmentStatus": {"canceled"}, "Reason": {"spam"}}).
		isError(http.StatusBadRequest, 20001).body, "it is completed")

	waiting := h.start()
	path = "/v1/Workspaces/" + h.workspace() + "/Tasks/" + h.state(waiting).Tasks[0].SID
	h.ask(h.service, http.MethodPost, path, url.Values{"AssignmentStatus": {"canceled"}, "Reason": {"spam"}}).is(http.StatusOK)
	require.Equal(t, "spam", h.ask(h.service, http.MethodGet, path, nil).is(http.StatusOK).object()["reason"])

	participants := "/v1/Conversations/" + h.start() + "/Participants"
	for address, kind := range map[string]string{"+15551234567": "sms", "whatsapp:+15551234568": "whatsapp", "crystal@example.org": "email"} {
		binding := h.ask(h.service, http.MethodPost, participants, url.Values{"MessagingBinding.Address": {address}}).is(http.StatusCreated).object()["messaging_binding"]
		require.Equal(t, kind, binding.(map[string]any)["type"])
		again := h.ask(h.service, http.MethodPost, participants, url.Values{"MessagingBinding.Address": {address}}).isError(http.StatusConflict, 50433)
		require.NotContains(t, again.body, `"message":"invalid_payload`)
	}
}

// A task's SID can be computed from the conversation's. A claim for another agent, or for none, gets the same
// refusal whether the task exists or not.
func TestAClaimForAnotherAgentTellsNothingOfTheTask(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	existing := h.state(h.give("alice")).Tasks[0].SID
	for _, worker := range []string{conversation.AgentSID("alice"), conversation.AgentSID("carol"), "WK00000000000000000000000000000000", "", "alice"} {
		var refused []string
		for _, task := range []string{existing, "WT00000000000000000000000000000000"} {
			a := h.ask(h.bob, http.MethodPost, "/v1/Workspaces/"+h.workspace()+"/Tasks/"+task+"/Reservations", url.Values{"WorkerSid": {worker}})
			require.NotContains(t, a.body, `"date_created"`)
			refused = append(refused, a.body)
		}
		require.Equal(t, refused[0], refused[1], "WorkerSid %q", worker)
	}
}
