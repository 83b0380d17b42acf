// Package temporalenv is the one place that makes Temporal clients, workers and replayers, so that
// all of them read and write payloads alike and run conversations with the same interceptor.
//
// Where the server is and how to reach it comes from Temporal's own environment configuration
// (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or a profile file). No
// rule and no record of the desk may come in.
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

// Options say which server to reach; what is empty comes from the environment.
type Options struct {
	Address   string
	Namespace string
	// Own is set for a server of one's own: Address is all there is to know of it, whatever the environment
	// says of others.
	Own bool
	// Keys encrypt the payloads and errors that are sent, and decrypt those that come; nil: nothing is encrypted.
	Keys *codec.KeyRing
	// Logger takes what the SDK logs; nothing is logged without one.
	Logger *slog.Logger
	// Metrics take what the SDK and the conversations count; nil: nothing is counted. Interceptors come before
	// those that a worker has of its own.
	Metrics      client.MetricsHandler
	Interceptors []interceptor.ClientInterceptor
}

// dialTimeout is how long a server may take to answer at first.
const dialTimeout = 10 * time.Second

// DataConverter turns values into payloads and back, everywhere.
func DataConverter(keys *codec.KeyRing) converter.DataConverter { return codec.DataConverter(keys) }

// Dial connects to the Temporal server. Where there is none, the error says what to do.
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
	if o.Own { // on this machine, compressing costs more than it spares
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

// stopGrace is how long a worker that stops may take to finish the activities it is at.
const stopGrace = 3 * time.Second

// WorkerOptions are the options of every worker and test environment that runs conversations, with the keys of
// the client that the worker is made with.
func WorkerOptions(keys *codec.KeyRing, options ...workflows.Option) worker.Options {
	return worker.Options{
		Interceptors: interceptors(keys, options...), WorkerStopTimeout: stopGrace,
		// Scaled pollers look after the worker's own queue and the common one apart. A fixed number can all
		// end up on the worker's own for a minute, while a conversation's next task waits in the common one.
		WorkflowTaskPollerBehavior: worker.NewPollerBehaviorAutoscaling(worker.PollerBehaviorAutoscalingOptions{}),
	}
}

// NewReplayer returns a replayer that knows the conversation workflow, and reads histories with the keys.
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

// Namespace returns the namespace to use: the one given, else the environment's, else the default one.
func Namespace(given string) string {
	if given != "" {
		return given
	}
	if options, err := envconfig.LoadDefaultClientOptions(); err == nil && options.Namespace != "" {
		return options.Namespace
	}
	return client.DefaultNamespace
}
