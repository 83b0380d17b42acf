package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/testenv"
)

const (
	// rateHTTP is how many commands a second are sent over HTTP, and as many by the Go client at the same time:
	// well below what the machine can do.
	rateHTTP = 15
	// pooled is how many conversations each of the two sides uses in turn.
	pooled = 20
	// requestTimeout exceeds what a request takes under full load.
	requestTimeout = 30 * time.Second
)

// api calls the HTTP API like a service.
type api struct {
	gateway *serve.Gateway
	client  *http.Client
	key     access.Key
	secret  string
	account access.Account
}

func openAPI(ctx context.Context, s *environment) (*api, error) {
	a := &api{client: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 2 * clients}}}
	var err error
	if a.key, a.secret, err = access.AddKey(ctx, s.Desk, access.Key{Name: "bench", Role: access.KeyService, RateLimit: 1_000_000}); err != nil {
		return nil, err
	}
	if a.account, err = access.ReadAccount(ctx, s.Desk); err != nil {
		return nil, err
	}
	a.gateway, err = serve.StartGateway(ctx, s.Temporal, s.Desk, serve.GatewayOptions{Address: "127.0.0.1:0", Logger: s.log})
	return a, err
}

// call makes a request and returns the status of the answer.
func (a *api) call(ctx context.Context, method, path string, body any) (int, error) {
	answer, err := testenv.Call(ctx, a.client, testenv.Request{Method: method, URL: a.gateway.URL + path, User: a.key.SID, Secret: a.secret, Body: body})
	return answer.Status, err
}

func (a *api) workspace(path string) string { return testenv.Workspace(a.account, path) }

// caller commands a conversation over HTTP as [talk] does with the Go client.
type caller struct {
	*talk

	api *api
	// had is the task of the agent who has the conversation or wraps it up; offered is the task after it.
	had, offered conversation.Task
}

// openCaller starts a conversation that is commanded over HTTP.
func openCaller(ctx context.Context, s *environment, a *api, number int) (*caller, error) {
	talked, err := openTalk(ctx, s, number)
	if err != nil {
		return nil, err
	}
	c := &caller{talk: talked, api: a}
	return c, c.look(ctx)
}

// look reads the SIDs of the last task, which a client would read from a list.
func (c *caller) look(ctx context.Context) error {
	record, err := c.baton.State(ctx, c.SID)
	if err != nil {
		return err
	}
	last := *record.Tasks[len(record.Tasks)-1]
	if last.Status == conversation.TaskReserved {
		c.offered = last
	} else {
		c.had = last
	}
	return nil
}

// request returns the next step as a request.
func (c *caller) request() (path string, body any) {
	switch c.Next().Name() { //nolint:exhaustive // the commands of a cycle
	case conversation.CommandTransfer:
		return testenv.Channel(c.SID, "/Transfers"), testenv.JSON{Value: map[string]string{"from": "UT" + c.had.SID[2:], "to": conversation.AgentSID(c.Other)}}
	case conversation.CommandAccept:
		return c.api.workspace("/Tasks/" + c.offered.SID + "/Reservations/" + c.offered.Reservation.SID), url.Values{"ReservationStatus": {"accepted"}}
	default:
		return c.api.workspace("/Tasks/" + c.had.SID), url.Values{"AssignmentStatus": {"completed"}, "Reason": {"passed on"}}
	}
}

// stepHTTP sends the next command over HTTP. It returns the command's name, how long it took and the status of the
// answer.
func (c *caller) stepHTTP(ctx context.Context) (name string, took time.Duration, status int, err error) {
	command := c.Next().Name()
	path, body := c.request()
	began := time.Now()
	status, err = c.api.call(ctx, http.MethodPost, path, body)
	took = time.Since(began)
	if err != nil || status >= http.StatusBadRequest {
		return string(command), took, status, err
	}
	c.Proceed()
	switch command { //nolint:exhaustive // the commands of a cycle
	case conversation.CommandTransfer:
		err = c.look(ctx)
	case conversation.CommandWrapup:
		c.had = c.offered
	}
	return string(command), took, status, err
}

