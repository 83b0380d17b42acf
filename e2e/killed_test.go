package e2e

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/testenv"
	"github.com/baton-transfers/baton/workflows"
)

// oftenContinued makes conversations continue as a new run every few transfers.
var oftenContinued = map[string]any{"limit.historyCount.suggestContinueAsNew": 120}

// moments returns random numbers, reproducible with the seed that a failed test prints.
func moments(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("The moments are those of seed %d.", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// within waits for a random part of the time: the moments between and inside the steps of a transfer.
func within(random *rand.Rand, most time.Duration) {
	timer := time.NewTimer(time.Duration(random.Int64N(int64(most))))
	<-timer.C
}

func TestKilledWorkerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const conversations, cycles, kills = 12, 12, 6
	random := moments(t)
	c := openEnvironment(t, oftenContinued)
	worker := c.startWorker(t)
	passed := startRelays(t, c, conversations, cycles)
	killed := 0
	for killed < kills && passed.after(1+random.IntN(40)) {
		within(random, 30*time.Millisecond)
		worker.Kill()
		killed++
		worker = c.startWorker(t)
	}
	passed.requireNothingLostOrDoubled()
	require.Equal(t, kills, killed, "the work was done before all kills: give it more cycles")
}

func TestKilledServerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	const conversations, cycles, kills = 8, 10, 3
	random := moments(t)
	c := openEnvironment(t, oftenContinued)
	c.startWorker(t)
	passed := startRelays(t, c, conversations, cycles)
	killed := 0
	for killed < kills && passed.after(10+random.IntN(40)) {
		within(random, 30*time.Millisecond)
		c.Server.Kill()
		killed++
		require.NoError(t, c.StartServer(t.Context()))
	}
	passed.requireNothingLostOrDoubled()
	require.Equal(t, kills, killed, "the work was done before all kills: give it more cycles")
}

// Commands that arrive while no worker runs are carried out by the next worker, in the order of arrival.
func TestCommandsWaitForAWorker(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	worker.Kill()

	c.signal(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "While no worker ran."})
	c.signal(t, sid, conversation.AcceptCommand{Agent: "bob"})
	c.signal(t, sid, conversation.WrapupCommand{Agent: "alice"})
	started := c.begin(t, "billing")
	c.startWorker(t)

	c.await(t, sid, "bob has it, alice has wrapped up", func(r conversation.Record) bool { return r.Revision == commandsToBegin+3 })
	c.offered(t, started, "bob")
	record := requireAgreement(t, c, sid, started)[sid]
	require.Empty(t, record.Refusals)
	require.Equal(t, "bob", record.Transfers[0].AcceptedBy)
}

// The server never answers a read without a worker, and a server that has just started reports that it knows no
// worker: the client repeats the read until the caller's deadline.
func TestAReadWaitsForAWorker(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]bool{"of a server that continues": false, "of a server that restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openEnvironment(t, nil)
			worker := c.startWorker(t)
			sid := c.beginWithAlice(t)
			requireAgreement(t, c, sid)
			waitFor(t, testenv.Patience, "the desk's answer is in the history", func() bool { return c.atRest(t, sid) })
			worker.Kill()
			if restarts {
				c.Server.Kill()
				require.NoError(t, c.StartServer(t.Context()))
			} else { // the read waits behind a command
				c.signal(t, sid, conversation.EndCommand{Agent: "alice"})
			}
			asked := &queries{}
			reader, ctx := asked.client(t, c), in(t, testenv.Patience)
			answered := make(chan error, 1)
			go func() {
				_, err := reader.State(ctx, sid)
				answered <- err
			}()
			waitFor(t, testenv.Patience, "a read that is made again", func() bool {
				select {
				case err := <-answered:
					require.Fail(t, "no worker was there to answer", "%v", err)
				default:
				}
				return asked.count.Load() > 2
			})
			c.startWorker(t)
			require.NoError(t, <-answered)
		})
	}
}

