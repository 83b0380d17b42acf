package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// A client that has just got a task's SID can claim the task, even while the desk does not show it yet.
func TestATaskIsClaimedBeforeTheDeskShowsIt(t *testing.T) {
	t.Parallel()
	channel := func(sid string) string { return "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:] }
	for name, claim := range map[string]func(h *environment, sid string) answer{
		"reservation": func(h *environment, sid string) answer {
			return h.ask(h.service, http.MethodPost, h.taskPath(sid, 1)+"/Reservations", url.Values{"WorkerSid": {conversation.AgentSID("bob")}}).is(http.StatusCreated)
		},
		"participant": func(h *environment, sid string) answer {
			return h.ask(h.service, http.MethodPost, channel(sid)+"/Participants", url.Values{
				"Type": {"agent"}, "MediaProperties": {"{}"}, "RoutingProperties": {`{"worker_sid":"` + conversation.AgentSID("bob") + `"}`},
			}).is(http.StatusOK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newEnvironment(t)
			require.NoError(t, people.AddMember(t.Context(), h.desk, "quiet", "dave"))
			require.NoError(t, routing.SetPresence(t.Context(), h.desk, "dave", desk.PresenceBreak))
			sid := h.give("alice")
			h.engine.DelaySync(200 * time.Millisecond)
			body := `{"from":"` + conversation.SameSID("UT", h.state(sid).Tasks[0].SID) + `","to":"` + conversation.QueueSID("quiet") + `"}`
			h.send(h.service, http.MethodPost, channel(sid)+"/Transfers", "application/json", body).is(http.StatusCreated)
			claim(h, sid)
			require.Equal(t, "bob", h.holder(sid))
		})
	}
}
