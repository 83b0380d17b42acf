package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	twilioclient "github.com/twilio/twilio-go/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routes"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

// openForLong opens an environment whose restarted gateways keep one address and may send webhooks to this machine.
func openForLong(t *testing.T) *httpEnvironment {
	t.Helper()
	f := &httpEnvironment{environment: openEnvironment(t, nil)}
	f.startWorker(t)
	var err error
	f.account, err = access.ReadAccount(in(t, testenv.Patience), f.Desk)
	require.NoError(t, err)
	address, err := testenv.FreeAddress(t.Context())
	require.NoError(t, err)
	f.gateway = &gateway{URL: "http://" + address}
	f.gateway.process = f.startAgain(t)
	return f
}

// startAgain starts a gateway at the address of the previous ones, and returns when it serves.
func (f *httpEnvironment) startAgain(t *testing.T) *process {
	t.Helper()
	return f.startGateway(t, "BATON_HTTP="+strings.TrimPrefix(f.gateway.URL, "http://"), "BATON_WEBHOOK_ALLOW=127.0.0.0/8").process
}

// asked is a request that changes something, with the SID in its answer.
type asked struct {
	path, kind, body string
	header, token    string
	sid              string
}

// answeredWith is the part of an answer that these tests use.
type answeredWith struct {
	SID        string `json:"sid"`
	Attributes string `json:"attributes"`
	Routing    struct {
		Properties struct {
			SID string `json:"sid"`
		} `json:"properties"`
		Reservation *struct {
			SID    string `json:"sid"`
			Worker string `json:"worker_sid"`
			Status string `json:"reservation_status"`
		} `json:"reservation"`
	} `json:"routing"`
}

// errRefused is a refusal: the request is not retried.
var errRefused = errors.New("refused")

// insistent is a client that sends one request after the other. It repeats each one, unchanged and with the same
// token, until it is answered, because a gateway may have died before, while or after it carried the request out.
// After the first refusal it does nothing more.
type insistent struct {
	front *httpEnvironment
	ctx   context.Context //nolint:containedctx // a client lives as long as its script
	http  *http.Client
	// told is called after every answer; lost counts the requests that a gateway accepted and did not answer.
	told func()
	lost *atomic.Int64

	did []*asked
	err error
}

// anew is the pause before a client repeats a request.
const anew = 20 * time.Millisecond

// does sends a request that changes something, with a new token in either of the headers.
func (c *insistent) does(path, kind, body string) answeredWith {
	header := "I-Twilio-Idempotency-Token"
	if len(c.did)%2 == 1 {
		header = "Idempotency-Key"
	}
	a := &asked{path: path, kind: kind, body: body, header: header, token: uuid.NewString()}
	c.did = append(c.did, a)
	answered := c.insists(http.MethodPost, a)
	a.sid = answered.SID
	return answered
}

func (c *insistent) posts(path string, namesAndValues ...string) answeredWith {
	return c.does(path, "application/x-www-form-urlencoded", form(namesAndValues...).Encode())
}

// awaits reads the path until the answer meets the condition.
func (c *insistent) awaits(path string, wanted func(answeredWith) bool) answeredWith {
	for c.err == nil {
		if answered := c.insists(http.MethodGet, &asked{path: path}); wanted(answered) {
			return answered
		}
		c.pause()
	}
	return answeredWith{}
}

func (c *insistent) pause() {
	again := time.NewTimer(anew)
	defer again.Stop()
	select {
	case <-again.C:
	case <-c.ctx.Done():
		c.err = errors.Join(c.err, c.ctx.Err())
	}
}

func (c *insistent) insists(method string, a *asked) answeredWith {
	for c.err == nil {
		answered, err := c.once(method, a)
		switch {
		case err == nil:
			c.told()
			return answered
		case errors.Is(err, errRefused):
			c.err = fmt.Errorf("%s %s %s: %w", method, a.path, a.body, err)
		default:
			if !errors.Is(err, syscall.ECONNREFUSED) {
				c.lost.Add(1)
			}
			c.pause()
		}
	}
	return answeredWith{}
}

