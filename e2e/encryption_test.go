package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	updatepb "go.temporal.io/api/update/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// freshKey returns a new encryption key.
func freshKey(t *testing.T, id string) string {
	t.Helper()
	key, err := codec.FreshKey(id)
	require.NoError(t, err)
	return key
}

// withKeys returns a user whose programs encrypt with the first of the keys.
func withKeys(t *testing.T, keys ...string) *user {
	t.Helper()
	u := newUser(t)
	u.variables = []string{"BATON_ENCRYPTION_KEYS=" + strings.Join(keys, ",")}
	return u
}

// The personal data in the story below: in the desk only, or also in histories.
var (
	atTheDesk   = []string{"zqmessage", "zqanswer", "zqreason"}
	inHistories = []string{"zqname", "zqaddress", "zqorder", "zqnote", "zqdisposition", "zqwrapup", "zqclosing"}
	everything  = slices.Concat(atTheDesk, inHistories)
)

// tells runs a conversation with a transfer back and forth until it is over, with personal data in every field that
// people write. It returns its SID.
func (u *user) tells(t *testing.T) string {
	t.Helper()
	u.does(t, "settings", "--messaging-transfers", "on", "--transfer-notes", "on")
	sid := strings.TrimSpace(u.does(t, "start", "--channel", "web", "--customer", "zqname", "--address", "zqaddress", "--queue", "support", "--attribute", "order=zqorder"))
	u.does(t, "say", sid, "--as", "customer", "zqmessage")
	u.does(t, "accept", sid, "--agent", "alice", "--wait")
	u.does(t, "say", sid, "--as", "alice", "zqanswer")
	u.does(t, "transfer", sid, "--from", "alice", "--to", "queue:billing", "--note", "zqnote")
	u.does(t, "accept", sid, "--agent", "bob", "--wait")
	u.does(t, "transfer", sid, "--from", "bob", "--to", "agent:alice")
	u.offered(t, sid, "alice")
	u.isRefused(t, conversation.CodeWrapupPending, "accept", sid, "--agent", "alice")
	u.does(t, "wrapup", sid, "--agent", "alice", "--disposition", "zqdisposition", "--note", "zqwrapup")
	u.does(t, "decline", sid, "--agent", "alice", "--reason", "zqreason")
	return sid
}

// ends closes the conversation and completes the wrapups.
func (u *user) ends(t *testing.T, sid string) {
	t.Helper()
	u.does(t, "close", sid, "--reason", "zqclosing")
	for _, task := range u.shows(t, sid).Tasks {
		if task.Status == conversation.TaskWrapping {
			u.does(t, "wrapup", sid, "--agent", task.Agent, "--task", task.SID)
		}
	}
	waitFor(t, testenv.Patience, "the conversation is closed", func() bool { return u.shows(t, sid).Status == conversation.ConversationClosed })
}

// found returns the words that are in the files of a database, including its log.
func found(t *testing.T, database string, words []string) []string {
	t.Helper()
	files, err := filepath.Glob(database + "*")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all strings.Builder
	for _, file := range files {
		read, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(read)
	}
	var in []string
	for _, word := range words {
		if strings.Contains(all.String(), word) {
			in = append(in, word)
		}
	}
	return in
}

func (u *user) inTemporal(t *testing.T) []string {
	t.Helper()
	return found(t, filepath.Join(u.data, "temporal.db"), everything)
}

func (u *user) inDesk(t *testing.T) []string {
	t.Helper()
	return found(t, filepath.Join(u.data, "desk.db"), everything)
}

// The same conversation runs with keys and without. With keys, neither database contains personal data in clear.
func TestNothingPersonalIsReadableInTheDatabases(t *testing.T) {
	t.Parallel()
	t.Run("without keys", func(t *testing.T) {
		t.Parallel()
		u := newUser(t)
		u.runsDev(t)
		sid := u.tells(t)
		u.isRefused(t, conversation.CodeInvalidPayload, "erase", "--customer", "zqaddress")
		u.ends(t, sid)
		require.Subset(t, u.inTemporal(t), inHistories, "else the search proves nothing")
		require.Subset(t, u.inDesk(t), []string{"zqmessage", "zqanswer", "zqreason", "zqname", "zqaddress", "zqorder", "zqnote", "zqdisposition", "zqwrapup"})
		u.isErased(t, sid)
	})
	t.Run("with keys", func(t *testing.T) {
		t.Parallel()
		u := withKeys(t, freshKey(t, "k1"))
		o := openDevOf(t, u)
		sid := u.tells(t)
		u.seenInTheUI(t, o, sid)
		u.ends(t, sid)
		require.Contains(t, u.does(t, "transcript", sid), "zqwrapup")
		require.Empty(t, u.inTemporal(t))
		require.Empty(t, u.inDesk(t))
	})
}

