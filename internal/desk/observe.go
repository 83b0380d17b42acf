package desk

import (
	"context"
	"errors"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/sqldb"
)

// Transaction is a transaction of the desk that has ended.
type Transaction struct {
	Write bool
	// Took is its duration with all retries, and Retries how often it was tried again.
	Took    time.Duration
	Retries int
	Outcome TransactionOutcome
}

// TransactionOutcome is how a transaction ended.
type TransactionOutcome string

// How transactions end. An undone transaction was rolled back as intended: its change was refused, or its caller
// stopped waiting.
const (
	TransactionCommitted TransactionOutcome = "committed"
	TransactionUndone    TransactionOutcome = "undone"
	TransactionFailed    TransactionOutcome = "failed"
	// TransactionRejected means that the database refuses the data, and will refuse them again.
	TransactionRejected TransactionOutcome = "rejected"
)

// Unavailable reports whether a call to a desk failed because its database is not reachable or not writable now.
// The same call may succeed later.
func Unavailable(err error) bool { return sqldb.Unavailable(err) }

// observer returns a function that passes transactions to observe, or nil if that is nil.
func observer(observe func(Transaction)) func(context.Context, sqldb.Transaction, error) {
	if observe == nil {
		return nil
	}
	return func(ctx context.Context, done sqldb.Transaction, err error) {
		_, isTaken := errors.AsType[*TakenError](err)
		outcome := TransactionFailed
		switch {
		case err == nil:
			outcome = TransactionCommitted
		case isTaken || conversation.CodeOf(err) != "" || ctx.Err() != nil:
			outcome = TransactionUndone
		case sqldb.Rejected(err):
			outcome = TransactionRejected
		}
		observe(Transaction{Write: done.Write, Took: done.Took, Retries: done.Retries, Outcome: outcome})
	}
}