// atRate sends commands at a fixed rate, alternately by the Go client and over HTTP, and records the times of both.
func (m *measured) atRate(ctx context.Context, s *environment, a *api, p plan) error {
	talks, callers := make(chan *talk, pooled), make(chan *caller, pooled)
	for i := range pooled {
		talked, err := openTalk(ctx, s, i)
		if err != nil {
			return err
		}
		called, err := openCaller(ctx, s, a, i+pooled)
		if err != nil {
			return err
		}
		talks <- talked
		callers <- called
	}
	byClient, overHTTP := round{}, round{}
	var mutex sync.Mutex
	var wrong errs
	var running sync.WaitGroup
	keep := func(into round, name string, took time.Duration, err error) {
		mutex.Lock()
		defer mutex.Unlock()
		wrong.add(err)
		into.of(name).add(took)
	}
	tick := time.NewTicker(time.Second / (2 * rateHTTP))
	defer tick.Stop()
	for i := range int(p.rate.Seconds()) * 2 * rateHTTP {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		running.Go(func() {
			if i%2 == 0 {
				talked := <-talks
				began := time.Now()
				name, err := talked.step(ctx)
				keep(byClient, name, time.Since(began), err)
				talks <- talked
				return
			}
			called := <-callers
			name, took, status, err := called.stepHTTP(ctx)
			if err == nil && status >= http.StatusBadRequest {
				err = fmt.Errorf("a %s over HTTP was answered with %d", name, status)
			}
			keep(overHTTP, name, took, err)
			callers <- called
		})
	}
	running.Wait()
	m.byClient, m.overHTTP = append(m.byClient, byClient), append(m.overHTTP, overHTTP)
	for range pooled {
		wrong.add((<-talks).end(ctx))
		wrong.add((<-callers).end(ctx))
	}
	return wrong.first
}

// errs keeps the first error.
type errs struct{ first error }

func (e *errs) add(err error) {
	if e.first == nil {
		e.first = err
	}
}

// loaded is the result of full load: how many requests were answered, and how many of them with 5xx and 4xx.
type loaded struct {
	Seconds   float64 `json:"seconds"`
	Answered  int64   `json:"answered"`
	PerSecond float64 `json:"per_second"`
	Failed    int64   `json:"answered_5xx"`
	Refused   int64   `json:"answered_4xx"`
}

// fullLoad runs many clients, each of which commands and reads its own conversation.
func fullLoad(ctx context.Context, s *environment, a *api, lasts time.Duration) (loaded, error) {
	callers := make([]*caller, clients)
	if err := each(ctx, clients, func(ctx context.Context, i int) (err error) {
		callers[i], err = openCaller(ctx, s, a, i)
		return err
	}); err != nil {
		return loaded{}, err
	}
	var answered, failed, refused atomic.Int64
	count := func(status int) {
		answered.Add(1)
		switch {
		case status >= http.StatusInternalServerError:
			failed.Add(1)
		case status >= http.StatusBadRequest:
			refused.Add(1)
		}
	}
	began := time.Now()
	err := each(ctx, clients, func(ctx context.Context, i int) error {
		c := callers[i]
		reads := c.reads()
		for n := 0; time.Since(began) < lasts; n++ {
			_, _, status, err := c.stepHTTP(ctx)
			if err != nil {
				return err
			}
			count(status)
			if status, err = a.call(ctx, http.MethodGet, reads[n%len(reads)](), nil); err != nil {
				return err
			}
			count(status)
		}
		return nil
	})
	took := time.Since(began).Seconds()
	l := loaded{Seconds: took, Answered: answered.Load(), PerSecond: float64(answered.Load()) / took, Failed: failed.Load(), Refused: refused.Load()}
	if err != nil {
		return l, err
	}
	return l, each(ctx, clients, func(ctx context.Context, i int) error { return callers[i].end(ctx) })
}

// reads returns the paths that a client reads in turn.
func (c *caller) reads() []func() string {
	digits := c.SID[2:]
	channel := "/v1/Interactions/KD" + digits + "/Channels/UO" + digits
	return []func() string{
		func() string { return c.api.workspace("/Tasks/" + c.had.SID) },
		func() string { return channel + "/Participants" },
		func() string {
			return c.api.workspace("/Workers/" + conversation.AgentSID(c.Holder) + "/Reservations?PageSize=20")
		},
		func() string { return "/v1/Interactions/KD" + digits },
		func() string { return c.api.workspace("/Tasks?AssignmentStatus=assigned&PageSize=20") },
		func() string { return "/v1/Conversations/CH" + digits + "/Messages" },
		func() string { return c.api.workspace("/Workers/" + conversation.AgentSID(c.Other)) },
	}
}

// close stops the gateway.
func (a *api) close(ctx context.Context) error {
	a.client.CloseIdleConnections()
	return a.gateway.Stop(ctx)
}

// measureHTTP measures the API: first at a fixed rate, and last under full load.
func measureHTTP(ctx context.Context, s *environment, p plan, m *measured, progress io.Writer) (err error) {
	a, err := openAPI(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	for round := range p.rounds {
		say(progress, "round %d of %d: commands over HTTP", round+1, p.rounds)
		if err := m.atRate(ctx, s, a, p); err != nil {
			return fmt.Errorf("commands over HTTP: %w", err)
		}
	}
	say(progress, "%d clients over HTTP for %s", clients, p.loadHTTP)
	m.loaded, err = fullLoad(ctx, s, a, p.loadHTTP)
	if err != nil {
		return fmt.Errorf("full load over HTTP: %w", err)
	}
	return nil
}
