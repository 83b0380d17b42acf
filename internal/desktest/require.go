package desktest

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
)

// Say writes a message into the conversation.
func Say(h *Environment, th *Conversation, from, text string) records.Message {
	h.T.Helper()
	said, err := records.Say(h.T.Context(), h.Desk, records.NewMessage{Conversation: th.SID, From: from, Text: text})
	require.NoError(h.T, err)
	return said
}

// RequireRefused requires a refusal with the code whose sentence contains the text.
func RequireRefused(t *testing.T, code conversation.Code, err error, says string) {
	t.Helper()
	require.Equal(t, code, conversation.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, says)
}

// RequireShownWhole requires that the desk shows exactly the conversation's state.
func RequireShownWhole(t require.TestingT, h *Environment, th *Conversation) {
	c, err := records.FindConversation(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, th.State.Status, c.Status)
	require.Equal(t, th.State.Channel, c.Channel)
	require.Equal(t, th.State.Customer, c.Customer)
	require.Equal(t, th.State.Revision, c.Revision)
	require.Equal(t, th.State.ClosedAt, c.ClosedAt)

	tasks, err := records.ListTasks(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, tasks, len(th.State.Tasks))
	live := 0
	for i, task := range tasks {
		RequireSameJSON(t, th.State.Tasks[i], task.Task)
		if task.Status.Live() {
			RequireSameJSON(t, task.Task, c.Live[live])
			live++
		}
	}
	require.Len(t, c.Live, live)

	transfers, err := records.ListTransfers(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, transfers, len(th.State.Transfers))
	for i, transfer := range transfers {
		RequireSameJSON(t, th.State.Transfers[i], transfer.Transfer)
	}

	events, err := records.ListEvents(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, events, th.State.Events)
	for i, e := range events {
		require.Equal(t, i+1, e.Number)
	}
}

// RequireSameJSON requires that both values have the same JSON.
func RequireSameJSON(t require.TestingT, want, got any) {
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	gotten, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wanted), string(gotten))
}
