package desk

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// News is the notification for changes that pages show: events, messages and administration. It cannot be a SID.
const News = "news"

// The words of notifications to other processes. The other words are news, and a conversation's SID: the conversation
// has a new revision. A lost notification costs at most one polling interval: every waiter polls.
const (
	notifyMatch   = "place"
	notifyDeliver = "deliver"
)

// notify wakes a dispatcher of this process or, if it runs none, those of other processes.
func (d *Desk) notify(waiter chan struct{}, word string) {
	Wake(waiter)
	if d.dispatchers.Load() == 0 {
		d.db.Notify(word)
	}
}

// listen wakes this desk's own waiters when other processes notify them.
func (d *Desk) listen(ctx context.Context) {
	d.db.Listen(ctx, func(word string) {
		switch word {
		case notifyMatch:
			Wake(d.toMatch)
		case notifyDeliver:
			Wake(d.toDeliver)
		default:
			d.shown.tell(word)
		}
	}, func() {
		Wake(d.toMatch)
		Wake(d.toDeliver)
		d.shown.tellAll()
	})
}

// Wake wakes the one that waits on the channel, or lets its next wait end at once.
func Wake(waiter chan struct{}) {
	select {
	case waiter <- struct{}{}:
	default: // already woken
	}
}

// Wait returns a channel that is closed at the next change of the topic: a conversation's SID, or [News]. Call leave
// when done waiting.
func (d *Desk) Wait(topic string) (changed <-chan struct{}, leave func()) { return d.shown.wait(topic) }

// Changed wakes those who wait for the topic, in every process.
func (d *Desk) Changed(topic string) {
	d.shown.tell(topic)
	d.db.Notify(topic)
}

// Dispatching registers a dispatcher of this process, until it calls end. The channels receive a value when there is
// something to match or to deliver. The dispatcher calls progress with every round.
func (d *Desk) Dispatching() (match, deliver <-chan struct{}, progress, end func()) {
	progress = func() { d.dispatchedAt.Store(time.Now().UnixNano()) }
	progress()
	d.dispatchers.Add(1)
	return d.toMatch, d.toDeliver, progress, func() { d.dispatchers.Add(-1) }
}

// Dispatchers returns how many dispatchers run in this process.
func (d *Desk) Dispatchers() int { return int(d.dispatchers.Load()) }

// Waiters returns how many topics are waited for in this process.
func (d *Desk) Waiters() int { return len(d.shown.waiters) }

// Dispatches returns an error if a dispatcher runs in this process that has finished no round within that time: its
// database does not answer or blocks it.
func (d *Desk) Dispatches(within time.Duration) error {
	if d.dispatchers.Load() == 0 {
		return nil
	}
	return moved(&d.dispatchedAt, within)
}

// Listens returns an error if the connection for the notifications of other processes has not worked within that
// time.
func (d *Desk) Listens(within time.Duration) error { return d.db.Listens(within) }

// moved returns an error if the time at, in Unix nanoseconds, is longer ago than within.
func moved(at *atomic.Int64, within time.Duration) error {
	if since := time.Since(time.Unix(0, at.Load())); since > within {
		return fmt.Errorf("no round for %s", since.Round(time.Second))
	}
	return nil
}

// shown signals to waiters that a conversation's rows have changed.
type shown struct {
	mutex   sync.Mutex
	waiters map[string]*waiters
}

type waiters struct {
	changed chan struct{}
	count   int
}

func newShown() *shown { return &shown{waiters: map[string]*waiters{}} }

// wait returns a channel that is closed at the next change, and a function to be called when the caller stops
// waiting.
func (s *shown) wait(sid string) (<-chan struct{}, func()) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	w := s.waiters[sid]
	if w == nil {
		w = &waiters{changed: make(chan struct{})}
		s.waiters[sid] = w
	}
	w.count++
	return w.changed, func() {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		if w.count--; w.count == 0 && s.waiters[sid] == w {
			delete(s.waiters, sid)
		}
	}
}

// tellAll wakes all waiters.
func (s *shown) tellAll() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for sid, w := range s.waiters {
		close(w.changed)
		delete(s.waiters, sid)
	}
}

func (s *shown) tell(sid string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if w := s.waiters[sid]; w != nil {
		close(w.changed)
		delete(s.waiters, sid)
	}
}

const (
	// pollUnnotified is the polling interval on databases without notifications between processes (SQLite).
	// pollNotified is the interval on databases with notifications, which may be lost.
	pollUnnotified, pollNotified = 100 * time.Millisecond, time.Second
)

// WaitNews returns a channel that is closed at the next event, message or administrative change. It may miss changes by
// other processes, so callers must also poll at the returned interval. Call leave when done waiting.
func WaitNews(d *Desk) (something <-chan struct{}, look time.Duration, leave func()) {
	something, leave = d.Wait(News)
	if !d.DB().Notifies() {
		return something, pollUnnotified, leave
	}
	return something, pollNotified, leave
}
