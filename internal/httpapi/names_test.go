package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestNamesInEveryScript adds agents and queues with names in many scripts, and reads the names in every place that
// shows them.
func TestNamesInEveryScript(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	workspace := "/v1/Workspaces/" + h.workspace()
	var made struct {
		SID          string `json:"sid"`
		FriendlyName string `json:"friendly_name"`
	}
	for friendly, name := range map[string]string{"Иван Петров": "ivan-petrov", "張偉": "zhang-wei", "Çiğdem": "cigdem", "José": "jose", "経理": "jing-li"} {
		h.ask(h.service, http.MethodPost, workspace+"/Workers", url.Values{"FriendlyName": {friendly}}).is(http.StatusCreated).read(&made)
		require.Equal(t, friendly, made.FriendlyName)
		require.Equal(t, conversation.AgentSID(name), made.SID, friendly)
		h.ask(h.service, http.MethodPost, workspace+"/Workers", url.Values{"FriendlyName": {friendly}}).isError(http.StatusConflict, 20409)
		h.ask(h.service, http.MethodPost, workspace+"/TaskQueues", url.Values{"FriendlyName": {friendly}}).is(http.StatusCreated).read(&made)
		require.Equal(t, conversation.QueueSID(name), made.SID, friendly)
	}
	h.ask(h.service, http.MethodPost, workspace+"/Workers", url.Values{"FriendlyName": {"Jose"}}).is(http.StatusCreated).read(&made)
	require.Equal(t, conversation.AgentSID("jose-2"), made.SID)
	worker := workspace + "/Workers/" + made.SID
	h.ask(h.service, http.MethodPost, worker, url.Values{"FriendlyName": {"Pepe\u202e"}}).is(http.StatusOK).read(&made)
	require.Equal(t, "Pepe", made.FriendlyName)
	require.Equal(t, conversation.AgentSID("jose-2"), made.SID, "the identity stays")
	h.ask(h.service, http.MethodPost, workspace+"/Workers", url.Values{"FriendlyName": {"..."}}).is(http.StatusBadRequest)

	h.ask(h.service, http.MethodPost, workspace+"/Workers/"+conversation.AgentSID("alice"), url.Values{"FriendlyName": {"Алиса"}}).is(http.StatusOK)
	sid := h.offer("alice")
	var reservation struct {
		WorkerName string `json:"worker_name"`
	}
	h.ask(h.service, http.MethodGet, h.reservationPath(sid, 0), nil).is(http.StatusOK).read(&reservation)
	require.Equal(t, "Алиса", reservation.WorkerName)
	var list struct {
		Reservations []struct {
			WorkerName string `json:"worker_name"`
		} `json:"reservations"`
	}
	h.ask(h.service, http.MethodGet, h.taskPath(sid, 0)+"/Reservations", nil).is(http.StatusOK).read(&list)
	require.Len(t, list.Reservations, 1)
	require.Equal(t, "Алиса", list.Reservations[0].WorkerName)

	var interaction struct {
		Routing struct {
			Reservation struct {
				WorkerName string `json:"worker_name"`
			} `json:"reservation"`
		} `json:"routing"`
	}
	h.ask(h.service, http.MethodGet, "/v1/Interactions/KD"+sid[2:], nil).is(http.StatusOK).read(&interaction)
	require.Equal(t, "Алиса", interaction.Routing.Reservation.WorkerName)
}

// TestARepeatedWorkerIsTheSame repeats a request whose first answer was lost: it gets the agent that it added.
func TestARepeatedWorkerIsTheSame(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	for _, path := range []string{"/Workers", "/TaskQueues"} {
		path = "/v1/Workspaces/" + h.workspace() + path
		h.ask(h.service, http.MethodPost, path, url.Values{"FriendlyName": {"Jose"}}).is(http.StatusCreated)
		form := url.Values{"FriendlyName": {"José"}}
		first := h.with(h.service, http.MethodPost, path, form, "Idempotency-Key", path).is(http.StatusCreated)
		h.forgetAnswers()
		again := h.with(h.service, http.MethodPost, path, form, "Idempotency-Key", path).is(http.StatusCreated)
		require.Equal(t, first.body, again.body)
	}
}
