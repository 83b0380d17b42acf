package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// signals sends that many signals to a conversation, some at once, and returns the first error.
func (c *environment) signals(t *testing.T, sid string, from client.Client, count, atOnce int, payload any) (failed error) {
	t.Helper()
	var sending sync.WaitGroup
	var mutex sync.Mutex
	free := make(chan struct{}, atOnce)
	for range count {
		free <- struct{}{}
		sending.Go(func() {
			defer func() { <-free }()
			if err := from.SignalWorkflow(in(t, testenv.Patience), workflows.ID(sid), "", string(conversation.CommandTransfer), payload); err != nil {
				mutex.Lock()
				defer mutex.Unlock()
				failed = err
			}
		})
	}
	sending.Wait()
	return failed
}

// A conversation gets a thousand signals that no worker can decrypt, and forty of nearly two megabytes
// (twenty-eight of them once ended a conversation). The next accept is answered, and nothing is lost.
func TestPoisonHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	w := c.startWorker(t)
	accepted := func(sid, agent string) {
		t.Helper()
		began := time.Now()
		c.do(t, sid, conversation.AcceptCommand{Agent: agent})
		t.Logf("the accept was answered after %s", time.Since(began).Round(time.Millisecond))
	}
	sid := c.begin(t, "support")
	c.offered(t, sid, "alice")
	stranger, err := temporalenv.Dial(t.Context(), temporalenv.Options{Address: c.Server.Address, Keys: keyRing(t, freshKey(t, "nobodys"))})
	require.NoError(t, err)
	defer stranger.Close()
	require.NoError(t, c.signals(t, sid, stranger, 1000, 8, conversation.TransferCommand{From: "alice", To: to("bob")}))
	_, err = baton.NewClient(stranger).Send(in(t, testenv.Patience), sid, conversation.AcceptCommand{Agent: "alice"})
	require.ErrorContains(t, err, `encrypted with the key "nobodys"`, "an update is refused at once")
	accepted(sid, "alice")

	large := map[string]string{"from": "alice", "note": strings.Repeat("x", 1_900_000)}
	for range 40 {
		require.NoError(t, c.signals(t, sid, c.Temporal, 1, 1, large))
		_, err := c.Baton.State(in(t, testenv.Patience), sid) // the signals are handled
		require.NoError(t, err)
	}
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.offered(t, sid, "bob")
	accepted(sid, "bob")
	record := c.await(t, sid, "the refusals", func(r conversation.Record) bool { return len(r.Refusals) > 0 })
	require.Contains(t, record.Refusals[len(record.Refusals)-1].Message, "bytes: send at most")
	requireAgreement(t, c, sid)
	c.finish(t, sid)

	// More of them at once exceed the server's limit: it ends the workflow before a worker can act, and the desk
	// closes the conversation.
	drowned := c.beginWithAlice(t)
	agreeSoon(t, c, drowned)
	if c.signals(t, drowned, c.Temporal, 60, 8, large) == nil {
		c.finish(t, drowned) // if the worker is faster than the sender
		return
	}
	waitFor(t, testenv.Patience, "a conversation that is closed at the desk", func() bool {
		shown, err := routing.ReadShown(in(t, testenv.Patience), c.Desk, drowned)
		require.NoError(t, err)
		return !shown.Open
	})
	requireLoadsCounted(t, c)
	require.Contains(t, w.Stderr.String(), "workflow ended without closing the conversation")
}