func (c *insistent) once(method string, a *asked) (answered answeredWith, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, 3*answerWithin)
	defer cancel()
	r := testenv.Request{
		Method: method, URL: c.front.gateway.URL + a.path, User: c.front.account.SID, Secret: c.front.account.AuthToken,
		Body: testenv.Text{Type: a.kind, Content: a.body}, Header: http.Header{},
	}
	if a.token != "" {
		r.Header.Set(a.header, a.token)
	}
	answer, err := testenv.Call(ctx, c.http, r)
	switch {
	case err != nil:
		return answered, err
	case answer.Status == http.StatusServiceUnavailable:
		return answered, fmt.Errorf("not now: %s", answer.Text)
	case answer.Status >= http.StatusMultipleChoices:
		return answered, fmt.Errorf("%w with %d %s", errRefused, answer.Status, answer.Text)
	}
	return answered, answer.Decode(&answered)
}

// talk is a conversation from its start to its last wrapup, as the requests of one client.
type talk struct {
	*insistent

	conversation, first, second string
	toQueue                     bool
}

// run starts the conversation in one of three ways, and transfers it from alice to bob or to his queue.
func (k *talk) run(number int) {
	workspace := "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, k.front.account.SID)
	instance := "/v1/Instances/" + conversation.SameSID(desk.PrefixInstance, k.front.account.SID)
	routing := `{"properties":{"queue_sid":"` + conversation.QueueSID("support") + `","attributes":{"number":` + strconv.Itoa(number) + `}}}`
	switch number % 3 {
	case 0:
		k.conversation = k.posts("/v1/Conversations", "FriendlyName", "Refund", "UniqueName", "refund-"+strconv.Itoa(number)).SID
		channel := `{"type":"web","properties":{"media_channel_sid":"` + k.conversation + `"}}`
		k.first = k.posts("/v1/Interactions", "Channel", channel, "Routing", routing).Routing.Properties.SID
	case 1:
		started := k.posts("/v1/Interactions", "Channel", `{"type":"sms"}`, "Routing", routing)
		k.conversation, k.first = "CH"+strings.TrimPrefix(started.SID, "KD"), started.Routing.Properties.SID
	default:
		created := k.posts(workspace+"/Tasks", "TaskQueueSid", conversation.QueueSID("support"), "Attributes", `{"customerName":"Crystal Minh"}`)
		var attributes struct {
			Conversation string `json:"conversationSid"`
		}
		k.err = errors.Join(k.err, json.Unmarshal([]byte(created.Attributes), &attributes))
		k.conversation, k.first = attributes.Conversation, created.SID
	}
	if k.err != nil {
		return
	}
	interaction := "/v1/Interactions/" + conversation.SameSID("KD", k.conversation)
	channel := interaction + "/Channels/" + conversation.SameSID("UO", k.conversation)
	transcript := "/v1/Conversations/" + k.conversation

	offer := k.offered(interaction, k.first, "alice")
	k.posts(workspace+"/Tasks/"+k.first+"/Reservations/"+offer, "ReservationStatus", "accepted")
	k.posts(transcript+"/Messages", "Author", "Crystal Minh", "Body", "I was charged twice.")
	k.posts(transcript+"/Messages", "Author", "alice", "Body", "I'll pass you on.")
	k.posts(transcript+"/Participants", "Identity", "crystals-son")
	k.posts(channel+"/Participants", "Type", "external", "MediaProperties", `{"address":"+15551234567"}`)
	note := k.posts(instance+"/Notes", "InteractionSid", conversation.SameSID("KD", k.conversation), "Summary", "Charged twice.").SID
	to := conversation.AgentSID("bob")
	if k.toQueue = number%2 == 1; k.toQueue {
		to = conversation.QueueSID("billing")
	}
	k.does(channel+"/Transfers", "application/json", fmt.Sprintf(`{"from":"UT%s","to":"%s","type":"cold","note_sid":"%s"}`, strings.TrimPrefix(k.first, "WT"), to, note))
	k.awaits(interaction, func(a answeredWith) bool {
		k.second = a.Routing.Properties.SID
		return k.second != k.first
	})
	offer = k.offered(interaction, k.second, "bob")
	k.posts(workspace+"/Workers/"+conversation.AgentSID("bob")+"/Reservations/"+offer, "ReservationStatus", "accepted")
	k.posts(workspace+"/Tasks/"+k.first, "AssignmentStatus", "completed", "Reason", "passed on")
}

