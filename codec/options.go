package codec

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/workflows"
)

// stopGrace is how long a stopping worker may take to finish its activities.
const stopGrace = 3 * time.Second

// ClientOptions returns the options with the converters of the ring: the client encrypts the payloads and errors that
// it sends, and decrypts those that it receives. A ring without keys encrypts nothing.
func ClientOptions(ring *KeyRing, options client.Options) client.Options {
	options.DataConverter, options.FailureConverter = DataConverter(ring), FailureConverter(ring)
	return options
}

// WorkerOptions returns the options of a worker that runs conversations, and of the SDK's test environment. The caller
// can set further fields and append interceptors. The worker's client must have the converters of the same ring
// ([ClientOptions]). A ring without keys encrypts nothing, and a nil ring is the usual one for such workers.
func WorkerOptions(ring *KeyRing, options ...workflows.Option) worker.Options {
	return worker.Options{
		Interceptors: interceptors(ring, options...), WorkerStopTimeout: stopGrace,
		// Autoscaling pollers poll the worker's own queue and the shared queue separately. With a fixed number, all
		// pollers can poll the worker's own queue for a minute while a conversation's next task waits in the shared
		// queue.
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
	}
}

// ReplayerOptions returns the options of a replayer that decrypts histories of conversations with the ring. The caller
// can add interceptors.
func ReplayerOptions(ring *KeyRing) worker.WorkflowReplayerOptions {
	return worker.WorkflowReplayerOptions{
		DataConverter: DataConverter(ring), FailureConverter: FailureConverter(ring), Interceptors: interceptors(ring),
	}
}

// NewReplayer returns a replayer with [ReplayerOptions] that has the conversation workflow.
func NewReplayer(ring *KeyRing) (worker.WorkflowReplayer, error) {
	replayer, err := worker.NewWorkflowReplayerWithOptions(ReplayerOptions(ring))
	if err != nil {
		return nil, fmt.Errorf("make a replayer: %w", err)
	}
	workflows.Register(replayer)
	return replayer, nil
}

func interceptors(ring *KeyRing, options ...workflows.Option) []interceptor.WorkerInterceptor {
	if !ring.Empty() {
		options = append(options, workflows.WithEncryption(ring.IsRequired()))
	}
	return []interceptor.WorkerInterceptor{workflows.Interceptor(DataConverter(ring), options...)}
}