// isErased erases the customer and the histories of the conversation. Afterwards, the desk contains nothing of it.
func (u *user) isErased(t *testing.T, sid string) {
	t.Helper()
	waitFor(t, testenv.Patience, "Temporal shows that the conversation is over", func() bool {
		planned := u.baton(t, "erase", "--customer", "zqaddress", "--dry-run")
		return planned.code == exitDone && strings.Contains(planned.stdout, sid)
	})
	require.Contains(t, u.does(t, "transcript", sid), "zqmessage", "a dry run erases nothing")
	done := u.does(t, "erase", "--customer", "zqaddress", "--histories")
	require.Contains(t, done, "1 workflow history erased")
	require.Contains(t, done, "backups")
	require.NotContains(t, u.does(t, "transcript", sid), "zq")
	u.isRefused(t, conversation.CodeInvalidPayload, "erase", "--customer", "zqaddress")
	waitFor(t, testenv.Patience, "nothing is left in the desk's file", func() bool {
		if len(u.inDesk(t)) == 0 {
			return true
		}
		u.does(t, "erase", "--conversation", sid) // again, because other processes were using the conversation
		return false
	})
	waitFor(t, testenv.Patience, "the history is gone", func() bool { return u.baton(t, "show", sid).code == exitRefused })
}

// seenInTheUI opens the conversation in the Temporal Web UI. Without the codec server, no personal data is readable
// there.
func (u *user) seenInTheUI(t *testing.T, o *devEnvironment, sid string) {
	t.Helper()
	v := openBrowser(t, "operator", o.ui)
	page := "/namespaces/default/workflows/" + strings.ReplaceAll(workflows.ID(sid), "/", "%2F")
	v.do("is cut off from the codec server", chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, network.SetBlockedURLs, network.SetBlockedURLsParams{URLPatterns: []*network.BlockPattern{{URLPattern: "*://*:*/codec/*", Block: true}}})
		return err
	}))
	v.reconnecting.Store(true)
	v.goes(page)
	v.sees("Activity Task Scheduled", "YmluYXJ5L2VuY3J5cHRlZA==") // binary/encrypted, as the page shows a payload that it can't read
	v.seesNowhere(everything...)
	v.leave()

	v = openBrowser(t, "operator", o.ui)
	v.goes(page)
	v.sees("zqname", "zqaddress", "zqorder")
	v.leave()
}

func keyRing(t *testing.T, keys ...string) *codec.KeyRing {
	t.Helper()
	ring, err := codec.ParseKeyRing(strings.Join(keys, ","))
	require.NoError(t, err)
	return ring
}

// waitsForKey waits until the conversation's workflow task has failed because a key is missing.
func (c *environment) waitsForKey(t *testing.T, sid, key string) {
	t.Helper()
	waitFor(t, testenv.Patience, "the conversation waits for the key "+key, func() bool {
		described, err := c.Temporal.DescribeWorkflowExecution(in(t, testenv.Patience), workflows.ID(sid), "")
		return err == nil && described.GetPendingWorkflowTask().GetAttempt() > 1
	})
}

// A worker that lacks a key cannot continue, but loses nothing: once a worker has the key, every command is carried
// out. Keys can be replaced while conversations are open.
func TestAConversationWaitsForAWorkerThatHasItsKey(t *testing.T) {
	t.Parallel()
	first, second := freshKey(t, "first"), freshKey(t, "second")
	c := openEnvironment(t, nil)
	require.NoError(t, c.Connect(t.Context(), keyRing(t, first)))
	keyless := c.startWorker(t)
	sid := c.begin(t, "support")
	c.waitsForKey(t, sid, "first")
	waitFor(t, testenv.Patience, "its worker's log names the key", func() bool { return strings.Contains(keyless.Stderr.String(), `\"first\"`) })
	keyless.Kill()

	one := c.startWorker(t, "BATON_ENCRYPTION_KEYS="+first)
	c.offered(t, sid, "alice")
	c.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	state, err := c.Baton.State(in(t, testenv.Patience), sid)
	require.NoError(t, err)
	require.Equal(t, "Crystal Minh", state.Customer.Name)

	// A client encrypts with the next key before the worker has it: the signal is set aside, and the conversation
	// continues.
	require.NoError(t, c.Connect(t.Context(), keyRing(t, second, first)))
	c.signal(t, sid, conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "Charged twice."})
	waitFor(t, testenv.Patience, "its worker's log names the key", func() bool {
		return strings.Contains(one.Stderr.String(), `"msg":"signal set aside, its key is missing"`) && strings.Contains(one.Stderr.String(), `"key":"second"`)
	})
	require.NoError(t, c.Connect(t.Context(), keyRing(t, first)))
	c.refused(t, sid, conversation.AcceptCommand{Agent: "bob"}, conversation.CodeNoReservation)
	require.NoError(t, c.Connect(t.Context(), keyRing(t, second, first)))
	one.Kill()
	both := c.startWorker(t, "BATON_ENCRYPTION_KEYS="+first+","+second)
	c.offered(t, sid, "bob")
	both.Kill()

	rotated := c.startWorker(t, "BATON_ENCRYPTION_KEYS="+second+","+first)
	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	c.refused(t, sid, conversation.AcceptCommand{Agent: "carol"}, conversation.CodeNoReservation)
	c.finish(t, sid)
	for _, worker := range []*process{one, both, rotated} {
		require.NotContains(t, worker.Stderr.String(), "Charged twice.")
	}

	// Search attributes are in clear and contain nothing about the customer.
	for info, err := range c.Baton.List(in(t, testenv.Patience), "") {
		require.NoError(t, err)
		require.NotContains(t, fmt.Sprintf("%+v", info), "Crystal")
	}
	described, err := c.Temporal.DescribeWorkflowExecution(in(t, testenv.Patience), workflows.ID(sid), "")
	require.NoError(t, err)
	fields := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()
	require.Contains(t, fields, workflows.SearchStatus.GetName())
	for name, field := range fields {
		for _, personal := range []string{"Crystal", "crystal@example.com", "3348917502", "Charged"} {
			require.NotContains(t, string(field.GetData()), personal, name)
		}
	}
}

