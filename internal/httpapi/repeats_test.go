package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestARepeatIsAnsweredWithTheState sends every change of a status twice, by the same caller and by another, in an
// open conversation and in a closed one. The second time is unchanged, or refused with the status that was reached.
func TestARepeatIsAnsweredWithTheState(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	tasks := "/v1/Workspaces/" + h.workspace() + "/Tasks/"
	task := func(sid string) string { return h.state(sid).Tasks[0].SID }
	reservation := func(sid string) string {
		return tasks + task(sid) + "/Reservations/" + h.state(sid).Tasks[0].Reservation.SID
	}
	channel := func(sid string) string { return "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] }
	wraps := func() string {
		sid := h.give("alice")
		h.do(sid, conversation.EndCommand{Agent: "alice"})
		return sid
	}
	status := func(name, value string) url.Values { return url.Values{name: {value}} }

	for _, test := range []struct {
		name    string
		given   func() string
		path    func(sid string) string
		form    url.Values
		second  int
		says    string
		closing bool
	}{
		{"a task to wrapping", func() string { return h.give("alice") }, func(s string) string { return tasks + task(s) }, status("AssignmentStatus", "wrapping"), 400, "it is already wrapping", false},
		{"a task to completed", wraps, func(s string) string { return tasks + task(s) }, status("AssignmentStatus", "completed"), 400, "it is already completed", true},
		{"an assigned task to completed", func() string { return h.give("alice") }, func(s string) string { return tasks + task(s) }, status("AssignmentStatus", "completed"), 400, "it is already completed", true},
		{"a task to canceled", h.start, func(s string) string { return tasks + task(s) }, status("AssignmentStatus", "canceled"), 400, "it is already canceled", true},
		{"a reservation to accepted", func() string { return h.offer("alice") }, reservation, status("ReservationStatus", "accepted"), 400, "accepted", false},
		{"a reservation to rejected", func() string { return h.offer("alice") }, reservation, status("ReservationStatus", "rejected"), 400, "rejected", false},
		{"a reservation to wrapping", func() string { return h.give("alice") }, reservation, status("ReservationStatus", "wrapping"), 400, "wrapping", false},
		{"a reservation to completed", wraps, reservation, status("ReservationStatus", "completed"), 400, "completed", true},
		{"a participant to wrapup", func() string { return h.give("alice") }, func(s string) string {
			return channel(s) + "/Participants/" + conversation.SameSID("UT", task(s))
		}, status("Status", "wrapup"), 200, "", false},
		{"a participant to closed", wraps, func(s string) string {
			return channel(s) + "/Participants/" + conversation.SameSID("UT", task(s))
		}, status("Status", "closed"), 200, "", true},
		{"a channel to closed", h.start, channel, status("Status", "closed"), 200, "", true},
		{"a conversation to closed", h.start, func(s string) string { return "/v1/Conversations/" + s }, status("State", "closed"), 200, "", true},
	} {
		for who, second := range map[string]key{"the same": h.service, "another": h.supervisor} {
			sid := test.given()
			path := test.path(sid)
			h.ask(h.service, http.MethodPost, path, test.form).is(http.StatusOK)
			if test.closing {
				require.Equal(t, conversation.ConversationClosed, h.state(sid).Status, test.name)
			}
			again := h.ask(second, http.MethodPost, path, test.form)
			require.Equal(t, test.second, again.status, "%s by %s: %s", test.name, who, again.body)
			require.Contains(t, again.body, test.says, "%s by %s", test.name, who)
			for _, untrue := range []string{"start a new one", "somebody", "nobody", "faster", "conversation_closed: "} {
				require.NotContains(t, again.body, untrue, "%s by %s", test.name, who)
			}
		}
	}
}

// TestARepeatedTransferSaysThatItWasMade transfers twice to the same target, cancels twice, and transfers after the
// end.
func TestARepeatedTransferSaysThatItWasMade(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	transfers := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] + "/Transfers"
	from := conversation.SameSID("UT", h.state(sid).Tasks[0].SID)
	body := `{"from":"` + from + `","to":"` + conversation.AgentSID("bob") + `"}`
	var made struct {
		Sid string `json:"sid"`
	}
	h.send(h.service, http.MethodPost, transfers, "application/json", body).is(http.StatusCreated).read(&made)
	again := h.send(h.alice, http.MethodPost, transfers, "application/json", body)
	require.Contains(t, again.isError(http.StatusBadRequest, 45007).body, "already, with transfer "+made.Sid+": wait for the answer")

	for range 2 {
		h.send(h.service, http.MethodPost, transfers+"/"+made.Sid, "application/json", `{"status":"failed"}`).is(http.StatusOK)
	}
	h.do(sid, conversation.EndCommand{Agent: "alice"})
	over := h.send(h.service, http.MethodPost, transfers, "application/json", body)
	require.Contains(t, over.isError(http.StatusConflict, 45354).body, "the customer's side of the conversation is over")
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	closed := h.send(h.service, http.MethodPost, transfers, "application/json", body)
	require.NotContains(t, closed.body, "start a new one")
	h.send(h.service, http.MethodPost, transfers+"/"+made.Sid, "application/json", `{"status":"failed"}`).is(http.StatusOK)
}
