package commands

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
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

// Refusals records at the desk the accepts that were refused because of an open wrap-up. The worker decides every
// command, so this counts the refusals of all clients. [records.NoteRefused] counts a refusal once, even if a
// [Sender] has recorded it too.
type Refusals struct {
	desk  *desk.Desk
	log   *slog.Logger
	queue chan refused
}

type refused struct {
	conversation string
	command      conversation.Command
	refusal      error
}

// NewRefusals returns the recorder of a worker. It records while [Refusals.Run] runs.
func NewRefusals(d *desk.Desk, log *slog.Logger) *Refusals {
	return &Refusals{desk: d, log: log, queue: make(chan refused, refusalsWaiting)}
}

// Take takes a refused command. Its signature is that of workflows.Refused. It never blocks.
func (r *Refusals) Take(sid string, command conversation.Command, refusal error) {
	if !counted(refusal) {
		return
	}
	select {
	case r.queue <- refused{sid, command, refusal}:
	default:
		r.log.Error("refused accept not counted, too many are pending", "conversation", sid)
	}
}

// Run records refusals until ctx ends, and then those that are still queued.
func (r *Refusals) Run(ctx context.Context) {
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
func (r *Refusals) note(ctx context.Context, one refused) {
	deadline := time.Now().Add(deskFollowsWithin)
	for {
		err := records.NoteRefused(context.WithoutCancel(ctx), r.desk, one.conversation, one.command, one.refusal)
		if err == nil {
			return
		}
		unknown := errors.Is(err, records.ErrUnknownConversation) && time.Now().After(deadline)
		if unknown || sleep.For(ctx, refusalRetry) != nil {
			r.log.Error("refused accept not counted", "conversation", one.conversation, "error", err)
			return
		}
	}
}