// end completes the last task, which closes the conversation.
func (k *talk) end() {
	workspace := "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, k.front.account.SID)
	k.posts(workspace+"/Tasks/"+k.second, "AssignmentStatus", "completed", "Reason", "refunded")
}

// offered waits for the offer of the task and returns its reservation.
func (k *talk) offered(interaction, task, agent string) string {
	answered := k.awaits(interaction, func(a answeredWith) bool {
		r := a.Routing.Reservation
		return a.Routing.Properties.SID == task && r != nil && r.Status == "pending" && r.Worker == conversation.AgentSID(agent)
	})
	if answered.Routing.Reservation == nil {
		return ""
	}
	return answered.Routing.Reservation.SID
}

// administers adds agents and queues, one request each.
func (c *insistent) administers(rounds int) {
	workspace := "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, c.front.account.SID)
	for round := range rounds {
		number := strconv.Itoa(round)
		c.posts(workspace+"/Workers", "FriendlyName", "Worker "+number, "Attributes", `{"round":`+number+`}`)
		queue := c.posts(workspace+"/TaskQueues", "FriendlyName", "Queue "+number, "TargetWorkers", "round == "+number).SID
		c.posts(workspace+"/Activities", "FriendlyName", "Activity "+number, "Available", "false")
		c.posts(workspace+"/Workflows", "FriendlyName", "Workflow "+number, "Configuration", `{"task_routing":{"default_filter":{"queue":"`+queue+`"}}}`)
	}
}

// A gateway is killed again and again while its clients repeat unanswered requests: each request is carried out
// once.
func TestARequestRepeatedToAKilledGatewayHasOneEffect(t *testing.T) {
	t.Parallel()
	const talks, rounds, kills = 9, 8, 8
	random := moments(t)
	f := openForLong(t)
	ctx := in(t, 2*testenv.Patience)
	answers, lost := make(chan struct{}, 100_000), &atomic.Int64{}
	client := func() *insistent {
		network := &http.Transport{}
		t.Cleanup(network.CloseIdleConnections)
		return &insistent{front: f, ctx: ctx, http: &http.Client{Transport: network}, lost: lost, told: func() { answers <- struct{}{} }}
	}
	var running sync.WaitGroup
	administrator, all := client(), []*talk{}
	running.Go(func() { administrator.administers(rounds) })
	for number := range talks {
		k := &talk{insistent: client()}
		all = append(all, k)
		running.Go(func() { k.run(number) })
	}
	over := make(chan struct{})
	go func() {
		running.Wait()
		close(over)
	}()

	gateway, killed := f.gateway.process, 0
	for working := true; working && killed < kills; {
		for range 1 + random.IntN(12) {
			select {
			case <-answers:
			case <-over:
				working = false
			}
		}
		within(random, 20*time.Millisecond)
		gateway.Kill()
		killed++
		gateway = f.startAgain(t)
	}
	<-over
	require.NoError(t, administrator.err)
	for _, k := range all {
		require.NoError(t, k.err)
	}
	require.Equal(t, kills, killed, "the work was done before all kills: give it more rounds")
	require.NotZero(t, lost.Load(), "no request was without an answer: kill sooner")
	t.Logf("%d requests had no answer.", lost.Load())

	// Repeated once more, every request gets the same answer as before.
	repeatsAll := func(c *insistent) {
		t.Helper()
		for _, a := range c.did {
			again, err := c.once(http.MethodPost, a)
			require.NoError(t, err, "%s %s", a.path, a.body)
			require.Equal(t, a.sid, again.SID, "%s %s", a.path, a.body)
		}
	}
	repeatsAll(administrator)
	for _, k := range all {
		repeatsAll(k.insistent)
		k.requireOneEffectEach(t)
	}
	requireMadeOnce(t, f, talks, rounds)

	// This also holds for the request that ends a conversation, which then accepts no more commands.
	for _, k := range all {
		k.end()
		require.NoError(t, k.err)
		f.closed(t, k.conversation)
		requireAgreement(t, f.environment, k.conversation)
		last := k.did[len(k.did)-1]
		again, err := k.once(http.MethodPost, last)
		require.NoError(t, err, "%s %s", last.path, last.body)
		require.Equal(t, last.sid, again.SID)
	}
}

