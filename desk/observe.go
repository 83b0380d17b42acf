package desk

import (
	"context"
	"errors"
	"time"

	"github.com/baton-transfers/baton/conversation"
)

// Transaction is a transaction of the desk that has ended.
type Transaction struct {
	Write bool
	// Took is how long it took with its retries; Retries how often it was tried again.
	Took    time.Duration
	Retries int
	Outcome TransactionOutcome
}

// TransactionOutcome is how a transaction ended.
type TransactionOutcome string

// How transactions end. One that is undone was rolled back as it should be: what it was to do is refused, or nobody
// waits for it any more.
const (
	TransactionCommitted TransactionOutcome = "committed"
	TransactionUndone    TransactionOutcome = "undone"
	TransactionFailed    TransactionOutcome = "failed"
)

// observed tells whoever asks of a transaction that has ended.
func (s *store) observed(ctx context.Context, done Transaction, err error) {
	if s.observe == nil {
		return
	}
	_, isTaken := errors.AsType[*TakenError](err)
	switch {
	case err == nil:
		done.Outcome = TransactionCommitted
	case isTaken || conversation.CodeOf(err) != "" || errors.Is(err, ErrCredentials) || ctx.Err() != nil:
		done.Outcome = TransactionUndone
	default:
		done.Outcome = TransactionFailed
	}
	s.observe(done)
}
