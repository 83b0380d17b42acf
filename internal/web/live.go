package web

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/desk"
)

const (
	// lookEvery is the minimum time between two reads of the desk, which may change all the time.
	lookEvery = 100 * time.Millisecond
	// waitsEvery is how often live reads which conversations wait for an agent.
	waitsEvery = time.Second
	// atOnce is the maximum number of events in one read.
	atOnce = 500
)

// live wakes open pages when something that they show has changed. It does not send the change: the page fetches
// itself again, so a lost connection loses no change.
type live struct {
	desk *desk.Desk
	log  *slog.Logger

	mutex  sync.Mutex
	open   map[*watching]bool
	closed bool
	// spoken holds, for each watched conversation, the message counter of the last read ([desk.Desk.Spoken]). waits
	// holds the state of each waiting customer's conversation at the last read ([desk.Desk.Waits]).
	spoken map[string]int
	waits  map[string]desk.Wait
}

// watching describes what one open page shows.
type watching struct {
	// agent is the agent whose work the page shows. everything is set for a page of all conversations.
	agent      string
	everything bool
	// conversations are the SIDs of the conversations that the page shows, regardless of their agent. The value is
	// true if the page also shows the messages.
	conversations map[string]bool
	// customer is set for a customer's page, which shows whether an agent is available while the customer waits.
	customer bool
	// changed holds at most one signal. live closes done when no more signals will come.
	changed, done chan struct{}
}

func newLive(d *desk.Desk, log *slog.Logger) *live {
	return &live{desk: d, log: log, open: map[*watching]bool{}, spoken: map[string]int{}}
}

// watch registers a page for an agent's work, for some conversations, or for everything. Call leave to unregister
// it.
func (l *live) watch(agent string, everything bool, conversations ...string) *watching {
	return l.begin(&watching{agent: agent, everything: everything, conversations: setOf(conversations)})
}

// watchAsCustomer registers a customer's page for its conversation and for the availability of agents.
func (l *live) watchAsCustomer(sid string) *watching {
	return l.begin(&watching{conversations: setOf([]string{sid}), customer: true})
}

func (l *live) begin(w *watching) *watching {
	w.changed, w.done = make(chan struct{}, 1), make(chan struct{})
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.closed {
		close(w.done)
		return w
	}
	l.open[w] = true
	return w
}

// follow replaces the conversations of the page. The value is true if the page also shows the messages.
func (l *live) follow(w *watching, conversations map[string]bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	w.conversations = conversations
}

func (l *live) leave(w *watching) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	delete(l.open, w)
}

// run reads the desk repeatedly until ctx ends. Then it ends every stream.
func (l *live) run(ctx context.Context) error {
	defer l.close()
	var at seen
	var waitsAt time.Time
	failing := false
	for ctx.Err() == nil {
		news, within, leave := l.desk.News() // before the read, so that no change between the two is missed
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
		pause(ctx, lookEvery-time.Since(began), nil)
		pause(ctx, within-time.Since(began), news)
		leave()
	}
	return ctx.Err()
}

// pause waits for d, until something is closed, or until ctx ends.
func pause(ctx context.Context, d time.Duration, something <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-something:
	case <-ctx.Done():
	}
}

// seen is how far live has read: the position in the event log, and the position in the administrators' changes.
type seen struct {
	known                  bool
	position, administered int64
}

// look wakes the pages for new events, changed settings and new messages.
func (l *live) look(ctx context.Context, at *seen) error {
	now, err := l.desk.LastPosition(ctx)
	if err != nil {
		return err
	}
	administered, err := l.desk.Administered(ctx)
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
		events, err := l.desk.AllEvents(ctx, at.position, atOnce)
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

func (l *live) tellAll() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		w.wake()
	}
}

// wakeAgent wakes the pages that show the agent's work.
func (l *live) wakeAgent(name string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		if w.agent == name {
			w.wake()
		}
	}
}

// tell wakes the pages that show the agent or the conversation of one of the events.
func (l *live) tell(events []desk.LoggedEvent) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for w := range l.open {
		if w.everything || slices.ContainsFunc(events, w.shows) {
			w.wake()
		}
	}
}

func (w *watching) shows(e desk.LoggedEvent) bool {
	_, shown := w.conversations[e.Conversation]
	return (w.agent != "" && w.agent == e.Agent) || shown
}

// listen wakes the pages that show a conversation whose messages have changed.
func (l *live) listen(ctx context.Context) error {
	watched := l.watched()
	if len(watched) == 0 {
		return nil
	}
	spoken, err := l.desk.Spoken(ctx, watched)
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
				w.wake()
			}
		}
	}
	l.spoken = spoken
	return nil
}

// lookAtWaits wakes the pages of customers for whom the availability of agents has changed.
func (l *live) lookAtWaits(ctx context.Context) error {
	l.mutex.Lock()
	of := map[string][]*watching{}
	for w := range l.open {
		if w.customer {
			for sid := range w.conversations {
				of[sid] = append(of[sid], w)
			}
		}
	}
	l.mutex.Unlock()
	waits := map[string]desk.Wait{}
	if len(of) > 0 {
		var err error
		if waits, err = l.desk.Waits(ctx, slices.Sorted(maps.Keys(of))); err != nil {
			return err
		}
	}
	for sid, pages := range of {
		if waits[sid] == l.waits[sid] {
			continue
		}
		for _, w := range pages {
			w.wake()
		}
	}
	l.waits = waits
	return nil
}

// watched returns the SIDs of all conversations whose messages a page shows, sorted.
func (l *live) watched() []string {
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
func (l *live) close() {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.closed = true
	for w := range l.open {
		close(w.done)
	}
	clear(l.open)
}

func (w *watching) wake() {
	select {
	case w.changed <- struct{}{}:
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
