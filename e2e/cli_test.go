package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// temporal runs the `temporal` CLI, like an operator or a service in another language.
func (c *environment) runCLI(t *testing.T, args ...string) result {
	t.Helper()
	args = append(args, "--address", c.Server.Address, "--output", "json", "--disable-config-file", "--command-timeout", "30s")
	return execute(t, have(t, temporalCLI), testenv.Variables("HOME="+c.Folder), args...)
}

// cli runs a command of the `temporal` CLI that must succeed, and returns its output.
func (c *environment) cli(t *testing.T, args ...string) string {
	t.Helper()
	r := c.runCLI(t, args...)
	require.Zero(t, r.code, "temporal %s\n%s%s", strings.Join(args, " "), r.stdout, r.stderr)
	return r.stdout
}

// cliStart starts a conversation from raw JSON.
func (c *environment) cliStart(t *testing.T, sid string, inputs ...string) {
	t.Helper()
	args := []string{"workflow", "start", "--type", "Conversation", "--task-queue", "baton", "--workflow-id", "conversation/" + sid}
	for _, input := range inputs {
		args = append(args, "--input", input)
	}
	c.cli(t, args...)
}

// cliSignal sends a signal from raw JSON, with any number of inputs.
func (c *environment) cliSignal(t *testing.T, sid, name string, inputs ...string) {
	t.Helper()
	args := []string{"workflow", "signal", "--workflow-id", "conversation/" + sid, "--name", name}
	for _, input := range inputs {
		args = append(args, "--input", input)
	}
	c.cli(t, args...)
}

// cliUpdate sends an update from raw JSON, and returns the result of the CLI.
func (c *environment) cliUpdate(t *testing.T, sid, name string, inputs ...string) result {
	t.Helper()
	args := []string{"workflow", "update", "execute", "--workflow-id", "conversation/" + sid, "--name", name}
	for _, input := range inputs {
		args = append(args, "--input", input)
	}
	return c.runCLI(t, args...)
}

// cliState reads the conversation with the query.
func (c *environment) cliState(t *testing.T, sid string) conversation.Record {
	t.Helper()
	var answer struct {
		QueryResult []conversation.Record `json:"queryResult"`
	}
	printed := c.cli(t, "workflow", "query", "--workflow-id", "conversation/"+sid, "--type", "conversation")
	require.NoError(t, json.Unmarshal([]byte(printed), &answer), "%s", printed)
	require.Len(t, answer.QueryResult, 1, "%s", printed)
	return answer.QueryResult[0]
}

// cliListed returns the conversations that the visibility query finds.
func (c *environment) cliListed(t *testing.T, query string) []string {
	t.Helper()
	var executions []struct {
		Execution struct {
			WorkflowID string `json:"workflowId"`
		} `json:"execution"`
	}
	printed := c.cli(t, "workflow", "list", "--query", query)
	require.NoError(t, json.Unmarshal([]byte(printed), &executions), "%s", printed)
	found := []string{}
	for _, e := range executions {
		found = append(found, workflows.SID(e.Execution.WorkflowID))
	}
	return found
}

func startJSON(sid string) string {
	return `{"conversation":"` + sid + `","channel":"web","customer":{"name":"Crystal Minh"},"queue":"support",` +
		`"attributes":{"order":{"number":3348917502}},"not a field":[1,2]}`
}

