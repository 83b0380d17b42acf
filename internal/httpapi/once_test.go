package httpapi_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

// with sends a request with headers.
func (h *environment) with(as key, method, path string, form url.Values, headers ...string) answer {
	h.t.Helper()
	return h.sendWith(as, method, path, "application/x-www-form-urlencoded", form.Encode(), headers...)
}

func (h *environment) sendWith(as key, method, path, kind, body string, headers ...string) answer {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, strings.NewReader(body))
	require.NoError(h.t, err)
	request.SetBasicAuth(as.user, as.secret)
	request.Header.Set("Content-Type", kind)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return h.sendRequest(request)
}

// forgetAnswers removes the kept answers and the records of their requests from the desk's file.
func (h *environment) forgetAnswers() { h.inAnswers(`DELETE FROM answers`) }

// loseAnswers removes the kept answers and keeps the records that their requests were begun, as a process does that
// dies before it keeps the answers.
func (h *environment) loseAnswers() {
	h.inAnswers(`UPDATE answers SET status = 0, etag = '', body = ''`)
}

func (h *environment) inAnswers(statement string) {
	h.t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(h.file, "sqlite:"))
	require.NoError(h.t, err)
	defer func() { require.NoError(h.t, db.Close()) }()
	_, err = db.ExecContext(h.t.Context(), `PRAGMA busy_timeout = 10000`)
	require.NoError(h.t, err)
	_, err = db.ExecContext(h.t.Context(), statement)
	require.NoError(h.t, err)
}

func (h *environment) taskPath(sid string, task int) string {
	h.t.Helper()
	return "/v1/Workspaces/" + h.workspace() + "/Tasks/" + h.state(sid).Tasks[task].SID
}

func (h *environment) reservationPath(sid string, task int) string {
	h.t.Helper()
	return h.taskPath(sid, task) + "/Reservations/" + h.state(sid).Tasks[task].Reservation.SID
}

