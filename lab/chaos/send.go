package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
	"github.com/baton-transfers/baton/workflows"
)

// driver plays all parties outside Baton: customers, agents, and the services around them.
type driver struct {
	baton    *baton.Client
	desk     *desk.Desk // only read
	temporal client.Client
	gateways *gateways
	keys     []key
	journal  *journal.Journal
	plan     plan.Plan
	began    time.Time
}

// insistFor is how long a call is retried before it counts as never answered. It exceeds any fault, also on a busy
// machine.
const insistFor = 4 * time.Minute

// anew is the pause before a retry.
const anew = 50 * time.Millisecond

// insist retries the call until it returns nil or a refusal. It sends copies at the same time. The entry gets the
// answer of a copy that was carried out, or else of the last one.
func (d *driver) insist(ctx context.Context, e *journal.Entry, copies int, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	e.Sent = time.Now()
	if e.Intended.IsZero() {
		e.Intended = e.Sent
	}
	e.Verdict = journal.Unknown
	var mutex sync.Mutex
	var sending sync.WaitGroup
	for range copies {
		sending.Go(func() {
			for within := tryFor; ; within = min(2*within, longestTry) {
				trying, cancel := context.WithTimeout(ctx, within)
				err := call(trying)
				cancel()
				mutex.Lock()
				known := e.Answer(err)
				mutex.Unlock()
				if known || sleep.For(ctx, anew) != nil {
					return
				}
			}
		})
	}
	sending.Wait()
	d.journal.Write(e)
}

// send sends the entry's command in the entry's way, or through the client if that way does not have the command.
func (d *driver) send(ctx context.Context, e *journal.Entry, copies int) {
	var mutex sync.Mutex // the copies' outcomes are equal, or one copy was refused
	switch e.Way {
	case plan.BySignal:
		d.signal(ctx, e)
		return
	case plan.ByHTTP:
		if r, ok := d.gateways.requestOf(e); ok {
			d.ask(ctx, e, copies, r)
			return
		}
		e.Way = plan.ByClient
	case plan.ByClient:
	}
	d.insist(ctx, e, copies, func(ctx context.Context) error {
		outcome, err := d.baton.Send(ctx, e.Conversation, e.Command)
		if err == nil {
			mutex.Lock()
			e.Outcome = &outcome
			mutex.Unlock()
		}
		return err
	})
}

// ask sends the request with the entry's key.
func (d *driver) ask(ctx context.Context, e *journal.Entry, copies int, r request) {
	r.key = d.keyOf(e.ID)
	var mutex sync.Mutex
	d.insist(ctx, e, copies, func(ctx context.Context) error {
		a, err := d.gateways.ask(ctx, r)
		if err == nil {
			mutex.Lock()
			e.Told = a.SID
			mutex.Unlock()
		}
		return err
	})
}

func (d *driver) keyOf(id string) key {
	for _, k := range d.keys {
		if k.name == id {
			return k
		}
	}
	return d.keys[0]
}

// signal sends the command twice, like a caller that is not sure whether the first attempt arrived.
func (d *driver) signal(ctx context.Context, e *journal.Entry) {
	d.insist(ctx, e, 2, func(ctx context.Context) error {
		return d.temporal.SignalWorkflow(ctx, workflows.ID(e.Conversation), "", string(e.Name), e.Command)
	})
	if e.Verdict == journal.Done {
		d.journal.Correct(e, journal.Handed, e.Code)
	}
}

// state reads the conversation, with retries until it is answered. A refusal is the refusal of the conversation's
// start.
func (d *driver) state(ctx context.Context, sid string) (conversation.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	for {
		trying, stop := context.WithTimeout(ctx, 2*tryFor)
		record, err := d.baton.State(trying, sid)
		stop()
		switch {
		case err == nil && record.Status != "":
			d.journal.Look(&record)
			return record, nil
		case conversation.CodeOf(err) != "":
			return record, err
		}
		if paused := sleep.For(ctx, anew); paused != nil {
			return record, errors.Join(err, paused)
		}
	}
}
