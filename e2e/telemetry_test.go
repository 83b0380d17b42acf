package e2e

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	conversationapi "github.com/twilio/twilio-go/rest/conversations/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/internal/web/identity/identitytest"
	"github.com/baton-transfers/baton/workflows"
)

// Texts that only the people concerned may read. None of them is a word that Baton uses.
var private = []string{
	"Philippa Quillfeather", "philippa@quillfeather.example", "+15550123987", "my-parrot-ate-the-invoice",
	"she-sounds-rather-cross", "vip-marmalade", "parrot-refund-granted", "Marmalade affair", "wrapup-about-the-parrot",
}

// traces receives the spans that processes export, like a collector.
type traces struct {
	url string

	mutex sync.Mutex
	taken []*trace.ResourceSpans
}

func collectTraces(t *testing.T) *traces {
	t.Helper()
	c := &traces{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mutex.Lock()
		defer c.mutex.Unlock()
		c.taken = append(c.taken, request.GetResourceSpans()...)
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// span is a span with the service that exported it.
type span struct {
	*trace.Span

	service string
}

func (c *traces) spans(which func(span) bool) (found []span) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, resource := range c.taken {
		service := ""
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				service = a.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				if one := (span{s, service}); which(one) {
					found = append(found, one)
				}
			}
		}
	}
	return found
}

// awaits waits for a span of that name below the parent, in its trace.
func (c *traces) awaits(t *testing.T, service, name string, traceID, parent []byte) span {
	t.Helper()
	var found []span
	t.Cleanup(func() {
		if t.Failed() && len(found) == 0 {
			t.Logf("The spans of that name, and those of the trace:\n%s", c.listed(func(s span) bool { return s.GetName() == name || slices.Equal(s.GetTraceId(), traceID) }))
		}
	})
	waitFor(t, testenv.Patience, service+" makes the span "+name, func() bool {
		found = c.spans(func(s span) bool {
			return s.service == service && s.GetName() == name && slices.Equal(s.GetTraceId(), traceID) && slices.Equal(s.GetParentSpanId(), parent)
		})
		return len(found) > 0
	})
	return found[0]
}

// listed returns those spans as text.
func (c *traces) listed(which func(span) bool) string {
	var list strings.Builder
	for _, s := range c.spans(which) {
		fmt.Fprintf(&list, "%s %s: trace %x, span %x, parent %x\n", s.service, s.GetName(), s.GetTraceId(), s.GetSpanId(), s.GetParentSpanId())
	}
	return list.String()
}

func (s span) attribute(key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// everything returns all exported spans as text.
func (c *traces) everything(t *testing.T) string {
	t.Helper()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	var all strings.Builder
	for _, resource := range c.taken {
		text, err := protojson.Marshal(resource)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// observed is an HTTP environment whose worker and gateway export all telemetry.
type observed struct {
	*httpEnvironment

	worker                  *process
	traces                  *traces
	workerTold, gatewayTold string
	webhooks                chan http.Header
}

func openObserved(t *testing.T) *observed {
	t.Helper()
	o := &observed{httpEnvironment: &httpEnvironment{environment: openEnvironment(t, nil)}, traces: collectTraces(t), webhooks: make(chan http.Header, 1000)}
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case o.webhooks <- r.Header.Clone():
		default:
		}
	}))
	t.Cleanup(receiver.Close)
	tell := o.Variables("BATON_HTTP=127.0.0.1:0",
		"BATON_METRICS=127.0.0.1:0", "BATON_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT="+o.traces.url, "OTEL_BSP_SCHEDULE_DELAY=100",
		"BATON_WEBHOOK_ALLOW=127.0.0.1")
	o.worker = launch(t, "worker", have(t, workerProgram), tell)
	o.gateway = launchGateway(t, "gateway", tell)
	o.gatewayTold = o.gateway.logged(t, "gateway started", "metrics")
	o.workerTold = o.worker.logged(t, "worker started", "metrics")
	var err error
	o.account, err = access.ReadAccount(in(t, testenv.Patience), o.Desk)
	require.NoError(t, err)
	o.admin(t).does(http.StatusOK, http.MethodPost, o.admin(t).inWorkspace(""), form("EventCallbackUrl", receiver.URL))
	return o
}

