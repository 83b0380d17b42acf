package e2e

import (
	"context"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// Signals and updates arrive without a pause while a conversation continues as a new run, again and again: 240
// commands have exactly 240 effects. Meanwhile, other callers repeat commands that were carried out before, also
// while a run ends.
func TestCommandsCrossFromRunToRun(t *testing.T) {
	t.Parallel()
	const commands, stretch, leastRuns = 240, 20, 10
	random := moments(t)
	c := openEnvironment(t, map[string]any{"limit.historyCount.suggestContinueAsNew": 60})
	c.startWorker(t)
	sid := c.beginWithAlice(t)

	ctx, stop := context.WithCancel(in(t, 4*testenv.Patience))
	defer stop()
	latest := &recent{}
	var repeating sync.WaitGroup
	repeated := make([]error, 2)
	for i := range repeated {
		repeating.Go(func() { repeated[i] = c.repeatLatest(ctx, sid, latest) })
	}
	run := c.currentRun(t, sid)
	for i, command := range toAndFro(commands) {
		command = identified(command, uuid.NewString())
		if random.IntN(2) == 0 {
			c.signal(t, sid, command)
		} else {
			c.do(t, sid, command)
		}
		latest.set(command)
		if i%stretch == stretch-1 {
			before := run
			waitFor(t, testenv.Patience, "the next run, with commands coming all the time", func() bool {
				run = c.currentRun(t, sid)
				return run != before
			})
		}
	}
	stop()
	repeating.Wait()
	for _, err := range repeated {
		require.NoError(t, err, "a command sent again")
	}

	c.await(t, sid, "all commands were carried out", func(r conversation.Record) bool { return r.Revision >= commandsToBegin+commands })
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+commands, record.Revision)
	require.Len(t, record.Transfers, commands/3)
	require.Empty(t, record.Refusals)
	c.finish(t, sid)
	requireAgreement(t, c, sid)
	runs := c.runs(t, sid)
	t.Logf("%d commands in %d runs", commands, runs)
	require.GreaterOrEqual(t, runs, leastRuns)
}

// A caller sends commands without a pause, and each changes the conversation: the conversation still continues as
// new runs, although the desk is never fully synced.
func TestACallerWithoutAPauseCrossesFromRunToRun(t *testing.T) {
	t.Parallel()
	const commands, leastRuns = 600, 4
	c := openEnvironment(t, map[string]any{"limit.historyCount.suggestContinueAsNew": 60})
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	for _, command := range toAndFro(commands) {
		c.do(t, sid, command)
	}
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+commands, record.Revision)
	require.Len(t, record.Transfers, commands/3)
	c.finish(t, sid)
	runs := c.runs(t, sid)
	t.Logf("%d commands in %d runs", commands, runs)
	require.GreaterOrEqual(t, runs, leastRuns)
}

// toAndFro returns commands that transfer a conversation from alice to bob and back. Each is valid after the
// previous one.
func toAndFro(count int) []conversation.Command {
	var commands []conversation.Command
	from, receiver := "alice", "bob"
	for len(commands) < count {
		commands = append(commands, conversation.TransferCommand{From: from, To: to(receiver)},
			conversation.AcceptCommand{Agent: receiver}, conversation.WrapupCommand{Agent: from})
		from, receiver = receiver, from
	}
	return commands[:count]
}

// recent is the last command that was sent.
type recent struct {
	mu      sync.Mutex
	command conversation.Command
}

func (r *recent) set(command conversation.Command) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command = command
}

func (r *recent) get() conversation.Command {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.command
}

// repeatLatest repeats the last command without a pause, until ctx ends.
func (c *environment) repeatLatest(ctx context.Context, sid string, latest *recent) error {
	for ctx.Err() == nil {
		if command := latest.get(); command != nil {
			if _, err := c.Baton.Send(ctx, sid, command); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}

// currentRun returns the ID of the conversation's latest run.
func (c *environment) currentRun(t *testing.T, sid string) string {
	t.Helper()
	described, err := c.Temporal.DescribeWorkflowExecution(in(t, testenv.Patience), workflows.ID(sid), "")
	require.NoError(t, err)
	return described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// runs counts the runs of a closed conversation.
func (c *environment) runs(t *testing.T, sid string) int {
	t.Helper()
	count := 0
	waitFor(t, testenv.Patience, "all runs are listed", func() bool {
		listed, err := c.Temporal.ListWorkflow(in(t, testenv.Patience),
			&workflowservice.ListWorkflowExecutionsRequest{Query: `WorkflowId = "` + workflows.ID(sid) + `"`})
		require.NoError(t, err)
		count = len(listed.GetExecutions())
		completed := false
		for _, execution := range listed.GetExecutions() {
			completed = completed || execution.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED
		}
		return completed
	})
	return count
}
