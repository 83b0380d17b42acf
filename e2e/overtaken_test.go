package e2e

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"google.golang.org/grpc"

	"github.com/baton-transfers/baton/conversation"
	"github.com/baton-transfers/baton/internal/serve"
	"github.com/baton-transfers/baton/internal/testenv"
)

// overtaker lets a conversation overtake a query: while the query is on its way to the worker, the conversation
// gets on, and the worker drops it from its cache. It is part of the worker's connection.
type overtaker struct {
	mutex sync.Mutex
	// getOn makes the conversation get on. It is nil unless the next query is to be overtaken.
	getOn func()
	// answered receives how the worker answered that query: an error's text, or nothing.
	answered chan string
}

// arm makes the next query be overtaken.
func (o *overtaker) arm(getOn func()) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.getOn, o.answered = getOn, make(chan string, 1)
}

// disarm returns what was armed; only the first of several callers gets it.
func (o *overtaker) disarm() (getOn func()) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	getOn, o.getOn = o.getOn, nil
	return getOn
}

// intercept is a [grpc.UnaryClientInterceptor].
func (o *overtaker) intercept(ctx context.Context, method string, request, reply any, to *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if answer, is := request.(*workflowservice.RespondQueryTaskCompletedRequest); is {
		o.mutex.Lock()
		answered := o.answered
		o.mutex.Unlock()
		select {
		case answered <- answer.GetErrorMessage():
		default: // a later query's
		}
	}
	if err := invoke(ctx, method, request, reply, to, options...); err != nil {
		return err
	}
	if task, is := reply.(*workflowservice.PollWorkflowTaskQueueResponse); is && task.GetQuery() != nil {
		if getOn := o.disarm(); getOn != nil {
			getOn()
			sdkworker.PurgeStickyWorkflowCache()
		}
	}
	return nil
}

// A worker that has dropped a conversation from its cache reads the history again for a query. If the conversation
// got on after the query was sent, the SDK takes the new events for undecided ones and fails the query
// (temporalio/sdk-go issue 755). The caller gets the state all the same.
func TestAQueryThatTheConversationOvertakesIsAnswered(t *testing.T) {
	t.Parallel()
	c := openEnvironment(t, nil)
	o := &overtaker{}
	connection, err := client.DialContext(in(t, testenv.Patience), client.Options{
		HostPort: c.Server.Address, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler)),
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(o.intercept)}},
	})
	require.NoError(t, err)
	t.Cleanup(connection.Close)
	worker, err := serve.StartWorker(t.Context(), connection, c.Desk, serve.WorkerOptions{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(worker.Stop)

	sid := c.begin(t, "support")
	c.offered(t, sid, "alice")
	overtaken := func(query string, by conversation.Command, ask func() error) {
		t.Helper()
		waitFor(t, testenv.Patience, "the conversation is at rest", func() bool { return c.atRest(t, sid) })
		o.arm(func() { // not in the test's goroutine
			if _, err := c.Baton.Send(in(t, testenv.Patience), sid, by); err != nil {
				t.Errorf("send %s: %v", by.Name(), err)
			}
		})
		require.NoError(t, ask(), query)
		select {
		case answered := <-o.answered:
			require.Contains(t, answered, "TMPRL1100", "%s: the SDK's fault is gone", query)
		case <-time.After(testenv.Patience):
			require.Fail(t, "the worker got no query", query)
		}
	}
	overtaken("the state", conversation.AcceptCommand{Agent: "alice"}, func() error {
		record, err := c.Baton.State(in(t, testenv.Patience), sid)
		require.Equal(t, conversation.TaskAssigned, record.Tasks[0].Status)
		return err
	})
	overtaken("the history length", conversation.CloseCommand{}, func() error {
		length, err := c.Baton.HistoryLength(in(t, testenv.Patience), sid)
		require.Positive(t, length)
		return err
	})
}
