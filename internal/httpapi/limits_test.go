package httpapi_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/httpapi/rest"
	"github.com/baton-transfers/baton/internal/records"
)

// How many requests pass a limit depends on their pace. Regardless of it, the first requests pass, not all of them
// pass, and the others get the same refusal.
func TestTooManyRequestsWithAKey(t *testing.T) {
	t.Parallel()
	const requests = 40
	h := newEnvironment(t)
	for name, limited := range map[string]key{
		"a service's":    h.addKey(access.Key{Name: "slow", Role: access.KeyService, RateLimit: 1}),
		"a supervisor's": h.addKey(access.Key{Name: "slow", Role: access.KeySupervisor, RateLimit: 1}),
		"an agent's":     h.addKey(access.Key{Name: "slow", Role: access.KeyAgent, Agent: "alice", RateLimit: 1}),
	} {
		counts := map[int]int{}
		for i := range requests {
			a := h.ask(limited, http.MethodGet, "/v1/Workspaces", nil)
			counts[a.status]++
			if i < 2 {
				a.is(http.StatusOK) // a burst may be twice the limit
			}
			if a.status == http.StatusTooManyRequests {
				a.isError(http.StatusTooManyRequests, 20429)
				after, err := strconv.Atoi(a.header.Get("Retry-After"))
				require.NoError(t, err, name)
				require.Equal(t, 1, after, "a key of one request a second may come again in a second")
			}
			// Other keys are not affected.
			h.ask(h.service, http.MethodGet, "/v1/Workspaces", nil).is(http.StatusOK)
			h.ask(h.owner(), http.MethodGet, "/v1/Workspaces", nil).is(http.StatusOK)
		}
		require.Equal(t, requests, counts[http.StatusOK]+counts[http.StatusTooManyRequests], "%s: %v", name, counts)
		require.NotZero(t, counts[http.StatusTooManyRequests], name)
	}
}

// A request that is refused by the limit has no effect. Wrong credentials for a limited key are still refused as
// such.
func TestTooManyRequestsDoNothing(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	limited := h.addKey(access.Key{Name: "slow", Role: access.KeyService, RateLimit: 1})
	said := 0
	for {
		a := h.ask(limited, http.MethodPost, "/v1/Conversations/"+sid+"/Messages", url.Values{"Author": {"alice"}, "Body": {"Hello"}})
		if a.status == http.StatusTooManyRequests {
			break
		}
		a.is(http.StatusCreated)
		said++
	}
	transcript, err := records.ReadTranscript(t.Context(), h.desk, sid, records.AsSystem())
	require.NoError(t, err)
	require.Len(t, transcript, said)
	h.ask(key{limited.user, h.alice.secret}, http.MethodGet, "/v1/Workspaces", nil).isError(http.StatusUnauthorized, 20003)
}

func TestTooManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	limited := h.addKey(access.Key{Name: "slow", Role: access.KeyService, RateLimit: 5})
	var asking sync.WaitGroup
	answers := make([]answer, 200)
	for i := range answers {
		asking.Go(func() { answers[i] = h.ask(limited, http.MethodGet, "/v1/Workspaces", nil) })
	}
	asking.Wait()
	counts := map[int]int{}
	for _, a := range answers {
		counts[a.status]++
	}
	require.GreaterOrEqual(t, counts[http.StatusOK], 10, "twice the limit may come at once")
	require.NotZero(t, counts[http.StatusTooManyRequests], "%v", counts)
	require.Len(t, counts, 2)
}

func TestBodies(t *testing.T) {
	t.Parallel()
	h := newEnvironment(t)
	sid := h.give("alice")
	messages := "/v1/Conversations/" + sid + "/Messages"
	transfers := "/v1/Interactions/" + conversation.SameSID("KD", sid) + "/Channels/" + conversation.SameSID("UO", sid) + "/Transfers"
	const form, object = "Author=alice&Body=", `{"from":"`
	fill := func(begin, end string, length int) string {
		return begin + strings.Repeat("x", length-len(begin)-len(end)) + end
	}
	for name, try := range map[string]struct {
		path, kind, body string
		status, code     int
	}{
		"a form of a megabyte":     {messages, "application/x-www-form-urlencoded", fill(form, "", rest.MaxBody), http.StatusBadRequest, 20422},
		"a longer form":            {messages, "application/x-www-form-urlencoded", fill(form, "", rest.MaxBody+1), http.StatusRequestEntityTooLarge, 20413},
		"a much longer form":       {messages, "application/x-www-form-urlencoded", fill(form, "", 8*rest.MaxBody), http.StatusRequestEntityTooLarge, 20413},
		"JSON of a megabyte":       {transfers, "application/json", fill(object, `"}`, rest.MaxBody), http.StatusBadRequest, 45004},
		"longer JSON":              {transfers, "application/json", fill(object, `"}`, rest.MaxBody+1), http.StatusRequestEntityTooLarge, 20413},
		"a form of several parts":  {messages, "multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType, 20415},
		"text":                     {messages, "text/plain", "Author=alice&Body=hello", http.StatusUnsupportedMediaType, 20415},
		"a body of no type":        {messages, "", "Author=alice&Body=hello", http.StatusUnsupportedMediaType, 20415},
		"nothing, of no type":      {messages, "", "", http.StatusBadRequest, 20422},
		"longer JSON that is none": {transfers, "application/json", fill("[", "", rest.MaxBody+1), http.StatusBadRequest, 45004},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunked := range []bool{false, true} { // with its length in a header, and without
				h := h.in(t)
				var body io.Reader = strings.NewReader(try.body)
				if chunked {
					body = io.MultiReader(body)
				}
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.server.URL+try.path, body)
				require.NoError(t, err)
				request.SetBasicAuth(h.service.user, h.service.secret)
				request.Header.Set("Content-Type", try.kind)
				h.sendRequest(request).isError(try.status, try.code)
			}
		})
	}
	t.Cleanup(func() {
		require.Equal(t, 3, h.state(sid).Revision, "nothing came of them")
	})
}
