package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// A conversation that is open still has forgotten its first tasks and transfers: a client finds them all the same.
func TestWhatAConversationHasForgottenIsFoundAtTheDesk(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	sid := h.give("alice")
	h.do(sid, conversation.TransferCommand{From: "alice", To: conversation.Target{Agent: "bob"}})
	early := h.state(sid)
	h.do(sid, conversation.AcceptCommand{Agent: "bob"})
	h.do(sid, conversation.WrapupCommand{Agent: "alice"})
	h.passToAndFro(sid, 1001)
	require.NotNil(t, early.Task(early.Transfers[0].FromTask))
	now := h.state(sid)
	require.Positive(t, now.Forgotten.Transfers)
	require.Nil(t, now.Task(early.Tasks[0].SID))

	var task struct {
		SID              string `json:"sid"`
		AssignmentStatus string `json:"assignment_status"`
	}
	h.ask(h.service, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Tasks/"+early.Tasks[0].SID, nil).is(http.StatusOK).read(&task)
	require.Equal(t, "completed", task.AssignmentStatus)

	channel := "/v1/Interactions/" + conversation.SameSID("KD", sid) + "/Channels/" + conversation.SameSID("UO", sid)
	var transfer struct{ Status string }
	h.ask(h.service, http.MethodGet, channel+"/Transfers/"+early.Transfers[0].SID, nil).is(http.StatusOK).read(&transfer)
	require.Equal(t, "completed", transfer.Status)

	var invites struct{ Invites []struct{ SID string } }
	h.ask(h.service, http.MethodGet, channel+"/Invites", url.Values{"PageSize": {"1"}}).is(http.StatusOK).read(&invites)
	require.Equal(t, conversation.SameSID("KG", sid), invites.Invites[0].SID, "the first one is the conversation's, as the tasks' attributes name it")
}

// passToAndFro has bob and alice pass the conversation that often, and tells the desk once.
func (h *house) passToAndFro(sid string, times int) {
	h.t.Helper()
	c := h.engine.find(sid)
	c.mutex.Lock()
	defer c.mutex.Unlock()
	from, receiver := "bob", "alice"
	for range times {
		transfer := conversation.TransferCommand{From: from, To: conversation.Target{Agent: receiver}}
		question, err := c.record.Ask(transfer, time.Now())
		require.NoError(h.t, err)
		verdict, err := h.desk.Verdict(h.t.Context(), *question)
		require.NoError(h.t, err)
		for _, command := range []conversation.Command{
			transfer, conversation.WrapupCommand{Agent: from}, conversation.AcceptCommand{Agent: receiver},
		} {
			_, err := c.apply(command, &verdict)
			require.NoError(h.t, err)
		}
		from, receiver = receiver, from
	}
	_, err := h.desk.Sync(h.t.Context(), c.record.Picture(c.events, c.notes))
	require.NoError(h.t, err)
	c.events, c.notes = nil, nil
	c.record.Forget(nil)
}