// requireOneEffectEach requires exactly the effects of the talk's requests, and a desk that agrees.
func (k *talk) requireOneEffectEach(t *testing.T) {
	t.Helper()
	record := requireAgreement(t, k.front.environment, k.conversation)[k.conversation]
	commands := commandsToBegin + 3 // transfer, accept, wrapup
	if k.toQueue {
		commands++ // the desk's match
	}
	require.Equal(t, commands, record.Revision, "commands carried out by %s", k.conversation)
	require.Len(t, record.Tasks, 2)
	require.Equal(t, "passed on", record.Tasks[0].Disposition)
	require.Equal(t, conversation.TaskAssigned, record.Tasks[1].Status)
	require.Len(t, record.Transfers, 1)
	require.Equal(t, conversation.TransferCompleted, record.Transfers[0].Status)
	require.Empty(t, record.Refusals)

	ctx := in(t, testenv.Patience)
	messages, err := records.ReadTranscript(ctx, k.front.Desk, k.conversation, records.AsSystem())
	require.NoError(t, err)
	require.Len(t, messages, 2)
	require.Equal(t, "alice", messages[1].From)
	notes, err := records.ListNotes(ctx, k.front.Desk, k.conversation, records.AsSystem())
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Equal(t, record.Transfers[0].Note, notes[0].SID)
	added, err := records.ListParticipants(ctx, k.front.Desk, k.conversation)
	require.NoError(t, err)
	require.Len(t, added, 2)
}

// requireMadeOnce requires that each requested agent and queue exists, and none twice.
func requireMadeOnce(t *testing.T, f *httpEnvironment, talks, rounds int) {
	t.Helper()
	ctx := in(t, testenv.Patience)
	conversations, err := records.ConversationListPage(ctx, f.Desk, records.ConversationFilter{}, desk.Page{Limit: desk.MaxPage})
	require.NoError(t, err)
	require.Len(t, conversations.Entries, talks, "conversations, drafts among them")

	counted := map[string]int{}
	agents, err := people.ListAgents(ctx, f.Desk)
	require.NoError(t, err)
	for _, a := range agents {
		counted[a.FriendlyName]++
	}
	queues, err := people.ListQueues(ctx, f.Desk)
	require.NoError(t, err)
	for _, q := range queues {
		counted[q.FriendlyName]++
		if strings.HasPrefix(q.FriendlyName, "Queue ") {
			require.Equal(t, []string{strings.Replace(q.Name, "queue", "worker", 1)}, q.Members)
		}
	}
	activities, err := routing.ListActivities(ctx, f.Desk)
	require.NoError(t, err)
	for _, a := range activities {
		counted[a.Name]++
	}
	workflows, err := routes.ListWorkflows(ctx, f.Desk)
	require.NoError(t, err)
	for _, w := range workflows {
		counted[w.FriendlyName]++
	}
	for round := range rounds {
		for _, kind := range []string{"Worker", "Queue", "Activity", "Workflow"} {
			require.Equal(t, 1, counted[fmt.Sprintf("%s %d", kind, round)], "%s %d", kind, round)
		}
	}
	require.Len(t, agents, rounds+2, "and alice and bob")
	require.Len(t, queues, rounds+2, "and support and billing")
	for name, made := range map[conversation.EventName]int{desk.EventAgentCreated: rounds + 2, desk.EventQueueCreated: rounds + 2} {
		happened, err := outbox.EventPage(ctx, f.Desk, outbox.EventFilter{Name: name}, desk.Page{Limit: desk.MaxPage})
		require.NoError(t, err)
		require.Len(t, happened.Entries, made, "the feed tells of each %s once", name)
	}
}

// receiver is a server that webhooks are sent to. It can be closed and reopened at its address, be slow, and refuse
// webhooks.
type receiver struct {
	t       *testing.T
	address string
	url     string
	token   string
	server  *http.Server

	mutex sync.Mutex
	// told are the event log positions of the accepted events, in order of arrival; unsigned counts the webhooks
	// without the account's signature.
	told     []int64
	unsigned int
	// answers returns the status for a webhook; nil means 204.
	answers func(webhook url.Values) int
}

