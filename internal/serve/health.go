package serve

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/internal/desk"
	"github.com/baton-transfers/baton/internal/telemetry"
)

// silentAfter is how long the dispatcher, the webhook sender or the listener may finish no round before the process
// is not ready. It is shorter than the timeout of their transactions.
const silentAfter = 7 * time.Second

// needBoth makes readiness depend on the Temporal server, the desk and the desk's listener.
func needBoth(h *telemetry.Health, c client.Client, d *desk.Desk) {
	h.Needs("temporal", func(ctx context.Context) error {
		if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			return fmt.Errorf("ask the Temporal server how it is: %w", err)
		}
		return nil
	})
	h.Needs("desk", func(ctx context.Context) error {
		_, err := desk.ReadSettings(ctx, d)
		return err
	})
	h.Needs("listener", func(context.Context) error { return d.Listens(silentAfter) })
}
