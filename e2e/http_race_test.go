package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/access"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/people"
	"github.com/baton-transfers/baton/internal/routing"
	"github.com/baton-transfers/baton/internal/testenv"
)

const (
	// lanes is how many conversations run at the same time, heats how many races each of them runs. (httpapi tests
	// the rules alone a thousand times.)
	lanes = 8
	heats = 25
	// claims is how many waiting tasks two agents claim at once.
	claims = 40
)

// racer sends requests without the checks of [api], so that two requests are as close
// together as possible.
type racer struct {
	client             *http.Client
	base, user, secret string
	workspace          string
}

func (f *httpEnvironment) racer(t *testing.T) *racer {
	t.Helper()
	network := &http.Transport{MaxIdleConnsPerHost: 4 * lanes}
	t.Cleanup(network.CloseIdleConnections)
	key, secret, err := access.AddKey(in(t, testenv.Patience), f.Desk, access.Key{Name: "racer", Role: access.KeyService, RateLimit: 1_000_000})
	require.NoError(t, err)
	return &racer{
		client: &http.Client{Transport: network, Timeout: testenv.Patience}, base: f.gateway.URL, user: key.SID, secret: secret,
		workspace: "/v1/Workspaces/" + conversation.SameSID(desk.PrefixWorkspace, f.account.SID),
	}
}

// send returns the status and the ETag of the answer. A body that begins with { is sent as JSON.
func (r *racer) send(ctx context.Context, method, path, body, ifMatch string) (status int, tag string, err error) {
	request := testenv.Request{
		Method: method, URL: r.base + path, User: r.user, Secret: r.secret, Body: testenv.Text{Type: "application/x-www-form-urlencoded", Content: body}, Header: http.Header{},
	}
	if strings.HasPrefix(body, "{") {
		request.Body = testenv.Text{Type: "application/json", Content: body}
	}
	if ifMatch != "" {
		request.Header.Set("If-Match", ifMatch)
	}
	answer, err := testenv.Call(ctx, r.client, request)
	return answer.Status, answer.Header.Get("ETag"), err
}