// newReceiver opens a receiver and sends the workspace's events to it from now on.
func (f *httpEnvironment) newReceiver(t *testing.T) *receiver {
	t.Helper()
	address, err := testenv.FreeAddress(t.Context())
	require.NoError(t, err)
	r := &receiver{t: t, address: address, token: f.account.AuthToken}
	r.url = "http://" + r.address + "/events?from=baton"
	r.open()
	t.Cleanup(r.close)
	f.admin(t).does(http.StatusOK, http.MethodPost, f.admin(t).inWorkspace(""), form("EventCallbackUrl", r.url))
	return r
}

func (r *receiver) open() {
	r.t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(r.t.Context()), "tcp", r.address)
	require.NoError(r.t, err)
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: testenv.Patience}
	go func(server *http.Server) { _ = server.Serve(listener) }(r.server) // until it is closed
}

// close breaks off the requests in progress, like the end of a process.
func (r *receiver) close() { _ = r.server.Close() }

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if request.ParseForm() != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	parameters := map[string]string{}
	for name := range request.PostForm {
		parameters[name] = request.PostForm.Get(name)
	}
	validator := twilioclient.NewRequestValidator(r.token)
	signed := validator.Validate(r.url, parameters, request.Header.Get("X-Twilio-Signature"))
	_, position, known := desk.EventPosition(request.PostForm.Get("Sid"))

	r.mutex.Lock()
	answers := r.answers
	r.mutex.Unlock()
	status := http.StatusNoContent
	if answers != nil {
		status = answers(request.PostForm)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !signed || !known {
		r.unsigned++
	}
	if status == http.StatusNoContent {
		r.told = append(r.told, position)
	}
	w.WriteHeader(status)
}

// answer sets how webhooks are answered from now on.
func (r *receiver) answer(with func(webhook url.Values) int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.answers = with
}

// hold calls do while a webhook has arrived and is not answered.
func (r *receiver) hold(do func()) {
	held, release := make(chan struct{}, 1000), make(chan struct{})
	r.answer(func(url.Values) int {
		held <- struct{}{}
		<-release
		return http.StatusNoContent
	})
	<-held
	do()
	r.answer(nil)
	close(release)
}

func (r *receiver) positions() []int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.told)
}

// fed returns the events of the event log, by conversation and in order.
func fed(t *testing.T, c *environment, sids ...string) map[string][]int64 {
	t.Helper()
	events := map[string][]int64{}
	for after := int64(0); ; {
		page, err := outbox.ConversationEvents(in(t, testenv.Patience), c.Desk, after, 1000)
		require.NoError(t, err)
		for _, e := range page {
			after = e.Position
			if len(sids) == 0 || slices.Contains(sids, e.Conversation) {
				events[e.Conversation] = append(events[e.Conversation], e.Position)
			}
		}
		if len(page) < 1000 {
			return events
		}
	}
}

// wasToldAll reports whether every event of these conversations has arrived.
func (r *receiver) wasToldAll(c *environment, sids ...string) bool {
	r.t.Helper()
	came := map[int64]bool{}
	for _, position := range r.positions() {
		came[position] = true
	}
	for _, events := range fed(r.t, c, sids...) {
		if slices.ContainsFunc(events, func(position int64) bool { return !came[position] }) {
			return false
		}
	}
	return true
}

// requireToldInOrder requires that the events of each conversation arrived in order, each at least once, and all of
// them signed.
func (r *receiver) requireToldInOrder(c *environment, sids ...string) {
	r.t.Helper()
	of := map[int64]string{}
	events := fed(r.t, c, sids...)
	for sid, positions := range events {
		require.NotEmpty(r.t, positions, "the events of %s", sid)
		for _, position := range positions {
			of[position] = sid
		}
	}
	came := map[string][]int64{}
	for _, position := range r.positions() {
		if sid := of[position]; sid != "" {
			came[sid] = append(came[sid], position)
		}
	}
	for sid, positions := range events {
		require.True(r.t, slices.IsSorted(came[sid]), "the events of %s came in the order %v", sid, came[sid])
		require.Equal(r.t, positions, slices.Compact(came[sid]), "the events of %s", sid)
	}
	r.requireSigned()
}

