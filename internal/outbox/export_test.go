package outbox

// This file gives the tests of this package what it does not export.

const (
	FirstWebhookRetry = firstWebhookRetry
	GivenUpAfter      = givenUpAfter
)
