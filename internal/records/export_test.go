package records

import (
	"context"

	"github.com/baton-transfers/baton/internal/desk"
)

// This file gives the tests of this package what it does not export.

const (
	AcceptedShown = acceptedShown
	FailedShown   = failedShown
)

// ConversationPageWithin reads at most so many conversations, and messages of them.
func ConversationPageWithin(ctx context.Context, d *desk.Desk, f Filter, search string, p desk.Page, most [2]int) (Matches, error) {
	return conversationPage(ctx, d, f, search, p, searchBounds{most[0], most[1]})
}
