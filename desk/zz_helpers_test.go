package desk_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
)

func say(h *desktest.Environment, th *desktest.Conversation, from, text string) desk.Message {
	h.T.Helper()
	said, err := desk.Say(h.T.Context(), h.Desk, desk.NewMessage{Conversation: th.SID, From: from, Text: text})
	require.NoError(h.T, err)
	return said
}

func refusedWith(t *testing.T, code conversation.Code, err error, says string) {
	t.Helper()
	require.Equal(t, code, conversation.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, says)
}

// requireShown requires that the desk shows exactly the conversation's state.
func requireShown(t require.TestingT, h *desktest.Environment, th *desktest.Conversation) {
	c, err := desk.FindConversation(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Equal(t, th.State.Status, c.Status)
	require.Equal(t, th.State.Channel, c.Channel)
	require.Equal(t, th.State.Customer, c.Customer)
	require.Equal(t, th.State.Revision, c.Revision)
	require.Equal(t, th.State.ClosedAt, c.ClosedAt)

	tasks, err := desk.ListTasks(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, tasks, len(th.State.Tasks))
	live := 0
	for i, task := range tasks {
		requireSameJSON(t, th.State.Tasks[i], task.Task)
		if task.Status.Live() {
			requireSameJSON(t, task.Task, c.Live[live])
			live++
		}
	}
	require.Len(t, c.Live, live)

	transfers, err := desk.ListTransfers(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, transfers, len(th.State.Transfers))
	for i, transfer := range transfers {
		requireSameJSON(t, th.State.Transfers[i], transfer.Transfer)
	}

	events, err := desk.ListEvents(h.T.Context(), h.Desk, th.SID)
	require.NoError(t, err)
	require.Len(t, events, th.State.Events)
	for i, e := range events {
		require.Equal(t, i+1, e.Number)
	}
}

func requireSameJSON(t require.TestingT, want, got any) {
	wanted, err := json.Marshal(want)
	require.NoError(t, err)
	gotten, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wanted), string(gotten))
}

// setCallback sets the workspace's URL, which receives the events from now on, or only the named ones.
func setCallback(h *desktest.Environment, url string, only ...conversation.EventName) {
	h.T.Helper()
	queueWebhooks(h)
	filter := []string{}
	for _, name := range only {
		filter = append(filter, string(name))
	}
	_, err := desk.SetWorkspace(h.T.Context(), h.Desk, func(w *desk.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
	require.NoError(h.T, err)
}

func queueWebhooks(h *desktest.Environment) {
	h.T.Helper()
	require.NoError(h.T, desk.QueueWebhooks(h.T.Context(), h.Desk, func() {}))
}

// takeWebhooks queues new events and takes the webhooks that are due.
func takeWebhooks(h *desktest.Environment) []desk.Webhook {
	h.T.Helper()
	queueWebhooks(h)
	taken, err := desk.TakeWebhooks(h.T.Context(), h.Desk, 100, testLease)
	require.NoError(h.T, err)
	return taken
}

func webhookDelivered(h *desktest.Environment, w desk.Webhook) {
	h.T.Helper()
	require.NoError(h.T, desk.WebhookDelivered(h.T.Context(), h.Desk, w.Position))
}

func pendingWebhooks(h *desktest.Environment) int {
	h.T.Helper()
	count, _, err := desk.PendingWebhooks(h.T.Context(), h.Desk)
	require.NoError(h.T, err)
	return count
}

const testLease = 30 * time.Second
