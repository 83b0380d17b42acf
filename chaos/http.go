package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
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
	account desk.Account
	client  *http.Client
	next    atomic.Uint64
}

func newGateways(urls []string, account desk.Account) *gateways {
	return &gateways{urls: urls, account: account, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// errNotNow is an answer after which the same request may be retried.
var errNotNow = errors.New("not now")

// ask sends the request once. A refusal is a [*conversation.Refusal]. Its code is the HTTP status if the refusal
// does not come from the rules.
func (g *gateways) ask(ctx context.Context, r request) (answered, error) {
	var a answered
	to := g.urls[g.next.Add(1)%uint64(len(g.urls))]
	body, kind := r.form.Encode(), "application/x-www-form-urlencoded"
	if r.json != "" {
		body, kind = r.json, "application/json"
	}
	asking, err := http.NewRequestWithContext(ctx, http.MethodPost, to+r.path, strings.NewReader(body))
	if err != nil {
		return a, fmt.Errorf("ask for %s: %w", r.path, err)
	}
	asking.SetBasicAuth(r.key.sid, r.key.secret)
	asking.Header.Set("Content-Type", kind)
	asking.Header.Set("Idempotency-Key", r.token)
	response, err := g.client.Do(asking)
	if err != nil {
		return a, fmt.Errorf("ask for %s: %w", r.path, err)
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return a, fmt.Errorf("read the answer to %s: %w", r.path, err)
	}
	status := response.StatusCode
	if err := json.Unmarshal(text, &a); err != nil && status != http.StatusNoContent {
		return a, fmt.Errorf("%s was answered with %d and %q: %w", r.path, status, text, err)
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

func (g *gateways) workspace() string {
	return "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, g.account.SID)
}

func channelOf(sid string) string {
	return "/v1/Interactions/" + conversation.SameSID(conversation.PrefixInteraction, sid) +
		"/Channels/" + conversation.SameSID(conversation.PrefixInteractionChannel, sid)
}

// requestOf returns the HTTP request for an entry's command, or false if the HTTP API has none.
func (g *gateways) requestOf(e *entry) (request, bool) {
	r := request{token: e.conversation + "/" + e.id, form: url.Values{}}
	task := func(sid string) string { return g.workspace() + "/Tasks/" + sid }
	switch c := e.command.(type) {
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
		r.path, r.json = channelOf(e.conversation)+"/Transfers/"+c.Transfer, `{"status":"failed"}`
		return r, c.Transfer != ""
	case conversation.CloseCommand:
		r.path, r.form = channelOf(e.conversation), url.Values{"Status": {"closed"}}
		return r, true
	case conversation.MoveCommand:
		to := `"queue_sid":"` + conversation.QueueSID(c.To.Queue) + `"`
		r.path, r.form = channelOf(e.conversation)+"/Invites", url.Values{"Routing": {`{"properties":{` + to + `}}`}}
		return r, c.To.Queue != ""
	}
	return r, false
}

// transferRequest returns the request of a transfer. It names the sender by the task and the note by its SID.
func (g *gateways) transferRequest(e *entry, from string, note string) request {
	c, _ := e.command.(conversation.TransferCommand)
	to := conversation.AgentSID(c.To.Agent)
	if c.To.Queue != "" {
		to = conversation.QueueSID(c.To.Queue)
	}
	return request{
		path: channelOf(e.conversation) + "/Transfers", token: e.conversation + "/" + e.id,
		json: fmt.Sprintf(`{"from":"UT%s","to":"%s","type":"cold","note_sid":"%s"}`, from[2:], to, note),
	}
}

func (g *gateways) startRequest(e *entry, c conversation.StartCommand) (request, error) {
	attributes, err := json.Marshal(c.Attributes)
	if err != nil {
		return request{}, fmt.Errorf("encode attributes: %w", err)
	}
	more := ""
	if c.Agent != "" {
		more = `,"worker_sid":"` + conversation.AgentSID(c.Agent) + `"`
	}
	return request{path: "/v1/Interactions", token: e.id + "/start", form: url.Values{
		"Channel": {fmt.Sprintf(`{"type":"%s","participants":[{"name":"%s"}]}`, c.Channel, c.Customer.Name)},
		"Routing": {fmt.Sprintf(`{"properties":{"queue_sid":"%s","priority":%d,"attributes":%s%s}}`, conversation.QueueSID(c.Queue), c.Priority, attributes, more)},
	}}, nil
}

func (g *gateways) sayRequest(e *entry) request {
	form := url.Values{"Body": {e.text}}
	if e.author != desk.FromCustomer {
		form.Set("Author", e.author)
	}
	return request{path: "/v1/Conversations/" + e.conversation + "/Messages", token: e.conversation + "/" + e.id, form: form}
}

func (g *gateways) noteRequest(e *entry) request {
	return request{
		path: "/v1/Instances/" + conversation.SameSID(desk.PrefixInstance, g.account.SID) + "/Notes", token: e.conversation + "/" + e.id,
		form: url.Values{"InteractionSid": {conversation.SameSID(conversation.PrefixInteraction, e.conversation)}, "Type": {"transfer"}, "Summary": {e.text}},
	}
}

func (g *gateways) claimRequest(e *entry, task string) request {
	return request{
		path: g.workspace() + "/Tasks/" + task + "/Reservations", token: e.conversation + "/" + e.id,
		form: url.Values{"WorkerSid": {conversation.AgentSID(e.agent)}},
	}
}

func (g *gateways) presenceRequest(e *entry) request {
	activity := desk.ActivityOf(desk.Presence(e.presence))
	return request{
		path: g.workspace() + "/Workers/" + conversation.AgentSID(e.agent), token: "presence/" + e.id, form: url.Values{"ActivitySid": {activity.SID}},
	}
}

// tryFor is the timeout of the first attempt. Later attempts get longer timeouts, up to longestTry, so that a slow
// call is answered in the end.
const (
	tryFor     = 5 * time.Second
	longestTry = 20 * time.Second
)
