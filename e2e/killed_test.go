package e2e

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/baton-transfers/baton"
	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/workflows"
)

// oftenContinued has conversations continue as a new run every few transfers.
var oftenContinued = map[string]any{"limit.historyCount.suggestContinueAsNew": 120}

// moments are random, and the same again for the seed that a failed test prints.
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
	long(t)
	const conversations, cycles, kills = 12, 12, 6
	random := moments(t)
	c := openCentre(t, oftenContinued)
	worker := c.startWorker(t)
	passed := startRelays(t, c, conversations, cycles)
	killed := 0
	for killed < kills && passed.after(1+random.IntN(40)) {
		within(random, 30*time.Millisecond)
		worker.kill()
		killed++
		worker = c.startWorker(t)
	}
	passed.requireNothingLostOrDoubled()
	require.Equal(t, kills, killed, "the work was done before all kills: give it more cycles")
}

func TestKilledServerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	long(t)
	const conversations, cycles, kills = 8, 10, 3
	random := moments(t)
	c := openCentre(t, oftenContinued)
	c.startWorker(t)
	passed := startRelays(t, c, conversations, cycles)
	killed := 0
	for killed < kills && passed.after(10+random.IntN(40)) {
		within(random, 30*time.Millisecond)
		c.server.Kill()
		killed++
		c.startServer(t)
	}
	passed.requireNothingLostOrDoubled()
	require.Equal(t, kills, killed, "the work was done before all kills: give it more cycles")
}

// Commands that come while no worker runs are carried out by the next one, in the order in which they came.
func TestCommandsWaitForAWorker(t *testing.T) {
	t.Parallel()
	long(t)
	c := openCentre(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	worker.kill()

	c.signal(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "While nobody worked."})
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

// A read without a worker takes longer than the SDK lets one call take, and a server that has just
// started says that it knows no worker: the caller's deadline counts.
func TestAReadWaitsForAWorker(t *testing.T) {
	t.Parallel()
	long(t)
	for name, restarts := range map[string]bool{"of a server that goes on": false, "of a server that restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openCentre(t, nil)
			worker := c.startWorker(t)
			sid := c.beginWithAlice(t)
			requireAgreement(t, c, sid)
			waitFor(t, patience, "the desk's answer is in the history", func() bool { return c.atRest(t, sid) })
			worker.kill()
			if restarts {
				c.server.Kill()
				c.startServer(t)
			} else { // the read waits behind a command
				c.signal(t, sid, conversation.EndCommand{Agent: "alice"})
			}
			ctx := in(t, patience)
			answered := make(chan error, 1)
			go func() {
				_, err := c.baton.State(ctx, sid)
				answered <- err
			}()
			select {
			case err := <-answered:
				require.Fail(t, "nobody was there to answer", "%v", err)
			case <-time.After(12 * time.Second): // longer than one call may take
			}
			c.startWorker(t)
			require.NoError(t, <-answered)
		})
	}
}

// The answer of a query is lost on its way, as the server itself can lose it: it is asked for again
// long before the caller's time is up.
func TestAReadIsAskedAgainWhenItsAnswerIsLost(t *testing.T) {
	t.Parallel()
	c := openCentre(t, nil)
	c.startWorker(t)
	sid := c.beginWithAlice(t)
	var asked atomic.Int32
	var waited time.Duration
	lossy := grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
		connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
	) error {
		if method == workflowservice.WorkflowService_QueryWorkflow_FullMethodName && asked.Add(1) == 1 {
			deadline, _ := ctx.Deadline()
			waited = time.Until(deadline)
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
		return invoke(ctx, method, request, reply, connection, options...)
	})
	temporal, err := client.DialContext(t.Context(), client.Options{
		HostPort: c.server.Address, ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{lossy}},
	})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)

	record, err := baton.NewClient(temporal).State(in(t, patience), sid)
	require.NoError(t, err)
	require.Equal(t, sid, record.Conversation)
	require.Greater(t, asked.Load(), int32(1))
	require.LessOrEqual(t, waited, 2*time.Second, "of the caller's %s", patience)
}

// A worker is killed while it tells the desk: the decision stands, and the next worker tells the desk.
func TestWorkerKilledWhileItTellsTheDesk(t *testing.T) {
	t.Parallel()
	long(t)
	c := openCentre(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)

	release := c.holdDeskForWriting(t)
	c.do(t, sid, conversation.TransferCommand{From: "alice", To: to("bob"), Note: "Told late."})
	waitFor(t, patience, "an activity under way", func() bool { return c.activityUnderWay(t, sid) })
	worker.kill()
	release()
	c.startWorker(t)

	c.do(t, sid, conversation.AcceptCommand{Agent: "bob"})
	c.do(t, sid, conversation.WrapupCommand{Agent: "alice"})
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+3, record.Revision)
}

// A worker is killed while it asks for the desk's verdict: the next one asks again, and the caller gets the answer.
func TestWorkerKilledWhileItAsksTheDesk(t *testing.T) {
	t.Parallel()
	long(t)
	c := openCentre(t, nil)
	worker := c.startWorker(t)
	sid := c.beginWithAlice(t)
	requireAgreement(t, c, sid)

	release := c.holdDesk(t)
	c.signal(t, sid, conversation.TransferCommand{From: "alice", To: to("bob")})
	waitFor(t, patience, "a workflow task under way", func() bool {
		events := c.history(t, sid)
		return events[len(events)-1].GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED
	})
	accepted := make(chan error, 1)
	ctx := in(t, patience)
	go func() {
		_, err := c.baton.Accept(ctx, sid, conversation.AcceptCommand{Agent: "bob"})
		accepted <- err
	}()
	worker.kill()
	release()
	c.startWorker(t)

	require.NoError(t, <-accepted)
	record := requireAgreement(t, c, sid)[sid]
	require.Equal(t, commandsToBegin+2, record.Revision)
	require.Len(t, record.Transfers, 1)
	require.Empty(t, record.Refusals)
}

// activityUnderWay tells whether a worker runs an activity of the conversation.
func (c *centre) activityUnderWay(t *testing.T, sid string) bool {
	t.Helper()
	described, err := c.temporal.DescribeWorkflowExecution(in(t, patience), workflows.ID(sid), "")
	require.NoError(t, err)
	for _, activity := range described.GetPendingActivities() {
		if activity.GetState() == enumspb.PENDING_ACTIVITY_STATE_STARTED {
			return true
		}
	}
	return false
}

// atRest tells whether nothing is under way in the conversation: no activity and no workflow task.
func (c *centre) atRest(t *testing.T, sid string) bool {
	t.Helper()
	described, err := c.temporal.DescribeWorkflowExecution(in(t, patience), workflows.ID(sid), "")
	require.NoError(t, err)
	return len(described.GetPendingActivities()) == 0 && described.GetPendingWorkflowTask() == nil
}
