package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/devserver"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// patience is how long anything may take that happens eventually, on a busy machine or after a crash.
const patience = 60 * time.Second

// centre is the environment of one test: a Temporal dev server on a database file and a desk, both in a temporary
// folder, with as many workers as the test starts. Transfers and notes are enabled.
type centre struct {
	folder   string
	options  devserver.Options
	server   *devserver.Server
	temporal client.Client
	baton    *baton.Client
	desk     *desk.Desk
	// database is the desk's file. url is the desk's address for programs, also if the desk is not in a file.
	database, url string
	workers       int
}

// openCentre opens a centre: alice works on the queue support, bob on billing, and both have ample capacity. The
// dev server gets the settings.
func openCentre(t *testing.T, settings map[string]any) *centre {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "desk.db")
	return openCentreOn(t, settings, &centre{folder: folder, database: file, url: "sqlite:" + file})
}

// openCentreOn opens a centre in its folder, with its desk at the given address.
func openCentreOn(t *testing.T, settings map[string]any, c *centre) *centre {
	t.Helper()
	folder := c.folder
	c.options = devserver.Options{
		Binary: have(t, temporalCLI), DatabaseFile: filepath.Join(folder, "temporal.db"),
		SearchAttributes: workflows.SearchAttributes(), DynamicConfig: settings,
	}
	c.startServer(t)
	c.options.Address = c.server.Address // a restarted server keeps its address, where clients and workers expect it

	var err error
	c.desk, err = desk.Open(t.Context(), c.url, desk.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.desk.Close()) })
	for _, queue := range []string{"support", "billing"} {
		require.NoError(t, desk.AddQueue(t.Context(), c.desk, queue))
	}
	c.hire(t, "alice", 1000, "support")
	c.hire(t, "bob", 1000, "billing")
	_, err = desk.SetSettings(t.Context(), c.desk, "test", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(t, err)

	c.connect(t, nil)
	return c
}

// connect connects a client that encrypts with the keys.
func (c *centre) connect(t *testing.T, keys *codec.KeyRing) {
	t.Helper()
	var err error
	c.temporal, err = temporalenv.Dial(t.Context(), temporalenv.Options{Address: c.server.Address, Keys: keys})
	require.NoError(t, err)
	t.Cleanup(c.temporal.Close)
	c.baton = baton.NewClient(c.temporal)
}

// startServer starts the dev server, the first time and after it was stopped.
func (c *centre) startServer(t *testing.T) {
	t.Helper()
	log := &output{}
	options := c.options
	options.LogWriter = log
	server, err := devserver.Start(t.Context(), options)
	require.NoError(t, err)
	c.server = server
	t.Cleanup(func() {
		server.Kill()
		if t.Failed() {
			t.Logf("The dev server (process %d) printed:\n%s", server.PID, log.tail())
		}
	})
}

// startWorker starts a worker process, with additional environment variables.
func (c *centre) startWorker(t *testing.T, more ...string) *process {
	t.Helper()
	c.workers++
	worker := launch(t, fmt.Sprintf("worker %d", c.workers), have(t, workerProgram),
		environment(append([]string{"BATON_DATABASE=" + c.url, "TEMPORAL_ADDRESS=" + c.server.Address}, more...)...))
	worker.allowed = func(line string) bool { return c.failedQuery(t, line) }
	return worker
}

// failedQuery reports whether the line says that the workflow is not deterministic, but no workflow task of it has
// failed for that: it was a query that the conversation had overtaken.
func (c *centre) failedQuery(t *testing.T, line string) bool {
	t.Helper()
	var logged struct {
		WorkflowID string `json:"WorkflowID"`
		RunID      string `json:"RunID"`
		Error      string `json:"Error"`
	}
	if json.Unmarshal([]byte(line), &logged) != nil || !strings.Contains(logged.Error, "TMPRL1100") {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	events := c.temporal.GetWorkflowHistory(ctx, logged.WorkflowID, logged.RunID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Errorf("read the history of %s: %v", logged.WorkflowID, err)
			return false
		}
		if event.GetWorkflowTaskFailedEventAttributes().GetCause() == enumspb.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR {
			return false
		}
	}
	return true
}