// A conversation is transferred with the `temporal` CLI alone.
func TestCLITellsTheStoryInRawJSON(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := baton.NewConversation()
	c.cliStart(t, sid, startJSON(sid))
	c.offered(t, sid, "alice")
	c.cliSignal(t, sid, "accept", `{"agent":"alice"}`)
	c.await(t, sid, "alice has it", func(r conversation.Record) bool { return r.Tasks[0].Status == conversation.TaskAssigned })

	update := c.cliUpdate(t, sid, "transfer", `{"from":"alice","to":{"agent":"bob"},"mode":"cold","note":"Over to you.","command_id":"one","future_field":null}`)
	require.Zero(t, update.code, update.stderr)
	require.Contains(t, update.stdout, `"conversation_status"`)
	state := c.cliState(t, sid)
	require.Equal(t, conversation.TaskReserved, state.Tasks[1].Status)
	require.JSONEq(t, `{"number":3348917502}`, string(state.Tasks[1].Attributes["order"]))

	c.cliSignal(t, sid, "accept", `{"agent":"bob","task":"`+state.Tasks[1].SID+`"}`)
	c.await(t, sid, "bob has it", func(r conversation.Record) bool { return r.Tasks[1].Status == conversation.TaskAssigned })
	waitFor(t, soon, "found by who wraps up", func() bool {
		found := c.cliListed(t, `ConversationStatus = "active" AND ConversationWrapping = "alice"`)
		return len(found) == 1 && found[0] == sid
	})

	// The rule: wrapup before accept.
	require.Zero(t, c.cliUpdate(t, sid, "transfer", `{"from":"bob","to":{"agent":"alice"}}`).code)
	refused := c.cliUpdate(t, sid, "accept", `{"agent":"alice"}`)
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.stderr, "still wraps up task "+state.Tasks[0].SID)
	require.Zero(t, c.cliUpdate(t, sid, "wrapup", `{"agent":"alice","disposition":"passed_on"}`).code)
	require.Zero(t, c.cliUpdate(t, sid, "accept", `{"agent":"alice"}`).code)

	c.cliSignal(t, sid, "end", `{"agent":"alice"}`)
	c.cliSignal(t, sid, "wrapup", `{"agent":"alice"}`)
	c.cliSignal(t, sid, "wrapup", `{"agent":"bob"}`)
	require.Equal(t, 3, c.closed(t, sid).Tasks)
	requireAgreement(t, c, sid)
	waitFor(t, soon, "found among the closed", func() bool { return len(c.cliListed(t, `ConversationStatus = "closed"`)) == 1 })
	require.Empty(t, c.cliListed(t, `ConversationStatus = "active" AND WorkflowType = "Conversation" AND ConversationWrapping = "alice"`))

	// After the close, no command is lost silently.
	late := c.runCLI(t, "workflow", "signal", "--workflow-id", "conversation/"+sid, "--name", "accept", "--input", `{"agent":"alice"}`)
	require.Equal(t, 1, late.code)
	require.NotZero(t, c.cliUpdate(t, sid, "accept", `{"agent":"alice"}`).code)
	require.Equal(t, conversation.ConversationClosed, c.cliState(t, sid).Status, "its state can still be read")
}

// When an operator requests cancellation of the workflow, the conversation closes as with `close`: wrapups are
// still completed.
func TestCLICancelRequestClosesTheConversation(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.cli(t, "workflow", "cancel", "--workflow-id", "conversation/"+sid)
	record := c.await(t, sid, "the customer's side is over", func(r conversation.Record) bool { return r.Status == conversation.ConversationWrapping })
	require.Equal(t, conversation.ReasonConversationClosed, record.Transfers[0].FailureReason)
	requireAgreement(t, c, sid)
	c.do(t, sid, conversation.WrapupCommand{Agent: "alice"})
	c.closed(t, sid)
	requireAgreement(t, c, sid)
}

// Every mistake in a payload is reported: if no caller waits for an answer, among the conversation's refusals.
func TestCLIBadSignalsAreRecordedRefusals(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)
	for _, bad := range []struct {
		name   string
		inputs []string
		code   conversation.Code
	}{
		{"accept", nil, conversation.CodeInvalidPayload},
		{"accept", []string{`null`}, conversation.CodeInvalidPayload},
		{"accept", []string{`"alice"`}, conversation.CodeInvalidPayload},
		{"accept", []string{`["alice"]`}, conversation.CodeInvalidPayload},
		{"accept", []string{`17`}, conversation.CodeInvalidPayload},
		{"accept", []string{`{}`}, conversation.CodeInvalidPayload},
		{"accept", []string{`{"agent":7}`}, conversation.CodeInvalidPayload},
		{"accept", []string{`{"agent":"alice"}`, `{"agent":"bob"}`}, conversation.CodeInvalidPayload},
		{"transfer", []string{`{"from":"alice","to":"bob"}`}, conversation.CodeInvalidPayload},
		{"transfer", []string{`{"from":"alice","to":{"agent":"bob","queue":"billing"}}`}, conversation.CodeInvalidPayload},
		{"transfer", []string{`{"from":"alice","to":{"agent":"nobody"}}`}, conversation.CodeUnknownAgent},
		{"transfer", []string{`{"from":"alice","to":{"queue":"nowhere"}}`}, conversation.CodeUnknownQueue},
		{"transfer", []string{`{"from":"alice","to":{"agent":"bob"},"note":"` + strings.Repeat("n", conversation.MaxNote+1) + `"}`}, conversation.CodeInvalidPayload},
		{"transfer", []string{`{"from":"alice","to":{"agent":"bob"},"note":"  "}`}, conversation.CodeInvalidPayload},
		{"transfer", []string{`{"from":"alice","to":{"agent":"bob"},"mode":"warm"}`}, conversation.CodeModeNotAvailable},
		{"transfer", []string{`{"from":"bob","to":{"agent":"alice"}}`}, conversation.CodeNotYourTask},
		{"hand-over", []string{`{"from":"alice"}`}, conversation.CodeInvalidPayload},
		{"expire", []string{`{}`}, conversation.CodeInvalidPayload},
	} {
		before := len(c.cliState(t, sid).Refusals)
		c.cliSignal(t, sid, bad.name, bad.inputs...)
		record := c.await(t, sid, "a recorded refusal of "+bad.name+" "+strings.Join(bad.inputs, " "), func(r conversation.Record) bool {
			return len(r.Refusals) == before+1
		})
		refusal := record.Refusals[before]
		require.Equal(t, bad.code, refusal.Code, "%s %v: %s", bad.name, bad.inputs, refusal.Message)
		require.Equal(t, bad.name, refusal.Command)
		require.NotEmpty(t, refusal.Message)
	}
	require.Equal(t, commandsToBegin, requireAgreement(t, c, sid)[sid].Revision, "nothing was changed")
	// The conversation continues.
	c.cliSignal(t, sid, "transfer", `{"from":"alice","to":{"agent":"bob"},"note":"`+strings.Repeat("n", conversation.MaxNote)+`"}`)
	c.offered(t, sid, "bob")
	requireAgreement(t, c, sid)
}

