package serve

import (
	"context"
	"errors"
	"time"

	"github.com/baton-transfers/baton/internal/sleep"
	"github.com/baton-transfers/baton/internal/temporalenv"
)

const (
	// startPatience is how long a starting program waits for the desk's database and the Temporal server, which may
	// be starting at the same time or restarting.
	startPatience = 2 * time.Minute
	// startPause is the pause between two attempts.
	startPause = time.Second
)

// patiently opens a part that the program needs. It tries again while the part is unavailable, for at most
// startPatience. Until the part is open, the program is not ready, and its readiness probe names the part.
func patiently[T any](ctx context.Context, p *Process, part string, away func(error) bool, open func(context.Context) (T, error)) (T, error) {
	began, logged := time.Now(), false
	for {
		opened, err := open(ctx)
		if err == nil || !away(err) || time.Since(began) > startPatience || ctx.Err() != nil {
			return opened, err
		}
		if !logged {
			logged = true
			p.Telemetry.Health.Needs(part, func(context.Context) error { return err })
			p.Logger.WarnContext(ctx, "waiting at the start", "part", part, "error", err)
		}
		if sleep.For(ctx, startPause) != nil {
			return opened, err
		}
	}
}

func temporalIsAway(err error) bool {
	_, away := errors.AsType[*temporalenv.AwayError](err)
	return away
}