// hire adds an available agent with that capacity on every channel to these queues.
func (c *centre) hire(t *testing.T, agent string, capacity int, queues ...string) {
	t.Helper()
	require.NoError(t, desk.AddAgent(t.Context(), c.desk, desk.NewAgent{Name: agent, Capacity: capacity, Presence: desk.PresenceAvailable}))
	for _, queue := range queues {
		require.NoError(t, desk.AddMember(t.Context(), c.desk, queue, agent))
	}
}

// in bounds a call that must return.
func in(t *testing.T, within time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	t.Cleanup(cancel)
	return ctx
}

// begin starts a conversation in the queue.
func (c *centre) begin(t *testing.T, queue string) string {
	t.Helper()
	sid, err := c.baton.Start(in(t, patience), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: queue, Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Attributes: conversation.Attributes{"order": baton.Attribute("3348917502")},
	})
	require.NoError(t, err)
	return sid
}

// commandsToBegin is the revision of a conversation that alice has just accepted: start, reserve, accept.
const commandsToBegin = 3

// beginWithAlice starts a conversation and has alice accept it.
func (c *centre) beginWithAlice(t *testing.T) string {
	t.Helper()
	sid := c.begin(t, "support")
	c.offered(t, sid, "alice")
	c.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	return sid
}

// do sends the command as an update that must succeed.
func (c *centre) do(t *testing.T, sid string, command conversation.Command) conversation.Outcome {
	t.Helper()
	outcome, err := c.baton.Send(in(t, patience), sid, command)
	require.NoError(t, err, "%s of %s", command.Name(), sid)
	return outcome
}

// refused sends the command as an update that must be refused with the code.
func (c *centre) refused(t *testing.T, sid string, command conversation.Command, code conversation.Code) {
	t.Helper()
	_, err := c.baton.Send(in(t, patience), sid, command)
	require.Equal(t, code, conversation.CodeOf(err), "%s of %s: %v", command.Name(), sid, err)
}

// signal sends the command as a signal.
func (c *centre) signal(t *testing.T, sid string, command conversation.Command) {
	t.Helper()
	require.NoError(t, c.baton.SendAsync(in(t, patience), sid, command), "%s of %s", command.Name(), sid)
}

// await waits until the conversation's state meets the condition.
func (c *centre) await(t *testing.T, sid, what string, wanted func(conversation.Record) bool) conversation.Record {
	t.Helper()
	record, err := c.baton.Await(in(t, patience), sid, wanted)
	if err != nil {
		shown, _ := c.baton.State(in(t, patience), sid)
		require.NoError(t, err, "%s; the conversation:\n%s", what, pretty(shown))
	}
	return record
}

// offered waits until the conversation is offered to the agent, and returns the task.
func (c *centre) offered(t *testing.T, sid, agent string) conversation.Task {
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
func (c *centre) closed(t *testing.T, sid string) workflows.Summary {
	t.Helper()
	var summary workflows.Summary
	require.NoError(t, c.temporal.GetWorkflow(in(t, patience), workflows.ID(sid), "").Get(in(t, patience), &summary))
	require.Equal(t, conversation.ConversationClosed, summary.Status)
	return summary
}

// finish closes the conversation and completes every wrapup.
func (c *centre) finish(t *testing.T, sid string) {
	t.Helper()
	c.do(t, sid, conversation.CloseCommand{})
	record, err := c.baton.State(in(t, patience), sid)
	require.NoError(t, err)
	for _, task := range record.LiveTasks() {
		c.do(t, sid, conversation.WrapupCommand{Agent: task.Agent, Task: task.SID})
	}
	c.closed(t, sid)
}

func to(agent string) conversation.Target { return conversation.Target{Agent: agent} }

func toQueue(queue string) conversation.Target { return conversation.Target{Queue: queue} }