func TestCLIBadUpdatesAreRefusedWithoutATrace(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)
	waitFor(t, testenv.Patience, "the desk's answer is in the history", func() bool { return c.atRest(t, sid) })
	before := len(c.history(t, sid))
	for _, bad := range []struct {
		name   string
		inputs []string
		says   string
	}{
		{"accept", nil, "one JSON object"},
		{"accept", []string{`null`}, "one JSON object"},
		{"accept", []string{`[]`}, "one JSON object"},
		{"accept", []string{`{"agent":7}`}, "agent"},
		{"accept", []string{`{"agent":"alice"}`, `{}`}, "more than one argument"},
		{"accept", []string{`{"agent":"bob"}`}, "reserved for bob"},
		{"wrapup", []string{`{"agent":"alice"}`}, "no wrapup"},
		{"transfer", []string{`{"from":"alice","to":{"agent":"alice"}}`}, "already"},
		{"decline", []string{`{"agent":"bob","task":"WT1"}`}, "no task WT1"},
	} {
		r := c.cliUpdate(t, sid, bad.name, bad.inputs...)
		require.Equal(t, 1, r.code, "%s %v", bad.name, bad.inputs)
		require.Contains(t, r.stderr, bad.says, "%s %v", bad.name, bad.inputs)
	}
	unknown := c.cliUpdate(t, sid, "hand-over", `{}`)
	require.Equal(t, 1, unknown.code)
	require.Contains(t, unknown.stderr, "hand-over")
	require.Len(t, c.history(t, sid), before, "what the state alone refuses leaves no event in the history")
	require.Equal(t, commandsToBegin, requireAgreement(t, c, sid)[sid].Revision)
}

func TestCLIBadStartsFailWithTheirCode(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	for name, bad := range map[string]struct {
		inputs func(sid string) []string
		code   conversation.Code
	}{
		"no input":              {func(string) []string { return nil }, conversation.CodeInvalidPayload},
		"null":                  {func(string) []string { return []string{`null`} }, conversation.CodeInvalidPayload},
		"no object":             {func(string) []string { return []string{`"web"`} }, conversation.CodeInvalidPayload},
		"two inputs":            {func(sid string) []string { return []string{startJSON(sid), startJSON(sid)} }, conversation.CodeInvalidPayload},
		"another workflow's ID": {func(string) []string { return []string{startJSON(baton.NewConversation())} }, conversation.CodeInvalidPayload},
		"an unknown channel":    {func(sid string) []string { return []string{strings.Replace(startJSON(sid), `"web"`, `"fax"`, 1)} }, conversation.CodeInvalidPayload},
		"an unknown queue": {func(sid string) []string {
			return []string{strings.Replace(startJSON(sid), `"support"`, `"nowhere"`, 1)}
		}, conversation.CodeUnknownQueue},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sid := baton.NewConversation()
			c.cliStart(t, sid, bad.inputs(sid)...)
			_, err := c.Baton.Await(in(t, testenv.Patience), sid, func(conversation.Record) bool { return true })
			require.Equal(t, bad.code, conversation.CodeOf(err), "%v", err)
			_, err = records.FindConversation(t.Context(), c.Desk, sid)
			require.Error(t, err, "the desk never hears of it")
		})
	}
}

func TestConversationIsStartedOnce(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	_, err := c.Baton.Start(t.Context(), conversation.StartCommand{Conversation: sid, Channel: conversation.ChannelWeb, Queue: "support"})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "%v", err)
	require.Contains(t, err.Error(), "was started before")
	again := c.runCLI(t, "workflow", "start", "--type", "Conversation", "--task-queue", "baton", "--workflow-id", "conversation/"+sid,
		"--fail-existing", "--input", startJSON(sid))
	require.Equal(t, 1, again.code)
	c.finish(t, sid)
	_, err = c.Baton.Start(t.Context(), conversation.StartCommand{Conversation: sid, Channel: conversation.ChannelWeb, Queue: "support"})
	require.Equal(t, conversation.CodeInvalidPayload, conversation.CodeOf(err), "a closed one isn't started again: %v", err)
	requireAgreement(t, c, sid)
}