// TestARepeatedRequestIsAnsweredAsTheFirst checks that a repeat gets the first answer, regardless of what has happened
// since, and even if the first answer was lost before it was kept.
func TestARepeatedRequestIsAnsweredAsTheFirst(t *testing.T) { //nolint:tparallel // kept answers are removed in between
	t.Parallel()
	h := newEnvironment(t)
	status := func(status string) url.Values { return url.Values{"AssignmentStatus": {status}} }
	offered, had, wraps, waits := h.offer("alice"), h.give("alice"), h.give("bob"), h.start()
	h.do(wraps, conversation.EndCommand{Agent: "bob"})
	draft := `{"properties":{"queue_sid":"` + conversation.QueueSID("quiet") + `"}}`
	var opened struct{ SID string }
	h.ask(h.service, http.MethodPost, "/v1/Interactions", url.Values{"Channel": {`{"type":"web"}`}}).is(http.StatusOK).read(&opened)

	for name, request := range map[string]struct { //nolint:paralleltest // for the same reason
		path string
		form url.Values
		then func()
	}{
		"an accept, and the agent has ended since": {
			h.reservationPath(offered, 0), url.Values{"ReservationStatus": {"accepted"}}, func() { h.do(offered, conversation.EndCommand{Agent: "alice"}) },
		},
		"the end of a turn": {h.taskPath(had, 0), status("wrapping"), func() { h.do(had, conversation.WrapupCommand{Agent: "alice"}) }},
		"the last wrapup, which has closed the conversation": {h.taskPath(wraps, 0), status("completed"), nil},
		"a task that was canceled":                           {h.taskPath(waits, 0), status("canceled"), nil},
		"an invite, which has started the conversation": {
			"/v1/Interactions/" + opened.SID + "/Channels/UO" + opened.SID[2:] + "/Invites", url.Values{"Routing": {draft}}, nil,
		},
		"a conversation": {"/v1/Conversations", url.Values{"FriendlyName": {"Order 17"}}, nil},
		"a worker":       {"/v1/Workspaces/" + h.workspace() + "/Workers", url.Values{"FriendlyName": {"Erin"}}, nil},
		"an activity":    {"/v1/Workspaces/" + h.workspace() + "/Activities", url.Values{"FriendlyName": {"Lunch"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			first := h.with(h.service, http.MethodPost, request.path, request.form, "Idempotency-Key", name)
			require.Less(t, first.status, 300, "%s", first.body)
			if request.then != nil {
				request.then()
			}
			again := h.with(h.service, http.MethodPost, request.path, request.form, "I-Twilio-Idempotency-Token", name)
			require.Equal(t, first.status, again.status, "%s", again.body)
			require.Equal(t, first.body, again.body)
			other := h.with(h.service, http.MethodPost, request.path, url.Values{"FriendlyName": {"Another"}}, "Idempotency-Key", name)
			require.Equal(t, http.StatusBadRequest, other.status, "the same key for something else: %s", other.body)
			require.Contains(t, other.body, "was used for another request")

			h.loseAnswers()
			unkept := h.with(h.service, http.MethodPost, request.path, request.form, "Idempotency-Key", name)
			require.Equal(t, first.status, unkept.status, "when the first answer was not kept: %s", unkept.body)
			h.forgetAnswers()
			lost := h.with(h.service, http.MethodPost, request.path, request.form, "Idempotency-Key", name)
			require.Equal(t, first.status, lost.status, "when the first answer was lost: %s", lost.body)
		})
	}
	require.Len(t, h.state("CH"+opened.SID[2:]).Tasks, 1)
}

// TestARepeatedRequestHasNoSecondEffect repeats requests after many changes, and after their answers were lost.
func TestARepeatedRequestHasNoSecondEffect(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	worker := "/v1/Workspaces/" + h.workspace() + "/Workers/" + conversation.AgentSID("bob")
	away := url.Values{"ActivitySid": {routing.ActivityOf(desk.PresenceBreak).SID}}
	h.with(h.service, http.MethodPost, worker, away, "Idempotency-Key", "break").is(http.StatusOK)
	require.NoError(t, routing.SetPresence(t.Context(), h.desk, "bob", desk.PresenceAvailable))
	h.loseAnswers()
	h.with(h.service, http.MethodPost, worker, away, "Idempotency-Key", "break").is(http.StatusOK)
	agent, err := people.FindAgent(t.Context(), h.desk, "bob")
	require.NoError(t, err)
	require.Equal(t, desk.PresenceAvailable, agent.Presence, "it was set since by another agent")
	h.with(h.service, http.MethodPost, worker, away, "Idempotency-Key", "another break").is(http.StatusOK)
	require.NoError(t, routing.SetPresence(t.Context(), h.desk, "bob", desk.PresenceAvailable))

	// A transfer is found among the conversation's last hundred commands. It is refused once it may have been
	// forgotten.
	transfers := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] + "/Transfers"
	body := `{"from":"` + conversation.SameSID("UT", h.state(sid).Tasks[0].SID) + `","to":"` + conversation.QueueSID("billing") + `"}`
	passOn := func() answer {
		t.Helper()
		return h.sendWith(h.service, http.MethodPost, transfers, "application/json", body, "Idempotency-Key", "pass on")
	}
	var first, again struct{ Sid string }
	passOn().is(http.StatusCreated).read(&first)
	h.loseAnswers()
	passOn().is(http.StatusCreated).read(&again)
	require.Equal(t, first, again)
	for n := range 55 {
		h.do(sid, conversation.CancelCommand{Agent: "alice", Meta: conversation.Meta{CommandID: "cancel " + strconv.Itoa(n)}})
		h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}, Meta: conversation.Meta{CommandID: "transfer " + strconv.Itoa(n)}})
	}
	h.do(sid, conversation.CancelCommand{Agent: "alice"})
	had := len(h.state(sid).Transfers)
	h.loseAnswers()
	for range 2 {
		require.Contains(t, passOn().isError(http.StatusConflict, 45007).body, "is no longer known")
	}
	require.Len(t, h.state(sid).Transfers, had)
	h.sendWith(h.service, http.MethodPost, transfers, "application/json", body, "Idempotency-Key", "another").is(http.StatusCreated)
}

