package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// relay transfers a conversation back and forth between alice and bob: transfer, accept, wrapup, repeatedly. Its
// callers repeat unanswered commands with the same IDs, regardless of what is killed meanwhile.
type relay struct {
	environment *environment
	sid         string
	cycles      int
	// byUpdateID repeats updates under one update ID; otherwise commands carry a command_id.
	byUpdateID bool
	// throughQueues sends every other transfer to the other agent's queue, which needs the desk's match.
	throughQueues bool
	// told is called after every command that was answered.
	told func()

	transfers map[string]bool
}

// answerWithin is how long a caller waits for an answer before it repeats the command.
const answerWithin = 3 * time.Second

var queueOf = map[string]string{"alice": "support", "bob": "billing"}

// run transfers the conversation back and forth, starting with alice, who has it.
func (r *relay) run(ctx context.Context) error {
	r.transfers = map[string]bool{}
	from, to := "alice", "bob"
	for cycle := range r.cycles {
		target := conversation.Target{Agent: to}
		if r.toQueue(cycle) {
			target = conversation.Target{Queue: queueOf[to]}
		}
		outcome, err := r.insist(ctx, conversation.TransferCommand{From: from, To: target})
		if err != nil {
			return fmt.Errorf("transfer %d: %w", cycle, err)
		}
		r.transfers[outcome.Transfer.SID] = true
		if _, err := r.insist(ctx, conversation.AcceptCommand{Agent: to}); err != nil {
			return fmt.Errorf("accept of transfer %d: %w", cycle, err)
		}
		if _, err := r.insist(ctx, conversation.WrapupCommand{Agent: from}); err != nil {
			return fmt.Errorf("wrapup after transfer %d: %w", cycle, err)
		}
		from, to = to, from
	}
	return nil
}

func (r *relay) toQueue(cycle int) bool { return r.throughQueues && cycle%2 == 1 }

// insist repeats the command until it is carried out or finally refused.
func (r *relay) insist(ctx context.Context, command conversation.Command) (conversation.Outcome, error) {
	id := uuid.NewString()
	for {
		outcome, err := r.try(ctx, command, id)
		switch code := conversation.CodeOf(err); {
		case err == nil:
			r.told()
			return outcome, nil
		case ctx.Err() != nil:
			return outcome, fmt.Errorf("no answer in the end: %w", err)
		case code == conversation.CodeNoReservation && r.throughQueues: // the desk hasn't found an agent yet
			if r.byUpdateID {
				id = uuid.NewString() // the old ID always gets the refusal
			}
			if _, err := r.environment.Baton.Await(ctx, r.sid, hasOffer); err != nil && ctx.Err() != nil {
				return outcome, fmt.Errorf("no offer in the end: %w", err)
			}
		case code == conversation.CodeDeskUnavailable && r.byUpdateID:
			id = uuid.NewString() // as above
		case code != "" && code != conversation.CodeDeskUnavailable:
			return outcome, err
		}
	}
}

func hasOffer(r conversation.Record) bool {
	for _, task := range r.Tasks {
		if task.Status == conversation.TaskReserved {
			return true
		}
	}
	return false
}

func (r *relay) try(ctx context.Context, command conversation.Command, id string) (outcome conversation.Outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if !r.byUpdateID {
		return r.environment.Baton.Send(ctx, r.sid, identified(command, id))
	}
	handle, err := r.environment.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: id, WorkflowID: workflows.ID(r.sid), UpdateName: string(command.Name()), Args: []any{command},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err != nil {
		return outcome, err
	}
	return outcome, handle.Get(ctx, &outcome)
}

// identified returns the command with that command_id.
func identified(command conversation.Command, id string) conversation.Command {
	switch c := command.(type) {
	case conversation.TransferCommand:
		c.CommandID = id
		return c
	case conversation.AcceptCommand:
		c.CommandID = id
		return c
	case conversation.WrapupCommand:
		c.CommandID = id
		return c
	}
	panic(fmt.Sprintf("a relay has no %T", command))
}

// requireNothingLostOrDoubled requires exactly the effects of the relay's commands, and a desk that agrees.
func (r *relay) requireNothingLostOrDoubled(t *testing.T) {
	t.Helper()
	record := requireAgreement(t, r.environment, r.sid)[r.sid]
	matches := 0
	for cycle := range r.cycles {
		if r.toQueue(cycle) {
			matches++
		}
	}
	require.Len(t, r.transfers, r.cycles, "each transfer is another")
	require.Len(t, record.Transfers, r.cycles, "transfers of %s", r.sid)
	for _, transfer := range record.Transfers {
		require.Equal(t, conversation.TransferCompleted, transfer.Status, "transfer %s", transfer.SID)
		require.True(t, r.transfers[transfer.SID], "transfer %s was answered", transfer.SID)
	}
	require.Len(t, record.Tasks, r.cycles+1, "tasks of %s", r.sid)
	require.Equal(t, commandsToBegin+3*r.cycles+matches, record.Revision, "commands carried out by %s", r.sid)
	require.Empty(t, record.Refusals)
}

// relays are conversations that are transferred concurrently.
type relays struct {
	t    *testing.T
	all  []*relay
	told chan struct{}
	runs sync.WaitGroup
	errs []error
}

// startRelays starts the conversations and transfers them until all cycles are done.
func startRelays(t *testing.T, c *environment, conversations, cycles int) *relays {
	t.Helper()
	rs := &relays{t: t, told: make(chan struct{}, conversations*cycles*3), errs: make([]error, conversations)}
	for i := range conversations {
		rs.all = append(rs.all, &relay{
			environment: c, sid: c.beginWithAlice(t), cycles: cycles, byUpdateID: i%4 == 3, throughQueues: i%2 == 0,
			told: func() { rs.told <- struct{}{} },
		})
	}
	ctx := in(t, 4*time.Minute)
	for i, r := range rs.all {
		rs.runs.Go(func() { rs.errs[i] = r.run(ctx) })
	}
	return rs
}

// after waits until that many more commands were answered. It returns false if the work ends before.
func (rs *relays) after(commands int) bool {
	done := make(chan struct{})
	go func() {
		rs.runs.Wait()
		close(done)
	}()
	for range commands {
		select {
		case <-rs.told:
		case <-done:
			return false
		}
	}
	return true
}

// requireNothingLostOrDoubled waits until all cycles are done and checks them.
func (rs *relays) requireNothingLostOrDoubled() {
	rs.t.Helper()
	rs.runs.Wait()
	for i, err := range rs.errs {
		require.NoError(rs.t, err, "conversation %s", rs.all[i].sid)
	}
	for _, r := range rs.all {
		r.requireNothingLostOrDoubled(rs.t)
	}
}
