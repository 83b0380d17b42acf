package desk

import "context"

// This file gives the tests of this package what it does not export.

const (
	AcceptedShown = acceptedShown
	FailedShown   = failedShown
)

// ConversationPageWithin reads at most so many conversations, and messages of them.
func ConversationPageWithin(ctx context.Context, d *Desk, f Filter, search string, p Page, most [2]int) (Matches, error) {
	return conversationPage(ctx, d, f, search, p, searchBounds{most[0], most[1]})
}
