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
	// lookEvery is how often the desk is looked at, at most: it may change all the time.
	lookEvery = 100 * time.Millisecond
	// waitsEvery is how often it is looked at who waits for an agent.
	waitsEvery = time.Second
	// atOnce is how many events are read at a time.
	atOnce = 500
)

// live tells open pages that something they show has changed. What it was, a page sees when it
// fetches itself anew; so nothing is missed, however often a connection is lost.
type live struct {
	desk *desk.Desk
	log  *slog.Logger

	mutex  sync.Mutex
	open   map[*watching]bool
	closed bool
	// spoken is how much was written in each watched conversation when it was looked at last, waits how those of customers
	// stood that waited.
	spoken map[string]int
	waits  map[string]desk.Wait
}

// watching is what one open page shows.
type watching struct {
	// agent is whose work is shown, everything set where all conversations are.
	agent      string
	everything bool
	// conversations are those shown, whoever has them: true where also what is written in them is.
	conversations map[string]bool
	// customer is set for a customer's page, which says whether an agent is there while they wait.
	customer bool
	// changed holds one signal; done is closed when no more will come.
	changed, done chan struct{}
}

func newLive(d *desk.Desk, log *slog.Logger) *live {
	return &live{desk: d, log: log, open: map[*watching]bool{}, spoken: map[string]int{}}
}

// watch begins to tell of an agent's work, of some conversations, or of everything.
func (l *live) watch(agent string, everything bool, conversations ...string) *watching {
	return l.begin(&watching{agent: agent, everything: everything, conversations: setOf(conversations)})
}

// watchAsCustomer begins to tell a customer of their conversation, and of whether an agent is there.
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

// follow changes which conversations are watched: true for those of which messages are shown too.
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

// run looks at the desk until ctx ends.
func (l *live) run(ctx context.Context) error {
	defer l.close()
	var at seen
	var waitsAt time.Time
	failing := false
	for ctx.Err() == nil {
		news, within, leave := l.desk.News() // before the look, so that nothing comes in between
		began := time.Now()
		err := l.look(ctx, &at)
		if err == nil && began.Sub(waitsAt) >= waitsEvery {
			waitsAt = began
			err = l.lookAtWaits(ctx)
		}
		if err != nil && ctx.Err() == nil && !failing {
			l.log.WarnContext(ctx, "Pages are not told of changes for now: the desk can't be read", "error", err)
		}
		failing = err != nil
		pause(ctx, lookEvery-time.Since(began), nil)
		pause(ctx, within-time.Since(began), news)
		leave()
	}
	return ctx.Err()
}

// pause waits for that long, or until something happens or ctx ends.
func pause(ctx context.Context, d time.Duration, something <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-something:
	case <-ctx.Done():
	}
}

// seen is how far the desk was looked at: the event log, and what administrators have changed.
type seen struct {
	known                  bool
	position, administered int64
}

// look tells of what has happened since, of other settings, and who has written.
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
	if at.administered != administered || now < at.position { // an older copy of the database has other events behind it
		l.tellAll()
		at.administered, at.position = administered, min(at.position, now)
	}
	for at.position < now {
		events, err := l.desk.AllEvents(ctx, at.position, atOnce)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			at.position = now // positions that no event has
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

// tell wakes the pages that show what the events are of.
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

// listen wakes the pages that show a conversation in which somebody has written.
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

// lookAtWaits wakes the pages of customers for whom agents have come or gone.
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

// watched are all conversations that pages show, in order.
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
	default: // it will look anyway
	}
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
