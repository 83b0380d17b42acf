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
func Unavailable(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || postgresUnavailable(err) || sqliteUnavailable(err)
}

// rejected reports whether the database refuses the data themselves.
func rejected(err error) bool { return postgresRejected(err) || sqliteRejected(err) }

// observed passes a transaction that has ended to the observer, if there is one.
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
	case rejected(err):
		done.Outcome = TransactionRejected
	default:
		done.Outcome = TransactionFailed
	}
	s.observe(done)
}