// The answer of a query is lost, as the server itself can lose it: the client asks again long before the caller's
// deadline.
func TestAReadIsAskedAgainWhenItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	asked := &queries{losesFirst: true}
	record, err := asked.client(t, c).State(in(t, testenv.Patience), sid)
	require.NoError(t, err)
	require.Equal(t, sid, record.Conversation)
	require.Greater(t, asked.count.Load(), int32(1))
	require.LessOrEqual(t, asked.within, 2*time.Second, "of the caller's %s", testenv.Patience)
}

// queries are the queries that a client has made.
type queries struct {
	interceptor.ClientInterceptorBase
	interceptor.ClientOutboundInterceptorBase

	count atomic.Int32
	// losesFirst blocks the first query's answer for ever; within is how long that query waits.
	losesFirst bool
	within     time.Duration
}

// client returns a client whose queries are recorded.
func (q *queries) client(t *testing.T, c *environment) *baton.Client {
	t.Helper()
	temporal, err := client.DialContext(t.Context(), client.Options{
		HostPort: c.Server.Address, Interceptors: []interceptor.ClientInterceptor{q},
	})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	return baton.NewClient(temporal)
}

func (q *queries) InterceptClient(next interceptor.ClientOutboundInterceptor) interceptor.ClientOutboundInterceptor {
	q.Next = next
	return q
}

func (q *queries) QueryWorkflow(ctx context.Context, in *interceptor.ClientQueryWorkflowInput) (converter.EncodedValue, error) {
	if q.count.Add(1) > 1 || !q.losesFirst {
		return q.Next.QueryWorkflow(ctx, in)
	}
	deadline, _ := ctx.Deadline()
	q.within = time.Until(deadline)
	<-ctx.Done()
	return nil, ctx.Err()
}

// A worker is killed while it syncs with the desk: the decision is kept, and the next worker repeats the sync.
func TestWorkerKilledWhileItTellsTheDesk(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)

	release := c.holdDeskForWriting(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "Told late."})
	waitFor(t, testenv.Patience, "an activity under way", func() bool { return c.activityUnderWay(t, sid) })
	worker.Kill()
	release()
	c.startWorker(t)

	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	c.do(t, sid, conversation.WrapupCommand{Agent: "alice"})
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+3, record.Revision)
}

// A worker is killed while it asks for the desk's facts: the next worker asks again, and the caller gets the
// answer.
func TestWorkerKilledWhileItAsksTheDesk(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)

	release := c.holdDesk(t)
	c.signal(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	waitFor(t, testenv.Patience, "a workflow task under way", func() bool {
		events := c.history(t, sid)
		return events[len(events)-1].GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED
	})
	accepted := make(chan error, 1)
	ctx := in(t, testenv.Patience)
	go func() {
		_, err := c.Baton.Accept(ctx, sid, conversation.AcceptCommand{Agent: "bob"})
		accepted <- err
	}()
	worker.Kill()
	release()
	c.startWorker(t)

	require.NoError(t, <-accepted)
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+2, record.Revision)
	require.Len(t, record.Transfers, 1)
	require.Empty(t, record.Refusals)
}

// activityUnderWay reports whether a worker runs an activity of the conversation.
func (c *environment) activityUnderWay(t *testing.T, sid string) bool {
	t.Helper()
	described, err := c.Temporal.DescribeWorkflowExecution(in(t, testenv.Patience), workflows.ID(sid), "")
	require.NoError(t, err)
	for _, activity := range described.GetPendingActivities() {
		if activity.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return true
		}
	}
	return false
}

// atRest reports whether the conversation has neither a pending activity nor a pending workflow task.
func (c *environment) atRest(t *testing.T, sid string) bool {
	t.Helper()
	_, resting, err := testenv.AtRest(in(t, testenv.Patience), c.Temporal, workflows.ID(sid))
	require.NoError(t, err)
	return resting
}
