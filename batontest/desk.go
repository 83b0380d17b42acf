package batontest

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
)

// administrator is who changes the settings, in the audit list.
const administrator = "batontest"

// Desk is Baton's desk with a database in a temporary folder. It matches waiting tasks with available agents, as in
// production. Its methods end the test if they fail.
type Desk struct {
	t      testing.TB
	desk   *desk.Desk
	engine *Engine
	// conversations is the desk as the engine's conversations use it.
	conversations *routing.ConversationDesk
}

// NewDesk returns a desk without agents and queues, and with the default settings: transfers are off. It is closed at
// the end of the test.
func NewDesk(t testing.TB) *Desk {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	opened, err := desk.Open(ctx, filepath.Join(t.TempDir(), "desk.db"), desk.Options{})
	if err != nil {
		cancel()
		t.Fatalf("open a desk: %v", err)
	}
	d := &Desk{t: t, desk: opened, conversations: routing.NewConversationDesk(opened)}
	d.engine = NewEngine(d)
	var dispatcher sync.WaitGroup
	dispatcher.Go(func() { _ = routing.RunDispatcher(ctx, opened, courier{d.engine}) }) // ends with ctx
	t.Cleanup(func() {
		cancel()
		dispatcher.Wait()
		d.check(opened.Close(), "close the desk")
	})
	return d
}

// Engine returns the engine whose conversations this desk keeps.
func (d *Desk) Engine() *Engine { return d.engine }

// Facts implements [activities.Desk].
func (d *Desk) Facts(ctx context.Context, query conversation.FactsQuery) (conversation.Facts, error) {
	return d.conversations.Facts(ctx, query)
}

// Sync implements [activities.Desk].
func (d *Desk) Sync(ctx context.Context, snapshot conversation.Snapshot) (conversation.Acknowledgement, error) {
	return d.conversations.Sync(ctx, snapshot)
}

// AddQueue adds a queue, such as "billing", and its members, who must be agents of the desk.
func (d *Desk) AddQueue(name string, members ...string) {
	d.t.Helper()
	d.check(people.AddQueue(d.t.Context(), d.desk, name), "add a queue")
	for _, member := range members {
		d.check(people.AddMember(d.t.Context(), d.desk, name, member), "add a member")
	}
}

// AddAgent adds an available agent, such as "alice", who takes the desk's default number of tasks on each channel.
func (d *Desk) AddAgent(name string) {
	d.t.Helper()
	d.check(people.AddAgent(d.t.Context(), d.desk, people.NewAgent{Name: name, Presence: desk.PresenceAvailable}), "add an agent")
}

// SetAvailable makes an agent available or offline.
func (d *Desk) SetAvailable(agent string, available bool) {
	d.t.Helper()
	presence := desk.PresenceOffline
	if available {
		presence = desk.PresenceAvailable
	}
	d.check(routing.SetPresence(d.t.Context(), d.desk, agent, presence), "set a presence")
}

// Configure changes the settings, for example to enable transfers.
func (d *Desk) Configure(change func(*conversation.Settings)) {
	d.t.Helper()
	_, err := desk.SetSettings(d.t.Context(), d.desk, administrator, change)
	d.check(err, "change the settings")
}

func (d *Desk) check(err error, doing string) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("%s: %v", doing, err)
	}
}

// courier delivers the desk's matches to the engine's conversations.
type courier struct{ engine *Engine }

// Deliver implements [routing.Courier].
func (c courier) Deliver(ctx context.Context, sid string, command conversation.Command) error {
	err := c.engine.SendAsync(ctx, sid, command)
	if errors.Is(err, baton.ErrNotRunning) {
		return desk.ErrConversationGone
	}
	return err
}
