package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/desk"
)

// talk is a conversation in progress.
type talk struct {
	*driver

	plan talkPlan
	// sid is the conversation's SID, empty until it has started.
	sid string

	mutex sync.Mutex
	// sent counts the IDs made by the talk itself, asked the API keys used for HTTP. No ID is used twice in a
	// conversation.
	sent, asked int
}

// id returns an ID for the next command. Over HTTP, it is the name of the API key that the command is sent with.
func (t *talk) id(w way) string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if w == byHTTP && t.asked < len(t.keys) {
		t.asked++
		return t.keys[t.asked-1].name
	}
	t.sent++
	return fmt.Sprintf("talk-%04d-%02d", t.plan.number, t.sent)
}

// wayFor returns the way wanted, or the client's way if all keys are used.
func (t *talk) wayFor(w way) way {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if w == byHTTP && t.asked >= len(t.keys)-1 { // a transfer takes two
		return byClient
	}
	return w
}

// run starts the conversation and takes its steps, each at its planned time or later if an earlier one was delayed.
// After the planned time of the load it takes no more steps, once the journal has enough of each kind. It returns
// an error only if ctx ended or a call stayed unanswered.
func (t *talk) run(ctx context.Context) error {
	at := t.began.Add(t.plan.at)
	if err := pause(ctx, time.Until(at)); err != nil {
		return err
	}
	if !t.start(ctx, at) {
		return ctx.Err()
	}
	for _, s := range t.plan.steps {
		at = at.Add(s.gap)
		if err := pause(ctx, time.Until(at)); err != nil {
			return err
		}
		if time.Since(t.began) > t.driver.plan.lasts && t.journal.enough() {
			return nil
		}
		over, err := t.step(ctx, s, at)
		if err != nil || over {
			return err
		}
	}
	return nil
}

