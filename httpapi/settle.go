package httpapi

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/baton-transfers/baton/conversation"
)

const (
	// behind is for how long the desk may be behind a conversation that keeps changing, and a bit more.
	behind = 5 * time.Second
	// busyCaller is from how many commands within that time on a caller is no client that waits for its own.
	busyCaller = 16
)

// writes are the commands that callers have just sent: the desk, from which lists are read, follows
// within a second. A list waits for what its own caller has written. Who sends more than a list could
// wait for gets what the desk shows.
type writes struct {
	mutex    sync.Mutex
	byCaller map[string][]write
}

type write struct {
	conversation string
	revision     int
	at           time.Time
}

func newWrites() *writes { return &writes{byCaller: map[string][]write{}} }

func (w *writes) note(caller string, what write) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.byCaller[caller] = append(recent(w.byCaller[caller], what.at), what)
}

// lately returns what the caller has just written; nothing of one who writes more than a list could wait for.
func (w *writes) lately(caller string, now time.Time) []write {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	found := recent(w.byCaller[caller], now)
	w.byCaller[caller] = found
	if len(found) > busyCaller {
		return nil
	}
	return slices.Clone(found)
}

// recent drops what is long enough ago for the desk to show it, and what comes on top of too much.
func recent(writes []write, now time.Time) []write {
	for len(writes) > 0 && (now.Sub(writes[0].at) > behind || len(writes) > busyCaller+1) {
		writes = writes[1:]
	}
	return writes
}

// send sends a command, and notes what it did for who reads next.
func (c *call) send(sid string, command conversation.Command) (conversation.Outcome, error) {
	if err := conversation.Storable(command); err != nil { // here, for the ID makes it JSON
		return conversation.Outcome{}, err
	}
	command, err := conversation.Identified(command, uuid.NewString()) // a refusal is noted under the ID
	if err != nil {
		return conversation.Outcome{}, err
	}
	c.sent, c.sentTo = command, sid
	outcome, err := c.conversations.Send(c.ctx, sid, command)
	if err != nil {
		c.noteRefused(sid, command, err)
		return outcome, err
	}
	c.effective = true
	c.writes.note(c.caller.key.SID, write{sid, outcome.Revision, time.Now()})
	if t := outcome.Task; t != nil {
		c.seen.note(t.SID, sid)
		if t.Reservation != nil {
			c.seen.note(t.Reservation.SID, sid)
		}
	}
	if x := outcome.Transfer; x != nil {
		c.seen.note(x.SID, sid)
		c.seen.note(x.Task, sid)
	}
	return outcome, nil
}

// settle waits until the desk shows what the caller has just written, but not for ever.
func (c *call) settle() {
	mine := c.writes.lately(c.caller.key.SID, time.Now())
	if len(mine) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, behind)
	defer cancel()
	for _, w := range mine {
		if err := c.desk.AwaitRevision(ctx, w.conversation, w.revision); err != nil {
			return // the list is read as the desk shows it
		}
	}
}

// seen remembers to which conversation a SID belongs that the desk may not show yet.
type seen struct {
	mutex        sync.Mutex
	newer, older map[string]string
}

// remembered is how many SIDs are remembered before the oldest are forgotten.
const remembered = 20_000

func newSeen() *seen { return &seen{newer: map[string]string{}, older: map[string]string{}} }

func (s *seen) note(sid, conversation string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.newer) >= remembered {
		s.newer, s.older = map[string]string{}, s.newer
	}
	s.newer[sid] = conversation
}

func (s *seen) of(sid string) (string, bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if conversation, ok := s.newer[sid]; ok {
		return conversation, true
	}
	conversation, ok := s.older[sid]
	return conversation, ok
}

// settleConversation waits until the desk shows the conversation at that revision, but not for ever.
func (c *call) settleConversation(sid string, revision int) {
	ctx, cancel := context.WithTimeout(c.ctx, behind)
	defer cancel()
	_ = c.desk.AwaitRevision(ctx, sid, revision) // what follows is decided on what the desk shows
}