func (r *receiver) requireSigned() {
	r.t.Helper()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	require.Zero(r.t, r.unsigned, "webhooks with a wrong signature")
}

// The receiver is closed and the gateway killed, again and again, while conversations are transferred back and
// forth: in the end, the receiver has every event, in order.
func TestWebhooksOutliveTheirReceiverAndTheirGateway(t *testing.T) {
	t.Parallel()
	const talks, cycles, ends = 6, 8, 4
	random := moments(t)
	f := openForLong(t)
	r := f.newReceiver(t)
	passed := startRelays(t, f.environment, talks, cycles)
	gateway, ended := f.gateway.process, 0
	for ended < ends && passed.after(5+random.IntN(20)) {
		within(random, 30*time.Millisecond)
		if ended == 0 { // at least once, while a webhook is being delivered
			r.hold(gateway.Kill)
		}
		r.close()
		passed.after(random.IntN(5)) // in any order
		gateway.Kill()
		passed.after(random.IntN(5))
		r.open()
		gateway = f.startAgain(t)
		ended++
	}
	passed.requireNothingLostOrDoubled()
	require.Equal(t, ends, ended, "the work was done before the ends: give it more cycles")
	waitFor(t, 2*testenv.Patience, "the receiver gets everything", func() bool { return r.wasToldAll(f.environment) })
	r.requireToldInOrder(f.environment)
	require.Len(t, fed(t, f.environment), talks)
}

// startMarked starts a conversation whose webhooks contain a word that marks them.
func (f *httpEnvironment) startMarked(t *testing.T, word string) string {
	t.Helper()
	sid, err := f.Baton.Start(in(t, testenv.Patience), conversation.StartCommand{
		Channel: conversation.ChannelWeb, Queue: "support", Attributes: conversation.Attributes{"marked": baton.Attribute(word)},
	})
	require.NoError(t, err)
	return sid
}

// isMarked reports whether the webhook belongs to a conversation marked with the word.
func isMarked(webhook url.Values, word string) bool {
	return strings.Contains(webhook.Get("TaskAttributes"), `"marked":"`+word+`"`)
}

func TestWebhooksThatAreSlowOrRefused(t *testing.T) {
	t.Parallel()
	f := openForLong(t)
	r := f.newReceiver(t)
	m := &moody{release: make(chan struct{}), held: make(chan struct{}, 1000)}
	r.answer(m.answer)
	t.Cleanup(func() { require.NotContains(t, f.gateway.Stderr.String(), f.account.AuthToken, "in the log") })
	t.Run("a slow one delays no other", func(t *testing.T) {
		t.Parallel()
		requireOthersMeanwhile(t, f, r, m)
	})
	t.Run("a dead one is delivered again", func(t *testing.T) {
		t.Parallel()
		requireDeadDeliveredAgain(t, f, r, m)
	})
}

// moody is a receiver's behavior: slow for one conversation, and refusing an event of another.
type moody struct {
	held, release chan struct{}
	refused       atomic.Int64
	pleased       atomic.Bool
}

func (m *moody) answer(webhook url.Values) int {
	switch {
	case isMarked(webhook, "slow"):
		m.held <- struct{}{}
		<-m.release
	case isMarked(webhook, "refused") && webhook.Get("EventType") == string(conversation.EventTaskCreated) && !m.pleased.Load():
		m.refused.Add(1)
		return http.StatusInternalServerError
	}
	return http.StatusNoContent
}

// A receiver that is slow for the events of one conversation gets those of all others meanwhile.
func requireOthersMeanwhile(t *testing.T, f *httpEnvironment, r *receiver, m *moody) {
	t.Helper()
	slow := f.startMarked(t, "slow")
	<-m.held

	var others []string
	for range 5 {
		sid := f.beginWithAlice(t)
		f.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "While another is slow."})
		f.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
		f.do(t, sid, conversation.WrapupCommand{Agent: "alice"})
		f.do(t, sid, conversation.CloseCommand{})
		f.do(t, sid, conversation.WrapupCommand{Agent: "bob"})
		others = append(others, sid)
	}
	f.offered(t, slow, "alice")
	f.do(t, slow, conversation.AcceptCommand{Agent: "alice"})
	requireAgreement(t, f.environment, append(others, slow)...)
	waitFor(t, testenv.Patience, "the others' events", func() bool { return r.wasToldAll(f.environment, others...) })
	require.False(t, r.wasToldAll(f.environment, slow))
	first := fed(t, f.environment, slow)[slow][0]
	require.NotContains(t, r.positions(), first, "it is still under way")

	close(m.release)
	waitFor(t, testenv.Patience, "the slow conversation's events", func() bool { return r.wasToldAll(f.environment, slow) })
	r.requireToldInOrder(f.environment, append(others, slow)...)
}

