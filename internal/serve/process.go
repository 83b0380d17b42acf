package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/codec"
	"github.com/baton-transfers/baton/internal/config"
	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/telemetry"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

// Process holds what the programs worker and gateway need, as configured in the environment.
type Process struct {
	Temporal  client.Client
	Desk      *desk.Desk
	Keys      *codec.KeyRing
	Telemetry *telemetry.Telemetry
	Logger    *slog.Logger
	// Database names the desk's database for display, without a password.
	Database string
}

// Open opens the desk, the Temporal client and the telemetry of a program with that name and version; it logs to
// stderr. Close the result with [Process.Close].
func Open(ctx context.Context, getenv func(string) string, stderr io.Writer, program, version string) (_ *Process, err error) {
	told, err := config.LoadTelemetry(getenv)
	if err != nil {
		return nil, err
	}
	settings, err := config.Load(getenv, "")
	if err != nil {
		return nil, err
	}
	p := &Process{Logger: telemetry.NewLogger(stderr, told.LogLevel), Database: desk.Named(settings.Database)}
	if p.Keys, err = config.LoadKeys(getenv); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close(ctx))
		}
	}()
	if p.Telemetry, err = telemetry.Start(ctx, telemetry.Options{
		Program: program, Version: version, Metrics: told.Metrics, Traces: told.Traces, Logger: p.Logger,
	}); err != nil {
		return nil, err
	}
	if p.Desk, err = patiently(ctx, p, "desk", desk.Unavailable, func(ctx context.Context) (*desk.Desk, error) {
		return desk.Open(ctx, settings.Database, desk.Options{Logger: p.Logger, Cipher: p.Keys, Observe: p.Telemetry.Transaction})
	}); err != nil {
		return nil, err
	}
	p.Telemetry.Watch(p.Desk)
	if p.Temporal, err = patiently(ctx, p, "temporal", temporalIsAway, func(ctx context.Context) (client.Client, error) {
		return temporalenv.Dial(ctx, temporalenv.Options{
			Address: settings.Temporal, Namespace: settings.Namespace, Keys: p.Keys, Logger: p.Logger,
			Metrics: p.Telemetry.Temporal(), Interceptors: p.Telemetry.Interceptors(),
		})
	}); err != nil {
		return nil, err
	}
	return p, nil
}

// Close closes the client, the desk and the telemetry, as far as they are open.
func (p *Process) Close(ctx context.Context) error {
	var errs []error
	if p.Temporal != nil {
		p.Temporal.Close()
	}
	if p.Desk != nil {
		errs = append(errs, p.Desk.Close())
	}
	if p.Telemetry != nil {
		errs = append(errs, p.Telemetry.Stop(ctx))
	}
	return errors.Join(errs...)
}
