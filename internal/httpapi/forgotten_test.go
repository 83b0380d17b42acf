package httpapi_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/routing"
)

// An open conversation drops its first tasks and transfers from its state: clients still find them.
func TestWhatAConversationHasForgottenIsFoundAtTheDesk(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	h.passToAndFro(sid, 2)
	early := h.state(sid)
	second, transfer := early.Tasks[1].SID, early.Transfers[1].SID
	h.passToAndFro(sid, 601)
	now := h.state(sid)
	require.Nil(t, now.Task(second))
	require.Nil(t, now.Transfer(transfer))
	require.NotNil(t, now.Task(early.Tasks[0].SID), "which a command with an ID has touched")

	var task struct {
		SID              string `json:"sid"`
		AssignmentStatus string `json:"assignment_status"`
	}
	h.ask(h.service, http.MethodGet, "/v1/Workspaces/"+h.workspace()+"/Tasks/"+second, nil).is(http.StatusOK).read(&task)
	require.Equal(t, "completed", task.AssignmentStatus)

	channel := "/v1/Interactions/" + conversation.SameSID("KD", sid) + "/Channels/" + conversation.SameSID("UO", sid)
	var passed struct{ Status string }
	h.ask(h.service, http.MethodGet, channel+"/Transfers/"+transfer, nil).is(http.StatusOK).read(&passed)
	require.Equal(t, "completed", passed.Status)

	var list struct{ Invites []struct{ SID string } }
	h.ask(h.service, http.MethodGet, channel+"/Invites", url.Values{"PageSize": {"3"}}).is(http.StatusOK).read(&list)
	for i, wanted := range []string{sid, second, early.Tasks[2].SID} { // the first invite has the conversation's digits
		require.Equal(t, conversation.SameSID("KG", wanted), list.Invites[i].SID)
	}
}

// passToAndFro makes alice and bob transfer the conversation to each other that many times. The first transfer is
// by the agent who has it. The commands have no IDs, and the desk is synced once at the end.
func (h *environment) passToAndFro(sid string, times int) {
	h.t.Helper()
	record := h.state(sid)
	var events []conversation.Event
	var notes []conversation.Note
	from, receiver := "alice", "bob"
	if last := record.Tasks[len(record.Tasks)-1]; last.Agent == receiver {
		from, receiver = receiver, from
	}
	for range times {
		transfer := conversation.TransferCommand{From: from, To: conversation.Target{Agent: receiver}}
		query, err := record.Ask(transfer, time.Now())
		require.NoError(h.t, err)
		facts, err := routing.ReadFacts(h.t.Context(), h.desk, *query)
		require.NoError(h.t, err)
		for _, command := range []conversation.Command{
			transfer, conversation.WrapupCommand{Agent: from}, conversation.AcceptCommand{Agent: receiver},
		} {
			result, err := record.Apply(command, &facts, time.Now())
			require.NoError(h.t, err)
			events, notes = append(events, result.Events...), append(notes, result.Notes...)
		}
		from, receiver = receiver, from
	}
	_, err := routing.Sync(h.t.Context(), h.desk, record.Snapshot(events, notes))
	require.NoError(h.t, err)
	record.Forget(nil)
	require.NoError(h.t, h.engine.Restore(record))
}
