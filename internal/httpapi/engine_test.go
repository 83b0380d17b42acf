package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/desk/desktest"
	"github.com/baton-transfers/baton/internal/httpapi"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
)

// engine runs conversations as a worker does. It decodes every command, checks it by the real rules, asks the real
// desk for facts, applies the command, syncs the desk and applies the desk's matches. Only durable execution is
// missing: nothing outlives the process, no deadline passes by itself, and the desk is synced before a command is
// answered, unless a test delays that. It is safe for concurrent use.
type engine struct {
	desk *desk.Desk
	late atomic.Int64 // delay of the sync after an answer, in nanoseconds

	mutex   sync.Mutex
	carried map[string]*carried
}

var (
	_ rest.Conversations = (*engine)(nil)
	_ desk.Courier       = (*engine)(nil)
)

func newEngine(d *desk.Desk) *engine { return &engine{desk: d, carried: map[string]*carried{}} }

// carried is a conversation, and the events and notes that the desk does not have yet.
type carried struct {
	mutex   sync.Mutex
	record  conversation.Record
	refusal error // reason for which its start was refused
	events  []conversation.Event
	notes   []conversation.Note
	changed chan struct{} // closed at the next change
}

// Start implements [rest.Conversations]. As with a workflow, State returns the refusal of the rules.
func (e *engine) Start(ctx context.Context, start conversation.StartCommand) (string, error) {
	if start.Conversation == "" {
		start.Conversation = baton.NewConversation()
	}
	sid := start.Conversation
	begun := &carried{changed: make(chan struct{}), record: conversation.Record{Refusals: []conversation.RecordedRefusal{}}}
	begun.mutex.Lock()
	defer begun.mutex.Unlock()

	e.mutex.Lock()
	taken := e.carried[sid] != nil
	if !taken {
		e.carried[sid] = begun
	}
	e.mutex.Unlock()
	if taken {
		return "", conversation.Refuse(conversation.CodeInvalidPayload, conversation.Details{Field: "conversation"},
			"the conversation %s was started before: carry on with it, or start another", sid)
	}
	command, err := received(start)
	if err != nil {
		return "", err
	}
	_, err = e.carryOut(ctx, begun, command)
	if conversation.CodeOf(err) != "" {
		begun.refusal, err = err, nil
	}
	return sid, err
}

// received returns the command after encoding to JSON and decoding, as a workflow receives it.
func received(command conversation.Command) (conversation.Command, error) {
	payload, err := json.Marshal(command)
	if err != nil {
		return nil, fmt.Errorf("encode the %s: %w", command.Name(), err)
	}
	return conversation.Decode(command.Name(), payload, uuid.NewString())
}

// Send implements [rest.Conversations].
func (e *engine) Send(ctx context.Context, sid string, command conversation.Command) (outcome conversation.Outcome, err error) {
	c, err := e.running(sid)
	if err != nil {
		return outcome, err
	}
	defer c.mutex.Unlock()
	if command, err = received(command); err != nil {
		return outcome, err
	}
	sent, err := e.carryOut(ctx, c, command)
	if err != nil {
		return outcome, err
	}
	return outcome, copied(sent, &outcome)
}

// SendAsync implements [rest.Conversations].
func (e *engine) SendAsync(ctx context.Context, sid string, command conversation.Command) error {
	c, err := e.running(sid)
	if err != nil {
		return err
	}
	defer c.mutex.Unlock()
	if command, err = received(command); err != nil {
		return err
	}
	_, err = e.carryOut(ctx, c, command)
	refusal, refused := errors.AsType[*conversation.Refusal](err)
	if !refused {
		return err
	}
	c.record.Refusals = append(c.record.Refusals, conversation.RecordedRefusal{
		Command: string(command.Name()), Code: refusal.Code, Message: refusal.Message, At: time.Now(),
	})
	return nil
}

// Deliver implements [desk.Courier], as the worker's does.
func (e *engine) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := e.SendAsync(ctx, sid, command)
	if conversation.CodeOf(err) == conversation.CodeConversationClosed {
		return desk.ErrConversationGone
	}
	return err
}

// State implements [rest.Conversations].
func (e *engine) State(_ context.Context, sid string) (conversation.Record, error) {
	record, _, err := e.read(sid)
	return record, err
}

// Await implements [rest.Conversations].
func (e *engine) Await(ctx context.Context, sid string, wanted func(conversation.Record) bool) (conversation.Record, error) {
	for {
		record, changed, err := e.read(sid)
		if err != nil || wanted(record) {
			return record, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return record, fmt.Errorf("conversation %s did not become what was waited for: %w", sid, ctx.Err())
		}
	}
}

func (e *engine) find(sid string) *carried {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return e.carried[sid]
}

// running returns the conversation, locked. It refuses a workflow that never began.
func (e *engine) running(sid string) (*carried, error) {
	if c := e.find(sid); c != nil {
		c.mutex.Lock()
		if c.refusal == nil { // the rules decide about a closed one, as with the client
			return c, nil
		}
		c.mutex.Unlock()
	}
	return nil, conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
		"the conversation %s is closed or was never started: check its SID", sid)
}

