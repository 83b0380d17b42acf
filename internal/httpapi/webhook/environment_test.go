package webhook

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twilio/twilio-go/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/desktest"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/routing"
)

// environment is a desk with its clock, and the log of its senders.
type environment struct {
	t *testing.T
	*desk.Desk
	clock atomic.Int64
	log   *journal
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	h := &environment{t: t, log: &journal{}}
	h.clock.Store(time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC).UnixNano())
	d, err := desk.Open(t.Context(), desktest.SQLite(t), desk.Options{Now: h.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	h.Desk = d
	_, err = desk.SetSettings(h.ctx(), h.Desk, "carol", func(s *conversation.Settings) { s.MessagingTransfers, s.TransferNotes = true, true })
	require.NoError(t, err)
	return h
}

func (h *environment) ctx() context.Context    { return h.t.Context() }
func (h *environment) now() time.Time          { return time.Unix(0, h.clock.Load()).UTC() }
func (h *environment) advance(d time.Duration) { h.clock.Add(int64(d)) }

// callback sets the URL that receives the events from now on.
func (h *environment) callback(to string) access.Account {
	h.t.Helper()
	require.NoError(h.t, outbox.QueueWebhooks(h.ctx(), h.Desk, func() {}))
	account, err := access.SetWorkspace(h.ctx(), h.Desk, func(w *access.Workspace) { w.EventCallbackURL = to })
	require.NoError(h.t, err)
	return account
}

// send runs a sender until the test ends or stop is called. Receivers on this machine are allowed.
func (h *environment) send(change ...func(*Options)) (stop func()) {
	h.t.Helper()
	o := Options{
		Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Tick:  2 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	}
	for _, with := range change {
		with(&o)
	}
	ctx, cancel := context.WithCancel(h.ctx())
	done := make(chan error, 1)
	sender := New(h.Desk, o)
	go func() { done <- sender.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.ErrorIs(h.t, <-done, context.Canceled)
	})
	h.t.Cleanup(stop)
	return stop
}

func (h *environment) pending() int {
	h.t.Helper()
	count, _, err := outbox.PendingWebhooks(h.ctx(), h.Desk)
	require.NoError(h.t, err)
	return count
}

func eventually(t *testing.T, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, 10*time.Second, 2*time.Millisecond, what)
}

// retryUntilLogged lets time pass, so that failed webhooks become due again, until the log has the text. A try that is
// under way may fail at any moment: its webhook is due a while after that.
func (h *environment) retryUntilLogged(text string) {
	h.t.Helper()
	eventually(h.t, func() bool {
		h.advance(time.Second)
		return strings.Contains(h.log.String(), text)
	}, text+" is logged")
}

// journal stores the log. It is safe for concurrent use.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
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

// receiver receives the webhooks, and stores them.
type receiver struct {
	*httptest.Server
	mutex sync.Mutex
	told  []notice
}

// notice is the content of one request.
type notice struct {
	url.Values
	header http.Header
	// signed is set if Twilio's own validator accepts the signature.
	signed bool
}

// newReceiver returns a receiver that answers with the function's status; 204 if the function is nil.
func newReceiver(t *testing.T, h *environment, answer func(r *http.Request) int) *receiver {
	t.Helper()
	rec := &receiver{}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		account, err := access.ReadAccount(r.Context(), h.Desk)
		if err != nil {
			return // the sender has ended the request
		}
		params := map[string]string{}
		for key := range r.PostForm {
			params[key] = r.PostForm.Get(key)
		}
		current, _ := access.Signing(h.Desk, account)
		validator := client.NewRequestValidator(current)
		n := notice{Values: r.PostForm, header: r.Header, signed: validator.Validate(rec.URL+r.RequestURI, params, r.Header.Get("X-Twilio-Signature"))}
		rec.mutex.Lock()
		rec.told = append(rec.told, n)
		rec.mutex.Unlock()
		status := http.StatusNoContent
		if answer != nil {
			status = answer(r)
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (r *receiver) notices() []notice {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return append([]notice{}, r.told...)
}

// about returns the names of the received events of a conversation, in order.
func (r *receiver) about(th *thread) (events []string) {
	for _, n := range r.notices() {
		if n.Get("TaskSid") != "" && th.state.Task(n.Get("TaskSid")) != nil {
			events = append(events, n.Get("EventType"))
		}
	}
	return events
}

// thread is a conversation that applies the rules, and syncs the desk after each command.
type thread struct {
	h     *environment
	state conversation.State
}

func (h *environment) start(queue string) *thread {
	h.t.Helper()
	th := &thread{h: h}
	return th.do(conversation.StartCommand{
		Conversation: conversation.SIDOf(conversation.PrefixConversation, uuid.New()), Channel: conversation.ChannelWeb, Queue: queue, Priority: 5,
		Customer: conversation.Customer{Name: "Crystal Minh", Address: "crystal@example.com"},
	})
}

// do carries out a command, syncs the desk, and applies the desk's matches until there are no more.
func (th *thread) do(c conversation.Command) *thread {
	h := th.h
	h.t.Helper()
	query, err := th.state.Ask(c, h.now())
	require.NoError(h.t, err)
	var facts *conversation.Facts
	if query != nil {
		v, err := routing.ReadFacts(h.ctx(), h.Desk, *query)
		require.NoError(h.t, err)
		facts = &v
	}
	result, err := th.state.Apply(c, facts, h.now())
	require.NoError(h.t, err)
	answer, err := routing.Sync(h.ctx(), h.Desk, th.state.Snapshot(result.Events, result.Notes))
	require.NoError(h.t, err)
	for _, reserve := range answer.Matches {
		th.do(reserve)
	}
	return th
}