// A client without keys sends one conversation's ciphertext to another conversation, and a payload in clear. Both
// are refused. The workers accept no payload that names no workflow, so everything that the programs send is bound
// to its workflow.
func TestCiphertextIsOfNoUseInAnotherConversation(t *testing.T) {
	t.Parallel()
	key := freshKey(t, "k")
	c := openEnvironment(t, nil)
	require.NoError(t, c.Connect(t.Context(), keyRing(t, key+",bound")))
	c.startWorker(t, "BATON_ENCRYPTION_KEYS="+key+",bound", "BATON_ENCRYPTION_REQUIRED=on")
	one, other := c.begin(t, "support"), c.begin(t, "support")
	for _, sid := range []string{one, other} {
		c.offered(t, sid, "alice")
		c.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	}
	c.signal(t, one, conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "Charged twice."})
	c.offered(t, one, "bob")

	var stolen *commonpb.Payloads
	for _, event := range c.history(t, one) {
		if signaled := event.GetWorkflowExecutionSignaledEventAttributes(); signaled.GetSignalName() == "transfer" {
			stolen = signaled.GetInput()
		}
	}
	require.NotNil(t, stolen)
	plain, err := converter.GetDefaultDataConverter().ToPayloads(conversation.EndCommand{Agent: "alice"})
	require.NoError(t, err)
	for name, payloads := range map[string]*commonpb.Payloads{"transfer": stolen, "end": plain} {
		_, err := c.Temporal.WorkflowService().SignalWorkflowExecution(in(t, testenv.Patience), &workflowservice.SignalWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(other)}, SignalName: name, Input: payloads,
		})
		require.NoError(t, err)
		answer, err := c.Temporal.WorkflowService().UpdateWorkflowExecution(in(t, testenv.Patience), &workflowservice.UpdateWorkflowExecutionRequest{
			Namespace: "default", WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflows.ID(other)},
			WaitPolicy: &updatepb.WaitPolicy{LifecycleStage: enumspb.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED},
			Request:    &updatepb.Request{Meta: &updatepb.Meta{UpdateId: "attack-" + name}, Input: &updatepb.Input{Name: name, Args: payloads}},
		})
		require.NoError(t, err)
		failure := answer.GetOutcome().GetFailure()
		require.NotNil(t, failure, "the update %s", name)
		if name == "end" { // what belongs to another workflow is refused before a command exists
			require.Equal(t, string(conversation.CodeInvalidPayload), failure.GetApplicationFailureInfo().GetType())
		}
	}
	waitFor(t, testenv.Patience, "both signals are refused", func() bool {
		record, err := c.Baton.State(in(t, testenv.Patience), other)
		require.NoError(t, err)
		require.Empty(t, record.Transfers)
		return len(record.Refusals) == 2
	})
	c.do(t, other, conversation.EndCommand{Agent: "alice"})
	c.do(t, one, conversation.AcceptCommand{Agent: "bob"})
}

