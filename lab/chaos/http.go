package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/journal"
)

// key is an API key.
type key struct{ name, sid, secret string }

// request is a request to any of the gateways.
type request struct {
	path string
	// form is sent if json is empty.
	form url.Values
	json string
	// token is the idempotency key: the request has one effect, however often it is sent.
	token string
	key   key
}

// answered holds the parts of an answer that the driver uses.
type answered struct {
	SID string `json:"sid"`
	// Index numbers a message from 0.
	Index   *int   `json:"index"`
	Message string `json:"message"`
	Details struct {
		Reason conversation.Code `json:"reason"`
	} `json:"details"`
}

// gateways sends requests to the gateways in turn.
type gateways struct {
	urls    []string
	account access.Account
	client  *http.Client
	next    atomic.Uint64
}

func newGateways(urls []string, account access.Account) *gateways {
	return &gateways{urls: urls, account: account, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// errNotNow is an answer after which the same request may be retried.
var errNotNow = errors.New("not now")

// ask sends the request once. A refusal is a [*conversation.Refusal]. Its code is the HTTP status if the refusal
// does not come from the rules.
func (g *gateways) ask(ctx context.Context, r request) (answered, error) {
	var a answered
	asked := testenv.Request{
		Method: http.MethodPost, URL: g.urls[g.next.Add(1)%uint64(len(g.urls))] + r.path, User: r.key.sid, Secret: r.key.secret, Body: r.form,
		Header: http.Header{"Idempotency-Key": {r.token}},
	}
	if r.json != "" {
		asked.Body = testenv.Text{Type: "application/json", Content: r.json}
	}
	answer, err := testenv.Call(ctx, g.client, asked)
	if err != nil {
		return a, err
	}
	status := answer.Status
	if err := answer.Decode(&a); err != nil && status != http.StatusNoContent {
		return a, fmt.Errorf("%s was answered with %d: %w", r.path, status, err)
	}
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return a, fmt.Errorf("%w: %s was answered with %d: %s", errNotNow, r.path, status, a.Message)
	case status >= http.StatusMultipleChoices:
		code := a.Details.Reason
		if code == "" {
			code = conversation.Code(fmt.Sprintf("http %d", status))
		}
		return a, conversation.Refuse(code, conversation.Details{}, "%s", a.Message)
	}
	return a, nil
}

// requestOf returns the HTTP request for an entry's command, or false if the HTTP API has none.
func (g *gateways) requestOf(e *journal.Entry) (request, bool) {
	r := request{token: e.Conversation + "/" + e.ID, form: url.Values{}}
	task := func(sid string) string { return testenv.Workspace(g.account, "/Tasks/"+sid) }
	switch c := e.Command.(type) {
	case conversation.AcceptCommand:
		r.path, r.form = task(c.Task)+"/Reservations/"+c.Reservation, url.Values{"ReservationStatus": {"accepted"}}
		return r, c.Task != "" && c.Reservation != ""
	case conversation.DeclineCommand:
		r.path, r.form = task(c.Task)+"/Reservations/"+c.Reservation, url.Values{"ReservationStatus": {"rejected"}}
		return r, c.Task != "" && c.Reservation != ""
	case conversation.WrapupCommand:
		r.path, r.form = task(c.Task), url.Values{"AssignmentStatus": {"completed"}, "Reason": {c.Disposition}}
		return r, c.Task != ""
	case conversation.EndCommand:
		r.path, r.form = task(c.Task), url.Values{"AssignmentStatus": {"wrapping"}}
		return r, c.Task != ""
	case conversation.CancelCommand:
		r.path, r.json = testenv.Channel(e.Conversation, "/Transfers/"+c.Transfer), `{"status":"failed"}`
		return r, c.Transfer != ""
	case conversation.CloseCommand:
		r.path, r.form = testenv.Channel(e.Conversation, ""), url.Values{"Status": {"closed"}}
		return r, true
	case conversation.MoveCommand:
		to := `"queue_sid":"` + conversation.QueueSID(c.To.Queue) + `"`
		r.path, r.form = testenv.Channel(e.Conversation, "/Invites"), url.Values{"Routing": {`{"properties":{` + to + `}}`}}
		return r, c.To.Queue != ""
	}
	return r, false
}

// transferRequest returns the request of a transfer. It names the sender by the task and the note by its SID.
func (g *gateways) transferRequest(e *journal.Entry, from string, note string) request {
	c, _ := e.Command.(conversation.TransferCommand)
	to := conversation.AgentSID(c.To.Agent)
	if c.To.Queue != "" {
		to = conversation.QueueSID(c.To.Queue)
	}
	return request{
		path: testenv.Channel(e.Conversation, "/Transfers"), token: e.Conversation + "/" + e.ID,
		json: fmt.Sprintf(`{"from":"UT%s","to":"%s","type":"cold","note_sid":"%s"}`, from[2:], to, note),
	}
}

func (g *gateways) startRequest(e *journal.Entry, c conversation.StartCommand) (request, error) {
	attributes, err := json.Marshal(c.Attributes)
	if err != nil {
		return request{}, fmt.Errorf("encode attributes: %w", err)
	}
	more := ""
	if c.Agent != "" {
		more = `,"worker_sid":"` + conversation.AgentSID(c.Agent) + `"`
	}
	return request{path: "/v1/Interactions", token: e.ID + "/start", form: url.Values{
		"Channel": {fmt.Sprintf(`{"type":"%s","participants":[{"name":"%s"}]}`, c.Channel, c.Customer.Name)},
		"Routing": {fmt.Sprintf(`{"properties":{"queue_sid":"%s","priority":%d,"attributes":%s%s}}`, conversation.QueueSID(c.Queue), c.Priority, attributes, more)},
	}}, nil
}

func (g *gateways) sayRequest(e *journal.Entry) request {
	form := url.Values{"Body": {e.Text}}
	if e.Author != records.FromCustomer {
		form.Set("Author", e.Author)
	}
	return request{path: "/v1/Conversations/" + e.Conversation + "/Messages", token: e.Conversation + "/" + e.ID, form: form}
}

func (g *gateways) noteRequest(e *journal.Entry) request {
	return request{
		path: "/v1/Instances/" + conversation.SameSID(desk.PrefixInstance, g.account.SID) + "/Notes", token: e.Conversation + "/" + e.ID,
		form: url.Values{"InteractionSid": {conversation.SameSID(conversation.PrefixInteraction, e.Conversation)}, "Type": {"transfer"}, "Summary": {e.Text}},
	}
}

func (g *gateways) claimRequest(e *journal.Entry, task string) request {
	return request{
		path: testenv.Workspace(g.account, "/Tasks/"+task+"/Reservations"), token: e.Conversation + "/" + e.ID,
		form: url.Values{"WorkerSid": {conversation.AgentSID(e.Agent)}},
	}
}

func (g *gateways) presenceRequest(e *journal.Entry) request {
	activity := routing.ActivityOf(desk.Presence(e.Presence))
	return request{
		path: testenv.Workspace(g.account, "/Workers/"+conversation.AgentSID(e.Agent)), token: "presence/" + e.ID, form: url.Values{"ActivitySid": {activity.SID}},
	}
}

// tryFor is the timeout of the first attempt. Later attempts get longer timeouts, up to longestTry, so that a slow
// call is answered in the end.
const (
	tryFor     = 5 * time.Second
	longestTry = 20 * time.Second
)
