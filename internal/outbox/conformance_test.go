package outbox_test

import (
	"testing"

	"github.com/baton-transfers/baton/internal/desktest"
)

// conformance lists the tests that every database has to pass.
func conformance() []desktest.Test {
	return []desktest.Test{
		{Name: "what changes can be watched", Run: testWatch},
		{Name: "webhooks of a stream are delivered in order", Run: testWebhooksInOrder, Encrypted: true},
		{Name: "a stream whose receiver fails holds up no other", Run: testFailingStream},
		{Name: "a webhook whose sender died is sent by the next", Run: testWebhookLease},
		{Name: "a webhook is sent again less and less often, and given up after a day", Run: testWebhookBackoff},
		{Name: "webhooks that were given up can be delivered again", Run: testRedelivery},
		{Name: "webhooks are only what the filter lets pass", Run: testWebhookFilter, Encrypted: true},
		{Name: "without a callback URL there are no webhooks", Run: testNoCallback},
		{Name: "an idle desk isn't written for its webhooks", Run: testIdleWebhooks},
		{Name: "two senders never take a webhook twice", Run: testTwoSenders},
		{Name: "what waits behind another webhook isn't looked at", Run: testOnlyHeadsAreDue},
	}
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	desktest.OnSQLite(t, conformance())
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	desktest.OnPostgres(t, conformance())
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	desktest.Encrypted(t, conformance())
}