// TestARepeatedRemovalIsDone checks that a repeated removal is answered as the first one.
func TestARepeatedRemovalIsDone(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	var made struct{ SID string }
	h.ask(h.service, http.MethodPost, workspace+"/Workers", url.Values{"FriendlyName": {"Erin"}}).is(http.StatusCreated).read(&made)
	worker := workspace + "/Workers/" + made.SID
	h.ask(h.service, http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {"Refunds"}}).is(http.StatusCreated).read(&made)
	queue := workspace + "/TaskQueues/" + made.SID
	h.ask(h.service, http.MethodPost, workspace+"/Activities", url.Values{"FriendlyName": {"Lunch"}}).is(http.StatusCreated).read(&made)
	activity := workspace + "/Activities/" + made.SID
	sid := h.start()
	messages := "/v1/Conversations/" + sid + "/Messages"
	h.ask(h.service, http.MethodPost, messages, url.Values{"Body": {"hello"}}).is(http.StatusCreated).read(&made)
	message := messages + "/" + made.SID
	h.ask(h.service, http.MethodPost, "/v1/Conversations/"+sid+"/Participants", url.Values{"Identity": {"crystal"}}).is(http.StatusCreated).read(&made)
	participant := "/v1/Conversations/" + sid + "/Participants/" + made.SID
	for _, path := range []string{worker, queue, activity, message, participant} {
		remove := func() answer { return h.with(h.service, http.MethodDelete, path, nil, "Idempotency-Key", path) }
		remove().is(http.StatusNoContent)
		remove().is(http.StatusNoContent)
		h.loseAnswers()
		remove().is(http.StatusNoContent)
		h.with(h.service, http.MethodDelete, path, nil, "Idempotency-Key", "another of "+path).is(http.StatusNotFound)
	}
}

// TestARefusalIsNotRemembered checks that a refused request may be sent again once it is possible.
func TestARefusalIsNotRemembered(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	h.do(sid, conversation.TransferCommand{From: "bob", To: conversation.Target{Agent: "alice"}})
	accept := func() answer {
		return h.with(h.alice, http.MethodPost, h.reservationPath(sid, 2), url.Values{"ReservationStatus": {"accepted"}}, "Idempotency-Key", "1")
	}
	accept().isError(http.StatusConflict, 20409)
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	accept().is(http.StatusOK)
}

// TestAnotherOfferIsNotMeant checks that a change of alice's first reservation, which she declined, does not accept
// the task's second reservation for her.
func TestAnotherOfferIsNotMeant(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.offer("alice")
	first := h.reservationPath(sid, 0)
	h.do(sid, conversation.DeclineCommand{Agent: "alice"})
	h.do(sid, conversation.MoveCommand{To: conversation.Target{Agent: "alice"}})
	require.NotEqual(t, first, h.reservationPath(sid, 0))
	for _, status := range []string{"accepted", "completed", "wrapping"} {
		h.with(h.service, http.MethodPost, first, url.Values{"ReservationStatus": {status}}, "Idempotency-Key", status).isError(http.StatusBadRequest, 20001)
	}
	require.Equal(t, conversation.TaskReserved, h.state(sid).Tasks[0].Status)
}

