package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/lab/chaos/journal"
	"github.com/baton-transfers/baton/lab/chaos/plan"
)

// talk is a conversation in progress.
type talk struct {
	*driver

	plan plan.Talk
	// sid is the conversation's SID, empty until it has started.
	sid string

	mutex sync.Mutex
	// sent counts the IDs made by the talk itself, asked the API keys used for HTTP. No ID is used twice in a
	// conversation.
	sent, asked int
}

// id returns an ID for the next command. Over HTTP, it is the name of the API key that the command is sent with.
func (t *talk) id(w plan.Way) string {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if w == plan.ByHTTP && t.asked < len(t.keys) {
		t.asked++
		return t.keys[t.asked-1].name
	}
	t.sent++
	return fmt.Sprintf("talk-%04d-%02d", t.plan.Number, t.sent)
}

// wayFor returns the way wanted, or the client's way if all keys are used.
func (t *talk) wayFor(w plan.Way) plan.Way {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if w == plan.ByHTTP && t.asked >= len(t.keys)-1 { // a transfer takes two
		return plan.ByClient
	}
	return w
}

// run starts the conversation and takes its steps, each at its planned time or later if an earlier one was delayed.
// After the planned time of the load it takes no more steps, once the journal has enough of each kind. It returns
// an error only if ctx ended or a call stayed unanswered.
func (t *talk) run(ctx context.Context) error {
	at := t.began.Add(t.plan.At)
	if err := sleep.For(ctx, time.Until(at)); err != nil {
		return err
	}
	if !t.start(ctx, at) {
		return ctx.Err()
	}
	for _, s := range t.plan.Steps {
		at = at.Add(s.Gap)
		if err := sleep.For(ctx, time.Until(at)); err != nil {
			return err
		}
		if time.Since(t.began) > t.driver.plan.Lasts && t.journal.Enough() {
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
	c := t.plan.Start
	e := &journal.Entry{ID: fmt.Sprintf("talk-%04d", t.plan.Number), Name: conversation.CommandStart, Way: t.plan.Way, Command: c, Intended: intended}
	if e.Way == plan.ByClient {
		e.Conversation = c.Conversation
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
		if e.Verdict == journal.Done {
			e.Conversation = conversation.SameSID(conversation.PrefixConversation, e.Told)
		}
	}
	if e.Verdict != journal.Done {
		return false
	}
	// The client's start is decided afterwards: it is refused if its agent is not available.
	if _, err := t.state(ctx, e.Conversation); err != nil {
		if code := conversation.CodeOf(err); code != "" {
			t.journal.Correct(e, journal.Refused, code)
		}
		return false
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.sid = e.Conversation
	return true
}

// offerWithin is how long an answer waits for an offer.
const offerWithin = 4 * time.Second

// lookEvery is how often a conversation or a queue is polled while waiting for a change.
const lookEvery = 300 * time.Millisecond

// step takes one step and reports whether the conversation is over.
func (t *talk) step(ctx context.Context, s plan.Step, at time.Time) (over bool, err error) {
	record, err := t.state(ctx, t.sid)
	if err != nil {
		return true, t.unless(ctx, err)
	}
	until := time.Now().Add(offerWithin)
	for s.Act == plan.ActAnswer && plan.Waits(&record) != nil && plan.With(&record, conversation.TaskReserved) == nil && time.Now().Before(until) {
		if err := sleep.For(ctx, lookEvery); err != nil {
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
	if offered := plan.With(&record, conversation.TaskReserved); s.Act == plan.ActAnswer && offered != nil && offered.Reservation.CreatedAt.After(at) {
		at = offered.Reservation.CreatedAt
	}
	intents := t.driver.plan.Resolve(s.Act, s.Dice, &record)
	if s.Act == plan.ActShuffle {
		t.shuffle(ctx, s, intents, at)
		return false, ctx.Err()
	}
	var all sync.WaitGroup
	for _, i := range intents {
		all.Go(func() { t.do(ctx, i, s.Way, s.Copies, at) })
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
func (t *talk) do(ctx context.Context, i plan.Intent, w plan.Way, copies int, intended time.Time) {
	e := &journal.Entry{Conversation: t.sid, Name: i.Name, Way: t.wayFor(w), Agent: i.Agent, Author: i.Author, Intended: intended}
	if i.Command == nil { // a message or a claim: only HTTP has them
		if e.Way = t.wayFor(plan.ByHTTP); e.Way != plan.ByHTTP {
			return // no keys are left
		}
		e.ID = t.id(plan.ByHTTP)
		r := t.gateways.claimRequest(e, i.Task)
		if i.Name == plan.NameSay {
			e.Text = "message " + e.ID + " of " + t.sid
			r = t.gateways.sayRequest(e)
		}
		t.ask(ctx, e, copies, r)
		return
	}
	if c, ok := i.Command.(conversation.TransferCommand); ok && i.Task != "" {
		t.transfer(ctx, e, c, i, copies)
		return
	}
	if e.Way == plan.ByHTTP { // commands without an HTTP request go through the client, with an ID of their own
		if _, ok := t.gateways.requestOf(&journal.Entry{Conversation: t.sid, Command: i.Command}); !ok {
			e.Way = plan.ByClient
		}
	}
	e.ID = t.id(e.Way)
	e.Command = journal.Under(e.ID, i.Command)
	t.send(ctx, e, copies)
}

// transfer transfers the conversation. Over HTTP, it stores the note first.
func (t *talk) transfer(ctx context.Context, e *journal.Entry, c conversation.TransferCommand, i plan.Intent, copies int) {
	if e.Way != plan.ByHTTP {
		e.ID = t.id(e.Way)
		if i.Noted {
			c.Note = "note " + e.ID + " of " + t.sid
			e.Text = c.Note
		}
		e.Command = journal.Under(e.ID, c)
		t.send(ctx, e, copies)
		return
	}
	note := ""
	if i.Noted {
		n := &journal.Entry{Conversation: t.sid, Name: plan.NameNote, Way: plan.ByHTTP, ID: t.id(plan.ByHTTP), Intended: e.Intended}
		n.Text = "note " + n.ID + " of " + t.sid
		t.ask(ctx, n, copies, t.gateways.noteRequest(n))
		note = n.Told
	}
	e.ID = t.id(plan.ByHTTP)
	e.Command = journal.Under(e.ID, c)
	t.ask(ctx, e, copies, t.gateways.transferRequest(e, i.Task, note))
}

// shuffle sends the commands as signals, each twice, in a random order.
func (t *talk) shuffle(ctx context.Context, s plan.Step, intents []plan.Intent, intended time.Time) {
	var entries []*journal.Entry
	for _, i := range intents {
		if i.Command == nil {
			continue
		}
		e := &journal.Entry{Conversation: t.sid, ID: t.id(plan.BySignal), Name: i.Name, Way: plan.BySignal, Intended: intended}
		e.Command = journal.Under(e.ID, i.Command)
		entries = append(entries, e)
	}
	order := plan.Random(uint64(s.Dice[0]), uint64(s.Dice[1]))
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
		var a plan.Act
		switch {
		case record.Status == conversation.ConversationClosed:
			return nil
		case plan.With(&record, conversation.TaskWrapping) != nil:
			a = plan.ActWrapup
		case plan.With(&record, conversation.TaskReserved) != nil:
			a = plan.ActAnswer
		case plan.With(&record, conversation.TaskAssigned) != nil && t.plan.Stays:
			return nil
		case plan.With(&record, conversation.TaskAssigned) != nil:
			a = plan.ActEnd
		default:
			free, err := t.free(ctx, &record)
			if err != nil {
				return err
			}
			waited := time.Since(since)
			if waited < offerWithin || (free != "" && waited < strandedAfter) {
				if err := sleep.For(ctx, lookEvery); err != nil {
					return err
				}
				continue
			}
			if free != "" {
				t.journal.Strand(fmt.Errorf("%s waits, and %s has been free for it for %s", t.sid, free, waited.Round(time.Second)))
			}
			a = plan.ActClose
		}
		since = time.Now()
		intents := t.driver.plan.Resolve(a, plan.Dice{1, 0, 0, 0}, &record)
		for _, i := range intents {
			t.do(ctx, i, plan.ByClient, 1, time.Now())
		}
	}
}

// free returns an agent to whom the desk could offer the waiting task, or "" if there is none.
func (t *talk) free(ctx context.Context, r *conversation.Record) (string, error) {
	task := plan.With(r, conversation.TaskPending)
	if task == nil || task.Direct {
		return "", nil
	}
	agents, err := people.ListAgents(ctx, t.desk)
	if err != nil {
		return "", err
	}
	for _, a := range agents {
		on := slices.IndexFunc(a.Channels, func(c people.AgentChannel) bool { return c.Channel == r.Channel && c.Load < c.Capacity })
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
	for _, a := range d.plan.Agents {
		working.Go(func() {
			for number, s := range d.plan.Shifts {
				if s.Agent != a.Name {
					continue
				}
				if sleep.For(ctx, time.Until(d.began.Add(s.At))) != nil {
					return
				}
				d.become(ctx, fmt.Sprintf("shift-%04d", number), s.Agent, s.Presence, d.began.Add(s.At))
			}
		})
	}
	working.Wait()
}

// allBecome sets every agent's presence, all at once.
func (d *driver) allBecome(ctx context.Context, why string, presence desk.Presence) {
	var working sync.WaitGroup
	for i, a := range d.plan.Agents {
		working.Go(func() { d.become(ctx, fmt.Sprintf("%s-%04d", why, i), a.Name, presence, time.Now()) })
	}
	working.Wait()
}

func (d *driver) become(ctx context.Context, id, agent string, presence desk.Presence, intended time.Time) {
	e := &journal.Entry{ID: id, Name: plan.NamePresence, Way: plan.ByHTTP, Agent: agent, Presence: string(presence), Intended: intended}
	d.ask(ctx, e, 1, d.gateways.presenceRequest(e))
}