// A client without keys starts a conversation with a record as its second argument and with a cron schedule. The
// next run has the same arguments and continues the first one. Only a record from a run of the same conversation is
// accepted.
func TestACronScheduleBringsNoRecord(t *testing.T) {
	t.Parallel()
	key := freshKey(t, "k")
	c := openEnvironment(t, nil)
	require.NoError(t, c.Connect(t.Context(), keyRing(t, key+",bound")))
	c.startWorker(t, "BATON_ENCRYPTION_KEYS="+key+",bound", "BATON_ENCRYPTION_REQUIRED=on")
	const sid = "CH00000000000000000000000000000001"
	forged := conversation.Record{State: conversation.State{
		Conversation: sid, Status: conversation.ConversationActive, Channel: conversation.ChannelWeb, Revision: 7,
	}}
	plain, err := converter.GetDefaultDataConverter().ToPayloads(
		conversation.StartCommand{Conversation: sid, Channel: conversation.ChannelWeb, Queue: "support"}, forged)
	require.NoError(t, err)
	_, err = c.Temporal.WorkflowService().StartWorkflowExecution(in(t, testenv.Patience), &workflowservice.StartWorkflowExecutionRequest{
		Namespace: "default", WorkflowId: workflows.ID(sid), RequestId: sid, WorkflowType: &commonpb.WorkflowType{Name: workflows.Type},
		TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue}, Input: plain, CronSchedule: "@every 1s",
	})
	require.NoError(t, err)
	waitFor(t, testenv.Patience, "a run of the schedule has ended", func() bool {
		runs, err := c.Temporal.ListWorkflow(in(t, testenv.Patience), &workflowservice.ListWorkflowExecutionsRequest{
			Query: fmt.Sprintf("WorkflowId = %q AND ExecutionStatus = 'Failed'", workflows.ID(sid)),
		})
		require.NoError(t, err)
		record, err := c.Baton.State(in(t, testenv.Patience), sid)
		require.True(t, err != nil || record.Status == "", "the record was taken: %+v", record)
		return len(runs.GetExecutions()) > 1
	})
}

// Who may decode payloads: with an API key, or signed in to the pages, from a page of the Temporal Web UI as the
// browser permits.
func TestWhoMayDecode(t *testing.T) {
	t.Parallel()
	u := withKeys(t, freshKey(t, "k1"))
	o := openDevOf(t, u)
	endpoint := o.url + "/codec/decode"
	secret := map[string]string{}
	for _, role := range []string{"service", "supervisor", "agent"} {
		args := []string{"keys", "add", "--role", role}
		if role == "agent" {
			args = append(args, "--agent", "alice")
		}
		var key struct{ SID, Secret string }
		u.reads(t, &key, args...)
		secret[role] = key.SID + ":" + key.Secret
	}
	sid, password, _ := strings.Cut(secret["supervisor"], ":")
	basic := base64.StdEncoding.EncodeToString([]byte(sid + ":" + password))
	for _, test := range []struct {
		name, authorization, origin string
		status                      int
	}{
		{"nobody", "", "", http.StatusUnauthorized},
		{"a service", "Bearer " + secret["service"], "", http.StatusOK},
		{"a supervisor's key", "Bearer " + secret["supervisor"], "", http.StatusOK},
		{"the same by HTTP Basic", "Basic " + basic, "", http.StatusOK},
		{"an agent's key", "Bearer " + secret["agent"], "", http.StatusForbidden},
		{"a wrong secret", "Bearer " + sid + ":wrong", "", http.StatusUnauthorized},
		{"another token", "Bearer wrong", "", http.StatusUnauthorized},
		{"a service, from a page of another site", "Bearer " + secret["service"], "https://evil.example.com", http.StatusForbidden},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(`{"payloads":[]}`))
		require.NoError(t, err)
		request.Header.Set("Authorization", test.authorization)
		if test.authorization == "" {
			request.Header.Del("Authorization")
		}
		if test.origin != "" {
			request.Header.Set("Origin", test.origin)
		}
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, test.status, answer.StatusCode, test.name)
	}

	ask := func(v *visitor) int {
		return ask[int](v, fmt.Sprintf(`fetch(%q, {method: "POST", credentials: "include", headers: {"Content-Type": "application/json", "X-Namespace": "default"},
			body: '{"payloads":[]}'}).then(answer => answer.status, () => 0)`, endpoint))
	}
	for _, test := range []struct {
		name, button string
		status       int
	}{
		{"nobody", "", http.StatusUnauthorized},
		{"alice", "alice agent", http.StatusForbidden},
		{"carol", "carol supervisor", http.StatusOK},
	} {
		v := openBrowser(t, test.name, o.url)
		if test.button != "" {
			v.goes("/conversations")
			v.waits("opens the other way", "document.querySelector('details').open = true")
			v.clicks("button", test.button)
			v.waits("is signed in", `!location.pathname.startsWith("/sign-in")`)
		}
		v.goes(o.ui + "/favicon.ico") // a page of the UI's origin, without its scripts
		require.Equal(t, test.status, ask(v), test.name)
		v.leave()
	}
}