// A webhook that is refused for a day is dead, and the webhooks of other conversations continue. The command line
// lists it and redelivers it.
func requireDeadDeliveredAgain(t *testing.T, f *httpEnvironment, r *receiver, m *moody) {
	t.Helper()
	webhooks := func(args ...string) result {
		t.Helper()
		return execute(t, have(t, batonProgram), f.Variables(), append([]string{"webhooks"}, args...)...)
	}
	var shown struct {
		Waiting int `json:"waiting"`
		Dead    []struct {
			Event   string `json:"event"`
			Name    string `json:"name"`
			Stream  string `json:"stream"`
			Failure string `json:"failure"`
		} `json:"dead"`
	}
	show := func() {
		t.Helper()
		printed := webhooks("--json")
		require.Equal(t, exitDone, printed.code, "%s", printed.stderr)
		require.NoError(t, json.Unmarshal([]byte(printed.stdout), &shown))
	}
	sid, another := f.startMarked(t, "refused"), f.startMarked(t, "taken")
	waitFor(t, testenv.Patience, "a refused webhook", func() bool { return m.refused.Load() > 0 })
	waitFor(t, testenv.Patience, "the other conversation's events", func() bool {
		return len(fed(t, f.environment, another)[another]) > 0 && r.wasToldAll(f.environment, another)
	})
	show()
	require.Empty(t, shown.Dead)
	require.NotZero(t, shown.Waiting, "it is sent again, and those behind it wait")
	require.Equal(t, exitDone, webhooks("redeliver", "--all").code, "none is dead")

	// Instead of waiting for a day, the test backdates the attempts in the desk's file.
	f.aged(t, sid, 25*time.Hour)
	waitFor(t, testenv.Patience, "a dead webhook", func() bool {
		show()
		return len(shown.Dead) == 1
	})
	events := fed(t, f.environment, sid)[sid]
	dead, behind := events[0], events[1]
	waitFor(t, testenv.Patience, "the webhook behind it", func() bool { return slices.Contains(r.positions(), behind) })
	deadSID := shown.Dead[0].Event
	_, position, _ := desk.EventPosition(deadSID)
	require.Equal(t, dead, position)
	require.Equal(t, "task.created", shown.Dead[0].Name)
	require.Equal(t, sid, shown.Dead[0].Stream)
	require.Contains(t, shown.Dead[0].Failure, "500")
	require.Contains(t, webhooks().stdout, deadSID, "for people too")
	require.NotContains(t, r.positions(), dead)

	m.pleased.Store(true)
	redelivered := webhooks("redeliver", "--all")
	require.Equal(t, exitDone, redelivered.code, "%s", redelivered.stderr)
	require.Contains(t, redelivered.stdout, "delivered again: 1\n")
	waitFor(t, testenv.Patience, "the dead webhook", func() bool { return r.wasToldAll(f.environment, sid) })
	waitFor(t, testenv.Patience, "nothing to deliver", func() bool {
		show()
		return shown.Waiting == 0 && len(shown.Dead) == 0
	})
	r.requireSigned()
}

// aged backdates the first attempts of the conversation's webhooks in the desk's file.
func (f *httpEnvironment) aged(t *testing.T, stream string, by time.Duration) {
	t.Helper()
	database, err := sql.Open("sqlite", "file:"+f.DeskFile()+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer func() { require.NoError(t, database.Close()) }()
	changed, err := database.ExecContext(in(t, testenv.Patience), `UPDATE webhooks SET first_at = first_at - $2 WHERE stream = $1 AND attempts > 0`, stream, by.Microseconds())
	require.NoError(t, err)
	count, err := changed.RowsAffected()
	require.NoError(t, err)
	require.EqualValues(t, 1, count, "one of a conversation's is tried at a time")
}
