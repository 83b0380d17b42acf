package httpapi_test

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
)

// races is how often two clients accept one reservation at once. (e2e does the same on a real Temporal server,
// where each race takes longer.)
const races = 1000

// TestOneOfTwoAcceptsAtOnceWins lets two clients fetch a reservation and accept it with its tag: one gets it, and
// the other gets the answer that it has changed.
func TestOneOfTwoAcceptsAtOnceWins(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	accept := url.Values{"ReservationStatus": {"accepted"}}
	sid := h.offer("alice")
	count := races
	if testing.Short() {
		count = races / 10
	}
	for n := range count {
		path := h.reservationPath(sid, len(h.state(sid).Tasks)-1)
		tag := h.ask(h.service, http.MethodGet, path, nil).is(http.StatusOK).header.Get("ETag")
		var statuses [2]int
		var both sync.WaitGroup
		start := make(chan struct{})
		for i := range statuses {
			both.Go(func() {
				<-start
				statuses[i] = h.with(h.service, http.MethodPost, path, accept, "If-Match", tag).status
			})
		}
		close(start)
		both.Wait()
		slices.Sort(statuses[:])
		require.Equal(t, [2]int{http.StatusOK, http.StatusPreconditionFailed}, statuses, "race %d", n)
		if n%5 == 4 { // a conversation with many tasks is slow to copy: use a new one
			h.do(sid, conversation.EndCommand{Agent: h.holder(sid)})
			sid = h.offer("alice")
			continue
		}
		from, to := h.holder(sid), "bob"
		if from == to {
			to = "alice"
		}
		h.do(sid, conversation.TransferCommand{From: from, To: conversation.Target{Agent: to}})
		h.do(sid, conversation.WrapupCommand{Agent: from})
	}
}

// holder returns the agent who has the conversation.
func (h *environment) holder(sid string) string {
	h.t.Helper()
	record := h.state(sid)
	return record.Tasks[len(record.Tasks)-1].Agent
}