// TestAStartForOneAgentIsOfferedToNobodyElse starts a conversation for alice while bob, who works on billing, is
// free.
func TestAStartForOneAgentIsOfferedToNobodyElse(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	given := func(more string) url.Values {
		return url.Values{"Channel": {`{"type":"web"}`}, "Routing": {`{"properties":{"queue_sid":"` + conversation.QueueSID("billing") + `"` + more + `}}`}}
	}
	meant := `,"worker_sid":"WK` + strings.ToUpper(conversation.AgentSID("alice")[2:]) + `"` // in digits of either case
	var made struct{ SID string }
	h.ask(h.service, http.MethodPost, "/v1/Interactions", given(meant)).is(http.StatusOK).read(&made)
	events, err := records.ListEvents(t.Context(), h.desk, "CH"+made.SID[2:])
	require.NoError(t, err)
	for _, e := range events {
		require.Contains(t, []string{"", "alice"}, e.Agent, e.Name)
	}

	require.NoError(t, routing.SetPresence(t.Context(), h.desk, "alice", desk.PresenceBreak))
	before, err := records.ConversationPage(t.Context(), h.desk, records.Filter{}, "", desk.Page{})
	require.NoError(t, err)
	h.ask(h.service, http.MethodPost, "/v1/Interactions", given(meant)).isError(http.StatusConflict, 45313)
	form := given("")
	form.Set("InteractionContextSid", strings.Repeat("x", 300))
	h.ask(h.service, http.MethodPost, "/v1/Interactions", form).isError(http.StatusBadRequest, 45004)
	after, err := records.ConversationPage(t.Context(), h.desk, records.Filter{}, "", desk.Page{})
	require.NoError(t, err)
	require.Len(t, after.Entries, len(before.Entries), "what is refused leaves no conversation behind")
}

// TestTagsNeverComeBack checks that a resource that was changed and changed back has another ETag.
func TestTagsNeverComeBack(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	tag := func(path string) string {
		return h.ask(h.service, http.MethodGet, path, nil).is(http.StatusOK).header.Get("ETag")
	}
	task, worker := h.taskPath(sid, 0), "/v1/Workspaces/"+h.workspace()+"/Workers/"+conversation.AgentSID("alice")
	taskTag, workerTag := tag(task), tag(worker)
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Queue: "billing"}})
	h.do(sid, conversation.CancelCommand{Agent: "alice"})
	require.NoError(t, routing.SetPresence(t.Context(), h.desk, "alice", desk.PresenceBreak))
	require.NoError(t, routing.SetPresence(t.Context(), h.desk, "alice", desk.PresenceAvailable))
	h.with(h.service, http.MethodPost, task, url.Values{"AssignmentStatus": {"wrapping"}}, "If-Match", taskTag).isError(http.StatusPreconditionFailed, 20412)
	h.with(h.service, http.MethodPost, worker, url.Values{"FriendlyName": {"Alice"}}, "If-Match", workerTag).isError(http.StatusPreconditionFailed, 20412)
	h.with(h.service, http.MethodPost, worker, url.Values{"FriendlyName": {"Alice"}}, "If-Match", tag(worker)).is(http.StatusOK)
	h.with(h.service, http.MethodPost, task, url.Values{"AssignmentStatus": {"wrapping"}}, "If-Match", tag(task)).is(http.StatusOK)
}

// TestKeysGoWithTheirAgent checks that a removed agent's key does not work for a new agent with the same name.
func TestKeysGoWithTheirAgent(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	require.NoError(t, people.AddAgent(t.Context(), h.desk, people.NewAgent{Name: "erin"}))
	erin := h.newKey(access.KeyAgent, "erin")
	workers := "/v1/Workspaces/" + h.workspace() + "/Workers"
	h.ask(erin, http.MethodGet, workers, nil).is(http.StatusOK)
	h.ask(h.service, http.MethodDelete, workers+"/"+conversation.AgentSID("erin"), nil).is(http.StatusNoContent)
	h.ask(erin, http.MethodGet, workers, nil).isError(http.StatusUnauthorized, 20003)
	require.NoError(t, people.AddAgent(t.Context(), h.desk, people.NewAgent{Name: "erin"}))
	h.ask(erin, http.MethodGet, workers, nil).isError(http.StatusUnauthorized, 20003)
}

