package web

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

const (
	// beat is how often a stream says that it is there, so that no proxy thinks it dead.
	beat = 15 * time.Second
	// writeWithin is how long a browser may take to take in a few bytes.
	writeWithin = 10 * time.Second
	// calm is how long a page of everything rests between two changes.
	calm = time.Second
)

// stream tells the browser, with server-sent events, each time that what it shows has changed, and once
// at first: who comes back after a lost connection has missed nothing. The function, which may be nil,
// says before each which conversations are to be watched ([live.follow]). The key is whose stream it is: a chat's SID or a
// person's name, which have only so many open.
func (v *visit) stream(key string, w *watching, following func() (map[string]bool, error)) error {
	defer v.live.leave(w)
	leave, ok := v.streams.enter(key)
	if !ok {
		v.waits(beat) // by then a stream that was left has ended
		return &mistake{http.StatusTooManyRequests, "Too many pages are open: close some of them, then load this one again."}
	}
	defer leave()
	controller := http.NewResponseController(v.w)
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	if err := controller.SetReadDeadline(time.Time{}); err != nil { // that of a request, which this outlasts
		return err //nolint:wrapcheck // it says all
	}
	send := func(text string) bool {
		if err := controller.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return false
		}
		if _, err := fmt.Fprint(v.w, text); err != nil {
			return false
		}
		return controller.Flush() == nil
	}
	if !send("retry: 1000\n") {
		return nil
	}
	beats := time.NewTicker(beat)
	defer beats.Stop()
	w.wake()
	for {
		select {
		case <-w.changed:
			if !v.staysSignedIn() {
				send(changed) // the page fetches itself, and is led to the sign-in
				return nil
			}
			if following != nil {
				sids, err := following()
				if err != nil {
					return nil // the browser comes back, and is told then
				}
				v.live.follow(w, sids)
			}
			if !send(changed) {
				return nil
			}
			if w.everything && !v.rest(calm) {
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
		case <-w.done:
			return nil
		case <-v.ctx.Done():
			return nil
		}
	}
}

// changed is the event that has a page fetch itself anew.
const changed = "event: changed\ndata:\n\n"

// staysSignedIn reports whether the person of the stream is still signed in, and has the role that they had at its start. The
// context of a stream has the session as it was then, so that it is read anew. A customer's stream has no person.
func (v *visit) staysSignedIn() bool {
	if !v.person.In() {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx, err := v.people.Load(ctx, v.people.Token(v.ctx))
	if err != nil {
		return false // the browser comes back, and is asked then
	}
	now := &visit{Site: v.Site, w: v.w, r: v.r, ctx: ctx}
	who, err := now.who()
	return err == nil && who.Key() == v.person.Key() && who.Role == v.person.Role
}

// rest waits that long, or tells that the browser has left.
func (v *visit) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-v.ctx.Done():
		return false
	}
}
