package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/batontest"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

var _ commands.Conversations = (*batontest.Engine)(nil)

// courier delivers the desk's commands to the engine, as the worker's delivers them to conversations.
type courier struct{ engine *batontest.Engine }

// Deliver implements [routing.Courier].
func (c courier) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := c.engine.SendAsync(ctx, sid, command)
	if errors.Is(err, baton.ErrNotRunning) {
		return desk.ErrConversationGone
	}
	return err
}

// environment is a contact center with its HTTP API: alice is on the queue support, bob on billing, dave on no queue,
// carol is the supervisor. No agent is on the queue quiet, so tasks keep waiting there. Transfers and notes are
// enabled.
type environment struct {
	t       testing.TB
	desk    *desk.Desk
	engine  *batontest.Engine
	file    string
	account access.Account
	log     *journal
	handler http.Handler
	server  *httptest.Server
	// keys of a service, a supervisor and the agents
	service, supervisor, alice, bob, dave key
}

// key is the credentials of a request; the zero key sends none.
type key struct{ user, secret string }

// plenty is more than a test has requests or tasks.
const (
	plentyRequests = 1_000_000
	plentyTasks    = 1000
)

func newEnvironment(t testing.TB) *environment {
	t.Helper()
	h := &environment{t: t, file: desktest.SQLite(t), log: &journal{}}
	h.open()
	ctx := t.Context()
	for _, queue := range []string{"support", "billing", "quiet"} {
		require.NoError(t, people.AddQueue(ctx, h.desk, queue))
	}
	for _, agent := range []string{"alice", "bob", "dave", "carol"} {
		hired := people.NewAgent{Name: agent, Capacity: plentyTasks, Presence: desk.PresenceAvailable}
		if agent == "carol" {
			hired.Role = desk.RoleSupervisor
		}
		require.NoError(t, people.AddAgent(ctx, h.desk, hired))
	}
	require.NoError(t, people.AddMember(ctx, h.desk, "support", "alice"))
	require.NoError(t, people.AddMember(ctx, h.desk, "billing", "bob"))
	_, err := desk.SetSettings(ctx, h.desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(t, err)
	h.service, h.supervisor = h.newKey(access.KeyService, ""), h.newKey(access.KeySupervisor, "")
	h.alice, h.bob, h.dave = h.newKey(access.KeyAgent, "alice"), h.newKey(access.KeyAgent, "bob"), h.newKey(access.KeyAgent, "dave")
	return h
}

// in returns the same environment for a subtest.
func (h *environment) in(t testing.TB) *environment {
	same := *h
	same.t = t
	return &same
}

// sender sends commands to the environment's conversations, and records refusals at its desk.
func (h *environment) sender() *commands.Sender { return commands.New(h.engine, h.desk, nil) }

// open opens the desk's file, runs a dispatcher, and serves the API.
func (h *environment) open() {
	h.t.Helper()
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	var err error
	h.desk, err = desk.Open(ctx, h.file, desk.Options{Logger: logger})
	require.NoError(h.t, err)
	h.engine = batontest.NewEngine(routing.NewConversationDesk(h.desk))
	h.account, err = access.ReadAccount(ctx, h.desk)
	require.NoError(h.t, err)
	h.handler = httpapi.New(h.desk, h.sender(), rest.Options{Logger: logger}).Handler()
	h.server = httptest.NewServer(h.handler)

	var dispatcher sync.WaitGroup
	dispatcher.Go(func() { _ = routing.RunDispatcher(ctx, h.desk, courier{h.engine}) }) // ends with ctx
	h.log.keepOut(h.account.AuthToken, secretNote, aMessage)
	h.t.Cleanup(func() {
		h.server.Close()
		cancel()
		dispatcher.Wait()
		_ = h.desk.Close() // a test may have closed it
		for _, secret := range h.log.secrets {
			require.NotContains(h.t, h.log.String(), secret, "in the log")
		}
	})
}

func (h *environment) newKey(role access.KeyRole, agent string) key {
	h.t.Helper()
	return h.addKey(access.Key{Name: "key of " + string(role) + agent, Role: role, Agent: agent, RateLimit: plentyRequests})
}

func (h *environment) addKey(k access.Key) key {
	h.t.Helper()
	added, secret, err := access.AddKey(h.t.Context(), h.desk, k)
	require.NoError(h.t, err)
	h.log.keepOut(secret)
	return key{added.SID, secret}
}

// owner returns the account's own SID and auth token.
func (h *environment) owner() key { return key{h.account.SID, h.account.AuthToken} }

func (h *environment) workspace() string {
	return conversation.SameSID(desk.PrefixWorkspace, h.account.SID)
}

func (h *environment) instance() string {
	return conversation.SameSID(desk.PrefixInstance, h.account.SID)
}

// answer is the answer to a request.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// ask sends a request, with the form in the query of a GET or in the body of a POST.
func (h *environment) ask(as key, method, path string, form url.Values) answer {
	h.t.Helper()
	if method == http.MethodPost {
		return h.send(as, method, path, "application/x-www-form-urlencoded", form.Encode())
	}
	if len(form) > 0 {
		path += "?" + form.Encode()
	}
	return h.send(as, method, path, "", "")
}

func (h *environment) send(as key, method, path, kind, body string) answer {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), method, h.server.URL+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if as != (key{}) {
		request.SetBasicAuth(as.user, as.secret)
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	return h.sendRequest(request)
}

func (h *environment) sendRequest(request *http.Request) answer {
	h.t.Helper()
	response, err := h.server.Client().Do(request) //nolint:gosec // to the test's own server
	require.NoError(h.t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(h.t, err)
	return answer{h.t, response.StatusCode, response.Header, string(body)}
}

// read decodes the answer's body.
func (a answer) read(into any) {
	a.t.Helper()
	require.NoError(a.t, json.Unmarshal([]byte(a.body), into), "%d %s", a.status, a.body)
}

// is requires the answer to have the status.
func (a answer) is(status int) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s", a.body)
	return a
}

// isError requires an error in Twilio's form, with that status and code.
func (a answer) isError(status, code int) answer {
	a.t.Helper()
	var told struct {
		Code, Status       int
		Message, More_info string //nolint:revive // as Twilio spells it
	}
	a.is(status).read(&told)
	require.Equal(a.t, code, told.Code, "%s", a.body)
	require.Equal(a.t, status, told.Status)
	require.NotEmpty(a.t, told.Message)
	require.NotEmpty(a.t, told.More_info)
	return a
}

// start starts a conversation that waits in the queue quiet.
func (h *environment) start() string {
	h.t.Helper()
	sid, err := h.engine.Start(h.t.Context(), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "quiet", Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
		Conversation: baton.NewConversation(), Attributes: conversation.Attributes{"order": json.RawMessage(`"3348917502"`)},
	})
	require.NoError(h.t, err)
	h.state(sid)
	return sid
}

// do sends a command to a conversation, and requires that it succeeds.
func (h *environment) do(sid string, command conversation.Command) conversation.Outcome {
	h.t.Helper()
	outcome, err := h.engine.Send(h.t.Context(), sid, command)
	require.NoError(h.t, err)
	return outcome
}

func (h *environment) state(sid string) conversation.Record {
	h.t.Helper()
	record, err := h.engine.State(h.t.Context(), sid)
	require.NoError(h.t, err)
	return record
}

// offer starts a conversation that is offered to the agent; give starts one that the agent has.
func (h *environment) offer(agent string) string {
	h.t.Helper()
	sid := h.start()
	h.do(sid, conversation.MoveCommand{To: conversation.Target{Agent: agent}})
	return sid
}

func (h *environment) give(agent string) string {
	h.t.Helper()
	sid := h.offer(agent)
	h.do(sid, conversation.AcceptCommand{Agent: agent})
	return sid
}

// journal stores the log, and the texts that it must not contain.
type journal struct {
	mutex   sync.Mutex
	text    bytes.Buffer
	secrets []string
}

func (j *journal) keepOut(secrets ...string) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	j.secrets = append(j.secrets, secrets...)
}

func (j *journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.String()
}
