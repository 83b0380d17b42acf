package workflows

import (
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/baton-transfers/baton/conversation"
)

// The names that services use. They are documented in docs/messages.md.
const (
	// Type is the workflow type.
	Type = "Conversation"
	// TaskQueue is the task queue that Baton's workers poll.
	TaskQueue = "baton"
	// Query is the query that returns the whole state, a [conversation.Record].
	Query = "conversation"
	// QueryHistoryLength returns how many events of the history the answering worker has processed, a number. A worker
	// that has a conversation in memory answers queries from there, also after an older copy of Temporal's database was
	// restored.
	QueryHistoryLength = "history_length"
	// Resync is a signal without a payload that makes the workflow send its whole state to the desk. It is sent
	// when the desk and the workflow disagree.
	Resync = "resync"

	idPrefix = "conversation/"
)

// ID returns the workflow ID of the conversation with that SID.
func ID(sid string) string { return idPrefix + sid }

// SID returns the SID of the conversation with that workflow ID.
func SID(workflowID string) string { return strings.TrimPrefix(workflowID, idPrefix) }

// The search attributes. They contain names of agents and queues, but no data of the customer.
var (
	SearchStatus    = temporal.NewSearchAttributeKeyKeyword("ConversationStatus")
	SearchChannel   = temporal.NewSearchAttributeKeyKeyword("ConversationChannel")
	SearchQueue     = temporal.NewSearchAttributeKeyKeyword("ConversationQueue")
	SearchAgents    = temporal.NewSearchAttributeKeyKeywordList("ConversationAgents")
	SearchWrapping  = temporal.NewSearchAttributeKeyKeywordList("ConversationWrapping")
	SearchTransfers = temporal.NewSearchAttributeKeyInt64("ConversationTransfers")
)

// SearchAttributes returns the search attributes that a namespace must have, with their types.
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

func summaryOf(record *conversation.Record) *Summary {
	return &Summary{
		Conversation: record.Conversation, Status: record.Status, Tasks: record.HadTasks(),
		Transfers: record.HadTransfers(), CreatedAt: record.CreatedAt, ClosedAt: record.ClosedAt,
	}
}