// answers fetches an address of a process over HTTP.
func answers(t *testing.T, address string) (status int, body string) {
	t.Helper()
	answer, err := testenv.Call(in(t, testenv.Patience), http.DefaultClient, testenv.Request{Method: http.MethodGet, URL: address})
	require.NoError(t, err)
	return answer.Status, answer.Text
}

func (o *observed) metrics(t *testing.T) (worker, gateway string) {
	t.Helper()
	status, worker := answers(t, o.workerTold+"/metrics")
	require.Equal(t, http.StatusOK, status)
	status, gateway = answers(t, o.gatewayTold+"/metrics")
	require.Equal(t, http.StatusOK, status)
	return worker, gateway
}

// TestTelemetry runs one conversation with all telemetry enabled. Its steps depend on each other.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	o := openObserved(t)
	o.tellsOneTrace(t)
	o.tellsNothingPrivate(t)
	o.isReadyWhileBothAnswer(t)
	o.isLookedAtByRules(t)
}

// tellsOneTrace transfers a conversation over HTTP in a trace that started elsewhere.
func (o *observed) tellsOneTrace(t *testing.T) {
	t.Helper()
	service := o.admin(t)
	i := service.startsWithAlice()
	traceID, caller := "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	answered := service.call(http.MethodPost, flexHost+"/v1/Interactions/"+i.sid+"/Channels/"+i.channel+"/Transfers",
		testenv.JSON{Value: map[string]any{"from": participant(i.task), "to": conversation.QueueSID("billing"), "type": "cold"}},
		"Traceparent", "00-"+traceID+"-"+caller+"-01", "X-Request-ID", "the-proxys-7")
	require.Equal(t, http.StatusCreated, answered.Status, answered.Text)
	require.Equal(t, "the-proxys-7", answered.Header.Get("X-Request-ID"))

	id, parent := unhex(t, traceID), unhex(t, caller)
	route := "POST /v1/Interactions/{interaction}/Channels/{channel}/Transfers"
	request := o.traces.awaits(t, "baton-gateway", route, id, parent)
	sent := o.traces.awaits(t, "baton-gateway", "UpdateWorkflow:transfer", id, request.GetSpanId())
	handled := o.traces.awaits(t, "baton-worker", "HandleUpdate:transfer", id, sent.GetSpanId())
	asked := o.traces.awaits(t, "baton-worker", "RunActivity:Verdict", id, handled.GetSpanId())
	shown := o.traces.awaits(t, "baton-worker", "RunActivity:CreateTask", id, handled.GetSpanId())
	o.traces.awaits(t, "baton-worker", "RunActivity:SyncTasks", id, handled.GetSpanId()) // of the match that the desk has answered with
	record, err := o.Baton.State(in(t, testenv.Patience), i.conversation)
	require.NoError(t, err)
	for _, s := range []span{request, sent, handled, asked, shown} {
		require.Equal(t, i.conversation, s.attribute("baton.conversation"), s.GetName())
	}
	for _, s := range []span{handled, shown} {
		require.Equal(t, record.Transfers[0].SID, s.attribute("baton.transfer"), s.GetName())
		require.Equal(t, record.Transfers[0].Task, s.attribute("baton.task"), s.GetName())
	}

	var line map[string]any
	waitFor(t, testenv.Patience, "the gateway logs the request", func() bool {
		for _, l := range o.gateway.Logged("request") {
			if l["trace_id"] == traceID {
				line = l
			}
		}
		return line != nil
	})
	transfer := record.Transfers[0]
	require.Equal(t, []any{route, 201.0, "the-proxys-7", i.conversation, transfer.Task, transfer.SID, o.account.SID},
		[]any{line["route"], line["status"], line["request_id"], line["conversation"], line["task"], line["transfer"], line["key"]})

	waitFor(t, testenv.Patience, "a webhook's trace is its span's", func() bool {
		header := <-o.webhooks
		parts := strings.Split(header.Get("Traceparent"), "-")
		require.Len(t, parts, 4, "a webhook says which trace it is of")
		return len(o.traces.spans(func(s span) bool {
			return hex.EncodeToString(s.GetTraceId()) == parts[1] && strings.HasPrefix(s.GetName(), "Webhook:")
		})) == 1
	})
}

