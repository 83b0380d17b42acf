// Package temporalenv connects Baton's programs to a Temporal server.
//
// The server's address and credentials come from Temporal's own environment configuration (TEMPORAL_ADDRESS,
// TEMPORAL_NAMESPACE, TEMPORAL_API_KEY, TEMPORAL_TLS_*, or a profile file).
//
// Must not import: other packages of Baton than codec.
package temporalenv

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"

	"github.com/baton-transfers/baton/codec"
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
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	options.Logger = log.NewStructuredLogger(o.Logger)
	options.MetricsHandler, options.Interceptors = o.Metrics, o.Interceptors
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := client.DialContext(ctx, codec.ClientOptions(o.Keys, options))
	if err != nil {
		return nil, unreached(options.HostPort, err)
	}
	return c, nil
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
