package e2e

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// environment is a [testenv.Environment] of one test, in a temporary folder, with as many workers as the test starts.
// Transfers and notes are enabled.
type environment struct {
	*testenv.Environment

	workers int
}

// openEnvironment opens an environment: alice works on the queue support, bob on billing, and both have ample capacity.
// The dev server gets the settings.
func openEnvironment(t *testing.T, settings map[string]any) *environment {
	t.Helper()
	return openEnvironmentOn(t, testenv.Options{DynamicConfig: settings})
}

// openEnvironmentOn opens an environment with these options, in a temporary folder.
func openEnvironmentOn(t *testing.T, o testenv.Options) *environment {
	t.Helper()
	var log testenv.Output
	o.Folder, o.ServerLog, o.Progress = t.TempDir(), &log, os.Stderr
	opened, err := testenv.Open(t.Context(), o)
	require.NoError(t, err)
	c := &environment{Environment: opened}
	t.Cleanup(func() {
		c.Server.Kill()
		require.NoError(t, c.Close(context.WithoutCancel(t.Context())))
		if t.Failed() {
			t.Logf("The dev server (process %d) printed:\n%s", c.Server.PID, log.Tail())
		}
	})
	require.NoError(t, testenv.AddQueues(t.Context(), c.Desk, "support", "billing"))
	c.hire(t, "alice", 1000, "support")
	c.hire(t, "bob", 1000, "billing")
	_, err = desk.SetSettings(t.Context(), c.Desk, "test", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(t, err)
	return c
}

// startWorker starts a worker process, with additional environment variables.
func (c *environment) startWorker(t *testing.T, more ...string) *process {
	t.Helper()
	c.workers++
	return c.watch(t, launch(t, fmt.Sprintf("worker %d", c.workers), have(t, workerProgram), c.Variables(more...)))
}

// watch lets the worker report queries that their conversation had overtaken.
func (c *environment) watch(t *testing.T, worker *process) *process {
	worker.allowed = func(line string) bool {
		failed, err := c.FailedQuery(context.WithoutCancel(t.Context()), line)
		if err != nil {
			t.Errorf("find out why a query failed: %v", err)
		}
		return failed
	}
	return worker
}

// hire adds an available agent with that capacity on every channel to these queues.
func (c *environment) hire(t *testing.T, agent string, capacity int, queues ...string) {
	t.Helper()
	require.NoError(t, testenv.AddAgents(t.Context(), c.Desk, testenv.Agent{Name: agent, Capacity: capacity, Queues: queues}))
}

// in bounds a call that must return.
func in(t *testing.T, within time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// begin starts a conversation in the queue.
func (c *environment) begin(t *testing.T, queue string) string {
	t.Helper()
	sid, err := c.Baton.Start(in(t, testenv.Patience), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: queue, Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Attributes: conversation.Attributes{"order": baton.Attribute("3348917502")},
	})
	require.NoError(t, err)
	return sid
}

// commandsToBegin is the revision of a conversation that alice has just accepted: start, reserve, accept.
const commandsToBegin = 3

// beginWithAlice starts a conversation and has alice accept it.
func (c *environment) beginWithAlice(t *testing.T) string {
	t.Helper()
	sid := c.begin(t, "support")
	c.offered(t, sid, "alice")
	c.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	return sid
}

// do sends the command as an update that must succeed.
func (c *environment) do(t *testing.T, sid string, command conversation.Command) conversation.Outcome {
	t.Helper()
	outcome, err := c.Baton.Send(in(t, testenv.Patience), sid, command)
	require.NoError(t, err, "%s of %s", command.Name(), sid)
	return outcome
}

// refused sends the command as an update that must be refused with the code.
func (c *environment) refused(t *testing.T, sid string, command conversation.Command, code conversation.Code) {
	t.Helper()
	_, err := c.Baton.Send(in(t, testenv.Patience), sid, command)
	require.Equal(t, code, conversation.CodeOf(err), "%s of %s: %v", command.Name(), sid, err)
}

// signal sends the command as a signal.
func (c *environment) signal(t *testing.T, sid string, command conversation.Command) {
	t.Helper()
	require.NoError(t, c.Baton.SendAsync(in(t, testenv.Patience), sid, command), "%s of %s", command.Name(), sid)
}

// await waits until the conversation's state meets the condition.
func (c *environment) await(t *testing.T, sid, what string, wanted func(conversation.Record) bool) conversation.Record {
	t.Helper()
	record, err := c.Baton.Await(in(t, testenv.Patience), sid, wanted)
	if err != nil {
		shown, _ := c.Baton.State(in(t, testenv.Patience), sid)
		require.NoError(t, err, "%s; the conversation:\n%s", what, pretty(shown))
	}
	return record
}

// offered waits until the conversation is offered to the agent, and returns the task.
func (c *environment) offered(t *testing.T, sid, agent string) conversation.Task {
	t.Helper()
	var offer conversation.Task
	c.await(t, sid, "an offer to "+agent, func(r conversation.Record) bool {
		for _, task := range r.Tasks {
			if task.OfferedTo(agent) {
				offer = *task
				return true
			}
		}
		return false
	})
	return offer
}

// closed waits until the conversation's workflow has completed, and returns its summary.
func (c *environment) closed(t *testing.T, sid string) workflows.Summary {
	t.Helper()
	var summary workflows.Summary
	require.NoError(t, c.Temporal.GetWorkflow(in(t, testenv.Patience), workflows.ID(sid), "").Get(in(t, testenv.Patience), &summary))
	require.Equal(t, conversation.ConversationClosed, summary.Status)
	return summary
}

// finish closes the conversation and completes every wrapup.
func (c *environment) finish(t *testing.T, sid string) {
	t.Helper()
	c.do(t, sid, conversation.CloseCommand{})
	record, err := c.Baton.State(in(t, testenv.Patience), sid)
	require.NoError(t, err)
	for _, task := range record.LiveTasks() {
		c.do(t, sid, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID})
	}
	c.closed(t, sid)
}

func to(agent string) conversation.Target { return conversation.Target{Agent: agent} }

func toQueue(queue string) conversation.Target { return conversation.Target{Queue: queue} }