// tellsNothingPrivate runs the story with private texts, and searches for them in all telemetry.
func (o *observed) tellsNothingPrivate(t *testing.T) {
	t.Helper()
	service := o.admin(t)
	opened, err := service.ConversationsV1.CreateConversation((&conversationapi.CreateConversationParams{}).
		SetFriendlyName("Marmalade affair").SetAttributes(`{"case":"vip-marmalade"}`))
	require.NoError(t, err)
	_, err = service.ConversationsV1.CreateConversationParticipant(its(opened.Sid), (&conversationapi.CreateConversationParticipantParams{}).
		SetMessagingBindingAddress("+15550123987").SetMessagingBindingProxyAddress("+15017122661"))
	require.NoError(t, err)
	_, err = service.ConversationsV1.CreateConversationMessage(its(opened.Sid), (&conversationapi.CreateConversationMessageParams{}).
		SetAuthor("+15550123987").SetBody("my-parrot-ate-the-invoice"))
	require.NoError(t, err)
	service.call(http.MethodGet, flexHost+"/v1/Interactions/Philippa%20Quillfeather?Search=my-parrot-ate-the-invoice", nil)
	service.call(http.MethodPost, flexHost+"/v1/Interactions", testenv.Text{Type: "application/json", Content: `{"channel":"my-parrot-ate-the-invoice`})

	sid, err := o.Baton.Start(in(t, testenv.Patience), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support",
		Customer:   conversation.Customer{Name: "Philippa Quillfeather", Address: "philippa@quillfeather.example"},
		Attributes: conversation.Attributes{"case": json.RawMessage(`"vip-marmalade"`)},
	})
	require.NoError(t, err)
	o.offered(t, sid, "alice")
	o.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	o.do(t, sid, conversation.TransferCommand{From: "alice", To: toQueue("billing"), Note: "she-sounds-rather-cross"})
	o.offered(t, sid, "bob")
	o.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	o.do(t, sid, conversation.TransferCommand{From: "bob", To: to("alice"), Note: "she-sounds-rather-cross"})
	o.refused(t, sid, conversation.AcceptCommand{Agent: "alice"}, conversation.CodeWrapupPending)
	o.refused(t, sid, conversation.TransferCommand{From: "bob", To: toQueue("my-parrot-ate-the-invoice")}, conversation.CodeTaskNotAssigned)
	o.signal(t, sid, conversation.DeclineCommand{Agent: "my-parrot-ate-the-invoice", Reason: "she-sounds-rather-cross"})
	require.NoError(t, o.Temporal.SignalWorkflow(in(t, testenv.Patience), "conversation/"+sid, "", "my-parrot-ate-the-invoice", "she-sounds-rather-cross"))
	o.do(t, sid, conversation.WrapupCommand{Agent: "alice", Disposition: "parrot-refund-granted", Note: "wrapup-about-the-parrot"})
	o.do(t, sid, conversation.AcceptCommand{Agent: "alice"})
	o.finish(t, sid)
	_, err = identitytest.NewBrowser().Send(in(t, testenv.Patience), o.gateway.URL+"/chat/start",
		url.Values{"once": {uuid.NewString()}, "name": {"Philippa Quillfeather"}, "text": {"my-parrot-ate-the-invoice"}})
	require.NoError(t, err)

	waitFor(t, testenv.Patience, "the spans of the last command have come", func() bool {
		return len(o.traces.spans(func(s span) bool { return s.GetName() == "POST /chat/start" })) == 1
	})
	worker, gateway := o.metrics(t)
	for _, told := range []struct{ where, text string }{
		{"the worker's log", o.worker.Stderr.String()},
		{"the gateway's log", o.gateway.Stderr.String()},
		{"the worker's metrics", worker},
		{"the gateway's metrics", gateway},
		{"the spans", o.traces.everything(t)},
	} {
		require.NotEmpty(t, told.text, told.where)
		for _, text := range append(slices.Clone(private), o.account.AuthToken) {
			require.NotContains(t, strings.ToLower(told.text), strings.ToLower(text), told.where)
		}
	}
	require.Contains(t, o.worker.Stderr.String(), `"level":"DEBUG"`)
	for _, counted := range []string{
		`command="transfer",namespace="default",outcome="carried_out"`, `code="wrapup_pending",command="accept"`, `command="unknown"`,
		"baton_time_to_accept_seconds_count",
	} {
		require.Contains(t, worker, counted)
	}
}

