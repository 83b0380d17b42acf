// Package live wakes open pages when something that they show has changed. One loop reads the desk for all of them.
//
// Must not import: sessions, requests or templates.
package live

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/outbox"
	"github.com/baton-transfers/baton/internal/records"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/sleep"
)

const (
	// lookEvery is the minimum time between two reads of the desk, which may change all the time.
	lookEvery = 100 * time.Millisecond
	// waitsEvery is how often the watcher reads which conversations wait for an agent.
	waitsEvery = time.Second
	// atOnce is the maximum number of events in one read.
	atOnce = 500
)

// Watcher wakes open pages when something that they show has changed. It does not send the change: the page fetches
// itself again, so a lost connection loses no change.
type Watcher struct {
	desk *desk.Desk
	log  *slog.Logger

	mutex  sync.Mutex
	open   map[*Page]bool
	closed bool
	// spoken holds, for each watched conversation, the message counter of the last read ([records.ReadSpoken]). waits
	// holds the state of each waiting customer's conversation at the last read ([routing.ReadWaits]).
	spoken map[string]int
	waits  map[string]routing.Wait
}

// Page describes what one open page shows.
type Page struct {
	// agent is the agent whose work the page shows.
	agent string
	// Everything is set for a page of all conversations.
	Everything bool
	// conversations are the SIDs of the conversations that the page shows, regardless of their agent. The value is
	// true if the page also shows the messages.
	conversations map[string]bool
	// customer is set for a customer's page, which shows whether an agent is available while the customer waits.
	customer bool
	// Changed holds at most one signal. The watcher closes Done when no more signals will come.
	Changed, Done chan struct{}
}

// New returns a watcher of an open desk. It wakes no page before [Watcher.Run] runs.
func New(d *desk.Desk, log *slog.Logger) *Watcher {
	return &Watcher{desk: d, log: log, open: map[*Page]bool{}, spoken: map[string]int{}}
}

// Watch registers a page for an agent's work, for some conversations, or for everything. Call Leave to unregister
// it.
func (l *Watcher) Watch(agent string, everything bool, conversations ...string) *Page {
	return l.begin(&Page{agent: agent, Everything: everything, conversations: setOf(conversations)})
}

// WatchAsCustomer registers a customer's page for its conversation and for the availability of agents.
func (l *Watcher) WatchAsCustomer(sid string) *Page {
	return l.begin(&Page{conversations: setOf([]string{sid}), customer: true})
}

func (l *Watcher) begin(w *Page) *Page {
	w.Changed, w.Done = make(chan struct{}, 1), make(chan struct{})
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed {
		close(w.Done)
		return w
	}
	l.open[w] = true
	return w
}

// Follow replaces the conversations of the page. The value is true if the page also shows the messages.
func (l *Watcher) Follow(w *Page, conversations map[string]bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	w.conversations = conversations
}

// Leave unregisters the page.
func (l *Watcher) Leave(w *Page) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.open, w)
}

// Run reads the desk repeatedly until ctx ends. Then it ends every stream.
func (l *Watcher) Run(ctx context.Context) error {
	defer l.close()
	var at seen
	var waitsAt time.Time
	failing := false
	for ctx.Err() == nil {
		news, within, leave := desk.WaitNews(l.desk) // before the read, so that no change between the two is missed
		began := time.Now()
		err := l.look(ctx, &at)
		if err == nil && began.Sub(waitsAt) >= waitsEvery {
			waitsAt = began
			err = l.lookAtWaits(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			l.log.WarnContext(ctx, "event log not read, page updates are delayed", "error", err)
		}
		failing = err != nil
		_ = sleep.For(ctx, lookEvery-time.Since(began))
		_ = sleep.Until(ctx, news, within-time.Since(began))
		leave()
	}
	return ctx.Err()
}

// seen is how far the watcher has read: the position in the event log, and the position in the administrators' changes.
type seen struct {
	known                  bool
	position, administered int64
}

// look wakes the pages for new events, changed settings and new messages.
func (l *Watcher) look(ctx context.Context, at *seen) error {
	now, err := desk.LastPosition(ctx, l.desk)
	if err != nil {
		return err
	}
	administered, err := desk.LastAdministered(ctx, l.desk)
	if err != nil {
		return err
	}
	if !at.known {
		*at = seen{true, now, administered}
	}
	if at.administered != administered || now < at.position { // settings changed, or an older database was restored
		l.tellAll()
		at.administered, at.position = administered, min(at.position, now)
	}
	for at.position < now {
		events, err := outbox.EventsAfter(ctx, l.desk, at.position, atOnce)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			at.position = now // no event has these positions
			break
		}
		l.tell(events)
		at.position = events[len(events)-1].Position
	}
	return l.listen(ctx)
}

func (l *Watcher) tellAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		w.Wake()
	}
}

// WakeAgent wakes the pages that show the agent's work.
func (l *Watcher) WakeAgent(name string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		if w.agent == name {
			w.Wake()
		}
	}
}

// tell wakes the pages that show the agent or the conversation of one of the events.
func (l *Watcher) tell(events []desk.LoggedEvent) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		if w.Everything || slices.ContainsFunc(events, w.shows) {
			w.Wake()
		}
	}
}

func (w *Page) shows(e desk.LoggedEvent) bool {
	_, shown := w.conversations[e.Conversation]
	return (w.agent != "" && w.agent == e.Agent) || shown
}

// listen wakes the pages that show a conversation whose messages have changed.
func (l *Watcher) listen(ctx context.Context) error {
	watched := l.watched()
	if len(watched) == 0 {
		return nil
	}
	spoken, err := records.ReadSpoken(ctx, l.desk, watched)
	if err != nil {
		return err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		for sid, messages := range w.conversations {
			if !messages {
				continue
			}
			before, looked := l.spoken[sid]
			if now, there := spoken[sid]; there && (!looked || now != before) {
				w.Wake()
			}
		}
	}
	l.spoken = spoken
	return nil
}

// lookAtWaits wakes the pages of customers for whom the availability of agents has changed.
func (l *Watcher) lookAtWaits(ctx context.Context) error {
	l.mutex.Lock()
	of := map[string][]*Page{}
	for w := range l.open {
		if w.customer {
			for sid := range w.conversations {
				of[sid] = append(of[sid], w)
			}
		}
	}
	l.mutex.Unlock()
	waits := map[string]routing.Wait{}
	if len(of) > 0 {
		var err error
		if waits, err = routing.ReadWaits(ctx, l.desk, slices.Sorted(maps.Keys(of))); err != nil {
			return err
		}
	}
	for sid, pages := range of {
		if waits[sid] == l.waits[sid] {
			continue
		}
		for _, w := range pages {
			w.Wake()
		}
	}
	l.waits = waits
	return nil
}

// watched returns the SIDs of all conversations whose messages a page shows, sorted.
func (l *Watcher) watched() []string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	all := map[string]bool{}
	for w := range l.open {
		for sid, messages := range w.conversations {
			if messages {
				all[sid] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// close ends every stream.
func (l *Watcher) close() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.closed = true
	for w := range l.open {
		close(w.Done)
	}
	clear(l.open)
}

// Wake signals that something on the page has changed.
func (w *Page) Wake() {
	select {
	case w.Changed <- struct{}{}:
	default: // a signal is pending already
	}
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
