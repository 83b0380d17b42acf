// Package temporalenv makes all Temporal clients, workers and replayers, so that all of them encode payloads the
// same way and run conversations with the same interceptor.
//
// The server's address and credentials come from Temporal's own environment configuration (TEMPORAL_ADDRESS,
// TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or a profile file).
//
// Must not import: other packages of Baton than internal/codec and workflows.
package temporalenv

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/baton-transfers/baton/internal/codec"
	"github.com/baton-transfers/baton/workflows"
)

// Options say which server to connect to. Empty fields come from the environment.
type Options struct {
	Address   string
	Namespace string
	// Own is set for a server that the caller runs itself: Address is its frontend, and the environment is ignored.
	Own bool
	// Keys encrypt payloads and errors that are sent, and decrypt those that are received; nil encrypts nothing.
	Keys *codec.KeyRing
	// Logger receives the SDK's log; nil logs nothing.
	Logger *slog.Logger
	// Metrics receives the metrics of the SDK and of conversations; nil counts nothing. Interceptors run before a
	// worker's own interceptors.
	Metrics      client.MetricsHandler
	Interceptors []interceptor.ClientInterceptor
}

// dialTimeout is how long a server may take to answer the first request.
const dialTimeout = 10 * time.Second

// DataConverter returns the data converter that all clients, workers and replayers use.
func DataConverter(keys *codec.KeyRing) converter.DataConverter { return codec.DataConverter(keys) }

// Dial connects to the Temporal server. If no server answers, the error is an [*AwayError] and says what to do.
func Dial(ctx context.Context, o Options) (client.Client, error) {
	var options client.Options
	if !o.Own {
		var err error
		if options, err = envconfig.LoadDefaultClientOptions(); err != nil {
			return nil, fmt.Errorf("read Temporal's environment configuration (TEMPORAL_*): %w", err)
		}
	}
	if o.Address != "" {
		options.HostPort = o.Address
	}
	if o.Namespace != "" {
		options.Namespace = o.Namespace
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	if o.Own { // on the same machine, compression costs more than it saves
		options.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	}
	options.DataConverter, options.FailureConverter = DataConverter(o.Keys), codec.FailureConverter(o.Keys)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	options.Logger = log.NewStructuredLogger(o.Logger)
	options.MetricsHandler, options.Interceptors = o.Metrics, o.Interceptors
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, unreached(options.HostPort, err)
	}
	return c, nil
}

// stopGrace is how long a stopping worker may take to finish its activities.
const stopGrace = 3 * time.Second

// WorkerOptions returns the options of every worker and test environment that runs conversations. The keys are
// those of the worker's client.
func WorkerOptions(keys *codec.KeyRing, options ...workflows.Option) worker.Options {
	return worker.Options{
		Interceptors: interceptors(keys, options...), WorkerStopTimeout: stopGrace,
		// Autoscaling pollers poll the worker's own queue and the shared queue separately. With a fixed number, all
		// pollers can poll the worker's own queue for a minute while a conversation's next task waits in the shared
		// queue.
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
	}
}

// NewReplayer returns a replayer for the conversation workflow, which decrypts histories with the keys.
func NewReplayer(keys *codec.KeyRing) (worker.WorkflowReplayer, error) {
	replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
		DataConverter:    DataConverter(keys),
		FailureConverter: codec.FailureConverter(keys),
		Interceptors:     interceptors(keys),
	})
	if err != nil {
		return nil, fmt.Errorf("make a replayer: %w", err)
	}
	workflows.Register(replayer)
	return replayer, nil
}

func interceptors(keys *codec.KeyRing, options ...workflows.Option) []interceptor.WorkerInterceptor {
	if !keys.Empty() {
		options = append(options, workflows.WithEncryption(keys.IsRequired()))
	}
	return []interceptor.WorkerInterceptor{workflows.Interceptor(DataConverter(keys), options...)}
}

// Namespace returns the given namespace; if it is empty, the environment's, else Temporal's default.
func Namespace(given string) string {
	if given != "" {
		return given
	}
	if options, err := envconfig.LoadDefaultClientOptions(); err == nil && options.Namespace != "" {
		return options.Namespace
	}
	return client.DefaultNamespace
}