// start starts the conversation and reports whether it exists.
func (t *talk) start(ctx context.Context, intended time.Time) bool {
	c := t.plan.start
	e := &entry{id: fmt.Sprintf("talk-%04d", t.plan.number), name: conversation.CommandStart, way: t.plan.way, command: c, intended: intended}
	if e.way == byClient {
		e.conversation = c.Conversation
		t.insist(ctx, e, 1, func(ctx context.Context) error {
			_, err := t.baton.Start(ctx, c)
			// Only this talk knows the SID, so a conversation that exists is the one whose answer was lost.
			if conversation.CodeOf(err) == conversation.CodeInvalidPayload {
				return nil
			}
			return err
		})
	} else {
		r, err := t.gateways.startRequest(e, c)
		if err != nil {
			panic(err.Error()) // its attributes are JSON
		}
		t.ask(ctx, e, 1, r)
		if e.verdict == done {
			e.conversation = conversation.SameSID(conversation.PrefixConversation, e.told)
		}
	}
	if e.verdict != done {
		return false
	}
	// The client's start is decided afterwards: it is refused if its agent is not available.
	if _, err := t.state(ctx, e.conversation); err != nil {
		if code := conversation.CodeOf(err); code != "" {
			t.journal.correct(e, refused, code)
		}
		return false
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.sid = e.conversation
	return true
}

// offerWithin is how long an answer waits for an offer.
const offerWithin = 4 * time.Second

// lookEvery is how often a conversation or a queue is polled while waiting for a change.
const lookEvery = 300 * time.Millisecond

// step takes one step and reports whether the conversation is over.
func (t *talk) step(ctx context.Context, s step, at time.Time) (over bool, err error) {
	record, err := t.state(ctx, t.sid)
	if err != nil {
		return true, t.unless(ctx, err)
	}
	until := time.Now().Add(offerWithin)
	for s.act == actAnswer && waits(&record) != nil && with(&record, conversation.TaskReserved) == nil && time.Now().Before(until) {
		if err := pause(ctx, lookEvery); err != nil {
			return true, err
		}
		if record, err = t.state(ctx, t.sid); err != nil {
			return true, t.unless(ctx, err)
		}
	}
	if record.Status == conversation.ConversationClosed {
		return true, nil
	}
	// The answer to an offer is intended no earlier than the offer was made.
	if offered := with(&record, conversation.TaskReserved); s.act == actAnswer && offered != nil && offered.Reservation.CreatedAt.After(at) {
		at = offered.Reservation.CreatedAt
	}
	intents := t.driver.plan.resolve(s.act, s.dice, &record)
	if s.act == actShuffle {
		t.shuffle(ctx, s, intents, at)
		return false, ctx.Err()
	}
	var all sync.WaitGroup
	for _, i := range intents {
		all.Go(func() { t.do(ctx, i, s.way, s.copies, at) })
	}
	all.Wait()
	return false, ctx.Err()
}

// unless ignores a refusal: the conversation is over, or was never started.
func (t *talk) unless(ctx context.Context, err error) error {
	if conversation.CodeOf(err) != "" {
		return nil
	}
	return errors.Join(err, ctx.Err())
}

// do carries out an intent and waits for the answer.
func (t *talk) do(ctx context.Context, i intent, w way, copies int, intended time.Time) {
	e := &entry{conversation: t.sid, name: i.name, way: t.wayFor(w), agent: i.agent, author: i.author, intended: intended}
	if i.command == nil { // a message or a claim: only HTTP has them
		if e.way = t.wayFor(byHTTP); e.way != byHTTP {
			return // no keys are left
		}
		e.id = t.id(byHTTP)
		r := t.gateways.claimRequest(e, i.task)
		if i.name == nameSay {
			e.text = "message " + e.id + " of " + t.sid
			r = t.gateways.sayRequest(e)
		}
		t.ask(ctx, e, copies, r)
		return
	}
	if c, ok := i.command.(conversation.TransferCommand); ok && i.task != "" {
		t.transfer(ctx, e, c, i, copies)
		return
	}
	if e.way == byHTTP { // commands without an HTTP request go through the client, with an ID of their own
		if _, ok := t.gateways.requestOf(&entry{conversation: t.sid, command: i.command}); !ok {
			e.way = byClient
		}
	}
	e.id = t.id(e.way)
	e.command = under(e.id, i.command)
	t.send(ctx, e, copies)
}

// transfer transfers the conversation. Over HTTP, it stores the note first.
func (t *talk) transfer(ctx context.Context, e *entry, c conversation.TransferCommand, i intent, copies int) {
	if e.way != byHTTP {
		e.id = t.id(e.way)
		if i.noted {
			c.Note = "note " + e.id + " of " + t.sid
			e.text = c.Note
		}
		e.command = under(e.id, c)
		t.send(ctx, e, copies)
		return
	}
	note := ""
	if i.noted {
		n := &entry{conversation: t.sid, name: nameNote, way: byHTTP, id: t.id(byHTTP), intended: e.intended}
		n.text = "note " + n.id + " of " + t.sid
		t.ask(ctx, n, copies, t.gateways.noteRequest(n))
		note = n.told
	}
	e.id = t.id(byHTTP)
	e.command = under(e.id, c)
	t.ask(ctx, e, copies, t.gateways.transferRequest(e, i.task, note))
}

// shuffle sends the commands as signals, each twice, in a random order.
func (t *talk) shuffle(ctx context.Context, s step, intents []intent, intended time.Time) {
	var entries []*entry
	for _, i := range intents {
		if i.command == nil {
			continue
		}
		e := &entry{conversation: t.sid, id: t.id(bySignal), name: i.name, way: bySignal, intended: intended}
		e.command = under(e.id, i.command)
		entries = append(entries, e)
	}
	order := random(uint64(s.dice[0]), uint64(s.dice[1]))
	order.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var all sync.WaitGroup
	for _, e := range entries {
		all.Go(func() { t.signal(ctx, e) })
	}
	all.Wait()
}

// strandedAfter is how long a task may wait while an agent is free for it, after all faults have ended.
const strandedAfter = time.Minute

// finish closes the conversation, or brings it to an agent if it is to stay open.
func (t *talk) finish(ctx context.Context) error {
	since := time.Now()
	for {
		record, err := t.state(ctx, t.sid)
		if err != nil {
			return t.unless(ctx, err)
		}
		var a act
		switch {
		case record.Status == conversation.ConversationClosed:
			return nil
		case with(&record, conversation.TaskWrapping) != nil:
			a = actWrapup
		case with(&record, conversation.TaskReserved) != nil:
			a = actAnswer
		case with(&record, conversation.TaskAssigned) != nil && t.plan.stays:
			return nil
		case with(&record, conversation.TaskAssigned) != nil:
			a = actEnd
		default:
			free, err := t.free(ctx, &record)
			if err != nil {
				return err
			}
			waited := time.Since(since)
			if waited < offerWithin || (free != "" && waited < strandedAfter) {
				if err := pause(ctx, lookEvery); err != nil {
					return err
				}
				continue
			}
			if free != "" {
				t.journal.strand(fmt.Errorf("%s waits, and %s has been free for it for %s", t.sid, free, waited.Round(time.Second)))
			}
			a = actClose
		}
		since = time.Now()
		intents := t.driver.plan.resolve(a, dice{1, 0, 0, 0}, &record)
		for _, i := range intents {
			t.do(ctx, i, byClient, 1, time.Now())
		}
	}
}

// free returns an agent to whom the desk could offer the waiting task, or "" if there is none.
func (t *talk) free(ctx context.Context, r *conversation.Record) (string, error) {
	task := with(r, conversation.TaskPending)
	if task == nil || task.Direct {
		return "", nil
	}
	agents, err := desk.ListAgents(ctx, t.desk)
	if err != nil {
		return "", err
	}
	for _, a := range agents {
		on := slices.IndexFunc(a.Channels, func(c desk.AgentChannel) bool { return c.Channel == r.Channel && c.Load < c.Capacity })
		holds := slices.ContainsFunc(r.LiveTasks(), func(live *conversation.Task) bool { return live.Agent == a.Name })
		if on >= 0 && !holds && a.Available() && slices.Contains(a.Queues, task.Queue) {
			return a.Name, nil
		}
	}
	return "", nil
}

// shifts changes the agents' presence as planned, through the HTTP API. The changes of one agent are made one at a
// time.
func (d *driver) shifts(ctx context.Context) {
	var working sync.WaitGroup
	for _, a := range d.plan.agents {
		working.Go(func() {
			for number, s := range d.plan.shifts {
				if s.agent != a.name {
					continue
				}
				if pause(ctx, time.Until(d.began.Add(s.at))) != nil {
					return
				}
				d.become(ctx, fmt.Sprintf("shift-%04d", number), s.agent, s.presence, d.began.Add(s.at))
			}
		})
	}
	working.Wait()
}

// allBecome sets every agent's presence, all at once.
func (d *driver) allBecome(ctx context.Context, why string, presence desk.Presence) {
	var working sync.WaitGroup
	for i, a := range d.plan.agents {
		working.Go(func() { d.become(ctx, fmt.Sprintf("%s-%04d", why, i), a.name, presence, time.Now()) })
	}
	working.Wait()
}

func (d *driver) become(ctx context.Context, id, agent string, presence desk.Presence, intended time.Time) {
	e := &entry{id: id, name: namePresence, way: byHTTP, agent: agent, presence: string(presence), intended: intended}
	d.ask(ctx, e, 1, d.gateways.presenceRequest(e))
}
