// Package commands is the way of every door (HTTP API, pages, command line, demo) to the conversations: it sends a
// command, records a refusal at the desk, and waits until the desk shows the effect.
//
// Must not import: the doors, SQL, and Temporal ([Conversations] reaches it).
//
// Where to look:
//   - commands.go: send a command, wait for its effect, claim a waiting task.
//   - refusals.go: what the worker has refused, from any client.
package commands

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
)

// Conversations reaches the conversations. [*baton.Client] implements it.
type Conversations interface {
	Start(ctx context.Context, start conversation.StartCommand) (string, error)
	Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error)
	SendAsync(ctx context.Context, sid string, command conversation.Command) error
	State(ctx context.Context, sid string) (conversation.Record, error)
	Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error)
}

var _ Conversations = (*baton.Client)(nil)

// Record records a refused command, as [records.NoteRefused] does.
type Record func(ctx context.Context, sid string, command conversation.Command, refused error) error

// Sender is the [Conversations] of a door. It records what is refused, so that insights count it.
type Sender struct {
	Conversations

	record Record
	log    *slog.Logger
}

// New returns a sender that records refusals at the desk. A nil log logs nothing.
func New(c Conversations, d *desk.Desk, log *slog.Logger) *Sender {
	return NewRecording(c, func(ctx context.Context, sid string, command conversation.Command, refused error) error {
		return records.NoteRefused(ctx, d, sid, command, refused)
	}, log)
}

// NewRecording is [New] for a door that reaches the desk in a way of its own.
func NewRecording(c Conversations, record Record, log *slog.Logger) *Sender {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Sender{c, record, log}
}

// Send sends a command, waits for its outcome, and records a refusal.
func (s *Sender) Send(ctx context.Context, sid string, command conversation.Command) (conversation.Outcome, error) {
	if err := conversation.Storable(command); err != nil { // before Identified, which encodes it as JSON
		return conversation.Outcome{}, err
	}
	// The worker records the refusal too. With an ID it counts once.
	command, err := conversation.Identified(command, uuid.NewString())
	if err != nil {
		return conversation.Outcome{}, err
	}
	outcome, err := s.Conversations.Send(ctx, sid, command)
	if err != nil {
		s.Refused(ctx, sid, command, err)
	}
	return outcome, err
}

// Refused records a command that was refused before it was sent. An error is logged only: the answer is the refusal
// in any case.
func (s *Sender) Refused(ctx context.Context, sid string, command conversation.Command, refused error) {
	if !counted(refused) {
		return
	}
	if err := s.record(ctx, sid, command, refused); err != nil {
		s.log.ErrorContext(ctx, "refused accept not counted", "conversation", sid, "error", err)
	}
}

// counted reports whether insights count the refusal.
func counted(refused error) bool {
	return conversation.CodeOf(refused) == conversation.CodeWrapupPending
}

// Settle waits until the desk shows the conversation at that revision, but no longer than within. A desk that is late
// is no error: the caller uses what the desk shows.
func Settle(ctx context.Context, d *desk.Desk, sid string, revision int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := routing.AwaitRevision(ctx, d, sid, revision); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Await waits until the conversation is as wanted, and the desk shows it. It returns the conversation.
func Await(ctx context.Context, c Conversations, d *desk.Desk, sid string, wanted func(conversation.Record) bool) (conversation.Record, error) {
	record, err := c.Await(ctx, sid, wanted)
	if err != nil {
		return record, err
	}
	return record, routing.AwaitRevision(ctx, d, sid, record.Revision)
}

// CaughtUp waits until the desk shows the conversation as it is now.
func CaughtUp(ctx context.Context, c Conversations, d *desk.Desk, sid string) error {
	_, err := Await(ctx, c, d, sid, func(conversation.Record) bool { return true })
	return err
}

// Claim claims the task (WT…) or the waiting task of the conversation (CH…) for an agent, see [routing.Claim]. It
// returns the match, and the conversation after it has answered the match: it may have given the task to another
// agent.
func Claim(ctx context.Context, c Conversations, d *desk.Desk, sid, claimed, agent string) (conversation.ReserveCommand, conversation.Record, error) {
	match, err := routing.Claim(ctx, d, claimed, agent)
	if err != nil {
		return match, conversation.Record{}, err
	}
	// A dispatcher delivers the match too, but later and perhaps in another process.
	if err := c.SendAsync(ctx, sid, match); err != nil {
		return match, conversation.Record{}, err
	}
	record, err := c.Await(ctx, sid, func(r conversation.Record) bool {
		task := r.Task(match.Task)
		return task == nil || task.Status != conversation.TaskPending || task.PendingSeq != match.PendingSeq
	})
	return match, record, err
}
