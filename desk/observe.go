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
	// TransactionRejected is one whose data the database refuses: tried again, it will be refused again.
	TransactionRejected TransactionOutcome = "rejected"
)

// Unavailable tells whether a call to a desk failed because its database is away, or cannot be written to at present: the
// same call may succeed later.
func Unavailable(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || postgresUnavailable(err) || sqliteUnavailable(err)
}

// rejected tells whether the database refuses the data themselves.
func rejected(err error) bool { return postgresRejected(err) || sqliteRejected(err) }

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
	case rejected(err):
		done.Outcome = TransactionRejected
	default:
		done.Outcome = TransactionFailed
	}
	s.observe(done)
}
