package rest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/commands"
	"github.com/baton-transfers/baton/internal/routing"
)

const (
	// behind is the longest time, with a margin, that the desk may lag behind a conversation that keeps changing.
	behind = 5 * time.Second
	// busyCaller is the most commands within that time for which a list waits. A caller that sends more does not
	// wait for each command.
	busyCaller = 16
)

// writes records the commands that callers have sent recently. Lists are read from the desk, which follows
// conversations within a second. A list therefore waits for its own caller's commands, unless these are too many to
// wait for: then it shows what the desk has.
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

// lately returns the caller's recent commands; nil if there are too many to wait for.
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

// recent drops commands that are old enough for the desk to show them, and the oldest of too many.
func recent(writes []write, now time.Time) []write {
	for len(writes) > 0 && (now.Sub(writes[0].at) > behind || len(writes) > busyCaller+1) {
		writes = writes[1:]
	}
	return writes
}

// Send sends a command, and records it so that the caller's next list waits for it.
func (c *Call) Send(sid string, command conversation.Command) (conversation.Outcome, error) {
	c.sent, c.sentTo = command, sid
	outcome, err := c.Conversations.Send(c.Ctx, sid, command)
	if err != nil {
		return outcome, err
	}
	c.effective = true
	c.Wrote(sid, outcome.Revision)
	if t := outcome.Task; t != nil {
		c.Remember(t.SID, sid)
		if t.Reservation != nil {
			c.Remember(t.Reservation.SID, sid)
		}
	}
	if x := outcome.Transfer; x != nil {
		c.Remember(x.SID, sid)
		c.Remember(x.Task, sid)
	}
	return outcome, nil
}

// Wrote records that the caller changed the conversation, so that the caller's next list waits for the revision.
func (c *Call) Wrote(sid string, revision int) {
	c.server.writes.note(c.Caller.Key.SID, write{sid, revision, time.Now()})
}

// Remember records that the answer may contain a SID that the desk may not show yet, and its conversation.
func (c *Call) Remember(sid, conversation string) { c.server.seen.note(sid, conversation) }

// SeenIn returns the conversation of a SID that this process has answered with; false if it is not known.
func (c *Call) SeenIn(sid string) (string, bool) { return c.server.seen.of(sid) }

// Settle waits until the desk shows the caller's recent commands, but no longer than behind.
func (c *Call) Settle() {
	mine := c.server.writes.lately(c.Caller.Key.SID, time.Now())
	if len(mine) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(c.Ctx, behind)
	defer cancel()
	for _, w := range mine {
		if err := routing.AwaitRevision(ctx, c.Desk, w.conversation, w.revision); err != nil {
			return // the list shows what the desk has
		}
	}
}

// seen maps SIDs that the desk may not show yet to their conversations. It is safe for concurrent use.
type seen struct {
	mutex        sync.Mutex
	newer, older map[string]string
}

// remembered is the number of SIDs in a generation. A full generation replaces the one before.
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

// SettleConversation waits until the desk shows the conversation at that revision, but no longer than behind. After an
// error the caller uses what the desk shows.
func (c *Call) SettleConversation(sid string, revision int) {
	_ = commands.Settle(c.Ctx, c.Desk, sid, revision, behind)
}