// isReadyWhileBothAnswer kills the Temporal server and restarts it.
func (o *observed) isReadyWhileBothAnswer(t *testing.T) {
	t.Helper()
	probes := []string{o.workerTold, o.gatewayTold, o.gateway.URL}
	all := func(status int) func() bool {
		return func() bool {
			return !slices.ContainsFunc(probes, func(address string) bool {
				got, _ := answers(t, address+"/readyz")
				return got != status
			})
		}
	}
	waitFor(t, testenv.Patience, "both are ready", all(http.StatusOK))
	o.Server.Kill()
	waitFor(t, testenv.Patience, "neither is ready without the Temporal server", all(http.StatusServiceUnavailable))
	for i, address := range probes {
		own := []string{"dispatcher", "webhooks", "webhooks"}[i]
		_, parts := answers(t, address+"/readyz")
		require.JSONEq(t, `{"process":"ok","desk":"ok","temporal":"away","listener":"ok","`+own+`":"ok"}`, parts)
		status, _ := answers(t, address+"/healthz")
		require.Equal(t, http.StatusOK, status, "to start them again would bring nothing back")
	}
	require.NoError(t, o.StartServer(t.Context()))
	waitFor(t, testenv.Patience, "both are ready again", all(http.StatusOK))
}

// isLookedAtByRules checks the alerts and the dashboard against the exported metrics, and that the list of metrics
// is complete.
func (o *observed) isLookedAtByRules(t *testing.T) {
	t.Helper()
	require.NoError(t, people.AddQueue(in(t, testenv.Patience), o.Desk, "nights")) // it has no agents
	o.begin(t, "nights")
	_, err := o.Temporal.ExecuteWorkflow(in(t, testenv.Patience), client.StartWorkflowOptions{ID: "unheard-of", TaskQueue: workflows.TaskQueue}, "Unheard of")
	require.NoError(t, err)
	var worker, gateway string
	waitFor(t, testenv.Patience, "a task waits, and a workflow task fails", func() bool {
		worker, gateway = o.metrics(t)
		return strings.Contains(worker, `baton_tasks_waiting{channel="web",queue="nights"} 1`) && strings.Contains(worker, "temporal_workflow_task_execution_failed_total")
	})
	require.NoError(t, o.Temporal.TerminateWorkflow(in(t, testenv.Patience), "unheard-of", "", "it has served"))
	folder := t.TempDir()
	arguments := []string{
		"run", "-C", "../tools/rules", ".", "--alerts", "../../deploy/prometheus/alerts.yaml", "--dashboard", "../../deploy/grafana/baton.json",
		"--runbook", "../../docs/observability.md",
	}
	for name, told := range map[string]string{"worker": worker, "gateway": gateway} {
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, []byte(told), 0o600))
		arguments = append(arguments, "--metrics", file)
	}
	command := exec.CommandContext(in(t, 5*time.Minute), "go", arguments...)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)

	document, err := os.ReadFile("../docs/observability.md")
	require.NoError(t, err)
	documented := metricsIn(regexp.MustCompile(`(?m)^\| `+"`"+`(baton_\w+)`), string(document))
	exposed := metricsIn(regexp.MustCompile(`(?m)^# TYPE (baton_\w+)`), worker+gateway)
	require.Equal(t, exposed, documented, "docs/observability.md lists the metrics that there are")
}

// metricsIn returns the first groups of the pattern in the text, in order and once each.
func metricsIn(pattern *regexp.Regexp, text string) []string {
	var all []string
	for _, groups := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, groups[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(text)
	require.NoError(t, err)
	return bytes
}
