package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/workflows"
)

// driver plays all parties outside Baton: customers, agents, and the services around them.
type driver struct {
	baton    *baton.Client
	desk     *desk.Desk // only read
	temporal client.Client
	gateways *gateways
	keys     []key
	journal  *journal
	plan     plan
	began    time.Time
}

// insistFor is how long a call is retried before it counts as never answered. It exceeds any fault, also on a busy
// machine.
const insistFor = 4 * time.Minute

// anew is the pause before a retry.
const anew = 50 * time.Millisecond

// insist retries the call until it returns nil or a refusal. It sends copies at the same time. The entry gets the
// answer of a copy that was carried out, or else of the last one.
func (d *driver) insist(ctx context.Context, e *entry, copies int, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, insistFor)
	defer cancel()
	e.sent = time.Now()
	if e.intended.IsZero() {
		e.intended = e.sent
	}
	e.verdict = unknown
	var mutex sync.Mutex
	var sending sync.WaitGroup
	for range copies {
		sending.Go(func() {
			for within := tryFor; ; within = min(2*within, longestTry) {
				trying, cancel := context.WithTimeout(ctx, within)
				err := call(trying)
				cancel()
				mutex.Lock()
				known := e.answer(err)
				mutex.Unlock()
				if known || pause(ctx, anew) != nil {
					return
				}
			}
		})
	}
	sending.Wait()
	d.journal.write(e)
}

// answer records the result of an attempt and reports whether it was an answer.
func (e *entry) answer(err error) bool {
	e.attempts++
	code := conversation.CodeOf(err)
	switch {
	case err == nil:
		e.verdict, e.answered = done, time.Now()
		return true
	case code == conversation.CodeDeskUnavailable: // nothing was changed: retry in a moment
		return false
	case code != "":
		if e.verdict != done {
			e.verdict, e.code, e.refusal, e.answered = refused, code, err.Error(), time.Now()
		}
		return true
	default:
		e.unanswered++
		return false
	}
}

// send sends the entry's command in the entry's way, or through the client if that way does not have the command.
func (d *driver) send(ctx context.Context, e *entry, copies int) {
	var mutex sync.Mutex // the copies' outcomes are equal, or one copy was refused
	switch e.way {
	case bySignal:
		d.signal(ctx, e)
		return
	case byHTTP:
		if r, ok := d.gateways.requestOf(e); ok {
			d.ask(ctx, e, copies, r)
			return
		}
		e.way = byClient
	case byClient:
	}
	d.insist(ctx, e, copies, func(ctx context.Context) error {
		outcome, err := d.baton.Send(ctx, e.conversation, e.command)
		if err == nil {
			mutex.Lock()
			e.outcome = &outcome
			mutex.Unlock()
		}
		return err
	})
}

// ask sends the request with the entry's key.
func (d *driver) ask(ctx context.Context, e *entry, copies int, r request) {
	r.key = d.keyOf(e.id)
	var mutex sync.Mutex
	d.insist(ctx, e, copies, func(ctx context.Context) error {
		a, err := d.gateways.ask(ctx, r)
		if err == nil {
			mutex.Lock()
			e.told = a.SID
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
func (d *driver) signal(ctx context.Context, e *entry) {
	d.insist(ctx, e, 2, func(ctx context.Context) error {
		return d.temporal.SignalWorkflow(ctx, workflows.ID(e.conversation), "", string(e.name), e.command)
	})
	if e.verdict == done {
		d.journal.correct(e, handed, e.code)
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
			d.journal.look(&record)
			return record, nil
		case conversation.CodeOf(err) != "":
			return record, err
		}
		if paused := pause(ctx, anew); paused != nil {
			return record, errors.Join(err, paused)
		}
	}
}

// under returns the command with that ID as its ID and sender, by which its effects are recognized.
func under[C conversation.Command](id string, c C) conversation.Command {
	payload, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("a %s command has no JSON: %v", c.Name(), err)) // its fields are text
	}
	var fields map[string]any
	if err := json.Unmarshal(payload, &fields); err != nil {
		panic(fmt.Sprintf("the JSON of a %s command isn't an object: %v", c.Name(), err))
	}
	fields["by"] = id
	if payload, err = json.Marshal(fields); err != nil {
		panic(fmt.Sprintf("a %s command has no JSON: %v", c.Name(), err))
	}
	command, err := conversation.Decode(c.Name(), payload, id)
	if err != nil {
		panic(fmt.Sprintf("the driver makes a %s command that is none: %v", c.Name(), err))
	}
	return command
}