// has sends a request that must be answered with the status. It retries while Baton is too busy (503).
func (r *racer) has(ctx context.Context, wanted int, method, path, body string) (tag string, err error) {
	status, tag, err := r.send(ctx, method, path, body, "")
	for err == nil && status == http.StatusServiceUnavailable {
		select {
		case <-time.After(time.Second): // as Retry-After says
			status, tag, err = r.send(ctx, method, path, body, "")
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil && status != wanted {
		err = fmt.Errorf("%s %s was answered with %d", method, path, status)
	}
	return tag, err
}

// both sends two requests at once, and returns the statuses of their answers, the lower first.
func (r *racer) both(ctx context.Context, paths, bodies [2]string, ifMatch string) (statuses [2]int, err error) {
	start := make(chan struct{})
	group, ctx := errgroup.WithContext(ctx)
	for i := range paths {
		group.Go(func() (err error) {
			<-start
			statuses[i], _, err = r.send(ctx, http.MethodPost, paths[i], bodies[i], ifMatch)
			return err
		})
	}
	close(start)
	err = group.Wait()
	slices.Sort(statuses[:])
	return statuses, err
}

// heat transfers the conversation from the agent who has it under that task, lets two clients accept the one
// reservation at once, and completes the sender's wrap-up. It returns the two statuses, and the task under which
// the receiver has the conversation.
func (f *httpEnvironment) heat(ctx context.Context, r *racer, sid, had, to string, withTag bool) (statuses [2]int, has string, err error) {
	channel := "/v1/Interactions/KD" + sid[2:] + "/Channels/UO" + sid[2:]
	if _, err := r.has(ctx, http.StatusCreated, http.MethodPost, channel+"/Transfers",
		fmt.Sprintf(`{"from":%q,"to":%q}`, participant(had), conversation.AgentSID(to))); err != nil {
		return statuses, "", err
	}
	record, err := f.Baton.State(ctx, sid)
	if err != nil {
		return statuses, "", err
	}
	offered := record.Tasks[len(record.Tasks)-1]
	reservation := r.workspace + "/Tasks/" + offered.SID + "/Reservations/" + offered.Reservation.SID
	tag, err := r.has(ctx, http.StatusOK, http.MethodGet, reservation, "")
	if err != nil {
		return statuses, "", err
	}
	if !withTag {
		tag = ""
	}
	const accept = "ReservationStatus=accepted"
	if statuses, err = r.both(ctx, [2]string{reservation, reservation}, [2]string{accept, accept}, tag); err != nil {
		return statuses, "", err
	}
	_, err = r.has(ctx, http.StatusOK, http.MethodPost, r.workspace+"/Tasks/"+had, "AssignmentStatus=completed&Reason=passed+on")
	return statuses, offered.SID, err
}

// TestHTTPOneOfTwoAcceptsAtOnceWins: two clients accept one reservation at once, with the same ETag. One gets it,
// and the other gets the status 412.
func TestHTTPOneOfTwoAcceptsAtOnceWins(t *testing.T) {
	t.Parallel()
	f := openHTTP(t)
	r := f.racer(t)
	sids := make([]string, lanes)
	for i := range sids {
		sids[i] = f.beginWithAlice(t)
	}
	group, ctx := errgroup.WithContext(in(t, 5*testenv.Patience))
	for i, sid := range sids {
		group.Go(func() error {
			record, err := f.Baton.State(ctx, sid)
			if err != nil {
				return err
			}
			had, to, next := record.Tasks[0].SID, "bob", "alice"
			for n := range heats {
				withTag := (n+i)%10 != 0 // sometimes without the ETag: then the other finds the reservation accepted
				wanted := [2]int{http.StatusOK, http.StatusPreconditionFailed}
				if !withTag {
					wanted[1] = http.StatusBadRequest
				}
				statuses, has, err := f.heat(ctx, r, sid, had, to, withTag)
				if err == nil && statuses != wanted {
					err = fmt.Errorf("race %d for conversation %s: answered with %v", n, sid, statuses)
				}
				if err != nil {
					return err
				}
				had, to, next = has, next, to
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	for sid, record := range requireAgreement(t, f.environment, sids...) {
		require.Len(t, record.Transfers, heats, sid)
	}
}

// TestHTTPOneOfTwoClaimsAtOnceWins: two agents claim one waiting task at once, and one of them gets it.
func TestHTTPOneOfTwoClaimsAtOnceWins(t *testing.T) {
	t.Parallel()
	f := openHTTP(t)
	require.NoError(t, people.AddQueue(t.Context(), f.Desk, "night"))
	r := f.racer(t)
	for range claims {
		sid := f.begin(t, "night")
		record, err := f.Baton.Await(in(t, testenv.Patience), sid, func(conversation.Record) bool { return true })
		require.NoError(t, err)
		require.NoError(t, routing.AwaitRevision(in(t, testenv.Patience), f.Desk, sid, record.Revision))
		path := r.workspace + "/Tasks/" + record.Tasks[0].SID + "/Reservations"
		claim := func(agent string) string { return url.Values{"WorkerSid": {conversation.AgentSID(agent)}}.Encode() }
		statuses, err := r.both(in(t, testenv.Patience), [2]string{path, path}, [2]string{claim("alice"), claim("bob")}, "")
		require.NoError(t, err)
		require.Equal(t, [2]int{http.StatusCreated, http.StatusBadRequest}, statuses)
		_, err = r.has(in(t, testenv.Patience), http.StatusOK, http.MethodPost, "/v1/Interactions/KD"+sid[2:]+"/Channels/UO"+sid[2:], "Status=closed")
		require.NoError(t, err)
	}
}
