package site

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/web/live"
)

const (
	// DefaultBeat is a [Options.Beat] at which no proxy closes an idle stream.
	DefaultBeat = 15 * time.Second
	// writeWithin is the timeout for writing a few bytes to a browser.
	writeWithin = 10 * time.Second
	// calm is the minimum time between two change events on a page of all conversations.
	calm = time.Second
)

// Stream sends a server-sent event when what the page shows has changed, and one at the start, so that a browser
// that reconnects misses nothing. Before each event it calls following, which may be nil, and watches the
// conversations that it returns ([live.Watcher.Follow]). The key is the owner of the stream: a chat's SID or a person's
// name. It limits how many streams each owner has open.
func (v *Visit) Stream(key string, w *live.Page, following func() (map[string]bool, error)) error {
	defer v.Live.Leave(w)
	leave, ok := v.streams.enter(key)
	if !ok {
		RetryAfter(v.W, v.beat) // by then an abandoned stream has ended
		return Mistake(http.StatusTooManyRequests, "Too many pages are open: close some of them, then load this one again.")
	}
	defer leave()
	controller := http.NewResponseController(v.W)
	h := v.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if err := controller.SetReadDeadline(time.Time{}); err != nil { // the stream outlasts the deadline of a request
		return err //nolint:wrapcheck // the error is complete
	}
	send := func(text string) bool {
		if err := controller.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return false
		}
		if _, err := fmt.Fprint(v.W, text); err != nil {
			return false
		}
		return controller.Flush() == nil
	}
	if !send("retry: 1000\n") {
		return nil
	}
	beats := time.NewTicker(v.beat)
	defer beats.Stop()
	w.Wake()
	for {
		select {
		case <-w.Changed:
			if !v.staysSignedIn() {
				send(changed) // the page fetches itself and is redirected to the sign-in page
				return nil
			}
			if following != nil {
				sids, err := following()
				if err != nil {
					return nil // the browser reconnects and gets the event then
				}
				v.Live.Follow(w, sids)
			}
			if !send(changed) {
				return nil
			}
			if w.Everything && sleep.For(v.Ctx, calm) != nil {
				return nil
			}
		case <-beats.C:
			if !v.staysSignedIn() {
				send(changed)
				return nil
			}
			if !send(": here\n\n") {
				return nil
			}
		case <-w.Done:
			return nil
		case <-v.Ctx.Done():
			return nil
		}
	}
}

// changed is the event that makes a page fetch itself again.
const changed = "event: changed\ndata:\n\n"

// staysSignedIn reports whether the stream's person is still signed in with the role from the start of the stream.
// It loads the session again, because the stream's context holds the session as it was at the start. It returns
// true for a customer's stream, which has no person.
func (v *Visit) staysSignedIn() bool {
	if !v.Person.In() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	ctx, err := v.People.Load(ctx, v.People.Token(v.Ctx))
	if err != nil {
		return false // the browser reconnects, and the sign-in is checked then
	}
	now := &Visit{Site: v.Site, W: v.W, R: v.R, Ctx: ctx}
	who, err := now.who()
	return err == nil && who.Key() == v.Person.Key() && who.Role == v.Person.Role
}
