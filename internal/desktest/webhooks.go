package desktest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/outbox"
)

// SetCallback sets the workspace's URL, which receives the events from now on, or only the named ones.
func SetCallback(h *Environment, url string, only ...conversation.EventName) {
	h.T.Helper()
	QueueWebhooks(h)
	filter := []string{}
	for _, name := range only {
		filter = append(filter, string(name))
	}
	_, err := access.SetWorkspace(h.T.Context(), h.Desk, func(w *access.Workspace) { w.EventCallbackURL, w.EventsFilter = url, filter })
	require.NoError(h.T, err)
}

// QueueWebhooks makes webhooks of the new events.
func QueueWebhooks(h *Environment) {
	h.T.Helper()
	require.NoError(h.T, outbox.QueueWebhooks(h.T.Context(), h.Desk, func() {}))
}

// TakeWebhooks queues new events and takes the webhooks that are due.
func TakeWebhooks(h *Environment) []outbox.Webhook {
	h.T.Helper()
	QueueWebhooks(h)
	taken, err := outbox.TakeWebhooks(h.T.Context(), h.Desk, 100, WebhookLease)
	require.NoError(h.T, err)
	return taken
}

// ConfirmWebhook records that the webhook was delivered.
func ConfirmWebhook(h *Environment, w outbox.Webhook) {
	h.T.Helper()
	require.NoError(h.T, outbox.WebhookDelivered(h.T.Context(), h.Desk, w.Position))
}

// PendingWebhooks returns the number of webhooks that are not delivered yet.
func PendingWebhooks(h *Environment) int {
	h.T.Helper()
	count, _, err := outbox.PendingWebhooks(h.T.Context(), h.Desk)
	require.NoError(h.T, err)
	return count
}

// WebhookLease is how long [TakeWebhooks] keeps others from taking a webhook.
const WebhookLease = 30 * time.Second
