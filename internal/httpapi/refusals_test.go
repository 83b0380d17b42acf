package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/insights"
)

// TestRefusedAcceptsAreCounted has alice refused by both ways to accept in the API, and once for another reason.
func TestRefusedAcceptsAreCounted(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	h.do(sid, conversation.MoveCommand{To: conversation.Target{Agent: "alice"}})
	task := h.state(sid).Tasks[1]
	require.True(t, task.OfferedTo("alice"))
	accept := func() answer {
		return h.ask(h.owner(), http.MethodPost, "/v1/Workspaces/"+h.workspace()+"/Tasks/"+task.SID+"/Reservations/"+task.Reservation.SID, url.Values{"ReservationStatus": {"accepted"}})
	}
	join := func() answer {
		return h.ask(h.owner(), http.MethodPost,
			"/v1/Interactions/"+conversation.SameSID("KD", sid)+"/Channels/"+conversation.SameSID("UO", sid)+"/Participants",
			url.Values{"Type": {"agent"}, "MediaProperties": {"{}"}, "RoutingProperties": {`{"worker_sid":"` + conversation.AgentSID("alice") + `"}`}})
	}
	accept().is(http.StatusConflict)
	accept().is(http.StatusConflict)
	join().is(http.StatusConflict)
	h.do(sid, conversation.DeclineCommand{Agent: "alice"})
	accept() // refused, but not because of a wrap-up
	join().is(http.StatusConflict)

	now := time.Now()
	report, err := insights.Read(t.Context(), h.desk, insights.Filter{From: now.Add(-time.Hour), To: now.Add(time.Hour), Agent: "alice"})
	require.NoError(t, err)
	require.Equal(t, 4, report.Total.WrapupRefusals)
	require.Equal(t, 4, report.Queues[0].WrapupRefusals)
	require.Equal(t, "quiet", report.Queues[0].Name)
}