// TestAuthorsAreWhoTheyWere checks that a customer with an agent's name is not that agent, and that authors do not
// change when participants join.
func TestAuthorsAreWhoTheyWere(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.start() // of Crystal Minh
	messages := "/v1/Conversations/" + sid + "/Messages"
	var said struct{ Author, Participant_sid string } //nolint:revive // as Twilio spells it
	h.ask(h.service, http.MethodPost, messages, url.Values{"Body": {"hello"}}).is(http.StatusCreated).read(&said)
	require.Equal(t, "Crystal Minh", said.Author)
	h.ask(h.service, http.MethodPost, "/v1/Conversations/"+sid+"/Participants", url.Values{"Identity": {"bob"}}).is(http.StatusCreated)
	h.ask(h.service, http.MethodPost, messages, url.Values{"Body": {"I am her brother"}, "Author": {"bob"}}).is(http.StatusCreated).read(&said)
	require.Equal(t, "bob", said.Author)

	var list struct {
		Messages []struct{ Author, Participant_sid string } //nolint:revive // as Twilio spells it
	}
	h.ask(h.service, http.MethodGet, messages, nil).is(http.StatusOK).read(&list)
	require.Equal(t, "Crystal Minh", list.Messages[0].Author)
	require.NotEqual(t, list.Messages[0].Participant_sid, list.Messages[1].Participant_sid)
	transcript, err := records.ReadTranscript(t.Context(), h.desk, sid, records.AsSystem())
	require.NoError(t, err)
	require.Equal(t, records.FromCustomer, transcript[1].From, "it isn't the agent bob who says so")
}

// TestADraftKeepsWhatItsInteractionSays opens a draft as a conversation, then as an interaction, then invites an
// agent.
func TestADraftKeepsWhatItsInteractionSays(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	var made struct {
		SID                     string
		Interaction_context_sid string //nolint:revive // as Twilio spells it
		Channel                 struct{ Type conversation.Channel }
	}
	h.ask(h.service, http.MethodPost, "/v1/Conversations", nil).is(http.StatusCreated).read(&made)
	sid := made.SID
	h.ask(h.service, http.MethodPost, "/v1/Interactions", url.Values{
		"Channel":               {`{"type":"sms","properties":{"media_channel_sid":"` + sid + `"},"participants":[{"name":"Crystal Minh","address":"+15551234567"}]}`},
		"InteractionContextSid": {"HQ" + sid[2:]},
	}).is(http.StatusOK).read(&made)
	require.Equal(t, "HQ"+sid[2:], made.Interaction_context_sid)
	h.ask(h.service, http.MethodPost, "/v1/Interactions/KD"+sid[2:]+"/Channels/UO"+sid[2:]+"/Invites",
		url.Values{"Routing": {`{"properties":{"queue_sid":"` + conversation.QueueSID("quiet") + `"}}`}}).is(http.StatusOK)
	record := h.state(sid)
	require.Equal(t, conversation.ChannelSMS, record.Channel)
	require.Equal(t, conversation.Customer{Name: "Crystal Minh", Address: "+15551234567"}, record.Customer)
	h.ask(h.service, http.MethodPost, "/v1/Interactions", url.Values{"Channel": {`{"type":"web","properties":{"media_channel_sid":"` + sid + `"}}`}}).
		isError(http.StatusConflict, 45007)
}

// TestTheCallbackIsAServicesToSee checks who may read the callback's URL, which may contain a secret.
func TestTheCallbackIsAServicesToSee(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	h.ask(h.service, http.MethodPost, workspace, url.Values{"EventCallbackUrl": {"https://user:hidden@example.com/"}}).is(http.StatusOK)
	require.Contains(t, h.ask(h.service, http.MethodGet, workspace, nil).body, "hidden")
	for _, as := range []key{h.supervisor, h.alice} {
		require.NotContains(t, h.ask(as, http.MethodGet, workspace, nil).is(http.StatusOK).body, "hidden")
		require.NotContains(t, h.ask(as, http.MethodGet, "/v1/Workspaces", nil).is(http.StatusOK).body, "hidden")
	}
}
