package serve

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/baton-transfers/baton/desk"
)

// healthTimeout is how long a part may take to answer before it counts as away.
const healthTimeout = 2 * time.Second

// answerHealth answers 200 while the Temporal server and the desk answer, else 503, with what is wrong by part.
func answerHealth(w http.ResponseWriter, r *http.Request, c client.Client, d *desk.Desk) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	parts := map[string]string{"temporal": "ok", "desk": "ok"}
	status := http.StatusOK
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		parts["temporal"], status = "away", http.StatusServiceUnavailable
	}
	if _, err := d.Settings(ctx); err != nil {
		parts["desk"], status = "away", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(parts); err != nil {
		return // whoever asked is gone
	}
}
