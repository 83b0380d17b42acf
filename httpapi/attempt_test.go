package httpapi_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// TestATransferShowsItsLastAttempt holds that a transfer's answer has the offer that was not accepted, and nothing before.
// Who declined is told by a field: an agent may write what the desk writes.
func TestATransferShowsItsLastAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sid := h.give("alice")
	made := h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	path := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] + "/Transfers/" + made.Transfer.SID
	var shown map[string]any
	h.ask(h.alice, http.MethodGet, path, nil).is(http.StatusOK).read(&shown)
	require.NotContains(t, shown, "attempt")

	offer := h.state(sid).Tasks[1].Reservation.SID
	h.do(sid, conversation.DeclineCommand{Agent: "bob", Reason: "agent_unavailable"})
	h.ask(h.alice, http.MethodGet, path, nil).is(http.StatusOK).read(&shown)
	attempt, _ := shown["attempt"].(map[string]any)
	require.NotEmpty(t, attempt["date_created"])
	delete(attempt, "date_created")
	require.Equal(t, map[string]any{"worker_sid": conversation.AgentSID("bob"), "reason": "declined", "words": "agent_unavailable"}, attempt)

	var events struct {
		Events []struct {
			EventType string `json:"event_type"`
			ActorType string `json:"actor_type"`
		}
	}
	h.ask(h.service, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Events", map[string][]string{"ReservationSid": {offer}, "EventType": {"reservation.rejected"}}).is(http.StatusOK).read(&events)
	require.Len(t, events.Events, 1)
	require.Equal(t, "worker", events.Events[0].ActorType, "the agent declined")

	h.do(sid, conversation.CloseCommand{})
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	var ended map[string]any
	h.ask(h.service, http.MethodGet, path, nil).is(http.StatusOK).read(&ended)
	require.Equal(t, "failed", ended["status"])
	attempt, _ = ended["attempt"].(map[string]any)
	require.Equal(t, "agent_unavailable", attempt["words"], "the closed conversation is the desk's to tell")
}
