package workflows

import (
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
)

// The names services use; docs/messages.md is their documentation.
const (
	// Type is the workflow's type.
	Type = "Conversation"
	// TaskQueue is the task queue Baton's workers poll.
	TaskQueue = "baton"
	// Query returns the whole state, a [conversation.Record].
	Query = "conversation"
	// QueryHistoryLength returns how many events of the history the answering worker has processed, a number. A worker that
	// has a conversation in memory answers queries from there, also after an older copy of Temporal's database was restored.
	QueryHistoryLength = "history_length"
	// Resync is a signal without a payload, after which the workflow shows the desk all there is. Whoever finds that the two
	// disagree sends it.
	Resync = "resync"

	idPrefix = "conversation/"
)

// ID returns the workflow ID of a conversation, by its SID.
func ID(sid string) string { return idPrefix + sid }

// SID returns the conversation's SID from its workflow ID.
func SID(workflowID string) string { return strings.TrimPrefix(workflowID, idPrefix) }

// The search attributes: names of agents and queues, nothing of the customer.
var (
	SearchStatus    = temporal.NewSearchAttributeKeyKeyword("ConversationStatus")
	SearchChannel   = temporal.NewSearchAttributeKeyKeyword("ConversationChannel")
	SearchQueue     = temporal.NewSearchAttributeKeyKeyword("ConversationQueue")
	SearchAgents    = temporal.NewSearchAttributeKeyKeywordList("ConversationAgents")
	SearchWrapping  = temporal.NewSearchAttributeKeyKeywordList("ConversationWrapping")
	SearchTransfers = temporal.NewSearchAttributeKeyInt64("ConversationTransfers")
)

// SearchAttributes returns the search attributes a namespace must know, with their types.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	types := map[string]enumspb.IndexedValueType{}
	for _, key := range []temporal.SearchAttributeKey{SearchStatus, SearchChannel, SearchQueue, SearchAgents, SearchWrapping, SearchTransfers} {
		types[key.GetName()] = key.GetValueType()
	}
	return types
}

// Summary is the result of a closed conversation's workflow.
type Summary struct {
	Conversation string                          `json:"conversation"`
	Status       conversation.ConversationStatus `json:"status"`
	Tasks        int                             `json:"tasks"`
	Transfers    int                             `json:"transfers"`
	CreatedAt    time.Time                       `json:"created_at"`
	ClosedAt     time.Time                       `json:"closed_at"`
}
