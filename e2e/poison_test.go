package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/temporalenv"
	"github.com/baton-transfers/baton/workflows"
)

// A thousand signals that nobody can read, and forty of nearly two megabytes, as many as once ended a conversation: the next
// accept is answered, and nothing is lost.
func TestPoisonHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := openCentre(t, nil)
	c.startWorker(t)
	sid := c.begin(t, "support")
	c.offered(t, sid, "alice")

	stranger, err := temporalenv.Dial(t.Context(), temporalenv.Options{Address: c.server.Address, Keys: keyRing(t, freshKey(t, "nobodys"))})
	require.NoError(t, err)
	defer stranger.Close()
	send := func(count int, from client.Client, payload any) {
		t.Helper()
		var sending sync.WaitGroup
		free := make(chan struct{}, 8)
		errs := make(chan error, count)
		for range count {
			free <- struct{}{}
			sending.Go(func() {
				defer func() { <-free }()
				errs <- from.SignalWorkflow(in(t, patience), workflows.ID(sid), "", string(conversation.CommandTransfer), payload)
			})
		}
		sending.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
	}
	accepted := func(agent string) {
		t.Helper()
		began := time.Now()
		c.do(t, sid, conversation.AcceptCommand{Agent: agent})
		t.Logf("the accept was answered after %s", time.Since(began).Round(time.Millisecond))
	}
	send(1000, stranger, conversation.TransferCommand{From: "alice", To: to("bob")})
	accepted("alice")
	send(40, c.temporal, map[string]string{"from": "alice", "note": strings.Repeat("x", 1_900_000)})
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	c.offered(t, sid, "bob")
	accepted("bob")
	record := c.await(t, sid, "the refusals", func(r conversation.Record) bool { return len(r.Refusals) > 0 })
	require.Equal(t, conversation.CodeInvalidPayload, record.Refusals[len(record.Refusals)-1].Code)
	requireAgreement(t, c, sid)
	c.finish(t, sid)
}
