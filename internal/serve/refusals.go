package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/sleep"
)

const (
	// refusalsWaiting is how many refusals can wait while the desk does not answer.
	refusalsWaiting = 1000
	// refusalRetry is the pause between two attempts.
	refusalRetry = 200 * time.Millisecond
	// deskFollowsWithin is how long a conversation may be unknown to the desk: the sync of its start is still on
	// its way.
	deskFollowsWithin = 10 * time.Second
)

// refusals records at the desk the accepts that were refused because of an open wrap-up. The worker decides every
// command, so this counts the refusals of all clients. [desk.Desk.NoteRefused] counts a refusal once, even if the
// API or the pages have recorded it too.
type refusals struct {
	desk  *desk.Desk
	log   *slog.Logger
	queue chan refused
}

type refused struct {
	conversation string
	command      conversation.Command
	refusal      error
}

func newRefusals(d *desk.Desk, log *slog.Logger) *refusals {
	return &refusals{desk: d, log: log, queue: make(chan refused, refusalsWaiting)}
}

// take implements [workflows.Refused]. It never blocks.
func (r *refusals) take(sid string, command conversation.Command, refusal error) {
	if conversation.CodeOf(refusal) != conversation.CodeWrapupPending {
		return
	}
	select {
	case r.queue <- refused{sid, command, refusal}:
	default:
		r.log.Error("refused accept not counted, too many are pending", "conversation", sid)
	}
}

// run records refusals until ctx ends, and then those that are still queued.
func (r *refusals) run(ctx context.Context) {
	for {
		select {
		case one := <-r.queue:
			r.note(ctx, one)
			continue
		case <-ctx.Done():
		}
		break
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), refusalRetry)
	defer cancel()
	for {
		select {
		case one := <-r.queue:
			r.note(ctx, one)
			continue
		default:
		}
		return
	}
}

// note records one refusal, and tries again while the desk does not answer.
func (r *refusals) note(ctx context.Context, one refused) {
	deadline := time.Now().Add(deskFollowsWithin)
	for {
		err := r.desk.NoteRefused(context.WithoutCancel(ctx), one.conversation, one.command, one.refusal)
		if err == nil {
			return
		}
		unknown := errors.Is(err, desk.ErrUnknownConversation) && time.Now().After(deadline)
		if unknown || sleep.For(ctx, refusalRetry) != nil {
			r.log.Error("refused accept not counted", "conversation", one.conversation, "error", err)
			return
		}
	}
}
