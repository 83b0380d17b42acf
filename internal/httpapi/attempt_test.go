package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestEventsTellWhoDeclined checks that a field identifies who declined, because an agent may write the same text
// as the desk. The answer of a transfer has Twilio's keys only.
func TestEventsTellWhoDeclined(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	made := h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	path := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] + "/Transfers/" + made.Transfer.SID
	offer := h.state(sid).Tasks[1].Reservation.SID
	h.do(sid, conversation.DeclineCommand{Agent: "bob", Reason: "agent_unavailable"})
	var shown map[string]any
	h.ask(h.alice, http.MethodGet, path, nil).is(http.StatusOK).read(&shown)
	require.NotContains(t, shown, "attempt")

	var events struct {
		Events []struct {
			EventType string `json:"event_type"`
			ActorType string `json:"actor_type"`
		}
	}
	h.ask(h.service, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Events", map[string][]string{"ReservationSid": {offer}, "EventType": {"reservation.rejected"}}).is(http.StatusOK).read(&events)
	require.Len(t, events.Events, 1)
	require.Equal(t, "worker", events.Events[0].ActorType, "the agent declined")
}