// read returns the record as a query does, and a channel that is closed at the record's next change.
func (e *engine) read(sid string) (record conversation.Record, changed <-chan struct{}, err error) {
	c := e.find(sid)
	if c == nil {
		return record, nil, conversation.Refuse(conversation.CodeConversationClosed, conversation.Details{},
			"the conversation %s is closed or was never started: check its SID", sid)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.refusal != nil {
		return record, nil, c.refusal
	}
	return record, c.changed, copied(c.record, &record)
}

// copied makes a deep copy through JSON.
func copied(from, into any) error {
	encoded, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode what is answered: %w", err)
	}
	return json.Unmarshal(encoded, into)
}

// carryOut applies a command by the rules, and syncs the desk.
func (e *engine) carryOut(ctx context.Context, c *carried, command conversation.Command) (conversation.Outcome, error) {
	ctx = context.WithoutCancel(ctx) // the conversation continues even if the client disconnects
	query, err := c.record.Ask(command, time.Now())
	if err != nil {
		return conversation.Outcome{}, err
	}
	var facts *conversation.Facts
	if query != nil {
		answered, err := e.desk.Facts(ctx, *query)
		if err != nil {
			return conversation.Outcome{}, err
		}
		facts = &answered
	}
	result, err := c.apply(command, facts)
	if err != nil {
		return conversation.Outcome{}, err
	}
	if !result.Changed && !result.Stale {
		return result.Outcome, nil
	}
	if late := time.Duration(e.late.Load()); late > 0 {
		time.AfterFunc(late, func() {
			c.mutex.Lock()
			defer c.mutex.Unlock()
			_ = e.tell(ctx, c) // as a worker that has no command to answer
		})
		return result.Outcome, nil
	}
	return result.Outcome, e.tell(ctx, c)
}

// tell syncs the desk until its answer changes nothing more.
func (e *engine) tell(ctx context.Context, c *carried) error {
	for due := true; due; {
		answer, err := e.desk.Sync(ctx, c.record.Snapshot(c.events, c.notes))
		if err != nil {
			return err
		}
		c.events, c.notes, due = nil, nil, false
		for _, reserve := range answer.Matches {
			reserved, err := c.apply(reserve, nil)
			if err != nil {
				return err
			}
			due = due || reserved.Changed || reserved.Stale
		}
	}
	return nil
}

func (c *carried) apply(command conversation.Command, facts *conversation.Facts) (conversation.Result, error) {
	result, err := c.record.Apply(command, facts, time.Now())
	if err != nil {
		return result, err
	}
	c.events, c.notes = append(c.events, result.Events...), append(c.notes, result.Notes...)
	close(c.changed)
	c.changed = make(chan struct{})
	return result, nil
}

// environment is a contact center with its HTTP API: alice is on the queue support, bob on billing, dave on no queue,
// carol is the supervisor. No agent is on the queue quiet, so tasks keep waiting there. Transfers and notes are
// enabled.
type environment struct {
	t       testing.TB
	desk    *desk.Desk
	engine  *engine
	file    string
	account desk.Account
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
		require.NoError(t, h.desk.AddQueue(ctx, queue))
	}
	for _, agent := range []string{"alice", "bob", "dave", "carol"} {
		hired := desk.NewAgent{Name: agent, Capacity: plentyTasks, Presence: desk.PresenceAvailable}
		if agent == "carol" {
			hired.Role = desk.RoleSupervisor
		}
		require.NoError(t, h.desk.AddAgent(ctx, hired))
	}
	require.NoError(t, h.desk.AddMember(ctx, "support", "alice"))
	require.NoError(t, h.desk.AddMember(ctx, "billing", "bob"))
	_, err := h.desk.SetSettings(ctx, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(t, err)
	h.service, h.supervisor = h.newKey(desk.KeyService, ""), h.newKey(desk.KeySupervisor, "")
	h.alice, h.bob, h.dave = h.newKey(desk.KeyAgent, "alice"), h.newKey(desk.KeyAgent, "bob"), h.newKey(desk.KeyAgent, "dave")
	return h
}

// in returns the same environment for a subtest.
func (h *environment) in(t testing.TB) *environment {
	same := *h
	same.t = t
	return &same
}

// open opens the desk's file, runs a dispatcher, and serves the API.
func (h *environment) open() {
	h.t.Helper()
	logger := slog.New(slog.NewTextHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	var err error
	h.desk, err = desk.Open(ctx, h.file, desk.Options{Logger: logger})
	require.NoError(h.t, err)
	h.engine = newEngine(h.desk)
	h.account, err = h.desk.Account(ctx)
	require.NoError(h.t, err)
	h.handler = httpapi.New(h.desk, h.engine, rest.Options{Logger: logger}).Handler()
	h.server = httptest.NewServer(h.handler)

	var dispatcher sync.WaitGroup
	dispatcher.Go(func() { _ = h.desk.RunDispatcher(ctx, h.engine) }) // ends with ctx
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

func (h *environment) newKey(role desk.KeyRole, agent string) key {
	h.t.Helper()
	return h.addKey(desk.Key{Name: "key of " + string(role) + agent, Role: role, Agent: agent, RateLimit: plentyRequests})
}

func (h *environment) addKey(k desk.Key) key {
	h.t.Helper()
	added, secret, err := h.desk.AddKey(h.t.Context(), k)
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
