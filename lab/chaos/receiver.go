package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// receiver is the HTTP server that webhooks are sent to. How it answers changes over time.
type receiver struct {
	address string
	server  *http.Server

	mutex  sync.Mutex
	temper plan.Temper
	// changed is closed when the temper changes, which releases the requests that hang.
	changed chan struct{}
	// told are the event log positions of the accepted events, in order of arrival.
	told []int64
	// strange counts requests that are not events; refused counts events that were not accepted.
	strange, refused int
}

func newReceiver(address string) *receiver {
	return &receiver{address: address, temper: plan.Pleased, changed: make(chan struct{})}
}

func (r *receiver) url() string { return "http://" + r.address + "/events" }

// open serves until [receiver.close].
func (r *receiver) open(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.address)
	if err != nil {
		return fmt.Errorf("listen for webhooks on %s: %w", r.address, err)
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: testenv.Patience}
	go func(server *http.Server) { _ = server.Serve(listener) }(r.server) // until it is closed
	return nil
}

// close breaks off the requests in progress, like the end of a process.
func (r *receiver) close() { _ = r.server.Close() }

// become changes the temper. It closes the server for [plan.IsAway], and reopens it afterwards.
func (r *receiver) become(ctx context.Context, t plan.Temper) error {
	r.mutex.Lock()
	was := r.temper
	r.temper = t
	close(r.changed)
	r.changed = make(chan struct{})
	r.mutex.Unlock()
	switch {
	case t == plan.IsAway && was != plan.IsAway:
		r.close()
	case t != plan.IsAway && was == plan.IsAway:
		return r.open(ctx)
	}
	return nil
}

// ServeHTTP implements [http.Handler].
func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if err := request.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mutex.Lock()
	t, changed := r.temper, r.changed
	r.mutex.Unlock()
	if t == plan.Hangs {
		select {
		case <-changed:
		case <-request.Context().Done():
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	_, position, known := desk.EventPosition(request.PostForm.Get("Sid"))
	switch {
	case !known:
		r.strange++
		w.WriteHeader(http.StatusBadRequest)
	case t != plan.Pleased:
		r.refused++
		w.WriteHeader(http.StatusInternalServerError)
	default:
		r.told = append(r.told, position)
		w.WriteHeader(http.StatusNoContent)
	}
}

// positions returns the accepted positions so far, in order of arrival.
func (r *receiver) positions() []int64 {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.told)
}

// runMoods changes the temper as planned, and at the end makes the receiver answer normally.
func (r *receiver) runMoods(ctx context.Context, began time.Time, moods []plan.Mood) error {
	for _, m := range moods {
		if err := sleep.For(ctx, time.Until(began.Add(m.At))); err != nil {
			return err
		}
		if err := r.become(ctx, m.Temper); err != nil {
			return err
		}
	}
	return r.become(ctx, plan.Pleased)
}
