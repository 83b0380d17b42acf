package serve

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/desk"
	"github.com/baton-transfers/baton/internal/telemetry"
)

// silentAfter is how long the dispatcher, the sender of webhooks or the listener may make no round before the process is not
// ready: less than it takes until their transactions time out.
const silentAfter = 8 * time.Second

// needBoth says that nothing can be done without the Temporal server and the desk.
func needBoth(h *telemetry.Health, c client.Client, d *desk.Desk) {
	h.Needs("temporal", func(ctx context.Context) error {
		if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
			return fmt.Errorf("ask the Temporal server how it is: %w", err)
		}
		return nil
	})
	h.Needs("desk", func(ctx context.Context) error {
		_, err := d.Settings(ctx)
		return err
	})
	h.Needs("listener", func(context.Context) error { return d.Listens(silentAfter) })
}
